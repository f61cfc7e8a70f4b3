"""The view of a checked limits file."""

from __future__ import annotations

from collections.abc import Sequence

from ds01_jupyter.core import models
from ds01_jupyter.render.blocks import Block, Cell, Column, Note, Table, Tone
from ds01_jupyter.render.view import View


def check(report: models.CheckReport, name: str) -> View:
    """Mistakes, then warnings, each with its line; `name` is what the person calls the file."""
    blocks: list[Block] = []
    if report.mistakes:
        blocks.append(_table("Mistakes", report.mistakes, report.file, "bad"))
    if report.warnings:
        blocks.append(_table("Warnings", report.warnings, report.file, "warn"))
    blocks += [Note(f"Not checked: {text}.", "dim") for text in report.not_checked]
    return View(*blocks, _verdict(report, name), data=report)


def _verdict(report: models.CheckReport, name: str) -> Note:
    warnings = f" and {_count(len(report.warnings), 'warning')}" if report.warnings else ""
    if report.ok:
        return Note(f"{name}: no mistakes{warnings}.", "good")
    mistakes = _count(len(report.mistakes), "mistake")
    return Note(f"{name}: {mistakes}{warnings}. The file would be refused as a whole.", "bad")


def _table(title: str, findings: Sequence[models.LimitsFinding], file: str, tone: Tone) -> Table:
    # Key and sentence in one column: beside it, a key would be broken where a terminal is narrow.
    rows = tuple(
        (Cell(_line(finding, file), "strong"), Cell(_words(finding), tone)) for finding in findings
    )
    return Table((Column("Line", right=True), Column("What")), rows, title=title)


def _words(finding: models.LimitsFinding) -> str:
    said = f"{finding.message} {finding.hint}".strip()
    return f"{finding.key}: {said}" if finding.key else said


def _line(finding: models.LimitsFinding, file: str) -> str:
    line = "" if finding.line is None else str(finding.line)
    return line if finding.file == file else f"{finding.file}:{line}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
