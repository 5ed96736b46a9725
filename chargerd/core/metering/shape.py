"""The shape of a session's load: tells a full battery from a pulled plug by what the power did before it fell.

Theory. A lithium charger holds its power (constant current), then tapers for 43 to 117 minutes (constant
voltage), then rests at 0 to 6 W; a lead-acid one tapers up to twice as long and floats at a few watts. A socket
whose bike has gone shows 0 to 2 W of its neighbours' crosstalk, one whose battery alone was taken 0 to 15 W of
an idle charger. So the low power itself says nothing. What it fell from, and how fast, does:

- A *level* is the median of 90 s: no flicker, no step, and no two-battery charger's rest of a minute is one.
  The *peak* is the highest level so far.
- A fall to an empty socket's watts is a cut if the level before was half of the peak or more, since no taper
  falls so far within two minutes; from below that it is the charger's own end, or a plug pulled late.
- A *tail* (`tail.py`) is a stretch under 25 W and 35 % of the peak: full, if it rests for 45 minutes and no
  more than half a percent of the charge is still to come; a battery taken from its charger, if it was stepped
  down to from half of the peak.
- What never drew more than 25 W is over after two hours.

Why not a model of the battery, or what this socket did last time: the cheapest meters give whole watts once in
20 s, and the next bike is another. Time without readings is evidence of nothing: the clocks above count time
between readings.

What it cannot see: a charger that ends on its plateau leaves the shape of a pulled plug, and a plug pulled
during the last minutes that of a full battery. So each end has a `confidence`: how often its shape means its
reason.

Figures: four e-bike charges measured in full, forty of scooters, laptops and cells in part. They end by a
taper, or by a step from 14 to 24 % of the peak; measured cuts fell from 81 to 87 % of it. Judged by generated
charges (`make charges`); reasons in `docs/decisions/0055-end-of-charge.md`.
"""

from collections import deque
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, median, stdev

from chargerd.core.metering.tail import CROSSTALK, Tail
from chargerd.core.plan import ChargeEnd
from chargerd.core.session import StopReason
from chargerd.core.units import Instant, Seconds, WattHours, Watts, between

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
STEP_SPAN = Seconds(120.0)
"""No taper falls from half of the peak to a low level within it; a median of 90 s does, after a step."""
SMALL_STEP = 0.2
"""Of the level: the fastest taper falls by less within that span."""
RESTLESS = Watts(5.0)
"""An empty socket, its neighbours' crosstalk included, never shows more."""
IDLE_MOST = Watts(15.0)
"""A charger left alone in its socket draws no more."""
IDLE_SPANS, DOUBTFUL_SPANS = 2, 4
"""How many times longer than an empty socket one is watched that idles: below and above a fifth of the peak."""
DOUBTFUL_SHARE = 0.2
QUIET_SHARE = 0.95
"""Of the readings of an empty socket lie below the threshold: meters flicker between 0 and 2 W."""
LONGEST_GAP = Seconds(60.0)
"""Three readings of the slowest meter: what happened in a longer gap is not known, and is evidence of nothing."""
LONGEST_PAUSE = Seconds(120.0)
"""What was seen before a gap still counts after it, unless there was time to change the bike."""
FLAT_AFTER = Seconds(7200.0)
"""A load below `full_below` from its start is over after this: most such loads are packs in storage mode."""
MEDIAN_ERROR = 1.25
"""A median's standard error by a mean's, for normal noise."""
TAPER_SEEN = Seconds(120.0)
"""Spent between 35 % and 75 % of the peak, on the way down: no step takes that long."""
PLATEAU_RISE = Watts(15.0)
"""A level that has risen by more than this within its span is not a plateau yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A charge that is over by its shape. `confidence` is 0 to 1: how often this shape means this reason.

    `function` names the shape where it is not the reason's own.
    """

    reason: StopReason
    function: str
    measured: Watts
    limit: Watts
    confidence: float


SURE, ALMOST, LIKELY, GUESS = 0.95, 0.9, 0.7, 0.4
"""A shape only this cause has; one a plug pulled in its last minutes has too; one with a rarer second cause; one
that tells little."""


@dataclass(slots=True, kw_only=True)
class _Fall:
    """A stretch of readings no higher than an empty socket's, and the level it fell from.

    `covered` is the time between its readings; `quiet` says of the newest of them, by that time, whether they are
    below the threshold.
    """

    before: Watts
    covered: Seconds = Seconds(0.0)
    quiet: deque[tuple[Seconds, bool]]


class Shape:
    """Power of one session while its relay is closed. Each new reading goes to `note`; `end` is what they say.

    `step` is the smallest difference its meter can show.
    """

    def __init__(self, plan: ChargeEnd, step: Watts = Watts(0.0)) -> None:
        self._plan = plan
        self._step = step
        self._empty_below = Watts(max(plan.unplugged_below, CROSSTALK + step))
        self._restless = Watts(RESTLESS + step)
        self._recent: deque[tuple[Instant, Watts]] = deque()
        self._levels: deque[tuple[Instant, Watts]] = deque()
        self._last: Instant | None = None
        self._interrupted = False
        self._before = Watts(0.0)
        self._fall: _Fall | None = None
        self._tail: Tail | None = None
        self._topped = False
        self._tapering = Seconds(0.0)
        self._small = Seconds(0.0)
        self._drawn = WattHours(0.0)
        self.peak = Watts(0.0)
        """The highest level so far; one reading alone is no level."""
        self.plateau: Watts | None = None
        """The highest level that was held: what the load is going to need; `None` until there was one."""
        self.end: End | None = None
        """What the readings say, as of the newest one; time without readings proves nothing."""

    def take_in(self, watts: Watts, at: Instant) -> None:
        """Take in one new reading."""
        gap = Seconds(0.0) if self._last is None else between(self._last, at)
        if gap > LONGEST_GAP:
            self.interrupt()
        if self._interrupted:
            if gap > LONGEST_PAUSE:
                self._fall = self._tail = None
            gap, self._interrupted = Seconds(0.0), False
        self._last = at
        self._drawn = WattHours(self._drawn + watts * gap / 3600.0)
        if self._tail is not None:
            self._tail.pass_by(gap)
        self._note_fall(watts, gap)
        if not self._recent or between(self._recent[-1][0], at) >= SAMPLE_EVERY:
            self._note_level(watts, at)
        self.end = self._by_fall(watts) or self._by_tail() or self._always_small(watts, gap)

    def interrupt(self) -> None:
        """The relay opens, or nothing was seen for long: that time is evidence of nothing."""
        self._before = self.lately  # Who pulls the plug meanwhile leaves no other trace.
        self._recent.clear()
        self._levels.clear()
        self._interrupted = True

    def take_up(self, peak: Watts, lately: Watts, drawn: WattHours) -> None:
        """Go on after an outage: from the highest level, the newest, and what was drawn."""
        self.peak, self._before, self._drawn = peak, lately, drawn

    @property
    def lately(self) -> Watts:
        """Return the newest level that was a charge's: neither an empty socket's, nor what a charge fell to."""
        if self._tail is not None:
            return self._tail.before
        level = self._median()
        return level if level > self._restless else self._before

    # Taking in

    def _note_fall(self, watts: Watts, gap: Seconds) -> None:
        if watts > self._restless:
            self._fall = None
            return
        if self._fall is None:
            self._before = self.lately  # One flicker may only have broken a fall that goes on.
            self._fall = _Fall(before=self._before, quiet=deque())
        else:
            self._fall.covered = Seconds(self._fall.covered + gap)
        quiet = self._fall.quiet
        quiet.append((self._fall.covered, watts < self._empty_below))
        while self._fall.covered - quiet[0][0] > self._plan.unplugged_after:
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
        self._note_low(watts, level, at)
        held = between(self._recent[0][0], at) >= LEVEL_SPAN - LONGEST_GAP
        mean = Watts(fmean(power for _, power in self._recent))
        if held and max(power for _, power in self._recent) - mean <= PLATEAU_RISE:
            self.plateau = max(self.plateau or mean, mean)

    def _note_low(self, watts: Watts, level: Watts, at: Instant) -> None:
        highest = max((seen for _, seen in self._levels), default=self._before)
        self._levels.append((at, level))
        while between(self._levels[0][0], at) > STEP_SPAN:
            self._levels.popleft()
        if level >= self._low:
            if self._tail is not None:
                self._topped = self._tail.leaves(level)
            self._topped = self._topped and level < STEP_SHARE * self.peak
            self._tail = None
            return
        rested, noise = between(self._reached(level), at), self._noise()
        if self._tail is None:
            self._tail = Tail(highest, level, rested, self._step)
        if highest - level > max(CROSSTALK + self._step, SMALL_STEP * highest, noise):
            self._tail.smooth = False
        self._tail.settle(level, rested, noise, Watts(highest - level))
        self._tail.take_in(watts, self._plan.full_after)

    def _noise(self) -> Watts:
        """Return by how much the medians of one level may differ: five standard errors."""
        powers = [power for _, power in self._recent]
        return Watts(5 * MEDIAN_ERROR * stdev(powers) / sqrt(len(powers)))

    def _reached(self, level: Watts) -> Instant:
        """Return since when the readings lie about the level."""
        since = self._recent[-1][0]
        for at, watts in reversed(self._recent):
            if abs(watts - level) > RESTLESS + self._step:
                break
            since = at
        return since

    @property
    def _low(self) -> Watts:
        return Watts(min(self._plan.full_below, LOW_SHARE * self.peak))

    def _median(self) -> Watts:
        return Watts(median(power for _, power in self._recent)) if self._recent else Watts(0.0)

    # Concluding

    def _by_fall(self, watts: Watts) -> End | None:
        """Fell to what an empty socket shows, and stayed there."""
        fall, plan = self._fall, self._plan
        if fall is None or fall.covered < plan.unplugged_after or self.peak < plan.no_load_below:
            return None
        if sum(below for _, below in fall.quiet) < QUIET_SHARE * len(fall.quiet):
            return None
        if fall.before >= STEP_SHARE * self.peak:
            return self._cut(fall.before, watts, self._empty_below)
        if fall.covered < plan.unplugged_after + plan.float_for:
            return None
        return self._full(watts, self._empty_below)

    def _by_tail(self) -> End | None:
        """Has been low for long, and has not moved: after a step down from its plateau, a charger left alone."""
        tail, plan = self._tail, self._plan
        if tail is None or self.peak < plan.no_load_below:
            return None
        if tail.before >= STEP_SHARE * self.peak:
            if tail.rested < self._idle_after(tail):
                return None
            if tail.level < self._empty_below:
                return self._cut(tail.before, tail.level, self._empty_below)
            return self._cut(tail.before, tail.level, IDLE_MOST, "charger_idle")
        if tail.rested < plan.full_after + plan.float_for or tail.unfinished(self._drawn):
            return None
        return self._full(tail.level, self._low)

    def _idle_after(self, tail: Tail) -> Seconds:
        if tail.level > IDLE_MOST + self._step:
            return self._plan.full_after
        spans = IDLE_SPANS if tail.level <= DOUBTFUL_SHARE * self.peak else DOUBTFUL_SPANS
        return Seconds(min(spans * self._plan.unplugged_after, self._plan.full_after))

    def _cut(self, before: Watts, measured: Watts, limit: Watts, function: str = "unplugged") -> End:
        clear = before >= CLEAR_CUT_SHARE * self.peak and self._tapering < TAPER_SEEN
        return End(
            reason=StopReason.UNPLUGGED,
            function=function,
            measured=measured,
            limit=limit,
            confidence=LIKELY if clear else GUESS,
        )

    def _full(self, measured: Watts, limit: Watts) -> End:
        tail = self._tail
        sure = LIKELY
        if self._topped or (tail is not None and tail.topped):
            sure = SURE
        elif tail is not None and tail.smooth and tail.level <= self._restless:
            sure = ALMOST
        return End(reason=StopReason.FULL, function="full", measured=measured, limit=limit, confidence=sure)

    def _always_small(self, watts: Watts, gap: Seconds) -> End | None:
        """Never drew what a bike draws; a pack in storage mode and a very small charger look alike."""
        plan = self._plan
        if self.peak >= plan.full_below:
            return None
        self._small = Seconds(self._small + gap)
        if self._small < FLAT_AFTER + plan.float_for:
            return None
        return End(
            reason=StopReason.FULL,
            function="full",
            measured=watts,
            limit=plan.full_below,
            confidence=GUESS,
        )
