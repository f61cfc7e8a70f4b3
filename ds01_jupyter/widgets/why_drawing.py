"""An explanation as HTML: verdict, limits as bars, who is in the way, and until when."""

from __future__ import annotations

from datetime import datetime

from ds01_jupyter.core.models import Explanation, LimitUse, Obstacle
from ds01_jupyter.render import why_views
from ds01_jupyter.render.moments import expected
from ds01_jupyter.widgets.markup import code, escape

_ICONS = {"now": "check", "later": "clock-o", "never": "ban"}
"""Of Font Awesome, which JupyterLab has for the buttons of widgets anyway."""


def why_html(
    explanation: Explanation, *, commands: bool = True, now: datetime | None = None
) -> str:
    """The whole explanation; `commands` says what to type, where there are no buttons for it."""
    parts = [_verdict(explanation, now), _past(explanation.past)]
    if explanation.limits:
        meters = "".join(_limit(use) for use in explanation.limits)
        parts.append(f"<p class='ds01-label'>Your limits</p><div class='ds01-uses'>{meters}</div>")
    if explanation.obstacles:
        parts.append(_obstacles(explanation, now))
    if explanation.ahead:
        parts.append(f"<p class='ds01-muted'>{escape(why_views.ahead(explanation.ahead))}</p>")
    if commands:
        parts.append(_commands(explanation))
    return f"<div class='ds01-why'>{''.join(parts)}</div>"


def _verdict(explanation: Explanation, now: datetime | None) -> str:
    when = ""
    if explanation.outcome == "later" and (words := expected(explanation.estimate, now)):
        when = f"<p class='ds01-why-when'>{escape(words)}</p>"
    hint = inline(explanation.hint)
    return (
        f"<div class='ds01-verdict ds01-verdict-{explanation.outcome}' role='status'>"
        f"<i class='fa fa-{_ICONS[explanation.outcome]} ds01-verdict-mark' aria-hidden='true'></i>"
        f"<div><p class='ds01-problem-message'>{escape(explanation.message)}</p>"
        + (f"<p class='ds01-problem-hint'>{hint}</p>" if hint else "")
        + f"{when}</div></div>"
    )


def inline(text: str) -> str:
    """A sentence with what stands in backquotes as code, its commands as a notebook has them."""
    parts = why_views.commands_of(text, "%ds01").split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return "".join(code(part) if number % 2 else escape(part) for number, part in enumerate(parts))


def _past(sentences: list[str]) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in sentences)
    return f"<p class='ds01-label'>What happened</p><ol class='ds01-past'>{items}</ol>"


def _limit(use: LimitUse) -> str:
    """A bar of what is in use, with what is asked for on top of it."""
    in_use, asked, share = why_views.limit_figures(use)
    name = why_views.limit_name(use)
    words = f"{in_use} in use" if share is not None else in_use
    state = "fits" if use.fits else "over"
    wanted = f" · {asked} asked" if use.key != "allow_full_gpu" else ""
    verdict = "" if use.fits else " · too much"
    bar = ""
    if share is not None:
        more = min(use.asked / use.limit, 1.0 - share) if use.limit else 0.0
        bar = (
            "<div class='ds01-use-bar' aria-hidden='true'>"
            f"<i style='width:{share:.0%}'></i>"
            f"<i class='ds01-use-asked' style='width:{max(more, 0.0):.0%}'></i></div>"
        )
    return (
        f"<div class='ds01-use ds01-use-{state}'><span>{escape(name[:1].upper() + name[1:])}</span>"
        f"{bar}<span class='ds01-use-words'>{escape(words + wanted + verdict)}</span></div>"
    )


def _obstacles(explanation: Explanation, now: datetime | None) -> str:
    rows = "".join(_obstacle(each, now) for each in explanation.obstacles[: why_views.MOST])
    more = why_views.more_in_the_way(explanation.obstacles[why_views.MOST :])
    left = f"<p class='ds01-muted'>{escape(more)}</p>" if more else ""
    return (
        "<p class='ds01-label'>In the way</p><div class='ds01-rows' role='table'>"
        "<div class='ds01-row ds01-row-head' role='row'><span role='columnheader'>Slot</span>"
        "<span role='columnheader'>Who has it</span><span role='columnheader'>Free</span>"
        f"<span role='columnheader'>Because</span></div>{rows}</div>{left}"
    )


def _obstacle(obstacle: Obstacle, now: datetime | None) -> str:
    return (
        "<div class='ds01-row' role='row'>"
        f"<span role='cell'><b>{escape(obstacle.slot)}</b> "
        f"<span class='ds01-muted'>{escape(obstacle.profile)}</span></span>"
        f"<span role='cell'>{escape(why_views.holder(obstacle))}</span>"
        f"<span role='cell'>{escape(why_views.free_when(obstacle, now))}</span>"
        f"<span role='cell' class='ds01-muted'>{escape(obstacle.because)}</span></div>"
    )


def _commands(explanation: Explanation) -> str:
    rows = [
        (f"Now: {each.words}", command)
        for each in explanation.instead
        if (command := why_views.command_of(each, "%ds01"))
    ]
    if explanation.outcome == "now" and not explanation.past:
        rows.append(("Take it", why_views.taking_command(explanation, "%ds01")))
    if why_views.waiting_helps(explanation):
        rows.append(("Wait in the queue", why_views.waiting_command(explanation, "%ds01")))
    if not rows:
        return ""
    inner = "".join(
        f"<div><span>{escape(words)}</span>{code(command)}</div>" for words, command in rows
    )
    return f"<p class='ds01-label'>What you can do</p><div class='ds01-commands'>{inner}</div>"
