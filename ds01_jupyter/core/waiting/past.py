"""What happened to a container, in sentences, from the history and from what its owner was told."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from ds01_jupyter.core.ledger_rows import HistoryRow, history_row
from ds01_jupyter.core.lifecycle.tables import notices
from ds01_jupyter.core.units import format_duration

MOST = 30
"""Sentences that are told, the last ones."""


def past(
    connection: sqlite3.Connection, uid: int, owner: str, full_name: str, name: str
) -> list[str]:
    """A sentence for everything that happened to a container of this name, oldest first."""
    lines: list[tuple[datetime, str]] = []
    rows = connection.execute(
        "SELECT * FROM history WHERE owner = ? AND subject = ? ORDER BY id DESC LIMIT ?",
        (owner, full_name, 4 * MOST),
    ).fetchall()
    for row in map(history_row, reversed(rows)):
        if sentence := _sentence(row):
            lines.append((row.time, sentence))
    gpus = connection.execute(
        "SELECT * FROM history WHERE owner = '' AND action IN ('gpu.cordon', 'gpu.uncordon')"
        " ORDER BY id DESC LIMIT ?",
        (4 * MOST,),
    ).fetchall()
    lines += _cordons([history_row(row) for row in reversed(gpus)], full_name)
    for notice in notices(connection, uid):
        if notice.container == name and notice.kind in ("done", "reservation", "gpu"):
            lines.append((notice.time, notice.message))
    told: list[str] = []
    for time, sentence in sorted(lines, key=lambda line: line[0]):
        words = f"{_clock(time)}: {sentence}"
        if not told or told[-1] != words:
            told.append(words)
    return told[-MOST:]


def _cordons(rows: list[HistoryRow], full_name: str) -> list[tuple[datetime, str]]:
    found: list[tuple[datetime, str]] = []
    concerned: set[str] = set()
    for row in rows:
        gpu = str(row.details.get("gpu", ""))
        why = _why(row)
        if row.action == "gpu.cordon" and full_name in row.details.get("containers", []):
            concerned.add(gpu)
            found.append((row.time, f"{row.subject}, which it uses, was taken out of use{why}."))
        elif row.action == "gpu.uncordon" and gpu in concerned:
            concerned.discard(gpu)
            found.append((row.time, f"{row.subject} was given back to use{why}."))
    return found


def _sentence(row: HistoryRow) -> str:
    """What a line of the history says; empty for what goes without saying."""
    slots = ", ".join(str(slot["slot"]) for slot in row.details.get("slots", []) if _named(slot))
    by = "" if row.actor in (row.owner, "reconciler", "lifecycle") else f" by {row.actor}"
    why = _why(row)
    words = {
        "lease.claim": f"it got the GPU slot {slots}" if slots else "its name was taken",
        "lease.release": f"its place and its GPU slots were given back{why}",
        "lease.unusable": f"its GPU slot could not be used{why}",
        "lease.adopt": f"it was found after its server had stopped{why}",
        "lease.rebuild": "the ledger was made anew, and it was found in Docker",
        "container.create": "it was made",
        "container.start": f"it was started{by}",
        "container.stop": f"it was stopped{by}",
        "container.remove": f"it was removed{by}",
        "queue.join": f"it began to wait in the queue for {_wish(row)}",
        "queue.start": "it was its turn in the queue",
        "queue.done": f"it was there{_waited(row)}",
        "queue.back": f"it waited again{why}",
        "queue.fail": f"it could not be made, and waits no more{why}",
        "queue.leave": f"it was taken out of the queue{by}",
        "reservation.evict": f"it had to end for a reservation{why}",
    }.get(row.action, "")
    if not words and row.action.startswith(("lifecycle.", "container.")):
        words = f"{row.action.partition('.')[2].replace('_', ' ')}{why}"
    return f"{words}." if words else ""


def _named(slot: object) -> bool:
    return isinstance(slot, dict) and "slot" in slot


def _why(row: HistoryRow) -> str:
    why = str(row.details.get("why") or "").rstrip(".")
    return f" ({why})" if why else ""


def _wish(row: HistoryRow) -> str:
    count = row.details.get("gpus", 1)
    return f"{count} x {row.details.get('gpu')}" if count != 1 else str(row.details.get("gpu"))


def _waited(row: HistoryRow) -> str:
    seconds = row.details.get("waited")
    if not isinstance(seconds, int) or seconds < 60:
        return ""
    return f" after {format_duration(timedelta(minutes=round(seconds / 60)))}"


def _clock(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M")
