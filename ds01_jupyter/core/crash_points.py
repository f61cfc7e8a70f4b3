"""Named places at which a test kills this process, to prove that the next one makes it right.

Between any two of them something has changed that outlives the process: a row, a container, an
image, a name of a file. Without `DS01_CRASH_POINT` a place costs one comparison.
"""

from __future__ import annotations

import os
import signal

STEPS = (
    "claim.begin",
    "claim.written",
    "claim.committed",
    "workspace.opened",
    "image.made",
    "create.done",
    "activate.written",
    "activate.committed",
    "start.begin",
    "start.done",
    "create.recorded",
    "hold.written",
    "hold.committed",
    "resume.written",
    "resume.committed",
    "stop.done",
    "remove.begin",
    "remove.done",
    "release.written",
    "release.committed",
    "remove.image",
    "reconcile.written",
    "reconcile.committed",
)
"""On the way of a container through its life, and of the reconciler. `written` is inside a
transaction, `committed` behind it."""

QUEUE_STEPS = (
    "queue.joined",
    "queue.started",
    "queue.settling",
    "queue.settled",
    "queue.recovered",
)
"""On the way of a place in the queue, besides those of the container that is made for it."""

RECREATE_STEPS = (
    "recreate.image",
    "recreate.aside",
    "recreate.made",
    "recreate.replaced",
    "recreate.done",
)
"""On the way of a container that is made anew from its image."""

REBUILD_STEPS = ("rebuild.moved", "rebuild.surveyed", "rebuild.written", "rebuild.linked")
"""On the way of a ledger that is built anew."""

_step = ""
_left = 0


def arm(text: str) -> None:
    """Die at the step `text` names, or with `STEP@3` when it is reached for the third time.

    An empty text disarms. Raises `ValueError` for a step that there is not: a test that waits
    for it would prove nothing.
    """
    global _step, _left
    step, _, times = text.partition("@")
    if step and step not in STEPS + QUEUE_STEPS + RECREATE_STEPS + REBUILD_STEPS:
        raise ValueError(f"no crash point is called {step!r}")
    _step, _left = step, int(times or 1)


def reached(step: str) -> None:
    """The process has come this far; it is killed here when a test asked for it."""
    global _left
    if step != _step:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get("DS01_CRASH_POINT", ""))
