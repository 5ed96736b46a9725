"""Meters that are wired the wrong way round: magnitudes protect, signs bill."""

import pytest

from chargerd.core.events import CircuitReading, MeterReading
from chargerd.core.facts import CircuitShed, MeterFrozen, PortAlarm, PowerNegative, RelayOpenCircuit
from chargerd.core.plan import MeterPlan, Phase, Protection, StationPlan
from chargerd.core.session import StopReason
from chargerd.core.units import Amps, BoardId, Instant, PortId, Seconds, Volts, Watts
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.sheds import SHED, all_charging, feeder, rated, shed
from tests.core.world import World

A01 = PortId("A01")


def turned(world: World, *ports: str) -> World:
    """Turn meters round, and let their registers of imported energy stand still for it."""
    for port in ports or ("A01",):
        meter = world.meters[PortId(port)]
        meter.reversed, meter.register = True, lambda _counted: 5000.0
    return world


def test_a_weld_behind_a_reversed_meter_is_a_weld() -> None:
    world = World()
    session = world.charging()
    world.run(5)
    world.stop(session=session)
    world.run(5)
    world.by_hand()
    for _ in range(3):
        world.show(0.5, -100.0)
        world.run(0.5)
    world.tells("locked out relay_welded", "state locked_out")


def test_a_reversed_neighbour_is_crosstalk_all_the_same() -> None:
    meter = MeterPlan(board=BoardId("meter"))
    world = World(port_plan("A01", 1, meter=meter), port_plan("A02", 2, meter=meter))
    session = world.charging()
    world.stop(session=session)
    world.run(5)
    world.by_hand()
    world.by_hand("A02")
    world.show(9.0, -2000.0, port="A02")
    for _ in range(5):
        world.show(0.5, 19.0)
        world.run(0.5)
    world.tells_not("locked out relay_welded")


def test_too_much_power_backwards_ends_the_session() -> None:
    world = turned(World())
    world.draw(2.0, 300.0)
    world.charging()
    world.run(10)
    world.draw(4.9, 1150.0)
    world.run(15)
    world.tells("tripped overpower")


def test_far_too_much_power_backwards_ends_it_at_one_reading() -> None:
    world = turned(World())
    world.charging()
    world.run(10)
    world.draw(4.9, 1600.0)
    world.run(3)
    world.tells("tripped overpower")


@pytest.mark.parametrize("amps", [8.0, -8.0])
def test_a_current_is_a_magnitude(amps: float) -> None:
    world = World()
    world.charging()
    world.run(10)
    world.by_hand()
    world.tell(MeterReading(port=A01, at=Instant(world.now), current=Amps(amps)))
    world.run(1)
    world.tells("tripped overcurrent_instant")


@pytest.mark.long
def test_two_ports_of_which_one_is_reversed_do_not_make_nothing() -> None:
    world = shed(**rated(None, 1700.0))
    turned(world, "A02")
    for port in ("A01", "A02"):
        world.draw(2.0, 300.0, port=port)
        world.charging(port)
        world.run(120)
    assert world.shed().load_power == pytest.approx(600.0)
    for port in ("A01", "A02"):
        world.draw(4.0, 900.0, port=port)
    world.run(10)
    assert [fact.port for _, fact in world.facts if isinstance(fact, CircuitShed)][:1] == ["A02"]


@pytest.mark.parametrize(("amps", "watts"), [((-21.0,), 900.0), ((9.0,), -5000.0), ((5.0, -21.0, 5.0), 900.0)])
def test_a_reversed_feeder_meter_hides_no_overload(amps: tuple[float, ...], watts: float) -> None:
    world = shed(**rated(20.0, 4500.0), meter=feeder(), phases=3)
    all_charging(world, "A01")
    world.feeders_silent = True
    for _ in range(6):
        reading = CircuitReading(
            circuit=SHED, at=Instant(world.now), currents=tuple(map(Amps, amps)), power=Watts(watts)
        )
        world.tell(reading)
        world.run(0.5)
    assert [fact.port for _, fact in world.facts if isinstance(fact, CircuitShed)] == ["A01"]


@pytest.mark.long
def test_a_reversed_meter_is_told_of_and_bills_nothing_and_lets_the_session_go_on() -> None:
    world = turned(World())
    session = world.charging()
    world.run(400)
    assert world.state() is PortState.CHARGING, "it is no empty socket, and its register need not count"
    told = [fact for _, fact in world.facts if isinstance(fact, PowerNegative)]
    assert [(fact.port, fact.session, fact.detail.measured) for fact in told] == [(A01, session, -300.0)]
    assert world.view().measured.power == -300.0, "a person sees which way it is wired"
    assert not [fact for _, fact in world.facts if isinstance(fact, MeterFrozen)]
    world.stop(session=session)
    world.run(5)
    record = world.settlement().record
    assert (record.energy, record.peak_power) == (0.0, 0.0)


@pytest.mark.long
def test_a_register_that_counts_both_ways_is_not_called_blind() -> None:
    world = World()
    world.meters[A01].reversed = True
    world.charging()
    world.run(400)
    assert world.state() is PortState.CHARGING
    assert not [fact for _, fact in world.facts if isinstance(fact, MeterFrozen)]


def test_three_sessions_backwards_are_no_open_circuit() -> None:
    world = turned(World())
    for _ in range(3):
        session = world.charging()
        world.run(20)
        world.stop(session=session)
        world.run(20)
    assert not [fact for _, fact in world.facts if isinstance(fact, RelayOpenCircuit)]


@pytest.mark.long
def test_what_a_reversed_meter_showed_before_an_outage_is_no_jump_after_it() -> None:
    world = turned(World(site=StationPlan(ports=(port_plan(),), resume_window=Seconds(1800.0))))
    world.charging()
    world.run(2000)
    world.restart()
    world.run_until("resumed", within=60)
    world.run(100)
    world.tells_not("power jumped")
    assert world.state() is PortState.CHARGING


@pytest.mark.parametrize("volts", [-270.0, 6000.0])
def test_a_voltage_is_a_magnitude_too_and_above_all_ranges_at_least_their_end(volts: float) -> None:
    world = shed(meter=feeder())
    all_charging(world, "A01")
    world.feeder_volts = (Volts(volts),)
    world.run(10)
    world.tells("suspended overvoltage", port="A01")


def test_phases_are_told_apart_whichever_way_they_flow() -> None:
    plan = port_plan(phase=Phase.L2)
    world = World(site=StationPlan(ports=(plan,), circuits=shed().plan.circuits))
    world.charging()
    world.by_hand()
    world.tell(MeterReading(port=A01, at=Instant(world.now), current=Amps(-3.0), power=Watts(-500.0)))
    assert world.shed().load_currents == (0.0, 3.0, 0.0)
    assert world.shed().load_power == 500.0


# Power that flows back for long


def feeding_back(watts: float = -20.0, protection: Protection | None = None) -> World:
    """A session of 100 W whose load then feeds back."""
    world = World(port_plan(protection=protection or Protection()), poll=1.0)
    world.draw(1.0, 100.0)
    world.charging()
    world.run(10)
    world.draw(0.5, watts)
    return world


def test_a_load_that_feeds_back_for_ten_seconds_is_told_of_once_and_goes_on() -> None:
    world = feeding_back()
    began = world.elapsed
    assert world.run_until("port alarm", within=20) - began == pytest.approx(10, abs=2.1)
    world.run(60)
    [told] = [fact for _, fact in world.facts if isinstance(fact, PortAlarm)]
    assert (told.function, told.detail.measured, told.detail.limit) == ("reverse_power", -20.0, -20.0)
    assert world.state() is PortState.CHARGING


def test_where_a_site_wants_it_feeding_back_ends_the_session_between_two_readings() -> None:
    world = feeding_back(100.0, Protection(reverse_power_trips=True, reverse_power_delay=Seconds(2.0)))
    world.by_hand()
    began = world.elapsed
    world.show(0.5, -20.0)
    world.run(1)
    world.show(0.5, -20.0)
    assert world.run_until("tripped reverse_power", within=2) - began == pytest.approx(2, abs=0.1)
    world.by_itself()
    world.run(5)
    settled = world.settlement()
    assert settled.reason is StopReason.OVERPOWER
    assert settled.detail is not None
    assert settled.detail.function == "reverse_power"
    assert world.state() is PortState.AVAILABLE, "without a latch"


def test_less_than_twenty_watts_back_are_no_alarm() -> None:
    world = feeding_back(-19.9)
    world.run(60)
    assert not world.count("port alarm")


def test_a_moment_without_it_begins_the_ten_seconds_anew() -> None:
    world = feeding_back()
    world.run(7)
    world.draw(1.0, 100.0)
    world.run(3)
    world.draw(0.5, -20.0)
    began = world.elapsed
    assert world.run_until("port alarm", within=20) - began >= 10


def test_a_suspension_breaks_it() -> None:
    world = feeding_back(protection=Protection(reverse_power_trips=True))
    world.run(7)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale", within=10)
    world.by_itself()
    resumed = world.run_until("resumed", within=60)
    assert world.run_until("tripped reverse_power", within=20) - resumed == pytest.approx(10, abs=4)
