"""Boards that keep all their relays closed by one lease: what that promises, and what it does not."""

from dataclasses import replace

import pytest

from chargerd.core.events import RelayAction, RelayWritten
from chargerd.core.facts import CircuitTripped
from chargerd.core.plan import DeadMan, LeaseScope
from chargerd.core.units import Instant, PortId, SessionId
from chargerd.core.view import PortState
from tests.core.plant import Job, port_plan
from tests.core.sheds import SWITCH, all_charging, shed
from tests.core.world import World

A01, A02, A03 = PortId("A01"), PortId("A02"), PortId("A03")


def kept_together(scope: LeaseScope = LeaseScope.BOARD) -> tuple[World, dict[PortId, SessionId]]:
    """Return a world of three ports on one such board, all of them charging, and their sessions."""
    plans = [port_plan(name, number) for number, name in enumerate((A01, A02, A03), 1)]
    relays = [replace(plan.relay, dead_man=DeadMan.HEARTBEAT, scope=scope) for plan in plans]
    world = World(*(replace(plan, relay=relay) for plan, relay in zip(plans, relays, strict=True)))
    sessions = {port: world.charging(port) for port in (A01, A02, A03)}
    world.run(10)
    return world, sessions


def test_all_relays_of_a_board_open_by_themselves_when_nobody_renews_it() -> None:
    world, _sessions = kept_together()
    died = world.now
    world.restart(after=20)
    for port in (A01, A02, A03):
        at, closed, by = world.contacts[port].edges[1]
        assert (closed, by) == (False, "lapse")
        assert died + 2.0 < at <= died + 6.0


def test_one_renewal_serves_all_that_are_closed() -> None:
    world, _sessions = kept_together()
    sent: list[float] = []
    write = world.transact

    def transact(job: Job) -> float:
        if job.kind == "renew":
            sent.append(world.now)
        return write(job)

    world.transact = transact  # type: ignore[method-assign]  # watched, and nothing else
    world.run(60)
    assert 19 <= len(sent) <= 21
    assert {world.state(port) for port in (A01, A02, A03)} == {PortState.CHARGING}
    assert [len(world.contacts[port].edges) for port in (A01, A02, A03)] == [1, 1, 1]


def test_one_that_is_stopped_is_opened_and_the_others_go_on() -> None:
    world, sessions = kept_together()
    world.stop("A02", session=sessions[A02])
    world.run(20)
    assert not world.contacts[A02].closed
    assert world.contacts[A02].edges[-1][2] == "open"
    assert (world.state("A01"), world.state("A03")) == (PortState.CHARGING, PortState.CHARGING)


@pytest.mark.parametrize(("scope", "after"), [(LeaseScope.RELAY, 3.6), (LeaseScope.BOARD, 15.0)])
def test_a_session_is_settled_by_a_lease_of_its_own_only(scope: LeaseScope, after: float) -> None:
    world, sessions = kept_together(scope)
    world.board.silent = True
    began = world.now
    world.stop("A01", session=sessions[A01])
    world.draw(0.0)
    world.run_until("ended remote", within=30)
    assert world.now - began == pytest.approx(after, abs=0.3)


@pytest.mark.parametrize(("scope", "after"), [(LeaseScope.RELAY, 4.1), (LeaseScope.BOARD, 5.0)])
def test_on_a_board_that_is_there_an_opening_is_not_left_to_the_lease_of_others(
    scope: LeaseScope, after: float
) -> None:
    world, sessions = kept_together(scope)
    world.board.refuses = True
    began = world.now
    world.stop("A01", session=sessions[A01])
    world.run_until("relay unconfirmed", within=30)
    assert world.now - began == pytest.approx(after, abs=0.3)


def test_a_renewal_of_others_pays_for_nothing_at_a_relay_that_is_being_opened() -> None:
    world, sessions = kept_together()
    world.board.silent = True
    world.stop("A01", session=sessions[A01])
    world.run(1)
    relay = world.station._ports[A01].relay  # noqa: SLF001 - shown in a bill only, much later
    leased = relay.leased_until
    sent_at, at = Instant(world.now), Instant(world.now + 0.03)
    world.tell(RelayWritten(port=A01, action=RelayAction.RENEW, sent_at=sent_at, at=at))
    assert relay.leased_until == leased


@pytest.mark.long
@pytest.mark.parametrize(
    ("lease", "scope", "costs"),
    [(6.0, LeaseScope.RELAY, False), (6.0, LeaseScope.BOARD, False), (None, LeaseScope.RELAY, True)],
)
def test_a_lost_board_costs_no_contactor_since_nobody_renews_it(
    lease: float | None, scope: LeaseScope, *, costs: bool
) -> None:
    world = shed(contactor=SWITCH, lease=lease, scope=scope)
    all_charging(world, "A01", "A02")
    world.run(5)
    world.board.silent = True
    world.run_until("board went silent", within=10)
    world.run(4)
    assert any(isinstance(fact, CircuitTripped) for _at, fact in world.facts) is costs
    world.board.silent = False
    world.run(90)
    assert {world.state(port) for port in ("A01", "A02")} == {PortState.CHARGING}


def test_a_board_that_does_not_hear_opens_all_of_them_itself() -> None:
    world, _sessions = kept_together()
    world.board.deaf = True
    world.run(13)
    for port in (A01, A02, A03):
        assert [by for _at, _closed, by in world.contacts[port].edges] == ["close", "lapse"]
