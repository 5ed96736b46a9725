"""What is explained of a port or a circuit, where the other stories do not come by."""

from dataclasses import replace

import pytest

from chargerd.cli import wording_claims
from chargerd.core.commands import Code
from chargerd.core.events import BoardIdentified, BoardLost, ProofHeld, RelayReadBack
from chargerd.core.faults import FaultKind
from chargerd.core.plan import CircuitPlan, FeederPlan, PortPlan, StationPlan
from chargerd.core.session import Clearing, Latch, Source
from chargerd.core.units import Amps, BoardId, CircuitId, Instant, PortId, Seconds, Watts
from chargerd.core.view import CircuitExplained, Claim, PortExplained, PortState
from chargerd.runtime.local.explaining import claim_as_json
from tests.core.plant import port_plan
from tests.core.sheds import HOLDER, SMOKE, SWITCH
from tests.core.sheds import shed as guarded
from tests.core.world import World
from tests.scenarios.test_lines import METER, Site, kept

SHED = CircuitId("shed")
A01 = PortId("A01")


def explained(world: World, port: str = "A01") -> PortExplained:
    return world.station.explain(PortId(port), world.moment())


def claims(world: World, port: str = "A01") -> dict[str, Claim]:
    return {claim.what: claim for claim in explained(world, port).claims}


def circuit(world: World) -> CircuitExplained:
    return world.station.explain_circuit(SHED, world.moment())


def ports_of(*names: str, **changes: object) -> tuple[PortPlan, ...]:
    return tuple(replace(port_plan(name, place, **changes), circuit=SHED) for place, name in enumerate(names, 1))


def site(plan: CircuitPlan, *names: str, queue_for: float = 600.0, **changes: object) -> World:
    ports = ports_of(*names, **changes)
    return World(site=StationPlan(ports=ports, circuits=(plan,), queue_for=Seconds(queue_for)))


def test_a_free_port_is_held_by_nothing_and_a_charging_one_by_its_session_alone() -> None:
    world = World()
    world.run(7.0)
    assert explained(world).claims == ()
    world.draw(1.0)
    session = world.start()
    world.run(10.0)
    (busy,) = explained(world).claims
    assert (busy.what, busy.code, busy.session) == ("busy", Code.BUSY, session)
    assert explained(world).suspension is None


def test_a_silent_meter_is_told_with_its_age_and_how_long_the_session_waits_for_it() -> None:
    world = World()
    world.run(7.0)
    world.draw(1.0)
    world.start()
    world.run(10.0)
    world.meters[PortId("A01")].silent = True
    world.run(44.0)
    found = explained(world)
    stale = claims(world)["meter_stale"]
    assert stale.detail is not None
    assert stale.detail.measured == pytest.approx(44.0, abs=1.0)
    assert stale.boards == (world.plans[PortId("A01")].meter.board,)
    assert stale.since is not None
    assert found.suspension is not None
    assert (found.suspension.by, found.suspension.times, found.suspension.most) == ("meter_stale", 1, 3)
    left = found.suspension.until.instant - world.now
    assert left == pytest.approx(120.0 - 41.0, abs=1.0)
    assert "readings" in claims(world)


def test_a_latch_says_by_what_figures_since_when_and_who_may_clear_it() -> None:
    world = World()
    world.run(7.0)
    world.draw(8.0)
    world.start()
    tripped = world.run_until("state tripped")
    latch = claims(world)["overcurrent_instant"]
    assert latch.detail is not None
    assert (latch.detail.measured, latch.detail.limit, latch.clearing) == (8.0, 7.5, Clearing.REMOTE)
    assert latch.since is not None
    assert tripped - latch.since.instant < 5.0


def test_what_was_latched_before_its_time_was_kept_holds_all_the_same() -> None:
    old = Latch(port=PortId("A01"), function="relay_welded", clearing=Clearing.LOCK_OUT)
    world = World(latches=(old,))
    world.run(7.0)
    welded = claims(world)["relay_welded"]
    assert (welded.code, welded.since) == (Code.LOCKED_OUT, None)


def test_a_queued_start_says_which_circuit_has_no_room_by_how_much_and_who_waits_before_it() -> None:
    world = site(CircuitPlan(id=SHED, rating=Amps(6.0)), "A01", "A02", "A03")
    world.run(7.0)
    world.draw(4.0)
    for port in ("A01", "A02", "A03"):
        world.start(port)
        world.run(5.0)
    assert world.state("A03") is PortState.QUEUED
    full = claims(world, "A03")["circuit_full"]
    assert full.detail is not None
    assert (full.circuit, full.detail.measured, full.detail.limit) == (SHED, 10.0, 5.4)
    queued = claims(world, "A03")["queued"]
    assert queued.ports == ("A02",)
    assert queued.until is not None
    told = circuit(world)
    assert [(one.port, one.full) for one in told.waiters] == [("A02", (SHED,)), ("A03", (SHED,))]
    assert next((one.port, one.allocated_current, one.seen) for one in told.allocations) == ("A01", 5.0, True)
    assert [round(current, 6) for current in told.room_current or ()] == [0.4, 0.4, 0.4]
    assert told.room_power is None
    assert told.claims == ()


def test_room_may_lack_in_watts() -> None:
    world = site(CircuitPlan(id=SHED, rating=Amps(100.0), power=Watts(1500.0)), "A01", "A02")
    world.run(7.0)
    world.draw(4.0, 900.0)
    world.start("A01")
    world.run(5.0)
    world.start("A02")
    world.run(5.0)
    detail = claims(world, "A02")["circuit_full"].detail
    assert detail is not None
    assert (detail.measured, detail.limit, detail.unit) == (2000.0, 1350.0, "w")
    assert circuit(world).room_power == 350.0


def test_a_small_start_waits_for_those_before_it() -> None:
    world = site(CircuitPlan(id=SHED, rating=Amps(10.0)), "A01", "A02", "A03")
    world.run(7.0)
    world.draw(4.0)
    world.start("A01")
    world.run(5.0)
    world.start("A02")
    world.run(1.0)
    world.start("A03", current=1.0, power=100.0)
    world.run(5.0)
    assert world.state("A03") is PortState.QUEUED
    assert claims(world, "A03")["others_first"].ports == ("A02",)
    assert circuit(world).waiters[1].full == ()


def test_a_circuit_whose_meter_is_silent_says_so_and_one_that_carries_too_much_says_how_much() -> None:
    feeder = FeederPlan(board=BoardId("f"))
    world = site(CircuitPlan(id=SHED, rating=Amps(10.0), meter=feeder), "A01")
    world.run(7.0)
    told = {claim.what: claim for claim in circuit(world).claims}
    assert "circuit_overload" not in told
    world.feeders_silent = True
    world.run(10.0)
    stale = {claim.what: claim for claim in circuit(world).claims}["feeder_stale"]
    assert stale.boards == (BoardId("f"),)
    assert stale.detail is not None
    assert stale.detail.measured == pytest.approx(10.0, abs=1.5)


def welded_and_tripped(port: PortId) -> tuple[Latch, ...]:
    return (
        Latch(port=port, function="relay_welded", clearing=Clearing.LOCK_OUT),
        Latch(port=port, function="overcurrent_instant", clearing=Clearing.REMOTE),
    )


def test_lock_outs_come_before_latches_and_those_of_the_circuit_name_it() -> None:
    world = World(latches=welded_and_tripped(A01))
    world.run(7.0)
    told = explained(world).claims
    assert [(claim.what, claim.code) for claim in told] == [
        ("relay_welded", Code.LOCKED_OUT),
        ("overcurrent_instant", Code.LATCHED),
    ]
    above = guarded(inputs=(SMOKE,))
    above.danger.add("smoke-1")
    above.run(5.0)
    assert claims(above)["smoke"].circuit == SHED
    assert {claim.what for claim in circuit(above).claims} == {"smoke"}


def test_what_takes_a_port_out_of_service_is_told_by_whom() -> None:
    world = guarded()
    world.disable(HOLDER, reason="painting")
    disabled = claims(world)["disabled"]
    assert (disabled.circuit, disabled.reason, disabled.source) == (SHED, "painting", Source.REMOTE)
    assert "disabled" in {claim.what for claim in circuit(world).claims}
    world.drain()
    assert "draining" in claims(world)
    world.lock(by="Ada", reason="changing the socket")
    lock = claims(world)["locked"]
    assert (lock.code, lock.reason, lock.circuit) == (Code.LOCKED, "Ada: changing the socket", None)
    world.lock(HOLDER, by="Eve", reason="work")
    assert "locked" in {claim.what for claim in circuit(world).claims}
    free = guarded()
    free.run(7.0)
    free.drain()
    assert [claim.what for claim in explained(free).claims] == ["draining"]


def test_a_port_that_is_proved_and_one_that_is_reserved_say_by_what_and_for_how_long() -> None:
    world = guarded()
    world.run(7.0)
    world.tell(ProofHeld(ports=(A01,), proof="proof-1", lasts=Seconds(60.0)))
    proving = claims(world)["proving"]
    assert proving.reason == "proof-1"
    assert proving.until is not None
    world.reserve("A02", "session-9", 60.0)
    reserved = claims(world, "A02")["reserved"]
    assert reserved.session == "session-9"


def test_a_lost_board_is_told_with_since_when_and_one_of_a_contactor_with_its_circuit() -> None:
    world = guarded(contactor=SWITCH)
    world.run(7.0)
    world.tell(BoardLost(board=SWITCH.board, kind=FaultKind.TIMEOUT, at=Instant(world.now)))
    above = claims(world)["contactor_board_lost"]
    assert (above.circuit, above.boards) == (SHED, (SWITCH.board,))
    assert "contactor_board_lost" in {claim.what for claim in circuit(world).claims}
    world.board.silent = True
    world.run(30.0)
    lost = claims(world)["board_lost"]
    assert lost.since is not None
    assert world.now - lost.since.instant == pytest.approx(25.0, abs=6.0)


def test_a_relay_that_is_not_read_back_open_says_so_before_its_board_is_lost() -> None:
    world = World()
    world.run(7.0)
    world.board.blind = True
    world.set_contact(A01, closed=True, by="ghost")
    world.tell(RelayReadBack(port=A01, closed=True, sent_at=Instant(world.now), at=Instant(world.now)))
    not_open = claims(world)["relay_not_open"]
    assert not_open.code is Code.BOARD_LOST
    assert not_open.since is not None


def test_a_line_that_has_changed_is_told_to_its_ports_alone() -> None:
    world = Site(kept())
    world.run(5.0)
    world.tell(BoardIdentified(board=METER, at=Instant(world.now), words=(9, 9)))
    changed = claims(world)["line_changed"]
    assert (changed.lines, changed.boards) == (("line-a",), (METER,))
    world.tell(BoardIdentified(board=BoardId("b"), at=Instant(world.now), words=(1, 2)))
    world.tell(BoardIdentified(board=BoardId("b"), at=Instant(world.now), words=(8, 8)))
    assert [claim.lines for claim in explained(world).claims if claim.what == "line_changed"] == [("line-a",)]


def test_a_circuit_that_carries_too_much_says_how_much() -> None:
    world = site(CircuitPlan(id=SHED, rating=Amps(6.0)), "A01")
    world.run(7.0)
    world.show(7.0, 900.0)
    over = {claim.what: claim for claim in circuit(world).claims}["circuit_overload"]
    assert over.detail is not None
    assert over.detail.measured == pytest.approx(7.0 / 6.0)


def test_a_suspicion_of_exchanged_wires_is_told_while_it_is_found_out() -> None:
    world = World(*ports_of("A01", "A02"))
    world.run(7.0)
    world.suspects.update({A01, PortId("A02")})
    assert claims(world)["wiring_suspect"].ports == ("A02",)


def test_what_a_suspended_session_waits_for_is_told_each_by_its_name() -> None:
    world = World()
    world.run(7.0)
    world.draw(1.0)
    world.start()
    world.run(10.0)
    world.meters[A01].volts = 150.0
    world.run_until("suspended undervoltage", within=20)
    world.run(5.0)
    assert {"voltage", "relay_not_open"} & set(claims(world)) == {"voltage"}
    world.meters[A01].volts = 230.0
    world.run(30.0)
    settling = claims(world)["voltage_settling"]
    assert settling.detail is not None
    assert (settling.detail.measured, settling.detail.limit) == (230.0, 176.0)
    assert settling.until is not None
    assert settling.until.instant - world.now == pytest.approx(60.0 - 30.0, abs=3.0)


def test_a_session_that_ends_says_that_current_is_still_seen() -> None:
    world = World()
    world.run(7.0)
    world.draw(2.0)
    world.start()
    world.run(10.0)
    world.contacts[A01].welded = world.contacts[A01].hidden = True
    world.stop(force=True)
    world.run_until("locked out relay_welded", within=60)
    seen = claims(world)["current_seen"]
    assert seen.detail is not None
    assert (seen.detail.measured, seen.detail.limit) == (2.0, 0.2)
    world.run(20.0)
    assert explained(world).ending is not None
    assert "current_seen" in claims(world)


def test_what_a_session_waits_for_from_above_names_its_circuit() -> None:
    world = guarded(inputs=(SMOKE,), contactor=SWITCH)
    world.charging("A01")
    world.io.silent = True
    world.run_until("suspended input_board_lost", within=10)
    world.run(2.0)
    waits = claims(world)
    lost = waits["input_board_lost"]
    assert (lost.circuit, lost.boards) == (SHED, (SMOKE.board,))
    said = wording_claims.told(claim_as_json(lost, world.moment()), None)
    assert said[0].endswith(f", on {SMOKE.board}")
    assert said[2].startswith(f"check the supply of {SMOKE.board} and the bus cable")
    world.io.silent = False
    world.danger.add("smoke-1")
    told: set[str] = set()
    for _ in range(40):
        world.run(0.25)
        told |= set(claims(world))
    assert "smoke" in told


def test_a_start_that_waits_for_its_contactor_or_its_turn_says_so() -> None:
    world = guarded(contactor=SWITCH)
    world.run(7.0)
    world.start("A01")
    world.start("A02")
    told: dict[str, Claim] = {}
    for _ in range(80):
        world.run(0.05)
        for port in ("A01", "A02"):
            told |= claims(world, port)
    steps = {what for what in told if what.startswith("step_")}
    assert {"step_readings", "step_persist", "step_close", "step_first_reading"} <= steps
    assert {"step_turn", "step_power"} & steps


def test_sessions_that_were_interrupted_together_say_when_it_is_their_turn() -> None:
    world = guarded()
    for port in ("A01", "A02"):
        world.charging(port)
    for port in ("A01", "A02"):
        world.meters[PortId(port)].silent = True
    world.run_until("suspended meter_stale", within=10)
    world.run(5.0)
    for port in ("A01", "A02"):
        world.meters[PortId(port)].silent = False
    told: set[str] = set()
    for _ in range(30):
        world.run(0.5)
        told |= {what for port in ("A01", "A02") for what in claims(world, port)}
    assert "turn" in told


def test_a_circuit_names_those_who_wait_for_it_and_nobody_else() -> None:
    yard = CircuitId("yard")
    plans = (CircuitPlan(id=SHED, rating=Amps(6.0)), CircuitPlan(id=yard, rating=Amps(6.0)))
    names = ("A01", "A02", "B01", "B02")
    ports = tuple(
        replace(port_plan(name, place), circuit=SHED if name.startswith("A") else yard)
        for place, name in enumerate(names, 1)
    )
    world = World(site=StationPlan(ports=ports, circuits=plans, queue_for=Seconds(600.0)))
    world.run(7.0)
    for name in names:
        world.draw(4.0, port=name)
        world.start(name)
        world.run(4.0)
    assert [one.port for one in circuit(world).waiters] == ["A02"]
