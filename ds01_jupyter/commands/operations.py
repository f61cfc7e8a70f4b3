"""`operations ...`."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ds01_jupyter.client import FINAL
from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.work import Step, Work
from ds01_jupyter.render import Note, View, views


def listing(context: Context, _: Namespace) -> View:
    """`operations [list]`."""
    return views.operations(context.client().operations())


def cancel(context: Context, arguments: Namespace) -> View:
    """`operations cancel ID`."""
    client = context.client()
    before = client.operation(arguments.operation)
    if before.state in FINAL:
        return View(Note(f"{before.title} had ended already: {before.state}.", "dim"), data=before)
    document = client.cancel_operation(arguments.operation)
    return View(Note(f"{document.title} is being cancelled.", "warn"), data=document)


def follow(context: Context, arguments: Namespace) -> Any:
    """`operations follow ID`."""
    operation = context.client().operation(arguments.operation)
    step = Step(operation.title, lambda client: client.operation(operation.id))
    return context.follow(Work(context.client(), [step], owned=False), arguments)
