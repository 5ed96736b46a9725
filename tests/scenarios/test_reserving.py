"""A port that is kept for one session: who may start there, and what ends it."""

from collections.abc import Callable

import pytest

from chargerd.core.commands import Code
from chargerd.core.facts import PortReserved, ReservationEnded
from chargerd.core.session import Source
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.sheds import rated, shed
from tests.core.world import World
from tests.scenarios.test_oddities import locked_out, tripped
from tests.scenarios.test_requests import WITH_SESSION, available

LONG = 600.0


def kept(world: World, session: str = "session-2", lasts: float = LONG) -> World:
    """Keep the port for a session; the first that starts is `session-1`."""
    assert world.answers(world.reserve(session=session, lasts=lasts)) == ["done ok"]
    return world


def ended(world: World) -> list[tuple[str, str]]:
    return [(fact.session, fact.kind) for _, fact in world.facts if isinstance(fact, ReservationEnded)]


@pytest.mark.parametrize("source", Source)
def test_no_other_session_starts_there_from_afar_or_on_site(source: Source) -> None:
    world = kept(available())
    assert (world.state(), world.view().blocked_by) == (PortState.AVAILABLE, (Code.RESERVED,))
    world.start(source=source)
    assert world.answers("start-1") == ["rejected reserved"]
    assert ended(world) == []


def test_the_one_it_is_kept_for_begins_and_ends_the_wait() -> None:
    world = kept(available())
    world.start()
    assert world.answers("start-1") == ["rejected reserved"]
    world.draw(1.0)
    world.start()
    assert world.answers("start-2")[0] == "accepted ok"
    assert ended(world) == [("session-2", "started")]
    world.run_until("state charging")
    assert world.view().reservation is None
    world.stop(session="session-2")
    world.run_until("state available")
    world.start()
    assert world.answers("start-3")[0] == "accepted ok", "the port is anybody's again"


@pytest.mark.long
def test_it_ends_by_itself_to_the_second_and_is_told_once() -> None:
    world = kept(available(), lasts=300.0)
    world.run(299.9)
    world.start()
    assert world.answers("start-1") == ["rejected reserved"]
    world.run(0.2)
    assert ended(world) == [("session-2", "expired")]
    assert world.view().blocked_by == ()
    world.start()
    assert world.answers("start-2")[0] == "accepted ok"
    world.run(LONG)
    assert len(ended(world)) == 1


def test_what_comes_in_its_very_last_moment_finds_it_over() -> None:
    world = World(wake_late=1.0)
    world.ready()
    kept(world, lasts=10.0)
    world.run_to(world.now + 10.0)
    assert ended(world) == [], "nobody has woken yet"
    world.start()
    assert world.answers("start-1")[0] == "accepted ok"
    assert ended(world) == [("session-2", "expired")]


def test_and_so_does_the_next_reservation() -> None:
    world = World(wake_late=1.0)
    world.ready()
    kept(world, lasts=10.0)
    world.run_to(world.now + 10.0)
    kept(world, session="session-1")
    assert ended(world) == [("session-2", "expired")]
    world.start()
    assert world.answers("start-1")[0] == "accepted ok"


def test_it_is_given_back_by_the_same_session_and_by_no_other() -> None:
    world = kept(available())
    assert world.answers(world.reserve(session="session-9", lasts=0.0)) == ["rejected reserved"]
    assert world.answers(world.reserve(session="session-9")) == ["rejected reserved"]
    assert world.answers(world.reserve(session="session-2", lasts=0.0)) == ["done ok"]
    assert ended(world) == [("session-2", "released")]
    assert world.view().blocked_by == ()
    assert world.answers(world.reserve(session="session-2", lasts=0.0)) == ["done ok"], "it was not kept"
    assert len(ended(world)) == 1


def test_the_same_session_has_it_kept_for_longer() -> None:
    world = kept(available(), lasts=60.0)
    world.run(50.0)
    kept(world, lasts=60.0)
    world.run(50.0)
    assert ended(world) == []
    reserved = [fact for _, fact in world.facts if isinstance(fact, PortReserved)]
    assert [round(fact.until.instant - world.now) for fact in reserved] == [-40, 10]
    world.run(11.0)
    assert ended(world) == [("session-2", "expired")]


def queued() -> World:
    world = shed(2, queue_for=3600.0, **rated(10.0))
    world.charging("A02", current=5.0)
    world.ready("A01")
    world.start("A01", current=5.0)
    world.run(1)
    assert world.state() is PortState.QUEUED
    return world


def disabled() -> World:
    world = available()
    world.disable()
    return world


ELSEWHERE: dict[Callable[[], World], str] = {
    **dict.fromkeys((*WITH_SESSION, queued), "busy"),
    disabled: "disabled",
    tripped: "latched",
    locked_out: "locked_out",
}


def test_where_no_session_could_start_none_is_kept_and_nothing_need_be_given_back() -> None:
    for situation, code in ELSEWHERE.items():
        world = situation()
        assert world.answers(world.reserve(session="session-9")) == [f"rejected {code}"], situation
        assert world.answers(world.reserve(session="session-9", lasts=0.0)) == ["done ok"], "it is not kept"
        assert world.view().reservation is None


def test_a_port_of_which_nothing_is_known_yet_is_kept_as_its_start_would_wait() -> None:
    world = World()
    assert world.state() is PortState.UNKNOWN
    kept(world, session="session-1")
    world.start()
    assert world.answers("start-1")[0] == "accepted ok"


HINDRANCES: dict[str, tuple[Callable[[World], object], str]] = {
    "disabled": (World.disable, "disabled"),
    "store": (lambda world: world.store(writable=False), "store_unavailable"),
    "leaving": (World.shut_down, "disabled"),
}


@pytest.mark.parametrize("hindrance", HINDRANCES)
def test_where_nothing_could_start_nothing_is_kept(hindrance: str) -> None:
    world = available()
    hinder, code = HINDRANCES[hindrance]
    hinder(world)
    assert world.answers(world.reserve()) == [f"rejected {code}"]


def test_what_comes_later_refuses_the_start_and_does_not_end_it() -> None:
    world = kept(available(), session="session-1")
    world.disable()
    world.start()
    assert world.answers("start-1") == ["rejected disabled"]
    world.enable()
    assert world.view().blocked_by == (Code.RESERVED,)
    assert ended(world) == []


def test_what_keeps_its_own_session_from_starting_is_said_and_not_that_it_is_kept() -> None:
    world = kept(available(), session="session-1")
    world.store(writable=False)
    world.start()
    assert world.answers("start-1") == ["rejected store_unavailable"]


def test_a_port_whose_circuit_is_full_may_be_kept_and_its_start_waits() -> None:
    world = shed(2, queue_for=3600.0, **rated(10.0))
    world.charging("A01", current=5.0)
    world.ready("A02")
    assert world.answers(world.reserve("A02", session="session-2")) == ["done ok"]
    world.start("A02", current=5.0)
    assert world.answers("start-2") == ["accepted ok"]
    assert world.state("A02") is PortState.QUEUED
    assert ended(world) == [("session-2", "started")]


def test_it_keeps_no_other_port() -> None:
    world = World(port_plan("A01"), port_plan("A02", 2))
    world.ready("A01")
    world.ready("A02")
    world.reserve("A01", session="session-9")
    world.start("A02")
    assert world.answers("start-1")[0] == "accepted ok"


def test_leaving_ends_it_and_a_restart_forgets_it() -> None:
    world = kept(available(), session="session-9")
    world.shut_down()
    assert ended(world) == [("session-9", "shutdown")]
    world = kept(available(), session="session-9")
    world.restart()
    world.ready()
    assert (ended(world), world.view().reservation) == ([], None)
    world.start()
    assert world.answers("start-1")[0] == "accepted ok"
