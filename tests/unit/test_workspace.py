"""Which folders may be mounted."""

from __future__ import annotations

from pathlib import Path

import pytest

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.workspace import default_workspace, place


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    home = tmp_path / "home" / "ada"
    home.mkdir(parents=True)
    return Person("ada", 47110, 47110, home)


def test_the_default_lies_in_the_home(ada: Person) -> None:
    found = place(default_workspace("thesis"), ada, ("~",), "workspace")
    assert found.path == ada.home / "workspace" / "thesis"


def test_an_absolute_path_in_a_root_of_the_admin(ada: Person, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = place(f"{scratch}/ada", ada, ("~", str(scratch)), "workspace")
    assert found.path == scratch / "ada"


def test_a_home_that_is_a_link_is_trusted(ada: Person, tmp_path: Path) -> None:
    link = tmp_path / "ada"
    link.symlink_to(ada.home)
    moved = Person("ada", 47110, 47110, link)
    assert place("~/w", moved, ("~",), "workspace").path == ada.home / "w"
    assert place(str(ada.home / "w"), moved, ("~",), "workspace").path == ada.home / "w"


@pytest.mark.parametrize(
    "text",
    [
        "/etc",
        "/",
        "~/../bob",
        "~/a/../../bob",
        "relative",
        "",
        "~bob/x",
        "/home\nx",
        "~/a,b",
        '~/a"b',
        "~/a\\b",
        "~/a\x00b",
    ],
)
def test_everything_else_is_refused(ada: Person, text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        place(text, ada, ("~",), "workspace")
    assert refusal.value.message.count("\n") == 0


def test_a_neighbour_with_a_longer_name_is_not_inside(ada: Person) -> None:
    with pytest.raises(InvalidInput, match="outside"):
        place(f"{ada.home}2/x", ada, ("~",), "workspace")


def test_the_refusal_names_what_is_allowed(ada: Person) -> None:
    with pytest.raises(InvalidInput) as refusal:
        place("/etc", ada, ("~", "/scratch"), "workspace")
    assert refusal.value.details["allowed"] == [str(ada.home), "/scratch"]
