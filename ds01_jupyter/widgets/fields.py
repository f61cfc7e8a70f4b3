"""A control with its label above, an explanation below, and a place for what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.widgets.markup import escape
from ds01_jupyter.widgets.panel import Panel, html
from ds01_jupyter.widgets.problem import Problem, problem_html


class Field(Panel):
    """One choice of a person.

    `control` keeps its `description`, which the stylesheet puts above it: so it is a real label
    that a screen reader speaks. `explain` is shown in the guided mode only.
    """

    css_class = "ds01-field"

    def __init__(self, control: Any, css: str, *, explain: str = "", note: str = "") -> None:
        self.control = control
        self.note = html(note, "ds01-note")
        self.problem = html("", "ds01-field-problem")
        control.add_class(css)
        parts = [control, self.problem, self.note]
        if explain:
            parts.append(explanation(explain))
        super().__init__(tuple(parts))

    @property
    def value(self) -> Any:
        """What the control holds."""
        return self.control.value

    def blame(self, problem: Problem | None) -> None:
        """Show `problem` at this field; None takes it away."""
        if problem is None:
            self.problem.value = ""
            self.remove_class("ds01-invalid")
        else:
            self.problem.value = problem_html(problem, with_figures=False)
            self.add_class("ds01-invalid")


def explanation(text: str) -> Any:
    """A sentence of the guided mode."""
    return html(f"<p>{escape(text)}</p>", "ds01-explain")


def text_field(label: str, css: str, *, explain: str = "", **options: Any) -> Field:
    """One line of text."""
    return Field(W.Text(description=label, **options), css, explain=explain)


def area_field(label: str, css: str, *, explain: str = "", **options: Any) -> Field:
    """Several lines of text."""
    return Field(W.Textarea(description=label, **options), css, explain=explain)


def choice_field(label: str, css: str, *, explain: str = "", **options: Any) -> Field:
    """One of a list."""
    return Field(W.Dropdown(description=label, **options), css, explain=explain)


def radio_field(label: str, css: str, *, explain: str = "", **options: Any) -> Field:
    """One of a few, all of them in sight."""
    return Field(W.RadioButtons(description=label, **options), css, explain=explain)


def toggle_field(label: str, css: str, *, explain: str = "", **options: Any) -> Field:
    """One of very few with short names."""
    return Field(W.ToggleButtons(description=label, **options), css, explain=explain)


def offer(control: Any, options: Sequence[Any], default: Any = None) -> None:
    """Give a selection other options. What was chosen stays where it is still among them.

    Otherwise `default` is chosen, or the first. (ipywidgets alone would choose nothing at first,
    and the first option every time afterwards.)
    """
    chosen = control.value
    control.options = options
    values = [option[1] if isinstance(option, tuple) else option for option in options]
    if not values:
        return
    control.value = chosen if chosen in values else default if default in values else values[0]


def fold(title: str, children: tuple[Any, ...]) -> Any:
    """Choices that few people need, folded away."""
    folded = W.Accordion([W.VBox(list(children))], titles=(title,), selected_index=None)
    folded.add_class("ds01-fold")
    return folded


def card(title: str, why: str, packages: tuple[str, ...], css: str, *, checked: bool) -> Any:
    """A set of packages to switch on or off; the whole card is the label of its box."""
    chips = "".join(f"<span class='ds01-chip'>{escape(name)}</span>" for name in packages)
    label = (
        f"<span class='ds01-card-title'>{escape(title)}</span>"
        f"<span class='ds01-card-why'>{escape(why)}</span>"
        f"<span class='ds01-chips'>{chips}</span>"
    )
    return _checkbox(label, ("ds01-card", css), checked=checked)


def package_box(name: str, why: str, css: str, *, checked: bool) -> Any:
    """A package to switch on or off, with its sentence."""
    label = f"<b>{escape(name)}</b> <span class='ds01-card-why'>{escape(why)}</span>"
    return _checkbox(label, ("ds01-package", css), checked=checked)


def _checkbox(label: str, css: tuple[str, ...], *, checked: bool) -> Any:
    box = W.Checkbox(
        value=checked, description=label, description_allow_html=True, indent=False, tooltip=""
    )
    for name in css:
        box.add_class(name)
    return box


def blame_field(problem: Problem | None, fields: dict[str, Field], entered: dict[str, Any]) -> bool:
    """Mark the field that caused `problem`; None takes all marks away. True when one did."""
    for field in fields.values():
        field.blame(None)
    if problem is None:
        return False
    name = problem.culprit(entered)
    if name is None or name not in fields:
        return False
    fields[name].blame(problem)
    return True
