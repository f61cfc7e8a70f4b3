"""`reserve ...` and `reservations ...`: what is promised to whom."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime, timedelta

from ds01_jupyter.commands.context import Context
from ds01_jupyter.commands.parser import UsageProblem
from ds01_jupyter.commands.when import parse_when
from ds01_jupyter.core.units import parse_duration
from ds01_jupyter.render import Note, View, reservation_views


def reserve(context: Context, arguments: Namespace) -> View:
    """`reserve GPU --for USER | --group G --from WHEN --to WHEN | --for-time 8h`."""
    from ds01_jupyter.core.models import ReservationRequest

    if (arguments.user is None) == (arguments.group is None):
        raise UsageProblem(
            "A reservation is for a user (--for) or a group (--group), and for one of them only.",
            hint=f"{context.command('reserve --help')} explains it.",
        )
    start, end = _times(arguments)
    client = context.client()
    document = client.reserve(
        ReservationRequest(
            gpu=arguments.gpu,
            gpus=_between("--count", arguments.count, 1, 16),
            user=arguments.user,
            group=arguments.group,
            start=start,
            end=end,
            reason=arguments.reason or "",
            notice_hours=_duration("--notice", arguments.notice) / timedelta(hours=1),
        )
    )
    return reservation_views.booked(document, context.prog)


def listing(context: Context, arguments: Namespace) -> View:
    """`reservations [--all]`."""
    everything = getattr(arguments, "all", False)
    documents = context.client().reservations(all=everything)
    return reservation_views.reservations(documents, context.prog, everything=everything)


def show(context: Context, arguments: Namespace) -> View:
    """`reservations show ID`."""
    return reservation_views.reservation(context.client().reservation(arguments.id))


def cancel(context: Context, arguments: Namespace) -> View:
    """`reservations cancel ID`."""
    client = context.client()
    client.cancel_reservation(arguments.id)
    document = client.reservation(arguments.id)
    text = f"Reservation {document.id} is cancelled; what runs goes on under its usual limits."
    return View(Note(text, "good"), data=document)


def _times(arguments: Namespace) -> tuple[datetime | None, datetime]:
    """Start (None: now) and end of what is asked for."""
    now = datetime.now(UTC)
    start = None
    if arguments.start is not None:
        start = parse_when(" ".join(arguments.start), "--from", now=now)
    if (arguments.end is None) == (arguments.length is None):
        raise UsageProblem(
            "The end is missing: give --to or --for-time."
            if arguments.end is None
            else "--to and --for-time do not go together.",
            hint="Such as --to 2026-12-01 18:00, or --for-time 8h.",
        )
    if arguments.end is None:
        return start, (start or now) + _duration("--for-time", arguments.length)
    words = " ".join(arguments.end)
    return start, parse_when(words, "--to", after=start, whole_day=True, now=now)


def _duration(option: str, text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageProblem(f"{option} cannot be {text!r}: {error}.") from error


def _between(option: str, number: int, low: int, high: int) -> int:
    if not low <= number <= high:
        raise UsageProblem(f"{option} cannot be {number}: it is a number from {low} to {high}.")
    return number
