"""`ds01 limits check`: everything that is wrong with a limits file, and what is merely odd.

A mistake makes the file refused as a whole. A warning does not: it is for what an admin will not
have meant, such as a quota that is more than the machine has.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ds01_jupyter.core.errors import ConfigurationError
from ds01_jupyter.core.identity import Accounts, Directory
from ds01_jupyter.core.limit_contents import read_contents
from ds01_jupyter.core.limit_people import MemberFiles
from ds01_jupyter.core.limit_warnings import Hardware, warnings
from ds01_jupyter.core.models import CheckReport, LimitsFinding
from ds01_jupyter.core.yaml_file import Mistakes, Node, TooMuch, load_yaml, parse_yaml

__all__ = ["Hardware", "check", "check_text"]

MAX_FINDINGS = 1000
"""So many mistakes are told, and so many warnings; the rest is counted."""


def check(
    path: Path, hardware: Hardware | None = None, accounts: Accounts | None = None
) -> CheckReport:
    """Check a file and the files of members beside it. Whatever is in them, this never raises.

    `hardware` absent: nothing is compared with the machine. `accounts` absent: the name service.
    """

    def read(mistakes: Mistakes) -> Node:
        return load_yaml(path, "The limits file", mistakes)

    return _check(path, read, MemberFiles(path.parent), hardware, accounts)


def check_text(
    text: str, name: str, hardware: Hardware | None = None, accounts: Accounts | None = None
) -> CheckReport:
    """Check the text of a file that findings call `name`. Files of members are not looked at:
    the report says so in `not_checked`."""
    path = Path(name)

    def read(mistakes: Mistakes) -> Node:
        return parse_yaml(text, path, mistakes)

    return _check(path, read, MemberFiles(None), hardware, accounts)


def _check(
    path: Path,
    read: Callable[[Mistakes], Node],
    files: MemberFiles,
    hardware: Hardware | None,
    accounts: Accounts | None,
) -> CheckReport:
    mistakes = Mistakes()
    odd: list[LimitsFinding] = []
    try:
        contents = None
        with mistakes.gathered():
            root = read(mistakes)
            contents = read_contents(root, accounts or Directory(), files, mistakes)
        if contents is not None:
            odd = list(warnings(contents, hardware or Hardware()))
    except TooMuch as error:
        mistakes.add(error)
    not_checked = [f"{skipped}: files of members are not sent along" for skipped in files.skipped]
    unknown = (hardware or Hardware()).unknown()
    if unknown:
        not_checked.append(f"whether the machine has as much: its {unknown} cannot be told")
    wrong = mistakes.in_order(path)
    odd.sort(key=lambda each: (each.file != str(path), each.file, each.line or 0))
    for found, what in ((wrong, "mistakes"), (odd, "warnings")):
        if len(found) > MAX_FINDINGS:
            not_checked.append(f"{len(found) - MAX_FINDINGS} more {what} are not shown")
    return CheckReport(
        file=str(path),
        ok=not wrong,
        mistakes=[_finding(mistake) for mistake in wrong[:MAX_FINDINGS]],
        warnings=odd[:MAX_FINDINGS],
        not_checked=not_checked,
    )


def _finding(mistake: ConfigurationError) -> LimitsFinding:
    """A mistake without its place in the text, which the finding tells itself."""
    file, line = mistake.details["file"], mistake.details.get("line")
    key = mistake.details.get("key", "")
    text = mistake.message.removeprefix(f"{file}:{line}: ")
    return LimitsFinding(
        file=file,
        line=line,
        key=key,
        message=text.removeprefix(f"{key}: ") if key else text,
        hint="" if mistake.hint.startswith("Ask your admin") else mistake.hint,
    )
