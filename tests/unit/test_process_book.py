"""Processes matched to containers and people, and each looked up once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ds01_jupyter.core.gpu.process_book import ProcessBook
from ds01_jupyter.core.processes import user_of_pid


class Proc:
    """A /proc that counts."""

    def __init__(self) -> None:
        self.started = {1: 10, 2: 20}
        self.asked: list[int] = []

    def container_of(self, pid: int) -> str | None:
        self.asked.append(pid)
        return {1: "a" * 64}.get(pid)

    def book(self) -> ProcessBook:
        return ProcessBook(self.container_of, lambda pid: f"user{pid}", self.started.get)


def test_a_process_is_looked_up_once() -> None:
    proc = Proc()
    book = proc.book()
    for _ in range(5):
        assert book.owners([1, 2]) == {1: ("a" * 64, "user1"), 2: (None, "user2")}
    assert sorted(proc.asked) == [1, 2]


def test_a_pid_that_is_used_again_is_looked_up_again() -> None:
    proc = Proc()
    book = proc.book()
    book.owners([1])
    proc.started[1] = 11
    book.owners([1])
    assert proc.asked == [1, 1]


def test_what_is_gone_is_forgotten() -> None:
    proc = Proc()
    book = proc.book()
    book.owners([1, 2])
    assert len(book) == 2
    book.owners([2])
    assert len(book) == 1


def test_a_process_that_is_not_visible_is_asked_for_every_time() -> None:
    proc = Proc()
    book = proc.book()
    book.owners([3])
    book.owners([3])
    assert proc.asked == [3, 3]
    assert len(book) == 0


def test_real_processes() -> None:
    book = ProcessBook()
    with subprocess.Popen(["sleep", "60"]) as process:
        owners = book.owners([process.pid, os.getpid()])
        assert owners[process.pid][1] == user_of_pid(os.getpid())
        assert len(book) == 2
        process.kill()
    owners = book.owners([process.pid])
    assert owners == {process.pid: (None, None)} or Path(f"/proc/{process.pid}").exists()
