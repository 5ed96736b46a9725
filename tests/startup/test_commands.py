"""The command line of `chargerd`: quick commands and the others look alike from outside."""

import subprocess
import sys
from pathlib import Path

import pytest


def chargerd(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chargerd", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_all_commands_are_listed() -> None:
    listed = chargerd("--help").stdout
    names = "check contract demo open-relays profiles release-lines run self-test simulate"
    for name in names.split():
        assert f"\n  {name} " in listed


@pytest.mark.parametrize("name", ["run", "open-relays"])
def test_the_quick_ones_say_what_they_take(name: str) -> None:
    done = chargerd(name, "--help")
    assert done.returncode == 0
    assert f"usage: chargerd {name}" in done.stdout
    assert "--state-dir FOLDER" in done.stdout


@pytest.mark.parametrize("arguments", [["run", "--confg", "x"], ["open-relays", "x"], ["dance"]])
def test_wrong_usage_is_code_2(arguments: list[str]) -> None:
    assert chargerd(*arguments).returncode == 2


def test_a_bad_configuration_is_told_on_stderr(tmp_path: Path) -> None:
    folders = ["--state-dir", str(tmp_path / "state"), "--runtime-dir", str(tmp_path / "run")]
    done = chargerd("run", "--config", str(tmp_path / "no.yaml"), *folders)
    assert done.returncode == 78, "which systemd does not try again"
    assert "no such file" in done.stderr
    assert "none is kept; correct it" in done.stderr.splitlines()[-1]
    assert done.stdout == ""
