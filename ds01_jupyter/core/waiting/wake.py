"""Whether a server that has just started has work to do without being asked.

A server makes its lab with the first request. Who waited when it was stopped would then wait until
somebody opened a page, and no container would meet its time limits; so it looks once when it
starts. Imports nothing that costs anything.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote


def has_work(ledger: Path, uid: int) -> bool:
    """Whether the ledger at that path has a container (whose time is looked after), or the person
    (for root: anybody) has a place in its queue.

    A file that is not there or cannot be read is no reason to do anything: the lab, once it is
    made, says what is wrong with it.
    """
    if not ledger.exists():
        return False
    address = f"file:{quote(str(ledger))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=2.0)) as connection:
            found = connection.execute(
                "SELECT EXISTS (SELECT 1 FROM waiting WHERE state IN ('waiting', 'starting')"
                " AND ? IN (0, uid)) OR EXISTS (SELECT 1 FROM containers)",
                (uid,),
            ).fetchone()
    except sqlite3.Error:
        return False
    return bool(found[0])
