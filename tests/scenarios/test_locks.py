"""A lock that somebody on site has put on a port or a circuit: sessions end, and none begins from afar."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from chargerd.core.commands import Answer, CloseRelay, Code, RenewLease
from chargerd.core.events import RequestHeard, StartRequested, UnlockRequested
from chargerd.core.facts import PortLocked, PortUnlocked
from chargerd.core.plan import lock_of
from chargerd.core.session import Order, Source, StopReason
from chargerd.core.units import CommandId, Instant, PortId, SessionId
from chargerd.core.view import PortState
from tests.core.sheds import HOLDER, SHED, all_charging, rated, shed
from tests.core.world import World
from tests.scenarios.test_commands import BEFORE_CLOSING, GOING_ON, resuming_world, unknown
from tests.scenarios.test_heat import feel
from tests.scenarios.test_oddities import locked_out, tripped
from tests.scenarios.test_requests import A01, WITH_SESSION, available, charging, opening, stopping, suspended
from tests.scenarios.test_reserving import disabled
from tests.scenarios.test_welds import rested

AT_REST = (available, disabled, tripped, locked_out, unknown)


def closings(world: World, port: str = "A01", since: Instant = Instant(0.0)) -> list[object]:
    moving = (CloseRelay, RenewLease)
    return [one for at, one in world.commands if at > since and isinstance(one, moving) and one.port == port]


def ask_everything_from_afar(world: World) -> None:
    """Do what a backend can do that might close a relay."""
    world.enable()
    world.enable(HOLDER)
    world.reset(source=Source.REMOTE)
    world.reserve(session="session-8")
    world.unlock(source=Source.REMOTE)
    world.disable()
    world.enable()
    world.start()


def test_a_lock_ends_what_goes_on_and_nothing_starts_until_it_is_taken_away() -> None:
    world = charging()
    lock = world.lock()
    assert world.answers(lock) == ["done ok"]
    world.run(5)
    assert world.state() is PortState.DISABLED
    settled = world.settlement()
    assert (settled.reason, settled.detail and settled.detail.function) == (StopReason.LOCAL, "locked")
    assert settled.record.energy > 0, "and is settled like any other"
    view = world.view()
    assert view.blocked_by == (Code.LOCKED,)
    assert view.lock is not None
    assert (view.lock.by, view.lock.reason, view.disabled) == ("Ada", "changing the socket", None)
    world.start()
    assert world.answers("start-2") == ["rejected locked"]
    assert world.answers(world.unlock(by="Bob")) == ["done ok"]
    assert world.state() is PortState.AVAILABLE
    assert world.view().lock is None
    world.charging()
    told = [fact for _, fact in world.facts if isinstance(fact, PortLocked | PortUnlocked)]
    assert [type(fact) for fact in told] == [PortLocked, PortUnlocked]
    assert [fact.reason for fact in told] == ["changing the socket", None]
    assert isinstance(told[1], PortUnlocked)
    assert (told[1].by, told[1].lock.by) == ("Bob", "Ada"), "whose it was, and who took it away"


@pytest.mark.parametrize("situation", [one for one in WITH_SESSION if one not in {stopping, opening}])
def test_in_every_state_with_a_session_that_ends_now(situation: Callable[[], World]) -> None:
    world = situation()
    now = world.moment().instant
    assert world.answers(world.lock()) == ["done ok"]
    world.by_itself()
    world.run(20)
    assert not closings(world, since=now)
    assert world.state() is PortState.DISABLED
    assert len(world.settlements()) == 1
    assert world.settlement().reason is StopReason.LOCAL


@pytest.mark.parametrize("situation", [stopping, opening])
def test_one_that_ends_already_ends_for_its_own_reason(situation: Callable[[], World]) -> None:
    world = situation()
    world.lock()
    world.by_itself()
    world.run(20)
    assert world.state() is PortState.DISABLED
    assert len(world.settlements()) == 1


@pytest.mark.parametrize(
    ("step", "holder"), [*((step, A01) for step in BEFORE_CLOSING), ("turn", HOLDER), ("power", HOLDER)]
)
def test_no_relay_closes_for_a_start_once_its_port_is_locked(step: str, holder: str) -> None:
    world = BEFORE_CLOSING[step]()
    record = world.view().session
    assert record is not None
    assert record.order.command is not None
    assert world.answers(world.lock(holder)) == ["done ok"]
    assert world.answers(record.order.command) == ["accepted ok", "failed locked"]
    world.io.refuses = False
    world.run(10)
    assert not closings(world)


@pytest.mark.parametrize("situation", [*AT_REST, *WITH_SESSION])
def test_no_command_from_afar_closes_a_locked_port_in_any_state(situation: Callable[[], World]) -> None:
    world = situation()
    world.lock()
    now = world.moment().instant
    ask_everything_from_afar(world)
    world.by_itself()
    world.run(30)
    ask_everything_from_afar(world)
    world.run(10)
    assert not closings(world, since=now)
    lock = world.view().lock
    assert lock is not None
    assert lock.by == "Ada"
    assert world.view().blocked_by[0] is Code.LOCKED


@pytest.mark.parametrize("situation", AT_REST)
def test_a_lock_comes_and_goes_in_every_state_at_rest(situation: Callable[[], World]) -> None:
    world = situation()
    before = world.state()
    world.lock()
    held = before if before in {PortState.TRIPPED, PortState.LOCKED_OUT, PortState.UNKNOWN} else PortState.DISABLED
    assert world.state() is held, "what holds it besides is shown"
    assert Code.LOCKED in world.view().blocked_by
    world.unlock()
    assert world.state() is before
    assert Code.LOCKED not in world.view().blocked_by


@pytest.mark.parametrize("situation", GOING_ON)
def test_a_lock_taken_away_while_the_session_still_ends_leaves_the_port_free(
    situation: Callable[[], World],
) -> None:
    world = situation()
    world.lock()
    world.unlock()
    world.by_itself()
    world.run(20)
    assert world.state() is PortState.AVAILABLE


def test_a_lock_and_a_disabling_stand_beside_each_other() -> None:
    world = available()
    world.disable()
    world.lock()
    assert world.answers(world.enable()) == ["done ok"]
    assert (world.state(), world.view().blocked_by) == (PortState.DISABLED, (Code.LOCKED,))
    world.disable()
    world.unlock()
    assert (world.state(), world.view().blocked_by) == (PortState.DISABLED, (Code.DISABLED,))


def test_a_circuit_is_locked_with_every_port_below() -> None:
    world = shed(2)
    all_charging(world, "A01", "A02")
    assert world.answers(world.lock(HOLDER)) == ["done ok"]
    world.run(5)
    for port in ("A01", "A02"):
        assert world.state(port) is PortState.DISABLED
        lock = world.view(port).lock
        assert lock is not None
        assert lock.holder == lock_of(HOLDER)
    assert world.shed().lock == world.view("A01").lock
    told = next(fact for _, fact in world.facts if isinstance(fact, PortLocked))
    assert told.circuit == SHED
    world.unlock(A01)
    assert world.state() is PortState.DISABLED, "its circuit's lock is another one"
    world.lock(A01, by="Bob")
    world.unlock(HOLDER)
    assert [world.state(port) for port in ("A01", "A02")] == [PortState.DISABLED, PortState.AVAILABLE]
    assert world.view("A01").lock is not None


def test_a_start_that_waits_for_its_circuit_is_withdrawn() -> None:
    world = shed(2, queue_for=3600.0, **rated(10.0))
    world.charging("A01", current=5.0)
    world.ready("A02")
    world.start("A02", current=5.0)
    world.run(1)
    assert world.state("A02") is PortState.QUEUED
    world.lock("A02")
    assert world.answers("start-2") == ["accepted ok", "failed locked"]
    assert world.state("A01") is PortState.CHARGING


def test_it_survives_a_restart_and_so_does_nothing_of_what_it_ended() -> None:
    world = resuming_world()
    world.charging()
    world.run(30)
    world.lock()
    world.restart()
    world.run(30)
    world.tells_not("resumed")
    assert world.state() is PortState.DISABLED
    lock = world.view().lock
    assert lock is not None
    assert (lock.by, lock.reason) == ("Ada", "changing the socket")
    world.start()
    assert world.answers("start-2") == ["rejected locked"]
    world.unlock()
    world.restart()
    world.run(10)
    assert world.view().lock is None


def test_a_locked_port_does_not_come_back_after_an_outage() -> None:
    world = resuming_world()
    world.charging()
    world.run(30)
    records = dict(world.journal.records)
    world.lock()
    world.journal.records.update(records)  # As if the end had not become durable before the power went.
    world.restart()
    world.run(30)
    world.tells_not("resumed")
    assert world.state() is PortState.DISABLED


def test_nobody_takes_over_anothers_lock_and_its_owner_may_change_the_reason() -> None:
    world = available()
    world.lock()
    since = world.view().lock
    world.run(60)
    assert world.answers(world.lock(by="Bob")) == ["rejected locked"]
    assert world.answers(world.lock()) == ["done ok"]
    assert world.count("port locked") == 1, "the same again is not told"
    world.lock(reason="and the cable")
    assert world.count("port locked") == 2
    lock = world.view().lock
    assert lock is not None
    assert since is not None
    assert (lock.reason, lock.since) == ("and the cable", since.since), "it hangs there since then"
    assert world.answers(world.unlock(source=Source.REMOTE)) == ["rejected not_allowed"]
    assert world.view().lock == lock
    world.unlock()
    assert world.answers(world.unlock()) == ["done ok"], "there is none"
    assert world.count("port unlocked") == 1


@pytest.mark.parametrize("port", ["Z99", "circuit/nowhere", "lock/A01"])
def test_what_there_is_not_cannot_be_locked(port: str) -> None:
    world = available()
    assert world.answers(world.lock(port)) == ["rejected unknown_port"]
    assert world.answers(world.unlock(port)) == ["rejected unknown_port"]
    assert not world.journal.disabled


def test_current_through_a_locked_port_locks_it_out() -> None:
    world = available()
    world.lock()
    world.run(10)
    world.by_hand()
    for _ in range(4):
        world.show(1.0, 200.0)
        world.run(0.5)
    world.tells("state disabled", "locked out relay_welded")
    world.unlock()
    assert world.state() is PortState.LOCKED_OUT


def test_a_suspended_session_does_not_wait_under_a_lock() -> None:
    world = suspended()
    world.lock()
    world.run(5)
    assert world.settlement().reason is StopReason.LOCAL
    world.meters[A01].silent = False
    world.run(60)
    world.tells_not("resumed")


def on_its_way(world: World) -> Iterator[tuple[StartRequested, Callable[[], None]]]:
    """Yield a start that was heard, and what makes it arrive."""
    order = Order(session=SessionId("late"), port=A01, limits=world.view().limits, command=CommandId("late"))
    start = StartRequested(order=order, port=A01)
    world.tell(RequestHeard(request=start))
    yield start, lambda: world.tell(start)


@pytest.mark.parametrize("holder", [A01, HOLDER])
def test_a_lock_applies_to_a_start_on_its_way_though_it_is_gone_by_then(holder: PortId) -> None:
    world = shed(2)
    world.ready("A01")
    ((_start, arrive),) = on_its_way(world)
    world.lock(holder)
    world.unlock(holder)
    arrive()
    assert world.answers("late") == ["rejected locked"]
    assert world.state() is PortState.AVAILABLE


def test_a_lock_is_not_taken_away_by_an_unlocking_from_before_it() -> None:
    world = available()
    world.lock()
    unlock = UnlockRequested(port=A01, source=Source.LOCAL, by="Ada", command=CommandId("late"))
    enable = replace(unlock, command=CommandId("other"), port=PortId("A01"))
    world.tell(RequestHeard(request=unlock))
    world.lock(reason="and the cable")
    world.tell(unlock)
    assert world.answers("late") == ["rejected conflict"]
    assert world.view().lock is not None
    world.tell(RequestHeard(request=enable))
    world.disable()
    world.tell(enable)
    assert world.answers("other") == ["done ok"], "a disabling is something else"


def welded() -> tuple[World, Callable[[], None]]:
    """A port whose meter shows current through its open relay, and what ends that."""
    world = rested(World())
    for _ in range(3):
        world.show(2.0, 300.0)
        world.run(0.5)

    def mend() -> None:
        for _ in range(3):
            world.show(0.0, 0.0)
            world.run(0.5)

    return world, mend


def read_back_closed() -> tuple[World, Callable[[], None]]:
    """A relay that reads back closed whatever it is told, and what ends that."""
    world = World()
    session = world.charging()
    world.contacts[A01].welded = True
    world.stop(session=session)
    world.run_until("locked out relay_will_not_open")
    world.draw(0.0, 0.0)
    world.run_until("ended remote")

    def mend() -> None:
        world.contacts[A01].welded = False
        world.run(10)

    return world, mend


def hot() -> tuple[World, Callable[[], None]]:
    """A socket that was too hot, and what ends that."""
    world = World()
    world.charging()
    feel(world, 75.0, 60)
    return world, lambda: feel(world, 40.0, 60)


DANGERS = {"weld": welded, "read back": read_back_closed, "heat": hot}


@pytest.mark.parametrize("what", DANGERS)
def test_no_reset_clears_a_danger_that_is_seen(what: str) -> None:
    world, mend = DANGERS[what]()
    before = world.state()
    assert before in {PortState.LOCKED_OUT, PortState.TRIPPED}
    latches = world.view().latches
    refused = world.reset(source=Source.LOCAL, reason="looked at it, saw nothing")
    assert world.answers(refused) == ["rejected not_allowed"]
    told = next(one for _, one in world.commands if isinstance(one, Answer) and one.command == refused)
    assert "still" in told.message
    assert (world.state(), world.view().latches) == (before, latches)
    mend()
    assert world.answers(world.reset(source=Source.LOCAL, reason="exchanged")) == ["done ok"]
    assert world.view().latches == ()
