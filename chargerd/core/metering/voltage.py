"""The voltage a port is supplied with, by whichever meter upstream of it tells: its circuit's, or one of a port.

A voltage that is missing or no number is no evidence, of neither good nor bad.
"""

from dataclasses import dataclass, field
from math import isfinite

from chargerd.core.metering.pickup import DefiniteTime, reached
from chargerd.core.plan import Protection
from chargerd.core.units import Instant, Seconds, Volts, after, between

KEEPS = Seconds(10.0)
"""How long a reading counts, at the least: voltages are read each 2 s."""
REFRESHES = 3
"""How many readings of its own a meter may miss before its last one counts no more."""
READINGS = 2
"""Before a port is not started for it: what is out of its band has to be seen more than once."""
DARK = Volts(50.0)
"""What is left on a dead line by its neighbours: IEC 60038 has no mains below."""
HIGHEST = Volts(1000.0)
"""What is above all ranges is at least this."""


FARTHEST = 1_000_000
"""Rank of nobody: whoever speaks next is believed."""


@dataclass(slots=True)
class Mains:
    """The newest voltage of one port's phases, and since when it has been out of its band, or back in it."""

    protection: Protection
    low: Volts | None = None
    """Of the lowest phase, where a port's phase is not stated."""
    high: Volts | None = None
    at: Instant | None = None
    _rank: int = FARTHEST
    _keeps: Seconds = KEEPS
    over: DefiniteTime = field(init=False)
    under: DefiniteTime = field(init=False)
    _band: DefiniteTime = field(init=False)

    def __post_init__(self) -> None:
        delay = self.protection.voltage_delay
        self.over, self.under = DefiniteTime(delay, keeps=KEEPS), DefiniteTime(delay, keeps=KEEPS)
        self._band = DefiniteTime(self.protection.voltage_back, keeps=KEEPS)

    def take_in(self, volts: tuple[Volts | None, ...], at: Instant, *, rank: int, refresh: Seconds) -> bool:
        """Take in what a meter shows of the port's phases; say whether that is out of its band.

        The meter of lowest `rank` is believed for as long as it speaks: the nearest one upstream. If it leaves a
        phase out it has not spoken, and the next to speak is believed at once. What has been out of the band so
        far goes on by whichever meter tells next.
        """
        known = [Volts(min(abs(one), HIGHEST)) for one in volts if one is not None and isfinite(one)]
        if rank == self._rank and len(known) < len(volts):
            self.unheard(rank)
        if not known or len(known) < len(volts) or not self._believes(at, rank, refresh):
            return False
        self.low, self.high, self.at, self._rank = min(known), max(known), at, rank
        over, under = self.high >= self.protection.overvoltage, self.low <= self.protection.undervoltage
        self.over.take_in(at, above=over)
        self.under.take_in(at, above=under)
        self._band.take_in(at, above=not over and not under)
        keeps = Seconds(max(KEEPS, REFRESHES * refresh))
        self._keeps = self.over.keeps = self.under.keeps = self._band.keeps = keeps
        return over or under

    def unheard(self, rank: int) -> None:
        """A meter of this rank has not answered: if it was the one believed, the next to speak is, at once."""
        if rank <= self._rank:
            self._rank = FARTHEST

    def _believes(self, at: Instant, rank: int, refresh: Seconds) -> bool:
        if self.at is None or at > after(self.at, self._keeps) or rank < self._rank:
            return True
        return rank == self._rank and between(self.at, at) >= refresh

    def known(self, now: Instant) -> bool:
        """Say whether a reading counts as of `now`."""
        return self.at is not None and not reached(after(self.at, self._keeps), now)

    def out(self, now: Instant) -> bool:
        """Say whether nothing may be closed for it: two readings out of the band, and none in it since."""
        readings = max(self.over.readings, self.under.readings)
        return self.known(now) and readings >= READINGS

    def steady(self, now: Instant) -> bool:
        """Say whether it has been back in its band for long enough."""
        return self.known(now) and self._band.reached(now)

    @property
    def back_since(self) -> Instant | None:
        """Since when it is in its band again."""
        return self._band.since

    def steady_at(self) -> Instant | None:
        """Return when it will have been in its band for long enough, if it stays there."""
        return None if self._band.since is None else after(self._band.since, self._band.delay)

    def dark(self, now: Instant) -> bool:
        """Say whether the line is dead."""
        return self.known(now) and self.high is not None and self.high < DARK
