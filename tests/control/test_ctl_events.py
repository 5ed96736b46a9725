"""`chargerctl events`: what has happened as a person reads it, and what comes over a restart of the daemon."""

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chargerd.cli import ctl_events
from chargerd.cli.ctl_events import follow, lines_of, when
from chargerd.cli.event_words import SENTENCES, sentence
from chargerd.cli.fields import Fields
from chargerd.cli.times import read_since
from chargerd.contract.ledger import Batch, Body, Json, LedgerEntry, RowKind
from chargerd.control.client import ControlClient, DaemonNotRunning
from chargerd.control.server import ControlServer, Peer, Responder
from chargerd.core.units import PortId
from chargerd.runtime.local.kept_events import EventQueries
from chargerd.runtime.process.clock import SystemClock
from tests.control.test_chargerctl import run
from tests.logs import capture_logs
from tests.mqtt.test_documented import events_of_facts, events_of_the_gateway
from tests.patience import PATIENCE_S
from tests.runtime.test_kept_events import SITE
from tests.store.kit import HandClock, open_journal

TRIP: Body = {
    "event": "port_tripped",
    "severity": "alarm",
    "port": "A01",
    "function": "overcurrent_instant",
    "detail": {"function": "overcurrent_instant", "measured": 9.1, "limit": 7.5, "unit": "a"},
}
GONE: Body = {"event": "line_gone", "severity": "warning", "bus": "line-a", "reason": "the adapter was unplugged"}
NOBODY: frozenset[PortId] = frozenset()


class Daemon:
    """A journal and a socket; both may go and come back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = HandClock()
        self.begin()

    def begin(self) -> None:
        self.journal = open_journal(self.folder / "journal.db", self.clock).journal
        self.queries = EventQueries(self.journal, SITE, self.clock)
        path = self.folder / "chargerctl.sock"
        self.server = ControlServer(
            path, self, clock=SystemClock(), on_crash=lambda error: pytest.fail(str(error))
        )
        self.server.start()

    def call(self, method: str, params: Mapping[str, Json], _peer: Peer, respond: Responder) -> None:
        assert method == "events"
        self.queries.tell(params, respond)

    def write(self, *bodies: Body, note: bool = False) -> None:
        for body in bodies:
            entry = LedgerEntry(kind=RowKind.EVENT, body=body, moment=self.clock.moment(), offline=False)
            written = threading.Event()
            batch = Batch(notes=(entry,)) if note else Batch(entries=(entry,))
            self.journal.append(batch, lambda _done, written=written: written.set())  # type: ignore[misc]
            assert written.wait(PATIENCE_S)
        self.queries.looked((), NOBODY)

    def end(self) -> None:
        self.server.stop()
        self.journal.close(PATIENCE_S)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with capture_logs():
        one = Daemon(tmp_path)
        yield one
        one.end()


def test_the_oldest_stands_first_and_says_what_it_means(daemon: Daemon, tmp_path: Path) -> None:
    daemon.write(GONE, note=True)
    daemon.write(TRIP)
    said = run(tmp_path, "events", TZ="UTC", COLUMNS="200").stdout.splitlines()
    assert said[0].startswith("2025-10-09 08:53:20  warning  line-a")
    assert said[0].endswith("line_gone: the line is gone; the adapter was unplugged")
    assert "alarm    A01" in said[1]
    assert "9.10 A, limit 7.50 A" in said[1]
    assert "far above the limit" in said[1], "and what such a trip means"


def test_json_is_one_object_a_line(daemon: Daemon, tmp_path: Path) -> None:
    daemon.write(GONE, TRIP)
    told = [
        json.loads(line) for line in run(tmp_path, "events", "--json", "--severity", "alarm").stdout.splitlines()
    ]
    assert [one["event"] for one in told] == ["port_tripped"]
    assert told[0]["detail"]["measured"] == 9.1


def test_as_many_as_are_wanted_the_newest(daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctl_events, "PAGE", 3)
    daemon.write(*({"event": f"e{number}", "severity": "info"} for number in range(12)))

    def names(*words: str) -> list[str]:
        return [
            json.loads(line)["event"] for line in run(tmp_path, "events", "--json", *words).stdout.splitlines()
        ]

    assert names("--limit", "4") == ["e8", "e9", "e10", "e11"]
    assert names("--since", "1h") == [f"e{number}" for number in range(12)], "all, in pages"
    assert names("--kind", "e1*") == ["e1", "e10", "e11"]
    daemon.clock.advance(7200.0)
    assert names("--since", "1h") == []
    nothing = run(tmp_path, "events", "--since", "1h")
    assert (nothing.stdout, nothing.stderr) == ("", "nothing of that kind has happened\n")


@pytest.mark.parametrize(
    "words", [("--since", "yesterday-ish"), ("--since", "0s"), ("--severity", "loud"), ("--limit", "0")]
)
def test_what_makes_no_sense_is_wrong_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run(tmp_path, "events", *words).exit_code == 2


@pytest.mark.usefixtures("daemon")
def test_an_unknown_port_is_refused(tmp_path: Path) -> None:
    told = run(tmp_path, "events", "--port", "Z99")
    assert told.exit_code == 1
    assert "there is no port 'Z99'" in told.stderr


def test_following_goes_on_over_a_restart_and_misses_nothing(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctl_events, "AGAIN_AFTER", 0.05)
    said: list[str] = []
    monkeypatch.setattr(ctl_events, "echo", lambda text, **_where: said.append(text))
    shown: queue.SimpleQueue[Fields] = queue.SimpleQueue()
    over = threading.Event()
    daemon.write({"event": "too_small", "severity": "info"})

    def connect() -> ControlClient:
        return ControlClient(tmp_path / "chargerctl.sock")

    wanted = {"severity": "warning"}
    thread = threading.Thread(target=follow, args=(connect, "0.0", wanted, over, shown.put), daemon=True)
    thread.start()
    daemon.write(GONE, note=True)
    assert shown.get(timeout=PATIENCE_S)["event"] == "line_gone"
    daemon.server.stop()
    daemon.write(TRIP)
    daemon.journal.close(PATIENCE_S)
    daemon.begin()
    assert shown.get(timeout=PATIENCE_S)["event"] == "port_tripped", "of which nobody could be told then"
    over.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert shown.empty(), "nothing twice"
    assert len(said) == 1, "once, however long it takes"
    assert said[0].endswith("waiting for it")


def test_what_waiting_does_not_mend_ends_it() -> None:
    def connect() -> ControlClient:
        raise DaemonNotRunning("not yours to use", "", "permission")

    with pytest.raises(DaemonNotRunning):
        follow(connect, "0.0", {}, threading.Event(), lambda _event: None)


def test_following_shows_the_latest_first_and_stops_in_time(daemon: Daemon, tmp_path: Path) -> None:
    daemon.write(*({"event": f"e{number}", "severity": "info"} for number in range(12)))
    told = run(tmp_path, "events", "--follow", "--json", "--seconds", "0.1")
    assert told.exit_code == 0
    assert [json.loads(line)["event"] for line in told.stdout.splitlines()] == [f"e{n}" for n in range(2, 12)]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_it_fits_any_terminal(width: int) -> None:
    event: Fields = {**TRIP, "at": "2026-11-29T20:15:00.000Z", "id": "1.0"}
    lines = lines_of(event, width)
    assert max(map(len, lines)) <= width
    assert "port_tripped" in " ".join(lines)
    assert not [line for line in lines[1:] if not line.startswith("  ")], "what goes with it is indented"


def test_without_a_clock_it_says_how_long_after_which_boot() -> None:
    assert when({"at": None, "boot": 3, "up_ms": 723_000}) == "boot 3 +12:03"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            {"event": "local_action", "function": "reset", "user": "ada", "uid": 1000, "reason": "looked"},
            "reset by ada; looked",
        ),
        ({"event": "local_action", "function": "stop", "uid": 1000}, "chargerctl stop by 1000"),
        ({"event": "port_disabled", "source": "remote", "reason": "recall"}, "out of service; recall; from afar"),
        ({"event": "command_refused", "name": "start", "code": "locked_out"}, "start: the port is locked out"),
        (
            {"event": "not_connected", "code": "no_such_name", "reason": "x", "then": "mend it"},
            "reached; x; mend it",
        ),
        ({"event": "latches_cleared", "functions": ["smoke", "heat"]}, "cleared; smoke, heat"),
        (
            {"event": "session_ended", "reason": "full", "energy_wh": 155, "charging_s": 3723},
            "full; 155 Wh in 1:02:03",
        ),
        ({"event": "line_gone", "times_before": 4}, "times_before 4"),
        ({"event": "something_new"}, "something new"),
        (
            {"event": "port_alarm", "detail": {"function": "power_jump", "measured": 9, "limit": None}},
            "power_jump; 9.00",
        ),
    ],
)
def test_what_an_event_says(event: Fields, words: str) -> None:
    assert words in sentence(event)


def test_every_event_of_the_contract_has_words() -> None:
    named = events_of_facts() | events_of_the_gateway()
    missing = sorted(named - set(SENTENCES))
    assert not missing, f"{missing}: in SENTENCES of chargerd/cli/event_words.py"


NOW = datetime(2026, 11, 29, 20, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d12h", 129_600), ("1w", 604_800), (" 1.5h ", 5400)],
)
def test_a_span_back(text: str, seconds: float) -> None:
    assert read_since(text, NOW).params == {"within_s": seconds}


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("20:15", NOW.replace(second=0)),
        ("20:16:00", NOW.replace(minute=16, second=0) - timedelta(days=1)),
        ("2026-11-29T14:30Z", NOW.replace(hour=14, minute=30, second=0)),
        ("2026-11-29T15:30+01:00", NOW.replace(hour=14, minute=30, second=0)),
    ],
)
def test_a_point_in_time(text: str, at: datetime) -> None:
    assert read_since(text, NOW).at == at


def test_a_date_is_one_of_this_machine() -> None:
    at = read_since("2026-11-29", NOW).at
    assert at is not None
    assert at.astimezone().replace(tzinfo=None) == datetime(2026, 11, 29)  # noqa: DTZ001 - that is what is asked


@pytest.mark.parametrize("text", ["", "soon", "2 fortnights", "0h", "25:00", "2026-13-01"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="write 90s"):
        read_since(text, NOW)
