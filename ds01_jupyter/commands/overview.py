"""Help, versions, the overview of everything, and what the machine has."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ds01_jupyter._version import __version__
from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.grammar import build
from ds01_jupyter.commands.parser import UsageProblem, suggestion
from ds01_jupyter.render import Code, Note, View


def help_text(context: Context, arguments: Namespace) -> View:
    """`help [COMMAND ...]`, and what comes without any command."""
    parser = build(context.prog)
    for word in getattr(arguments, "words", ()):
        known = parser.commands()
        if word not in known:
            raise UsageProblem(
                f"There is no command {word!r}.{suggestion(word, known)}",
                hint=f"There are: {', '.join(known)}." if known else "",
            )
        parser = known[word]
    text = parser.format_help().rstrip("\n")
    return View(Code(text), data=text)


def which(context: Context, arguments: Namespace) -> View:
    """A group of commands without the command."""
    group = arguments.leaf
    raise UsageProblem(
        f"What should be done? There are: {', '.join(group.commands())}.",
        hint=f"For example `{group.prog} list`; `{group.prog} --help` explains them.",
    )


def version(context: Context, _: Namespace) -> View:
    """`version`: of this side, and of the server when one answers."""
    data: dict[str, Any] = {"client": __version__, "server": None}
    blocks = [Note(f"ds01-jupyter {__version__}")]
    try:
        about = context.client().about()
    except ClientError as error:
        blocks.append(Note(f"No server: {error}", "dim"))
    else:
        data["server"] = about.version
        blocks.append(Note(f"The server runs {about.version} on {about.host}."))
    return View(*blocks, data=data)


def status(context: Context, _: Namespace) -> View:
    """`status`: who you are here, whether the machine answers, what you have."""
    from ds01_jupyter.render import machine_views, views
    from ds01_jupyter.render.problem import problem

    client = context.client()
    about = client.about()
    whole = machine_views.about(about)
    data: dict[str, Any] = {"about": about, "limits": None, "containers": None}
    try:
        data["limits"] = client.limits()
        whole += machine_views.usage(data["limits"])
        data["containers"] = client.containers()
        context.time_told = True
        whole += views.containers(data["containers"], prog=context.prog, title="Your containers")
    except ClientError as error:
        # That Docker does not answer stands above already.
        if about.docker.available or error.code != "docker_unavailable":
            whole += problem(error)
    return View(*whole.blocks, data=data)


def limits(context: Context, _: Namespace) -> View:
    """`limits`."""
    from ds01_jupyter.render import machine_views

    return machine_views.limits(context.client().limits())


def catalogue(context: Context, arguments: Namespace) -> View:
    """`catalogue [FRAMEWORK] [--architecture A]`."""
    from ds01_jupyter.render import views

    document = context.client().catalogue(arguments.architecture)
    wanted = arguments.framework
    known = {name.casefold(): name for name in document.frameworks}
    if wanted and wanted.casefold() not in known:
        raise ClientError(
            f"The catalogue has no framework {wanted!r}.{suggestion(wanted, document.frameworks)}",
            hint=f"It has: {', '.join(document.frameworks)}.",
            code="not_found",
        )
    return views.catalogue(document, wanted)


def packages(context: Context, _: Namespace) -> View:
    """`packages`: the tiers."""
    from ds01_jupyter.render import views

    return views.packages(context.client().packages())
