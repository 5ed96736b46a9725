"""Units as types. Inside the package a figure carries its unit in its type, at the edges in its name."""

import operator
from collections.abc import Callable
from typing import NewType

Amps = NewType("Amps", float)
Volts = NewType("Volts", float)
Watts = NewType("Watts", float)
Celsius = NewType("Celsius", float)
WattHours = NewType("WattHours", float)
Seconds = NewType("Seconds", float)
"""A span of time."""
Instant = NewType("Instant", float)
"""A point on the boot clock (CLOCK_BOOTTIME), in seconds. Comparable only within one boot."""

LONG_AGO = Instant(float("-inf"))
"""Before everything."""

PortId = NewType("PortId", str)
BoardId = NewType("BoardId", str)
CircuitId = NewType("CircuitId", str)
SessionId = NewType("SessionId", str)
CommandId = NewType("CommandId", str)

after: Callable[[Instant, Seconds], Instant] = operator.add
"""Returns the instant so many seconds after another one."""


def between(start: Instant, end: Instant) -> Seconds:
    """Return the seconds from `start` to `end`; negative if `end` comes first."""
    return Seconds(end - start)
