"""How the value of each limit is read: one scalar of the file in, one typed value out.

A reader raises ValueError with what is expected. `null` never comes here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from typing import Any

from ds01_jupyter.core.units import (
    MAX_SIZE,
    format_size,
    in_range,
    parse_duration,
    parse_share,
    parse_size,
)
from ds01_jupyter.core.yaml_file import Node

MAX_COUNT = 1_000_000
DOCKER_LEAST_MEMORY = 6 * 1024**2
LEAST_DURATION = timedelta(minutes=1)

Value = int | float | bool | timedelta | None
Reader = Callable[[Node], Value]


def cpus(node: Node) -> float:
    """CPUs of a container, such as 16 or 0.5. 0 would be without any limit for Docker."""
    number = _number(node)
    if number < 0.01:
        raise ValueError("a container cannot run with less than 0.01 CPUs; null means unlimited")
    if number > MAX_COUNT:
        raise ValueError("no machine has as many CPUs")
    return float(number)


def equivalents(node: Node) -> float:
    """GPUs' worth of compute: 1, 0.5, or as a fraction 3/7."""
    if isinstance(node.value, str) and "/" in node.value:
        return float(parse_share(node.value))
    number = _number(node)
    if number < 0:
        raise ValueError("this is not negative; null means unlimited")
    if number > MAX_COUNT:
        raise ValueError("no machine has as many GPUs")
    return float(number)


def switch(node: Node) -> bool:
    """true or false."""
    if not isinstance(node.value, bool):
        raise ValueError("this is true or false, without quotes")
    return node.value


def size(least: int) -> Reader:
    """Bytes, at least `least`. 0 would be without any limit for Docker."""

    def read(node: Node) -> int:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError("a size is a number with k, m, g or t, such as 32g or 512m")
        if isinstance(value, int):
            if value < 0:
                raise ValueError("a size is not negative; null means unlimited")
            found = value
        else:
            found = parse_size(value)
        if found < least:
            raise ValueError(
                f"{format_size(found)} is less than {format_size(least)}, the least that works; "
                "was a unit meant, such as 32g?"
            )
        if found > MAX_SIZE:
            raise ValueError("this size is larger than any machine's")
        return found

    return read


def count(least: int, most: int = MAX_COUNT, *, of_slots: bool = False) -> Reader:
    """A whole number within bounds."""

    def read(node: Node) -> int:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int):
            instead = "; parts of a GPU are for max_gpu_equivalents" if of_slots else ""
            raise ValueError(f"this must be a whole number{instead}")
        if not least <= value <= most:
            raise ValueError(f"this must be from {least} to {most}")
        return value

    return read


def duration(node: Node) -> timedelta:
    """A time with its unit. What is shorter than a minute, and not zero, was meant otherwise."""
    if node.value == 0 and not isinstance(node.value, bool):
        return timedelta(0)
    if not isinstance(node.value, str):
        raise ValueError("a duration carries its unit, such as 48h or 30m")
    return _long_enough(parse_duration(node.value))


def number_of(seconds: int) -> Reader:
    """A time whose unit the key names: a plain number of so many seconds each."""

    def read(node: Node) -> timedelta:
        number = _number(node)
        if number < 0:
            raise ValueError("a duration is not negative; null means without limit")
        return _long_enough(in_range(Fraction(number) * seconds))

    return read


def _long_enough(found: timedelta) -> timedelta:
    if timedelta(0) < found < LEAST_DURATION:
        raise ValueError("this is too short; a minute is the least, and null means without limit")
    return found


def _number(node: Node) -> int | float:
    value: Any = node.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("this must be a number, without quotes")
    if not math.isfinite(value):
        raise ValueError("this must be a finite number; null means unlimited")
    return value
