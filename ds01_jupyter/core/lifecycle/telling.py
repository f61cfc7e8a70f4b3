"""Telling people ahead of time: notices in the ledger, and the file in the workspace."""

from __future__ import annotations

from collections.abc import Sequence

from ds01_jupyter.core.clock import Moment
from ds01_jupyter.core.ledger import Ledger
from ds01_jupyter.core.lifecycle import tables, words
from ds01_jupyter.core.lifecycle.cases import Case, Warnings, fresh
from ds01_jupyter.core.lifecycle.life import What
from ds01_jupyter.core.lifecycle.notice_file import may_write, remove_notice, write_notice
from ds01_jupyter.core.lifecycle.policy import level


def warn(ledger: Ledger, cases: Sequence[Case], now: Moment) -> Warnings:
    """Give the warnings that have become due, each once, and forget those of what is not near any
    more, so that they are given again another time. Returns all warnings that stand."""
    with ledger.reading() as connection:
        warnings = tables.warnings(connection)
    concerned = [case for case in cases if _changes(case, warnings, now)]
    if not concerned:
        return warnings
    with ledger.writing() as connection:
        warnings = tables.warnings(connection)
        for one in concerned:
            case = fresh(connection, one)
            if case is None:
                continue
            for what, to in _changes(case, warnings, now).items():
                claim = case.row.claim_id
                before = warnings.get((claim, what))
                tables.set_warning(connection, claim, what, to, now)
                if to <= (0 if before is None else before.level):
                    continue
                due = next(each for each in case.dues(now) if each.what == what)
                assert due.left is not None
                said = words.warning(due, case.standing.state, case.life, now, case.row.name)
                tables.add_notice(
                    connection,
                    case.row.uid,
                    "warning",
                    what,
                    said.message,
                    hint=said.hint,
                    container=case.row.name,
                    at=max(now.wall + due.left, now.wall),
                    time=now.wall,
                )
        return tables.warnings(connection)


def _changes(case: Case, warnings: Warnings, now: Moment) -> dict[What, int]:
    """The level that each warning is to have, where it has another one now."""
    claim = case.row.claim_id
    wanted: dict[What, int] = {each.what: level(each.left, each.limit) for each in case.dues(now)}
    for what in tables.WHATS:
        wanted.setdefault(what, 0)
    found = {}
    for what, to in wanted.items():
        stands = warnings.get((claim, what))
        if to != (0 if stands is None else stands.level):
            found[what] = to
    return found


def write_files(ledger: Ledger, cases: Sequence[Case], now: Moment) -> None:
    """Bring the notices in the workspaces up to date, as far as they are this server's to write.

    A workspace that several containers have gets one notice for all of them.
    """
    with ledger.reading() as connection:
        there = tables.notice_files(connection)
    texts: dict[str, tuple[int, list[str]]] = {}
    for case in cases:
        folder = case.row.document.get("workspace")
        near = [
            (each, words.deadline(each, case.standing.state, case.life, now))
            for each in case.dues(now)
            if level(each.left, each.limit)
        ]
        if near and isinstance(folder, str) and folder.startswith("/") and case.row.uid >= 0:
            texts.setdefault(folder, (case.row.uid, []))[1].append(
                words.notice_part(case.row.name, near, now)
            )
    written = {
        folder: uid
        for folder, (uid, parts) in texts.items()
        if may_write(uid) and write_notice(folder, words.notice_file(parts), uid)
    }
    removed = [
        folder
        for folder, uid in there.items()
        if folder not in texts and may_write(uid) and remove_notice(folder)
    ]
    fresh_ones = {folder: uid for folder, uid in written.items() if folder not in there}
    if fresh_ones or removed:
        with ledger.writing() as connection:
            tables.set_notice_files(connection, fresh_ones, removed)
