"""What people are told about the time of their containers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.lifecycle.life import Life
from ds01_jupyter.core.lifecycle.policy import Due, State
from ds01_jupyter.core.units import format_duration


@dataclass(frozen=True)
class Words:
    """A sentence, and what to do about it."""

    message: str
    hint: str = ""


def when(moment: datetime, now: datetime) -> str:
    """A moment for people, on this machine's clock: `14:05`, or `Tue 3 Nov, 14:05`."""
    local, today = moment.astimezone(), now.astimezone()
    clock = f"{local:%H:%M}"
    return clock if local.date() == today.date() else f"{local:%a} {local.day} {local:%b}, {clock}"


def both_clocks(moment: datetime) -> str:
    """A moment on this machine's clock and in UTC, with the dates."""
    local, utc = moment.astimezone(), moment.astimezone(UTC)
    return f"{local:%Y-%m-%d %H:%M} {local.tzname()} ({utc:%Y-%m-%d %H:%M} UTC)"


def deadline(due: Due, state: State, life: Life, now: Moment, subject: str = "It") -> str:
    """One sentence on what will happen; `subject` begins it."""
    at = None if due.left is None else when(now.wall + max(due.left, timedelta(0)), now.wall)
    limit = "" if due.limit is None else format_duration(due.limit)
    if due.what == "idle_stop":
        if at is None:
            return f"{subject} is stopped when it has done nothing for {limit}."
        if life.keep is not None and life.keep.left(now) > timedelta(0):
            until = when(now.wall + life.keep.left(now), now.wall)
            return f"{subject} is kept alive until {until}, and stopped at {at} if it idles then."
        return f"{subject} is stopped at {at} if it goes on doing nothing (idle_timeout {limit})."
    if due.what == "runtime_stop":
        return f"{subject} is stopped at {at}: it may run for {limit} in all (max_runtime)."
    if due.what == "reservation_stop":
        return f"{subject} is stopped at {at} and gives its GPU back: {due.words}."
    if due.what == "gpu_release":
        why = due.words or f"{_key(due)} {limit}"
        return f"{subject} gives its GPU back at {at} unless it runs by then ({why})."
    if state == "created":
        return f"{subject} is removed at {at} unless it is started ({_key(due)} {limit})."
    return f"{subject} is removed at {at}, without its workspace ({_key(due)} {limit})."


def prevention(due: Due, name: str) -> str:
    """What a person can do about it."""
    if due.what == "idle_stop":
        return (
            f"Let it work, or keep it alive: ds01 container keep-alive {name}. "
            "Its workspace stays in any case."
        )
    if due.what == "runtime_stop":
        return (
            "Save your results in /workspace, which stays. It cannot be started again then; "
            "remove it and create it anew."
        )
    if due.what == "reservation_stop":
        return "Save your results in /workspace, which stays; ask your admin about the reservation."
    if due.what == "gpu_release":
        return f"Start it: ds01 container start {name}. Its workspace stays in any case."
    return f"Start it: ds01 container start {name}. Its workspace stays in any case."


def warning(due: Due, state: State, life: Life, now: Moment, name: str) -> Words:
    """The warning ahead of time."""
    return Words(deadline(due, state, life, now, f"The container {name}"), prevention(due, name))


def done(what: str, name: str, *, limit: str = "", words: str = "") -> Words:
    """What was done, and the way on. `limit` such as `idle_timeout 48h`."""
    stays = f"Its workspace is untouched; ds01 container start {name} starts it again."
    again = "Its workspace is untouched; remove it and create it again."
    why = f" ({limit})" if limit else ""
    if what == "idle_stop":
        return Words(f"The container {name} was stopped: it did nothing for too long{why}.", stays)
    if what == "runtime_stop":
        return Words(
            f"The container {name} was stopped: it has run for as long as it may{why}.", again
        )
    if what == "reservation_stop":
        because = f": {words}" if words else ""
        return Words(f"The container {name} was stopped for a reservation{because}.", again)
    if what == "gpu_release":
        because = f" ({words})" if words else why
        return Words(f"The container {name} has given its GPU back{because}.", again)
    return Words(
        f"The container {name} was removed{why}.",
        "Its workspace is untouched: create a container on it again whenever you like.",
    )


def notice_part(name: str, near: Sequence[tuple[Due, str]], now: Moment) -> str:
    """The part of a notice file on one container; `near` is to come, each with its sentence."""
    lines = [f"What will happen to the container {name} by itself:", ""]
    for due, sentence in near:
        left = max(due.left or timedelta(0), timedelta(0))
        lines += [
            f"* {sentence}",
            f"  At:        {both_clocks(_to_minute(now.wall + left))}",
            f"  Prevent:   {prevention(due, name)}",
            "",
        ]
    return "\n".join(lines)


def notice_file(parts: Sequence[str]) -> str:
    """The text of `/workspace/.ds01-notice`."""
    end = "This file is written by ds01, and removed when nothing of this is to come.\n"
    return "\n".join([FILE_MARK, "", *parts, end])


FILE_MARK = "ds01 notice"
"""The first line of a notice of ours in a workspace: a file without it is somebody else's."""


def _key(due: Due) -> str:
    return due.key or "limit"


def _to_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
