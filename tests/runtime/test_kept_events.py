"""`events` of the control socket: from a journal, by port, kind, gravity and time, and what comes after a mark."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from chargerd.config.loader import load
from chargerd.contract.ledger import Batch, Body, Json, LedgerEntry, RowKind
from chargerd.control.methods import BadParams, checked
from chargerd.control.server import Responder
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import PortId
from chargerd.runtime.local.kept_events import SLICE, EventQueries, near
from chargerd.store.journal import Journal
from tests.judging import every
from tests.runtime.technician import Answers
from tests.store.kit import HandClock, open_journal

SITE = load(Path(__file__).parents[2] / "config" / "one-shed.yaml")
NOBODY: frozenset[PortId] = frozenset()


class Office:
    """A journal that is turned by hand, and who is asked about it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = HandClock()
        self.open()

    def open(self) -> None:
        self.journal: Journal = open_journal(self.path, self.clock, start=False).journal
        self.queries = EventQueries(self.journal, SITE, self.clock)

    def write(self, *bodies: Body, note: bool = False, kind: RowKind = RowKind.EVENT) -> None:
        for body in bodies:
            entry = LedgerEntry(kind=kind, body=body, moment=self.clock.moment(), offline=False)
            self.journal.append(Batch(notes=(entry,)) if note else Batch(entries=(entry,)))
        self.journal.turn()

    def ask(self, **params: Json) -> Answers:
        answers = Answers()
        self.queries.tell(checked("events", params), cast("Responder", answers))
        self.journal.turn()
        return answers

    def events(self, **params: Json) -> list[Any]:
        answers = self.ask(**params)
        assert answers.over
        assert answers.results[-1]["count"] == len(answers.results) - 1
        return [one["event"] for one in list(answers.results)[:-1]]

    def names(self, **params: Json) -> list[str]:
        return [one["event"] for one in self.events(**params)]

    def look(self) -> None:
        self.queries.looked((), NOBODY)
        self.journal.turn()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    one = Office(tmp_path / "journal.db")
    yield one
    one.journal.close(1.0)


def event(name: str, severity: str = "info", **more: Json) -> Body:
    return {"event": name, "severity": severity, **more}


def test_rows_notes_and_sessions_newest_first_with_what_is_known_of_them(office: Office) -> None:
    office.write({"event": "started", "port": "A01", "session_id": "S-1", "limits": {}}, kind=RowKind.SESSION)
    office.write(event("port_tripped", "alarm", port="A01", circuit=None, function="smoke"))
    office.write(event("line_gone", "warning", bus="line-a", reason="unplugged"), note=True)
    gone, tripped, started = office.events()
    assert (gone["event"], gone["kept"], gone["reason"], gone["id"]) == ("line_gone", "note", "unplugged", "2.1")
    assert (tripped["kept"], tripped["severity"], tripped["id"]) == ("ledger", "alarm", "2.0")
    assert "circuit" not in tripped, "what is not known is left out"
    assert (started["event"], started["severity"], started["session_id"]) == ("session_started", "info", "S-1")
    assert "limits" not in started
    assert every(one["at"].endswith("Z") and one["boot"] == 1 for one in (gone, tripped, started))


def test_a_settlement_says_why_and_how_much(office: Office) -> None:
    office.write(
        {
            "event": "ended",
            "port": "A01",
            "stop_reason": "full",
            "stop_detail": None,
            "energy_wh": 7,
            "digest": "x",
        },
        kind=RowKind.SESSION,
    )
    (ended,) = office.events()
    assert (ended["event"], ended["reason"], ended["energy_wh"]) == ("session_ended", "full", 7)
    assert "digest" not in ended


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["smoke_here", "port_tripped", "line_gone", "board_lost"]),
        ({"severity": "warning"}, ["smoke_here", "port_tripped", "line_gone"]),
        ({"severity": "alarm"}, ["smoke_here", "port_tripped"]),
        ({"kinds": ["port_*", "line_gone"]}, ["port_tripped", "line_gone"]),
        ({"kinds": ["session_updated"]}, ["session_updated"]),
        ({"limit": 2}, ["smoke_here", "port_tripped"]),
    ],
)
def test_by_gravity_and_kind(office: Office, asked: dict[str, Json], found: list[str]) -> None:
    office.write(event("board_lost", board="meter-a1"), event("line_gone", "warning", bus="line-a"))
    office.write({"event": "updated", "port": "A01"}, kind=RowKind.SESSION)
    office.write(event("port_tripped", "alarm", port="A01"), event("smoke_here", "alarm", circuits=["shed"]))
    assert office.names(**asked) == found


def test_of_a_port_is_what_its_circuits_boards_and_lines_do(office: Office) -> None:
    port = SITE.ports[0]
    ids = near(SITE, port.id)
    other = next(one for one in SITE.ports if one.relay.board not in ids["board"] or one.id != port.id)
    office.write(
        event("a", port=port.id),
        event("b", board=port.meter.board),
        event("c", bus=SITE.boards[port.relay.board].bus),
        event("d", circuit=port.circuit),
        event("e", ports=[other.id, port.id]),
        event("f", port=other.id),
        event("g"),
    )
    assert office.names(port=port.id) == ["e", "d", "c", "b", "a"]
    failure = office.ask(port="Z99").failure
    assert failure is not None
    assert failure.code == "unknown_port"


def test_a_span_needs_no_clock_and_a_time_is_told_by_the_boot_clock(office: Office) -> None:
    office.clock.wall_ms = None
    office.write(event("old"))
    office.clock.advance(100.0)
    office.write(event("new"))
    office.clock.advance(50.0)
    assert office.names(within_s=60) == ["new"]
    assert office.names(within_s=200) == ["new", "old"]
    assert office.names(since_ms=1) == ["new", "old"], "whose time nobody knows is not left out"
    office.clock.wall_ms = 1_760_000_000_000
    assert office.names(since_ms=1_760_000_000_000 - 60_000) == ["new"], "now it is known, of this boot"


def test_over_a_boot_the_wall_clock_tells(office: Office) -> None:
    office.write(event("before"))
    entry = LedgerEntry(
        kind=RowKind.EVENT,
        body=event("now"),
        moment=Moment(instant=office.clock.now(), boot=2, wall_ms=office.clock.wall_ms, clock=ClockQuality.NTP),
        offline=False,
    )
    office.journal.append(Batch(entries=(entry,)))
    wall = office.clock.wall_ms or 0
    assert office.names(since_ms=wall) == ["now", "before"]
    office.clock.wall_ms = wall + 5_000
    assert office.names(since_ms=wall + 1) == []


def test_pages_meet_without_a_gap(office: Office) -> None:
    office.write(*(event(f"e{number}") for number in range(SLICE + 30)))
    found: list[str] = []
    page = office.ask(limit=40)
    while True:
        found += [one["event"]["event"] for one in list(page.results)[:-1]]
        older = page.results[-1]["older"]
        if older is None:
            break
        page = office.ask(limit=40, before=older)
    assert found == [f"e{number}" for number in reversed(range(SLICE + 30))]


def test_whoever_follows_is_told_what_comes_and_what_came_before(office: Office) -> None:
    office.write(event("seen"))
    newest = office.ask().results[-1]["newest"]
    office.write(*(event(f"e{number}") for number in range(SLICE + 1)))
    follower = office.ask(after=newest)
    assert follower.results.popleft() == {"following": newest}
    assert [one["event"]["event"] for one in follower.results] == [f"e{number}" for number in range(SLICE + 1)]
    follower.results.clear()
    office.look()
    assert not follower.results, "nothing twice"
    office.write(event("line_gone", "warning"), note=True)
    office.look()
    assert [one["event"]["event"] for one in follower.results] == ["line_gone"]
    assert not follower.over
    follower.closed = True
    office.write(event("later"))
    office.look()
    assert len(follower.results) == 1


def test_a_mark_from_before_a_restart_goes_on_where_it_was(office: Office) -> None:
    office.write(event("seen"))
    mark = office.ask().results[-1]["newest"]
    office.journal.close(1.0)
    office.open()
    office.write(event("gateway_started"))
    follower = office.ask(after=mark)
    assert [one["event"]["event"] for one in list(follower.results)[1:]] == ["gateway_started"]


def test_a_journal_that_cannot_be_read_is_said_to_be(office: Office) -> None:
    def unreadable(_limit: int, deliver: Callable[[None], None], **_where: object) -> None:
        deliver(None)

    office.journal.events = unreadable  # type: ignore[method-assign, assignment]
    for asked in ({}, {"after": "1.0"}):
        failure = office.ask(**asked).failure
        assert failure is not None
        assert failure.code == "store_unavailable"


@pytest.mark.parametrize(
    "wrong", [{"severity": "bad"}, {"after": "1"}, {"before": "x.1"}, {"limit": 0}, {"within_s": 0}]
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Json]) -> None:
    with pytest.raises(BadParams):
        checked("events", wrong)
