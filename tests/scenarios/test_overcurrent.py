"""Too much current, too much power: thresholds and times, just below and just above."""

import pytest

from chargerd.core.events import MeterReading
from chargerd.core.plan import Limits, MeterPlan
from chargerd.core.session import StopReason
from chargerd.core.units import Amps, BoardId, Instant, PortId, Seconds, Watts
from chargerd.core.view import PortState
from tests.core.plant import BOOT, port_plan
from tests.core.world import World

BELOW = 0.01
"""One step of what a meter resolves, in amperes."""


def settled_in(port: str = "A01", **limits: float) -> World:
    """A port that has charged long enough for the inrush to be over; its readings are given by hand."""
    world = World()
    world.draw(0.5, 60.0)
    world.charging(port, **limits)
    world.run(10)
    world.by_hand()
    world.run(0.5)
    world.show(0.5, 60.0)
    return world


def freshly_closed() -> tuple[World, float]:
    """A port whose relay has just been read back closed, and when its closing was written."""
    world = World()
    world.ready()
    world.start()
    closed = world.run_until("close")
    world.run_until("started")
    world.by_hand()
    return world, closed + BOOT


def opens_at_once(world: World, function: str) -> None:
    """Assert that the last event alone has tripped the port."""
    assert world.lines().count("open") == 2, world.print()
    assert world.when(f"tripped {function}") == pytest.approx(world.elapsed)
    world.run(0.1)
    assert not world.contacts[PortId("A01")].closed


def test_one_reading_at_one_and_a_half_times_trips_at_once() -> None:
    world = settled_in()
    world.show(7.5)
    opens_at_once(world, "overcurrent_instant")
    world.run(5)
    assert world.state() is PortState.TRIPPED
    assert world.settlement().reason is StopReason.OVERCURRENT
    detail = world.settlement().detail
    assert detail is not None
    assert (detail.measured, detail.limit, detail.unit) == (7.5, 7.5, "a")


def test_just_below_one_and_a_half_times_does_not() -> None:
    world = settled_in()
    world.show(7.5 - BELOW)
    world.run(0.5)
    world.show(2.0, 300.0)
    world.run(2)
    assert world.state() is PortState.CHARGING


def test_the_sessions_own_limit_counts_not_the_ports() -> None:
    world = settled_in(current=Amps(2.0))
    world.show(3.0 - BELOW)
    assert world.state() is PortState.CHARGING
    world.show(3.0)
    opens_at_once(world, "overcurrent_instant")


@pytest.mark.parametrize(
    ("after_closing", "amps", "trips"),
    [
        (1.9, 14.99, False),
        (1.9, 15.0, True),
        (2.0, 14.99, False),
        (2.0, 15.0, True),
        (2.001, 7.49, False),
        (2.001, 7.5, True),
        (2.001, 14.99, True),
    ],
)
def test_an_inrush_may_be_twice_as_high_for_two_seconds(after_closing: float, amps: float, *, trips: bool) -> None:
    world, closed = freshly_closed()
    world.show(2.0, 300.0)
    world.run_to(closed + after_closing)
    world.show(amps)
    assert (world.count("tripped overcurrent_instant") == 1) is trips


@pytest.mark.parametrize(("after_closing", "trips"), [(2.9, False), (3.1, True)])
def test_a_slow_meter_has_its_refresh_more(after_closing: float, *, trips: bool) -> None:
    world = World(port_plan(meter=MeterPlan(board=BoardId("m"), refresh=Seconds(1.0))))
    world.ready()
    world.start()
    closed = world.run_until("close") + BOOT
    world.run_until("started")
    world.by_hand()
    world.show(2.0, 300.0)
    world.run_to(closed + 1.5)
    world.show(2.0, 300.0)
    world.run_to(closed + after_closing)
    world.show(14.0)
    assert (world.count("tripped overcurrent_instant") == 1) is trips


def test_a_closing_that_waits_in_the_queue_does_not_use_up_the_inrush() -> None:
    world = World(separate=True)
    world.ready()
    world.start()
    world.run_until("persist")
    world.relay_bus.held = True
    told = world.run_until("close")
    world.by_hand()
    world.run(2.4)
    world.relay_bus.release()
    world.run_until("contact closed")
    world.show(14.0, 300.0)
    assert world.elapsed - told > 2.2
    world.run_until("started")
    world.run(1.9)
    world.show(14.0)
    world.tells_not("tripped overcurrent_instant")
    world.run(0.1)
    world.show(14.0)
    world.tells("tripped overcurrent_instant")


def test_a_trip_while_the_relay_is_still_being_closed() -> None:
    world = World()
    world.board.blind = False
    world.ready()
    world.start()
    world.run_until("contact closed")
    world.board.blind = True
    world.run(0.1)
    world.tells_not("started")
    world.show(20.0, 4000.0)
    world.tells("close", "contact closed", "open", "tripped overcurrent_instant")
    world.board.blind = False
    world.run(5)
    world.tells("contact open", "ended overcurrent", "state tripped")
    world.tells_not("started")
    settled = world.settlement()
    assert settled.record.charging == pytest.approx(world.contact_time(), abs=0.3), "what was written counts"
    assert world.answers("start-1") == ["accepted ok", "failed failed"]


def test_a_reading_from_before_the_closing_does_not_trip() -> None:
    """Meter and relay hang on different lines: an older reading may come in after the closing was decided."""
    world = World(separate=True)
    world.ready()
    world.start()
    old = Instant(world.run_until("close") + BOOT - 0.001)
    world.run(0.02)
    world.tell(MeterReading(port=PortId("A01"), at=old, current=Amps(30.0)))
    world.tells_not("tripped overcurrent_instant")


@pytest.mark.parametrize("amps", [5.5, 7.49])
def test_ten_percent_more_trips_after_three_seconds(amps: float) -> None:
    world = settled_in()
    world.show(amps)
    since = world.elapsed
    for _ in range(5):
        world.run(0.5)
        world.show(amps)
    world.run(since + 2.99 - world.elapsed)
    assert world.state() is PortState.CHARGING
    world.run(0.02)
    assert world.when("tripped overcurrent_definite") - since == pytest.approx(3.0)
    world.by_itself()
    world.run(1)
    assert world.settlement().reason is StopReason.OVERCURRENT
    assert world.state() is PortState.TRIPPED


def test_just_below_ten_percent_more_never_trips() -> None:
    world = settled_in()
    for _ in range(40):
        world.show(5.5 - BELOW, 300.0)
        world.run(0.5)
    assert world.state() is PortState.CHARGING


def test_one_reading_below_begins_the_three_seconds_anew() -> None:
    world = settled_in()
    for _ in range(4):
        for amps in (6.0, 6.0, 6.0, 6.0, 6.0, 5.4):
            world.show(amps, 300.0)
            world.run(0.5)
    assert world.state() is PortState.CHARGING


def test_a_single_reading_is_not_enough_for_a_definite_time() -> None:
    world = World(port_plan(meter=MeterPlan(board=BoardId("m"), refresh=Seconds(1.4))), poll=0.2)
    world.charging()
    world.run(10)
    world.by_hand()
    world.run(1.5)
    world.show(6.0, 300.0)
    world.run(1.3)
    world.show(6.0, 300.0)
    world.run(1.8)
    assert world.state() is PortState.CHARGING, "3 s have passed, but within one refresh it is one reading"
    world.show(6.0, 300.0)
    opens_at_once(world, "overcurrent_definite")


def test_too_much_current_before_a_suspension_is_forgotten_after_it() -> None:
    world = settled_in()
    world.show(6.0, 300.0)
    world.run(0.5)
    world.show(6.0, 300.0)
    world.run(0.5)
    world.board.mute = True
    for _ in range(40):
        world.show(6.0 if world.contacts[PortId("A01")].closed and world.elapsed < 1 else 2.0, 300.0)
        world.run(0.25)
        if world.state() is PortState.SUSPENDED:
            break
    world.board.mute = False
    world.by_itself()
    world.run_until("resumed", within=60)
    world.run(20)
    assert world.state() is PortState.CHARGING


def test_ten_percent_more_power_ends_the_session_after_five_seconds_without_a_latch() -> None:
    world = settled_in()
    world.show(4.9, 1100.0)
    since = world.elapsed
    for _ in range(9):
        world.run(0.5)
        world.show(4.9, 1100.0)
    world.run(since + 4.99 - world.elapsed)
    assert world.state() is PortState.CHARGING
    world.run(0.02)
    assert world.when("tripped overpower") - since == pytest.approx(5.0)
    world.run(5)
    assert world.settlement().reason is StopReason.OVERPOWER
    assert world.state() is PortState.AVAILABLE
    assert not world.view().latches


def test_one_reading_of_too_much_power_ends_nothing_though_the_next_are_lost() -> None:
    world = settled_in()
    world.show(4.9, 1100.0)
    for _ in range(11):
        world.run(0.5)
        world.show(4.9)
    assert world.state() is PortState.CHARGING
    world.show(4.9, 1100.0)
    assert world.state() is PortState.STOPPING


def test_just_below_ten_percent_more_power_is_allowed() -> None:
    world = settled_in()
    for _ in range(40):
        world.show(4.9, 1099.0)
        world.run(0.5)
    assert world.state() is PortState.CHARGING


def test_power_that_falls_below_begins_the_five_seconds_anew() -> None:
    world = settled_in()
    for _ in range(3):
        for watts in (1200.0,) * 9 + (1000.0,):
            world.show(4.9, watts)
            world.run(0.5)
    assert world.state() is PortState.CHARGING


@pytest.mark.parametrize(("watts", "trips"), [(1499.0, False), (1500.0, True)])
def test_one_and_a_half_times_the_power_ends_it_on_one_reading(watts: float, *, trips: bool) -> None:
    world = settled_in()
    world.show(4.9, watts)
    assert (world.count("tripped overpower") == 1) is trips


@pytest.mark.parametrize(("after_closing", "trips"), [(2.0, False), (2.001, True)])
def test_power_is_masked_during_an_inrush(after_closing: float, *, trips: bool) -> None:
    world, closed = freshly_closed()
    world.show(2.0, 300.0)
    world.run_to(closed + after_closing)
    world.show(4.9, 1600.0)
    assert (world.count("tripped overpower") == 1) is trips


def test_the_orders_own_power_limit_counts() -> None:
    world = settled_in(power=Watts(200.0))
    world.show(2.0, 299.0)
    assert world.state() is PortState.CHARGING
    world.show(2.0, 300.0)
    opens_at_once(world, "overpower")
    world.by_itself()
    world.run(1)
    assert world.settlement().reason is StopReason.OVERPOWER


def test_a_trip_is_cleared_from_afar_and_the_next_start_is_a_new_one() -> None:
    world = settled_in()
    world.show(8.0)
    world.by_itself()
    world.run(20)
    assert world.count("close") == 1, "nothing closes again by itself"
    world.start()
    assert world.answers("start-2") == ["rejected latched"]
    assert world.answers(world.reset()) == ["done ok"]
    assert world.state() is PortState.AVAILABLE
    world.charging()
    assert world.count("close") == 2


def goes_to_the_next(world: World) -> None:
    """Assert that an order's trip has latched nothing: the next customer charges with the port's own limits."""
    assert not world.view().latches
    world.by_itself()
    world.run(5)
    assert world.settlements()[-1].reason is StopReason.OVERCURRENT
    assert world.state() is PortState.AVAILABLE
    assert not world.view().blocked_by
    world.draw(2.4, 300.0)
    world.start()
    world.run(20)
    assert world.state() is PortState.CHARGING


def test_one_reading_that_only_the_order_forbids_ends_it_and_latches_nothing() -> None:
    world = settled_in(current=Amps(2.0))
    world.show(7.5 - BELOW)
    world.tells("tripped overcurrent_instant")
    world.draw(0.0)
    goes_to_the_next(world)


def test_one_that_the_port_forbids_as_well_latches() -> None:
    world = settled_in(current=Amps(2.0))
    world.show(7.5)
    assert [latch.function for latch in world.view().latches] == ["overcurrent_instant"]


def test_within_the_inrush_the_ports_own_is_three_times_its_limit() -> None:
    for amps, latched in ((15.0 - BELOW, 0), (15.0, 1)):
        world, closed = freshly_closed()
        world.update(current=Amps(2.0))
        world.run_to(closed + 1.9)
        world.show(amps)
        world.tells("tripped overcurrent_instant")
        assert len(world.view().latches) == latched


@pytest.mark.parametrize(("amps", "latched"), [(5.49, False), (5.5, True)])
def test_ten_percent_above_the_orders_limit_latches_if_it_is_above_the_ports_too(
    amps: float, *, latched: bool
) -> None:
    world = settled_in(current=Amps(4.9))
    for _ in range(8):
        world.show(amps)
        world.run(0.5)
    world.tells("tripped overcurrent_definite")
    assert bool(world.view().latches) is latched
    if not latched:
        world.draw(0.0)
        goes_to_the_next(world)


def test_three_seconds_above_the_orders_limit_are_none_above_the_ports() -> None:
    world = settled_in(current=Amps(4.9))
    for amps in (5.45, 5.45, 5.45, 5.45, 5.45, 5.6, 5.6, 5.6):
        world.show(amps)
        world.run(0.5)
    world.tells("tripped overcurrent_definite")
    assert not world.view().latches


def test_warmth_by_the_orders_limit_is_no_warmth_of_the_wire() -> None:
    world = World()
    world.draw(2.15, 280.0)
    world.charging(current=Amps(2.0))
    world.run_until("tripped overcurrent_thermal", within=2000)
    world.draw(0.0)
    goes_to_the_next(world)


@pytest.mark.long
def test_a_wire_that_is_warm_already_is_no_warmth_of_the_next_order() -> None:
    world = World()
    world.draw(4.0, 560.0)
    world.charging()
    world.run(1200)
    world.stop(force=True)
    world.run(5)
    world.draw(1.9, 250.0)
    world.charging(current=Amps(2.0))
    world.run(600)
    assert world.state() is PortState.CHARGING


def test_a_latch_survives_a_restart() -> None:
    world = settled_in()
    world.show(8.0)
    world.run(5)
    world.by_itself()
    world.restart()
    world.run(20)
    assert world.state() is PortState.TRIPPED
    world.start()
    assert world.answers("start-2") == ["rejected latched"]


def test_limits_of_a_port_hold_by_default() -> None:
    world = World(port_plan(limits=Limits(current=Amps(2.0))))
    world.charging()
    world.run(5)
    world.by_hand()
    world.show(3.0, 300.0)
    opens_at_once(world, "overcurrent_instant")
