"""The grammar of reservations: `reserve` and `reservations`."""

from __future__ import annotations

from typing import Any

from ds01_jupyter.commands.grammar_parts import argument, commands, listing, verb


def reservations(verbs: Any) -> None:
    """Add both verbs."""
    reserve = verb(
        verbs,
        "reserve",
        "reservations.reserve",
        "for admins: promise GPU slots to somebody for a time",
        details="WHEN is a moment: 2026-12-01 09:00, tomorrow 9:00, fri 18:00, 18:00, +8h, now.",
    )
    reserve.usage = "%(prog)s GPU (--for USER | --group G) --from WHEN --to WHEN [options]"
    wish = "a slot (0:1), a MIG profile (1g.5gb), or whole"
    argument(reserve, "gpu", metavar="GPU", complete="reservable", help=wish)
    argument(reserve, "--for", dest="user", metavar="USER", complete="user", help="one person")
    text = "a group of the limits file"
    argument(reserve, "--group", "-g", metavar="G", complete="group", help=text)
    text = "when it begins (now)"
    argument(reserve, "--from", dest="start", nargs="+", metavar="WHEN", help=text)
    argument(reserve, "--to", dest="end", nargs="+", metavar="WHEN", help="when it ends")
    text = "how long it lasts, such as 8h, instead of --to"
    argument(reserve, "--for-time", dest="length", metavar="LENGTH", help=text)
    argument(reserve, "--count", "-n", type=int, default=1, metavar="N", help="how many (1)")
    argument(reserve, "--reason", "-r", metavar="TEXT", help="shown to all")
    text = "how long before nobody else gets them, and who has to stop is told (24h)"
    argument(reserve, "--notice", default="24h", metavar="LENGTH", help=text)
    listing(reserve)
    group = verb(verbs, "reservations", "reservations.listing", "what is promised to whom")
    argument(group, "--all", "-a", action="store_true", help="what is over or cancelled, too")
    listing(group)
    verbs_of_it = commands(group, "DO", run="reservations.listing")
    for name, text in (("show", "one of them"), ("cancel", "for admins: take one back")):
        one = verb(verbs_of_it, name, f"reservations.{name}", text)
        argument(one, "id", type=int, metavar="ID", complete="reservation", help="see the list")
        listing(one)
