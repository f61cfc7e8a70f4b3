"""The notice in a workspace, whose owner may have put anything there."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ds01_jupyter.core.lifecycle.notice_file import (
    MAX_BYTES,
    NAME,
    remove_notice,
    write_notice,
)
from ds01_jupyter.core.lifecycle.words import FILE_MARK

TEXT = f"{FILE_MARK}\n\nsoon\n"
ME = os.getuid()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with somebody's thesis in it."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "thesis.txt").write_text("kept")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def test_it_is_written_replaced_and_removed(workspace: Path) -> None:
    assert write_notice(str(workspace), TEXT, ME)
    notice = workspace / NAME
    assert notice.read_text() == TEXT
    assert notice.stat().st_mode & 0o7777 == 0o644
    first = notice.stat().st_ino
    assert write_notice(str(workspace), TEXT, ME)
    assert notice.stat().st_ino == first  # what says the same is left alone
    assert write_notice(str(workspace), TEXT + "sooner\n", ME)
    assert notice.read_text().endswith("sooner\n")
    assert names(workspace) == [NAME, "thesis.txt"]
    assert remove_notice(str(workspace))
    assert remove_notice(str(workspace))
    assert names(workspace) == ["thesis.txt"]
    assert (workspace / "thesis.txt").read_text() == "kept"


def test_root_gives_it_to_the_person(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda _, uid, gid: given.append((uid, gid)))
    assert write_notice(str(workspace), TEXT, 12345)
    assert given == [(12345, workspace.stat().st_gid)]


def test_a_link_in_its_place_is_not_followed(workspace: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{FILE_MARK}\nnot yours\n")
    (workspace / NAME).symlink_to(secret)
    assert not write_notice(str(workspace), TEXT, ME)
    assert remove_notice(str(workspace))
    assert secret.read_text() == f"{FILE_MARK}\nnot yours\n"
    assert (workspace / NAME).is_symlink()
    assert names(workspace) == [NAME, "thesis.txt"]


def test_a_folder_in_its_place_is_left_alone(workspace: Path) -> None:
    (workspace / NAME / "more").mkdir(parents=True)
    assert not write_notice(str(workspace), TEXT, ME)
    assert remove_notice(str(workspace))
    assert (workspace / NAME / "more").is_dir()
    assert names(workspace) == [NAME, "thesis.txt"]


def test_a_pipe_in_its_place_keeps_nobody_waiting(workspace: Path) -> None:
    os.mkfifo(workspace / NAME)
    done: list[bool] = []
    thread = threading.Thread(
        target=lambda: done.append(
            not write_notice(str(workspace), TEXT, ME) and remove_notice(str(workspace))
        ),
        daemon=True,
    )
    thread.start()
    thread.join(10)
    assert done == [True]
    assert (workspace / NAME).is_fifo()


@pytest.mark.parametrize("content", ["", "my own words\n", f"# {FILE_MARK}\n"])
def test_somebodys_own_file_of_that_name_is_left_alone(workspace: Path, content: str) -> None:
    (workspace / NAME).write_text(content)
    assert not write_notice(str(workspace), TEXT, ME)
    assert remove_notice(str(workspace))
    assert (workspace / NAME).read_text() == content


def test_a_huge_file_is_not_read_whole(workspace: Path) -> None:
    with (workspace / NAME).open("wb") as file:
        file.write(f"{FILE_MARK}\n".encode())
        file.truncate(2**40)  # sparse
    assert write_notice(str(workspace), TEXT, ME)
    assert (workspace / NAME).read_text() == TEXT


def test_it_is_never_larger_than_it_may_be(workspace: Path) -> None:
    assert write_notice(str(workspace), TEXT + "x" * 10**6, ME)
    assert (workspace / NAME).stat().st_size == MAX_BYTES
    assert write_notice(str(workspace), TEXT, ME)


def test_a_workspace_that_became_a_link_gets_none(workspace: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "link"
    link.symlink_to(elsewhere)
    assert not write_notice(str(link), TEXT, ME)
    (elsewhere / NAME).write_text(TEXT)
    assert remove_notice(str(link))
    assert names(elsewhere) == [NAME]


@pytest.mark.parametrize("path", ["/nowhere/at/all", "relative", "/etc/../etc", ""])
def test_a_workspace_that_is_none_breaks_nothing(path: str) -> None:
    assert not write_notice(path, TEXT, ME)
    assert remove_notice(path)


def test_a_disk_without_space_leaves_nothing_behind(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert not write_notice(str(workspace), TEXT, ME)
    monkeypatch.undo()
    assert names(workspace) == ["thesis.txt"]
