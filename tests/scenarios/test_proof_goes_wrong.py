"""A wiring proof to which something happens: it closes nothing else, and proves only what it has seen."""

from dataclasses import replace

import pytest

from chargerd.core.commands import Code
from chargerd.core.proof import Closing, Evidence, Kind, Result, Shown, Verdicts
from chargerd.core.proof_course import Doing
from chargerd.core.units import Seconds, Watts
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.prover import Prover, kinds, prove
from tests.core.sheds import SMOKE, shed
from tests.core.world import World
from tests.scenarios.test_proof import A01, A02, A03, at_rest, closed_by, swap_meters, three


def test_a_weld_whose_current_flowed_before_the_closing_stays_locked_out() -> None:
    """Somebody pulls the plug when another relay opens: it was not that relay's current."""
    world = three()
    world.ready("A03")
    prover = Prover(world, (A01, A02))
    world.by_hand("A02")
    ended = False
    while not prover.course.evidence.closings:
        prover.turn()
        world.run(0.1)
        ended = ended or world.state("A01") is PortState.STOPPING
        flows = 0.0 if ended or world.state("A01") is PortState.AVAILABLE else 100.0
        world.show(flows / 230.0, flows, port="A02", voltage=230.0)
    prover.turn()
    assert prover.course.evidence.provoked == ((A02, "relay_welded"),)
    assert [latch.function for latch in world.view("A02").latches] == ["relay_welded"]


def test_what_is_suspected_after_a_proof_is_not_cleared_by_the_next() -> None:
    world = three()
    swap_meters(world)
    _, first = prove(world)
    world.wired = {port: port for port in world.plans}
    second = Prover(world, (A01, A02, A03), evidence=Evidence(provoked=first.course.evidence.provoked))
    assert second.run().result is Result.PROVED
    swap_meters(world)
    for port, amps in (("A01", 0.45), ("A02", 0.0)):
        world.draw(amps, amps * 230.0, port=port)
    world.start("A01")
    world.run_until("state tripped", within=30)
    world.run(20)
    third = Prover(world, (A01, A02, A03), evidence=Evidence(provoked=second.course.evidence.provoked)).run()
    assert [(one.kind, one.code) for one in third.findings] == [(Kind.REFUSED, "latched")] * 2


def test_a_board_that_did_not_open_is_kept_though_whoever_proves_has_gone_by_then() -> None:
    world = three()
    world.board.everlasting = True
    world.ready("A03")
    prover = Prover(world, (A01,))
    while not any(one.detail and one.detail.function == "lease_outlived" for one in world.settlements()):
        prover.turn()
        world.run(0.25)
    prover.course.leave()
    proof = prover.run()
    assert proof.boards == {"relay-a": False}
    assert kinds(proof) == [Kind.NO_DEAD_MAN]


def test_a_board_that_falls_silent_while_its_lease_is_withheld_has_shown_nothing() -> None:
    world = three()
    world.ready("A03")
    prover = Prover(world, (A01,))
    while not world.station._ports[A01].relay._withheld:  # noqa: SLF001 - the one moment that is meant
        prover.turn()
        world.run(0.25)
    world.board.silent = True
    proof = prover.run()
    assert proof.boards == {"relay-a": None}
    assert prover.course.evidence.leases[0].why is not None
    assert not world.contacts[A01].closed


def test_nothing_else_closes_while_one_is_not_known_to_be_open() -> None:
    world = three(lease=None)
    world.ready("A03")
    prover = Prover(world, (A01, A02))
    closed_by(prover, A01)
    world.contacts[A01].welded = True
    while not prover.course.done:
        prover.turn()
        world.run(0.5)
    assert prover.concluded().result is Result.FINDINGS
    assert not world.contacts[A02].edges
    assert world.view("A02").proof is None


def test_a_meter_that_shows_late_what_flows_tells_nothing_against_its_board() -> None:
    ports = (port_plan(name, place) for place, name in enumerate(("A01", "A02", "A03"), 1))
    world = World(*(replace(port, meter=replace(port.meter, refresh=Seconds(1.0))) for port in ports))
    proof, prover = prove(world)
    assert proof.result is Result.PROVED, (proof, prover.course.evidence)


def test_what_flows_elsewhere_is_no_load_of_ones_own() -> None:
    """A meter that measures a neighbour's socket shows what flows there, and by a little more or less."""
    shown = (Shown(port=A01, before=Watts(100.0), during=Watts(106.0), voltage=None),)
    closing = Closing(relay=A01, loads=(A01,), closed=True, shown=shown)
    proof = Verdicts(three().plan, Evidence(closings=(closing,)), Watts(100.0)).conclude((A01,))
    assert proof.result is Result.FINDINGS


def test_a_proof_whose_driver_has_failed_opens_at_once_and_lets_its_ports_go() -> None:
    world = three()
    world.ready("A03")
    prover = Prover(world, (A01, A02))
    assert len(prover.course.abandon()) == 1, "nothing is closed yet"
    prover = Prover(world, (A01, A02))
    closed_by(prover, A01)
    for event in prover.course.abandon():
        world.tell(event)
    world.run(1.0)
    at_rest(world)
    assert prover.course.done


@pytest.mark.parametrize("what", ["locked", "overcurrent_instant", "relay_board_lost"])
def test_what_ends_the_renewing_from_outside_says_nothing_of_the_board(what: str) -> None:
    world = three()
    world.ready("A03")
    prover = Prover(world, (A01,))
    while not any(one.doing is Doing.RENEW for one in prover.course.news):
        prover.turn()
        world.run(0.25)
    closed_by(prover, A01)
    for _ in range(12):
        prover.turn()
        world.run(0.25)
    if what == "locked":
        world.lock("A01")
    elif what == "relay_board_lost":
        world.board.silent = True
    else:
        world.draw(18.0, 4140.0, port="A01")
    proof = prover.run()
    assert [test.why for test in prover.course.evidence.leases] == [what]
    assert (proof.boards, kinds(proof)) == ({"relay-a": None}, [])
    assert not world.contacts[A01].closed


@pytest.mark.parametrize("doing", [Doing.CLOSE, Doing.RENEW, Doing.LAPSE])
def test_smoke_opens_a_proof_as_ever_and_nothing_of_it_closes_any_more(doing: Doing) -> None:
    world = shed(2, inputs=(SMOKE,))
    world.ready("A02")
    prover = Prover(world, (A01, A02))
    while not any(one.doing is doing for one in prover.course.news):
        prover.turn()
        world.run(0.25)
    closed_by(prover, A01)
    world.danger.add("smoke-1")
    world.run(2.0)
    assert not world.contacts[A01].closed
    moved = len(world.contacts[A01].edges)
    proof = prover.run()
    assert (len(world.contacts[A01].edges), world.contacts[A02].edges) == (moved, [])
    assert proof.ports[A02] is Result.FINDINGS
    assert Code.LATCHED in world.view("A01").blocked_by


def test_a_board_that_comes_back_closes_nothing_of_a_proof_again() -> None:
    world = three()
    world.ready("A03")
    prover = Prover(world, (A01,))
    closed_by(prover, A01)
    world.board.silent = True
    world.run(20)
    world.board.silent = False
    world.run(60)
    at_rest(world)
    assert [closed for _, closed, _ in world.contacts[A01].edges] == [True, False]
    assert world.settlement().record.order.proof is not None
