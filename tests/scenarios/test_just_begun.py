"""A start that meets the daemon just begun: what is not yet known is not lost, and is waited for."""

from dataclasses import replace

import pytest

from chargerd.core.events import RelayReadBack, RequestDropped
from chargerd.core.session import Clearing, Latch, StopReason
from chargerd.core.units import Instant, Seconds
from chargerd.core.view import PortState
from tests.core.sheds import CONTACTOR, HOLDER, SMOKE, SWITCH, rated, shed
from tests.core.world import World
from tests.scenarios.test_requests import A01


def begun(world: World | None = None) -> World:
    """A daemon in the very moment of its beginning."""
    world = world or World(begin=False)
    world.begin()
    return world


def blocked_by(world: World, port: str = "A01") -> list[str]:
    return [code.value for code in world.view(port).blocked_by]


def test_a_start_in_the_moment_of_the_beginning_is_accepted_and_waits() -> None:
    world = begun()
    assert (world.state(), blocked_by(world)) == (PortState.UNKNOWN, ["not_yet_known"])
    world.start()
    assert world.answers("start-1") == ["accepted ok"]
    assert world.messages("start-1") == ["waits for the first answers of its boards"]
    assert (world.state(), blocked_by(world)) == (PortState.STARTING, ["busy", "not_yet_known"])
    world.run_until("state charging", within=6)
    world.run(3)
    assert world.answers("start-1") == ["accepted ok", "done ok"]
    world.tells("contact closed")


def test_what_was_read_before_its_opening_went_out_makes_no_relay_known() -> None:
    world = begun(World(begin=False, separate=True))
    at = Instant(world.now)
    world.tell(RelayReadBack(port=A01, closed=False, sent_at=at, at=at))
    assert blocked_by(world) == ["not_yet_known"]
    world.start()
    world.run_until("state charging", within=6)


def test_what_has_answered_is_known() -> None:
    world = begun()
    world.run(1)
    assert (world.state(), blocked_by(world)) == (PortState.AVAILABLE, [])


@pytest.mark.parametrize(("what", "code"), [("board", "board_lost"), ("meter", "meter_stale")])
def test_what_was_asked_in_vain_is_lost(what: str, code: str) -> None:
    world = World(begin=False)
    broken = world.board if what == "board" else world.meters[A01]
    broken.silent = True
    begun(world)
    world.start()
    assert world.answers("start-1") == ["accepted ok"]
    world.run(0.5)
    assert code in blocked_by(world)
    world.run(2.4)
    assert world.answers("start-1") == ["accepted ok"], "it may come back within the time of a step"
    world.run(0.2)
    assert world.answers("start-1") == ["accepted ok", f"failed {code}"]
    settled = world.settlement()
    assert settled.reason is StopReason.START_FAILED
    assert settled.detail is not None
    assert (settled.detail.function, settled.detail.limit) == ("step_known", 3.0)
    world.start()
    assert world.answers("start-2") == [f"rejected {code}"]
    world.run(20)
    world.tells_not("close")


def test_a_board_that_comes_back_within_the_time_of_a_step_is_in_time() -> None:
    world = World(begin=False)
    world.board.silent = True
    begun(world)
    world.start()
    world.run(1)
    assert blocked_by(world)[:2] == ["busy", "board_lost"]
    world.board.silent = False
    world.run_until("state charging", within=8)


def test_a_line_that_says_nothing_at_all_is_lost_in_the_end() -> None:
    world = World(begin=False, separate=True)
    world.relay_bus.held = True
    world.by_hand()
    begun(world)
    world.run(4.9)
    assert blocked_by(world) == ["not_yet_known"]
    world.run(0.2)
    assert blocked_by(world) == ["board_lost", "meter_stale"]


def test_a_start_that_waits_in_vain_for_a_word_is_told_so() -> None:
    world = World(begin=False, separate=True)
    world.relay_bus.held = True
    begun(world)
    world.start()
    world.run(3.1)
    assert world.answers("start-1") == ["accepted ok", "failed not_yet_known"]


@pytest.mark.parametrize("obstacle", ["latched", "locked_out", "disabled", "limit_too_high", "store_unavailable"])
def test_what_is_known_to_forbid_it_refuses_it_at_once(obstacle: str) -> None:
    clearing = Clearing.LOCK_OUT if obstacle == "locked_out" else Clearing.REMOTE
    latch = Latch(port=A01, function="overcurrent_instant", clearing=clearing)
    world = begun(World(latches=(latch,) if obstacle in {"latched", "locked_out"} else (), begin=False))
    if obstacle == "disabled":
        world.disable()
    if obstacle == "store_unavailable":
        world.store(writable=False)
    world.start(current=99.0 if obstacle == "limit_too_high" else 5.0)
    assert world.answers("start-1") == [f"rejected {obstacle}"]


def test_what_comes_up_while_it_waits_ends_it() -> None:
    world = begun()
    world.start()
    world.store(writable=False)
    world.run(2)
    assert world.answers("start-1") == ["accepted ok", "failed store_unavailable"]
    world.tells_not("persist", "close")


def test_a_stop_while_it_waits_ends_it_at_once() -> None:
    world = World(begin=False)
    world.board.silent = True
    begun(world)
    world.start()
    stop = world.stop(session="session-1")
    assert world.answers(stop) == ["accepted ok", "done ok"]
    assert world.answers("start-1") == ["accepted ok", "failed failed"]
    assert world.state() is PortState.UNKNOWN


# Circuits


def test_inputs_that_were_not_read_yet_are_waited_for() -> None:
    world = shed(2, inputs=(SMOKE,))
    assert blocked_by(world) == ["not_yet_known"]
    world.start()
    world.run_until("state charging", within=6)


def test_inputs_that_do_not_come_are_lost() -> None:
    world = shed(2, inputs=(SMOKE, replace(SMOKE, id="smoke-2", channel=2)))
    world.io.silent = True
    world.start()
    world.run(3.1)
    assert world.answers("start-1") == ["accepted ok", "failed board_lost"]
    assert blocked_by(world) == ["board_lost"]


def test_danger_that_is_read_first_ends_what_waits() -> None:
    world = shed(2, inputs=(SMOKE,))
    world.danger.add(SMOKE.id)
    world.start()
    world.run(2)
    assert world.answers("start-1") == ["accepted ok", "failed latched"]
    assert world.settlement().reason is StopReason.SMOKE
    assert [latch.port for latch in world.shed().latches] == [HOLDER]


def test_no_contactor_closes_above_a_relay_that_nobody_has_read() -> None:
    world = shed(2, contactor=SWITCH)
    world.board.silent = True
    world.start()
    world.run(10)
    world.tells_not("close", port=CONTACTOR)
    world.board.silent = False
    world.ready()
    world.start()
    world.run_until("state charging", within=8)


def test_relays_beside_it_that_are_not_known_take_no_room_from_it_for_good() -> None:
    world = shed(2, **rated(6.0))
    assert blocked_by(world) == ["not_yet_known"]
    world.start()
    assert world.answers("start-1") == ["accepted ok"]
    world.run_until("state charging", within=6)


def test_nor_from_one_that_may_not_wait_where_others_may() -> None:
    world = shed(8, queue_for=60.0, **rated(6.0))
    world.show(0.0, 0.0)
    while blocked_by(world):
        world.run(0.01)
    assert blocked_by(world, "A08"), "it alone is known"
    start = world.hear_start()
    world.tell(RequestDropped(request=start))
    world.order(replace(start.order, queue_for=Seconds(0.0)))
    assert world.answers("start-1") == ["accepted ok"]
    world.run_until("state charging", within=6)


@pytest.mark.parametrize(("queue_for", "answer"), [(0.0, "failed circuit_full"), (60.0, None)])
def test_of_two_that_wait_and_have_room_for_one_the_other_queues_or_is_refused(
    queue_for: float, answer: str | None
) -> None:
    world = shed(2, queue_for=queue_for, **rated(6.0))
    world.start("A01")
    world.start("A02")
    world.run(5)
    states = [world.state(port) for port in ("A01", "A02")]
    loser = "A02" if states[0] is PortState.CHARGING else "A01"
    assert sorted(states) == sorted([PortState.CHARGING, PortState.AVAILABLE if answer else PortState.QUEUED])
    said = world.answers("start-1" if loser == "A01" else "start-2")
    assert said == ["accepted ok", *([answer] if answer else [])]
    world.stop("A01" if loser == "A02" else "A02", force=True)
    world.run(8)
    assert world.state(loser) is (PortState.AVAILABLE if answer else PortState.CHARGING)


def test_what_waits_for_its_boards_is_nothing_to_be_shed() -> None:
    world = shed(3, **rated(6.0))
    world.start("A01")
    world.run(0.5)
    world.tells_not("circuit shed")
