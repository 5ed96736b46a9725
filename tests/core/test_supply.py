"""Corners of the supply that no scenario of a whole day comes to."""

import pytest

from chargerd.core.circuits.tree import Circuits
from chargerd.core.commands import CloseRelay
from chargerd.core.events import CircuitReading, DeadlineReached, InputsNotRead, ResetRequested
from chargerd.core.facts import CircuitTripped
from chargerd.core.faults import FaultKind
from chargerd.core.invariants.invariants import Invariants, InvariantViolated, holders_above
from chargerd.core.metering.thermal import Thermal
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.outbox import Outcome
from chargerd.core.plan import CircuitPlan, FeederPlan, Limits, StationPlan
from chargerd.core.session import Clearing, Latch, Order, SessionRecord, Source
from chargerd.core.station import Station
from chargerd.core.units import Amps, BoardId, CircuitId, Instant, PortId, Seconds, SessionId
from tests.core.plant import port_plan
from tests.core.sheds import (
    CONTACTOR,
    HOLDER,
    MAIN,
    SHED,
    SWITCH,
    all_charging,
    closed,
    feeder,
    names,
    rated,
    shed,
)


def test_no_more_is_opened_than_has_to_be() -> None:
    world = shed(3, **rated(20.0), meter=feeder())
    all_charging(world, *names(3))
    world.run(2)
    world.feeders_silent = True
    for port in names(3):
        world.draw(5.0, 700.0, port=port)
    world.run(2)
    world.tell(CircuitReading(circuit=SHED, at=Instant(world.now), currents=(Amps(24.0),)))
    world.run(0.3)
    assert closed(world) == ["A01", "A02"][: len(closed(world))]
    assert len(closed(world)) == 1, "24 A, 19 A is 95 %, 14 A"


def test_inputs_that_no_circuit_waits_for_may_be_silent() -> None:
    world = shed(1, **rated(20.0), meter=feeder())
    all_charging(world, "A01")
    for _ in range(3):
        world.tell(InputsNotRead(board=BoardId("io-nobody"), at=Instant(world.now), kind=FaultKind.TIMEOUT))
        world.run(2)
    assert closed(world) == ["A01"]


def test_a_load_beside_the_ports_that_goes_on_opens_nobody_twice() -> None:
    world = shed(1, **rated(20.0), meter=feeder())
    world.background[SHED] = (21.0, 0.0)
    world.run(30)
    assert world.count("circuit shed", "A01") == 0


def test_a_load_is_judged_when_its_time_has_come_though_nothing_is_read() -> None:
    world = shed(2, **rated(20.0), meter=FeederPlan(board=BoardId("feeder"), refresh=Seconds(20.0)))
    world.feeders_silent = True
    all_charging(world, "A01", "A02")
    for port in names(2):
        world.by_hand(port)
    world.run(0.5)
    first = world.elapsed
    for _ in range(2):
        world.tell(CircuitReading(circuit=SHED, at=Instant(world.now), currents=(Amps(21.0),)))
        world.run(0.2)
    world.run(2.0)
    assert world.when("circuit shed", "A02") - first == pytest.approx(2.0, abs=0.01)


def test_what_has_waited_gets_its_contactor() -> None:
    world = shed(2, queue_for=600, contactor=SWITCH, **rated(6.0))
    session = world.charging("A01")
    world.start("A02")
    world.stop("A01", session)
    world.run(10)
    assert closed(world) == ["A02"]


def test_a_circuit_is_reset_without_a_command_as_well() -> None:
    world = shed()
    world.tell(ResetRequested(port=HOLDER, source=Source.LOCAL))
    world.tell(ResetRequested(port=PortId("circuit/nowhere"), source=Source.LOCAL))
    world.charging()
    assert world.answers(world.reset(HOLDER, source=Source.LOCAL)) == ["done ok"]
    assert closed(world) == ["A01"], "a session under way is left alone"


def test_a_contactor_of_a_latched_circuit_must_not_close() -> None:
    plan = StationPlan(ports=(port_plan(),), circuits=(CircuitPlan(id=SHED, contactor=SWITCH),))
    books = Invariants(plan, ())
    now = Moment(instant=Instant(0.0))
    latch = Latch(port=HOLDER, function="smoke", clearing=Clearing.LOCAL)
    told = CircuitTripped(circuit=SHED, function="smoke", latch=latch)
    books.check(DeadlineReached(), Outcome(facts=(CircuitTripped(circuit=SHED, function="x"), told)), now)
    close = CloseRelay(port=CONTACTOR, lease=None, not_after=Instant(1.0))
    with pytest.raises(InvariantViolated, match="S6"):
        books.check(DeadlineReached(), Outcome(commands=(close,)), now)


def test_a_latch_bars_only_what_is_below() -> None:
    other = CircuitId("other")
    plan = StationPlan(
        ports=(port_plan("A01", 1), port_plan("B01", 2, circuit=other)),
        circuits=(CircuitPlan(id=SHED), CircuitPlan(id=other, contactor=SWITCH)),
    )
    assert holders_above(plan)[other] == (PortId("circuit/other"),)
    books = Invariants(plan, ())
    latch = Latch(port=HOLDER, function="smoke", clearing=Clearing.LOCAL)
    facts = (CircuitTripped(circuit=SHED, function="smoke", latch=latch),)
    close = CloseRelay(port=PortId("contactor/other"), lease=None, not_after=Instant(1.0))
    books.check(DeadlineReached(), Outcome(commands=(close,), facts=facts), Moment(instant=Instant(0.0)))


def two_sheds() -> Circuits:
    """Two circuits below a main one, a port on each."""
    ports = (port_plan("A01", 1), port_plan("B01", 2, circuit=CircuitId("other")))
    sheds = (CircuitPlan(id=SHED, parent=MAIN), CircuitPlan(id=CircuitId("other"), parent=MAIN))
    return Circuits(StationPlan(ports=ports, circuits=(CircuitPlan(id=MAIN), *sheds)))


def test_an_input_above_that_nobody_has_read_yet_is_not_lost() -> None:
    circuits = two_sheds()
    above, own = circuits.get(MAIN), circuits.get(SHED)
    assert above is not None
    assert own is not None
    assert not circuits.unread(PortId("A01"))
    above.unguarded, above.unread = (BoardId("io"),), True
    assert circuits.unread(PortId("A01"))
    assert circuits.unguarded(PortId("A01"))
    own.unguarded = (BoardId("io"),)
    assert not circuits.unread(PortId("A01")), "one of its own circuit is lost"


def test_a_turn_to_close_is_kept_on_every_circuit_above() -> None:
    circuits = two_sheds()
    assert circuits.book(PortId("A01"), Instant(5.0), Seconds(1.0)) == 5.0
    assert circuits.book(PortId("B01"), Instant(5.2), Seconds(1.0)) == 6.0
    assert circuits.book(PortId("A01"), Instant(5.3), Seconds(0.25)) == 6.25


def test_a_wire_that_is_too_warm_already_says_so() -> None:
    image = Thermal(theta=1.2, at=Instant(5.0))
    assert image.reaches_one_at() == 5.0


@pytest.mark.parametrize(("later", "warm"), [(60_000, True), (3_600_000, False), (None, True)])
def test_over_a_reboot_the_wall_clock_tells_how_long_a_wire_has_cooled(later: int | None, *, warm: bool) -> None:
    plan = StationPlan(ports=(port_plan(),))
    before = Moment(instant=Instant(9000.0), boot=1, wall_ms=1_000_000, clock=ClockQuality.NTP)
    wall = None if later is None else 1_000_000 + later
    now = Moment(instant=Instant(10.0), boot=2, wall_ms=wall)
    station = Station(plan, now)
    orders = [Order(session=SessionId(name), port=PortId(name), limits=Limits()) for name in ("A01", "gone")]
    station.begin([SessionRecord(order=it, started=before, at=before, theta=0.99) for it in orders], now)
    assert ("thermal" in station.view(PortId("A01"), now).blocked_by) is warm
