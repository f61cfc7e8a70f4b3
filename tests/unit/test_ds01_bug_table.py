"""The table of DS01's bugs against the tests: `python -m tests.unit.test_ds01_bug_table` writes it.

A test carries the number of a bug in its name: `test_b7_...`, `test_f12_b10_...` for two.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "coming-from-ds01.md"
NUMBERS = [*(f"F{number}" for number in range(1, 47)), *(f"B{number}" for number in range(1, 41))]
_CARRIES = re.compile(r"test_((?:[bf]\d+_)+)")


def by_number() -> dict[str, list[str]]:
    """The names of the tests that carry each number."""
    found: dict[str, list[str]] = {}
    for name in names_of_tests():
        match = _CARRIES.match(name)
        for number in match[1].upper().split("_")[:-1] if match else ():
            found.setdefault(number, []).append(name)
    return {number: sorted(names) for number, names in found.items()}


def names_of_tests() -> list[str]:
    """All test functions of all test files."""
    return [
        node.name
        for file in sorted(TESTS.rglob("test_*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_"
    ]


def rows() -> list[list[str]]:
    """The cells of the table's rows."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if re.fullmatch(r"[FB]\d+", row[0])]


def written(tests: Mapping[str, list[str]]) -> str:
    """The page with the tests of each number in its last column."""
    text = PAGE.read_text(encoding="utf-8")

    def line(match: re.Match[str]) -> str:
        names = ", ".join(f"`{name}`" for name in tests.get(match[2], ()))
        return f"{match[1]} {names} |" if names else f"{match[1]} |"

    return re.sub(r"^(\| ([FB]\d+) \| [^|]+ \| [^|]+ \|)[^|\n]*\|$", line, text, flags=re.M)


def test_every_number_is_there_once_with_its_words() -> None:
    table = rows()
    assert [row[0] for row in table] == NUMBERS
    for number, wrong, holds, *_ in table:
        assert 10 < len(wrong) < 120, number
        assert 5 < len(holds) < 120, number


def test_every_number_has_a_test_and_no_test_has_another_number() -> None:
    assert sorted(by_number()) == sorted(NUMBERS)


def test_the_table_names_the_tests_that_there_are() -> None:
    assert PAGE.read_text(encoding="utf-8") == written(by_number()), (
        "python -m tests.unit.test_ds01_bug_table writes it anew"
    )


if __name__ == "__main__":
    PAGE.write_text(written(by_number()), encoding="utf-8")
