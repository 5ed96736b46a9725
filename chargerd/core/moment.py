"""What the core is told about time. Decisions use `Moment.instant` alone; the rest is written into records."""

from dataclasses import dataclass
from enum import StrEnum

from chargerd.core.units import Instant, Seconds, between


class ClockQuality(StrEnum):
    """Where the wall clock has its time from (the contract's `clock`)."""

    NTP = "ntp"
    RTC = "rtc"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One moment on the boot clock and, as far as it is known, on the wall clock.

    `instant` is CLOCK_BOOTTIME in seconds and the only member a decision may use. `boot` counts the starts of
    this gateway's operating system and makes instants of different boots tell apart. `wall_ms` is Unix time in
    milliseconds, `None` exactly while `clock` is `NONE`.
    """

    instant: Instant
    boot: int = 0
    wall_ms: int | None = None
    clock: ClockQuality = ClockQuality.NONE


def passed(since: Moment, now: Moment) -> Seconds | None:
    """Return how long ago a moment was, in seconds; `None` while nothing proves it.

    Within one boot the boot clock tells; one that went back is another boot's. Over a reboot only wall clocks that
    something vouches for can, on both sides; one that went back proves nothing, and nothing from before it is more
    recent than this boot is old.
    """
    if since.boot == now.boot:
        span = between(since.instant, now.instant)
        return span if span >= 0 else None
    if since.wall_ms is None or now.wall_ms is None:
        return None
    span = Seconds((now.wall_ms - since.wall_ms) / 1000)
    return span if span >= now.instant else None
