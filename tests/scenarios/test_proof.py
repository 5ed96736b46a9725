"""A wiring proof: each miswiring is named, nothing else is, and every relay of it is open at its end."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from chargerd.core.commands import Code
from chargerd.core.events import DeadManTested, LeaseWithheld, ProofCleared, ProofHeld, ProofSuspected
from chargerd.core.plan import CircuitPlan, FeederPlan, LeaseScope, Phase, StationPlan
from chargerd.core.proof import Evidence, Kind, Result
from chargerd.core.session import Source
from chargerd.core.units import Amps, BoardId, CircuitId, PortId, Seconds
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.prover import Prover, kinds, prove
from tests.core.sheds import CONTACTOR, SWITCH, shed
from tests.core.world import World
from tests.judging import every

A01, A02, A03 = PortId("A01"), PortId("A02"), PortId("A03")
K = Kind


def three(**changes: object) -> World:
    return World(*(port_plan(name, place, **changes) for place, name in enumerate(("A01", "A02", "A03"), 1)))


def at_rest(world: World, *ports: str) -> None:
    """Every relay of a proof is open, in truth and by what was read back, and nothing is held any more."""
    for port in ports or tuple(world.plans):
        assert not world.contacts[PortId(port)].coil
        view = world.view(port)
        assert (view.session, view.relay_closed, view.proof) == (None, False, None)


def test_a_site_that_is_wired_as_planned_is_proved() -> None:
    world = three()
    proof, prover = prove(world)
    assert proof.result is Result.PROVED, proof
    assert proof.boards == {"relay-a": True}
    assert [closing.relay for closing in prover.course.evidence.closings] == [A01, A02, A03]
    at_rest(world)
    assert {world.state(port) for port in world.plans} == {PortState.AVAILABLE}
    lease = prover.course.evidence.leases[0]
    assert lease.lapse_after == pytest.approx(6.0, abs=0.5)


def swap_meters(world: World) -> None:
    world.wired[A01], world.wired[A02] = A02, A01


def swap_relays(world: World) -> None:
    world.feeds[A01], world.feeds[A02] = A02, A01


def swap_sockets(world: World) -> None:
    swap_meters(world)
    swap_relays(world)


def turn_meters(world: World) -> None:
    world.wired.update({A01: A02, A02: A03, A03: A01})


def reverse(world: World) -> None:
    world.meters[A02].reversed = True


def shows(times: float) -> Callable[[World], None]:
    def wrong(world: World) -> None:
        world.meters[A02].times = times

    return wrong


def current_times_ten(world: World) -> None:
    world.meters[A02].amps_times = 10.0


def words_exchanged(world: World) -> None:
    world.meters[A02].volts, world.meters[A02].times = 2.4e-41, 1e-43


def dead_contact(world: World) -> None:
    world.contacts[A02].jammed = world.contacts[A02].hidden = True


def stuck_coil(world: World) -> None:
    world.contacts[A02].jammed = True


def fuse_before_the_meter(world: World) -> None:
    world.meters[A02].volts = 0.0
    world.contacts[A02].jammed = world.contacts[A02].hidden = True


def silent(world: World) -> None:
    world.meters[A02].silent = True


def two_meters(world: World) -> None:
    world.wired[A03] = A02


def welded(world: World) -> None:
    world.contacts[A02].welded = world.contacts[A02].hidden = world.contacts[A02].closed = True


MISWIRED: list[tuple[Callable[[World], None], dict[PortId, tuple[Kind, ...]]]] = [
    (swap_meters, {A01: (K.METER_EXCHANGED,), A02: (K.METER_EXCHANGED,)}),
    (swap_relays, {A01: (K.RELAY_EXCHANGED,), A02: (K.RELAY_EXCHANGED,)}),
    (swap_sockets, {A01: (K.SOCKET_EXCHANGED,), A02: (K.SOCKET_EXCHANGED,)}),
    (turn_meters, {A01: (K.METER_EXCHANGED,), A02: (K.METER_EXCHANGED,), A03: (K.METER_EXCHANGED,)}),
    (reverse, {A02: (K.METER_REVERSED,)}),
    (shows(10.0), {A02: (K.METER_FACTOR,)}),
    (shows(0.1), {A02: (K.METER_FACTOR,)}),
    (shows(0.01), {A02: (K.NO_POWER,)}),
    (shows(65536.0), {A02: (K.METER_WORD_ORDER,)}),
    (shows(2.0), {A02: (K.OTHER_POWER,)}),
    (current_times_ten, {A02: (K.METER_FACTOR,)}),
    (words_exchanged, {A02: (K.METER_WORD_ORDER,)}),
    (dead_contact, {A02: (K.NO_POWER,)}),
    (stuck_coil, {A02: (K.RELAY_STUCK_OPEN,)}),
    (fuse_before_the_meter, {A02: (K.NO_VOLTAGE,)}),
    (silent, {A02: (K.METER_SILENT,)}),
    (two_meters, {A02: (K.TWO_METERS,), A03: (K.NO_POWER,)}),
    (welded, {A02: (K.RELAY_WELDED,)}),
]


@pytest.mark.parametrize(
    ("wrong", "expected"), MISWIRED, ids=[f"{n}-{one.__name__}" for n, (one, _) in enumerate(MISWIRED)]
)
def test_each_miswiring_is_named_and_nothing_else(
    wrong: Callable[[World], None], expected: dict[PortId, tuple[Kind, ...]]
) -> None:
    world = three(lease=None)
    world.run(15)
    wrong(world)
    prover = Prover(world, (A01, A02, A03))
    proof = prover.run()
    found = {port: tuple(kinds(proof, port)) for port in world.plans if kinds(proof, port)}
    assert found == expected, (prover.course.evidence, world.print())
    assert proof.result is Result.FINDINGS


def test_with_a_load_in_every_socket_meters_and_relays_are_not_told_apart() -> None:
    world = three()
    swap_relays(world)
    proof, prover = prove(world, moving=False)
    assert (kinds(proof, A01), kinds(proof, A02), kinds(proof, A03)) == ([K.EXCHANGED], [K.EXCHANGED], [])
    assert {one.other for one in proof.findings} == {A01, A02}
    assert every(one.mutual for one in proof.findings)
    at_rest(world)
    assert [closing.loads for closing in prover.course.evidence.closings] == [(A01, A02, A03)] * 3


def test_what_most_ports_show_of_one_load_is_what_it_draws() -> None:
    world = three()
    world.meters[A02].times = 10.0
    proof, _ = prove(world, load=None)
    assert [(one.kind, one.port, one.measured) for one in proof.findings] == [(K.METER_FACTOR, A02, 1000.0)]


def on_phases(**really: Phase) -> World:
    """Three ports on three phases of one circuit with a meter, which really hang where it is said."""
    circuit = CircuitPlan(
        id=CircuitId("shed"), phases=3, rating=Amps(32.0), meter=FeederPlan(board=BoardId("feeder"), phases=3)
    )
    phases = (Phase.L1, Phase.L2, Phase.L3)
    ports = tuple(port_plan(f"A0{n}", n, phase=phase) for n, phase in enumerate(phases, 1))
    world = World(site=StationPlan(ports=ports, circuits=(circuit,)))
    world.phases.update({PortId(port): phase for port, phase in really.items()})
    return world


def test_a_port_on_another_phase_than_planned_is_named_with_it() -> None:
    proof, _ = prove(on_phases(A01=Phase.L2))
    assert [(one.kind, one.port, one.other) for one in proof.findings] == [(K.WRONG_PHASE, A01, "L2")]


def test_ports_on_their_phases_are_proved_beside_what_flows_in_the_circuit() -> None:
    world = on_phases()
    world.background["shed"] = (3.0, 690.0)
    proof, _ = prove(world)
    assert proof.result is Result.PROVED


def test_a_contactor_that_feeds_nothing_is_named_and_no_port() -> None:
    world = shed(2, contactor=SWITCH)
    world.contacts[CONTACTOR].jammed = world.contacts[CONTACTOR].hidden = True
    proof, _ = prove(world)
    assert {(one.kind, one.other) for one in proof.findings} == {(K.CONTACTOR, "shed")}
    assert len(proof.findings) == 2


def test_one_dead_contact_below_a_contactor_is_that_of_its_port() -> None:
    world = shed(2, contactor=SWITCH)
    dead_contact(world)
    proof, _ = prove(world)
    assert [(one.kind, one.port) for one in proof.findings] == [(K.NO_POWER, A02)]


def test_a_session_on_one_of_the_ports_refuses_the_whole_proof_and_goes_on() -> None:
    world = three()
    world.ready("A02")
    world.charging("A01")
    prover = Prover(world, (A01, A02))
    world.draw(2.0, port="A01")
    proof = prover.run()
    assert prover.course.refused == {A01: Code.BUSY}
    assert proof.result is Result.INCOMPLETE
    assert world.state("A01") is PortState.CHARGING
    assert world.view("A02").proof is None
    assert not world.contacts[A02].edges


def test_while_a_proof_holds_a_port_nobody_else_starts_or_reserves_there() -> None:
    world = three()
    world.ready("A03")
    prover = Prover(world, (A01, A02))
    for _ in range(3):
        prover.turn()
        world.run(0.25)
    assert world.view("A01").blocked_by == (Code.PROVING,)
    for source in Source:
        session = world.start("A01", source=source)
        assert world.answers(session.replace("session", "start")) == ["rejected proving"]
    assert world.answers(world.reserve("A02")) == ["rejected proving"]
    world.start("A03")
    world.run_until("state charging", within=10)
    assert prover.run().result is Result.PROVED
    assert world.state("A03") is PortState.CHARGING, "others charge on"
    assert world.view("A01").blocked_by == ()


def test_a_second_proof_finds_the_ports_taken() -> None:
    world = three()
    world.ready("A03")
    first = Prover(world, (A01,))
    first.turn()
    second = Prover(world, (A01, A02))
    second.course.proof = "proof-2"
    second.run()
    assert second.course.refused == {A01: Code.PROVING}


def test_ports_whose_prover_has_died_are_free_after_a_minute() -> None:
    world = three()
    world.ready("A03")
    prover = Prover(world, (A01,))
    prover.turn()
    world.run(59.0)
    assert world.view("A01").blocked_by == (Code.PROVING,)
    world.run(1.5)
    assert world.view("A01").blocked_by == ()


def closed_by(prover: Prover, port: PortId) -> None:
    """Go on until a port of the proof charges."""
    while prover.world.state(port) is not PortState.CHARGING:
        prover.turn()
        prover.world.run(0.25)


def test_a_proof_that_is_broken_off_opens_at_once_and_goes_on_where_it_was() -> None:
    world = three()
    world.ready("A03")
    prover = Prover(world, (A01, A02, A03))
    closed_by(prover, A02)
    prover.course.leave()
    prover.turn()
    world.run(0.1)
    assert not world.contacts[A02].closed
    assert prover.run().result is Result.INCOMPLETE
    at_rest(world)
    assert [one.relay for one in prover.course.evidence.closings] == [A01]
    again = Prover(world, (A01, A02, A03), evidence=prover.course.evidence)
    assert again.run().result is Result.PROVED
    assert [one.relay for one in again.course.evidence.closings] == [A01, A02, A03]
    assert len(again.course.evidence.leases) == 1


def test_a_prover_that_dies_leaves_its_session_to_its_own_time() -> None:
    world = three()
    world.ready("A03")
    prover = Prover(world, (A01,))
    closed_by(prover, A01)
    world.run(61.0)
    assert not world.contacts[A01].closed
    at_rest(world)


def test_a_power_cut_ends_the_session_of_a_proof_for_good() -> None:
    world = World(site=StationPlan(ports=(port_plan("A01"),), resume_window=Seconds(1800.0)))
    world.ready()
    prover = Prover(world, (A01,))
    closed_by(prover, A01)
    world.restart()
    world.run(60)
    assert world.state() is PortState.AVAILABLE
    assert world.settlements()[-1].record.order.proof == "proof-1"
    assert [closed for _, closed, _ in world.contacts[A01].edges] == [True, False]


def test_exchanged_ports_stay_latched_until_they_are_rewired_and_proved_again() -> None:
    world = three()
    swap_meters(world)
    _, prover = prove(world)
    assert [world.view(port).latches[0].function for port in (A01, A02)] == ["wiring_suspect"] * 2
    assert not world.view(A03).latches
    world.wired = {port: port for port in world.plans}
    again = Prover(world, (A01, A02, A03), evidence=Evidence(provoked=prover.course.evidence.provoked))
    assert again.run().result is Result.PROVED
    assert not any(world.view(port).latches for port in world.plans)


def test_only_what_the_proof_has_provoked_is_cleared_by_it() -> None:
    world = three()
    swap_meters(world)
    world.ready("A03")
    world.draw(0.0, port="A02")
    world.start("A01")
    world.run_until("state tripped", within=30)
    world.run(20)
    world.wired = {port: port for port in world.plans}
    proof = Prover(world, (A01, A02, A03)).run()
    assert [(one.kind, one.code) for one in proof.findings] == [(K.REFUSED, "latched")] * 2
    assert [latch.function for latch in world.view("A01").latches] == ["wiring_suspect"]


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [("everlasting", K.NO_DEAD_MAN), ("glitches", K.RENEWAL_GLITCH)],
)
def test_a_board_whose_lease_is_not_as_promised_is_named(wrong: str, kind: Kind) -> None:
    world = three()
    setattr(world.board, wrong, True)
    proof, _ = prove(world, flickers=wrong == "glitches")
    assert [(one.kind, one.board) for one in proof.findings] == [(kind, "relay-a")]
    assert proof.boards == {"relay-a": False}
    at_rest(world)


def test_a_board_whose_plain_off_does_not_cancel_its_timer_is_named_at_each_port() -> None:
    world = three()
    world.board.off_waits = True
    proof, _ = prove(world)
    assert kinds(proof) == [K.OFF_INEFFECTIVE] * 3
    assert {world.view(port).latches[0].function for port in world.plans} == {"relay_will_not_open"}
    at_rest(world)


def test_a_board_that_lets_its_timer_run_out_after_a_plain_off_fails_the_test_of_its_lease() -> None:
    world = three()
    world.ready("A03")
    prover = Prover(world, (A01,))
    while not prover.course.evidence.closings:
        prover.turn()
        world.run(0.25)
    world.board.off_waits = True
    proof = prover.run()
    assert kinds(proof) == [K.OFF_INEFFECTIVE]
    assert prover.course.evidence.leases[0].off_after == pytest.approx(5.0, abs=1.5)


def unconfirmed_after(world: World) -> float:
    """Return how long after a stop nobody knows any more where a relay stands whose board has fallen silent."""
    session = world.charging("A01")
    world.run_until("renew", within=10)
    world.run(0.1)
    world.board.silent = True
    world.stop(session=session)
    told = world.elapsed
    return world.run_until("relay unconfirmed", within=60) - told


def test_a_board_that_did_not_open_by_itself_counts_as_one_without_a_dead_man() -> None:
    assert unconfirmed_after(three()) > 5.5
    world = three()
    world.board.everlasting = True
    prove(world)
    assert unconfirmed_after(world) == pytest.approx(5.0, abs=0.1)


def test_a_later_test_that_passes_takes_that_back() -> None:
    world = three()
    for holds in (False, True):
        world.tell(DeadManTested(board=BoardId("relay-a"), holds=holds))
    assert unconfirmed_after(world) > 5.5


def test_a_board_without_a_lease_is_not_tested_and_its_ports_are_proved_all_the_same() -> None:
    proof, prover = prove(three(lease=None))
    assert (proof.result, proof.boards, prover.course.evidence.leases) == (Result.PROVED, {}, ())


def test_a_lease_that_other_relays_keep_alive_is_not_withheld() -> None:
    world = shed(scope=LeaseScope.BOARD)
    world.ready("A03")
    world.charging("A03")
    proof, prover = prove(world, (A01,))
    assert prover.course.evidence.leases[0].why == "not_withheld"
    assert (proof.result, proof.boards) == (Result.INCOMPLETE, {"relay-a": None})


def test_the_lease_of_a_customers_session_is_never_withheld() -> None:
    world = three()
    world.charging("A01")
    world.tell(LeaseWithheld(port=A01))
    world.tell(ProofCleared(port=A01, proof="proof-1", functions=frozenset({"wiring_suspect"})))
    world.run(20)
    assert world.state() is PortState.CHARGING


def overload_at_the_second(prover: Prover) -> None:
    if prover.world.state("A02") is PortState.CHARGING:
        prover.world.draw(18.0, 4140.0, port="A02")


def test_an_overload_in_a_proof_trips_as_ever() -> None:
    world = three()
    prover = Prover(world, (A01, A02, A03))
    prover.meddle = overload_at_the_second
    proof = prover.run()
    assert kinds(proof, A02) == [K.TRIPPED]
    assert [latch.function for latch in world.view("A02").latches] == ["overcurrent_instant"]
    at_rest(world)


def test_a_session_that_overloads_while_its_lease_is_withheld_is_opened_at_once() -> None:
    world = three()
    world.ready("A03")
    prover = Prover(world, (A01,))
    while not world.station._ports[A01].relay._withheld:  # noqa: SLF001 - the one moment that is meant
        prover.turn()
        world.run(0.25)
    world.draw(9.0, 1800.0, port="A01")
    world.run(1.0)
    assert not world.contacts[A01].closed
    assert prover.run().result is Result.INCOMPLETE


def test_a_port_that_is_passed_over_leaves_the_proof_incomplete() -> None:
    world = three()
    prover = Prover(world, (A01, A02))
    prover.passes = A02
    proof = prover.run()
    assert (proof.result, proof.ports) == (Result.INCOMPLETE, {A01: Result.PROVED, A02: Result.INCOMPLETE})
    assert prover.course.evidence.skipped == (A02,)


def test_a_proof_broken_off_before_a_crossed_port_closes_again_leaves_both_latched() -> None:
    world = three()
    swap_meters(world)
    world.ready("A03")
    prover = Prover(world, (A01, A02, A03))
    while not prover.course.evidence.closings or world.state("A02") is not PortState.STARTING:
        prover.turn()
        world.run(0.25)
    assert not world.view("A02").latches, "cleared, so that it can be closed"
    prover.course.leave()
    prover.run()
    assert [[latch.function for latch in world.view(port).latches] for port in (A01, A02)] == [
        ["wiring_suspect"]
    ] * 2
    at_rest(world)


@pytest.mark.parametrize("moving", [True, False])
def test_a_welded_port_stays_locked_out_though_its_load_is_carried_on(moving: bool) -> None:
    world = three()
    world.run(15)
    welded(world)
    prover = Prover(world, (A01, A02, A03), moving=moving)
    assert kinds(prover.run(), A02) == [K.RELAY_WELDED if moving else K.REFUSED]
    world.run(60)
    assert [latch.function for latch in world.view(A02).latches] == ["relay_welded"]


def shown_beside(prover: Prover) -> None:
    """The meter of A02 shows what flows at A01 as well."""
    flows = 100.0 if prover.world.contacts[A01].closed else 0.0
    prover.world.show(flows / 230.0, flows, port="A02", voltage=230.0)


def test_a_port_called_welded_whose_current_went_with_another_ones_opening_is_not_locked_out_for_good() -> None:
    world = three()
    world.ready("A03")
    prover = Prover(world, (A01, A02))
    world.by_hand("A02")
    prover.meddle = shown_beside
    prover.run()
    assert kinds(prover.concluded(), A01) == [K.TWO_METERS]
    world.tells("locked out relay_welded", port="A02")
    assert [latch.function for latch in world.view(A02).latches] == ["wiring_suspect"]


def test_a_port_called_welded_whose_current_stays_when_the_other_one_opens_is_locked_out_for_good() -> None:
    world = three()
    world.ready("A03")
    prover = Prover(world, (A01, A02))
    world.by_hand("A02")
    charging: list[bool] = []

    def flows_from_then_on(prover: Prover) -> None:
        charging.append(prover.world.state("A01") is PortState.CHARGING)
        flows = 100.0 if any(charging) else 0.0
        prover.world.show(flows / 230.0, flows, port="A02", voltage=230.0)

    prover.meddle = flows_from_then_on
    prover.run()
    world.tells("locked out relay_welded", port="A02")
    assert any(charging)
    cleared = [event.functions for _, event in world.events if isinstance(event, ProofCleared)]
    assert not any("relay_welded" in functions for functions in cleared), "not for a moment either"
    assert not world.contacts[A01].closed
    assert "relay_welded" in {latch.function for latch in world.view(A02).latches}


def test_no_other_latch_is_cleared_by_a_proof() -> None:
    world = three()
    world.charging("A01")
    world.draw(26.0, port="A01")
    world.run_until("state tripped", within=10)
    world.draw(0.0, port="A01")
    world.run(20)
    told = ProofCleared(port=A01, proof="proof-1", functions=frozenset({"overcurrent_instant"}))
    world.tell(ProofHeld(ports=(A01,), proof="proof-1", lasts=Seconds(60.0)))
    world.tell(told)
    assert world.view("A01").latches
    world.tell(ProofSuspected(ports=(A01,)))
    clears = ProofCleared(port=A01, proof="proof-1", functions=frozenset({"wiring_suspect"}))
    for proof, left in (("proof-2", 2), ("proof-1", 1), ("proof-1", 1)):
        world.tell(replace(clears, proof=proof))
        assert len(world.view("A01").latches) == left


@pytest.mark.parametrize(
    ("times", "kind"),
    [(0.72, None), (1.28, None), (0.65, K.OTHER_POWER), (1.35, K.OTHER_POWER), (7.2, K.METER_FACTOR)],
)
def test_a_load_may_differ_from_its_nameplate_by_three_tenths(times: float, kind: Kind | None) -> None:
    world = three()
    world.meters[A02].times = times
    proof, _ = prove(world, (A02,))
    assert kinds(proof) == ([] if kind is None else [kind])


@pytest.mark.parametrize(("watts", "found"), [(4.5, False), (5.5, True)])
def test_crosstalk_moves_no_other_meter(watts: float, found: bool) -> None:
    world = three()
    world.ready("A03")
    prover = Prover(world, (A01,))
    world.by_hand("A02")
    prover.meddle = lambda one: one.world.show(
        0.02, watts if one.world.contacts[A01].closed else 0.0, port="A02", voltage=230.0
    )
    assert (kinds(prover.run()) == [K.TWO_METERS]) is found


def test_a_trip_names_a_meter_that_shows_ten_or_thousands_of_times_the_load() -> None:
    for times, kind in ((20.0, K.METER_FACTOR), (100.0, K.METER_WORD_ORDER), (65536.0, K.METER_WORD_ORDER)):
        world = three()
        world.meters[A02].times = times
        proof, prover = prove(world, (A02,))
        own = prover.course.evidence.own(A02)
        assert own is not None
        assert own.ended in {"overcurrent_instant", "overcurrent_definite"}
        assert kinds(proof) == [kind]


def test_a_refused_port_is_named_with_why() -> None:
    world = three()
    world.disable("A02")
    proof, _ = prove(three(), (A01,))
    assert proof.result is Result.PROVED
    proof = Prover(world, (A02,)).run()
    assert [(one.kind, one.code) for one in proof.findings] == [(K.REFUSED, "disabled")]


def test_a_relay_board_that_falls_silent_ends_the_step_and_is_named() -> None:
    world = three()
    world.ready("A03")
    prover = Prover(world, (A01,))
    closed_by(prover, A01)
    world.board.silent = True
    proof = prover.run()
    assert kinds(proof) == [K.BOARD_LOST]
