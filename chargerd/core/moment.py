"""What the core is told about time. Decisions use `Moment.instant` alone; the rest is written into records."""

from dataclasses import dataclass
from enum import StrEnum

from chargerd.core.units import Instant


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
