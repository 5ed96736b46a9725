"""What `chargerctl` says while the daemon does not run: why it ended, or its configuration's mistake."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chargerd.cli import ctl_absent
from chargerd.cli.chargerctl import main
from chargerd.cli.ctl_absent import LAST_EXIT, absence
from chargerd.cli.run import main as run
from chargerd.runtime.process import last_exit
from chargerd.runtime.process.last_exit import LastExit
from tests.judging import every
from tests.runtime.test_engine import HandClock

WRONG = """gateway: {id: shed}
buses: {line: {rtu_over_tcp: "127.0.0.1:1", baudrate: 9600}}
boards:
  relay: {bus: line, address: 1, profile: waveshare-relay-16}
  meter: {bus: line, address: 11, profile: eastron-sdm120}
circuits: {shed: {}}
ports: [{id: A01, relay: relay/1, meter: meter, circuit: nowhere, colour: red}]
"""
NOBODY = 2**22 + 1
"""No process has this number: it is above the highest there is."""
UNIT = {"LoadState": "loaded", "SubState": "failed", "Result": "exit-code", "NRestarts": "0"}


def ask(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["--socket", str(folder / "chargerctl.sock"), *words], env={"COLUMNS": "80"})


def test_a_wrong_configuration_is_told_with_its_place(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(WRONG)
    code = run(["--config", str(site), "--state-dir", str(tmp_path / "state"), "--runtime-dir", str(tmp_path)])
    assert code == 78
    capfd.readouterr()
    result = ask(tmp_path, "status")
    assert result.exit_code == 3
    assert "chargerd is not running" in result.stderr
    assert "it has refused to start" in result.stderr
    assert "site.yaml:7" in result.stderr
    assert "chargerd check" in result.stderr
    found = json.loads(ask(tmp_path, "why", "--json").stdout)["error"]
    assert found["last_exit"]["state"] == "refused"
    assert every("site.yaml" in problem for problem in found["last_exit"]["problems"])


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ({"state": "stopped", "at": "2026-11-29T20:00:00.000Z"}, "it was stopped in order at 2026-11-29T20:00:00"),
        ({"state": "failed", "at": None, "reason": "hung: bus line-a"}, "it gave up: hung: bus line-a"),
        ({"state": "running", "at": None, "pid": os.getpid()}, "it is just starting or ending"),
        ({"state": "running", "at": None, "pid": NOBODY}, "it was killed, or the power was cut"),
        ({"state": "refused", "at": None, "problems": ["one", "two", "three"]}, "to start: one (and 2 more)"),
    ],
)
def test_how_it_ended_last_is_told(tmp_path: Path, last: dict[str, Any], words: str) -> None:
    (tmp_path / LAST_EXIT).write_text(json.dumps(last))
    result = ask(tmp_path, "status")
    assert result.exit_code == 3
    assert words in result.stderr


def test_where_nothing_tells_it_is_said_how_to_start_it(tmp_path: Path) -> None:
    assert "nothing tells why; start it with: systemctl start chargerd" in ask(tmp_path, "status").stderr
    (tmp_path / LAST_EXIT).write_text("[half a")
    assert "nothing tells why" in ask(tmp_path, "status").stderr


@pytest.mark.parametrize(
    ("unit", "last", "why"),
    [
        ({"ExecMainCode": "2", "ExecMainStatus": "9", "Result": "signal"}, None, "it was killed, by signal 9"),
        ({"ExecMainCode": "2", "ExecMainStatus": "6", "Result": "watchdog"}, "running", "by the watchdog"),
        ({"ExecMainCode": "1", "ExecMainStatus": "0", "Result": "oom-kill"}, None, "run out of memory"),
        ({"ExecMainCode": "1", "ExecMainStatus": "70"}, None, "it ended with exit code 70"),
        ({"ExecMainCode": "1", "ExecMainStatus": "70"}, "failed", "it gave up: hung"),
        (
            {"SubState": "auto-restart", "NRestarts": "4", "ExecMainStatus": "1"},
            None,
            "1; systemd tries again",
        ),
        ({"LoadState": "masked"}, "stopped", "its service is masked"),
        ({"LoadState": "not-found"}, None, "this machine has no service chargerd"),
    ],
)
def test_what_systemd_knows_is_told_where_the_daemon_could_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: dict[str, str], last: str | None, why: str
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    if last is not None:
        kept = {"state": last, "at": None, "reason": "hung", "pid": NOBODY}
        (tmp_path / "state" / LAST_EXIT).write_text(json.dumps(kept))
    monkeypatch.setattr(ctl_absent, "_unit", lambda: {**UNIT, **unit})
    found = absence(tmp_path / "chargerctl.sock")
    assert why in found.why
    assert found.then


def test_a_machine_without_systemd_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert ctl_absent._unit() is None  # noqa: SLF001 - the one question to the machine


def test_what_is_written_is_read_again_and_a_disk_that_takes_nothing_keeps_nobody(tmp_path: Path) -> None:
    LastExit((tmp_path, tmp_path / "gone"), HandClock()).note("failed", reason="hung")
    assert "it gave up" in ask(tmp_path, "status").stderr
    kept = json.loads((tmp_path / LAST_EXIT).read_text())
    assert (kept["state"], kept["reason"], kept["pid"]) == ("failed", "hung", os.getpid())
    assert last_exit.LAST_EXIT == LAST_EXIT
