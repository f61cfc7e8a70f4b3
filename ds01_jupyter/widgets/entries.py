"""What a person types into a package field, taken apart into entries.

Nothing is judged here: whatever stands there goes to the server as it is, which knows what a
package name may look like and says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_OPERATOR = r"(?:===|==|~=|!=|<=|>=|<|>)"
_CLAUSE = rf"{_OPERATOR}\s*[^\s,;]+"
_ENTRY = re.compile(
    rf"[^\s,\[<>=!~]+(?:\s*\[[^\]]*\])?(?:\s*{_CLAUSE}(?:\s*,\s*{_CLAUSE})*)?|[^\s,]+"
)
_COMMENT = re.compile(r"(?:^|\s)#.*")
# A line that holds one of these is one entry: `;` starts a marker, `@` a direct reference, `-` an
# option of pip. Split at blanks they would lose their meaning, and the server its sentence on them.
_WHOLE_LINE = re.compile(r"^-|;|\s@\s|://")


def split_requirements(text: str) -> list[str]:
    """Python packages from newlines, commas and blanks; `numpy >= 2, < 3` stays one entry."""
    found: list[str] = []
    for raw in text.splitlines():
        line = _COMMENT.sub("", raw).strip()
        if not line:
            continue
        if _WHOLE_LINE.search(line):
            found.append(line)
        else:
            found += [match.group().strip() for match in _ENTRY.finditer(line)]
    return list(dict.fromkeys(found))


def split_words(text: str) -> list[str]:
    """Debian packages from newlines, commas and blanks."""
    return list(dict.fromkeys(word for word in re.split(r"[\s,]+", text) if word))


def free_name(wanted: str, taken: Sequence[str]) -> str:
    """`wanted`, or `wanted-2`, `wanted-3`, ... where it is taken."""
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    return name
