"""Trees of circuits: what a circuit above counts and switches, what guards it, what a phase carries."""

import pytest

from chargerd.core.commands import CloseRelay
from chargerd.core.events import CircuitReading
from chargerd.core.facts import CircuitTripped
from chargerd.core.plan import CircuitPlan, FeederPlan, InputPlan, Phase, StationPlan, contactor_of, holder_of
from chargerd.core.session import Source
from chargerd.core.units import Amps, BoardId, CircuitId, Instant, PortId, Seconds
from chargerd.core.view import CircuitView, PortState
from tests.core.plant import port_plan
from tests.core.sheds import (
    CONTACTOR,
    MAIN,
    SHED,
    SMOKE,
    STOP,
    SWITCH,
    all_charging,
    closed,
    feeder,
    names,
    rated,
    shed,
)
from tests.core.world import World

OTHER = CircuitId("other")
MAIN_CONTACTOR = contactor_of(MAIN)
A01, A02, B01 = PortId("A01"), PortId("A02"), PortId("B01")
LIMITED = {"phases": 3, "meter": FeederPlan(board=BoardId("feeder"), phases=3)}


def tree(
    *,
    queue_for: float = 0.0,
    inputs: tuple[InputPlan, ...] = (),
    switched: bool = False,
    meter: FeederPlan | None = None,
    **main: object,
) -> World:
    """Two sheds below one main circuit: A01 and A02 on one, B01 on the other; `main` are members of its plan.

    `meter` is that of the first shed.
    """
    ports = (
        port_plan("A01", 1),
        port_plan("A02", 2),
        port_plan("B01", 3, circuit=OTHER),
    )
    circuits = (
        CircuitPlan(id=MAIN, **main),  # type: ignore[arg-type]  # the caller names members of CircuitPlan
        CircuitPlan(id=SHED, parent=MAIN, contactor=SWITCH if switched else None, meter=meter),
        CircuitPlan(id=OTHER, parent=MAIN),
    )
    return World(
        site=StationPlan(ports=ports, circuits=circuits, inputs=inputs, queue_for=Seconds(queue_for)),
        separate=True,
    )


def main_of(world: World) -> CircuitView:
    return next(view for view in world.station.circuit_views(world.moment()) if view.id == MAIN)


def blocked_by(world: World, port: str) -> list[str]:
    return [code.value for code in world.view(port).blocked_by]


def measured(world: World, *amps: float) -> None:
    """Let the shed's feeder show these currents of L1 to L3, and nothing more by itself."""
    currents = tuple(Amps(each) for each in amps)
    world.feeders_silent = True
    world.tell(CircuitReading(circuit=SHED, at=Instant(world.now), currents=currents))


def on_phases(*phases: Phase, rating: float = 6.0) -> World:
    """A shed of three phases with a port on each of these, its feeder meter told by hand."""
    ports = tuple(
        port_plan(name, number, phase=phase)
        for number, (name, phase) in enumerate(zip(names(len(phases)), phases, strict=True), 1)
    )
    plan = CircuitPlan(id=SHED, rating=Amps(rating), phases=3, meter=FeederPlan(board=BoardId("feeder"), phases=3))
    world = World(site=StationPlan(ports=ports, circuits=(plan,)))
    world.feeders_silent = True
    return world


# What is counted above


def test_what_is_kept_free_below_is_kept_free_above() -> None:
    world = tree(**rated(15.0))
    world.charging("A01")
    world.ready("B01")
    world.start("B01")
    assert main_of(world).allocated_currents[0] == 10.0, "at once"
    world.run_until("state charging", within=10)
    world.start("A02")
    assert world.answers("start-3") == ["rejected circuit_full"], "15 A of 13.5 A"


def test_what_flows_below_is_shed_above() -> None:
    world = tree(**rated(12.0))
    all_charging(world, "A01", "B01")
    world.run(5)
    assert main_of(world).load_currents[0] == 4.0
    for port in ("A01", "B01"):
        world.draw(6.0, 800.0, port=port)
    began = world.elapsed
    assert world.run_until("suspended circuit_overload", within=2.9) - began >= 2.0
    assert world.state("B01") is PortState.SUSPENDED, "the newest of both sheds"
    world.tells("circuit shed", port="B01")


def test_a_start_that_never_fits_above_is_refused_however_long_it_would_wait() -> None:
    world = tree(queue_for=3600, **rated(5.5))
    world.ready("B01")
    world.start("B01")
    assert world.answers("start-1") == ["rejected circuit_full"]


def test_who_has_waited_for_the_circuit_above_is_not_overtaken_from_beside() -> None:
    world = tree(queue_for=600, **rated(8.0))
    world.charging("A01")
    world.start("B01")
    world.start("A02", current=Amps(1.0))
    assert [world.state(port) for port in ("B01", "A02")] == [PortState.QUEUED] * 2, "A02 would fit"
    assert [world.view(port).queue_position for port in ("B01", "A02")] == [1, 2]
    assert main_of(world).queue == (B01, A02)


def test_the_phase_of_a_circuit_above_is_that_of_those_below() -> None:
    world = tree(phase=Phase.L2, **rated(20.0))
    world.charging("A01")
    world.run(2)
    assert world.shed().load_currents == main_of(world).load_currents == (0.0, 2.0, 0.0)


# What a feeder meter shows, and what it does not


def test_a_feeder_that_shows_less_than_its_ports_sheds_by_what_they_show() -> None:
    world = shed(2, **rated(12.0), meter=feeder())
    all_charging(world, "A01", "A02")
    world.background[SHED] = (-9.0, 0.0)
    for port in names(2):
        world.draw(6.0, 800.0, port=port)
    world.run_until("suspended circuit_overload", within=3.5)
    assert world.shed().measured


def test_a_feeder_that_shows_less_than_its_ports_leaves_no_more_room() -> None:
    world = shed(2, **rated(11.0), meter=feeder())
    world.charging("A01")
    world.background[SHED] = (-2.0, 0.0)
    world.run(3)
    world.start("A02")
    assert world.answers("start-2") == ["rejected circuit_full"], "5 A each of 9.9 A"


def test_what_flows_beside_the_ports_takes_room_from_them() -> None:
    world = shed(2, **rated(12.0), meter=feeder())
    world.charging("A01")
    world.background[SHED] = (3.0, 0.0)
    world.run(3)
    world.start("A02")
    assert world.answers("start-2") == ["rejected circuit_full"], "5 A, 5 A and 3 A of 10.8 A"


def test_what_flows_beside_the_ports_below_takes_room_from_those_above() -> None:
    world = tree(meter=feeder(), **rated(12.0))
    world.charging("A01")
    world.background[SHED] = (3.0, 0.0)
    world.run(3)
    assert main_of(world).load_currents[0] == 5.0
    world.start("B01")
    assert world.answers("start-2") == ["rejected circuit_full"], "5 A, 5 A and 3 A of 10.8 A"


def test_what_flows_beside_the_ports_below_is_shed_above() -> None:
    world = tree(meter=feeder(), **rated(12.0))
    all_charging(world, "A01", "B01")
    world.run(5)
    world.background[SHED] = (9.0, 0.0)
    assert world.run_until("suspended circuit_overload", within=4) > 2.0
    assert world.state("B01") is PortState.SUSPENDED, "the newest of both sheds"
    world.run(10)
    assert world.state("A01") is PortState.CHARGING, "11 A of 12 A"


@pytest.mark.parametrize("refresh", [0.0, 1.0])
def test_what_a_meter_below_shows_from_before_opens_no_second_port(refresh: float) -> None:
    world = tree(meter=feeder(refresh), **rated(17.0))
    all_charging(world, "B01", "A01", "A02")
    world.background[SHED] = (0.9, 0.0)
    world.run(5)
    for port in ("A01", "A02", "B01"):
        world.draw(5.4, 700.0, port=port)
    world.run_until("suspended circuit_overload", within=6)
    for _ in range(round(2 * refresh / 0.5)):
        world.run(0.5)
        measured(world, 11.7)
    world.feeders_silent = False
    world.run(20)
    assert world.count("circuit shed", "A01") + world.count("circuit shed", "B01") == 0
    assert world.count("circuit shed", "A02") == 1


# Phases


def test_a_port_on_one_phase_is_not_opened_to_relieve_another() -> None:
    world = on_phases(Phase.L2, Phase.L1)
    all_charging(world, "A01", "A02")
    for _ in range(4):
        measured(world, 2.0, 6.5, 0.0)
        world.run(0.8)
    world.tells("circuit shed", port="A01")
    assert closed(world) == ["A02"], "the newer one draws from L1"


def test_nor_at_once_for_much_too_much() -> None:
    world = on_phases(Phase.L2, Phase.L1)
    all_charging(world, "A01", "A02")
    measured(world, 2.0, 7.3, 0.0)
    world.run(0.3)
    assert closed(world) == ["A02"]


def test_two_phases_with_too_much_are_both_relieved() -> None:
    world = on_phases(Phase.L2, Phase.L1, Phase.L3)
    all_charging(world, "A01", "A02", "A03")
    measured(world, 7.3, 7.3, 2.0)
    world.run(0.3)
    assert closed(world) == ["A03"], "what A02 leaves on L1 is none on L2"


def test_a_load_on_a_phase_without_ports_opens_nobody() -> None:
    world = on_phases(Phase.L1, Phase.L2)
    all_charging(world, "A01", "A02")
    for _ in range(12):
        measured(world, 2.0, 2.0, 7.3)
        world.run(0.8)
    assert closed(world) == ["A01", "A02"]


def test_too_much_power_is_relieved_on_whichever_phase() -> None:
    ports = tuple(
        port_plan(name, n, phase=phase) for n, (name, phase) in enumerate(zip(names(2), Phase, strict=False), 1)
    )
    world = World(site=StationPlan(ports=ports, circuits=(CircuitPlan(id=SHED, phases=3, **rated(None, 2300.0)),)))
    all_charging(world, "A01", "A02")
    for port in names(2):
        world.draw(4.9, 1160.0, port=port)
    world.run_until("suspended circuit_overload", within=5)
    assert world.state("A02") is PortState.SUSPENDED


# How relays close


def test_closings_below_different_circuits_go_out_one_a_second_for_the_one_above() -> None:
    world = tree()
    for port in ("A01", "B01"):
        world.ready(port)
    for port in ("A01", "B01"):
        world.start(port)
    world.run_until("close")
    world.relay_bus.held = True
    world.run(1.2)
    world.relay_bus.release()
    world.run(6)
    first, second = sorted(world.contacts[port].edges[0][0] for port in (A01, B01))
    assert second - first >= 1.0
    told = sorted(at for at, command in world.commands if isinstance(command, CloseRelay))
    assert told[1] - told[0] >= 1.0


# Inputs above


def test_an_input_above_holds_what_is_below_until_it_is_cleared_there() -> None:
    world = tree(inputs=(STOP,))
    world.charging("A01")
    world.danger.add("stop-1")
    world.run(5)
    world.danger.clear()
    world.run(5)
    assert {world.state(port) for port in ("A01", "A02", "B01")} == {PortState.TRIPPED}
    world.start("B01")
    assert world.answers("start-2") == ["rejected latched"]
    assert world.answers(world.reset(holder_of(SHED), source=Source.LOCAL)) == ["done ok"]
    assert world.state("B01") is PortState.TRIPPED, "it is the main circuit that is latched"
    assert world.answers(world.reset(holder_of(MAIN), source=Source.LOCAL)) == ["done ok"]
    world.charging("B01")


def test_an_input_above_that_nobody_reads_keeps_what_is_below_open() -> None:
    world = tree(inputs=(STOP,))
    world.charging("A01")
    world.io.silent = True
    world.run_until("suspended input_board_lost", within=5)
    world.run(30)
    assert closed(world) == []
    assert blocked_by(world, "B01") == ["board_lost"]
    assert world.state("A01") is PortState.SUSPENDED
    world.io.silent = False
    world.run_until("resumed", within=10)


def test_smoke_on_one_circuit_does_not_keep_the_latch_of_another() -> None:
    beside = InputPlan(id="smoke-2", board=SMOKE.board, channel=2, kind=SMOKE.kind, circuit=OTHER)
    world = tree(inputs=(SMOKE, beside))
    world.charging("A01")
    world.danger |= {"smoke-1", "smoke-2"}
    world.run(2)
    world.danger.discard("smoke-1")
    world.run(2)
    assert world.answers(world.reset(holder_of(SHED), source=Source.LOCAL)) == ["done ok"]
    assert world.answers(world.reset(holder_of(OTHER), source=Source.LOCAL)) == ["rejected not_allowed"]
    world.charging("A01")


# Contactors above


def test_a_port_waits_for_the_contactor_of_the_circuit_above() -> None:
    world = tree(contactor=SWITCH)
    world.ready("A01")
    world.ready("B01")
    world.io.refuses = True
    world.start("A01")
    world.start("B01")
    world.run(1.5)
    assert closed(world) == [], "it is not known to be closed"
    world.io.refuses = False
    world.run(6)
    assert closed(world) == ["A01", "B01"]
    assert world.when("contact closed", "A01") > world.when("contact closed", MAIN_CONTACTOR)


def test_a_contactor_above_that_is_lost_suspends_all_below_and_bars_the_rest() -> None:
    world = tree(contactor=SWITCH)
    all_charging(world, "A01", "B01")
    world.run(2)
    world.io.silent = True
    world.run_until("suspended contactor_lost", within=10)
    world.run(5)
    assert [world.state(port) for port in ("A01", "B01")] == [PortState.SUSPENDED] * 2
    assert blocked_by(world, "A02") == ["board_lost"], "nobody could open it again"
    world.io.silent = False
    world.run(60)
    assert closed(world) == ["A01", "B01"]


def test_a_session_waits_for_a_contactor_above_that_is_not_known_to_be_open() -> None:
    world = tree(contactor=SWITCH)
    world.charging("A01")
    world.run(2)
    world.io.refuses = True
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale", within=5)
    world.by_itself()
    world.run(10)
    assert world.state("A01") is PortState.SUSPENDED, "its contactor cannot be told to close before it is open"
    world.io.refuses = False
    world.run_until("resumed", within=20)


@pytest.mark.parametrize("port", ["A02", "B01"])
def test_a_relay_out_of_control_costs_all_below_the_contactor_above(port: str) -> None:
    world = tree(contactor=SWITCH)
    all_charging(world, "A01", port)
    world.contacts[A01].welded = True
    world.stop(force=True)
    world.run_until("locked out relay_will_not_open", within=10)
    world.run(3)
    assert not world.contacts[MAIN_CONTACTOR].closed
    assert [fact.circuit for _, fact in world.facts if isinstance(fact, CircuitTripped)] == [MAIN]
    world.tells("ended relay_fault", port=port)
    assert blocked_by(world, port) == ["locked_out"], "no start would get its contactor"


def test_a_stop_above_opens_the_contactor_below_under_load() -> None:
    world = tree(inputs=(STOP,), switched=True)
    world.charging("A01")
    world.run(2)
    world.board.deaf = True
    world.danger.add("stop-1")
    world.run_until("input stop-1 tripped emergency_stop", within=0.6)
    world.run(0.8)
    assert world.contacts[A01].closed, "its board hears nothing"
    assert not world.contacts[CONTACTOR].closed
