"""The name within a requirement, to find it again; nothing is judged here."""

from __future__ import annotations

import re

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def requirement_name(text: str) -> str:
    """`Scikit_Image[io]>=0.24` -> `scikit-image`: the name as indexes compare it.

    Text without a name comes back as it is, without blanks at its ends.
    """
    found = _NAME.match(text)
    return re.sub(r"[-_.]+", "-", found[1]).casefold() if found else text.strip()
