"""Containers with a time of their own, for the tests of what people see of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ds01_jupyter.core import models
from tests.unit import lab_standin as lab

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = 3600.0


def at(**ahead: float) -> str:
    """A moment that far from `NOW`, as JSON has it."""
    return (NOW + timedelta(**ahead)).isoformat()


def deadline(
    what: str, when: str | None, limit: float | None, near: bool = False
) -> dict[str, Any]:
    """Something that will happen by itself; `limit` in hours."""
    seconds = None if limit is None else limit * HOUR
    return {"what": what, "at": when, "limit": seconds, "near": near, "message": "It will."}


def life(*deadlines: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The time of a container that works."""
    return {
        "running": 9 * HOUR,
        "idle": 0.0,
        "activity": "active",
        "activity_from": "gpu",
        "keep_alive_until": None,
        "deadlines": list(deadlines),
        **more,
    }


def idling(minutes: float = 40.0, limit: float = 48.0, near: bool = True) -> dict[str, Any]:
    """The time of a container that stops for idling in so many minutes."""
    stops = deadline("idle_stop", at(minutes=minutes), limit, near)
    return life(stops, activity="idle", idle=limit * HOUR - minutes * 60)


def container(name: str = "demo", time: dict[str, Any] | None = None, **more: Any) -> Any:
    """A container with that time."""
    return models.Container.model_validate(lab.container(name, life=time, **more))


def notice(number: int = 1, **more: Any) -> dict[str, Any]:
    """A warning of a stop in 40 minutes, given five minutes ago."""
    return {
        "id": number,
        "time": at(minutes=-5),
        "kind": "warning",
        "container": "demo",
        "what": "idle_stop",
        "message": "demo has been idle for 47 h of 48 h.",
        "hint": "",
        "at": at(minutes=40),
        **more,
    }
