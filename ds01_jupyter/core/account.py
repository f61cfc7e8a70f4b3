"""The account that an image gets: a person's name and numbers, for `build_scripts/account.py`."""

from __future__ import annotations

import json
import re

from ds01_jupyter.core.errors import InvalidInput
from ds01_jupyter.core.identity import Person

FILE = "account.json"
SCRIPT = "account.py"
TITLE = "Your account"
COMMAND = '["python3", "-B", "/opt/ds01/account.py", "/opt/ds01/account.json"]'

# What would end a field or a line of /etc/passwd. All else a directory may hold.
_UNFIT = re.compile(r"[\x00-\x1f\x7f:,/]")


def needs_account(person: Person) -> bool:
    """Whether an image must be given the account: root is in every one."""
    return person.uid != 0


def account_file(person: Person) -> str:
    """Content of `account.json`.

    Raises `InvalidInput` for a name that cannot stand in /etc/passwd.
    """
    if not person.name or person.name == "root" or _UNFIT.search(person.name):
        raise InvalidInput(
            f"The account name {person.name!r} cannot stand in a container's /etc/passwd.",
            hint="Your admin should give the account a name without colons, commas and slashes.",
            name=person.name,
        )
    content = {"name": person.name, "uid": person.uid, "gid": person.gid}
    return json.dumps(content, indent=1) + "\n"
