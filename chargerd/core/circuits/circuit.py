"""One supply circuit: what flows through it, what is kept free on it, and when that is too much.

Every figure is taken per phase; a port or a circuit whose phase is not stated counts on every phase. Loads are
handled as shares of the rating, the larger of current and power, so that one threshold serves both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from chargerd.core.circuits.contactor import Contactor
from chargerd.core.circuits.share import NO_SHARE, Share
from chargerd.core.events import CircuitReading
from chargerd.core.metering.pickup import DefiniteTime
from chargerd.core.metering.thermal import Thermal
from chargerd.core.plan import ADMIT, CircuitPlan, Phase
from chargerd.core.session import Latch
from chargerd.core.units import Amps, BoardId, Instant, PortId, Seconds, Watts, after

SHED = 1.0
RELIEVED = 0.95
SHED_AFTER = Seconds(2.0)
SHED_READINGS = 2
"""What lasts for some time has to be seen more than once."""
FEEDER_STALE = Seconds(3.0)
POLLS = 3
SETTLING = Seconds(0.5)
"""How long an opening takes until a reading can show it, beside the meter's refresh."""
PHASES = (Phase.L1, Phase.L2, Phase.L3)
PLACES = {Phase.ALL: (0, 1, 2), **{phase: (place,) for place, phase in enumerate(PHASES)}}
"""Where in the currents of a sum a load on this phase counts."""
ROUNDING = 1e-9
Currents = tuple[float, float, float]
NOTHING: Currents = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Sum:
    """Currents of L1 to L3, and the power of all phases."""

    currents: Currents = NOTHING
    power: float = 0.0

    def plus(self, other: "Sum") -> "Sum":
        """Return both together."""
        one, two = self.currents, other.currents
        return Sum((one[0] + two[0], one[1] + two[1], one[2] + two[2]), self.power + other.power)

    def most(self, other: "Sum") -> "Sum":
        """Return the larger of each."""
        one, two = self.currents, other.currents
        return Sum(
            (max(one[0], two[0]), max(one[1], two[1]), max(one[2], two[2])),
            max(self.power, other.power),
        )


def on(phase: Phase, amps: float, watts: float) -> Sum:
    """Return what a load on this phase adds; one whose phase is not stated counts on every phase."""
    if phase is Phase.ALL:
        return Sum((amps, amps, amps), watts)
    one, two, three = (amps if phase is each else 0.0 for each in PHASES)
    return Sum((one, two, three), watts)


@dataclass(slots=True, kw_only=True)
class Feeder:
    """What the circuit's own meter has shown."""

    currents: Currents = NOTHING
    power: Watts | None = None
    at: Instant | None = None


@dataclass(slots=True, kw_only=True)
class Circuit:
    """One circuit. Whoever calls its methods is the tree of circuits."""

    plan: CircuitPlan
    phase: Phase
    """Its own or that of a circuit above."""
    latches: list[Latch] = field(default_factory=list)
    feeder: Feeder = field(default_factory=Feeder)
    over: DefiniteTime = field(default_factory=lambda: DefiniteTime(SHED_AFTER, needs=SHED_READINGS))
    thermal: Thermal = field(default_factory=Thermal)
    looked_at: Instant | None = None
    shedding: bool = False
    relieved_from: Instant | None = None
    """Readings before this instant cannot show yet what the last opening has brought."""
    last_closing: Instant | None = None
    contactor: Contactor | None = None
    children: list["Circuit"] = field(default_factory=list)
    """The circuits that hang directly on it."""
    own: list[tuple[PortId, tuple[int, ...]]] = field(default_factory=list)
    """The ports that do, and the places of their phases in a sum."""
    shares: Mapping[PortId, Share] = field(default_factory=dict)
    """What each port of the site takes."""
    _sums: tuple[Sum, Sum] | None = None
    """What is drawn, and what is allocated; `None` since a share below has changed."""
    held: bool = False
    """Whether its contactor has to stay open for a relay below that is out of control."""
    unguarded: tuple[BoardId, ...] = ()
    """The boards of its inputs that nobody reads."""
    unread: bool = False
    """Whether that is only because nobody has read it yet."""

    # What hangs below

    @property
    def drawn(self) -> Sum:
        """The sum over all ports below, those that are not seen at their limit."""
        return self._summed()[0]

    @property
    def allocated(self) -> Sum:
        """What is kept free for all ports below."""
        return self._summed()[1]

    def share_changed(self) -> None:
        """Sum up anew when somebody asks: nobody does for a circuit that has nothing to keep to."""
        self._sums = None

    def _summed(self) -> tuple[Sum, Sum]:
        if self._sums is None:
            self._sums = self._sum()
        return self._sums

    def _sum(self) -> tuple[Sum, Sum]:
        # Summed anew each time: differences would add up their rounding for months.
        amps, kept = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
        power = kept_power = 0.0
        for port, places in self.own:
            share = self.shares.get(port, NO_SHARE)
            for place in places:
                amps[place] += share.current
                kept[place] += share.allocated_current
            power += share.power
            kept_power += share.allocated_power
        drawn, allocated = Sum((amps[0], amps[1], amps[2]), power), Sum((kept[0], kept[1], kept[2]), kept_power)
        for child in self.children:
            drawn = drawn.plus(child.drawn)
            allocated = allocated.plus(child.allocated)
        return drawn, allocated

    # What is too much

    @property
    def rated(self) -> bool:
        """Whether there is anything to keep to."""
        return self.plan.rating is not None or self.plan.power is not None

    def share(self, load: Sum) -> float:
        """Return a load as a share of the rating: of current or power, whichever is more."""
        current = 0.0 if self.plan.rating is None else max(load.currents) / self.plan.rating
        power = 0.0 if self.plan.power is None else load.power / self.plan.power
        return max(current, power)

    def relieved_by(self, phase: Phase, load: Sum) -> bool:
        """Say whether less on this phase brings down what is too much of a load."""
        power, rating = self.plan.power, self.plan.rating
        if power is not None and load.power >= RELIEVED * power:
            return True
        return rating is not None and any(load.currents[place] >= RELIEVED * rating for place in PLACES[phase])

    def take_in(self, reading: CircuitReading) -> bool:
        """Take in a reading of its meter; say whether it holds what counts."""
        currents = _per_phase(reading.currents, self.phase)
        if currents is None:
            return False
        self.feeder.currents, self.feeder.at = currents, reading.at
        power = reading.power
        self.feeder.power = Watts(abs(power)) if power is not None and isfinite(power) else None
        return True

    def feeder_fresh(self, now: Instant) -> bool:
        """Say whether its meter has spoken lately."""
        return self.plan.meter is not None and self.feeder.at is not None and now < self._feeder_until()

    def _feeder_until(self) -> Instant:
        assert self.plan.meter is not None
        assert self.feeder.at is not None
        return after(self.feeder.at, Seconds(max(FEEDER_STALE, POLLS * self.plan.meter.refresh)))

    def load(self, now: Instant) -> Sum:
        """Return what flows: the larger of measured and summed; a silent meter is stood in for by allocations."""
        if self.plan.meter is None and not self.children:
            return self.drawn
        flows = self.drawn.plus(self.beside(now))
        silent = self.plan.meter is not None and not self.feeder_fresh(now)
        return flows.most(self.allocated) if silent else flows

    def beside(self, now: Instant) -> Sum:
        """Return what flows beside the ports, as far as its meter shows it, or those of the circuits below."""
        below = Sum()
        for circuit in self.children:
            below = below.plus(circuit.beside(now))
        if not self.feeder_fresh(now):
            return below
        less = Sum((-self.drawn.currents[0], -self.drawn.currents[1], -self.drawn.currents[2]), -self.drawn.power)
        return self._measured().plus(less).most(below)

    def spoken_for(self, now: Instant) -> Sum:
        """Return what nobody else can be promised: allocations, and what flows beside the ports."""
        return self.allocated.plus(self.beside(now))

    def _measured(self) -> Sum:
        power = self.drawn.power if self.feeder.power is None else self.feeder.power
        return Sum(self.feeder.currents, power)

    def fits(self, extra: Sum, now: Instant) -> bool:
        """Say whether another load may be promised: at most 90 % of the rating then."""
        return self.share(self.spoken_for(now).plus(extra)) <= ADMIT + ROUNDING

    def could_fit(self, extra: Sum) -> bool:
        """Say whether it would fit if nothing else were there."""
        return self.share(extra) <= ADMIT + ROUNDING

    def seen_at(self, at: Instant, now: Instant) -> Instant:
        """Return when the load was true: what meters show of it is no newer because a port was read at `at`."""
        nothing = Sum()
        for circuit in self.children:
            if circuit.beside(now) != nothing:
                at = min(at, circuit.seen_at(at, now))
        if self.feeder.at is None or not self.feeder_fresh(now):
            return at
        return self.feeder.at if self.share(self._measured()) >= self.share(self.drawn) else at

    def look(self, at: Instant, now: Instant) -> float:
        """Take note of the load as it was at `at`; return its share of the rating."""
        load = self.load(now)
        share = self.share(load)
        if self.plan.rating is not None:
            self.thermal.take_in(Amps(max(load.currents)), self.plan.rating, at)
        if self.looked_at is None or at > self.looked_at:
            self.looked_at = at
            self.over.take_in(at, above=share >= SHED)
        if share < RELIEVED:
            self.shedding = False
        return share

    def lasts(self, now: Instant) -> bool:
        """Say whether it has carried too much for long enough, and in two readings at least."""
        return self.over.reached(now)

    def settle_time(self) -> Seconds:
        """Return how long after an opening readings do not show it yet."""
        mine = 0.0 if self.plan.meter is None else self.plan.meter.refresh
        return max([Seconds(2 * mine + SETTLING), *(circuit.settle_time() for circuit in self.children)])

    def due(self) -> Instant | None:
        """Return when it has to be looked at though nothing is read."""
        until = None if self.shedding else self.over.due()
        if until is None or self.relieved_from is None:
            return until
        return max(until, self.relieved_from)


def _per_phase(currents: Sequence[Amps | None], phase: Phase) -> Currents | None:
    """Return currents by phase, whichever way they flow; `None` if one is missing or no number."""
    known = [abs(current) for current in currents if current is not None and isfinite(current)]
    if len(known) != len(currents) or not known:
        return None
    if len(known) == 1:
        return on(phase, known[0], 0.0).currents
    return (known[0], known[1], known[2] if len(known) == len(PHASES) else 0.0)
