"""What happens to a place in the queue: its state, the history of it, and what its owner is told,
written together, inside a transaction of the caller's."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Any

from ds01_jupyter.core import ledger_tables
from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.errors import CoreError
from ds01_jupyter.core.lifecycle.tables import add_notice
from ds01_jupyter.core.names import full_name
from ds01_jupyter.core.units import format_duration
from ds01_jupyter.core.waiting import tables
from ds01_jupyter.core.waiting.tables import Entry


def write(
    connection: sqlite3.Connection,
    entry: Entry,
    action: str,
    outcome: str = "done",
    *,
    actor: str | None = None,
    **details: Any,
) -> None:
    """A line of the history: `queue.` and the action."""
    shown = {"entry": entry.id, "gpu": entry.gpu, "gpus": entry.gpus, **details}
    subject = full_name(entry.name, entry.uid)
    who = actor or entry.owner
    ledger_tables.insert_history(
        connection, who, entry.owner, f"queue.{action}", subject, outcome, shown
    )


def done(
    connection: sqlite3.Connection,
    entry: Entry,
    operation: str,
    now: Moment,
    *,
    hint: str = "",
) -> bool:
    """The container is there. False when that was written already."""
    if not tables.end(connection, entry.id, "done", now, operation=operation):
        return False
    waited = now.since(entry.since)
    write(connection, entry, "done", operation=operation, waited=round(waited.total_seconds()))
    long = f" after {format_duration(_rounded(waited))}" if waited >= _MINUTE else ""
    add_notice(
        connection,
        entry.uid,
        "queue",
        "queue_done",
        f"Your container {entry.name}, which waited in the queue, is there{long}.",
        container=entry.name,
        hint=hint,
        at=now.wall,
        time=now.wall,
    )
    return True


def back(
    connection: sqlite3.Connection,
    entry: Entry,
    operation: str,
    *,
    problem: str | None = None,
    died: bool = False,
) -> bool:
    """The container was not made, and no fault of the request's: it waits again in its place."""
    if not tables.back(connection, entry.id, operation, problem=problem, died=died):
        return False
    why = problem or ("its server died" if died else "its server stopped")
    write(connection, entry, "back", operation=operation, why=why)
    return True


def failed(
    connection: sqlite3.Connection,
    entry: Entry,
    now: Moment,
    error: BaseException,
    *,
    operation: str | None = None,
) -> bool:
    """It cannot be made, now or later. False when it does not wait (or is not made) any more."""
    known = isinstance(error, CoreError)
    message = error.message if isinstance(error, CoreError) else f"Unexpected error: {error!r}"
    hint = error.hint if isinstance(error, CoreError) else "The server's log has the traceback."
    if not tables.end(connection, entry.id, "failed", now, operation=operation, problem=message):
        return False
    code = error.code if isinstance(error, CoreError) and known else "internal_error"
    write(connection, entry, "fail", "failed", code=code, why=message)
    add_notice(
        connection,
        entry.uid,
        "queue",
        "queue_failed",
        f"Your container {entry.name} does not wait in the queue any more: {message}",
        container=entry.name,
        hint=hint,
        at=now.wall,
        time=now.wall,
    )
    return True


def cancelled(
    connection: sqlite3.Connection,
    entry: Entry,
    now: Moment,
    *,
    operation: str | None = None,
    actor: str | None = None,
) -> bool:
    """Somebody wanted it no more. False when it does not wait (or is not made) any more."""
    if not tables.end(connection, entry.id, "cancelled", now, operation=operation):
        return False
    write(connection, entry, "leave", actor=actor)
    if actor is not None and actor != entry.owner:
        add_notice(
            connection,
            entry.uid,
            "queue",
            "queue_cancelled",
            f"{actor} took your container {entry.name} out of the queue.",
            container=entry.name,
            at=now.wall,
            time=now.wall,
        )
    return True


_MINUTE = timedelta(minutes=1)


def _rounded(duration: timedelta) -> timedelta:
    """To whole minutes: nobody counts seconds in a queue."""
    return timedelta(minutes=max(1, round(duration / _MINUTE)))
