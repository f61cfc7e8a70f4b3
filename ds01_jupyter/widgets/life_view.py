"""The time of a container: a bar for each deadline, and a button that puts an idle stop off."""

from __future__ import annotations

from datetime import UTC, datetime

from ds01_jupyter.core.models import Container, ContainerLife, Deadline
from ds01_jupyter.render import Note, life_views
from ds01_jupyter.render.moments import clock
from ds01_jupyter.widgets.markup import escape

HELP = {
    "runtime_stop": "Save what you need to /workspace before then: it stays.",
    "reservation_stop": "Save what you need to /workspace before then: it stays.",
    "gpu_release": "Start it to go on with its GPU.",
    "removal": "Start it to keep it. Its workspace stays in any case.",
}
"""What helps, where it is not the button beside it."""


def life_html(container: Container, now: datetime | None = None) -> str:
    """How long it has run, what it does, and what will happen to it; "" where nothing is known."""
    life = container.life
    if life is None:
        return ""
    now = now or datetime.now(UTC)
    rows = "".join(_deadline(deadline, life, now) for deadline in life.deadlines)
    if not life.deadlines:
        rows = "<p class='ds01-note'>No time limit holds for it.</p>"
    return (
        f"<p class='ds01-label'>Time <span class='ds01-muted'>{escape(_said(life, now))}</span></p>"
        f"<div class='ds01-deadlines'>{rows}</div>"
    )


def can_keep_alive(container: Container) -> bool:
    """Whether keeping it alive makes a difference."""
    return container.life is not None and life_views.can_idle_out(container.life)


def kept_alive_html(container: Container, now: datetime | None = None) -> str:
    """The answer to the button."""
    notes = life_views.kept_alive(container, now).blocks
    words = " ".join(note.text for note in notes if isinstance(note, Note))
    return f"<p class='ds01-notice ds01-notice-good' role='status'>{escape(words)}</p>"


def _said(life: ContainerLife, now: datetime) -> str:
    """What is known of it apart from the deadlines, in one line."""
    parts = [f"has run {life_views.ran(life).text}"] if life.running is not None else []
    if words := life_views.activity_words(life):
        parts.append(words)
    if life.keep_alive_until is not None:
        parts.append(f"kept alive until {clock(life.keep_alive_until, now)}")
    if life.exempt:
        parts.append(f"exempt from {', '.join(life.exempt)}")
    return " · ".join(parts)


def _deadline(deadline: Deadline, life: ContainerLife, now: datetime) -> str:
    """A name, a bar that fills up, and what happens when it is full."""
    words = life_views.full(deadline, life, now)
    title = life_views.TITLES[deadline.what]
    share = life_views.share(deadline, life, now)
    near = " ds01-deadline-near" if deadline.near else ""
    helps = HELP.get(deadline.what, "") if deadline.near else ""
    return (
        f"<div class='ds01-deadline{near}' data-what='{escape(deadline.what)}' "
        f"title='{escape(deadline.message)}'>"
        f"<span class='ds01-deadline-title'>{escape(title)}</span>{_bar(share, title)}"
        f"<span class='ds01-deadline-words'>{escape(words)}"
        + (f" <b>{escape(helps)}</b>" if helps else "")
        + "</span></div>"
    )


def _bar(share: float | None, title: str) -> str:
    """How much is used up; an empty place where nobody can tell."""
    if share is None:
        return "<span class='ds01-deadline-bar ds01-deadline-unknown' aria-hidden='true'></span>"
    percent = round(share * 100)
    return (
        f"<span class='ds01-deadline-bar' role='meter' aria-label='{escape(title)}: used up' "
        f"aria-valuemin='0' aria-valuemax='100' aria-valuenow='{percent}'>"
        f"<span style='width:{percent}%'></span></span>"
    )
