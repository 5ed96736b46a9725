"""The thermal image: how warm a load has made its wire, told from the current alone.

First-order model after IEC 60255-149: each step moves θ towards (I / (k · I_b))² with the time constant τ; θ is 1
where the rated current times k may flow for ever. A gap between readings integrates the last current.
"""

import math

from chargerd.core.units import Amps, Instant, Seconds, between

K = 1.05
"""IEC 60255-149: the factor by which the basic current may be exceeded for ever."""
TAU = Seconds(300.0)
START_BELOW = 0.8
"""A port warmer than this is not started."""
WORTH_KEEPING = 0.01
"""Below it a wire is cold."""
UNKNOWN_OFF_TIME = 0.5
"""What a restart after an unknown time assumes at least: neither cold nor tripped."""


class Thermal:
    """θ of one wire."""

    def __init__(self, theta: float = 0.0, at: Instant | None = None, tau: Seconds = TAU) -> None:
        self._theta = theta
        self._at = at
        self._current = Amps(0.0)
        self._basic = Amps(1.0)
        self._tau = tau

    def note(self, current: Amps, basic: Amps, at: Instant) -> None:
        """Take in a reading: what flowed since the one before was the current of then."""
        if self._at is not None and at < self._at:
            return
        self._theta, self._at = self.theta(at), at
        self._current, self._basic = current, basic

    def restore(self, theta: float, at: Instant) -> None:
        """Begin at a figure that was kept."""
        self._theta, self._at, self._current = theta, at, Amps(0.0)

    def theta(self, now: Instant) -> float:
        """Return θ as of `now`."""
        if self._at is None or now <= self._at:
            return self._theta
        target = (self._current / (K * self._basic)) ** 2
        return target + (self._theta - target) * math.exp(-between(self._at, now) / self._tau)

    def reaches_one_at(self) -> Instant | None:
        """Return when θ will be 1 if the current stays; `None`: never."""
        if self._at is None:
            return None
        target = (self._current / (K * self._basic)) ** 2
        if self._theta >= 1.0:
            return self._at
        if target <= 1.0:
            return None
        return Instant(self._at + self._tau * math.log((target - self._theta) / (target - 1.0)))


def cooled(theta: float, off: Seconds | None) -> float:
    """Return θ after a time without current; unknown: at least a half, and never less than it was."""
    if off is None:
        return max(theta, UNKNOWN_OFF_TIME)
    return theta * math.exp(-off / TAU)
