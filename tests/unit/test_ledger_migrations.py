"""A ledger of an older version is brought up to date, once, without losing a row."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.ledger_creation import _statements
from ds01_jupyter.core.ledger_migrations import MIGRATIONS, SCHEMA_VERSION
from ds01_jupyter.core.ledger_schema import APPLICATION_ID, SCHEMA


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A ledger as the first version made it, with a line of history."""
    path = tmp_path / "ledger.sqlite"
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    raw.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version = 1;COMMIT;")
    raw.execute(
        "INSERT INTO history (time, boot_id, boot_seconds, actor, owner, action, subject, outcome,"
        " details) VALUES ('2026-01-01T00:00:00+00:00', 'b', 1.0, 'a', 'a', 'x', 'x', 'done', '{}')"
    )
    raw.close()
    return path


def tables(path: Path) -> dict[str, str]:
    raw = sqlite3.connect(path)
    try:
        rows = raw.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        assert raw.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        return dict(rows)
    finally:
        raw.close()


def test_an_old_ledger_becomes_like_a_new_one(first: Path, tmp_path: Path) -> None:
    old, new = Ledger(first), Ledger(tmp_path / "new.sqlite")
    assert [row.actor for row in old.history()] == ["a"]
    assert new.history() == []
    old.close()
    new.close()
    assert tables(first) == tables(tmp_path / "new.sqlite")
    assert "cordons" in tables(first)


def test_many_at_once_migrate_once(first: Path) -> None:
    ledgers = [Ledger(first) for _ in range(8)]
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda ledger=ledger: found.append(len(ledger.history())))
        for ledger in ledgers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 8
    for ledger in ledgers:
        ledger.close()


def test_scripts_are_taken_apart_between_statements_only() -> None:
    script = "CREATE TABLE a (b);\nCREATE TRIGGER c BEFORE UPDATE ON a\nBEGIN SELECT 1; END;\n"
    assert [part.split()[1] for part in _statements(script)] == ["TABLE", "TRIGGER"]
    for _, step in MIGRATIONS:
        assert "".join(_statements(step)).split() == step.split()
