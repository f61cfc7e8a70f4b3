"""The cheapest way to give every task one place, where no place serves two tasks at one time.

Branch and bound. The first way that is found takes the best place for one task after another; the
search then goes on only where something cheaper could be. It gives up after `LOOKS` places with
the best way so far, so what is returned is the optimum for all but very large and crowded machines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LOOKS = 20_000
"""Places that are looked at: some 30 ms, while the ledger is locked."""

DEEP = 400
"""From so many tasks on each just gets the best place that is left, one after another."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Option:
    """A place for a task, and its cost without those that have to `leave` (claims, of which each
    is paid for once, however many tasks it makes way for)."""

    place: int
    cost: int
    leave: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Task:
    """Something that needs a place from `begin` to `end`. Tasks of one `family` (next to each
    other, all alike) are interchangeable. `penalty` is the cost of no place at all.

    `options` are in the order in which they are tried.
    """

    family: int
    begin: float
    end: float
    options: Sequence[Option]
    penalty: int


class _Search:
    def __init__(
        self,
        tasks: Sequence[Task],
        price: Mapping[str, int],
        barred: Mapping[int, Sequence[int]],
        looks: int,
    ) -> None:
        self.tasks = tasks
        self.price = price
        self.barred = barred
        self.left = looks
        self.used: dict[int, list[Interval]] = {}
        self.leaving: dict[str, int] = {}
        self.chosen: list[Option | None] = [None] * len(tasks)
        self.best: list[Option | None] = list(self.chosen)
        self.best_cost: float = float("inf")
        self.shared = self._sharing()
        # Two lower bounds for the tasks that are left: what their places cost if all the claims are
        # paid for already, and if everybody pays an equal part of every claim.
        self.bare = [0] * (len(tasks) + 1)
        self.floor = [0] * (len(tasks) + 1)
        for number in reversed(range(len(tasks))):
            task = tasks[number]
            least = min((self._least(option) for option in task.options), default=task.penalty)
            self.floor[number] = self.floor[number + 1] + min(least, task.penalty)
            least = min((option.cost for option in task.options), default=task.penalty)
            self.bare[number] = self.bare[number + 1] + min(least, task.penalty)
        self.alike = self._likeness()

    def _sharing(self) -> dict[str, int]:
        """For how many tasks each claim can make way at most: one after another on each place."""
        wanting: dict[tuple[str, int], list[Task]] = {}
        for task in self.tasks:
            for option in task.options:
                for claim in option.leave:
                    wanting.setdefault((claim, option.place), []).append(task)
        shared: dict[str, int] = {}
        for (claim, _), tasks in wanting.items():
            shared[claim] = shared.get(claim, 0) + _one_after_another(tasks)
        return shared

    def _least(self, option: Option) -> int:
        """The least that an option can cost, where others pay for the claims too."""
        return option.cost + sum(self.price[each] // self.shared[each] for each in option.leave)

    def _likeness(self) -> dict[int, object]:
        """A mark for each place; places with the same one mean the same to every task."""
        rows: dict[int, list[object]] = {}
        first_of_family = {task.family: task for task in reversed(self.tasks)}
        for family, task in first_of_family.items():
            for option in task.options:
                rows.setdefault(option.place, []).append((family, option.cost, option.leave))
        return {
            place: place if self.barred.get(place) else tuple(row) for place, row in rows.items()
        }

    def visit(self, number: int, cost: int, parts: int, after: int) -> None:
        """Place the tasks from `number` on; options of its family before `after` are not for it.

        `cost` is that of the tasks before, `parts` the same with an equal part of every claim.
        """
        if max(cost + self.bare[number], parts + self.floor[number]) >= self.best_cost:
            return
        if number == len(self.tasks):
            self.best, self.best_cost = list(self.chosen), cost
            return
        task = self.tasks[number]
        self.left -= len(task.options) - after + 1
        if self.left < 0 and self.best_cost != float("inf"):
            return
        same = number + 1 < len(self.tasks) and self.tasks[number + 1].family == task.family
        seen: set[object] = set()
        for position in range(after, len(task.options)):
            option = task.options[position]
            paid = self._paid(option)
            if not self._free(option.place, task) or paid >= task.penalty:
                continue
            mark = (
                self.alike[option.place],
                tuple(self.used.get(option.place, ())),
                option.leave,
            )
            if mark in seen:
                continue  # another place that is like it was tried already
            seen.add(mark)
            self._take(option, task, 1)
            self.chosen[number] = option
            rest = position + 1 if same else 0
            self.visit(number + 1, cost + paid, parts + self._least(option), rest)
            self.chosen[number] = None
            self._take(option, task, -1)
        # None at all; then the others of its family, which are alike, go without too.
        rest = len(task.options) if same else 0
        self.visit(number + 1, cost + task.penalty, parts + task.penalty, rest)

    def in_turn(self) -> list[Option | None]:
        """The best place that is left for each task, one after another."""
        for number, task in enumerate(self.tasks):
            places = [option for option in task.options if self._free(option.place, task)]
            best = min(places, key=self._paid, default=None)
            if best is not None and self._paid(best) < task.penalty:
                self._take(best, task, 1)
                self.chosen[number] = best
        return self.chosen

    def _paid(self, option: Option) -> int:
        """What an option costs now: a claim that leaves already is paid for."""
        return option.cost + sum(
            self.price[claim] for claim in option.leave if not self.leaving.get(claim)
        )

    def _free(self, place: int, task: Task) -> bool:
        return all(
            task.end <= begin or end <= task.begin
            for each in (place, *self.barred.get(place, ()))
            for begin, end in self.used.get(each, ())
        )

    def _take(self, option: Option, task: Task, step: int) -> None:
        intervals = self.used.setdefault(option.place, [])
        if step > 0:
            intervals.append((task.begin, task.end))
        else:
            intervals.pop()
        for claim in option.leave:
            self.leaving[claim] = self.leaving.get(claim, 0) + step


def _one_after_another(tasks: Sequence[Task]) -> int:
    """The most tasks of which no two are at one time."""
    count, free_from = 0, float("-inf")
    for task in sorted(tasks, key=lambda task: task.end):
        if task.begin >= free_from:
            count, free_from = count + 1, task.end
    return count


def assign(
    tasks: Sequence[Task],
    price: Mapping[str, int],
    barred: Mapping[int, Sequence[int]] | None = None,
    *,
    looks: int = LOOKS,
) -> list[Option | None]:
    """For each task its option in the cheapest way, None where it goes without.

    `price` is the cost of each claim that has to leave; `barred` names for a place the others that
    cannot be used together with it.
    """
    search = _Search(tasks, price, barred or {}, looks)
    if len(tasks) > DEEP:
        return search.in_turn()
    search.visit(0, 0, 0, 0)
    return search.best
