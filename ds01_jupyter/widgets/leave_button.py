"""The button below a cell that waits in the queue."""

from __future__ import annotations

import threading
from collections.abc import Callable

import ipywidgets as W  # noqa: N812 - the name that the field uses

from ds01_jupyter.widgets.panel import Root, button


class LeaveButton(Root):
    """Gives the place up when pressed; in sight only while there is a place to give up."""

    def __init__(self, leave: Callable[[], object]) -> None:
        super().__init__()
        self.leave = button("Leave the queue", "ds01-queue-leave", icon="times")
        row = W.HBox([self.leave])
        row.add_class("ds01-footer")
        self.stage.children = (row,)
        self.layout = W.Layout(display="none")
        self.leave.on_click(lambda _: self._pressed(leave))

    def keep_up(self, wanted: bool, *, over: bool) -> None:
        """Bring it into sight or take it away; `over` ends it for good."""
        if self.closed:
            return
        if over:
            self.close()
            return
        display = None if wanted else "none"
        if self.layout.display != display:
            self.layout.display = display

    def _pressed(self, leave: Callable[[], object]) -> None:
        self.leave.disabled = True
        self.leave.description = "Leaving the queue…"
        # The server is asked in a thread: what waits in a callback freezes the notebook.
        threading.Thread(target=leave, name="ds01-leave", daemon=True).start()
