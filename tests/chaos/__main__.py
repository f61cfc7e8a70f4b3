"""`python -m tests.chaos --kills N [--seed S]`."""

from __future__ import annotations

import argparse
import secrets
import sys


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    return parser.parse_args()


if __name__ == "__main__":
    from tests.chaos.run import main

    given = arguments()
    sys.exit(main(given.kills, given.seed))
