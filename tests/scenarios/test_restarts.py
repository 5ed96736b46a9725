"""Kill -9, power cuts, and the books afterwards."""

from dataclasses import replace

import pytest

from chargerd.core.commands import Checkpoint
from chargerd.core.facts import RelayNotReconciled
from chargerd.core.port.charge import settle_interrupted
from chargerd.core.session import EnergyQuality, SessionRecord, StopReason
from chargerd.core.units import PortId, WattHours
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.world import World

A01 = PortId("A01")


def test_the_lease_opens_the_relay_of_a_dead_daemon_and_the_next_one_closes_the_books() -> None:
    world = World()
    world.charging()
    world.run(200)
    kept = next(iter(world.journal.records.values()))
    killed = world.elapsed
    world.restart(after=10.0)
    lapsed, closed, by = world.contacts[A01].edges[-1]
    assert (closed, by) == (False, "lapse")
    assert lapsed - 1000 - killed <= 6.0
    settled = world.settlement()
    assert settled.reason is StopReason.POWER_LOSS
    assert settled.record == kept, "its last checkpoint, no more and no less"
    assert settled.ended == kept.at
    assert settled.record.charging == pytest.approx(180, abs=2)
    assert settled.record.energy == pytest.approx(15, abs=1)
    assert settled.quality is EnergyQuality.ESTIMATED
    assert settled.quality_reason == "interrupted"
    world.run(5)
    assert world.state() is PortState.AVAILABLE
    assert not [fact for _, fact in world.facts if isinstance(fact, RelayNotReconciled)]


def test_current_through_a_relay_whose_board_is_silent_from_the_start_is_out_of_control() -> None:
    world = World()
    world.charging()
    world.run(20)
    world.contacts[A01].welded = True
    world.board.silent = True
    world.restart(after=2.0)
    began = world.elapsed
    world.run_until("locked out relay_board_lost", within=15)
    assert world.elapsed - began >= 6.0, "a lease that the run before has given may last so long"
    assert world.state() is PortState.LOCKED_OUT


def test_a_board_that_comes_back_late_after_a_restart_finds_its_relay_open() -> None:
    world = World()
    world.charging()
    world.run(20)
    world.board.silent = True
    world.restart(after=0.5)
    world.run(20)
    assert not world.view("A01").latches, "it has lapsed"
    world.board.silent = False
    world.ready()


def test_a_restart_sooner_than_the_lease_opens_the_relay_itself() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.restart(after=0.3)
    world.run(1)
    assert world.contacts[A01].edges[-1][1:] == (False, "open")


def test_a_session_killed_before_its_first_checkpoint_is_an_estimate_too() -> None:
    """Its record was written ahead of the closing: that nothing stands in it does not mean nothing flowed."""
    world = World()
    world.ready()
    world.start()
    world.run_until("started")
    world.restart()
    settled = world.settlement()
    assert not settled.record.charging
    assert settled.record.meter_start == WattHours(5000.0)
    assert (settled.quality, settled.quality_reason) == (EnergyQuality.ESTIMATED, "interrupted")


def test_a_start_that_was_accepted_and_never_written_ahead_is_nothing() -> None:
    world = World()
    world.ready()
    session = world.start()
    record = world.view().session
    assert record is not None
    assert record.order.session == session
    settled = settle_interrupted(record, WattHours(1.0))
    assert (settled.quality, settled.quality_reason) == (EnergyQuality.ESTIMATED, "relay_not_closed")
    assert settled.record.energy == 0.0


def test_a_session_of_a_port_that_is_no_longer_configured_is_settled_as_well() -> None:
    world = World()
    world.charging()
    world.run(100)
    old: SessionRecord = next(iter(world.journal.records.values()))
    gone = replace(old, order=replace(old.order, port=PortId("B07")))
    other = World(port_plan("A02"), begin=False)
    other.begin([gone])
    assert other.settlement().reason is StopReason.POWER_LOSS


def test_all_open_sessions_are_checkpointed_in_one_go_each_minute() -> None:
    world = World(port_plan("A01", 1), port_plan("A02", 2), port_plan("A03", 3))
    world.charging("A01")
    world.charging("A02")
    world.run(125)
    written = [command for _, command in world.commands if isinstance(command, Checkpoint)]
    assert [len(command.records) for command in written] == [1, 1, 2, 2], "each as it begins, then both"
    assert world.count("read energy", "A01") == 3, "at the start, and for each checkpoint"


def test_nothing_is_checkpointed_where_nothing_charges() -> None:
    world = World()
    world.run(300)
    assert not [command for _, command in world.commands if isinstance(command, Checkpoint)]
