"""`chargerctl limits`, `disable` and `enable`, against a socket that answers like the daemon."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from chargerd.cli.chargerctl import main
from chargerd.contract.ledger import Json
from chargerd.control.server import ControlServer, Peer, Responder
from chargerd.runtime.process.clock import SystemClock
from tests.control import test_chargerctl as ctl

DISABLED: dict[str, Json] = {"source": "local", "reason": "a worn plug", "since": None, "circuit": None}


class Daemon(ctl.Daemon):
    """Knows a circuit besides, and what has happened to a port."""

    port_state = "disabled"

    def __init__(self) -> None:
        super().__init__()
        self.circuits = [{"circuit": "shed"}]

    def call(self, method: str, params: Mapping[str, Json], peer: Peer, respond: Responder) -> None:
        if method == "status":
            self.calls.append((method, dict(params)))
            respond.send({"ports": list(self.ports), "circuits": self.circuits})
        elif method in {"reset", "disable", "enable"}:
            self.calls.append((method, dict(params)))
            respond.send({**self.replies[0], "port": params.get("port"), "port_state": self.port_state})
        else:
            super().call(method, params, peer, respond)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    handler = Daemon()
    server = ControlServer(
        tmp_path / "chargerctl.sock", handler, clock=SystemClock(), on_crash=lambda error: pytest.fail(str(error))
    )
    server.start()
    yield handler
    server.stop()


def test_limits_are_passed_on_and_said_to_hold(daemon: Daemon, tmp_path: Path) -> None:
    daemon.replies = [ctl.reply("accepted"), ctl.reply("done")]
    told = ctl.run(tmp_path, "limits", "A02", "--energy-wh", "300", "--minutes", "90", "--session-id", "S-1")
    assert told.exit_code == 0
    assert told.stdout.splitlines()[-2:] == ["A02: limits accepted", "A02: the new limits hold"]
    sent = {"port": "A02", "energy_wh": 300.0, "duration_s": 5400.0, "session_id": "S-1"}
    assert daemon.calls == [("limits", sent)]


def test_limits_that_are_refused_set_the_exit_code(daemon: Daemon, tmp_path: Path) -> None:
    daemon.replies = [ctl.reply("rejected", "limit_too_high", "this port allows up to 5 A")]
    told = ctl.run(tmp_path, "limits", "A02", "--current-a", "9")
    assert told.exit_code == 1
    assert "above what the port allows (this port allows up to 5 A)" in told.stdout
    near = ctl.run(tmp_path, "limits", "A2", "--current-a", "2")
    assert near.exit_code == 1
    assert "did you mean A02" in near.stderr


def test_limits_want_at_least_one_and_a_duration_once(daemon: Daemon, tmp_path: Path) -> None:
    for arguments in (["--session-id", "S-1"], ["--minutes", "3", "--duration-s", "9"], ["--power-w", "0"]):
        assert ctl.run(tmp_path, "limits", "A02", *arguments).exit_code == 2
    assert not daemon.calls


@pytest.mark.parametrize(
    ("name", "state", "words"),
    [
        ("A01", "disabled", "A01: disabled\n"),
        ("A02", "charging", "once its session has ended; to end it now: chargerctl stop A02"),
        ("shed", "disabled", "shed: disabled with every port below; sessions under way go on"),
    ],
)
def test_what_is_disabled_is_said(daemon: Daemon, tmp_path: Path, name: str, state: str, words: str) -> None:
    daemon.replies, daemon.port_state = [ctl.reply("done")], state
    told = ctl.run(tmp_path, "disable", name, "--reason", "a worn plug")
    assert told.exit_code == 0
    assert words in told.stdout
    kind = "circuit" if name == "shed" else "port"
    assert daemon.calls[-1] == ("disable", {kind: name, "reason": "a worn plug"})


def test_enabling_and_what_is_not_there(daemon: Daemon, tmp_path: Path) -> None:
    daemon.replies = [ctl.reply("done", message="was not disabled")]
    assert "A01: enabled (was not disabled)" in ctl.run(tmp_path, "enable", "A01", "--reason", "done").stdout
    assert ctl.run(tmp_path, "enable", "A01").exit_code == 2, "a reason is wanted"
    for name, hint in (("shad", "did you mean shed?"), ("nowhere-at-all", "there are A01")):
        told = ctl.run(tmp_path, "disable", name, "--reason", "x")
        assert told.exit_code == 1
        assert hint in told.stderr
    daemon.replies = [ctl.reply("rejected", "store_unavailable")]
    assert ctl.run(tmp_path, "enable", "shed", "--reason", "done", "--json").exit_code == 1


@pytest.mark.parametrize(
    ("what", "state", "words"),
    [
        ("enable", "disabled", "A01: enabled, but something else still holds it; see: chargerctl port A01"),
        ("reset", "tripped", "A01: cleared, but a circuit above still holds it open; see: chargerctl port A01"),
        ("reset", "available", "A01: cleared\n"),
    ],
)
def test_what_a_circuit_above_still_does_is_said(
    daemon: Daemon, tmp_path: Path, what: str, state: str, words: str
) -> None:
    daemon.port_state, daemon.replies = state, [ctl.reply("done")]
    assert words in ctl.run(tmp_path, what, "A01", "--reason", "done").stdout


def test_a_danger_that_is_not_over_is_named(daemon: Daemon, tmp_path: Path) -> None:
    daemon.replies = [ctl.reply("rejected", "not_allowed", "smoke: smoke-a still reports it, or is not read")]
    told = ctl.run(tmp_path, "reset", "shed").stdout
    assert "shed: reset rejected: smoke: smoke-a still reports it, or is not read; see: chargerctl status" in told


def test_the_status_says_which_circuit_is_out_of_service(daemon: Daemon, tmp_path: Path) -> None:
    daemon.circuits = [{"circuit": "shed", "latches": [], "disabled": DISABLED}]
    assert "circuit shed is out of service: a worn plug" in ctl.run(tmp_path, "status", COLUMNS="300").stdout


def test_a_start_may_stay_on_when_the_charge_is_full(daemon: Daemon, tmp_path: Path) -> None:
    daemon.replies = [ctl.reply("accepted"), ctl.reply("done")]
    assert ctl.run(tmp_path, "start", "A01", "--no-full-stop").exit_code == 0
    assert daemon.calls == [("start", {"port": "A01", "full_stop": False})]


@pytest.mark.parametrize(("circuit", "words"), [(None, "enable A01"), ("shed", "enable shed")])
def test_a_port_says_who_has_disabled_it_and_why(
    daemon: Daemon, tmp_path: Path, circuit: str | None, words: str
) -> None:
    claimed: Json = {**{name: DISABLED[name] for name in ("source", "reason", "since")}, "circuit": circuit}
    daemon.ports[0] = ctl.port("A01", "disabled", blocked_by=["disabled"], claimed=claimed)
    told = ctl.run(tmp_path, "port", "A01").stdout
    assert "on site" in told
    assert "a worn plug" in told
    assert words in told
    assert "the daemon is leaving" not in told
    assert "disabled" in ctl.run(tmp_path, "port", "A01", "--json").stdout


def test_ports_and_circuits_are_completed(daemon: Daemon, tmp_path: Path) -> None:
    environment = {
        "_CHARGERCTL_COMPLETE": "bash_complete",
        "COMP_WORDS": f"chargerctl --socket {tmp_path / 'chargerctl.sock'} disable s",
        "COMP_CWORD": "4",
    }
    told = CliRunner().invoke(main, [], env=environment, prog_name="chargerctl")
    assert told.output.split() == ["plain,shed"]
    assert daemon.calls
    gone = {**environment, "COMP_WORDS": f"chargerctl --socket {tmp_path / 'none.sock'} disable s"}
    assert not CliRunner().invoke(main, [], env=gone, prog_name="chargerctl").output.strip()


def test_a_circuit_is_reset_by_its_name(daemon: Daemon, tmp_path: Path) -> None:
    daemon.replies = [ctl.reply("done")]
    told = ctl.run(tmp_path, "reset", "shed", "--reason", "contactor replaced")
    assert told.exit_code == 0
    assert told.stdout.endswith("shed: cleared\n")
    assert daemon.calls[-1] == ("reset", {"circuit": "shed", "reason": "contactor replaced"})
    daemon.replies = [ctl.reply("rejected", "not_allowed")]
    told = ctl.run(tmp_path, "reset", "shed")
    assert told.exit_code == 1
    assert "a danger must be over; see: chargerctl status" in told.stdout


def test_the_status_says_what_holds_a_circuit_and_what_clears_it(daemon: Daemon, tmp_path: Path) -> None:
    daemon.circuits = [
        {"circuit": "shed", "latches": [{"function": "smoke", "clearing": "local"}]},
        {"circuit": "yard", "latches": [{"function": "contactor_will_not_open", "clearing": "lock_out"}]},
    ]
    shown = ctl.run(tmp_path, "status", COLUMNS="300").stdout
    assert "circuit shed is held open: smoke was reported" in shown
    assert "chargerctl reset shed\n" in shown
    assert "chargerctl reset yard --reason '...'" in shown
