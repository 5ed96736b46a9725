"""Runs generated charges through the daemon's own functions, and counts what they say."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from chargerd.core.events import MeterReading
from chargerd.core.moment import Moment
from chargerd.core.plan import CEILING, Limits, MeterPlan, PortPlan, RelayPlan
from chargerd.core.port.charge import Charge as Session
from chargerd.core.protection.function import Models
from chargerd.core.session import Order
from chargerd.core.units import Amps, BoardId, CircuitId, Instant, PortId, Seconds, SessionId, Watts
from tests.charges.profiles import Charge, Truth

PORT = PortId("A01")
TOLERATED = 60.0
"""Seconds a stop may precede the last of the taper: what is left then is under a watt-hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was said of a charge: `at` seconds after closing, `None` if it was let go on."""

    said: Truth | str
    at: float | None = None
    confidence: float | None = None


def watch(charge: Charge) -> Said:
    """Show the charge's readings to the functions of a port until one of them ends it."""
    plan = PortPlan(
        id=PORT,
        label="A01",
        relay=RelayPlan(board=BoardId("relay"), channel=1),
        meter=MeterPlan(
            board=BoardId("meter"), refresh=Seconds(charge.meter.refresh), power_step=Watts(charge.meter.step)
        ),
        circuit=CircuitId("shed"),
        limits=Limits(duration=CEILING.duration),
    )
    order = Order(session=SessionId("s"), port=PORT, limits=plan.limits)
    session = Session(plan, order, Models.of(plan), _moment(0.0))
    image = session.image
    image.close(Instant(0.0))
    image.contact_from = Instant(0.0)
    session.totals.close(Instant(0.0))
    for at, watts in charge.readings():
        power = Watts(watts)
        image.take_in(MeterReading(port=PORT, at=Instant(at), power=power, current=Amps(watts / 225)))
        verdict = image.judge(Instant(at))
        if verdict is not None:
            end = image.shape.end
            return Said(
                said=Truth(verdict.reason.value)
                if verdict.reason.value in {truth.value for truth in Truth}
                else verdict.reason.value,
                at=at,
                confidence=None if end is None else end.confidence,
            )
    return Said(said=Truth.CHARGING)


def _moment(at: float) -> Moment:
    return Moment(instant=Instant(at))


@dataclass(slots=True)
class Matrix:
    """Truth against what was said; what cannot be known stands apart."""

    counted: Counter[tuple[Truth, str]] = field(default_factory=Counter)
    unknowable: Counter[tuple[str, str]] = field(default_factory=Counter)
    confidences: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    told: Counter[tuple[float, bool]] = field(default_factory=Counter)
    """How often an end told with a confidence was right, and how often not; what cannot be known included."""
    shares: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """What part of its energy a charge that was called full had drawn, by kind."""
    late: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds from the end of a charge that drew 25 W and more until it was told, by kind."""
    wrong: list[tuple[Charge, Said]] = field(default_factory=list)
    cut_short: list[tuple[Charge, Said]] = field(default_factory=list)

    def add(self, charge: Charge, said: Said) -> None:
        """Count one charge."""
        if said.confidence is not None:
            self.confidences[charge.kind, said.said].append(said.confidence)
            self.told[said.confidence, said.said == charge.truth] += 1
        if said.at is not None and said.confidence is not None and charge.kind not in NEVER_LARGE:
            self.late[charge.kind].append(said.at - charge.drawing_until)
            if charge.truth is Truth.FULL:
                seen = min(said.at, charge.drawing_until)
                self.shares[charge.kind].append(charge.energy(seen) / charge.energy(charge.drawing_until))
        if said.said in {Truth.FULL, Truth.UNPLUGGED} and said.at is not None:
            early = said.at < charge.drawing_until - TOLERATED
            if early and charge.power(said.at) >= PLATEAU_SHARE * _peak(charge, said.at):
                self.cut_short.append((charge, said))
        if not charge.knowable:
            self.unknowable[charge.kind, said.said] += 1
            return
        self.counted[charge.truth, said.said] += 1
        if said.said != charge.truth:
            self.wrong.append((charge, said))

    @property
    def right_ends(self) -> float:
        """The share of knowable ends that were named right."""
        ends = {pair: count for pair, count in self.counted.items() if pair[0] is not Truth.CHARGING}
        return sum(count for (truth, said), count in ends.items() if truth == said) / sum(ends.values())

    def right(self, confidence: float) -> float:
        """Return the share of the ends told with a confidence that were right."""
        right = self.told[confidence, True]
        return right / (right + self.told[confidence, False])


PLATEAU_SHARE = 0.8
NEVER_LARGE = {"small_charger", "storage_mode"}
"""Loads that never draw 25 W end after two hours whatever they do."""


def _peak(charge: Charge, until: float) -> float:
    return max(charge.power(until * step / 200) for step in range(201))


def matrix(charges: Iterable[Charge]) -> Matrix:
    """Judge all of them."""
    result = Matrix()
    for charge in charges:
        result.add(charge, watch(charge))
    return result
