"""What follows from what a wiring proof has seen, and what its course does where nothing goes as it should."""

from collections.abc import Callable

import pytest

from chargerd.core.commands import Code
from chargerd.core.events import ProofCleared, ProofHeld, ProofSuspected
from chargerd.core.plan import CircuitPlan, Phase, StationPlan
from chargerd.core.proof import (
    Closing,
    Evidence,
    Kind,
    OnPhases,
    Result,
    Shown,
    Verdicts,
    kind_of_excess,
)
from chargerd.core.proof_course import Answer, Ask, Doing, Question
from chargerd.core.units import Amps, CircuitId, PortId, Seconds, Volts, Watts
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.prover import Prover, kinds, prove
from tests.core.sheds import SWITCH
from tests.core.world import World

A01, A02, A03 = PortId("A01"), PortId("A02"), PortId("A03")
PORTS = (A01, A02, A03)
PLAN = StationPlan(ports=tuple(port_plan(name, place) for place, name in enumerate(PORTS, 1)))


def closing(
    relay: PortId, load: PortId, shows: PortId | None, *, amps: float = 0.45, still: float = 0.0
) -> Closing:
    shown = tuple(
        Shown(
            port=port,
            before=Watts(0.0),
            during=Watts(100.0 if port == shows else 0.0),
            current=Amps(amps),
            voltage=Volts(230.0),
        )
        for port in PORTS
    )
    return Closing(relay=relay, loads=(load,), closed=True, shown=shown, still=Watts(still))


def found(*closings: Closing, plan: StationPlan = PLAN, port: PortId = A01) -> list[tuple[Kind, str | None]]:
    verdicts = Verdicts(plan, Evidence(closings=closings), Watts(100.0))
    return [(one.kind, one.other) for one in verdicts.of_port(port)]


def test_what_flows_on_after_the_opening_is_a_weld() -> None:
    assert found(closing(A01, A01, A01, still=9.0)) == []
    assert found(closing(A01, A01, A01, still=60.0)) == [(Kind.RELAY_WELDED, None)]


def test_a_socket_that_another_relay_feeds_and_a_third_meter_measures_has_both_named() -> None:
    nothing, third = closing(A01, A01, None), closing(A02, A01, A03)
    assert found(nothing, third) == [(Kind.RELAY_EXCHANGED, A02), (Kind.METER_EXCHANGED, A03)]
    assert found(nothing, closing(A02, A01, None)) == [(Kind.NO_POWER, None)]


def test_a_contactor_above_another_circuit_counts_for_what_is_below() -> None:
    circuits = (
        CircuitPlan(id=CircuitId("main"), contactor=SWITCH),
        CircuitPlan(id=CircuitId("shed"), parent=CircuitId("main")),
    )
    plan = StationPlan(ports=PLAN.ports, circuits=circuits)
    assert found(closing(A01, A01, None), plan=plan) == [(Kind.CONTACTOR, "main")]
    assert found(closing(A01, A01, None), closing(A02, A02, A02), plan=plan) == [(Kind.NO_POWER, None)]


@pytest.mark.parametrize(
    ("amps", "kind"), [(0.0, []), (0.37, []), (1.52, []), (4.4, [Kind.METER_FACTOR]), (3.0, [])]
)
def test_a_current_off_by_no_factor_of_ten_is_a_matter_of_the_load(amps: float, kind: list[Kind]) -> None:
    assert [one for one, _ in found(closing(A01, A01, A01, amps=amps))] == kind


def test_a_feeder_of_one_phase_tells_nothing_of_phases() -> None:
    plan = StationPlan(ports=(port_plan("A01", 1, phase=Phase.L1), *PLAN.ports[1:]))
    own = closing(A01, A01, A01)
    for rise in ((0.5,), (0.5, 0.1, 0.0), (0.1, 0.12, 0.0)):
        phases = (OnPhases(circuit=CircuitId("shed"), rise=tuple(map(Amps, rise))),)
        measured = Closing(relay=A01, loads=(A01,), closed=True, shown=own.shown, phases=phases)
        assert found(measured, plan=plan) == []


def test_a_trip_a_little_above_the_load_is_no_wrong_meter() -> None:
    assert kind_of_excess(1.2, 1.3) is None
    assert kind_of_excess(40.0, 1.3) is None
    assert kind_of_excess(200.0, 1.3) is Kind.METER_WORD_ORDER


@pytest.mark.parametrize(
    ("ended", "measured", "volts", "told"),
    [
        ("overcurrent_instant", 4.3, 230.0, (Kind.METER_FACTOR, "a", 0.43)),
        ("overcurrent_instant", 1000.0, None, (Kind.TRIPPED, "a", None)),
        ("overpower", 1000.0, None, (Kind.METER_FACTOR, "w", 100.0)),
        ("undervoltage", 1000.0, 230.0, (Kind.TRIPPED, None, None)),
    ],
)
def test_a_trip_is_held_against_the_load_in_its_own_unit_or_not_at_all(
    ended: str, measured: float, volts: float | None, told: tuple[Kind, str | None, float | None]
) -> None:
    shown = Shown(port=A01, voltage=None if volts is None else Volts(volts))
    own = Closing(relay=A01, loads=(A01,), closed=True, shown=(shown,), ended=ended, measured=measured)
    (one,) = Verdicts(PLAN, Evidence(closings=(own,)), Watts(100.0)).of_port(A01)
    expected = None if one.expected is None else round(one.expected, 2)
    assert (one.kind, one.quantity, expected, one.code) == (*told, ended)


def test_a_shown_value_that_was_never_read_moves_nothing() -> None:
    own = Closing(relay=A01, loads=(A01,), closed=True, shown=(Shown(port=A01),))
    assert found(own) == [(Kind.NO_POWER, None)]


# The course


def three(**changes: object) -> World:
    world = World(*(port_plan(name, place, **changes) for place, name in enumerate(PORTS, 1)))
    world.ready("A03")
    return world


def until(prover: Prover, holds: Callable[[], bool]) -> None:
    """Go on until something holds."""
    end = prover.world.now + 600
    while not holds():
        assert prover.world.now < end, prover.world.print()
        prover.turn()
        prover.world.run(0.25)


def test_what_is_over_does_nothing_any_more() -> None:
    prover = Prover(three(), (A01,))
    assert not prover.course.answer(Answer.READY), "nothing was asked yet"
    prover.run()
    prover.course.leave()
    count = len(prover.world.events)
    prover.turn()
    assert [event for _, event in prover.world.events[count:]] == []


def test_to_break_off_twice_is_to_break_off() -> None:
    prover = Prover(three(), (A01,))
    until(prover, lambda: prover.world.state("A01") is PortState.CHARGING)
    prover.course.leave()
    prover.turn()
    prover.course.leave()
    assert prover.run().result is Result.INCOMPLETE


def test_a_port_there_is_not_refuses_the_proof() -> None:
    world = three()
    prover = Prover(world, (A01,))
    prover.course.ports = (A01, PortId("A09"))
    prover.run()
    assert prover.course.refused == {PortId("A09"): Code.UNKNOWN_PORT}


@pytest.mark.parametrize("moving", [True, False])
def test_a_board_that_was_not_tested_yet_is_when_a_proof_goes_on(moving: bool) -> None:
    world = three()
    loads = (A01,)
    first = Prover(world, (A01,), moving=moving)
    first.run()
    evidence = Evidence(closings=first.course.evidence.closings)
    again = Prover(world, loads, moving=moving, evidence=evidence)
    world.draw(0.45, 100.0, port="A01")
    assert again.run().boards == {"relay-a": True}
    assert len(again.course.evidence.closings) == 1


def test_a_test_of_a_board_may_be_passed_over() -> None:
    world = three()
    first = Prover(world, (A01,))
    first.run()
    again = Prover(world, (A01,), evidence=Evidence(closings=first.course.evidence.closings))
    again.passes = A01
    assert again.run().result is Result.INCOMPLETE


def test_without_a_person_nobody_is_asked_whether_the_load_ran_through() -> None:
    world = three()
    prover = Prover(world, (A01,), asks=False)
    assert prover.run().boards == {"relay-a": True}
    assert prover.course.evidence.leases[0].flickered is None
    assert Question(ask=Ask.STEADY).answers == {Answer.YES, Answer.NO, Answer.SKIP}


def test_a_relay_that_falls_open_while_its_lease_is_renewed_fails_the_test() -> None:
    world = three()
    prover = Prover(world, (A01,))
    until(prover, lambda: any(news.doing is Doing.RENEW for news in prover.course.news))
    until(prover, lambda: world.state("A01") is PortState.CHARGING)
    world.run(4.0)
    world.contacts[A01].jammed = True
    world.set_contact(A01, closed=False, by="fault")
    assert kinds(prover.run()) == [Kind.RENEWAL_GLITCH]
    assert prover.course.evidence.leases[0].fell_open


def test_a_relay_that_closes_again_after_a_plain_off_fails_the_test() -> None:
    world = three()
    prover = Prover(world, (A01,))
    until(prover, lambda: any(news.doing is Doing.OFF for news in prover.course.news))
    until(prover, lambda: not world.contacts[A01].closed)
    world.run(1.0)
    prover.turn()
    world.by_hand("A01")
    for _ in range(4):
        world.show(0.45, 100.0, port="A01", voltage=230.0)
        world.run(0.25)
        prover.turn()
    world.by_itself("A01")
    assert Kind.OFF_INEFFECTIVE in kinds(prover.run())


def test_a_load_that_is_taken_away_leaves_the_board_untested() -> None:
    world = three()
    prover = Prover(world, (A01,))
    until(prover, lambda: any(news.doing is Doing.LAPSE for news in prover.course.news))
    world.draw(0.0, 0.0, port="A01")
    proof = prover.run()
    assert (proof.result, proof.boards) == (Result.INCOMPLETE, {"relay-a": None})
    assert prover.course.evidence.leases[0].why == "no_load"


def test_a_latch_is_cleared_while_its_session_ends_and_that_goes_on() -> None:
    world = three()
    prover = Prover(world, (A01,))
    until(prover, lambda: world.state("A01") is PortState.CHARGING)
    world.tell(ProofSuspected(ports=(A01,)))
    assert world.state("A01") is PortState.STOPPING
    world.tell(ProofCleared(port=A01, proof="proof-1", functions=frozenset({"wiring_suspect"})))
    assert world.state("A01") is PortState.STOPPING
    world.run(5)
    assert world.state("A01") is PortState.AVAILABLE


def test_what_is_said_of_ports_there_are_not_is_said_of_none() -> None:
    world = three()
    world.tell(ProofHeld(ports=(PortId("A09"), A01), proof="proof-1", lasts=Seconds(60.0)))
    assert world.view("A01").proof == "proof-1"


def test_ports_that_are_known_to_be_sound_are_not_searched() -> None:
    world = three()
    world.contacts[A03].jammed = world.contacts[A03].hidden = True
    _, prover = prove(world)
    assert [one.relay for one in prover.course.evidence.closings] == [A01, A02, A03]
