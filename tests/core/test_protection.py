"""The protective functions by themselves, on images no port would show them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.core.events import MeterReading
from chargerd.core.metering.seen import Counted
from chargerd.core.metering.thermal import Thermal
from chargerd.core.metering.totals import Totals
from chargerd.core.plan import Protection
from chargerd.core.protection.function import Models
from chargerd.core.protection.image import Image
from chargerd.core.protection.meter import MeterStale
from chargerd.core.protection.overcurrent import OvercurrentInstant
from chargerd.core.protection.overpower import Overpower
from chargerd.core.protection.session_limits import LONGEST_SESSION
from chargerd.core.protection.table import FUNCTIONS, Row
from chargerd.core.session import Order
from chargerd.core.units import Amps, Instant, PortId, SessionId, WattHours, Watts
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.world import World

A01 = PortId("A01")


def image(protection: Protection | None = None) -> Image:
    plan = port_plan(protection=protection or Protection())
    order = Order(session=SessionId("s"), port=A01, limits=plan.limits)
    totals = Totals((), WattHours(1.0))
    return Image(plan=plan, order=order, models=Models.of(plan), totals=totals, started_at=Instant(0.0))


def reading(at: float, amps: float | None = None, watts: float | None = None) -> MeterReading:
    current = None if amps is None else Amps(amps)
    return MeterReading(port=A01, at=Instant(at), current=current, power=None if watts is None else Watts(watts))


def picks_up(image: Image, at: float) -> str | None:
    """Return the first function that has picked up."""
    verdict = image.judge(Instant(at))
    return None if verdict is None else verdict.detail.function


def test_nothing_is_found_on_an_open_relay() -> None:
    open_relay = image()
    open_relay.take_in(reading(1.0, 30.0, 9000.0))
    assert OvercurrentInstant(open_relay).finding(Instant(1.0)) is None
    assert Overpower(open_relay).finding(Instant(1.0)) is None
    assert MeterStale(open_relay).finding(Instant(100.0)) is None
    assert open_relay.due() is None


def test_nothing_is_found_where_nothing_was_read_but_that() -> None:
    blind = image()
    blind.close(Instant(1.0))
    assert OvercurrentInstant(blind).finding(Instant(1.0)) is None
    assert Overpower(blind).finding(Instant(1.0)) is None
    stale = MeterStale(blind).finding(Instant(1.0))
    assert stale is not None
    assert stale.measured is None, "unknown is no figure"


def test_the_orders_own_warmth_is_looked_at_in_time() -> None:
    closed = image()
    closed.close(Instant(0.0))
    closed.order = replace(closed.order, limits=replace(closed.order.limits, current=Amps(2.0)))
    ordered = Thermal()
    for at in range(0, 900, 2):
        closed.take_in(reading(at, 2.19, 100.0))
        ordered.take_in(Amps(2.19), Amps(2.0), Instant(at))
        if (ordered.reaches_one_at() or 0.0) < at + 3.0:
            break
    assert closed.due() == ordered.reaches_one_at()


def test_an_alarm_that_opens_nothing_is_never_due() -> None:
    for trips in (False, True):
        closed = image(Protection(reverse_power_trips=trips))
        closed.close(Instant(0.0))
        for at in range(0, 9, 2):
            closed.take_in(reading(at, 0.5, -30.0))
        assert (closed.due() == Instant(10.0)) is trips, "nobody would ask it then: it would be due for ever"


def test_what_was_read_before_the_closing_counts_for_nothing() -> None:
    closed = image()
    closed.close(Instant(10.0))
    closed.take_in(reading(9.9, 6.0, 1200.0))
    assert not closed.loaded
    closed.take_in(reading(10.1, 6.0, 1200.0))
    closed.take_in(reading(10.6, 6.0, 1200.0))
    assert picks_up(closed, 13.09) is None, "10.1 and not 9.9 is when the three seconds began"
    assert picks_up(closed, 13.1) == "overcurrent_definite"


@pytest.mark.parametrize("row", FUNCTIONS, ids=lambda row: row.function.name)
def test_a_function_may_be_told_what_it_has_nothing_to_do_with(row: Row) -> None:
    function = row.function(image())
    function.closed(Instant(1.0))
    function.read(reading(1.0), Counted(current=False, power=False))
    function.opened()
    function.adopted()
    function.taken_up()
    assert function.finding(Instant(1.5)) is None
    assert (function.due() or LONGEST_SESSION) >= LONGEST_SESSION


def test_what_was_picked_up_is_forgotten_with_the_opening() -> None:
    closed = image()
    closed.close(Instant(10.0))
    closed.take_in(reading(10.1, 6.0, 1200.0))
    closed.take_in(reading(10.6, 6.0, 1200.0))
    assert picks_up(closed, 13.1) == "overcurrent_definite"
    closed.open()
    assert picks_up(closed, 20.0) is None
    closed.close(Instant(21.0))
    closed.take_in(reading(21.1, 1.0, 100.0))
    assert picks_up(closed, 21.1) is None


def test_what_flows_through_a_relay_that_counts_as_open_is_billed_by_the_register() -> None:
    session = image()
    totals = session.totals
    totals.register(WattHours(200.0), Instant(0.0))
    session.close(Instant(1.0))
    totals.close(Instant(1.0))
    session.open()
    session.take_in(reading(5.0, 2.0, 400.0))
    totals.open(Instant(6.0))
    session.take_in(reading(7.0, 2.0, 400.0))
    totals.register(WattHours(200.0), Instant(8.0))
    session.take_in(reading(50.0, 2.0))
    session.take_in(reading(51.0, 2.0, 400.0))
    totals.register(WattHours(330.0), Instant(1200.0))
    assert totals.doubt is None
    assert totals.energy == 130.0


def tripped_after(currents: list[float]) -> int | None:
    """Return at which of these readings, half a second apart, a port trips; `None` if at none of them."""
    world = World()
    world.charging()
    world.run(3)
    world.by_hand()
    for number, amps in enumerate(currents):
        world.show(amps, 300.0)
        if world.state() is not PortState.CHARGING:
            return number
        world.run(0.5)
    return None


@pytest.mark.long
@given(
    currents=st.lists(st.floats(0.0, 12.0), min_size=1, max_size=20),
    more=st.lists(st.floats(0.0, 6.0), min_size=20, max_size=20),
)
def test_more_current_never_trips_later(currents: list[float], more: list[float]) -> None:
    before = tripped_after(currents)
    after = tripped_after([amps + extra for amps, extra in zip(currents, more, strict=False)])
    if before is not None:
        assert after is not None
        assert after <= before
