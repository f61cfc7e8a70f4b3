"""What people type into the package fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds01_jupyter.widgets.entries import free_name, split_requirements, split_words


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("", []),
        ("  \n ,, \n", []),
        ("einops", ["einops"]),
        ("einops six", ["einops", "six"]),
        ("einops, six\nplotly", ["einops", "six", "plotly"]),
        ("numpy >= 2", ["numpy >= 2"]),
        ("numpy >= 2 pandas", ["numpy >= 2", "pandas"]),
        ("numpy>=2,<3, pandas", ["numpy>=2,<3", "pandas"]),
        ("numpy >= 2 , < 3 pandas==2.*", ["numpy >= 2 , < 3", "pandas==2.*"]),
        ("jax[cuda12] timm", ["jax[cuda12]", "timm"]),
        ("jax[cuda12, k8s]>=0.4 timm", ["jax[cuda12, k8s]>=0.4", "timm"]),
        ("six\nsix six", ["six"]),
        ("# mine\nsix # for tests\n", ["six"]),
        ('tomli; python_version < "3.11"', ['tomli; python_version < "3.11"']),
        ("numpy; rm -rf /", ["numpy; rm -rf /"]),
        ("-r other.txt", ["-r other.txt"]),
        ("six --index-url x", ["six", "--index-url", "x"]),
        ("pkg @ https://example.org/a.whl", ["pkg @ https://example.org/a.whl"]),
        ("https://example.org/a.whl#sha256=1", ["https://example.org/a.whl#sha256=1"]),
        ("$(reboot)", ["$(reboot)"]),
    ],
)
def test_requirements_are_taken_apart(text: str, entries: list[str]) -> None:
    assert split_requirements(text) == entries


@given(st.text(alphabet="ab1._-[]<>=!~;@#, \n\t$()'\"/é", max_size=60))
def test_nothing_that_was_typed_is_swallowed(text: str) -> None:
    kept = "".join(split_requirements(text))
    lines = [line.split("#")[0] if "#" in line else line for line in text.splitlines()]
    for character in "".join(lines):
        if not character.isspace() and character != ",":
            assert character in kept


def test_apt_packages_are_words() -> None:
    assert split_words("ffmpeg, graphviz\n git- -o x ffmpeg") == [
        "ffmpeg",
        "graphviz",
        "git-",
        "-o",
        "x",
    ]


def test_a_suggested_name_is_free() -> None:
    assert free_name("my-pytorch", []) == "my-pytorch"
    assert free_name("my-pytorch", ["my-pytorch", "my-pytorch-2"]) == "my-pytorch-3"
