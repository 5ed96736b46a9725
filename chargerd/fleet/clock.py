"""The clocks of simulated machines: each has a boot of its own over one time that all of them share."""

import time
from typing import Protocol

from chargerd.core.clock import Clock
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import Instant, Seconds, after

UP_AFTER = Seconds(20.0)
"""How long a machine takes to come up: what its boot clock has counted when its daemon begins."""


LONGEST_STEP = Seconds(0.25)
"""By how much the time of a story goes on at once: less than any step of a start may take."""


class Time(Protocol):
    """The time all machines of a fleet share."""

    def now(self) -> Instant:
        """Return the seconds since some beginning."""

    def wall_ms(self) -> int:
        """Return the wall time in milliseconds since 1970."""


class RealTime(Time):
    """The machine's own time."""

    pace = 1.0
    longest_wait = 0.1
    """Seconds of the machine's that may be waited at once, so that somebody who asks to leave is heard."""

    def advance(self) -> None:
        """Do nothing: it goes by itself."""

    def now(self) -> Instant:
        """Return the seconds since the machine's boot."""
        return Instant(time.clock_gettime(time.CLOCK_BOOTTIME))

    def wall_ms(self) -> int:
        """Return the wall time."""
        return time.time_ns() // 1_000_000


class StoryTime(Time):
    """Time that goes `pace` times as fast as the machine's, but never leaps.

    It moves by `advance` alone, and by a step at most: on a machine that is busy with others a story takes longer,
    and happens all the same.
    """

    def __init__(self, pace: float) -> None:
        self.pace = pace
        self._real = RealTime()
        self._seen = self._now = self._began = self._real.now()
        self._wall_ms = self._real.wall_ms()

    @property
    def longest_wait(self) -> float:
        """Seconds of the machine's that may be waited at once: a step of this time."""
        return LONGEST_STEP / self.pace

    def advance(self) -> None:
        """Let the time pass that has passed."""
        before, self._seen = self._seen, self._real.now()
        self._now = after(self._now, min(LONGEST_STEP, Seconds((self._seen - before) * self.pace)))

    def now(self) -> Instant:
        """Return the seconds since the machine's boot, as they would be if it had gone so fast from the start."""
        return self._now

    def wall_ms(self) -> int:
        """Return the wall time, which runs as fast."""
        return self._wall_ms + round((self._now - self._began) * 1000)


class MachineClock(Clock):
    """One machine's clock. Its wall time may be unknown (`quality` is `none`) or off by `error_ms`."""

    def __init__(self, shared: Time) -> None:
        self.boot = 0
        self.quality = ClockQuality.NTP
        self.error_ms = 0
        self._shared = shared
        self._booted = 0.0

    def reboot(self) -> None:
        """Let the boot clock begin anew, as after a power cut."""
        self._booted = self._shared.now() - UP_AFTER

    def now(self) -> Instant:
        """Return the seconds since the machine's boot."""
        return Instant(self._shared.now() - self._booted)

    def shared(self, instant: Instant) -> Instant:
        """Return an instant of this machine in the time all of them share."""
        return Instant(instant + self._booted)

    def sleep(self, span: Seconds) -> None:
        """Raise: who turns all gateways may not wait for the time that goes on by these turns.

        Only a bus with a line sleeps, and `Daemon.run`: gateways of a fleet have neither.
        """
        raise RuntimeError(f"a machine of a fleet was to sleep {span:g} s: it has neither a line nor a process")

    def moment(self) -> Moment:
        """Return this moment; the wall time is `None` while nothing vouches for it."""
        known = self.quality is not ClockQuality.NONE
        wall = self._shared.wall_ms() + self.error_ms if known else None
        return Moment(instant=self.now(), boot=self.boot, wall_ms=wall, clock=self.quality)
