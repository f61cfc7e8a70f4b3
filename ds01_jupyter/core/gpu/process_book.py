"""Which container and which person a process on a GPU belongs to, remembered while it lives.

A process never changes its container and hardly its user, so its cgroup is read once. A pid that
is used again has another start time, and is looked up anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ds01_jupyter.core.processes import container_of_pid, start_ticks, user_of_pid

Owner = tuple[str | None, str | None]


class ProcessBook:
    """Container id and user by pid. Not thread-safe."""

    def __init__(
        self,
        container_of: Callable[[int], str | None] = container_of_pid,
        user_of: Callable[[int], str | None] = user_of_pid,
        started: Callable[[int], int | None] = start_ticks,
    ) -> None:
        self._container_of = container_of
        self._user_of = user_of
        self._started = started
        self._known: dict[int, tuple[int, Owner]] = {}

    def owners(self, pids: Iterable[int]) -> dict[int, Owner]:
        """Full id of the container (None: on the host, or not visible) and account (None: not
        visible) of each of these; all others are forgotten."""
        found = {pid: self._look_up(pid) for pid in set(pids)}
        self._known = {pid: known for pid, known in self._known.items() if pid in found}
        return found

    def __len__(self) -> int:
        return len(self._known)

    def _look_up(self, pid: int) -> Owner:
        started = self._started(pid)
        known = self._known.get(pid)
        if known is not None and started is not None and known[0] == started:
            return known[1]
        owner = (self._container_of(pid), self._user_of(pid))
        if started is not None and self._started(pid) == started:
            self._known[pid] = (started, owner)
        return owner
