"""Reservations: a table, and a line of time for each slot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from ds01_jupyter.core import models
from ds01_jupyter.render.blocks import Block, Cell, Column, Note, Pairs, Table, Tone
from ds01_jupyter.render.moments import clock, span
from ds01_jupyter.render.units import UNKNOWN
from ds01_jupyter.render.view import View

COLUMNS = (
    Column("Id", right=True, keep=True),
    Column("What"),
    Column("For"),
    Column("From"),
    Column("To"),
    Column("Slots", from_width=70),
    Column("State", keep=True),
    Column("Reason", from_width=100),
)
WIDTH = 48
"""Characters of a line of time."""
FREE, TAKEN = "·", "█"
LONGEST = timedelta(days=14)
"""What a line of time shows at most: beyond it nothing could be told apart."""
TONES: dict[str, Tone] = {"active": "good", "upcoming": "", "over": "dim", "cancelled": "dim"}


def reservations(
    documents: Sequence[models.Reservation],
    prog: str = "ds01",
    *,
    everything: bool = False,
    now: datetime | None = None,
) -> View:
    """All of them, soonest first; below, when which slot is set aside."""
    here = now or datetime.now(UTC)
    empty = "Nothing was ever reserved." if everything else "Nothing is reserved."
    blocks: list[Block] = [
        Table(
            COLUMNS,
            tuple(_row(each, here) for each in documents),
            title="Reservations" if documents else "",
            empty=empty,
        )
    ]
    standing = [each for each in documents if each.state in ("active", "upcoming")]
    blocks += [note for each in standing for note in _notes(each)]
    blocks += _timeline(standing, here)
    if not everything:
        blocks.append(Note(f"`{prog} reservations --all` shows what is over, too.", "dim"))
    return View(*blocks, data=list(documents))


def reservation(document: models.Reservation, now: datetime | None = None) -> View:
    """One of them, whole."""
    here = now or datetime.now(UTC)
    rows = [
        ("what", Cell(what(document))),
        ("for", Cell(who(document), "strong")),
        ("from", Cell(clock(document.start, here))),
        ("to", Cell(f"{clock(document.end, here)} ({span(_seconds(document))})")),
        ("state", Cell(_state(document, here), TONES[document.state])),
        ("slots", Cell(", ".join(document.slots) or UNKNOWN)),
        ("kept from others", Cell(_kept(document, here))),
        ("booked by", Cell(document.by)),
    ]
    if document.reason:
        rows.append(("reason", Cell(document.reason)))
    title = f"Reservation {document.id}"
    return View(Pairs(tuple(rows), title=title), *_notes(document), data=document)


def booked(document: models.Reservation, prog: str = "ds01", now: datetime | None = None) -> View:
    """What was booked just now, and what follows from it."""
    view = reservation(document, now)
    text = f"Reserved. `{prog} reservations cancel {document.id}` takes it back."
    return View(*view.blocks, Note(text, "good"), data=document)


def what(document: models.Reservation) -> str:
    """`slot 0:1`, `2 x 1g.5gb`, `a whole GPU`."""
    if document.gpu == "whole":
        return "a whole GPU" if document.gpus == 1 else f"{document.gpus} whole GPUs"
    named = document.gpu.replace(":", "").replace("/", "").isdigit()
    return f"slot {document.gpu}" if named else f"{document.gpus} x {document.gpu}"


def who(document: models.Reservation) -> str:
    """For whom it is."""
    return document.user if document.user is not None else f"group {document.group}"


def of_slot(slot: models.Slot, now: datetime | None = None) -> str:
    """`reserved for anna from Thu 9:00 to 18:00`; empty where it is not."""
    found = slot.reservation
    if found is None:
        return ""
    if found.active:
        return f"reserved for {found.who} until {clock(found.end, now)}"
    start, end = found.start.astimezone(), found.end.astimezone()
    until = f"{end:%H:%M}" if start.date() == end.date() else clock(end, now)
    return f"reserved for {found.who} from {clock(start, now)} to {until}"


def of_gpus(cards: Sequence[models.Gpu], now: datetime | None = None) -> list[Note]:
    """Which slots are set aside next, a sentence for each reservation."""
    slots: dict[str, list[str]] = {}
    for gpu in cards:
        for slot in gpu.slots:
            if slot.reservation is not None:
                words = f"{of_slot(slot, now)} (reservation {slot.reservation.id})"
                slots.setdefault(words, []).append(slot.slot)
    return [
        Note(f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {words}.")
        for words, names in slots.items()
    ]


def _row(document: models.Reservation, now: datetime) -> tuple[Cell, ...]:
    tone = TONES[document.state]
    over = tone == "dim"
    return (
        Cell(str(document.id), "dim" if over else "strong"),
        Cell(what(document), "dim" if over else ""),
        Cell(who(document), "dim" if over else ""),
        Cell(clock(document.start, now), tone),
        Cell(clock(document.end, now), tone),
        Cell(", ".join(document.slots)),
        Cell(_state(document, now), "bad" if document.problem else tone),
        Cell(document.reason, "dim"),
    )


def _state(document: models.Reservation, now: datetime) -> str:
    if document.state == "upcoming":
        return f"in {span(max((document.start - now).total_seconds(), 60.0))}"
    return "now" if document.state == "active" else document.state


def _kept(document: models.Reservation, now: datetime) -> str:
    since = document.start - timedelta(hours=document.notice_hours)
    return "from now on" if since <= now else f"from {clock(since, now)} on; before, given last"


def _notes(document: models.Reservation) -> list[Note]:
    """What is wrong with it, and who has to make way."""
    notes = []
    if document.problem:
        notes.append(Note(f"Reservation {document.id}: {document.problem}", "bad"))
    for each in document.in_the_way:
        until = (
            "nobody can say when it ends by itself"
            if each.until is None
            else f"by itself it ends by {clock(each.until)}"
        )
        text = (
            f"Reservation {document.id}: {each.container} of {each.who} on {each.slot} is to stop "
            f"when it begins; {until}."
        )
        notes.append(Note(text, "warn"))
    return notes


def _seconds(document: models.Reservation) -> float:
    return (document.end - document.start).total_seconds()


# ---- lines of time -----------------------------------------------------------------------------


def _timeline(standing: Sequence[models.Reservation], now: datetime) -> list[Block]:
    """For each slot the time that lies ahead; the numbers are those of the reservations."""
    slots = sorted({slot for each in standing for slot in each.slots}, key=_order)
    if not slots:
        return []
    length = min(max(each.end for each in standing) - now, LONGEST)
    end = now + length
    rows = tuple(
        (
            Cell(slot, "strong"),
            Cell(_line([each for each in standing if slot in each.slots], now, length), "code"),
        )
        for slot in slots
    )
    scale = f"now {_dots(clock(end, now))} {clock(end, now)}"
    columns = (Column("Slot", keep=True), Column(scale, keep=True, width=WIDTH))
    hidden = sum(each.start >= end for each in standing)
    blocks: list[Block] = [Table(columns, rows, title="Time ahead")]
    if hidden:
        later = "One begins" if hidden == 1 else f"{hidden} begin"
        blocks.append(Note(f"{later} later than that.", "dim"))
    return blocks


def _dots(last: str) -> str:
    """What stands between both ends of the scale."""
    return "─" * max(WIDTH - len("now") - len(last) - 2, 1)


def _line(found: Sequence[models.Reservation], now: datetime, length: timedelta) -> str:
    """`···3██████····7████`: a character for each part of the time."""
    line = [FREE] * WIDTH
    for each in sorted(found, key=lambda one: one.start):
        first = int((each.start - now) / length * WIDTH)
        last = -int(-((each.end - now) / length * WIDTH) // 1)
        first, last = max(first, 0), min(max(last, first + 1), WIDTH)
        if first >= WIDTH:
            continue
        number = str(each.id)
        for place in range(first, last):
            line[place] = TAKEN
        if len(number) < last - first:
            line[first : first + len(number)] = number
    return "".join(line)


def _order(slot: str) -> tuple[int, ...]:
    return tuple(int(part) for part in slot.replace("/", ":").split(":") if part.isdigit())
