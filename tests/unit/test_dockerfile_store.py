"""Dockerfiles on disk: never over a hand-edited one, never through a link, all or nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ds01_jupyter.core import dockerfile_store as store
from ds01_jupyter.core.dockerfile import digest
from ds01_jupyter.core.errors import InvalidInput, NotFound
from ds01_jupyter.core.identity import Person
from ds01_jupyter.core.settings import Settings

FILES = {"tier-base.txt": "numpy\n", "freeze.py": "pass\n"}


@pytest.fixture
def person(tmp_path: Path) -> Person:
    home = tmp_path / "home" / "ada"
    home.mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(home, 4711, 4712)
    return Person("ada", 4711, 4712, home)


@pytest.fixture
def location(person: Person) -> store.Location:
    return store.locate(Settings(), person, "lab", None)


def listing(folder: Path) -> dict[str, str]:
    """Every file below a folder with its text."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_written_and_read_back(location: store.Location, person: Person) -> None:
    assert store.read(location, person) is None
    store.write(location, person, "FROM a\n", FILES, keep_old=False)
    assert location.path == person.home / "dockerfiles" / "lab.Dockerfile"
    assert store.read(location, person) == "FROM a\n"
    assert store.read_context(location, person) == FILES
    assert listing(person.home) == {
        "dockerfiles/lab.Dockerfile": "FROM a\n",
        "dockerfiles/lab.context/tier-base.txt": "numpy\n",
        "dockerfiles/lab.context/freeze.py": "pass\n",
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
def test_what_is_written_belongs_to_the_person(location: store.Location, person: Person) -> None:
    store.write(location, person, "FROM a\n", FILES, keep_old=True)
    for path in person.home.rglob("*"):
        assert (path.stat().st_uid, path.stat().st_gid) == (4711, 4712), path


def test_the_four_states() -> None:
    assert store.state(None, "new", None) == "new"
    assert store.state("new", "new", None) == "same"
    assert store.state("old", "new", digest("old")) == "changed"
    assert store.state("mine", "new", digest("old")) == "edited"
    assert store.state("mine", "new", None) == "edited"


def test_the_refusal_shows_the_difference(location: store.Location) -> None:
    error = store.refuse_edited(location, "FROM a\nRUN mine\n", "FROM a\nRUN ours\n")
    assert error.details["path"] == str(location.path)
    assert "-RUN mine" in error.details["diff"]
    assert "+RUN ours" in error.details["diff"]


def test_b28_replacing_keeps_each_old_one(location: store.Location, person: Person) -> None:
    for text in ("one", "two", "three"):
        store.write(location, person, text, {}, keep_old=True)
    assert listing(person.home / "dockerfiles") == {
        "lab.Dockerfile": "three",
        "lab.Dockerfile.bak-1": "one",
        "lab.Dockerfile.bak-2": "two",
    }


def test_lists_of_an_earlier_request_go(location: store.Location, person: Person) -> None:
    store.write(location, person, "a", {"tier-cv.txt": "timm\n", **FILES}, keep_old=False)
    (location.context_path / "notes.md").write_text("mine")
    store.write(location, person, "b", FILES, keep_old=False)
    assert sorted(p.name for p in location.context_path.iterdir()) == [
        "freeze.py",
        "notes.md",
        "tier-base.txt",
    ]


def test_undo_of_a_first_write_leaves_nothing(location: store.Location, person: Person) -> None:
    store.write(location, person, "FROM a\n", FILES, keep_old=False).undo()
    assert list(person.home.iterdir()) == []


def test_undo_puts_all_back(location: store.Location, person: Person) -> None:
    store.write(location, person, "one", {"tier-cv.txt": "timm\n", **FILES}, keep_old=False)
    before = listing(person.home)
    change = store.write(location, person, "two", {"freeze.py": "new"}, keep_old=True)
    assert listing(person.home) != before
    change.undo()
    assert listing(person.home) == before


def test_a_write_that_fails_changes_nothing(location: store.Location, person: Person) -> None:
    store.write(location, person, "one", FILES, keep_old=False)
    (location.context_path / "kernel.json").mkdir()  # a folder where a file should go
    before = listing(person.home)
    with pytest.raises(InvalidInput):
        store.write(location, person, "two", {**FILES, "kernel.json": "{}"}, keep_old=True)
    assert listing(person.home) == before


def test_a_link_in_place_of_the_file_is_refused(
    location: store.Location, person: Person, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    (person.home / "dockerfiles").mkdir()
    location.path.symlink_to(secret)
    with pytest.raises(InvalidInput, match="link"):
        store.read(location, person)
    with pytest.raises(InvalidInput, match="link"):
        store.write(location, person, "FROM a\n", FILES, keep_old=True)
    assert secret.read_text() == "s"


@pytest.mark.parametrize("link", ["dockerfiles", "dockerfiles/lab.context"])
def test_a_link_in_place_of_a_folder_is_refused(
    location: store.Location, person: Person, tmp_path: Path, link: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (person.home / link).parent.mkdir(exist_ok=True)
    (person.home / link).symlink_to(elsewhere)
    with pytest.raises(InvalidInput, match="link"):
        store.write(location, person, "FROM a\n", FILES, keep_old=False)
    assert list(elsewhere.iterdir()) == []
    assert not location.path.is_file()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads what is another's")
def test_a_file_of_somebody_else_is_not_shown(location: store.Location, person: Person) -> None:
    (person.home / "dockerfiles").mkdir()
    location.path.write_text("secret")  # root's
    with pytest.raises(InvalidInput, match="somebody else"):
        store.read(location, person)


def test_a_pipe_does_not_block(location: store.Location, person: Person) -> None:
    (person.home / "dockerfiles").mkdir()
    os.mkfifo(location.path)
    with pytest.raises(InvalidInput):
        store.read(location, person)


def test_a_project_has_its_own(person: Person) -> None:
    project = person.home / "thesis"
    location = store.locate(Settings(), person, "lab", str(project))
    with pytest.raises(NotFound):
        store.read(location, person)
    project.mkdir()
    if os.geteuid() == 0:
        os.chown(project, person.uid, person.gid)
    store.write(location, person, "FROM a\n", FILES, keep_old=False)
    assert sorted(listing(project)) == [".ds01/freeze.py", ".ds01/tier-base.txt", "Dockerfile"]
    found = store.stored(Settings(), person, str(location.path))
    assert store.read(found, person) == "FROM a\n"
    assert store.read_context(found, person) == FILES


def test_a_project_outside_of_the_roots_is_refused(person: Person, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        store.locate(Settings(), person, "lab", str(tmp_path))
    with pytest.raises(InvalidInput):
        store.stored(Settings(), replace(person, home=tmp_path / "x"), str(tmp_path / "D"))
