"""`chargerctl lock` and `unlock`: asked first where a session would end, or where the lock is somebody else's."""

import getpass
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from chargerd.cli import locks
from chargerd.cli.chargerctl import main
from chargerd.contract.ledger import Json
from chargerd.control.server import ControlServer, Peer, Responder
from chargerd.runtime.process.clock import SystemClock
from tests.control import test_chargerctl as ctl
from tests.control.test_changes import Daemon as Known
from tests.logs import capture_logs

LOCK: dict[str, Json] = {"by": "Bob", "reason": "a new cable", "since": None, "circuit": None}


class Daemon(Known):
    """Takes locks."""

    why_not: str | None = None

    def call(self, method: str, params: Mapping[str, Json], peer: Peer, respond: Responder) -> None:
        if method == "status":
            status: dict[str, Json] = {"ports": list(self.ports), "circuits": self.circuits}
            respond.send({**status, "store": {"why_not": self.why_not}})
        elif method in {"lock", "unlock"}:
            self.calls.append((method, dict(params)))
            respond.send({**self.replies[0], "port": params.get("port")})
        else:
            super().call(method, params, peer, respond)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    handler = Daemon()
    handler.replies = [ctl.reply("done")]
    server = ControlServer(
        tmp_path / "chargerctl.sock", handler, clock=SystemClock(), on_crash=lambda error: pytest.fail(str(error))
    )
    with capture_logs():
        server.start()
        yield handler
        server.stop()


def test_a_lock_has_a_name_and_a_reason_and_says_what_it_is_not(daemon: Daemon, tmp_path: Path) -> None:
    told = ctl.run(tmp_path, "lock", "A01", "--reason", "a new socket", "--by", "Ada")
    assert told.exit_code == 0
    assert told.stdout == "A01: locked; it isolates nothing. To take it away: chargerctl unlock A01\n"
    assert daemon.calls == [("lock", {"port": "A01", "by": "Ada", "reason": "a new socket"})]


def test_it_is_whose_who_is_logged_in_behind_sudo_too(daemon: Daemon, tmp_path: Path) -> None:
    ctl.run(tmp_path, "lock", "shed", "--reason", "a breaker", SUDO_USER="ada")
    assert daemon.calls == [("lock", {"circuit": "shed", "by": "ada", "reason": "a breaker"})]


def test_without_anybody_known_by_name_it_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("no such user")

    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(getpass, "getuser", nobody)
    assert locks.whoever().startswith("uid ")


def test_a_session_under_way_is_not_ended_unasked(daemon: Daemon, tmp_path: Path) -> None:
    refused = ctl.run(tmp_path, "lock", "A02", "--reason", "x")
    assert refused.exit_code == 1
    assert "A02: a session is under way, and the lock ends it" in refused.stderr
    assert "--yes" in refused.stderr
    machine = ctl.run(tmp_path, "lock", "A02", "--reason", "x", "--json")
    assert json.loads(machine.stdout)["error"]["code"] == "busy"
    assert not daemon.calls
    assert ctl.run(tmp_path, "lock", "A02", "--reason", "x", "--yes").exit_code == 0
    assert [method for method, _ in daemon.calls] == ["lock"]


def test_nor_one_below_a_circuit(daemon: Daemon, tmp_path: Path) -> None:
    daemon.circuits = [{"circuit": "shed", "parent": "house"}, {"circuit": "house", "parent": None}]
    daemon.ports = [{**one, "circuit": "shed"} for one in daemon.ports]
    for circuit in ("shed", "house"):
        refused = ctl.run(tmp_path, "lock", circuit, "--reason", "x")
        assert "A02: a session is under way" in refused.stderr
    assert not daemon.calls


@pytest.mark.parametrize(("answer", "done"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_on_a_terminal_it_asks(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, done: bool
) -> None:
    monkeypatch.setattr(locks, "sys", _Terminal())
    arguments = ["--socket", str(tmp_path / "chargerctl.sock"), "lock", "A02", "--reason", "x"]
    told = CliRunner().invoke(main, arguments, input=answer)
    assert (told.exit_code == 0) is done
    assert bool(daemon.calls) is done


class _Terminal:
    """The part of `sys` that is asked here, on a terminal."""

    exit = staticmethod(sys.exit)

    class stdin:  # noqa: N801 - as it is called there
        isatty = staticmethod(lambda: True)


def test_a_lock_that_nothing_can_write_down_says_so(daemon: Daemon, tmp_path: Path) -> None:
    daemon.why_not = "the disk is full"
    told = ctl.run(tmp_path, "lock", "A01", "--reason", "x")
    assert told.exit_code == 0
    assert "the disk is full: a restart before that is mended would forget the lock" in told.stderr


def test_a_refused_lock_says_why(daemon: Daemon, tmp_path: Path) -> None:
    daemon.replies = [ctl.reply("rejected", "locked", "Bob has locked it already: a new cable")]
    told = ctl.run(tmp_path, "lock", "A01", "--reason", "x")
    assert told.exit_code == 1
    assert "Bob has locked it already: a new cable" in told.stdout


def test_anothers_lock_is_taken_away_only_when_told_so(daemon: Daemon, tmp_path: Path) -> None:
    daemon.ports[0] = ctl.port("A01", "disabled", lock=LOCK, blocked_by=["locked"])
    refused = ctl.run(tmp_path, "unlock", "A01", "--by", "Ada")
    assert refused.exit_code == 1
    assert "A01 is locked by Bob since (clock not set): a new cable. Take it away?" in refused.stderr
    assert not daemon.calls
    assert ctl.run(tmp_path, "unlock", "A01", "--by", "Bob").stdout == "A01: unlocked\n"
    ctl.run(tmp_path, "unlock", "A01", "--by", "Ada", "--yes", "--reason", "Bob has left")
    assert daemon.calls == [
        ("unlock", {"port": "A01", "by": "Bob"}),
        ("unlock", {"port": "A01", "by": "Ada", "reason": "Bob has left"}),
    ]


def test_a_circuits_lock_is_the_circuits_to_take_away(daemon: Daemon, tmp_path: Path) -> None:
    of_circuit = {**LOCK, "circuit": "shed"}
    daemon.ports[0] = ctl.port("A01", "disabled", lock=of_circuit, circuit="shed", blocked_by=["locked"])
    daemon.circuits = [{"circuit": "shed", "lock": of_circuit}]
    daemon.replies = [ctl.reply("done", message="was not locked")]
    assert ctl.run(tmp_path, "unlock", "A01", "--by", "Ada").stdout == "A01: was not locked\n"
    assert ctl.run(tmp_path, "unlock", "shed", "--by", "Ada").exit_code == 1


def test_what_is_not_there_has_no_lock(daemon: Daemon, tmp_path: Path) -> None:
    for command in (("lock", "A21", "--reason", "x"), ("unlock", "A21")):
        told = ctl.run(tmp_path, *command)
        assert told.exit_code == 1
        assert "did you mean" in told.stderr
    assert ctl.run(tmp_path, "lock", "A01").exit_code == 2, "a reason is wanted"
    assert not daemon.calls


@pytest.mark.parametrize("columns", ["40", "80", "120"])
def test_everybody_is_shown_who_has_locked_it(daemon: Daemon, tmp_path: Path, columns: str) -> None:
    claimed: dict[str, Json] = {"reason": "Bob: a new cable"}
    daemon.ports[0] = ctl.port("A01", "disabled", lock=LOCK, blocked_by=["locked"], claimed=claimed)
    daemon.circuits = [{"circuit": "shed", "lock": {**LOCK, "by": "Ada"}}]
    status = ctl.run(tmp_path, "status", COLUMNS=columns).stdout
    assert max(map(len, status.splitlines())) <= int(columns)
    assert "locked by Bob" in status
    assert "circuit shed is locked by Ada" in " ".join(status.split())
    port = " ".join(ctl.run(tmp_path, "port", "A01", COLUMNS=columns).stdout.split())
    assert "A01 is locked by Bob: a new cable" in port
    assert "chargerctl unlock A01" in port


def test_a_reset_says_what_would_refuse_a_start_all_the_same(daemon: Daemon, tmp_path: Path) -> None:
    daemon.ports[0] = ctl.port("A01", blocked_by=["thermal"])
    told = ctl.run(tmp_path, "reset", "A01").stdout.splitlines()
    assert told[0] == "A01: cleared"
    assert told[1].startswith(
        "A01: a start would still be refused: The line to this port, or its socket, is still"
    )


def test_a_danger_that_stands_is_named_and_nothing_is_done(daemon: Daemon, tmp_path: Path) -> None:
    daemon.replies = [ctl.reply("rejected", "not_allowed", "relay_welded: 1.20 A flow still")]
    told = ctl.run(tmp_path, "reset", "A01", "--reason", "looked")
    assert told.exit_code == 1
    assert "reset rejected: relay_welded: 1.20 A flow still" in told.stdout
    assert "done" not in told.stdout
