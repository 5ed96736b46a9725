"""The thermal image: how warm a load has made its wire, told from the current alone.

Theory. A wire is warmed by the square of its current and cools in proportion to how much warmer it is than what
is around it. Seen as one body, that is the first-order model of IEC 60255-149: from one reading to the next, θ
moves towards (I / (k · I_b))² by the share 1 - e^(-Δt/τ). θ is 1 where k times the rated current may flow for
ever: less never trips, a little more trips after minutes, much more soon, and what flowed before counts.

Why this model: a current that is only just too high harms by lasting, and comes and goes. A definite time
either bears what adds up, or trips what a wire bears. One body has a closed form, so the instant at which θ
would reach 1 is known beforehand, and nobody has to look again and again.

- The wire's image belongs to the port: a wire does not cool down because a session ends, and it is kept over
  restarts. Off for a known time it has cooled by e^(-t/τ); for an unknown one it counts as half warm at least.
- Each session has another image by the limit of its order. No wire is warm by that one, so it ends with the
  session, and bars nobody who comes next.
- Over a gap between readings the last current counts on: what is not seen is not cooler.

What it cannot see: how warm it is around the wire, and a bad contact, which heats one point at any current
(that is what `port_temperature` is for, where there is a sensor).

Figures: k = 1.05 is the standard's; it leaves τ to whoever knows the wire. 300 s is chosen, not measured.
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
        self._target = 0.0
        """Where θ goes to if the current stays."""
        self._tau = tau
        self._one_at = self._reckoned()

    def take_in(self, current: Amps, basic: Amps, at: Instant) -> None:
        """Take in a reading: what flowed since the one before was the current of then."""
        if self._at is not None and at < self._at:
            return
        self._theta, self._at = self.theta(at), at
        self._target = (current / (K * basic)) ** 2
        self._one_at = self._reckoned()

    def restore(self, theta: float, at: Instant) -> None:
        """Begin at a figure that was kept."""
        self._theta, self._at, self._target = theta, at, 0.0
        self._one_at = self._reckoned()

    def theta(self, now: Instant) -> float:
        """Return θ as of `now`."""
        if self._at is None or now <= self._at:
            return self._theta
        return self._target + (self._theta - self._target) * math.exp(-between(self._at, now) / self._tau)

    def reaches_one_at(self) -> Instant | None:
        """Return when θ will be 1 if the current stays; `None`: never."""
        return self._one_at

    def _reckoned(self) -> Instant | None:
        if self._at is None:
            return None
        target = self._target
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
