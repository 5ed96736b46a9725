"""The wall clock may be set at any time, by years: the ledger says so, and nothing that is counted changes."""

import json
from dataclasses import replace

import pytest

from chargerd.contract import bodies, parts, session_bodies
from chargerd.contract.ledger import LedgerEntry, LedgerRow, RowKind
from chargerd.contract.payloads import EventBody
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.session import Settlement
from chargerd.core.units import Instant, Seconds
from chargerd.runtime.reporting.clock_events import ClockWatch
from tests.core.world import World
from tests.runtime.test_engine import HandClock

THREE_YEARS_MS = 3 * 365 * 86_400_000
TODAY_MS = 1_790_000_000_000


class WallClock(HandClock):
    """A boot clock, and a wall clock that is set by hand; `ahead_ms` is `None` while nobody vouches for it."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_ms: int | None = None

    def moment(self) -> Moment:
        if self.ahead_ms is None:
            return Moment(instant=self.instant, boot=7)
        wall = round(self.instant * 1000) + self.ahead_ms
        return Moment(instant=self.instant, boot=7, wall_ms=wall, clock=ClockQuality.NTP)


class Watching:
    def __init__(self, ahead_ms: int | None = None) -> None:
        self.clock = WallClock()
        self.clock.ahead_ms = ahead_ms
        self.notes: list[EventBody] = []
        self.watch = ClockWatch(self.clock, self.notes.append)

    def look(self, ahead_ms: int | None) -> list[tuple[str, int | None, int | None]]:
        self.clock.sleep(Seconds(1))
        self.clock.ahead_ms = ahead_ms
        self.watch.looked((), frozenset())
        notes, self.notes[:] = list(self.notes), []
        return [(note.event, note.offset_ms, note.step_ms) for note in notes]


def row(moment: Moment, seq: int = 1) -> LedgerRow:
    return LedgerRow(stream="s", seq=seq, kind=RowKind.EVENT, body={}, moment=moment, offline=False)


def test_the_first_time_is_told_once_and_gives_earlier_rows_theirs() -> None:
    watching = Watching()
    assert watching.look(None) == []
    early = watching.clock.moment()
    assert early.wall_ms is None
    told = watching.look(TODAY_MS)
    assert told == [("clock_fixed", TODAY_MS, None)]
    assert watching.look(TODAY_MS + 40) == [], "the kernel's own corrections are no news"
    offset = told[0][1]
    assert offset is not None
    assert parts.up_ms(early.instant) + offset == TODAY_MS + 101_000


def test_a_clock_set_between_two_looks_at_the_start_is_noticed() -> None:
    watching = Watching(None)
    assert watching.look(TODAY_MS) == [("clock_fixed", TODAY_MS, None)]


def test_a_clock_that_was_right_from_the_start_is_no_news() -> None:
    watching = Watching(TODAY_MS)
    assert watching.look(TODAY_MS) == []


def test_rows_of_an_earlier_process_of_this_boot_are_given_their_time() -> None:
    watching = Watching(TODAY_MS)
    other_boot = Moment(instant=Instant(5.0), boot=6)
    timed = watching.clock.moment()
    watching.watch.recollect([row(other_boot), row(timed)])
    assert watching.look(TODAY_MS) == []
    watching.watch.recollect([row(Moment(instant=Instant(5.0), boot=7))])
    assert watching.look(TODAY_MS) == [("clock_fixed", TODAY_MS, None)]
    assert watching.look(TODAY_MS) == []


@pytest.mark.parametrize("step", [THREE_YEARS_MS, -THREE_YEARS_MS, 1500])
def test_steps_are_told_with_their_size(step: int) -> None:
    watching = Watching(TODAY_MS)
    watching.look(TODAY_MS)
    assert watching.look(TODAY_MS + step) == [("clock_step", TODAY_MS + step, step)]
    assert watching.look(TODAY_MS + step) == []


def test_the_rows_are_as_the_contract_has_them() -> None:
    body = EventBody.model_validate({"event": "clock_fixed", "severity": "info", "offset_ms": 5})
    moment = Moment(instant=Instant(2.0), boot=7, wall_ms=2005, clock=ClockQuality.NTP)
    entry = LedgerEntry(kind=RowKind.EVENT, body=bodies.plain(body), moment=moment, offline=False)
    payload = bodies.ledger_payload("g", replace(row(moment), body=entry.body))
    assert (payload["event"], payload["boot"], payload["offset_ms"]) == ("clock_fixed", 7, 5)
    json.dumps(payload)


def charge(monkeypatch: pytest.MonkeyPatch, step_ms: int) -> Settlement:
    """A charge of 20 minutes at 300 W; half-way through the wall clock is set by `step_ms`."""
    world = World(tiers=(150.0, 285.0))
    moment = world.moment
    began = moment().instant

    def stepped() -> Moment:
        now = moment()
        late = now.instant - began > 600
        wall = TODAY_MS + round(now.instant * 1000) + (step_ms if late else 0)
        return replace(now, wall_ms=wall, clock=ClockQuality.NTP)

    monkeypatch.setattr(world, "moment", stepped)
    session = world.charging()
    world.run(1200)
    world.stop(session=session)
    world.run(5)
    return world.settlement()


@pytest.mark.parametrize("step", [THREE_YEARS_MS, -THREE_YEARS_MS])
def test_a_step_of_three_years_changes_no_duration_and_no_energy(
    monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    plain = session_bodies.settlement(charge(monkeypatch, 0)).model_dump()
    stepped = session_bodies.settlement(charge(monkeypatch, step)).model_dump()
    assert stepped["ended_at"] != plain["ended_at"], "the clock was set indeed"
    assert plain["duration_s"] >= 1200
    for counted in plain.keys() - {"ended_at"}:
        assert stepped[counted] == plain[counted], counted
