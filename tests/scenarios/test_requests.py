"""What people and backends ask for, and what they are told."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from chargerd.core.events import (
    BoardLost,
    Persisted,
    PersistFailed,
    StopRequested,
)
from chargerd.core.faults import FaultKind
from chargerd.core.plan import Limits, Protection
from chargerd.core.session import Order, Source, StopReason
from chargerd.core.units import Amps, BoardId, CommandId, Instant, PortId, Seconds, SessionId, WattHours, Watts
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.world import World

A01 = PortId("A01")


def available() -> World:
    world = World()
    world.ready()
    return world


def starting() -> World:
    world = available()
    world.start()
    return world


def persisting() -> World:
    world = available()
    world.journal.latency = 2.0
    world.start()
    world.run_until("persist")
    return world


def closing() -> World:
    world = available()
    world.start()
    world.run_until("close")
    return world


def first_reading() -> World:
    world = available()
    world.start()
    world.run_until("started")
    return world


def charging() -> World:
    world = World()
    world.charging()
    world.run(10)
    return world


def suspended() -> World:
    world = charging()
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale")
    world.run(1)
    return world


def resuming() -> World:
    world = suspended()
    world.by_itself()
    while world.state() is not PortState.STARTING:
        world.run(0.01)
    return world


def stopping() -> World:
    world = charging()
    world.meters[A01].lost_energy = True
    world.stop(session="session-1")
    world.run(1)
    return world


def opening() -> World:
    world = charging()
    world.stop(session="session-1")
    return world


WITH_SESSION = [starting, persisting, closing, first_reading, charging, suspended, resuming, stopping, opening]


@pytest.mark.parametrize("situation", WITH_SESSION)
@pytest.mark.parametrize("source", list(Source))
def test_a_stop_ends_the_session_in_every_state(situation: Callable[[], World], source: Source) -> None:
    world = situation()
    stop = world.stop(session="session-1", source=source)
    assert world.answers(stop)[0] == "accepted ok"
    world.run(10)
    assert world.answers(stop) == ["accepted ok", "done ok"]
    expected = source.value if situation not in {stopping, opening} else "remote"
    assert world.settlement().reason.value == expected, "the first stop's reason stands"
    assert world.state() is PortState.AVAILABLE
    assert not world.contacts[A01].closed
    assert len(world.answers("start-1")) == 2


@pytest.mark.parametrize("situation", WITH_SESSION)
def test_a_stop_from_afar_must_name_the_session_or_insist(situation: Callable[[], World]) -> None:
    world = situation()
    state = world.state()
    assert world.answers(world.stop()) == ["rejected not_allowed"]
    assert world.answers(world.stop(session="session-of-the-next-customer")) == ["rejected wrong_session"]
    assert world.answers(world.stop(session="another", source=Source.LOCAL)) == ["rejected wrong_session"]
    assert world.state() is state
    forced = world.stop(force=True)
    world.run(10)
    assert world.answers(forced) == ["accepted ok", "done ok"]


def test_a_stop_on_site_need_not_name_the_session() -> None:
    world = charging()
    stop = world.stop(source=Source.LOCAL)
    world.run(5)
    assert world.answers(stop) == ["accepted ok", "done ok"]
    assert world.settlement().reason is StopReason.LOCAL


@pytest.mark.parametrize("situation", WITH_SESSION)
def test_a_start_of_a_busy_port_is_refused(situation: Callable[[], World]) -> None:
    world = situation()
    world.start()
    assert world.answers("start-2") == ["rejected busy"]
    world.run(5)
    assert len({settled.record.order.session for settled in world.settlements()}) <= 1


@pytest.mark.parametrize("situation", WITH_SESSION)
def test_a_reset_of_a_busy_port_is_refused(situation: Callable[[], World]) -> None:
    world = situation()
    assert world.answers(world.reset(source=Source.LOCAL, reason="why not")) == ["rejected busy"]


@pytest.mark.parametrize("situation", WITH_SESSION)
def test_leaving_ends_every_session_and_opens_every_relay(situation: Callable[[], World]) -> None:
    world = situation()
    world.shut_down()
    world.run(8)
    assert world.station.idle()
    assert not world.contacts[A01].closed
    expected = StopReason.REMOTE if situation in {stopping, opening} else StopReason.SHUTDOWN
    assert world.settlement().reason is expected


def test_nothing_starts_once_the_daemon_leaves() -> None:
    world = available()
    world.shut_down()
    world.start()
    assert world.answers("start-1") == ["rejected disabled"]
    world.run(10)
    world.tells_not("close")


def test_leaving_before_anything_is_known() -> None:
    world = World(begin=False)
    world.board.silent = True
    world.begin()
    world.shut_down()
    world.run(10)
    assert not world.station.idle()
    world.board.silent = False
    world.run(10)
    assert world.station.idle()


def test_it_is_at_rest_when_no_session_goes_on_whatever_relays_say() -> None:
    world = charging()
    assert not world.station.at_rest(world.moment())
    world.board.silent = True
    world.stop(force=True)
    world.run(29)
    assert world.station.at_rest(world.moment())
    assert not world.station.idle(), "nobody has read it back open"


def test_a_session_whose_relay_does_not_open_is_left_to_whoever_comes_next() -> None:
    world = World(port_plan(lease=None))
    world.charging()
    world.board.blind = True
    world.contacts[A01].welded = True
    world.stop(force=True)
    world.run(10)
    assert not world.station.at_rest(world.moment())
    world.run(25)
    assert world.station.at_rest(world.moment())


def test_a_stop_without_a_session_says_so() -> None:
    world = available()
    assert world.answers(world.stop(session="session-9")) == ["rejected unknown_session"]
    world.start()
    world.run(1)
    world.stop(force=True)
    world.run(5)
    assert world.answers(world.stop(session="session-1")) == ["rejected unknown_session"]


def test_a_port_there_is_not() -> None:
    world = available()
    world.start("Z99")
    assert world.answers("start-1") == ["rejected unknown_port"]
    assert world.answers(world.stop("Z99", "session-1")) == ["rejected unknown_port"]
    assert world.answers(world.reset("Z99")) == ["rejected unknown_port"]
    assert not world.settlements()


def test_requests_without_a_command_are_not_answered() -> None:
    world = available()
    limits = Limits()
    world.order(Order(session=SessionId("s"), port=A01, limits=limits))
    world.run_until("state charging")
    world.tell(StopRequested(port=A01, session=None, source=Source.LOCAL))
    world.run(5)
    world.tell(StopRequested(port=A01, session=None, source=Source.LOCAL))
    world.tell(StopRequested(port=PortId("Z99"), session=None, source=Source.LOCAL))
    assert world.settlement().reason is StopReason.LOCAL
    assert not [line for line in world.book if line.text.startswith("answer")]


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("current", Amps(5.0), True),
        ("current", Amps(5.01), False),
        ("power", Watts(1000.0), True),
        ("power", Watts(1000.5), False),
        ("duration", Seconds(36000.0), True),
        ("duration", Seconds(36001.0), False),
        ("energy", WattHours(500.0), True),
        ("energy", WattHours(501.0), False),
        ("energy", None, False),
    ],
)
def test_a_limit_above_the_ports_own_is_refused_not_clipped(
    name: str, value: float | None, *, accepted: bool
) -> None:
    limits = Limits(energy=WattHours(500.0))
    world = World(port_plan(limits=limits))
    world.ready()
    asked = replace(limits, **{name: value})  # type: ignore[arg-type]  # by name
    world.order(Order(session=SessionId("s"), port=A01, limits=asked, command=CommandId("start-1")))
    assert world.answers("start-1") == ["accepted ok" if accepted else "rejected limit_too_high"]


def test_a_port_without_a_limit_of_energy_lets_a_session_have_any() -> None:
    world = available()
    world.start(energy=WattHours(99999.0))
    assert world.answers("start-1") == ["accepted ok"]


def test_a_meter_that_is_silent_refuses_a_start() -> None:
    world = available()
    world.meters[A01].silent = True
    world.run(16)
    world.start()
    assert world.answers("start-1") == ["rejected meter_stale"]


def test_a_store_that_cannot_be_written_refuses_a_start() -> None:
    world = available()
    world.store(writable=False)
    world.store(writable=False)
    world.start()
    assert world.answers("start-1") == ["rejected store_unavailable"]
    world.store(writable=True)
    world.start()
    assert world.answers("start-2") == ["accepted ok"]
    assert world.count("store failed", "") == world.count("store recovered", "") == 1


def test_a_store_that_fails_during_a_charge_stops_nothing() -> None:
    world = charging()
    world.store(writable=False)
    world.run(120)
    assert world.state() is PortState.CHARGING
    world.show(8.0)
    world.tells("tripped overcurrent_instant")


def lose_store(world: World) -> None:
    world.store(writable=False)


def lose_board(world: World) -> None:
    world.tell(BoardLost(board=BoardId("relay-a"), at=Instant(world.now), kind=FaultKind.TIMEOUT))


def find_current(world: World) -> None:
    world.by_hand()
    world.show(0.2, 0.0)


def lose_meter(world: World) -> None:
    world.meters[A01].silent = True


@pytest.mark.parametrize(
    ("hindrance", "code"),
    [
        (lose_store, "failed"),
        (lose_board, "failed"),
        (find_current, "relay_fault"),
        (lose_meter, "failed"),
    ],
)
def test_guards_are_checked_once_more_before_closing(hindrance: Callable[[World], None], code: str) -> None:
    world = World(port_plan(protection=Protection(step_timeout=Seconds(5.0))))
    world.ready()
    world.journal.latency = 4.0
    world.start()
    world.run_until("persist")
    hindrance(world)
    world.run(12)
    world.tells_not("close")
    assert world.settlement().reason is StopReason.START_FAILED
    assert not world.settlement().record.energy
    assert world.answers("start-1") == ["accepted ok", f"failed {code}"]


def test_a_meter_without_two_readings_in_three_seconds_fails_the_start() -> None:
    world = available()
    world.by_hand()
    world.start()
    world.show(0.0, 0.0, energy=5000.0)
    began = world.elapsed
    assert world.run_until("ended start_failed") - began == pytest.approx(3.0)
    assert world.answers("start-1") == ["accepted ok", "failed meter_stale"]
    assert world.settlement().quality_reason == "relay_not_closed"


def test_a_register_that_is_not_read_fails_the_start() -> None:
    world = available()
    world.meters[A01].lost_energy = True
    world.start()
    world.run(5)
    assert world.answers("start-1") == ["accepted ok", "failed meter_stale"]
    world.tells_not("persist")


def test_a_register_read_before_the_start_is_not_its_first() -> None:
    world = available()
    world.by_hand()
    world.show(0.0, 0.0, energy=4000.0)
    world.meters[A01].lost_energy = True
    world.run(1)
    world.start()
    for _ in range(4):
        world.run(0.5)
        world.show(0.0, 0.0)
    world.tells_not("persist")


def test_a_journal_that_refuses_fails_the_start() -> None:
    world = available()
    world.journal.failing = True
    world.start()
    world.run(5)
    world.tells_not("close")
    assert world.answers("start-1") == ["accepted ok", "failed store_unavailable"]


@pytest.mark.parametrize(("latency", "closes"), [(2.9, True), (3.1, False)])
def test_a_journal_has_three_seconds(latency: float, *, closes: bool) -> None:
    world = available()
    world.journal.latency = latency
    world.start()
    world.run(10)
    assert (world.count("close") == 1) is closes
    if not closes:
        assert world.answers("start-1") == ["accepted ok", "failed store_unavailable"]


@pytest.mark.parametrize("late", [Persisted, PersistFailed])
def test_late_news_of_the_journal_moves_nothing(late: type[Persisted | PersistFailed]) -> None:
    world = available()
    world.journal.stuck = True
    world.start()
    world.run_until("ended start_failed", within=10)
    world.journal.stuck = False
    world.journal.latency = 1.0
    world.start()
    world.run_until("persist")
    world.tell(late(port=A01, token=1))
    world.tells_not("close")
    assert world.count("ended start_failed") == 1
    world.run_until("state charging", within=10)


def test_nothing_is_reset_where_nothing_is_latched() -> None:
    world = available()
    assert world.answers(world.reset()) == ["done ok"]
    world.tells_not("latches cleared")


def test_a_start_without_a_load_stays_accepted_until_it_has_one() -> None:
    world = World()
    world.draw(0.0, 0.0)
    world.charging()
    world.run(60)
    assert world.answers("start-1") == ["accepted ok"]
    world.draw(2.0)
    world.run(5)
    assert world.answers("start-1") == ["accepted ok", "done ok"]
