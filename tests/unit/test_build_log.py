"""What is reported of a build and of a pull."""

from __future__ import annotations

import pytest

from ds01_jupyter.core.build_log import BuildKitLog, ClassicLog
from ds01_jupyter.core.engine import BuildPlan, Silent
from ds01_jupyter.core.errors import BuildFailed
from ds01_jupyter.core.pull_progress import PullProgress
from tests.unit.test_buildkit import encoded, message

PLAN = BuildPlan({}, "x:latest", titles={"tier-base.txt": "Base"})


class Heard(Silent):
    """Keeps what was reported."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[str, float | None, str]] = []
        self.lines: list[str] = []

    def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
        super().step(phase, fraction, detail)
        self.steps.append((phase, fraction, detail))

    def log(self, text: str) -> None:
        self.lines.append(text)


def trace(*fields: tuple[int, bytes]) -> dict[str, str]:
    return {"id": "moby.buildkit.trace", "aux": encoded(message(*fields))}


def test_buildkit_lines_are_put_together_and_the_failing_step_is_named() -> None:
    heard = Heard()
    log = BuildKitLog(PLAN, heard)
    name = b'[2/2] RUN ["install.py","/opt/ds01/tier-base.txt"]'
    log.heard(trace((1, message((1, b"a"), (3, name), (5, b"")))))
    log.heard(trace((3, message((1, b"a"), (4, b"No matching distribution ")))))
    log.heard(trace((3, message((1, b"a"), (4, b"found for nmpy")))))
    log.heard(trace((1, message((1, b"a"), (3, name), (5, b""), (6, b""), (7, b"exit code: 1")))))
    with pytest.raises(BuildFailed, match="“Base”: there is no package nmpy"):
        log.heard({"error": "exit code: 1"})
    assert heard.lines == ["[2/2] Base", "No matching distribution found for nmpy"]


def test_buildkit_fractions_grow_with_each_step_and_keep_room_for_saving() -> None:
    heard = Heard()
    log = BuildKitLog(PLAN, heard)
    for n in (1, 2):
        name = f"[{n}/2] COPY x{n} /".encode()
        log.heard(trace((1, message((1, b"%d" % n), (3, name), (5, b"")))))
        log.heard(trace((1, message((1, b"%d" % n), (3, name), (5, b""), (6, b"")))))
    log.heard(trace((1, message((1, b"e"), (3, b"exporting to image"), (5, b"")))))
    fractions = [fraction for _, fraction, _ in heard.steps]
    assert fractions == [0, 1 / 3, 1 / 3, 2 / 3, 2 / 3]
    assert heard.steps[-1][2] == "Saving the image"


def test_a_buildkit_fraction_does_not_fall_when_more_steps_turn_up() -> None:
    heard = Heard()
    log = BuildKitLog(PLAN, heard)
    for name in (b"[1/2] FROM x", b"[2/9] COPY y /"):
        log.heard(trace((1, message((1, name), (3, name), (5, b""), (6, b"")))))
    assert [fraction for _, fraction, _ in heard.steps] == [1 / 3, 1 / 3]


def test_classic_images_that_a_build_made_are_known() -> None:
    log = ClassicLog(PLAN, Heard())
    base, cached, made = ("a" * 12, "b" * 12, "c" * 12)
    for text in (
        "Step 1/4 : FROM x\n", f" ---> {base}\n",
        "Step 2/4 : COPY y /\n", " ---> Using cache\n", f" ---> {cached}\n",
        "Step 3/4 : COPY tier-base.txt /\n", f" ---> {made}\n",
        "Step 4/4 : RUN z\n", " ---> Running in ", "d" * 12 + "\n",
    ):  # fmt: skip
        log.heard({"stream": text})
    assert log.made == [made]
    assert log.container_id == "d" * 12
    with pytest.raises(BuildFailed, match="RUN z"):
        log.heard({"errorDetail": {"code": 1}, "error": "returned a non-zero code: 1"})


def test_a_pull_is_one_fraction_that_never_falls() -> None:
    heard = Heard()
    pull = PullProgress("x:latest", heard)
    assert pull.fraction is None
    seen = []
    for event in (
        {"status": "Pulling from x", "id": "latest"},
        {"status": "Already exists", "id": "a"},
        {"status": "Pulling fs layer", "id": "b"},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 50, "total": 100}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 10, "total": 100}},
        {"status": "Download complete", "id": "b"},
        {"status": "Extracting", "id": "b", "progressDetail": {"current": 100, "total": 100}},
        {"status": "Pull complete", "id": "b"},
        {"status": "Status: Downloaded newer image"},
    ):
        pull.heard(event)
        seen.append(pull.fraction or 0)
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert heard.lines == ["latest: Pulling from x", "Status: Downloaded newer image"]
