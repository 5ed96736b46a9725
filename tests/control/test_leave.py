"""What stops the daemon: asked over its socket, told how far it is, and taken back."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chargerd.cli.commands import group
from chargerd.cli.leave import sentence
from chargerd.cli.times import read_span
from chargerd.contract.ledger import Json
from chargerd.control.server import ControlServer, Peer, Responder
from chargerd.core.events import Event
from chargerd.core.view import PortView
from chargerd.runtime.local.leave_requests import LeaveRequests
from chargerd.runtime.process.clock import SystemClock
from chargerd.runtime.process.leaving import How
from tests.control.test_chargerctl import run
from tests.core.plant import port_plan
from tests.core.world import World
from tests.logs import capture_logs
from tests.patience import PATIENCE_S
from tests.store.kit import HandClock


class Daemon:
    """A station, and a socket that is asked to stop it."""

    def __init__(self, folder: Path) -> None:
        self.world = World(port_plan("A01", 1), port_plan("A02", 2))
        self.world.charging("A01")
        self.clock = HandClock()
        self.events: list[Event] = []
        self.went: list[How] = []
        self.asked = threading.Event()
        self.leaves = LeaveRequests(self.views, self.tell, self.clock, self.go)
        self.server = ControlServer(
            folder / "chargerctl.sock", self, clock=SystemClock(), on_crash=lambda error: pytest.fail(str(error))
        )

    def views(self) -> tuple[PortView, ...]:
        return self.world.station.views(self.world.moment())

    def tell(self, event: Event) -> None:
        self.world.tell(event)

    def go(self, how: How) -> None:
        self.went.append(how)
        self.leaves.part()

    def call(self, method: str, params: Mapping[str, Json], _peer: Peer, respond: Responder) -> None:
        self.leaves.methods[method](params, respond)
        self.asked.set()

    def look(self) -> None:
        self.leaves.looked(self.views(), frozenset())


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    one = Daemon(tmp_path)
    with capture_logs():
        one.server.start()
        yield one
        one.server.stop()


def chargerd(tmp_path: Path, *arguments: str) -> Result:
    name, *rest = arguments
    return CliRunner().invoke(group, [name, "--socket", str(tmp_path / "chargerctl.sock"), *rest])


def meanwhile(daemon: Daemon, *steps: Callable[[], object]) -> threading.Thread:
    """Let these things happen once somebody has asked; the socket is closed at last, as at the daemon's end."""

    def happen() -> None:
        assert daemon.asked.wait(PATIENCE_S)
        for step in steps:
            step()
        daemon.server.stop()

    thread = threading.Thread(target=happen)
    thread.start()
    return thread


def test_a_plain_stop_lets_sessions_wait(daemon: Daemon, tmp_path: Path) -> None:
    thread = meanwhile(daemon)
    result = chargerd(tmp_path, "stop")
    thread.join()
    assert (result.exit_code, daemon.went) == (0, [How.RESTART])
    assert result.stdout.splitlines()[0] == "stopping; 1 session on A01"
    assert "1 session waiting for the next start" in result.stdout
    assert "systemctl start chargerd" in result.stdout


@pytest.mark.parametrize("program", ["chargerd", "chargerctl"])
def test_a_shutdown_is_said_by_its_name(daemon: Daemon, tmp_path: Path, program: str) -> None:
    thread = meanwhile(daemon)
    asked = chargerd if program == "chargerd" else run
    result = asked(tmp_path, "shutdown", "--json")
    thread.join()
    assert (result.exit_code, daemon.went) == (0, [How.SHUTDOWN])
    said = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["status"] for one in said] == ["stopping", "stopped"]
    assert said[0]["ports"] == ["A01"]


@pytest.mark.parametrize("words", [("chargerd", "stop", "--drain"), ("chargerctl", "drain")])
def test_a_drain_waits_for_the_last_session_and_lets_nothing_start(
    daemon: Daemon, tmp_path: Path, words: tuple[str, ...]
) -> None:
    def end() -> None:
        assert daemon.leaves.draining
        daemon.world.start("A02")
        assert daemon.world.answers("start-2") == ["rejected disabled"]
        daemon.look()
        assert not daemon.went
        daemon.world.stop("A01", force=True)
        daemon.world.run(5)
        daemon.look()

    thread = meanwhile(daemon, end)
    program, *rest = words
    result = (chargerd if program == "chargerd" else run)(tmp_path, *rest)
    thread.join()
    assert (result.exit_code, daemon.went) == (0, [How.SHUTDOWN])
    assert result.stdout.splitlines()[0] == "nothing starts any more; 1 session left on A01"
    assert result.stdout.splitlines()[-1].startswith("stopped, every relay told to open; start it with")
    assert not daemon.leaves.draining


def test_progress_is_told_when_there_is_some(daemon: Daemon, tmp_path: Path) -> None:
    daemon.world.charging("A02")

    def end() -> None:
        daemon.look()
        for port in ("A01", "A02"):
            daemon.world.stop(port, force=True)
            daemon.world.run(5)
            daemon.look()

    thread = meanwhile(daemon, end)
    result = chargerd(tmp_path, "stop", "--drain", "--json")
    thread.join()
    said = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["status"], one["sessions"]) for one in said] == [("draining", 2), ("draining", 1), ("stopped", 0)]


def test_what_has_not_ended_in_time_waits_for_the_next_start(daemon: Daemon, tmp_path: Path) -> None:
    def time_is_up() -> None:
        daemon.clock.advance(1799)
        daemon.look()
        assert not daemon.went
        daemon.clock.advance(1)
        daemon.look()

    thread = meanwhile(daemon, time_is_up)
    result = chargerd(tmp_path, "stop", "--drain", "--timeout", "30m", "--json")
    thread.join()
    assert (result.exit_code, daemon.went) == (1, [How.RESTART])
    last = json.loads(result.stdout.splitlines()[-1])
    assert (last["status"], last["sessions"], last["out_of_time"]) == ("stopped", 1, True)


@pytest.mark.parametrize("words", [("chargerd", "stop", "--cancel"), ("chargerctl", "drain", "--cancel")])
def test_a_drain_is_taken_back(daemon: Daemon, tmp_path: Path, words: tuple[str, ...]) -> None:
    program, *rest = words
    ask = chargerd if program == "chargerd" else run
    refused = ask(tmp_path, *rest)
    assert (refused.exit_code, "nothing is being drained" in refused.stderr) == (1, True)
    daemon.leaves.methods["drain"]({}, Deaf())
    taken_back = ask(tmp_path, *rest)
    assert (taken_back.exit_code, taken_back.stdout) == (0, "serves again; 1 session under way\n")
    daemon.look()
    assert not daemon.went
    daemon.world.charging("A02")


class Deaf(Responder):
    """Whoever asked has gone away meanwhile."""

    def __init__(self) -> None:
        pass

    @property
    def closed(self) -> bool:
        return True

    def send(self, result: Json, *, more: bool = False) -> None:
        del result, more


def test_a_drain_goes_on_when_whoever_asked_has_gone(daemon: Daemon) -> None:
    daemon.leaves.methods["drain"]({}, Deaf())
    daemon.world.stop("A01", force=True)
    daemon.world.run(5)
    daemon.look()
    assert daemon.went == [How.SHUTDOWN]


def test_where_nothing_charges_a_drain_is_over_at_once(daemon: Daemon) -> None:
    daemon.world.stop("A01", force=True)
    daemon.world.run(5)
    daemon.leaves.methods["drain"]({}, Deaf())
    assert daemon.went == [How.SHUTDOWN]


def test_wrong_usage_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    for words in (
        ("--timeout", "5m"),
        ("--drain", "--cancel", "--timeout", "5m"),
        ("--drain", "--timeout", "soon"),
    ):
        result = chargerd(tmp_path, "stop", *words)
        assert result.exit_code in {2, 3}, words
        assert result.exit_code == 2 or "not running" in result.stderr


def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    for name in ("stop", "shutdown"):
        result = chargerd(tmp_path, name, "--json")
        assert result.exit_code == 3
        assert json.loads(result.stdout)["error"]["code"] == "not_running"


def test_a_daemon_that_goes_without_its_last_word_has_failed(daemon: Daemon, tmp_path: Path) -> None:
    thread = meanwhile(daemon)
    result = chargerd(tmp_path, "stop", "--drain")
    thread.join()
    assert (result.exit_code, "the daemon has gone" in result.stderr) == (1, True)


def test_sentences_and_spans() -> None:
    assert sentence({"status": "draining", "sessions": 2, "ports": ["A01", "A02"]}).endswith(
        "2 sessions left on A01, A02"
    )
    assert sentence({"status": "stopping", "sessions": 0, "ports": []}) == "stopping; no session"
    assert [read_span(text) for text in ("90s", "30m", "1h30m")] == [90, 1800, 5400]
    for text in ("", "0s", "soon", "-5m", "14:30"):
        with pytest.raises(ValueError, match="no span of time"):
            read_span(text)
