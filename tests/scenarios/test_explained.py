"""What is explained of a port or a circuit, where the other stories do not come by."""

from dataclasses import replace

import pytest

from chargerd.core.commands import Code
from chargerd.core.plan import CircuitPlan, FeederPlan, PortPlan, StationPlan
from chargerd.core.session import Clearing, Latch
from chargerd.core.units import Amps, BoardId, CircuitId, PortId, Seconds, Watts
from chargerd.core.view import CircuitExplained, Claim, PortExplained, PortState
from tests.core.plant import port_plan
from tests.core.world import World

SHED = CircuitId("shed")


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
