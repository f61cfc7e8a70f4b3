"""Calls to the server, off the kernel's main thread.

A callback of a widget runs where cells run. Whatever waits there freezes the notebook, so every
call goes through here, one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ds01_jupyter.widgets.problem import Problem

Done = Callable[[Any], None]
Failed = Callable[[Problem], None]


class Background:
    """One worker thread. It starts with the first call and ends with `close`."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ds01-widget")
        self._closed = threading.Event()

    def run(self, call: Callable[[], Any], done: Done, failed: Failed) -> None:
        """Call in the worker; then `done` with the answer, or `failed` with the problem.

        An answer that comes after `close` is dropped: nobody looks at those widgets any more.
        """
        if not self._closed.is_set():
            self._pool.submit(self._work, call, done, failed)

    def _work(self, call: Callable[[], Any], done: Done, failed: Failed) -> None:
        try:
            answer = call()
            if not self._closed.is_set():
                done(answer)
        except Exception as error:  # the last place where it can still be shown to a person
            if not self._closed.is_set():
                failed(Problem.of(error))

    def drain(self, timeout: float = 30.0) -> None:
        """Wait until everything submitted so far, and what that submitted, has been done."""
        for _ in range(4):
            settled: Future[None] = self._pool.submit(lambda: None)
            settled.result(timeout)

    def close(self) -> None:
        """Drop what still waits; a call under way ends by itself."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
