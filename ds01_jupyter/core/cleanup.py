"""Taking back what was made, without hiding why."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ds01_jupyter.core.errors import Conflict, CoreError, NotFound

log = logging.getLogger(__name__)


def quietly(action: Callable[[str], object], subject: str) -> None:
    """Take something back; that it cannot be is worth a line in the log, not a second error."""
    try:
        action(subject)
    except (NotFound, Conflict):
        return
    except CoreError as error:
        log.warning("could not clean up %s: %s", subject, error.message)
