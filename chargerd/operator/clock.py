"""The two clocks of an operator: what time it is, and how long something takes."""

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Seconds: since 1970 of a wall clock, since anything of a steady one."""


def wall() -> float:
    """Return the seconds since 1970-01-01T00:00:00Z. A server's clock is kept by its system."""
    return time.time()  # noqa: TID251 - the clock that is banned elsewhere is the gateway's


def steady() -> float:
    """Return seconds that nobody sets."""
    return time.monotonic()
