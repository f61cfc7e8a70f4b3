"""Questions of which only the newest counts, asked off the kernel's main thread.

While somebody types, each key makes another question. One is asked when they pause; the answer to
one that is no longer the newest is dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from ds01_jupyter.widgets.problem import Problem

Q = TypeVar("Q")
A = TypeVar("A")


class Latest(Generic[Q, A]):
    """One thread, which begins with the first question and ends with `close`."""

    def __init__(
        self,
        answer: Callable[[Q], A],
        done: Callable[[Q, A], None],
        failed: Callable[[Q, Problem], None],
        pause: float = 0.8,
    ) -> None:
        """`answer` may take long; `done` and `failed` get the newest question only. `pause` is in
        seconds, the time without another question after which one is asked."""
        self._answer, self._done, self._failed = answer, done, failed
        self._pause = pause
        self._changed = threading.Condition()
        self._question: Q | None = None
        self._number = self._settled = 0
        self._wait = 0.0
        self._closed = False
        self._thread: threading.Thread | None = None

    def ask(self, question: Q, *, now: bool = False) -> None:
        """Ask after the pause, or at once; what was asked before does not count any more."""
        with self._changed:
            if self._closed:
                return
            self._question = question
            self._number += 1
            self._wait = 0.0 if now else self._pause
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="ds01-widget_latest", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def settle(self, timeout: float = 30.0) -> bool:
        """Wait until the newest question is answered; False when it is not by then."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._settled == self._number or self._closed, timeout
            )

    def close(self) -> None:
        """Drop what is asked; an answer under way is not shown any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._settled != self._number)
                number = self._pause_over()
                if self._closed:
                    return
                question = self._question
            self._work(number, question)  # type: ignore[arg-type]

    def _pause_over(self) -> int:
        """Wait until nothing newer has come for the pause; the number of the newest question."""
        number = -1
        while not self._closed and number != self._number:
            number = self._number
            if self._wait:
                self._changed.wait(self._wait)
        return number

    def _work(self, number: int, question: Q) -> None:
        problem: Problem | None = None
        answer: A | None = None
        try:
            answer = self._answer(question)
        except Exception as error:  # shown to the person
            problem = Problem.of(error)
        with self._changed:
            if self._closed or number != self._number:
                return
        try:
            if problem is None:
                self._done(question, answer)  # type: ignore[arg-type]
        except Exception as error:  # a fault of ours; the thread must go on
            problem = Problem.of(error)
        if problem is not None:
            self._failed(question, problem)
        with self._changed:
            self._settled = number
            self._changed.notify_all()
