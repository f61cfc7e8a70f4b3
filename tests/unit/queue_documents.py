"""Documents of the queue, of explanations and of reservations, for the tests of their faces."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ds01_jupyter.core import models

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)


def estimate(**values: Any) -> models.Estimate:
    """In two hours at the latest."""
    return models.Estimate(
        **{"at": LATER, "certain": True, "because": "2:0 is free then", **values}
    )


def limit_use(**values: Any) -> models.LimitUse:
    """One of two slots in use, one more asked for."""
    return models.LimitUse(
        **{"key": "max_mig_instances", "limit": 2, "in_use": 1, "asked": 1, "fits": True, **values}
    )


def obstacle(slot: str = "2:0", **values: Any) -> models.Obstacle:
    """Bob has a slot."""
    return models.Obstacle(
        **{
            "slot": slot,
            "profile": "2g.10gb",
            "who": "bob",
            "container": None,
            "free_at": LATER,
            "because": "its longest run time ends",
            **values,
        }
    )


def alternative(gpu: str = "1g.5gb", **values: Any) -> models.Alternative:
    """A smaller slot."""
    command = f"ds01 container create NAME --image IMAGE --gpu {gpu}"
    return models.Alternative(
        **{"gpu": gpu, "gpus": 1, "words": "a smaller slot", "command": command, **values}
    )


def explanation(outcome: Any = "later", **values: Any) -> models.Explanation:
    """Why alice cannot have a 2g.10gb now."""
    return models.Explanation(
        **{
            "gpu": "2g.10gb",
            "gpus": 1,
            "outcome": outcome,
            "code": "ok" if outcome == "now" else "no_free_slot",
            "message": "No slot 2g.10gb is free now.",
            "hint": "`ds01 gpus` shows who has them.",
            "limits": [limit_use()],
            "obstacles": [obstacle()],
            "estimate": estimate(),
            "instead": [alternative()],
            **values,
        }
    )


def entry(number: int = 7, **values: Any) -> models.QueueEntry:
    """Alice's place in the queue."""
    return models.QueueEntry(
        **{
            "id": number,
            "user": "alice",
            "mine": True,
            "name": "text",
            "gpu": "2g.10gb",
            "gpus": 1,
            "state": "waiting",
            "position": 2,
            "standing": models.Standing(priority=10, fair_share=42.5, waiting=3, total=55.5),
            "created": NOW,
            "estimate": estimate(),
            **values,
        }
    )


def reservation(number: int = 3, **values: Any) -> models.Reservation:
    """A whole GPU for bob."""
    return models.Reservation(
        **{
            "id": number,
            "gpu": "whole",
            "gpus": 1,
            "user": "bob",
            "group": None,
            "start": NOW,
            "end": LATER,
            "reason": "paper",
            "by": "root",
            "created": NOW,
            "state": "active",
            "slots": ["0"],
            **values,
        }
    )
