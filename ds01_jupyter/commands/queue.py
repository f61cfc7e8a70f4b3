"""`queue ...`: who waits for GPU slots, and one's own places."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.work import Step, Work
from ds01_jupyter.render import Note, View, queue_views

OVER = ("done", "cancelled", "failed")


def listing(context: Context, _: Namespace) -> View:
    """`queue [list]`."""
    return queue_views.queue(context.client().queue(), context.prog)


def leave(context: Context, arguments: Namespace) -> View:
    """`queue leave ID`."""
    client = context.client()
    before = client.queue_entry(arguments.entry)
    if before.mine and before.state in OVER:
        return View(Note(queue_views.ended(before), "dim"), data=before)
    client.leave_queue(arguments.entry)
    after = before.model_copy(update={"state": "cancelled", "position": None})
    return View(Note(queue_views.ended(after), "good"), data=after)


def follow(context: Context, arguments: Namespace) -> Any:
    """`queue follow ID`: until the container runs; who stops watching keeps the place."""
    client = context.client()
    entry = client.queue_entry(arguments.entry)
    if not entry.mine or (entry.state in OVER and entry.operation is None):
        return queue_views.entry(entry, context.prog)
    title = f"container {entry.name}" if entry.name else f"entry {entry.id}"
    step = Step(title, lambda there: there.queue_entry(entry.id), waits=True)
    return context.follow(Work(client, [step], owned=False), arguments)
