"""How the ledger's file comes to be: complete or not at all, and brought up to date."""

from __future__ import annotations

import os
import secrets
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from ds01_jupyter.core.ledger_migrations import MIGRATIONS
from ds01_jupyter.core.ledger_schema import APPLICATION_ID, SCHEMA


def create(path: Path, fill: Callable[[sqlite3.Connection], None] | None = None) -> None:
    """Make a ledger, complete or not at all: it is written aside and then given its name.

    It is empty, or what `fill` writes into it.

    An empty or half-written file at `path` therefore is always damage, never a beginning.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            set_mode(descriptor, path.parent)
        finally:
            os.close(descriptor)
        with closing(sqlite3.connect(aside, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version = 1;COMMIT;")
            migrate(connection)
            if fill is not None:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("BEGIN IMMEDIATE")
                fill(connection)
                connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")
        try:
            os.link(aside, path)
        except FileExistsError:
            return  # another process was first
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            aside.with_name(aside.name + suffix).unlink(missing_ok=True)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring tables of an older version up to date; of several processes only one does it."""
    version = _version(connection)
    for number, script in MIGRATIONS:
        if version >= number:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) < number:
                for statement in _statements(script):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one (`executescript` would commit in between)."""
    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        if statement.strip(" \n;") and sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def open_beside(path: Path) -> int:
    """A descriptor (for reading) of a file beside the ledger, which is made empty where there is
    none; for everybody who may use the ledger."""
    # Made aside with its final mode: there is no moment in which others cannot open it.
    while True:
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            pass
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            set_mode(descriptor, path.parent)
            with suppress(FileExistsError):
                os.link(aside, path)
        finally:
            os.close(descriptor)
            aside.unlink(missing_ok=True)


def set_mode(descriptor: int, directory: Path) -> None:
    """0600; 0660 with the folder's group where an admin made the folder writable for a group."""
    status = directory.stat()
    if not status.st_mode & stat.S_IWGRP:
        os.fchmod(descriptor, 0o600)
        return
    os.fchown(descriptor, -1, status.st_gid)
    os.fchmod(descriptor, 0o660)
