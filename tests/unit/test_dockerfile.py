"""The Dockerfile: what stands in it, what never does, and what people share."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds01_jupyter.core.dockerfile import SCRIPTS, BuildContext, ImageSpec, render
from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.packages import PackageLayer, PackageSelection

BASE = PackageLayer("base", "Notebook", "For notebooks.", ("ipykernel", "numpy>=2"))
CV = PackageLayer("cv", "Computer vision", "For pictures.", ("timm",))
OWN = PackageLayer("custom", "Your own packages", "", ('tomli; python_version < "3.11"',))
ADA = Person("ada", 4711, 4712, Path("/home/ada"))
BOB = Person("Bob@lab", 1_700_000_000, 100, Path("/home/Bob@lab"))


def spec(
    person: Person = ADA,
    layers: tuple[PackageLayer, ...] = (BASE, CV, OWN),
    apt: tuple[str, ...] = ("ffmpeg",),
    uv_image: str | None = "ds01-jupyter/uv:1",
) -> ImageSpec:
    return ImageSpec(
        image="lab",
        reference=f"lab-{person.uid}:latest",
        framework="Pytorch",
        version="2.5.1",
        base_image="aimehub/pytorch-2.5.1-aime-cuda12.1.1",
        selection=PackageSelection(layers, apt),
        person=person,
        path=person.home / "dockerfiles/lab.Dockerfile",
        context=person.home / "dockerfiles/lab.context",
        uv_image=uv_image,
    )


def instructions(context: BuildContext) -> list[str]:
    """The Dockerfile as a builder reads it: no comments, continued lines joined."""
    lines = [
        line
        for line in context.dockerfile.splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    return "\n".join(lines).replace("\\\n", " ").splitlines()


def commands(context: BuildContext) -> list[list[str]]:
    """The words of each RUN, which must all be in exec form."""
    runs = [line for line in instructions(context) if line.startswith("RUN ")]
    return [json.loads(line[line.index("[") :]) for line in runs]


def test_one_step_for_each_tier_between_freeze_and_check() -> None:
    scripts = [command[2].rpartition("/")[2] for command in commands(render(spec()))]
    assert scripts == [
        "freeze.py",
        "install.py",
        "install.py",
        "apt.py",
        "install.py",
        "check.py",
        "kernel.py",
        "account.py",
    ]


def test_b25_packages_stand_in_files_and_not_in_instructions() -> None:
    context = render(spec())
    assert context.files["tier-base.txt"].splitlines()[1:] == ["ipykernel", "numpy>=2"]
    assert context.files["tier-custom.txt"].splitlines()[1:] == ['tomli; python_version < "3.11"']
    assert context.files["apt-packages.txt"].splitlines()[1:] == ["ffmpeg"]
    text = "\n".join(instructions(context))
    for package in ("numpy", "timm", "tomli", "ffmpeg", "ada", "4711;"):
        assert package not in text


def test_every_copied_file_is_in_the_context_and_every_file_is_copied() -> None:
    context = render(spec())
    copied = [
        name
        for line in instructions(context)
        if line.startswith("COPY ")
        for name in line.split()[1:-1]
    ]
    # The lab's mirrors are mounted, and are no part of the image.
    assert sorted([*copied, "site.json"]) == sorted(context.files)


@pytest.mark.parametrize("uv_image", ["ds01-jupyter/uv:1", None])
def test_f44_an_empty_selection_makes_no_empty_step(uv_image: str | None) -> None:
    context = render(spec(layers=(), apt=(), uv_image=uv_image))
    assert not any(name.startswith(("tier-", "apt-")) for name in context.files)
    assert [command[2].rpartition("/")[2] for command in commands(context)] == [
        "freeze.py",
        "check.py",
        "kernel.py",
        "account.py",
    ]


def test_the_classic_builder_gets_no_mounts() -> None:
    assert "--mount" in render(spec()).dockerfile
    assert "--mount" not in render(spec(uv_image=None)).dockerfile


def test_wheels_only_and_the_shared_cache_for_the_tiers_of_the_lab() -> None:
    context = render(spec())
    runs = [line for line in instructions(context) if re.match("RUN.*install.py", line)]
    assert ["--wheels-only" in line for line in runs] == [True, True, False]
    caches = [line.split("id=")[1].split(",")[0] for line in runs]
    assert caches == ["ds01-uv", "ds01-uv", "ds01-uv-4711"]


def test_a_later_tier_is_resolved_together_with_the_earlier_ones() -> None:
    installs = [command for command in commands(render(spec())) if "install.py" in command[2]]
    files = [[word.rpartition("/")[2] for word in c if word.endswith(".txt")] for c in installs]
    assert files == [
        ["tier-base.txt"],
        ["tier-base.txt", "tier-cv.txt"],
        ["tier-base.txt", "tier-cv.txt", "tier-custom.txt"],
    ]


def test_two_people_share_every_step_of_the_same_tiers() -> None:
    mine, yours = (render(spec(person, (BASE, CV), ())) for person in (ADA, BOB))
    assert instructions(mine) == instructions(yours)
    differing = {name for name in mine.files if mine.files[name] != yours.files[name]}
    assert differing == {"account.json"}
    assert instructions(mine)[-4].startswith("COPY account.json")


def test_root_gets_no_account_step() -> None:
    context = render(spec(Person("root", 0, 0, Path("/root"))))
    assert "account.json" not in context.files
    assert not any("account.py" in command[2] for command in commands(context))


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "a/b", "a,b", "root"])
def test_an_account_name_that_cannot_stand_in_passwd_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        render(spec(replace(ADA, name=name)))


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_text_of_a_tier_or_path_makes_an_instruction(title: str, why: str, home: str) -> None:
    layer = PackageLayer("base", title, why, ("numpy",))
    hostile = render(replace(spec(layers=(layer,)), path=Path("/") / home.replace("\0", "") / "D"))
    plain = render(spec(layers=(BASE,)))
    assert instructions(hostile) == instructions(plain)


def test_the_titles_name_each_step_once() -> None:
    context = render(spec())

    def title(instruction: str) -> str:
        return next(t for part, t in context.titles.items() if part in instruction)

    assert [title(line) for line in instructions(context) if line.startswith("RUN")] == [
        "Versions of Pytorch",
        "Notebook",
        "Computer vision",
        "Debian packages",
        "Your own packages",
        "Check that Pytorch is as it was",
        "Notebook kernel",
        "Your account",
    ]
    base = "aimehub/pytorch-2.5.1-aime-cuda12.1.1"
    assert title(f"FROM registry.example/{base}") == f"Base image {base}"
    assert title(f"COPY {' '.join(SCRIPTS)} /opt/ds01/") == "The scripts of the build"


def test_the_kernel_is_named_after_image_and_framework() -> None:
    assert json.loads(render(spec()).files["kernel.json"]) == {
        "display_name": "lab (Pytorch 2.5.1)"
    }
