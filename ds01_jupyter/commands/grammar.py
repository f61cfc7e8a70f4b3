"""The one grammar of `%ds01 ...` and `ds01 ...`.

A command names the function that runs it as `module.function` of this package, so that asking for
help or completing a word imports nothing heavy. `complete` of an argument says what its values
are, for the completer.
"""

from __future__ import annotations

from typing import Any

from ds01_jupyter.commands.grammar_images import NAME_HELP, framework_options, image_options, images
from ds01_jupyter.commands.grammar_images import recreate as recreate_container
from ds01_jupyter.commands.grammar_parts import argument as _argument
from ds01_jupyter.commands.grammar_parts import commands as _commands
from ds01_jupyter.commands.grammar_parts import listing as _listing
from ds01_jupyter.commands.grammar_parts import named as _named
from ds01_jupyter.commands.grammar_parts import removal as _removal
from ds01_jupyter.commands.grammar_parts import verb as _verb
from ds01_jupyter.commands.grammar_parts import work_options as _work_options
from ds01_jupyter.commands.grammar_reservations import reservations
from ds01_jupyter.commands.grammar_waiting import waiting
from ds01_jupyter.commands.parser import Parser

DESCRIPTION = "GPU containers from the notebook and the terminal."
EXAMPLES = """
  {prog} create                          image and container, step by step
  {prog} create demo --framework Pytorch --use-case cv --gpu 1g.5gb
  {prog} container list                  what runs
  {prog} gpus                            who has which GPU slot
  {prog} container stop demo             stop it; the workspace stays
"""


def build(prog: str = "ds01") -> Parser:
    """The whole grammar. `prog` is how a person calls it: `ds01` or `%ds01`."""
    terminal = prog == "ds01"
    parser = Parser(
        prog=prog,
        description=DESCRIPTION,
        epilog="examples:" + EXAMPLES.format(prog=prog),
    )
    if terminal:
        _argument(parser, "--server", metavar="URL", help="the Jupyter server to speak to")
        _argument(
            parser,
            "--version",
            action="store_const",
            const="overview.version",
            dest="run",
            help="the versions of this command and the server",
        )
    verbs = _commands(parser, "COMMAND", run="overview.help_text")
    helper = _verb(verbs, "help", "overview.help_text", "explain a command")
    _argument(helper, "words", nargs="*", metavar="COMMAND", help="the command to explain")
    _listing(_verb(verbs, "status", "overview.status", "you, this machine and your containers"))
    _create(verbs)
    images(verbs)
    _containers(verbs)
    _machine(verbs)
    waiting(verbs)
    reservations(verbs)
    _operations(verbs)
    _mig(verbs)
    _verb(verbs, "version", "overview.version", "the versions of this command and the server")
    if terminal:
        _terminal_only(verbs)
    return parser


def _create(verbs: Any) -> None:
    create = _verb(
        verbs,
        "create",
        "create.everything",
        "build an image and start a container from it",
        details="Without arguments it asks, step by step. With a name and a framework it does all "
        "at once:\nbuild the image NAME, then start the container NAME from it.",
    )
    _argument(create, "name", nargs="?", metavar="NAME", help=NAME_HELP)
    image_options(create)
    _container_options(create)
    _work_options(create)


def _containers(verbs: Any) -> None:
    group = _verb(
        verbs, "container", "overview.which", "containers: create, list, start, stop, remove, ..."
    )
    containers = _commands(group, "DO")
    create = _verb(
        containers,
        "create",
        "containers.create",
        "a container from an image, or from a bare framework",
    )
    _argument(create, "name", nargs="?", metavar="NAME", help=NAME_HELP)
    _argument(create, "--image", metavar="IMAGE", complete="image", help="an image on this machine")
    framework_options(create)
    _container_options(create)
    _argument(create, "--no-start", action="store_true", help="create it, but do not start it")
    _work_options(create)
    listing = _verb(containers, "list", "containers.listing", "your containers")
    _argument(listing, "--all", "-a", action="store_true", help="everybody's")
    _listing(listing)
    _listing(_named(containers, "show", "containers.show", "one container and its limits"))
    _listing(_named(containers, "start", "containers.start", "start a stopped container"))
    _listing(_named(containers, "stop", "containers.stop", "stop it; the workspace stays"))
    alive = _named(containers, "keep-alive", "lifetime.keep_alive", "do not stop it for idling")
    _argument(alive, "--hours", type=float, metavar="N", help="absent: as long as is allowed")
    _listing(alive)
    recreate_container(containers)
    logs = _named(containers, "logs", "containers.logs", "the end of its output")
    _argument(logs, "--tail", type=int, default=200, metavar="N", help="lines (200)")
    _listing(logs)
    _removal(_named(containers, "remove", "containers.remove", "remove it; the workspace stays"))


def _machine(verbs: Any) -> None:
    _gpus(verbs)
    _limits(verbs)
    text = "what you were warned of, and what was done"
    _listing(_verb(verbs, "notices", "lifetime.notices", text))
    catalogue = _verb(verbs, "catalogue", "overview.catalogue", "the frameworks and versions")
    _argument(
        catalogue, "framework", nargs="?", metavar="FRAMEWORK", complete="framework", help="only it"
    )
    _argument(
        catalogue, "--architecture", metavar="A", complete="architecture", help="CUDA_ADA, ..."
    )
    _listing(catalogue)
    _listing(_verb(verbs, "packages", "overview.packages", "the package tiers and what they hold"))


def _gpus(verbs: Any) -> None:
    gpus = _verb(verbs, "gpus", "gpus.show", "the GPU slots and who has them")
    _argument(gpus, "--watch", "-w", action="store_true", help="keep it up to date; Ctrl-C ends it")
    _argument(gpus, "--history", action="store_true", help="the last hour")
    _listing(gpus)
    commands = _commands(gpus, "DO", run="gpus.show")
    for verb, text in (
        ("cordon", "for admins: give it to nobody from now on; what runs goes on"),
        ("uncordon", "for admins: give it to people again"),
    ):
        one = _verb(commands, verb, f"gpus.{verb}", text)
        _argument(one, "gpu", metavar="GPU", help="its number, or its UUID")
        if verb == "cordon":
            _argument(one, "--reason", "-r", required=True, metavar="TEXT", help="shown to all")
        _listing(one)


def _limits(verbs: Any) -> None:
    text = "your limits and what is in use"
    limits = _verb(verbs, "limits", "overview.limits", text)
    _listing(limits)
    commands = _commands(limits, "DO", run="overview.limits")
    _listing(_verb(commands, "show", "overview.limits", text))
    check = _verb(
        commands,
        "check",
        "limits.check",
        "for admins: every mistake in a limits file (exit status 0 or 1)",
    )
    _argument(check, "file", metavar="FILE", complete="directory", help="resource-limits.yaml")
    _listing(check)


def _operations(verbs: Any) -> None:
    group = _verb(verbs, "operations", "operations.listing", "builds and other long work")
    _listing(group)
    operations = _commands(group, "DO", run="operations.listing")
    _listing(_verb(operations, "list", "operations.listing", "what runs and what ended"))
    for verb, text in (("cancel", "stop one"), ("follow", "watch one to its end")):
        one = _verb(operations, verb, f"operations.{verb}", text)
        _argument(one, "operation", metavar="ID", complete="operation", help="see `operations`")
        if verb == "follow":
            _work_options(one)
        else:
            _listing(one)


def _mig(verbs: Any) -> None:
    group = _verb(verbs, "mig", "overview.which", "the MIG layout, for admins")
    mig = _commands(group, "DO")
    _listing(_verb(mig, "export", "mig.export", "the present layout, as mig-parted writes it"))
    for verb, text in (
        ("assert", "whether the machine is as a file says (exit status 0 or 1)"),
        ("plan", "what would change, and which containers are in the way"),
        ("apply", "make it so; slots in use are never touched, no GPU is reset"),
    ):
        one = _verb(mig, verb, f"mig.{verb}_layout", text)
        _argument(one, "file", metavar="FILE", complete="directory", help="a layout file")
        _argument(one, "label", nargs="?", metavar="LABEL", help="absent: the only one in it")
        if verb == "apply":
            _argument(one, "--yes", "-y", action="store_true", help="do not ask")
            _work_options(one)
        else:
            _listing(one)


def _terminal_only(verbs: Any) -> None:
    autoload = _verb(
        verbs, "autoload", "autoload.switch", "have %%ds01 in every notebook without %%load_ext"
    )
    _argument(autoload, "state", nargs="?", choices=["on", "off"], help="absent: tell how it is")
    completion = _verb(
        verbs,
        "completion",
        "shell.script",
        "the completion script of a shell",
        details='Put this into ~/.bashrc:  eval "$(ds01 completion bash)"',
    )
    _argument(completion, "shell", choices=["bash", "zsh"], help="the shell")


# ---- options that several commands share ---------------------------------------------------


def _container_options(parser: Parser) -> None:
    group = parser.add_argument_group("container")
    for folder, text in (
        ("workspace", "becomes /workspace; absent: ~/workspace/NAME"),
        ("data", "becomes /data"),
        ("models", "becomes /models"),
    ):
        _argument(group, f"--{folder}", metavar="DIR", complete="directory", help=text)
    _argument(
        group,
        "--gpu",
        default="any",
        metavar="WHAT",
        complete="gpu",
        help="any (whatever is free that fits), none (CPU only), whole, a MIG profile (1g.5gb), "
        "memory (10GB, or more), shared (a share of a GPU), a slot (0:1)",
    )
    _argument(group, "--gpus", type=int, default=1, metavar="N", help="how many such slots (1)")
    _argument(group, "--wait", action="store_true", help="when none is free, wait in the queue")
