"""How far a step is by its output, and how long the rest may take."""

from __future__ import annotations

import pytest

from ds01_jupyter.core.build_estimate import BuildTimes, Pace, steps_of
from ds01_jupyter.core.build_log import BuildKitLog
from ds01_jupyter.core.engine import Amount, BuildPlan, Silent
from ds01_jupyter.core.package_output import PackageOutput
from tests.unit.test_build_log import trace
from tests.unit.test_buildkit import message

UV = """\
Resolved 6 packages in 407ms
Downloading numpy (16.1MiB)
Downloading pandas (8.0MiB)
 Downloaded pandas
 Downloaded numpy
Prepared 6 packages in 1.20s
Installed 6 packages in 80ms
 + numpy==2.4.6
 + pandas==3.1.1"""
PIP = """\
Collecting numpy
  Downloading numpy-2.4.6-cp311-manylinux.whl (16.1 MB)
Collecting pandas
Installing collected packages: numpy, pandas
Successfully installed numpy-2.4.6 pandas-3.1.1"""
APT = """\
0 upgraded, 2 newly installed, 0 to remove and 5 not upgraded.
Get:1 http://deb.debian.org/debian bookworm/main amd64 libgl1 amd64 1.6.0 [88 kB]
Get:2 http://deb.debian.org/debian bookworm/main amd64 ffmpeg amd64 5.1 [1,800 kB]
Unpacking libgl1:amd64 (1.6.0) ...
Unpacking ffmpeg (5.1) ...
Setting up libgl1:amd64 (1.6.0) ...
Setting up ffmpeg (5.1) ..."""


@pytest.mark.parametrize("text", [UV, PIP, APT])
def test_a_bar_moves_within_a_step_and_never_back(text: str) -> None:
    output = PackageOutput()
    seen = []
    for line in text.splitlines():
        output.heard(line)
        seen.append(output.fraction)
    assert seen == sorted(seen)
    assert len(set(seen)) >= 4
    assert 0.85 < seen[-1] < 1, "compiling and saving follow"
    output.heard("Resolved 3 packages in 4ms")
    assert output.fraction == seen[-1], "another installer in the same step"


def test_uv_tells_bytes_then_packages() -> None:
    output = PackageOutput()
    amounts = []
    for line in UV.splitlines():
        assert output.heard(line)
        amounts.append(output.amount)
    mib = 2**20
    whole = round(16.1 * mib) + 8 * mib
    assert amounts[0] is None
    assert amounts[3] == Amount(8 * mib, whole, "bytes", "pandas")
    assert amounts[4] == Amount(whole, whole, "bytes", "numpy")
    assert amounts[5] == Amount(0, 6, "packages")
    assert amounts[-1] == Amount(2, 6, "packages", "pandas")


def test_apt_tells_the_package_at_hand() -> None:
    output = PackageOutput()
    items = []
    for line in APT.splitlines():
        assert output.heard(line)
        assert output.amount is not None
        items.append(output.amount.item)
    assert items == [None, "libgl1", "ffmpeg", "libgl1", "ffmpeg", "libgl1", "ffmpeg"]
    assert output.amount is not None
    assert (output.amount.done, output.amount.total) == (2, 2)


def test_other_output_changes_nothing() -> None:
    output = PackageOutput()
    assert not any(map(output.heard, ["hello", "Unpacking x (1) ...", " + 3 == 4", ""]))
    assert (output.fraction, output.amount) == (0.0, None)


def test_a_step_reports_its_packages() -> None:
    told: list[tuple[Amount, float | None]] = []

    class Heard(Silent):
        def measure(self, amount: Amount) -> None:
            self.amount = amount

        def step(self, phase: str, fraction: float | None = None, detail: str = "") -> None:
            told.append((self.amount, fraction))

    log = BuildKitLog(BuildPlan({}, "x"), Heard())
    vertex = message((1, b"a"), (3, b'[2/2] RUN ["install.py"]'), (5, b""))
    log.heard(trace((1, vertex)))
    log.heard(trace((3, message((1, b"a"), (4, b"Prepared 6 packages in 1s\n")))))
    (first, before), (second, after) = told
    assert (first.unit, first.total, second.unit, second.total) == ("steps", 2, "packages", 6)
    assert before == 0
    assert after == pytest.approx(0.7 / 3)


# ---- the estimate --------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def plan(packages: str = "numpy\n", base: str = "a") -> BuildPlan:
    lines = [
        f"FROM {base}", "ENV X=1", "COPY tier-base.txt /opt/", 'RUN ["i", "/opt/tier-base.txt"]',
        'RUN ["check"]', 'CMD ["x"]',
    ]  # fmt: skip
    files = {"Dockerfile": "\n".join(lines).encode(), "tier-base.txt": packages.encode()}
    return BuildPlan(files, "x")


def built(times: BuildTimes, clock: Clock, what: BuildPlan, *seconds: float) -> None:
    pace = Pace(times, steps_of(what, buildkit=True))
    for number, each in enumerate(seconds, 1):
        pace.began(number)
        clock.now += each
        pace.ended(number, cached=False)


def test_nothing_is_estimated_that_was_never_seen() -> None:
    clock = Clock()
    times = BuildTimes(clock)
    pace = Pace(times, steps_of(plan(), buildkit=True))
    assert pace.remaining(4) is None
    built(times, clock, plan(), 1, 2, 30, 4)
    # The base tier is another one: its time is not known.
    assert Pace(times, steps_of(plan("scipy\n"), buildkit=True)).remaining(4) is None
    # The builder counts other steps than we do.
    assert Pace(times, steps_of(plan(), buildkit=True)).remaining(5) is None


def test_steps_that_are_kept_cost_nothing_and_others_what_they_did() -> None:
    clock = Clock()
    times = BuildTimes(clock)
    built(times, clock, plan(), 1, 2, 30, 4)
    pace = Pace(times, steps_of(plan(), buildkit=True))
    assert pace.remaining(4) == 0, "all is kept from before"
    pace.ended(1, cached=True)
    pace.ended(2, cached=True)
    pace.began(3)  # it was not: the cache was cleared
    clock.now += 10
    assert pace.remaining(4) == 24
    clock.now += 50
    assert pace.remaining(4) == 4, "late is late, and not less than nothing"


def test_the_same_step_on_another_base_is_not_kept() -> None:
    clock = Clock()
    times = BuildTimes(clock)
    built(times, clock, plan(), 1, 2, 30, 4)
    pace = Pace(times, steps_of(plan(base="b"), buildkit=True))
    assert pace.remaining(4) is None, "the base has another name"
    pace.began(1)
    pace.ended(1, cached=False)
    assert pace.remaining(4) == 36


def test_several_stages_and_no_dockerfile_are_not_estimated() -> None:
    assert steps_of(BuildPlan({"Dockerfile": b"FROM a\nFROM b"}, "x"), buildkit=True) == []
    assert steps_of(BuildPlan({"Dockerfile": b"\xff"}, "x"), buildkit=True) == []
    assert len(steps_of(plan(), buildkit=False)) == 6
