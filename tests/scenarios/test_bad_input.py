"""What boards answer that cannot be true: what becomes of it, and how an operator hears of it."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from chargerd.core.events import ForeignHeard, MeterFault, MeterReading
from chargerd.core.facts import EnergyEstimated, Fact, ForeignAnswers, PowerNegative, ReadingImplausible
from chargerd.core.faults import FaultKind
from chargerd.core.plan import StationPlan
from chargerd.core.session import EnergyQuality
from chargerd.core.units import BoardId, Instant, PortId, Seconds
from chargerd.core.view import PortState
from chargerd.modbus.diagnosis import Cause
from tests.core.plant import port_plan
from tests.core.world import World
from tests.modbus.kit import FIRST_METER, SILENCE, TURNAROUND, Bench, Reply, crc

A01 = PortId("A01")
Told = TypeVar("Told", bound=Fact)


def only(world: World, kind: type[Told]) -> Told:
    """Return the one fact of its kind."""
    told = [fact for _, fact in world.facts if isinstance(fact, kind)]
    assert len(told) == 1, told
    return told[0]


def nonsense(world: World, figure: float, seconds: float) -> None:
    """Let a meter answer with a current and then a power that is no number."""
    end = world.now + seconds
    while world.now < end:
        world.show(figure, 300.0)
        world.show(2.0, figure)
        world.run(0.5)


def implausible(world: World) -> list[tuple[str, float | None]]:
    found = [fact for _, fact in world.facts if isinstance(fact, ReadingImplausible)]
    return [(fact.kind, fact.detail.measured) for fact in found]


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_reading_and_opens_the_port(figure: float) -> None:
    world = World()
    session = world.charging()
    world.by_hand()
    nonsense(world, figure, 4)
    world.tells("reading implausible", "suspended meter_stale", "contact open")
    told = next(fact for _, fact in world.facts if isinstance(fact, ReadingImplausible))
    assert (told.port, told.kind, told.session) == (A01, "no_number", session)
    assert not world.view().measured.fresh


def test_what_is_no_number_is_told_once() -> None:
    world = World()
    world.ready()
    nonsense(world, math.nan, 120)
    assert implausible(world) == [("no_number", 1)]
    world.run(590)
    nonsense(world, math.nan, 1)
    assert len(implausible(world)) == 1
    world.run(601)
    nonsense(world, math.nan, 1)
    assert implausible(world)[1:] == [("no_number", 485)]


def test_a_sentinel_is_no_reading_and_is_told() -> None:
    """The bus has seen that a register says `not known`, or lies outside what its board can measure."""
    world = World()
    world.charging()
    world.by_hand()
    for _ in range(8):
        world.tell(MeterFault(port=A01, at=Instant(world.now), kind=FaultKind.IMPLAUSIBLE))
        world.run(0.5)
    assert implausible(world) == [("implausible", 1)]
    world.tells("reading implausible", "suspended meter_stale")


def test_a_meter_that_is_only_silent_is_not_called_implausible() -> None:
    world = World()
    world.charging()
    world.meters[A01].silent = True
    world.run(30)
    assert implausible(world) == []


def test_power_that_flows_back_is_told() -> None:
    world = World()
    session = world.charging()
    world.draw(2.0, -5.2)
    world.run(60)
    told = only(world, PowerNegative)
    assert (told.port, told.session) == (A01, session)
    assert (told.detail.measured, told.detail.limit, told.detail.unit) == (-5.2, 0.0, "w")
    assert world.state() is PortState.CHARGING


def test_power_that_flows_back_is_never_paid_back() -> None:
    world = World()
    world.meters[A01].register = lambda _counted: 5000.0
    world.charging()
    world.draw(2.0, -300.0)
    world.run(50)
    world.stop(force=True)
    world.run_until("ended remote", within=10)
    assert 0 <= world.settlement().record.energy < 1.0


def test_a_little_below_zero_is_noise() -> None:
    world = World()
    world.charging()
    world.draw(0.0, -1.0)
    world.run(60)
    world.tells_not("power negative")


def went_back(counted: float) -> float:
    return counted - 4000.0


def jumped(counted: float) -> float:
    return counted + 4000.0


def rolled_over(counted: float) -> float:
    return counted % 5000.0


REGISTERS: dict[str, Callable[[float], float]] = {
    "went_back": went_back,
    "jumped": jumped,
    "rolled_over": rolled_over,
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("register", "doubt"),
    [("went_back", "register_went_back"), ("jumped", "register_jumped"), ("rolled_over", "register_went_back")],
)
def test_a_register_that_is_not_believed_makes_an_estimate(register: str, doubt: str) -> None:
    world = World()
    world.loads[A01].energy = 4990.0
    session = world.charging()
    world.run(100)
    world.meters[A01].register = REGISTERS[register]
    world.run(300)
    told = only(world, EnergyEstimated)
    assert (told.port, told.kind, told.session) == (A01, doubt, session)
    world.stop(force=True)
    world.run_until("ended remote", within=10)
    settled = world.settlement()
    assert (settled.quality, settled.quality_reason) == (EnergyQuality.ESTIMATED, doubt)
    assert settled.record.energy == pytest.approx(world.energy_between("A01", 0, world.now), abs=1.0)


def test_an_estimate_is_told_of_once_over_an_outage() -> None:
    world = World(site=StationPlan(ports=(port_plan(),), resume_window=Seconds(1800.0)))
    world.charging()
    world.run(100)
    world.meters[A01].register = jumped
    world.run(100)
    world.restart()
    world.run_until("resumed", within=60)
    world.run(100)
    assert world.count("estimated register_jumped") == 1


# On the wire


@pytest.mark.long
def test_a_board_that_answers_for_another_address_is_no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    own = bench.boards.script

    def stranger(request: bytes) -> Reply:
        if request[0] != FIRST_METER:
            return own(request)
        answer = bytes([request[0] + 1, *request[1:2], 4]) + bytes(4)
        return [(SILENCE + TURNAROUND, answer + crc(answer))]

    bench.line.script = stranger
    bench.run(20.0)
    assert not [event for event in bench.told(MeterReading) if event.port == A01]
    assert FaultKind.CORRUPT in {event.kind for event in bench.told(MeterFault) if event.port == A01}
    told = bench.bus.statistics()
    asked = next(board for board in told.boards if board.foreign_bytes)
    assert asked.answers == 0
    assert Cause.FOREIGN in {one.cause for one in told.findings if asked.board in one.boards}
    assert [event.board for event in bench.told(ForeignHeard)] == [asked.board]
    assert bench.bus.counters.foreign_bytes == sum(board.foreign_bytes for board in told.boards)


def test_strangers_are_told_of_once_and_again_after_some_quiet() -> None:
    world = World()
    world.charging()
    heard = ForeignHeard(board=world.plans[A01].meter.board, at=Instant(world.now))
    for wait in (1.0, 599.0, 601.0):
        world.tell(replace(heard, at=Instant(world.now)))
        world.run(wait)
    world.tell(replace(heard, at=Instant(world.now)))
    told = [fact for _, fact in world.facts if isinstance(fact, ForeignAnswers)]
    assert told == [ForeignAnswers(board=heard.board)] * 2
    world.tell(replace(heard, at=Instant(world.now), tainted=True))
    assert [fact for _, fact in world.facts if isinstance(fact, ForeignAnswers)][2:] == [
        ForeignAnswers(board=heard.board, kind="tainted")
    ]
    assert world.state() is PortState.CHARGING


@pytest.mark.long
def test_a_stranger_that_speaks_first_takes_the_answer_behind_it_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch)
    own = bench.boards.script

    def two(request: bytes) -> Reply:
        (delay, answer), *_ = list(own(request))
        if request[0] != FIRST_METER:
            return [(delay, answer)]
        stranger = bytes([request[0] + 1, 4, 4]) + bytes(4)
        return [(delay, stranger + crc(stranger)), (delay + 0.012, answer)]

    bench.line.script = two
    bench.boards.amps[FIRST_METER] = 3.25
    bench.run(20.0)
    shown = {
        event.current for event in bench.told(MeterReading) if event.port == A01 and event.current is not None
    }
    assert not shown
    assert Cause.TAINTED in {one.cause for one in bench.bus.statistics().findings}
    assert {(event.board, event.tainted) for event in bench.told(ForeignHeard)} >= {("meter1", True)}


def test_a_meter_that_answers_what_cannot_be_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.run(5.0)
    assert not bench.bus.statistics().findings
    bench.boards.amps[FIRST_METER] = math.nan
    bench.run(10.0)
    told = bench.bus.statistics()
    counted = {board.board: board.implausible for board in told.boards if board.implausible}
    assert len(counted) == 1
    (board, count) = counted.popitem()
    assert count > 1
    found = [one for one in told.findings if one.cause is Cause.IMPLAUSIBLE]
    assert [one.boards for one in found] == [(BoardId(board),)]
