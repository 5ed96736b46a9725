from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.core.units import Instant, PortId, Seconds
from chargerd.sim.riders import (
    OPENING,
    Action,
    Arrives,
    Leaves,
    Orders,
    PhonesStop,
    PlugsIn,
    Riders,
)

PORTS = [PortId(f"A{number:02}") for number in range(1, 13)]


def play(
    riders: Riders, seconds: float, *, starts: bool = True, lasts: float = 40.0
) -> list[tuple[float, Action]]:
    """Let riders act in a station that starts what is ordered and ends it a while later."""
    told: list[tuple[float, Action]] = []
    ends: list[tuple[float, PortId]] = []
    for tick in range(int(seconds * 10)):
        now = Instant(100 + tick / 10)
        for action in riders.due(now):
            told.append((now - 100, action))
            if isinstance(action, Orders):
                if starts:
                    riders.started(action.visit.port, now)
                ends.append((now + (lasts if starts else 0.0), action.visit.port))
            if isinstance(action, PhonesStop):
                ends.append((now, action.visit.port))
        for at, port in [end for end in ends if end[0] <= now]:
            ends.remove((at, port))
            riders.ended(port, now)
    return told


def names(told: list[tuple[float, Action]], port: PortId) -> list[str]:
    return [type(action).__name__ for _, action in told if action.visit.port == port]


def test_the_same_seed_brings_the_same_riders() -> None:
    def course(seed: int) -> list[tuple[float, str, str, str]]:
        told = play(Riders(seed, PORTS, 60), 300)
        return [(at, type(one).__name__, one.visit.port, one.visit.story) for at, one in told]

    assert course(4) == course(4)
    assert course(4) != course(5)


def test_the_opening_shows_within_half_a_minute_what_there_is_to_see() -> None:
    told = play(Riders(1, PORTS, 60), 30, lasts=1000)
    stories = [action.visit.story for _, action in told if isinstance(action, Arrives)][: len(OPENING)]
    assert {"charges", "pumps tyres with a compressor", "orders too little energy", "stops by phone"} <= set(
        stories
    )
    pump = next(action.visit for _, action in told if "compressor" in action.visit.story)
    assert pump.load is not None
    assert pump.load.beside_after == Seconds(10.0)


def test_a_rider_arrives_plugs_in_orders_and_leaves_once_the_session_is_over() -> None:
    told = play(Riders(1, PORTS, 60), 80)
    assert names(told, PORTS[0])[:5] == ["Arrives", "PlugsIn", "Orders", "Unplugs", "Leaves"]


def test_who_is_refused_leaves_too() -> None:
    told = play(Riders(1, PORTS, 60), 40, starts=False)
    assert names(told, PORTS[0])[:5] == ["Arrives", "PlugsIn", "Orders", "Unplugs", "Leaves"]


def test_some_stop_by_phone_and_some_pull_the_plug() -> None:
    told = play(Riders(2, PORTS, 120), 900, lasts=90)
    assert any(isinstance(action, PhonesStop) for _, action in told)
    early = [action.visit for _, action in told if action.visit.unplugs_after is not None]
    assert early
    assert Counter(names(told, early[0].port))["Unplugs"] >= 1


def test_who_forgets_to_plug_in_orders_all_the_same() -> None:
    told = play(Riders(3, PORTS, 300), 2000, lasts=20)
    forgetful = [action for _, action in told if action.visit.load is None]
    assert any(isinstance(action, Orders) for action in forgetful)
    assert not any(isinstance(action, PlugsIn) for action in forgetful)


def test_nobody_comes_to_a_taken_or_blocked_port() -> None:
    riders = Riders(1, PORTS[:2], 60)
    riders.block(PORTS[1])
    told = play(riders, 60, lasts=1000)
    assert {action.visit.port for _, action in told} == {PORTS[0]}
    assert riders.turned_away > 0
    assert riders.at(PORTS[0]) is not None
    riders.unblock(PORTS[1])
    seen = [action.visit.port for action in riders.due(Instant(1000.0))]
    assert PORTS[1] in seen


def test_news_from_an_empty_port_is_nothing() -> None:
    riders = Riders(1, PORTS)
    riders.started(PORTS[5], Instant(0.0))
    riders.ended(PORTS[5], Instant(0.0))
    assert riders.due(Instant(0.0)) == []


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), rate=st.floats(1, 600))
def test_visits_make_sense_whatever_the_seed_and_the_rate(seed: int, rate: float) -> None:
    told = play(Riders(seed, PORTS, rate), 120, lasts=15)
    present: set[PortId] = set()
    for _, action in told:
        visit = action.visit
        if isinstance(action, Arrives):
            assert visit.port not in present
            present.add(visit.port)
            assert visit.duration >= Seconds(60.0)
            assert visit.energy is None or visit.energy >= 1
        else:
            assert visit.port in present
        if isinstance(action, Leaves):
            present.remove(visit.port)
