"""The shape of a session's load: tells a full battery from a pulled plug by what the power did before it fell.

A finished lithium charger draws 0 to 6 W and an empty socket shows up to 2 W: power alone cannot tell them apart.
Measured charges (four of e-bikes in full, forty of scooters, laptops and cells in part) end by a taper, or by a
step from 14 to 24 % of the session's peak; measured cuts stepped down from 81 to 87 % of it.
"""

from collections import deque
from dataclasses import dataclass
from statistics import fmean, median

from chargerd.core.plan import ChargeEnd
from chargerd.core.session import StopReason
from chargerd.core.units import Instant, Seconds, Watts, between

LEVEL_SPAN = Seconds(90.0)
"""The span a level is taken over: longer than the minute a two-battery charger rests, which is no end."""
SAMPLE_EVERY = Seconds(5.0)
"""Readings that come faster add nothing to a level."""
LEVEL_READINGS = 3
"""And never fewer readings, since the slowest meters renew their values every 20 s."""
LOW_SHARE = 0.35
"""Of the peak: below it a charge has tapered."""
STEP_SHARE = 0.5
"""Of the peak: what falls from above it was cut off, what falls from below it had nearly ended by itself."""
MEASURED_STEP_SHARE = 0.25
"""Of the peak: measured chargers that cut off by themselves did so below it."""
CLEAR_CUT_SHARE = 0.75
"""Of the peak: measured cuts fell from above it."""
RISE = Watts(6.0)
"""More than the decaying hump of a charger that cuts off by itself; a finished load does not rise by so much."""
RESTLESS = Watts(5.0)
"""An empty socket, its neighbours' crosstalk included, never shows more."""
QUIET_SHARE = 0.95
"""Of the readings of an empty socket lie below the threshold: meters flicker between 0 and 2 W."""
LONGEST_GAP = Seconds(60.0)
"""Three readings of the slowest meter: what happened in a longer gap is not known, and is evidence of nothing."""
FLAT_AFTER = Seconds(7200.0)
"""A load below `full_below` from its start is over after this: most such loads are packs in storage mode."""
TAPER_SEEN = Seconds(120.0)
"""Spent between 35 % and 75 % of the peak, on the way down: no step takes that long."""
PLATEAU_RISE = Watts(15.0)
"""A level that has risen by more than this within its span is not a plateau yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A charge that is over by its shape. `confidence` is 0 to 1: how often this shape means this reason."""

    reason: StopReason
    measured: Watts
    limit: Watts
    confidence: float


SURE, LIKELY, GUESS = 0.95, 0.7, 0.4
"""A shape only this cause was measured to have; one with a rarer second cause; one that tells little."""


@dataclass(slots=True, kw_only=True)
class _Fall:
    """A stretch of readings no higher than an empty socket's, and the level it fell from.

    `covered` is the time between its readings; `quiet` says of the newest of them whether they are below the
    threshold.
    """

    before: Watts
    covered: Seconds = Seconds(0.0)
    quiet: deque[tuple[Instant, bool]]


class Shape:
    """Power of one session while its relay is closed. Each new reading goes to `note`; `end` is what they say."""

    def __init__(self, plan: ChargeEnd) -> None:
        self._plan = plan
        self._recent: deque[tuple[Instant, Watts]] = deque()
        self._last: Instant | None = None
        self._before = Watts(0.0)
        self._fall: _Fall | None = None
        self._low_from: Instant | None = None
        self._floor = Watts(0.0)
        self._tapering = Seconds(0.0)
        self._small = Seconds(0.0)
        self.peak = Watts(0.0)
        """The highest level so far; one reading alone is no level."""
        self.plateau: Watts | None = None
        """The highest level that was held: what the load is going to need; `None` until there was one."""
        self.end: End | None = None
        """What the readings say, as of the newest one; time without readings proves nothing."""

    def note(self, watts: Watts, at: Instant) -> None:
        """Take in one new reading."""
        if self._last is not None and between(self._last, at) > LONGEST_GAP:
            self.interrupt()
        gap = Seconds(0.0) if self._last is None else between(self._last, at)
        self._last = at
        self._note_fall(watts, at, gap)
        if not self._recent or between(self._recent[-1][0], at) >= SAMPLE_EVERY:
            self._note_level(watts, at)
        self.end = self._by_step(watts) or self._by_taper(watts, at) or self._always_small(watts, gap)

    def interrupt(self) -> None:
        """The relay opens, or nothing was seen for long: only what level it was before still counts."""
        self._before = self.lately  # Who pulls the plug meanwhile leaves no other trace.
        self._recent.clear()
        self._last = self._fall = self._low_from = None

    def take_up(self, peak: Watts, lately: Watts) -> None:
        """Go on after an outage: from the highest level, and from the newest."""
        self.peak, self._before = peak, lately

    @property
    def lately(self) -> Watts:
        """Return the newest level that was more than an empty socket's."""
        level = self._median()
        return level if level > RESTLESS else self._before

    # Taking in

    def _note_fall(self, watts: Watts, at: Instant, gap: Seconds) -> None:
        if watts > RESTLESS:
            self._fall = None
            return
        if self._fall is None:
            self._before = self.lately  # One flicker may only have broken a fall that goes on.
            self._fall = _Fall(before=self._before, quiet=deque())
        else:
            self._fall.covered = Seconds(self._fall.covered + gap)
        quiet = self._fall.quiet
        quiet.append((at, watts < self._plan.unplugged_below))
        while between(quiet[0][0], at) > self._plan.unplugged_after:
            quiet.popleft()

    def _note_level(self, watts: Watts, at: Instant) -> None:
        step = Seconds(0.0) if not self._recent else between(self._recent[-1][0], at)
        self._recent.append((at, watts))
        while len(self._recent) > LEVEL_READINGS and between(self._recent[0][0], at) > LEVEL_SPAN:
            self._recent.popleft()
        if len(self._recent) < LEVEL_READINGS:
            return
        level = self._median()
        self.peak = max(self.peak, level)
        if LOW_SHARE * self.peak < level < CLEAR_CUT_SHARE * self.peak:
            self._tapering = Seconds(self._tapering + step)
        mean = Watts(fmean(power for _, power in self._recent))
        self._note_low(level, mean, at)
        held = between(self._recent[0][0], at) >= LEVEL_SPAN - LONGEST_GAP
        if held and max(power for _, power in self._recent) - mean <= PLATEAU_RISE:
            self.plateau = max(self.plateau or mean, mean)

    def _note_low(self, level: Watts, mean: Watts, at: Instant) -> None:
        if level >= min(self._plan.full_below, LOW_SHARE * self.peak):
            self._low_from = None
            return
        # The mean, not the median: a coarse meter's dithering between two steps must not look like a rise.
        if self._low_from is None or mean > self._floor + RISE:
            self._low_from, self._floor = at, mean
        self._floor = min(self._floor, mean)

    def _median(self) -> Watts:
        return Watts(median(power for _, power in self._recent)) if self._recent else Watts(0.0)

    # Concluding

    def _by_step(self, watts: Watts) -> End | None:
        """Fell to what an empty socket shows, and stayed there."""
        fall, plan = self._fall, self._plan
        if fall is None or fall.covered < plan.unplugged_after or self.peak < plan.no_load_below:
            return None
        if sum(below for _, below in fall.quiet) < QUIET_SHARE * len(fall.quiet):
            return None
        share = fall.before / self.peak
        if share < STEP_SHARE:
            if fall.covered < plan.unplugged_after + plan.float_for:
                return None
            sure = SURE if share < MEASURED_STEP_SHARE else LIKELY
            return End(reason=StopReason.FULL, measured=watts, limit=plan.unplugged_below, confidence=sure)
        sure = LIKELY if share >= CLEAR_CUT_SHARE and self._tapering < TAPER_SEEN else GUESS
        return End(reason=StopReason.UNPLUGGED, measured=watts, limit=plan.unplugged_below, confidence=sure)

    def _by_taper(self, watts: Watts, at: Instant) -> End | None:
        """Has been low for long, without rising again."""
        plan = self._plan
        if self._low_from is None or self.peak < plan.no_load_below:
            return None
        if between(self._low_from, at) < plan.full_after + plan.float_for:
            return None
        limit = Watts(min(plan.full_below, LOW_SHARE * self.peak))
        if self._fall is not None and self._fall.before >= STEP_SHARE * self.peak:
            # A step, then too restless for an empty socket that is sure to be one.
            return End(reason=StopReason.UNPLUGGED, measured=watts, limit=limit, confidence=GUESS)
        sure = SURE if self._tapering >= TAPER_SEEN else LIKELY
        return End(reason=StopReason.FULL, measured=watts, limit=limit, confidence=sure)

    def _always_small(self, watts: Watts, gap: Seconds) -> End | None:
        """Never drew what a bike draws; a pack in storage mode and a very small charger look alike."""
        plan = self._plan
        if self.peak >= plan.full_below:
            return None
        self._small = Seconds(self._small + gap)
        if self._small < FLAT_AFTER + plan.float_for:
            return None
        return End(reason=StopReason.FULL, measured=watts, limit=plan.full_below, confidence=GUESS)
