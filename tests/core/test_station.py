"""The station's own affairs: order of work, deadlines, cost, and events that are nobody's."""

import time
from dataclasses import replace

import pytest

from chargerd.core.events import BoardLost, DeadlineReached, MeterReading, RelayReadBack
from chargerd.core.faults import FaultKind
from chargerd.core.units import Amps, BoardId, Instant, PortId, Seconds, Watts
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.world import World

A01 = PortId("A01")


def test_a_lease_is_not_renewed_for_a_meter_gone_stale_in_the_same_moment() -> None:
    world = World()
    world.charging()
    world.by_hand()
    world.run_to(world.now + 0.3)
    world.show(2.0, 300.0)
    renewed = world.count("renew")
    world.now += 10.0
    world.tell(DeadlineReached())
    assert world.count("renew") == renewed
    assert world.state() is PortState.SUSPENDED


def test_a_renewal_and_a_stale_meter_due_at_the_very_same_instant() -> None:
    plan = port_plan()
    world = World(replace(plan, relay=replace(plan.relay, renew_every=Seconds(4.0))))
    world.ready()
    world.start()
    closed = world.run_until("close")
    world.by_hand()
    world.run_to(1000 + closed + 1.0)
    world.show(2.0, 300.0)
    world.run(3.5)
    world.tells("suspended meter_stale")
    world.tells_not("renew")


def test_each_port_is_shown_as_it_is_shown_by_itself() -> None:
    world = World()
    world.charging()
    views = world.station.views(world.moment())
    assert [view.id for view in views] == [A01]
    assert views == (world.station.view(A01, world.moment()),)
    assert views[0].state is PortState.CHARGING


def test_events_of_ports_there_are_not_move_nothing() -> None:
    world = World()
    world.ready()
    nowhere, at = PortId("Z99"), Instant(world.now)
    world.tell(MeterReading(port=nowhere, at=at, current=Amps(99.0), power=Watts(1.0)))
    world.tell(RelayReadBack(port=nowhere, closed=True, sent_at=at, at=at))
    world.tell(BoardLost(board=BoardId("elsewhere"), at=at, kind=FaultKind.OFFLINE))
    assert world.state() is PortState.AVAILABLE
    with pytest.raises(KeyError):
        world.view("Z99")


@pytest.mark.parametrize("figure", [float("nan"), float("inf")])
def test_what_is_no_number_keeps_no_meter_fresh(figure: float) -> None:
    world = World()
    world.charging()
    world.run(5)
    world.by_hand()
    world.show(2.0, 300.0)
    for _ in range(7):
        world.run(0.5)
        world.show(figure, 300.0)
        world.show(2.0, figure)
    world.tells("suspended meter_stale")


def test_a_station_that_has_not_begun_wants_nothing() -> None:
    world = World(begin=False)
    assert world.station.next_deadline() is None
    world.tell(DeadlineReached())
    assert not world.station.idle()


def test_an_event_carries_what_is_overdue() -> None:
    world = World(port_plan("A01", 1), port_plan("A02", 2))
    world.charging("A01")
    world.by_hand("A01")
    world.now += 4.0
    world.show(0.0, 0.0, port="A02")
    world.tells("suspended meter_stale")


def test_readings_of_a_dozen_ports_cost_little() -> None:
    """A guard against work that grows with the number of ports; the figure is generous, not a benchmark."""
    plans = [port_plan(f"A{number:02}", number) for number in range(1, 13)]
    world = World(*plans)
    for plan in plans:
        world.charging(plan.id)
    moment, count = world.moment(), 600
    began = time.process_time()
    for number in range(count):
        event = MeterReading(
            port=plans[number % 12].id, at=Instant(world.now), current=Amps(2.0), power=Watts(300.0)
        )
        world.station.handle(event, moment)
        world.station.next_deadline()
    assert (time.process_time() - began) / count < 0.002


def test_what_flowed_before_the_relay_opened_is_not_shown_as_what_flows() -> None:
    world = World()
    session = world.charging()
    world.run(5)
    world.by_hand()
    world.show(2.0, 300.0)
    world.stop(session=session)
    world.run_until("state available")
    resting = world.view()
    assert resting.relay_closed is False
    assert (resting.measured.current, resting.measured.power) == (None, None)
    world.run(0.1)
    world.show(0.0)
    assert (world.view().measured.current, world.view().measured.power) == (0.0, None)
    world.show(0.0, 0.0)
    assert world.view().measured.power == 0.0
    world.show(2.0, 300.0)
    assert world.view().measured.power == 300.0, "what flows through an open relay is"
