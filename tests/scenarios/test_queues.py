"""Ports that wait for their circuit, and what ports do, whatever they are about, when their circuit opens."""

from dataclasses import replace
from typing import Any

import pytest

from chargerd.core.facts import RelayUnexpected
from chargerd.core.session import Source, StopReason
from chargerd.core.units import CommandId, PortId, Seconds, SessionId
from chargerd.core.view import PortState
from tests.core.sheds import SMOKE, rated, shed
from tests.core.world import World


def queued(**more: Any) -> World:
    """Return a world in which A01 charges and A02 waits."""
    world = shed(queue_for=600, inputs=(SMOKE,), **rated(6.0), **more)
    world.charging("A01")
    world.start("A02")
    assert world.state("A02") is PortState.QUEUED
    return world


def test_what_waits_refuses_what_a_busy_port_refuses() -> None:
    world = queued()
    world.start("A02")
    assert world.answers("start-3") == ["rejected busy"]
    assert world.answers(world.reset("A02")) == ["rejected busy"]


def test_a_start_that_is_willing_to_wait_waits_where_none_would_by_itself() -> None:
    world = shed(**rated(6.0))
    world.charging("A01")
    world.start("A02")
    assert world.answers("start-2") == ["rejected circuit_full"]
    heard = world.hear_start("A02")
    order = replace(
        heard.order, queue_for=Seconds(60.0), command=CommandId("patient"), session=SessionId("patient")
    )
    world.tell(replace(heard, order=order))
    assert world.answers("patient") == ["accepted ok"]
    assert world.state("A02") is PortState.QUEUED
    world.stop("A01", force=True)
    world.run(10)
    assert world.state("A02") is PortState.CHARGING


def test_what_waits_ends_when_the_daemon_leaves() -> None:
    world = queued()
    world.shut_down()
    world.run(5)
    assert [settled.reason for settled in world.settlements()] == [StopReason.SHUTDOWN] * 2


def test_what_waits_ends_by_smoke() -> None:
    world = queued()
    world.danger.add("smoke-1")
    world.run(5)
    assert [settled.reason for settled in world.settlements()] == [StopReason.SMOKE] * 2


def test_what_waits_goes_on_waiting_while_its_inputs_are_not_read() -> None:
    world = queued()
    world.io.silent = True
    world.run(10)
    world.stop("A01", force=True)
    world.run(10)
    assert world.state("A02") is PortState.QUEUED
    world.io.silent = False
    world.run(5)
    assert world.state("A02") is PortState.CHARGING


def test_a_waiting_port_whose_relay_is_found_closed_is_opened() -> None:
    world = queued()
    world.draw(0.0, port="A02")
    world.set_contact(PortId("A02"), closed=True, by="screwdriver")
    world.run(5)
    assert [fact.port for _, fact in world.facts if isinstance(fact, RelayUnexpected)] == ["A02"]
    assert world.state("A02") is PortState.QUEUED


def test_a_waiting_port_whose_relay_does_not_open_is_locked_out() -> None:
    world = queued()
    world.draw(0.0, port="A02")
    world.set_contact(PortId("A02"), closed=True, by="screwdriver")
    world.contacts[PortId("A02")].welded = True
    world.run(10)
    assert world.state("A02") is PortState.LOCKED_OUT
    assert world.settlement().reason is StopReason.RELAY_FAULT
    assert world.shed().queue == ()


@pytest.mark.parametrize("what", ["smoke", "lost"])
def test_a_circuit_opens_whatever_its_ports_are_about(what: str) -> None:
    _opens(what)


def test_smoke_finds_ports_in_every_state() -> None:
    _opens("smoke")


def test_a_lost_input_board_finds_ports_in_every_state() -> None:
    _opens("lost")


def _opens(what: str) -> None:
    world = shed(5, inputs=(SMOKE,))
    one, two, three, four, five = (PortId(f"A0{number}") for number in range(1, 6))
    world.charging("A01")
    world.show(20.0)  # tripped
    world.charging("A02")
    world.contacts[two].welded = True
    world.stop("A02", force=True)  # locked out
    world.draw(0.0, port="A02")
    world.run(8)
    world.charging("A03")
    world.meters[three].silent = True
    world.run_until("suspended meter_stale")
    world.charging("A04")
    world.run(1)
    world.draw(0.0, port="A05")
    world.set_contact(five, closed=True, by="screwdriver")
    world.contacts[five].welded = True
    world.reset("A05", source=Source.LOCAL)
    world.meters[four].lost_energy = True
    if what == "smoke":
        world.stop("A04", force=True)
        world.run(0.3)
        world.danger.add("smoke-1")
    else:
        world.io.silent = True
        world.run(2.2)
        world.stop("A04", force=True)
    world.run(10)
    assert world.state("A01") is PortState.TRIPPED
    assert world.state("A02") is PortState.LOCKED_OUT
    assert not world.contacts[one].closed
    assert not world.contacts[three].closed
    assert not world.contacts[four].closed


@pytest.mark.parametrize("what", ["smoke", "lost"])
def test_a_circuit_opens_before_its_relays_are_known(what: str) -> None:
    _unknown(what)


def test_smoke_before_the_relays_are_known() -> None:
    _unknown("smoke")


def test_a_lost_input_board_before_the_relays_are_known() -> None:
    _unknown("lost")


def _unknown(what: str) -> None:
    world = shed(2, inputs=(SMOKE,))
    world.run(5)
    world.board.silent = True
    world.restart()
    if what == "smoke":
        world.danger.add("smoke-1")
    else:
        world.io.silent = True
    world.run(8)
    assert world.state() is (PortState.TRIPPED if what == "smoke" else PortState.UNKNOWN)
    world.board.silent = False
    world.run(10)
    assert world.state() is (PortState.TRIPPED if what == "smoke" else PortState.AVAILABLE)
    assert world.view().blocked_by == (("latched",) if what == "smoke" else ("board_lost",))
