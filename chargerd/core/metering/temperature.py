"""How hot a socket is by its own sensor, and for how long it has been too hot.

A sensor that is silent, invalid or torn off is not hot: it protects nothing, and stops nobody.
"""

from dataclasses import dataclass, field
from math import isfinite

from chargerd.core.metering.pickup import DefiniteTime, reached
from chargerd.core.plan import Protection
from chargerd.core.units import Celsius, Instant, Seconds, after

KEEPS = Seconds(15.0)
"""How long a reading counts: three of those that are taken each 5 s."""
COOLED = 5.0
"""By how many kelvins a socket must have cooled before it is warned of again."""


@dataclass(slots=True)
class Heat:
    """The newest temperature of one socket, and since when it has been above each threshold."""

    protection: Protection
    celsius: Celsius | None = None
    at: Instant | None = None
    over: DefiniteTime = field(init=False)
    """Whether it is too hot, and for how long; what it opens for is `chargerd.core.protection.temperature`'s."""
    _warm: DefiniteTime = field(init=False)
    _warned: bool = False

    def __post_init__(self) -> None:
        delay = self.protection.temperature_delay
        self.over, self._warm = DefiniteTime(delay, keeps=KEEPS), DefiniteTime(delay, keeps=KEEPS)

    def take_in(self, celsius: Celsius | None, at: Instant) -> bool:
        """Take in a reading; say whether it is time to warn, which is once until the socket has cooled."""
        protection = self.protection
        if celsius is not None and not isfinite(celsius):
            celsius = None
        self.celsius, self.at = celsius, at
        self.over.take_in(at, above=celsius is not None and celsius >= protection.temperature_trip)
        self._warm.take_in(at, above=celsius is not None and celsius >= protection.temperature_warn)
        if celsius is not None and celsius < protection.temperature_warn - COOLED:
            self._warned = False
        if self._warned or not self._warm.reached(at):
            return False
        self._warned = True
        return True

    def known(self, now: Instant) -> Celsius | None:
        """Return the temperature as of `now`; `None` while no reading counts."""
        return None if self.at is None or reached(after(self.at, KEEPS), now) else self.celsius

    def warm(self, now: Instant) -> bool:
        """Say whether the socket is too warm for a start."""
        celsius = self.known(now)
        return celsius is not None and celsius >= self.protection.temperature_warn
