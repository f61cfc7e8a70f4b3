"""The commands about waiting: `why` and `queue`."""

from __future__ import annotations

from typing import Any

from ds01_jupyter.commands.grammar_parts import argument, commands, listing, verb, work_options


def waiting(verbs: Any) -> None:
    """Add them."""
    why = verb(
        verbs,
        "why",
        "why.explain",
        "can I have a GPU now, and if not, why and when",
        details="With NAME: what happened to a container of yours.",
    )
    argument(
        why, "name", nargs="?", metavar="NAME", complete="container", help="absent: about a GPU"
    )
    wish = "any, whole, a MIG profile (1g.5gb), a slot (0:1), an amount of memory (>=10GB)"
    argument(why, "--gpu", default="any", metavar="WHAT", complete="gpu", help=wish)
    argument(why, "--gpus", type=int, default=1, metavar="N", help="how many such slots (1)")
    listing(why)
    group = verb(verbs, "queue", "queue.listing", "who waits for a GPU slot")
    listing(group)
    queue = commands(group, "DO", run="queue.listing")
    listing(verb(queue, "list", "queue.listing", "who waits, in order, and until when"))
    for name, text in (
        ("follow", "watch your place until the container runs; Ctrl-C keeps the place"),
        ("leave", "give your place up"),
    ):
        one = verb(queue, name, f"queue.{name}", text)
        argument(one, "entry", type=int, metavar="ID", complete="queue", help="see `queue`")
        if name == "follow":
            work_options(one)
        else:
            listing(one)
