"""What onlookers are shown: nothing old as if it were of now, and how it is known where a relay stands."""

from dataclasses import replace

import pytest

from chargerd.core.metering.seen import Measured
from chargerd.core.plan import CircuitPlan, PortPlan, StationPlan
from chargerd.core.stance import Known
from chargerd.core.units import Amps, CircuitId, PortId, Seconds
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.world import World


def charging(plan: PortPlan | None = None) -> World:
    world = World(plan or port_plan())
    world.run(7.0)
    world.draw(1.0)
    world.start()
    world.run_until("state charging")
    world.run(3.0)
    return world


def relay(world: World) -> tuple[bool | None, Known]:
    stance = world.view().relay
    return stance.closed, stance.known


def test_a_closed_relay_is_believed_open_once_its_board_is_silent_and_its_lease_has_ended() -> None:
    world = charging()
    assert relay(world) == (True, Known.READ_BACK)
    world.board.silent = True
    world.run(1.0)
    assert relay(world) == (True, Known.READ_BACK), "nobody has missed its board yet"
    world.run(3.0)
    assert relay(world) == (True, Known.BELIEVED)
    world.run_until("state suspended")
    world.run(3.0)
    told = world.view()
    assert (told.relay_closed, *relay(world)) == (True, False, Known.BELIEVED)
    assert not world.contacts[PortId("A01")].closed
    world.board.silent = False
    world.run(10.0)
    assert relay(world)[1] is Known.READ_BACK


def test_of_a_relay_that_nothing_opens_nobody_knows_where_it_is_once_its_board_is_silent() -> None:
    world = charging(port_plan(lease=None))
    world.board.silent = True
    world.run_until("state suspended", 60.0)
    world.run(2.0)
    assert relay(world) == (None, Known.UNKNOWN)
    assert world.view().relay_closed is True
    assert world.contacts[PortId("A01")].closed


def test_an_open_relay_whose_board_is_silent_is_believed_open() -> None:
    world = World()
    world.run(7.0)
    assert relay(world) == (False, Known.READ_BACK)
    world.board.silent = True
    world.run(30.0)
    assert relay(world) == (False, Known.BELIEVED)


def test_before_anything_was_read_back_nobody_knows() -> None:
    world = World()
    assert relay(world) == (None, Known.UNKNOWN)
    assert world.view().relay.read_at is None
    world.board.silent = True
    world.run(2.0)
    assert relay(world) == (None, Known.UNKNOWN)
    world.run(60.0)
    assert relay(world) == (False, Known.BELIEVED), "nobody has renewed a lease for a minute"


@pytest.mark.parametrize(("silent", "fresh"), [(1.0, True), (4.0, False), (44.0, False)])
def test_a_silent_meter_shows_nothing_fresh(silent: float, *, fresh: bool) -> None:
    world = charging()
    world.meters[PortId("A01")].silent = True
    world.run(silent)
    measured = world.view().measured
    assert measured.fresh is fresh
    if silent > 15.0:
        assert isinstance(measured, Measured)
        assert measured.at is None or measured.at <= world.now - 15.0


def test_a_port_that_waits_in_the_queue_is_read_each_five_seconds_and_not_stale_for_that() -> None:
    circuit = CircuitPlan(id=CircuitId("shed"), rating=Amps(6.0))
    ports = tuple(replace(port_plan(name, place), circuit=circuit.id) for place, name in ((1, "A01"), (2, "A02")))
    world = World(site=StationPlan(ports=ports, circuits=(circuit,), queue_for=Seconds(600.0)))
    world.run(7.0)
    world.draw(4.0, port="A01")
    world.start("A01")
    world.run(5.0)
    world.start("A02")
    world.run(6.0)
    assert world.view("A02").state is PortState.QUEUED
    for _ in range(20):
        world.run(0.7)
        assert world.view("A02").measured.fresh


def test_where_a_contactor_stands_is_known_as_that_of_a_relay_is() -> None:
    contactor = replace(port_plan("C", 8).relay)
    circuit = CircuitPlan(id=CircuitId("shed"), contactor=contactor)
    port = replace(port_plan(), circuit=circuit.id)
    world = World(site=StationPlan(ports=(port,), circuits=(circuit,)))
    world.run(7.0)
    (view,) = world.station.circuit_views(world.moment())
    assert view.contactor is not None
    assert (view.contactor.closed, view.contactor.known) == (False, Known.READ_BACK)
