"""The route table: every address of the API and its handler.

Addresses are written as in the OpenAPI document. What a parameter may look like on the wire
(percent-encoded) stands here; whether it names anything is the core's to say.
"""

from __future__ import annotations

import re

from ds01_jupyter.handlers import (
    containers,
    gpus,
    images,
    limits,
    machine,
    mig,
    notices,
    operations,
    queue,
    reservations,
)
from ds01_jupyter.handlers.base import PREFIX, DS01Handler, NoRouteHandler

Routes = list[tuple[str, type[DS01Handler]]]

PARAMETERS = {
    "name": r"[A-Za-z0-9._~@:+%-]{1,1200}",
    "operation_id": r"[0-9a-f]{16}",
    "gpu": r"[A-Za-z0-9-]{1,100}",
    "entry_id": r"[0-9]{1,18}",
    "reservation_id": r"[0-9]{1,18}",
}

ROUTES: Routes = [
    *machine.routes,
    *gpus.routes,
    *limits.routes,
    *images.routes,
    *containers.routes,
    *notices.routes,
    *mig.routes,
    *queue.routes,
    *reservations.routes,
    *operations.routes,
]


def pattern(template: str) -> str:
    """`images/{name}` as the regular expression that tornado matches."""
    parts = re.split(r"\{(\w+)\}", template)
    named = (
        f"(?P<{part}>{PARAMETERS[part]})" if index % 2 else re.escape(part)
        for index, part in enumerate(parts)
    )
    return f"/{PREFIX}/" + "".join(named)


def tornado_handlers() -> list[tuple[str, type[DS01Handler]]]:
    """The table as an ExtensionApp takes it, closed by a refusal of everything else."""
    table = [(pattern(template), handler) for template, handler in ROUTES]
    return [*table, (rf"/{PREFIX}(?:/.*)?", NoRouteHandler)]
