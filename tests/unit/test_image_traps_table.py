"""docs/images-traps.md against the tests: each trap has one on the real engine, by its name."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit.test_ds01_bug_table import names_of_tests

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "images-traps.md"
TRAPS = 20


def rows() -> list[tuple[str, str, list[str]]]:
    """Trap, guard and tests of each row."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][1:]
    return [(trap, guard, re.findall(r"`(test_\w+)`", tests)) for trap, guard, tests in cells]


def test_every_trap_is_there_with_its_guard() -> None:
    assert len(rows()) == TRAPS
    for trap, guard, tests in rows():
        assert 20 < len(trap) < 120, trap
        assert 20 < len(guard) < 200, trap
        assert tests, trap


def test_every_named_test_exists() -> None:
    there = set(names_of_tests())
    assert [name for *_, tests in rows() for name in tests if name not in there] == []


def test_every_trap_is_sprung_on_the_real_engine() -> None:
    files = [file.read_text(encoding="utf-8") for file in (TESTS / "engine").glob("test_*.py")]
    on_engine = {name for text in files for name in re.findall(r"^def (test_\w+)", text, re.M)}
    assert [trap for trap, _, tests in rows() if on_engine.isdisjoint(tests)] == []


def test_every_test_of_a_trap_is_named() -> None:
    files = (TESTS / "engine").glob("test_image_traps_*.py")
    written = {name for f in files for name in re.findall(r"^def (test_\w+)", f.read_text(), re.M)}
    assert written <= {name for *_, tests in rows() for name in tests}
