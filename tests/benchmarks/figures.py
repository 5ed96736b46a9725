"""What is measured and what it is measured against."""

import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from tests.benchmarks.site import PORTS

CHARACTER_BITS = 10
TURNAROUND = 0.002
FAST_BAUD = 19200
SHORTEST_SILENCE = 0.00175
READ, READ_REPLY, WRITE = 8, 9, 8


def silence(baudrate: int) -> float:
    """Return the silence between frames in seconds (MODBUS over Serial Line V1.02, 2.5.1.1)."""
    return SHORTEST_SILENCE if baudrate > FAST_BAUD else 3.5 * CHARACTER_BITS / baudrate


def floor(baudrate: int, reply: int = READ_REPLY) -> float:
    """Return the seconds a transaction takes at least: request, silence, turnaround, reply, silence."""
    return (READ + reply) * CHARACTER_BITS / baudrate + 2 * silence(baudrate) + TURNAROUND


def round_floor(baudrate: int) -> float:
    """Return the seconds twelve readings of a current take at least."""
    return PORTS * floor(baudrate)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all values do not exceed, without interpolation."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return what a document says about several measurements of one thing."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def intervals(stats: dict[str, Any], leave_out: int | None = None) -> list[float]:
    """Return the times between two readings of the same current."""
    found: list[float] = []
    for index, reads in enumerate(stats["reads"]):
        if index != leave_out:
            found += [later - earlier for earlier, later in pairwise(reads)]
    return found


def over_floor(all_stats: Iterable[dict[str, Any]]) -> float:
    """Return the time from the first request to the end of the last reply over what the frames take at least."""
    held = list(all_stats)
    return float(sum(one["span"] for one in held) / sum(one["floors"] for one in held))
