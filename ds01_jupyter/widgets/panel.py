"""The base of every view: a box that brings the stylesheet and knows when it was closed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812 - the name that the field uses


@cache
def _css() -> str:
    return (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


class Panel(W.VBox):  # type: ignore[misc]
    """A column of widgets; `css_class` is what tests and the stylesheet know it by."""

    css_class = ""
    closed = False
    if TYPE_CHECKING:
        children: Any

    def __init__(self, children: tuple[Any, ...] = ()) -> None:
        super().__init__(list(children))
        if self.css_class:
            self.add_class(self.css_class)

    def close(self) -> None:
        """Drop this view with everything that it holds, in sight or not.

        The kernel keeps every widget that is not closed, layouts and styles included.
        """
        if self.closed:
            return
        self.closed = True
        held = list(_widgets_in(vars(self)))
        super().close()
        close_all(held)


def close_all(widgets: Iterable[Any]) -> None:
    """Close `widgets` with everything in them."""
    for widget in widgets:
        if isinstance(widget, Panel):
            widget.close()
        elif widget.comm is not None:
            inside = list(_widgets_in(vars(widget)))
            widget.close()
            close_all(inside)


def _widgets_in(values: Any) -> Iterator[Any]:
    """The widgets in an object's attributes, traits and collections."""
    for value in values.values() if isinstance(values, Mapping) else values:
        if isinstance(value, W.Widget):
            yield value
        elif isinstance(value, Mapping | list | tuple):
            yield from _widgets_in(value)


class Root(Panel):
    """What a cell displays. It carries the stylesheet; everything else stands in `stage`."""

    def __init__(self) -> None:
        sheet = W.HTML(f"<style>{_css()}</style>", layout=W.Layout(display="none"))
        self.stage = W.VBox([])
        super().__init__((sheet, self.stage))
        self.add_class("ds01")

    def show(self, *views: Any) -> None:
        """Put `views` on the stage and close those that stood there before."""
        gone = [view for view in self.stage.children if view not in views]
        self.stage.children = views
        for view in gone:
            view.close()


def css_classes(widget: Any, wanted: dict[str, bool]) -> None:
    """Give `widget` the classes that are true and take away the others."""
    for name, present in wanted.items():
        if present:
            widget.add_class(name)
        else:
            widget.remove_class(name)


def html(value: str = "", *css: str) -> Any:
    """An HTML widget with classes. The text must be escaped already (see `markup`)."""
    widget = W.HTML(value)
    for name in css:
        widget.add_class(name)
    return widget


def button(label: str, css: str, *, icon: str = "", tip: str = "", style: str = "") -> Any:
    """A button with a class of its own; `style` is primary, danger or nothing."""
    widget = W.Button(description=label, icon=icon, tooltip=tip or label, button_style=style)
    widget.add_class("ds01-button")
    widget.add_class(css)
    return widget
