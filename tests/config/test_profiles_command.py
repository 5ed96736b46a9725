"""`chargerd profiles` as an installer and a program see it."""

import json
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner, Result

from chargerd.cli.commands import group
from chargerd.config.problems import ConfigurationError, Problem
from chargerd.config.profiles import library
from tests.config.sites import shipped
from tests.config.test_library import OWN
from tests.judging import every


def profiles(tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        group, ["profiles", "--config", str(tmp_path / "site.yaml"), *arguments], env={"COLUMNS": "200"}
    )


def test_all_profiles_are_listed_with_what_of_them_was_tried(tmp_path: Path) -> None:
    result = profiles(tmp_path)
    assert result.exit_code == 0
    for name, profile in shipped().items():
        line = next(line for line in result.stdout.splitlines() if line.split()[:1] == [name])
        assert profile.title in line
        assert f"0 of {len(list(profile.rows()))} rows" in line


def test_names_stay_whole_on_a_narrow_terminal(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        group, ["profiles", "--config", str(tmp_path / "site.yaml")], env={"COLUMNS": "80"}
    )
    assert set(shipped()) <= set(result.stdout.split())


def test_in_a_pipe_each_profile_is_one_line_and_its_file_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    arguments = ["profiles", "--config", str(tmp_path / "site.yaml")]
    shown = CliRunner().invoke(group, arguments).stdout.splitlines()
    table, (where, _hint) = shown[:-2], shown[-2:]
    short, folder = where.split(" in column file is ")
    lines = [line.split() for line in table if line.split()[-1:] and short in line]
    assert {line[0] for line in lines} == set(shipped())
    assert every(Path(folder, line[-1].removeprefix(short)).is_file() for line in lines)
    told = json.loads(CliRunner().invoke(group, [*arguments, "pzem-016", "--json"]).stdout)
    assert f"file: {told['path']}" in CliRunner().invoke(group, [*arguments, "pzem-016"]).stdout
    assert Path(told["path"]).is_file()


def test_each_can_be_shown_with_every_row(tmp_path: Path) -> None:
    for name, profile in shipped().items():
        result = profiles(tmp_path, name)
        assert result.exit_code == 0
        assert f"source: {profile.source}" in result.stdout
        for row, _values in profile.rows():
            assert row in result.stdout


def test_what_a_row_says_is_as_on_the_wire(tmp_path: Path) -> None:
    relay, meter = profiles(tmp_path, "eletechsup-r4d8a08").stdout, profiles(tmp_path, "jsy-mk-194t").stdout
    assert "8 at 0x0001, function 6: 0x0600 opens, 0x0100 closes, dead-man timed_on" in relay
    assert "at 0x0001: 0x0600 + time, 1000 ms each, up to 255" in relay
    assert "at 0x0049: u32, times 0.0001" in meter


def test_programs_get_everything(tmp_path: Path) -> None:
    found = json.loads(profiles(tmp_path, "--json").stdout)
    assert {one["name"] for one in found["profiles"]} == set(shipped())
    one = json.loads(profiles(tmp_path, "pzem-016", "--json").stdout)
    assert one["ok"] is True
    assert one["file"] == "chargerd/pzem.yaml"
    assert one["kind"] == "meter"
    assert one["profile"]["meter"]["registers"]["current"]["little"] is True
    assert {"row": "meter.current", "basis": "document", "tried": None} in one["rows"]


def test_an_unknown_one_is_refused_with_what_comes_near(tmp_path: Path) -> None:
    result = profiles(tmp_path, "eastron-sdm12")
    assert result.exit_code == 1
    assert "there is no profile 'eastron-sdm12'; did you mean eastron-sdm120" in result.stderr
    told = json.loads(profiles(tmp_path, "eastron-sdm12", "--json").stdout)
    assert told["ok"] is False


def test_a_sites_own_profile_is_shown_with_its_file_and_what_it_replaces(tmp_path: Path) -> None:
    (tmp_path / "profiles.d").mkdir()
    own = tmp_path / "profiles.d" / "own.yaml"
    own.write_text(OWN.replace("channels: 8,", "channels: 8, tried: board of 2024,"))
    result = profiles(tmp_path, "waveshare-relay-8")
    assert f"file: {own}" in result.stdout
    assert "board of 2024" in result.stdout
    assert f"note: {own}:5:3: profile waveshare-relay-8 here replaces" in result.stderr


def test_a_file_that_cannot_be_read_is_named_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "profiles.d").mkdir()
    own = tmp_path / "profiles.d" / "own.yaml"
    own.write_text(OWN.replace("channels: 8", "channels: 800"))
    result = profiles(tmp_path)
    assert result.exit_code == 1
    assert f"{own}:7:23: profile waveshare-relay-8: relay.channels is 800" in result.stderr


def test_a_mistake_in_a_file_of_the_programs_own_is_told_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = Problem(
        file="chargerd/new.yaml", line=8, column=13, what="unknown key 'chanels'", hint="did you mean channels?"
    )

    def mistaken(_file: str) -> NoReturn:
        raise ConfigurationError([problem])

    monkeypatch.setattr(library, "shipped_family", mistaken)
    for arguments in ((), ("pzem-016",)):
        result = profiles(tmp_path, *arguments)
        assert (result.exit_code, result.stderr) == (1, f"{problem}\n")
