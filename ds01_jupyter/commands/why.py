"""`why`: whether a GPU can be had, what stops it, until when; or what happened to a container."""

from __future__ import annotations

from argparse import Namespace

from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.parser import UsageProblem
from ds01_jupyter.render import View


def explain(context: Context, arguments: Namespace) -> View:
    """`why [NAME] [--gpu WHAT] [--gpus N]`."""
    from ds01_jupyter.render import why_views

    if arguments.gpus < 1:
        raise UsageProblem(f"--gpus cannot be {arguments.gpus}: it is a number of slots from 1.")
    client = context.client()
    if arguments.name:
        document = client.why_container(arguments.name)
    else:
        document = client.why(arguments.gpu, arguments.gpus)
    return why_views.explanation(document, context.prog)
