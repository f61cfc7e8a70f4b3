"""The time of containers as people read it: how long, what comes next and when, what helps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from ds01_jupyter.core import models
from ds01_jupyter.render.blocks import Block, Cell, Note, Pairs, Tone
from ds01_jupyter.render.moments import clock, moment, span
from ds01_jupyter.render.units import UNKNOWN
from ds01_jupyter.render.view import View

HOUR, DAY = 3600, 86_400
VERBS = {
    "idle_stop": "stops",
    "runtime_stop": "stops",
    "reservation_stop": "stops",
    "gpu_release": "gives its GPU back",
    "removal": "is removed",
}
"""What a deadline does to a container, after its name."""
TITLES = {
    "idle_stop": "idle",
    "runtime_stop": "longest run",
    "reservation_stop": "reservation",
    "gpu_release": "GPU kept",
    "removal": "container kept",
}
SOURCES = {"gpu": "its GPU", "cpu": "CPU and network"}


# ---- words ---------------------------------------------------------------------------------


def limit(seconds: float | None) -> str:
    """A time limit as an admin writes it: `48 h`, `30 min`, `7 d`; None is `no limit`."""
    if seconds is None:
        return "no limit"
    for length, unit, least in ((DAY, "d", 4 * DAY), (HOUR, "h", HOUR), (60, "min", 60)):
        if seconds >= least and seconds % length == 0:
            return f"{round(seconds / length)} {unit}"
    return span(seconds) if seconds else "0 min"


def part_of(used: float, whole: float) -> str:
    """`47 h of 48 h`: how much of a limit is used up, rounded down, in its unit if that shows."""
    length, unit = (DAY, "d") if whole >= 4 * DAY else (HOUR, "h") if whole >= HOUR else (60, "min")
    if used < length:
        return (
            f"{int(used // 60)} min of {limit(whole)}"
            if used < HOUR
            else f"{span(used)} of {limit(whole)}"
        )
    return f"{_count(used / length)} {unit} of {_count(whole / length)} {unit}"


def _count(value: float) -> str:
    """One decimal below ten, none from there; never more than there is."""
    return f"{int(value * 10) / 10:g}" if value < 10 else str(int(value))


def brief(deadline: models.Deadline, life: models.ContainerLife, now: datetime) -> str:
    """What happens and when, for a narrow column: `stops in 40 min (idle 47 h of 48 h)`."""
    verb = VERBS[deadline.what]
    if deadline.at is None:
        if deadline.what == "idle_stop" and deadline.limit is not None:
            return f"{verb} after {limit(deadline.limit)} without work"
        return f"{verb}, nobody can say when"
    left = _left(deadline, now)
    when = f"in {span(left)}" if left > 0 else "any moment now"
    why = reason(deadline, life)
    return f"{verb} {when}{f' ({why})' if why else ''}"


def full(deadline: models.Deadline, life: models.ContainerLife, now: datetime) -> str:
    """The same with the moment behind it: `stops in 40 min (idle 47 h of 48 h), at 16:20`."""
    words = brief(deadline, life, now)
    if deadline.at is None or deadline.at <= now:
        return words
    return f"{words}, {moment(deadline.at, now).partition(' (')[0]}"


def reason(deadline: models.Deadline, life: models.ContainerLife) -> str:
    """What is behind a deadline, in figures: `idle 47 h of 48 h`; empty where there are none."""
    if deadline.what in ("reservation_stop", "gpu_release") and deadline.limit is None:
        return "reserved for others"
    used = {"idle_stop": life.idle, "runtime_stop": life.running}.get(deadline.what)
    if used is None or used < 60 or deadline.limit is None:
        return ""
    word = "idle" if deadline.what == "idle_stop" else "ran"
    return f"{word} {part_of(min(used, deadline.limit), deadline.limit)}"


def share(deadline: models.Deadline, life: models.ContainerLife, now: datetime) -> float | None:
    """How much of the limit behind a deadline is used up, 0 to 1; None where nobody can tell."""
    if deadline.limit is None:
        return None
    if deadline.at is None:
        # It works: nothing of its idle time is used up.
        return 0.0 if deadline.what == "idle_stop" and life.idle == 0 else None
    if deadline.limit <= 0:
        return 1.0
    return min(max(1 - _left(deadline, now) / deadline.limit, 0.0), 1.0)


def remedy(what: str, name: str, prog: str) -> str:
    """What its owner can do about it, with the command in backquotes; empty where nothing helps."""
    if what == "idle_stop":
        return f"`{prog} container keep-alive {name}` keeps it running."
    if what in ("runtime_stop", "reservation_stop"):
        return "Save what you need to /workspace before; the workspace stays."
    if what in ("gpu_release", "removal"):
        return f"`{prog} container start {name}` goes on with it; the workspace stays in any case."
    return ""


def _left(deadline: models.Deadline, now: datetime) -> float:
    """Seconds until a deadline that has a moment."""
    assert deadline.at is not None
    return (deadline.at - now).total_seconds()


LIMIT_TITLES = {
    "idle_timeout": "longest idle",
    "max_runtime": "longest run",
    "gpu_hold_after_stop": "GPU kept after stop",
    "container_hold_after_stop": "container kept after stop",
    "created_timeout": "kept if never started",
}


def time_limits(times: models.TimeLimits, now: datetime | None = None) -> dict[str, str]:
    """A person's time limits in words: `{"longest idle": "48 h", "longest run": "no limit"}`."""
    rows = {}
    for key, title in LIMIT_TITLES.items():
        if key in times.exempt_until:
            until = times.exempt_until[key]
            rows[title] = f"no limit until {clock(until, now)}" if until else "no limit for you"
        else:
            rows[title] = limit(getattr(times, key))
    if times.keep_alive is not None:
        rows["keep-alive"] = f"{limit(times.keep_alive)} at a time"
    return rows


# ---- one container -------------------------------------------------------------------------


def ran(life: models.ContainerLife | None) -> Cell:
    """How long a container has run in all."""
    if life is None or life.running is None:
        return Cell(UNKNOWN, "dim")
    return Cell(span(life.running) if life.running >= 60 else "< 1 min")


def outlook(life: models.ContainerLife | None, now: datetime | None = None) -> Cell:
    """What happens to a container next, coloured when it is near."""
    if life is None:
        return Cell(UNKNOWN, "dim")
    now = now or datetime.now(UTC)
    if life.deadlines:
        first = life.deadlines[0]
        return Cell(brief(first, life, now), "warn" if first.near else "dim")
    if life.keep_alive_until is not None:
        return Cell(f"kept alive until {clock(life.keep_alive_until, now)}", "dim")
    return Cell("no time limit", "dim")


def life_block(life: models.ContainerLife, now: datetime | None = None) -> Pairs:
    """All that is known of a container's time."""
    now = now or datetime.now(UTC)
    rows = [("has run", ran(life))]
    if activity := activity_words(life):
        rows.append(("activity", Cell(activity)))
    if life.keep_alive_until is not None:
        rows.append(("kept alive", Cell(f"until {clock(life.keep_alive_until, now)}", "good")))
    for deadline in life.deadlines:
        text = full(deadline, life, now)
        tone: Tone = "warn" if deadline.near else ""
        rows.append((TITLES[deadline.what], Cell(text, tone, bar=share(deadline, life, now))))
    if life.exempt:
        rows.append(("exempt from", Cell(", ".join(life.exempt))))
    if not life.deadlines:
        rows.append(("time limits", Cell("none that would stop it", "dim")))
    return Pairs(tuple(rows), title="Time")


def activity_words(life: models.ContainerLife) -> str:
    """`works (its GPU)`, `idle for 47 h (CPU and network)`; empty when it does not run."""
    if life.activity is None:
        return ""
    if life.activity_from == "keep_alive":
        return "counts as at work: it is kept alive"
    source = f" ({SOURCES[life.activity_from]})" if life.activity_from else ""
    if life.activity == "unknown":
        return "not known: neither its GPU nor its CPU could be looked at"
    if life.activity == "active" or life.idle is None:
        return f"{'works' if life.activity == 'active' else 'idle'}{source}"
    return f"idle for {span(life.idle)}{source}"


def kept_alive(document: models.Container, now: datetime | None = None) -> View:
    """The answer to keep-alive: until when, and what happens before that all the same."""
    now = now or datetime.now(UTC)
    life, name = document.life, document.name
    until = life.keep_alive_until if life else None
    if life is None or until is None:
        text = f"{name} is kept alive; the server does not say until when."
        return View(Note(text, "warn"), data=document)
    # Half a minute on the way from the server is no reason to speak of 23 hours.
    when = moment(until, now - timedelta(seconds=30))
    blocks: list[Block] = [Note(f"{name} is kept alive: it may idle until {_at(when)}.", "good")]
    for deadline in life.deadlines:
        if deadline.what != "idle_stop" and deadline.at is not None and deadline.at < until:
            text = f"But it {brief(deadline, life, now)}: that is another limit."
            blocks.append(Note(text, "warn"))
    if document.state == "running" and not can_idle_out(life):
        text = "No idle limit holds for it now: it would not have been stopped for idling."
        blocks.append(Note(text, "dim"))
    return View(*blocks, data=document)


def gpu_kept_until(life: models.ContainerLife | None, now: datetime | None = None) -> str:
    """How long a stopped container keeps its slots, such as `until tomorrow 12:00`; "" where
    nothing says."""
    for deadline in life.deadlines if life else ():
        if deadline.what in ("gpu_release", "removal") and deadline.at is not None:
            return f"until {clock(deadline.at, now)}"
    return ""


def can_idle_out(life: models.ContainerLife) -> bool:
    """Whether it would be stopped for idling one day: then keeping it alive makes a difference."""
    return any(one.what == "idle_stop" for one in life.deadlines)


def _at(when: str) -> str:
    """`until 14:30 (in 2 h)`, `until tomorrow 14:30 (in 20 h)` from the words of `moment`."""
    return when.removeprefix("at ").removeprefix("on ").replace(" at ", " ", 1)


# ---- what is near --------------------------------------------------------------------------


def near(
    containers: Sequence[models.Container],
) -> list[tuple[models.Container, models.Deadline, models.ContainerLife]]:
    """The deadlines that people are warned of, soonest first."""
    found = [
        (container, deadline, container.life)
        for container in containers
        if container.life is not None
        for deadline in container.life.deadlines
        if deadline.near
    ]
    last = datetime.max.replace(tzinfo=UTC)
    return sorted(found, key=lambda one: one[1].at or last)


def warnings(
    containers: Sequence[models.Container], prog: str, now: datetime | None = None
) -> list[Note]:
    """A sentence for each container with something near: what, when, and what helps."""
    now = now or datetime.now(UTC)
    first = {one[0].full_name: one for one in reversed(near(containers))}
    return [_warning(*one, prog, now) for one in reversed(list(first.values()))]


def _warning(
    container: models.Container,
    deadline: models.Deadline,
    life: models.ContainerLife,
    prog: str,
    now: datetime,
) -> Note:
    what = f"{container.name} {brief(deadline, life, now)}."
    return Note(f"{what} {remedy(deadline.what, container.name, prog)}".rstrip(), "warn")


def near_line(
    containers: Sequence[models.Container], prog: str, now: datetime | None = None
) -> str:
    """One line on what is nearest; empty where nothing is."""
    found = warnings(containers, prog, now)
    if not found:
        return ""
    more = f" And {len(found) - 1} more: `{prog} status`." if len(found) > 1 else ""
    return f"{found[0].text}{more}"
