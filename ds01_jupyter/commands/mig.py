"""`mig ...`: the MIG layout of the machine, for admins."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from ds01_jupyter.client_error import ClientError
from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.work import Step, Work
from ds01_jupyter.core.mig_documents import MAX_LAYOUT, MigLayoutRequest
from ds01_jupyter.render import Code, Note, View, mig_views


def export(context: Context, _: Namespace) -> View:
    """`mig export`: prints a layout file and nothing else, so that it can go to a file."""
    document = context.client().mig_layout()
    return View(Code(document.layout.rstrip("\n")), data=document)


def assert_layout(context: Context, arguments: Namespace) -> View:
    """`mig assert FILE [LABEL]`: refused, with the differences, when the machine is not so."""
    document = context.client().plan_mig(_request(arguments))
    if document.matches:
        return View(Note(f"The machine is as {document.label} says.", "good"), data=document)
    words = f"{arguments.file} {document.label}"
    raise ClientError(
        f"The machine is not as {document.label} says.",
        hint=f"{context.command(f'mig plan {words}')} shows what would change.",
        code="layout_differs",
        details={"differences": mig_views.differences(document)},
    )


def plan_layout(context: Context, arguments: Namespace) -> View:
    """`mig plan FILE [LABEL]`."""
    document = context.client().plan_mig(_request(arguments))
    view = mig_views.plan(document)
    if document.matches or not document.possible:
        return view
    words = f"mig apply {arguments.file} {document.label}"
    return View(*view.blocks, Note(f"{context.command(words)} does it."), data=document)


def apply_layout(context: Context, arguments: Namespace) -> Any:
    """`mig apply FILE [LABEL] [--yes]`."""
    request = _request(arguments)
    client = context.client()
    document = client.plan_mig(request)
    if document.matches:
        return mig_views.plan(document)
    if document.possible and not arguments.yes:
        gone = sum(len(gpu.destroy) for gpu in document.gpus)
        made = sum(len(gpu.create) for gpu in document.gpus)
        lines = "; ".join(mig_views.moves(gpu) for gpu in document.gpus if gpu.differences)
        context.confirm(
            f"Change the MIG layout to {document.label}? "
            f"{gone} {'instance goes' if gone == 1 else 'instances go'} and {made} "
            f"{'is' if made == 1 else 'are'} made ({lines}).",
            f"mig apply {arguments.file} {document.label} --yes",
        )
    # What is in the way is the server's to say: it looks again.
    step = Step(f"MIG layout {document.label}", lambda client: client.apply_mig(request))
    return context.follow(Work(client, [step]), arguments)


def _request(arguments: Namespace) -> MigLayoutRequest:
    path = Path(arguments.file).expanduser()
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_LAYOUT + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ClientError(
            f"{arguments.file} cannot be read: {reason}.",
            hint="`mig export` prints the present layout, to begin with.",
            code="invalid_input",
        ) from error
    if not text.strip() or len(text) > MAX_LAYOUT:
        what = "is empty" if not text.strip() else f"has more than {MAX_LAYOUT} characters"
        raise ClientError(f"{arguments.file} {what}.", code="invalid_input")
    return MigLayoutRequest(layout=text, label=arguments.label or None, source=path.name)
