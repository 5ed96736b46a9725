"""`chargerctl doctor` as it is typed, with a daemon and without one."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import click
import pytest
from click.testing import CliRunner, Result

from chargerd import __version__
from chargerd.cli import ctl_doctor
from chargerd.config.problems import Problem
from chargerd.runtime.local.doctor import as_plain
from chargerd.runtime.local.examine_site import of_refusal
from tests.config.sites import BASE
from tests.judging import every

CHECKS = [
    {"about": "disk", "verdict": "ok", "what": "5000 MiB free where the journal lies", "then": ""},
    {"about": "clock", "verdict": "warning", "what": "nothing vouches for it", "then": "look why"},
    {
        "about": "line line-a",
        "verdict": "fault",
        "what": "/dev/ttyUSB0 is not on this machine",
        "then": "plug it in",
    },
]


class Client:
    version = __version__
    checks = CHECKS
    configuration: ClassVar[dict[str, Any]] = {"path": None, "digest": "d"}

    def call(self, method: str) -> dict[str, Any]:
        assert method == "doctor"
        return {"user": "chargerd", "configuration": self.configuration, "checks": self.checks}

    def hello(self) -> dict[str, Any]:
        return {"version": self.version, "protocol": 1}


def typed(monkeypatch: pytest.MonkeyPatch, *words: str, columns: int = 80, runs: bool = True) -> Result:
    @contextmanager
    def connect(_path: Path, **_how: object) -> Iterator[Any]:
        yield Client()

    monkeypatch.setattr(ctl_doctor, "_runs", lambda _path: runs)
    command = ctl_doctor.command(connect, click.option("--json", "as_json", is_flag=True))
    return CliRunner().invoke(command, list(words), obj=Path("socket"), env={"COLUMNS": str(columns)})


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_worst_comes_first_with_its_remedy_at_any_width(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    done = typed(monkeypatch, columns=columns)
    assert done.exit_code == 1
    assert every(len(line) <= columns for line in done.stdout.splitlines())
    said = " ".join(done.stdout.split())
    assert said.startswith("FAULT line line-a: /dev/ttyUSB0 is not on this machine; plug it in WARNING clock: ")
    assert said.endswith("3 looks: 1 at fault, 1 to be looked at")


def test_what_is_well_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    done = typed(monkeypatch, "--faults", "--json")
    told = json.loads(done.stdout)
    assert told["running"]
    assert [check["verdict"] for check in told["checks"]] == ["fault", "warning"]


def test_all_is_well_leaves_with_zero_and_warnings_do_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "checks", CHECKS[:1])
    done = typed(monkeypatch)
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "1 looks, all is well")
    monkeypatch.setattr(Client, "version", "0.0.1")
    other = typed(monkeypatch)
    assert other.exit_code == 0
    assert other.stdout.startswith("WARNING version: the daemon runs version 0.0.1, this is ")


def test_a_newest_file_that_was_refused_is_a_fault_though_it_reads_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "chargerd.yaml"
    file.write_text(BASE)
    monkeypatch.setattr(Client, "checks", CHECKS[:1])
    used = {"path": str(file), "digest": "another"}
    monkeypatch.setattr(Client, "configuration", used)
    assert typed(monkeypatch, columns=300).stdout.startswith("WARNING configuration: ")
    hint = "put it there, then: systemctl restart chargerd, which alone hands it over"
    refused = Problem(file=str(file), line=3, column=5, what="/etc/key: No such file", hint=hint)
    monkeypatch.setattr(Client, "configuration", {**used, "refused": as_plain(of_refusal(refused))})
    done = typed(monkeypatch, columns=300)
    first = done.stdout.splitlines()[0]
    assert done.exit_code == 1
    assert first.startswith("FAULT   configuration: the file is refused, and what ran before runs on: ")
    assert first.endswith(f":3:5: /etc/key: No such file; {hint}")
    assert "WARNING" not in done.stdout


def test_without_a_daemon_its_file_and_lines_are_looked_at_from_outside(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "chargerd.yaml"
    file.write_text("gateway: {id: test}\nbuses: {}\n")
    done = typed(monkeypatch, "--config", str(file), runs=False, columns=300)
    assert done.exit_code == 3
    assert done.stdout.startswith("FAULT   daemon: it does not run; start it: systemctl start chargerd")
    assert f"FAULT   configuration: {file}:" in done.stdout
    assert not ctl_doctor._runs(tmp_path / "none.sock")  # noqa: SLF001 - nobody serves it
