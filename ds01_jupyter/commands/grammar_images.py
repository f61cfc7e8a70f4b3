"""The grammar of `image ...`, and the options of an image that `create` shares."""

from __future__ import annotations

from typing import Any

from ds01_jupyter.commands.grammar_parts import argument as _argument
from ds01_jupyter.commands.grammar_parts import commands as _commands
from ds01_jupyter.commands.grammar_parts import listing as _listing
from ds01_jupyter.commands.grammar_parts import named as _named
from ds01_jupyter.commands.grammar_parts import removal as _removal
from ds01_jupyter.commands.grammar_parts import verb as _verb
from ds01_jupyter.commands.grammar_parts import work_options as _work_options
from ds01_jupyter.commands.parser import Parser

NAME_HELP = "a name: letters, digits, - and _"
UPDATE = """In three phases: change the packages (or edit the Dockerfile), build it anew, recreate
the containers that use it. Without options it asks, step by step. Containers go on with the build
before until they are recreated; `image rollback` goes back."""


def images(verbs: Any) -> None:
    """`image ...`."""
    group = _verb(verbs, "image", "overview.which", "images: create, list, update, remove, ...")
    images = _commands(group, "DO")
    create = _verb(images, "create", "images.create", "build an image")
    _argument(create, "name", nargs="?", metavar="NAME", help=NAME_HELP)
    image_options(create)
    _work_options(create)
    _argument(
        create, "--preview", action="store_true", help="show the Dockerfile and build nothing"
    )
    _argument(create, "--check", action="store_true", help="show first what would be installed")
    resolve = _verb(
        images,
        "resolve",
        "images.resolve",
        "what would be installed, or why it cannot be (exit status 0 or 1)",
        details="Of an image that you have, or of what the options describe. Nothing is built.",
    )
    _argument(resolve, "name", nargs="?", metavar="NAME", complete="image", help="an image")
    image_options(resolve)
    _everything(resolve, "every package, not only those asked for")
    _listing(resolve)
    _listing(_verb(images, "list", "images.listing", "your images and the others here"))
    show = _named(images, "show", "images.show", "one image and what is in it", "image")
    _everything(show, "every package with its version")
    _listing(show)
    _update(images)
    _builds(images)
    _shares(images)
    _removal(_named(images, "remove", "images.remove", "remove an image of yours", "image"))
    prune = _verb(images, "prune", "images.prune", "remove what nobody uses; tells first and asks")
    _argument(prune, "--days", type=float, default=30.0, metavar="N", help="older than that (30)")
    _argument(prune, "--all", action="store_true", help="for admins: everybody's")
    _removal(prune)
    _listing(prune)
    text = "the Dockerfile that an image was built from"
    _listing(_named(images, "dockerfile", "images.dockerfile", text, "image"))


def recreate(containers: Any) -> None:
    """`container recreate`."""
    text = "make it anew from its image as it is now; the workspace stays"
    one = _named(containers, "recreate", "image_updates.recreate", text)
    _removal(one)
    _work_options(one)


def _update(images: Any) -> None:
    update = _verb(images, "update", "image_updates.update", "change it and build it anew",
                   details=UPDATE)  # fmt: skip
    _argument(update, "name", metavar="NAME", complete="image", help="the image")
    packages = update.add_argument_group("packages")
    for option, short, metavar, complete, text in (
        ("--add", "-p", "PACKAGE", None, "pip packages, such as einops or einops>=0.8"),
        ("--remove", None, "PACKAGE", None, "of your own, by name"),
        ("--add-apt", None, "PACKAGE", None, "Debian packages"),
        ("--remove-apt", None, "PACKAGE", None, "Debian packages of your own"),
        ("--use-case", "-t", "KEY", "use_case", "these in place of those it has, or none"),
        ("--from", None, "FILE", "directory", "add what a requirements.txt, ... names"),
    ):
        names = [option, short] if short else [option]
        dest = {"dest": "files"} if option == "--from" else {}
        _argument(
            packages, *names, nargs="+", action="extend", metavar=metavar, complete=complete,
            help=text, **dest,
        )  # fmt: skip
    _extras(packages)
    text = 'defaults, none, or your choice: "numpy pandas"'
    _argument(packages, "--base", metavar="TIER", complete="base", help=text)
    text = "another version of the framework"
    _argument(packages, "--version", metavar="V", complete="version", help=text)
    text = "the newest versions of everything; else what is there stays as far as it fits"
    _argument(packages, "--refresh", action="store_true", help=text)
    how = update.add_argument_group("Dockerfile and containers")
    _argument(
        how,
        "--dockerfile",
        choices=["update", "keep", "replace", "ask"],
        default="update",
        help="one that you edited: renew the marked parts (update), build it as it is, replace it",
    )
    text = "containers to make anew from it; their workspaces stay"
    _argument(
        how, "--recreate", nargs="+", action="extend", metavar="NAME", complete="container",
        help=text,
    )  # fmt: skip
    _argument(how, "--recreate-all", action="store_true", help="all that use the image")
    _work_options(update)


def _builds(images: Any) -> None:
    text = "the builds of an image that are kept"
    _listing(_named(images, "builds", "image_updates.builds", text, "image"))
    diff = _named(images, "diff", "image_updates.diff", "what differs between two builds", "image")
    _argument(diff, "--before", type=int, metavar="N", help="absent: the one before")
    _argument(diff, "--after", type=int, metavar="N", help="absent: the present one")
    _listing(diff)
    text = "go back to an earlier build"
    back = _named(images, "rollback", "image_updates.rollback", text, "image")
    _argument(back, "--to", type=int, metavar="N", help="absent: the one before")
    _listing(back)


def _shares(images: Any) -> None:
    for word, text in (
        ("share", "let somebody else start containers from it"),
        ("unshare", "end that; containers that were made from it go on"),
    ):
        one = _named(images, word, f"images.{word}", text, "image")
        _argument(one, "--user", metavar="USER", complete="user", help="an account")
        _argument(one, "--group", metavar="GROUP", complete="group", help="a group")
        _listing(one)


def _everything(parser: Parser, text: str) -> None:
    _argument(parser, "--all", action="store_true", help=text)


# ---- options that several commands share ---------------------------------------------------


def framework_options(parser: Parser) -> None:
    """Framework, version and architecture."""
    group = parser.add_argument_group("framework")
    _argument(
        group,
        "--framework",
        "-f",
        metavar="F",
        complete="framework",
        help="Pytorch, Tensorflow, ...",
    )
    _argument(group, "--version", metavar="V", complete="version", help="absent: the newest")
    _argument(
        group,
        "--architecture",
        metavar="A",
        complete="architecture",
        help="absent: the one of this machine",
    )


def image_options(parser: Parser) -> None:
    """Everything that describes an image, except its name."""
    framework_options(parser)
    tiers = parser.add_argument_group("packages")
    _argument(
        tiers,
        "--base",
        metavar="TIER",
        complete="base",
        help='defaults (absent), none, or your choice: "numpy pandas"',
    )
    for option, short, metavar, complete, text in (
        ("--use-case", "-t", "KEY", "use_case", "cv, nlp, rl, ml: see `packages`"),
        ("--pip", "-p", "PACKAGE", None, 'your own, such as "einops>=0.8"'),
        ("--apt", None, "PACKAGE", None, "Debian packages, such as ffmpeg"),
    ):
        names = [option, short] if short else [option]
        _argument(
            tiers,
            *names,
            nargs="+",
            action="extend",
            metavar=metavar,
            complete=complete,
            help=text,
        )
    _argument(
        tiers,
        "--from",
        dest="files",
        nargs="+",
        action="extend",
        metavar="FILE",
        complete="directory",
        help="take them from a requirements.txt, pyproject.toml, environment.yml or Dockerfile",
    )
    _extras(tiers)
    files = parser.add_argument_group("Dockerfile")
    _argument(
        files,
        "--project",
        metavar="DIR",
        complete="directory",
        help="keep it in this project; absent: in ~/dockerfiles",
    )
    _argument(
        files,
        "--dockerfile",
        choices=["ask", "keep", "replace"],
        default="ask",
        help="what to do with one that you edited (ask)",
    )


def _extras(group: Any) -> None:
    _argument(
        group, "--extra", nargs="+", action="extend", metavar="NAME",
        help="of a pyproject.toml: optional dependencies to take as well",
    )  # fmt: skip
