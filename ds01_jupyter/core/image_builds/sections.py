"""The parts of a Dockerfile that are kept up to date, between two marks; all else is a person's.

Whoever adds lines above, between or below the marked parts keeps them when the packages change.
"""

from __future__ import annotations

import re

BEGIN = "# >>> ds01 {name} >>> kept up to date; write above or below this part"
END = "# <<< ds01 {name} <<<"
NAMES = ("base", "packages", "end")

_PART = re.compile(
    r"^# >>> ds01 (?P<name>[a-z]+) >>>[^\n]*\n(?P<text>.*?)^# <<< ds01 (?P=name) <<<[^\n]*$",
    re.MULTILINE | re.DOTALL,
)
_MARK = re.compile(r"^# (?:>>>|<<<) ds01 ", re.MULTILINE)


def parts(text: str) -> dict[str, str] | None:
    """The marked parts by name, without their marks; None where the marks are not as we set them
    (one missing, twice, or one part within another)."""
    found: dict[str, str] = {}
    for match in _PART.finditer(text):
        if match["name"] in found or _MARK.search(match["text"]):
            return None
        found[match["name"]] = match["text"]
    return found if len(_MARK.findall(text)) == 2 * len(found) else None


def merged(mine: str, rendered: str) -> str | None:
    """A person's Dockerfile with its marked parts as in `rendered`; a part that the person took out
    stays out. None where it has no marked parts that could be told."""
    old, new = parts(mine), parts(rendered)
    if not old or not new or not old.keys() <= new.keys():
        return None

    def replace(match: re.Match[str]) -> str:
        start, end = match.start("text") - match.start(), match.end("text") - match.start()
        return f"{match[0][:start]}{new[match['name']]}{match[0][end:]}"

    return _PART.sub(replace, mine)


def touched(mine: str, written: str) -> list[str]:
    """The marked parts that a person changed inside, against the text that was written."""
    old, now = parts(written) or {}, parts(mine) or {}
    return [name for name in now if name in old and now[name] != old[name]]
