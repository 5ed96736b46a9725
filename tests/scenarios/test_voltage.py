"""A voltage that is too high, too low, or gone: who is opened, who may return, and what counts as evidence."""

import math
from dataclasses import replace

import pytest

from chargerd.core.commands import Code
from chargerd.core.events import CircuitFault, CircuitReading, MeterFault, MeterReading
from chargerd.core.faults import FaultKind
from chargerd.core.plan import CircuitPlan, Phase, StationPlan
from chargerd.core.session import StopReason
from chargerd.core.units import Amps, CircuitId, Instant, PortId, Seconds, Volts
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.sheds import MAIN, SHED, all_charging, closed, feeder, shed
from tests.core.world import World

A01, A02 = "A01", "A02"
GOOD = (Volts(230.0),)


def supplied(*ports: str, refresh: float = 0.0) -> World:
    """A shed with a meter of its own at 230 V, these ports charging."""
    world = shed(meter=feeder(refresh))
    world.feeder_volts = GOOD
    all_charging(world, *ports)
    world.run(5)
    return world


def volts(world: World, *values: float) -> None:
    world.feeder_volts = tuple(Volts(value) for value in values)


def seen_by(world: World, port: str, voltage: float | None, seconds: float) -> None:
    """Let a port's own meter show a voltage each 2 s."""
    end = world.now + seconds
    while world.now < end:
        shown = None if voltage is None else Volts(voltage)
        world.tell(MeterReading(port=PortId(port), at=Instant(world.now), voltage=shown))
        world.run(min(2.0, end - world.now))


@pytest.mark.parametrize(("value", "reason"), [(264.0, "overvoltage"), (176.0, "undervoltage")])
def test_four_seconds_out_of_the_band_suspend_all_it_supplies(value: float, reason: str) -> None:
    world = supplied(A01, A02)
    volts(world, value)
    world.run(3.9)
    assert closed(world) == [A01, A02]
    world.run(1.5)
    assert closed(world) == []
    for port in (A01, A02):
        world.tells(f"suspended {reason}", port=port)
        assert world.state(port) is PortState.SUSPENDED


@pytest.mark.parametrize("value", [263.9, 176.1])
def test_just_inside_the_band_is_good(value: float) -> None:
    world = supplied(A01)
    volts(world, value)
    world.run(120)
    assert world.state() is PortState.CHARGING


def test_a_dip_of_three_seconds_is_ridden_through() -> None:
    world = supplied(A01)
    for _ in range(5):
        volts(world, 100.0)
        world.run(3)
        volts(world, 230.0)
        world.run(2)
    assert world.state() is PortState.CHARGING


def test_a_minute_back_in_the_band_lets_it_go_on() -> None:
    world = supplied(A01)
    volts(world, 280.0)
    world.run(10)
    back = world.elapsed
    volts(world, 230.0)
    resumed = world.run_until("resumed", within=90)
    assert 60.0 <= resumed - back <= 66.0
    assert world.view().session is not None


def test_a_minute_that_is_broken_begins_anew() -> None:
    world = supplied(A01)
    volts(world, 280.0)
    world.run(10)
    for _ in range(3):
        volts(world, 230.0)
        world.run(50)
        volts(world, 280.0)
        world.run(3)
    assert world.state() is PortState.SUSPENDED
    assert world.count("resumed") == 0


def test_good_news_that_stops_coming_is_none() -> None:
    world = supplied(A01)
    volts(world, 280.0)
    world.run(10)
    volts(world, 230.0)
    world.run(5)
    world.feeder_volts = ()
    world.run(120)
    assert world.state() is PortState.SUSPENDED


@pytest.mark.long
def test_a_voltage_that_stays_wrong_ends_the_session_by_its_name() -> None:
    world = supplied(A01)
    volts(world, 280.0)
    world.run(1800)
    world.run(20)
    assert world.settlement().reason is StopReason.OVERVOLTAGE


@pytest.mark.long
def test_a_line_that_is_dead_ends_it_as_a_power_loss() -> None:
    world = supplied(A01)
    volts(world, 3.0)
    world.run(1820)
    assert world.settlement().reason is StopReason.POWER_LOSS


@pytest.mark.long
def test_one_that_is_only_low_as_undervoltage() -> None:
    world = supplied(A01)
    volts(world, 120.0)
    world.run(1820)
    assert world.settlement().reason is StopReason.UNDERVOLTAGE


def test_nothing_is_started_at_a_wrong_voltage() -> None:
    world = supplied()
    world.ready(A01)
    volts(world, 270.0)
    world.run(3)
    assert world.view().blocked_by == (Code.VOLTAGE,)
    world.start()
    world.tells("answer start rejected voltage")
    volts(world, 230.0)
    world.run(2)
    world.ready(A01)


def test_nor_closed_when_it_goes_wrong_during_the_start() -> None:
    world = supplied()
    world.ready(A01)
    world.journal.latency = 2.5
    world.start()
    world.run(0.8)
    volts(world, 270.0)
    world.run(10)
    assert world.count("close") == 0
    world.tells("ended start_failed")


@pytest.mark.parametrize("nonsense", [None, math.nan, math.inf])
def test_what_is_no_number_is_no_evidence(nonsense: float | None) -> None:
    world = supplied(A01)
    world.feeder_volts = (None if nonsense is None else Volts(nonsense),)
    world.run(60)
    assert world.state() is PortState.CHARGING


def test_a_voltage_nobody_measures_is_none_either() -> None:
    world = shed(meter=feeder())
    all_charging(world, A01)
    world.run(60)
    assert world.state() is PortState.CHARGING


def test_one_reading_alone_opens_nothing() -> None:
    world = supplied(A01)
    world.feeders_silent = True
    world.tell(
        CircuitReading(circuit=SHED, at=Instant(world.now), currents=(Amps(2.0),), voltages=(Volts(270.0),))
    )
    world.run(9)
    assert world.state() is PortState.CHARGING


def test_two_readings_are_needed_and_one_refresh_holds_one() -> None:
    world = supplied(A01, refresh=5.0)
    volts(world, 280.0)
    world.run(6.9)
    assert world.state() is PortState.CHARGING, "four seconds and more, but one value of the meter"
    world.run(5)
    assert world.state() is PortState.SUSPENDED


@pytest.mark.parametrize("refresh", [10.0, 20.0])
def test_a_meter_that_renews_its_values_seldom_is_believed_all_the_same(refresh: float) -> None:
    world = supplied(A01, refresh=refresh)
    volts(world, 280.0)
    world.run(3 * refresh + 5)
    assert world.state() is PortState.SUSPENDED
    volts(world, 230.0)
    world.run_until("resumed", within=60 + 3 * refresh)


def phases() -> World:
    """Three ports on a phase each, and one whose phase is not stated, below one meter of three phases."""
    named = [
        replace(port_plan(f"A0{n}", n), phase=phase) for n, phase in enumerate((Phase.L1, Phase.L2, Phase.L3), 1)
    ]
    plan = CircuitPlan(id=SHED, parent=MAIN, phases=3, meter=replace(feeder(), phases=3))
    world = World(
        site=StationPlan(ports=(*named, port_plan("A04", 4)), circuits=(CircuitPlan(id=MAIN, phases=3), plan))
    )
    volts(world, 230.0, 231.0, 232.0)
    all_charging(world, "A01", "A02", "A03", "A04")
    world.run(5)
    return world


def test_a_phase_concerns_those_that_hang_on_it() -> None:
    world = phases()
    volts(world, 230.0, 280.0, 232.0)
    world.run(10)
    assert closed(world) == ["A01", "A03"], "and who does not say hangs on every phase"


def test_the_nearest_meter_is_believed() -> None:
    world = phases()
    far = CircuitReading(
        circuit=MAIN, at=Instant(world.now), currents=(Amps(1.0),) * 3, voltages=(Volts(300.0),) * 3
    )
    for _ in range(40):
        world.tell(replace(far, at=Instant(world.now)))
        world.run(0.1)
        assert Code.VOLTAGE not in world.view().blocked_by
    assert len(closed(world)) == 4
    world.feeders_silent = True
    for _ in range(20):
        world.tell(replace(far, at=Instant(world.now)))
        world.run(1.0)
    assert closed(world) == [], "but when it falls silent the next one is"


def test_a_ports_own_meter_tells_for_its_circuit_where_that_has_none() -> None:
    world = shed()
    all_charging(world, A01, A02)
    seen_by(world, A01, 280.0, 10)
    assert closed(world) == []
    seen_by(world, A01, 230.0, 80)
    assert closed(world) == [A01, A02]


def test_a_port_of_no_circuit_hears_its_own_meter_only() -> None:
    world = World(port_plan("A01", 1), replace(port_plan("A02", 2), circuit=CircuitId("elsewhere")))
    all_charging(world, A01, A02)
    seen_by(world, A01, 280.0, 10)
    assert closed(world) == [A02]


def test_a_meter_that_shows_no_voltage_under_load_is_broken() -> None:
    world = shed()
    all_charging(world, A01, A02)
    seen_by(world, A01, 0.0, 20)
    assert closed(world) == [A01, A02]


def test_a_session_that_waits_for_its_meter_does_not_close_at_a_wrong_voltage() -> None:
    world = supplied(A01)
    world.meters[PortId(A01)].silent = True
    world.run(5)
    volts(world, 270.0)
    world.run(4)
    world.meters[PortId(A01)].silent = False
    world.run(60)
    assert world.state() is PortState.SUSPENDED
    volts(world, 230.0)
    world.run_until("resumed", within=60)


def test_the_delay_is_told_by_the_clock_between_two_readings() -> None:
    world = supplied(A01)
    world.feeders_silent = True
    began = world.now
    for at in (0.0, 3.0):
        world.run_to(began + at)
        world.tell(
            CircuitReading(circuit=SHED, at=Instant(world.now), currents=(Amps(2.0),), voltages=(Volts(270.0),))
        )
    world.run(2)
    assert world.when("suspended overvoltage") == pytest.approx(began - 1000 + 4.0)


def test_what_came_before_a_long_silence_does_not_count() -> None:
    world = supplied(A01)
    world.feeders_silent = True
    for pause in (30.0, 1.0):
        world.tell(
            CircuitReading(circuit=SHED, at=Instant(world.now), currents=(Amps(2.0),), voltages=(Volts(270.0),))
        )
        world.run(pause)
    assert world.state() is PortState.CHARGING


def test_a_port_may_have_a_band_of_its_own() -> None:
    plan = port_plan("A01", 1)
    own = replace(plan, protection=replace(plan.protection, overvoltage=Volts(250.0), voltage_delay=Seconds(6.0)))
    world = World(
        site=StationPlan(ports=(own, port_plan("A02", 2)), circuits=(CircuitPlan(id=SHED, meter=feeder()),))
    )
    volts(world, 230.0)
    all_charging(world, A01, A02)
    volts(world, 255.0)
    world.run(5.5)
    assert closed(world) == [A01, A02]
    world.run(3)
    assert closed(world) == [A02]


def test_a_port_shows_the_voltage_of_its_own_meter_then_that_upstream_then_none() -> None:
    world = supplied(A01)
    assert world.view(A02).measured.voltage == 230.0, "upstream"
    world.tell(MeterReading(port=PortId(A02), at=Instant(world.now), voltage=Volts(228.0)))
    assert world.view(A02).measured.voltage == 228.0, "its own"
    volts(world, 240.0)
    world.run(10.0)
    assert world.view(A02).measured.voltage == 228.0
    world.run(1.0)
    assert world.view(A02).measured.voltage == 240.0, "its own is old"
    world.feeder_volts = ()
    world.run(11.0)
    assert world.view(A02).measured.voltage is None


def three_phases(*phases: Phase, circuit_phases: int = 3) -> World:
    """Ports of one circuit on these phases, without any meter of the circuit's own."""
    ports = tuple(port_plan(f"A{number:02}", number, phase=phase) for number, phase in enumerate(phases, 1))
    world = World(site=StationPlan(ports=ports, circuits=(CircuitPlan(id=SHED, phases=circuit_phases),)))
    all_charging(world, *(port.id for port in ports))
    world.run(2)
    return world


def test_a_port_on_another_phase_is_told_by_a_meter_of_its_own_phase() -> None:
    world = three_phases(Phase.L1, Phase.L2, Phase.L2)
    for _ in range(4):
        seen_by(world, A01, 230.0, 1.0)
        seen_by(world, A02, 300.0, 1.0)
    assert closed(world) == [A01]
    world.tells("suspended overvoltage", port="A03")


def test_where_nobody_says_on_which_phase_a_port_hangs_its_own_meter_alone_tells() -> None:
    world = three_phases(Phase.ALL, Phase.ALL)
    seen_by(world, A01, 300.0, 6.0)
    assert closed(world) == [A02]


def test_in_a_circuit_of_one_phase_one_meter_tells_for_all() -> None:
    world = three_phases(Phase.ALL, Phase.ALL, circuit_phases=1)
    seen_by(world, A01, 300.0, 6.0)
    assert closed(world) == []


def test_one_voltage_of_a_feeder_of_three_phases_is_no_evidence_for_any() -> None:
    world = shed(meter=feeder(), phases=3)
    world.feeder_volts = GOOD
    all_charging(world, A01)
    seen_by(world, A01, 300.0, 6.0)
    world.tells("suspended overvoltage", port=A01)


@pytest.mark.parametrize("fault", ["meter", "feeder"])
def test_another_meter_is_believed_as_soon_as_the_nearer_one_falls_silent(fault: str) -> None:
    world = shed(meter=feeder())
    world.feeders_silent = True
    all_charging(world, A01, A02)
    if fault == "feeder":
        reading = CircuitReading(circuit=SHED, at=Instant(world.now), currents=(Amps(4.0),), voltages=GOOD)
        world.tell(reading)
        world.tell(CircuitFault(circuit=CircuitId("nowhere"), at=Instant(world.now), kind=FaultKind.TIMEOUT))
        world.tell(CircuitFault(circuit=SHED, at=Instant(world.now), kind=FaultKind.TIMEOUT))
    else:
        world.tell(MeterReading(port=PortId(A01), at=Instant(world.now), voltage=Volts(230.0)))
        world.tell(MeterFault(port=PortId(A01), at=Instant(world.now), kind=FaultKind.TIMEOUT))
    began = world.elapsed
    seen_by(world, A02, 300.0, 6.0)
    assert world.when("suspended overvoltage", port=A01) - began < 5.0, "its 4 s, and no more"


@pytest.mark.parametrize("missing", [None, math.nan])
def test_another_meter_is_believed_as_soon_as_the_nearer_one_leaves_a_phase_out(missing: float | None) -> None:
    world = phases()
    world.feeder_volts = (Volts(230.0), None if missing is None else Volts(missing), Volts(232.0))
    world.run(1.5)
    began = world.elapsed
    for _ in range(3):
        for port in ("A01", "A02", "A04"):
            world.tell(MeterReading(port=PortId(port), at=Instant(world.now), voltage=Volts(300.0)))
        world.run(2.0)
    for port in ("A02", "A04"):
        assert world.when("suspended overvoltage", port=port) - began < 5.0, "its 4 s, and no more"
    assert closed(world) == ["A01", "A03"], "of their phases the feeder tells"


def test_a_phase_left_out_by_one_that_was_not_believed_changes_nothing() -> None:
    world = phases()
    world.feeder_volts = (None, None, None)
    world.run(1.5)
    good = (Volts(230.0), Volts(231.0), Volts(232.0))
    world.tell(CircuitReading(circuit=MAIN, at=Instant(world.now), currents=(Amps(1.0),) * 3, voltages=good))
    for _ in range(8):
        world.run(1.0)
        world.tell(MeterReading(port=PortId("A02"), at=Instant(world.now), voltage=Volts(300.0)))
    assert len(closed(world)) == 4, "what the next one upstream has told is not old yet"


def test_a_silence_of_one_that_was_not_believed_changes_nothing() -> None:
    world = supplied(A01, A02)
    world.feeders_silent = True
    world.tell(MeterFault(port=PortId(A01), at=Instant(world.now), kind=FaultKind.TIMEOUT))
    seen_by(world, A01, 300.0, 6.0)
    assert closed(world) == [A01, A02], "what the feeder has told is not old yet"
