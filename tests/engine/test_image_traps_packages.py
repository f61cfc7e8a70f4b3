"""Traps of package versions (docs/images-traps.md), on BuildKit and on the classic builder.

Each package is a stand-in from an index of the test's own: see `small_index`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ds01_jupyter.core import image_draft, requirements
from ds01_jupyter.core.engine import BuildPlan, Silent
from ds01_jupyter.core.errors import BuildFailed, InvalidInput
from ds01_jupyter.core.resolve.locking import RESOLVING
from tests.engine.image_lab import ARCHITECTURE, Heard
from tests.engine.small_index import MARK, SmallIndex, base_of_index, small_index
from tests.engine.traps import TrapLab, trap_lab
from tests.rig.fixtures import RigEngine

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def index(rig_engine: RigEngine) -> Iterator[SmallIndex]:
    with small_index(rig_engine) as found:
        yield found


@pytest.fixture(scope="module")
def base(rig_engine: RigEngine, index: SmallIndex) -> Iterator[str]:
    with base_of_index(rig_engine, index, f"ds01t-{os.getpid()}-packages") as name:
        yield name


@pytest.fixture
def lab(rig_engine: RigEngine, tmp_path: Path, unique_name: str, base: str) -> Iterator[TrapLab]:
    with trap_lab(rig_engine, tmp_path, unique_name, base) as lab:
        yield lab


@pytest.fixture(params=["buildkit", "classic"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both builders, one after the other."""
    if request.param == "classic":
        monkeypatch.setattr(image_draft, "uv_reference", lambda: None)
    return str(request.param)


def failing(lab: TrapLab, either: str, *wanted: str, base: str = "none") -> str:
    """What is said of packages that must not be installed, with BuildKit before the build; nothing
    is left then."""
    with pytest.raises(BuildFailed) as caught:
        lab.create(pip=list(wanted), base=base)
    assert (caught.value.details["step"] == RESOLVING) == (either == "buildkit")
    assert lab.left() == []
    assert lab.files() == []
    return caught.value.message


def pip(*arguments: str) -> str:
    """An instruction that installs without asking anybody."""
    words = ", ".join(f'"{one}"' for one in ("--break-system-packages", *arguments))
    return f'RUN ["env", "PIP_CONSTRAINT=", "pip", "install", {words}]'


def test_what_fits_is_installed_with_nothing_broken(lab: TrapLab, either: str) -> None:
    """Through Debian's mark against system-wide installs, and through no shell: unquoted there,
    `tiny>=2` is `tiny` and a file named `=2`."""
    refusal = "pip install tiny 2>&1 || true"
    assert "externally-managed" in lab.run(lab.rig.base_image, "sh", "-c", refusal)
    wanted = ["tiny>=2,<3", "leaf>=1", "torchvision", "frames", "opencv-python-headless"]
    image = lab.create(pip=wanted)
    found = lab.packages()
    assert (found["tiny"], found["leaf"]) == ("2.0", "1.0")
    assert (found["torchvision"], found["numpy"]) == ("0.20.1+cu121", "1.26.4")
    assert lab.run(image.reference, "find", "/", "-xdev", "-name", "=*") == ""
    code = "import torchvision, compiled, frames, cv2; print(cv2.headless)"
    assert lab.run(image.reference, "python3", "-c", code) == "True\n"


def test_pip_does_not_replace_the_framework(lab: TrapLab, either: str) -> None:
    said = failing(lab, either, "torchvision>=0.21")
    assert ("stays as it is" if either == "buildkit" else "do not fit together") in said


def test_half_of_a_torch_family_is_refused_by_both_builders(lab: TrapLab, either: str) -> None:
    """Its versions fit, its build does not: nothing but a look at the result tells."""
    assert "built for another CUDA" in failing(lab, either, "torchtext")


def test_a_later_tier_cannot_break_an_earlier_one(lab: TrapLab, either: str) -> None:
    lab.tier("frames")
    assert "fit together" in failing(lab, either, "numpy<1.26", base="defaults")


def test_what_a_dockerfile_breaks_is_found_in_the_end(lab: TrapLab, either: str) -> None:
    """pip ends with 0 when it takes away what an earlier tier needs."""
    lab.edited(pip("frames"), pip("--no-deps", "numpy==1.24.0"))
    with pytest.raises(BuildFailed, match=r"frames 3\.0 needs numpy>=1\.26, and 1\.24\.0 is there"):
        lab.create(dockerfile="keep")
    assert lab.left() == []


def test_numpy_stays_at_the_major_version_that_the_base_was_compiled_against(
    lab: TrapLab, either: str
) -> None:
    said = failing(lab, either, "numpy>=2")
    assert ("newer major version" if either == "buildkit" else "do not fit together") in said


def test_two_opencvs_are_refused_by_both_builders(lab: TrapLab, either: str) -> None:
    said = failing(lab, either, "opencv-python", "opencv-python-headless")
    assert "the same files" in said


def test_an_opencv_that_wants_a_screen_is_refused_by_both_builders(
    lab: TrapLab, either: str
) -> None:
    said = failing(lab, either, "opencv-python")
    assert "libGL" in said


def test_what_gets_past_the_first_guard_still_meets_no_shell(
    lab: TrapLab, either: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requirements are checked first; here that check is taken away."""
    payloads = ["tiny; touch /tmp/owned", "tiny $(touch /tmp/owned)", "tiny\nRUN touch /owned"]
    for payload in payloads:
        with pytest.raises(InvalidInput):
            lab.create(pip=[payload])
    monkeypatch.setattr("ds01_jupyter.core.packages.parse_requirement", lambda text: text)
    monkeypatch.setattr("ds01_jupyter.core.packages.Requirement", _Named)
    for payload in payloads:
        text = lab.images.preview(lab.person, lab.request(pip=[payload]), ARCHITECTURE).dockerfile
        instructions = [line for line in text.splitlines() if not line.startswith("#")]
        assert not any("touch" in line for line in instructions)
        assert len(payload) < requirements.MAX_LENGTH


class _Named:
    """A requirement that takes any text."""

    def __init__(self, text: str) -> None:
        self.name, self.marker = text.split()[0].strip(";"), None


def test_no_code_of_a_package_runs_in_the_labs_tiers_nor_in_a_look(
    lab: TrapLab, either: str
) -> None:
    lab.tier("runs-code")
    heard = Heard()
    with pytest.raises(BuildFailed, match="runs-code"):
        lab.images.create(lab.person, lab.request(base="defaults"), ARCHITECTURE, heard)
    found = lab.images.resolution(lab.person, lab.request(pip=["runs-code"]), ARCHITECTURE)
    assert MARK not in "\n".join([*heard.lines, *(one.said for one in found.problems)])
    assert [one.kind for one in found.problems] == (["no_wheel"] if either == "buildkit" else [])
    # In one's own tier it does, in one's own image and with a cache of one's own.
    image = lab.create(pip=["runs-code"])
    assert lab.run(image.reference, "ls", f"/{MARK}") == f"/{MARK}\n"


def test_an_image_in_which_uv_cannot_run_is_built_by_pip(
    lab: TrapLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a base without glibc: the kernel does not find what would load the program."""
    reference = f"{lab.name}-uv:latest"
    files = {"Dockerfile": b"FROM scratch\nCOPY uv /uv\n", "uv": b"#!/lib/ld-musl-x86_64.so.1\n"}
    lab.engine.build(BuildPlan(files, reference, executable=frozenset({"uv"})), Silent())
    monkeypatch.setattr(image_draft, "uv_reference", lambda: reference)
    found = lab.images.resolution(lab.person, lab.request(pip=["tiny"]), ARCHITECTURE)
    assert (found.ok, found.checked) == (True, False)
    assert "Python 3.11" in found.note
    lab.create(pip=["tiny"])
    assert lab.packages()["tiny"] == "3.0"


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_later_installs_in_a_container_keep_the_framework(lab: TrapLab, tool: str) -> None:
    image = lab.create()
    install = "pip install"
    if tool == "uv":
        install = "/uv pip install --python /usr/bin/python3"
        copied = f"{lab.name}-with-uv:latest"
        lines = f"FROM {image.reference}\nCOPY --from={image_draft.uv_reference()} /uv /uv\n"
        lab.engine.build(BuildPlan({"Dockerfile": lines.encode()}, copied), Silent())
    reference = copied if tool == "uv" else image.reference
    script = f"{install} --break-system-packages 'torchvision>=0.21' 2>&1; echo code $?"
    said = lab.run(reference, "bash", "-c", script)
    assert "code 1" in said
    version = lab.run(reference, "python3", "-c", "import torch; print(torch.__version__)")
    assert version == "2.5.1+cu121\n"


def test_an_index_that_does_not_answer_is_not_taken_for_versions_that_do_not_fit(
    lab: TrapLab, index: SmallIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others have is kept to, so that layers are shared, or the build is refused."""
    lab.tier("tiny")
    monkeypatch.setattr(lab.images._resolver, "_earlier", lambda _: {"tiny": "1.0"})
    monkeypatch.setattr(index, "broken", "tiny-1.0")
    request = lab.request(base="defaults")
    found = lab.images.resolution(lab.person, request, ARCHITECTURE)
    assert [problem.kind for problem in found.problems] == ["network"]
    monkeypatch.setattr(index, "broken", "")
    found = lab.images.resolution(lab.person, request, ARCHITECTURE)
    assert {one.name: one.version for one in found.packages} == {"tiny": "1.0"}
