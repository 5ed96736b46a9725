"""How long to wait between attempts to connect, and which connections do not count as a success."""

import random

from chargerd.core.units import Instant, Seconds, between

BACK_OFF_FIRST, BACK_OFF_MOST, BACK_OFF_LEAST = Seconds(5.0), Seconds(120.0), Seconds(0.1)
"""The first bound already spreads a site's gateways after their broker's restart, the last one a country's."""
TAKEN_OVER_BACK_OFF = (Seconds(120.0), Seconds(300.0))
UNSTEADY_MOST = TAKEN_OVER_BACK_OFF[1]
"""The last bound while no connection lasts: some brokers do not say that another client has taken the session."""
STEADY_AFTER = Seconds(10.0)
"""A connection that held this long resets the back-off."""
MOST_SHORT = 3
"""So many connections lost sooner than that, one after the other, are no accident."""
CALM_AFTER = Seconds(300.0)
"""After such ones it takes a connection that held this long: those of two clients of one id grow, too."""


class BackOff:
    """How long to wait before the next attempt: anywhere up to a bound that doubles (full jitter)."""

    def __init__(self, seed: str) -> None:
        self._jitter = random.Random(seed)  # noqa: S311 - spreads reconnects, guards nothing
        self._failures = 0
        self._most = BACK_OFF_MOST

    def next(self, *, taken_over: bool = False) -> Seconds:
        """Return a pause; minutes if another client has our session, lest the two throw each other out forever."""
        if taken_over:
            return Seconds(self._jitter.uniform(*TAKEN_OVER_BACK_OFF))
        bound = min(self._most, BACK_OFF_FIRST * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        return Seconds(self._jitter.uniform(BACK_OFF_LEAST, bound))

    def unsteady(self) -> None:
        """Let pauses grow to minutes: another client may have our session, though nobody says so."""
        self._most = UNSTEADY_MOST

    def reset(self) -> None:
        """Begin anew: a connection has held."""
        self._failures = 0
        self._most = BACK_OFF_MOST


class Steadiness:
    """Whether connections last: a broker need not say that another client has taken the session.

    Owned by the link's thread; the back-off it sets is asked by paho's.
    """

    def __init__(self, back_off: BackOff) -> None:
        self._back_off = back_off
        self._since: Instant | None = None
        """When the connection was made that there is."""
        self._short = 0

    def connected(self, now: Instant) -> None:
        """There is a connection."""
        self._since = now

    def disconnected(self) -> None:
        """There is none any more."""
        self._since = None

    def lost(self, now: Instant) -> bool:
        """Say whether it may be an accident that the connection there is was lost, rather than one of many."""
        assert self._since is not None
        if between(self._since, now) <= STEADY_AFTER:
            self._short += 1
        if self._short >= MOST_SHORT:
            self._back_off.unsteady()
        return self._short < MOST_SHORT

    def look(self, now: Instant) -> None:
        """Begin anew once a connection has held for long enough."""
        held_enough = CALM_AFTER if self._short >= MOST_SHORT else STEADY_AFTER
        if self._since is not None and between(self._since, now) > held_enough:
            self._back_off.reset()
            self._short = 0
