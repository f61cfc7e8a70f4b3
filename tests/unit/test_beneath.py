"""Folders are opened without following links, and what was made is taken back."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from ds01_jupyter.core.beneath import open_beneath
from ds01_jupyter.core.errors import InvalidInput, NotFound


def test_makes_missing_folders_and_gives_them_to_the_owner(tmp_path: Path) -> None:
    with open_beneath(tmp_path, PurePosixPath("a/b"), create=True, owner=(4711, 4712)) as folder:
        assert folder.path == tmp_path / "a" / "b"
        assert folder.made == [tmp_path / "a", tmp_path / "a" / "b"]
    if os.geteuid() == 0:
        status = (tmp_path / "a" / "b").stat()
        assert (status.st_uid, status.st_gid) == (4711, 4712)


def test_existing_folder_keeps_its_owner(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    before = (tmp_path / "a").stat()
    with open_beneath(tmp_path, PurePosixPath("a"), create=True, owner=(4711, 4712)) as folder:
        assert folder.made == []
    assert (tmp_path / "a").stat().st_uid == before.st_uid


def test_undo_removes_only_what_was_made_and_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    folder = open_beneath(tmp_path, PurePosixPath("a/b/c"), create=True)
    folder.undo()
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]

    folder = open_beneath(tmp_path, PurePosixPath("a/b/c"), create=True)
    (tmp_path / "a" / "b" / "kept.txt").write_text("mine")
    folder.undo()
    assert (tmp_path / "a" / "b" / "kept.txt").read_text() == "mine"
    assert not (tmp_path / "a" / "b" / "c").exists()


def test_a_link_on_the_way_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="is a link") as refusal:
        open_beneath(tmp_path, PurePosixPath("link/new"), create=True)
    assert str(tmp_path / "elsewhere") in refusal.value.hint
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_on_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="not a folder"):
        open_beneath(tmp_path, PurePosixPath("file"), create=True)


def test_a_missing_folder_is_not_made_unless_asked(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        open_beneath(tmp_path, PurePosixPath("a"), create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("relative", ["../x", "a/../../x", "/etc"])
def test_a_way_up_or_out_is_refused(tmp_path: Path, relative: str) -> None:
    with pytest.raises(InvalidInput):
        open_beneath(tmp_path, PurePosixPath(relative), create=True)


def test_descriptors_are_closed_after_a_refusal(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(NotFound):
            open_beneath(tmp_path, PurePosixPath("a/b"), create=False)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
