"""What uv, pip and apt-get write while they install, as figures: how far they are, and with what.

Their words are for people and may change; what is not understood changes nothing.
"""

from __future__ import annotations

import re

from ds01_jupyter.core.engine import Amount

_UNITS = {"B": 1, "k": 10**3, "K": 2**10, "M": 10**6, "G": 10**9}
_SIZE = r"(?P<size>[\d.,]+) ?(?P<unit>[kKMG]?)(?P<binary>i?)B"

_RESOLVED = re.compile(r"^Resolved (\d+) packages? in ")
_UV_DOWNLOAD = re.compile(rf"^\s*Downloading (?P<name>[\w.\-]+) \({_SIZE}\)$")
_UV_BUILDING = re.compile(r"^\s*Building (?P<name>[\w.\-]+)")
_UV_DOWNLOADED = re.compile(r"^\s*(?:Downloaded|Built) (?P<name>[\w.\-]+)")
_UV_PREPARED = re.compile(r"^Prepared (?P<count>\d+) packages? in ")
_UV_INSTALLED = re.compile(r"^Installed (?P<count>\d+) packages? in ")
_ADDED = re.compile(r"^ \+ (?P<name>[\w.\-]+)==\S+$")
_PIP_COLLECTING = re.compile(r"^Collecting (?P<name>[\w.\-]+)")
_PIP_INSTALLING = re.compile(r"^Installing collected packages: (?P<names>.+)$")
_PIP_DONE = re.compile(r"^Successfully installed (?P<names>.+)$")
_APT_COUNT = re.compile(r"^(?P<upgraded>\d+) upgraded, (?P<new>\d+) newly installed,")
_APT_STEP = re.compile(r"^(?P<step>Get:\d+|Unpacking|Setting up) (?P<rest>\S.*)$")

RESOLVED, PREPARED, INSTALLED = 0.1, 0.7, 0.9
"""How far a step is at these points; after the last, its files are compiled and saved."""


class PackageOutput:
    """The output of one step, line by line. `fraction` never falls."""

    def __init__(self) -> None:
        self.fraction = 0.0
        """How much of the step is done, as far as its output tells."""
        self.amount: Amount | None = None
        """Packages done of those that come; None until something is counted."""
        self._sizes: dict[str, int] = {}
        self._there: set[str] = set()
        self._apt = 0
        self._apt_steps = 0
        self._added = 0
        self._total: int | None = None

    def heard(self, line: str) -> bool:
        """Take a line in; whether it told anything."""
        return self._uv(line) or self._pip(line) or self._debian(line)

    def _uv(self, line: str) -> bool:
        if _RESOLVED.match(line):
            # How many of these are there already is not said: no total yet.
            return self._reach(RESOLVED)
        found = _UV_DOWNLOAD.match(line)
        if found:
            self._sizes[found["name"]] = _bytes(found)
            return self._downloads(found["name"])
        found = _UV_DOWNLOADED.match(line)
        if found:
            self._there.add(found["name"])
            return self._downloads(found["name"])
        found = _UV_BUILDING.match(line)
        if found:
            return self._downloads(found["name"])
        found = _UV_PREPARED.match(line)
        if found:
            self._total = int(found["count"])
            return self._reach(PREPARED, Amount(0, self._total, "packages"))
        found = _UV_INSTALLED.match(line)
        if found:
            self._total = int(found["count"])
            return self._reach(INSTALLED, Amount(self._total, self._total, "packages"))
        found = _ADDED.match(line)
        if found:
            self._added = min(self._added + 1, self._total or self._added + 1)
            return self._reach(INSTALLED, Amount(self._added, self._total, "packages", found[1]))
        return False

    def _downloads(self, name: str) -> bool:
        whole = sum(self._sizes.values())
        done = sum(size for each, size in self._sizes.items() if each in self._there)
        share = done / whole if whole else 0.0
        amount = Amount(done, whole, "bytes", name) if whole else Amount(item=name)
        return self._reach(RESOLVED + (PREPARED - RESOLVED) * share, amount)

    def _pip(self, line: str) -> bool:
        found = _PIP_COLLECTING.match(line)
        if found:
            self._there.add(found["name"])
            # Nobody knows how many follow: ever smaller steps towards the point of installing.
            share = 1 - 1 / (1 + len(self._there) / 10)
            amount = Amount(len(self._there), None, "packages", found["name"])
            return self._reach(PREPARED * share, amount)
        found = _PIP_INSTALLING.match(line)
        if found:
            self._total = found["names"].count(",") + 1
            return self._reach(PREPARED, Amount(0, self._total, "packages"))
        found = _PIP_DONE.match(line)
        if found:
            count = len(found["names"].split())
            return self._reach(INSTALLED, Amount(count, count, "packages"))
        return False

    def _debian(self, line: str) -> bool:
        found = _APT_COUNT.match(line)
        if found:
            self._apt = int(found["upgraded"]) + int(found["new"])
            return self._reach(RESOLVED, Amount(0, self._apt, "packages") if self._apt else None)
        found = _APT_STEP.match(line) if self._apt else None
        if found is None:
            return False
        self._apt_steps = min(self._apt_steps + 1, 3 * self._apt)
        # `Get:7 URL suite/part arch NAME ...`, and `Unpacking NAME (...)` or `Setting up NAME`.
        words = found["rest"].split()
        item = words[3] if found["step"].startswith("Get") and len(words) > 3 else words[0]
        done = max(0, self._apt_steps - 2 * self._apt)
        share = self._apt_steps / (3 * self._apt)
        return self._reach(
            RESOLVED + (INSTALLED - RESOLVED) * share,
            Amount(done, self._apt, "packages", item.partition(":")[0]),
        )

    def _reach(self, fraction: float, amount: Amount | None = None) -> bool:
        self.fraction = max(self.fraction, fraction)
        self.amount = amount or self.amount
        return True


def _bytes(found: re.Match[str]) -> int:
    number = float(found["size"].replace(",", ""))
    letter = found["unit"] or "B"
    factor = _UNITS[letter]
    if found["binary"]:
        factor = {"k": 2**10, "K": 2**10, "M": 2**20, "G": 2**30}.get(letter, 1)
    return round(number * factor)
