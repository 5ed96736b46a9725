"""`chargerd check` as an installer and a program see it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chargerd.cli.check import command
from chargerd.config.loader import DEFAULT_PATH
from tests.config.sites import BASE, changed

EXAMPLES = Path(__file__).parents[2] / "config"


def check(tmp_path: Path, text: str, *options: str) -> Result:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return CliRunner().invoke(command, [str(path), *options])


def test_a_good_file_is_shown_and_accepted(tmp_path: Path) -> None:
    result = check(tmp_path, BASE)
    assert result.exit_code == 0
    assert result.stderr == ""
    for part in (
        "gateway gate-1, broker broker.example.net:8883",
        "bus line-a: /dev/line-a, 9600 Bd, parity none",
        "bus line-b: 10.0.0.2:4196, 9600 Bd, parity none",
        "profile waveshare-relay-16, tried: nothing on hardware yet",
        "meter-a1 .. meter-a3",
        "11 .. 13",
        "B01 (B01 (wall))",
        "relay-b/8",
        "lease 6 s",
        "Good. 4 ports on 8 boards.",
    ):
        assert part in result.stdout
    assert "\x1b" not in result.stdout


def test_a_site_without_broker_says_so_and_tcp_has_no_rate(tmp_path: Path) -> None:
    text = changed(BASE[BASE.index("mqtt:") : BASE.index("buses:")], "")
    text = changed('rtu_over_tcp: "10.0.0.2:4196"', 'tcp: "10.0.0.2:502"', text)
    result = check(tmp_path, text)
    assert "broker none, stand-alone" in result.stdout
    assert "bus line-b: 10.0.0.2:502\n" in result.stdout


def test_notes_and_missing_dead_men_are_shown(tmp_path: Path) -> None:
    text = changed(
        "address: 1, profile: waveshare-relay-16", "address: 1, lease: off, profile: waveshare-relay-16"
    )
    text = changed("main: {phases: 3}", "main: {phases: 3, rating_a: 40}", text)
    result = check(tmp_path, text)
    assert result.exit_code == 0
    notes = result.stderr.splitlines()
    assert len(notes) == 2
    assert "note: " in notes[0]
    assert "relay-a closes its relays without a time limit" in notes[0]
    assert "rating_a of circuit main is not enforced" in notes[1]
    rows = [line for line in result.stdout.splitlines() if " A01 " in line]
    assert rows[0].split() == ["A01", "relay-a/1", "meter-a1", "shed-a", "4", "800", "10", "none"]


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    text = changed("B01 (wall)", "[b]x[/]")
    assert "B01 ([b]x[/])" in check(tmp_path, text).stdout


@pytest.mark.parametrize(("more", "count"), [("", "1 problem; "), ("limit: {}\n", "2 problems; ")])
def test_mistakes_go_to_stderr_one_a_line_with_their_count(tmp_path: Path, more: str, count: str) -> None:
    result = check(tmp_path, changed("power_w: 800", "power_w: 8000") + more)
    assert result.exit_code == 1
    assert result.stdout == ""
    *told, last = result.stderr.splitlines()
    what = "limits.power_w is 8000, above the fixed ceiling of 3500; give at most 3500"
    assert told[0] == f"{tmp_path / 'site.yaml'}:19:19: {what}"
    assert last == count + "the daemon would not start with this file."


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(tmp_path / "none.yaml")])
    assert result.exit_code == 1
    assert "no such file; copy an example there" in result.stderr


def test_programs_get_one_object(tmp_path: Path) -> None:
    result = check(tmp_path, changed("main: {phases: 3}", "main: {rating_a: 40}"), "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert (told["ok"], told["problems"]) == (True, [])
    assert told["notes"][0]["what"] == "rating_a of circuit main is not enforced"
    assert told["summary"]["gateway"] == "gate-1"
    assert told["summary"]["ports"][3] == {
        "id": "B01",
        "label": "B01 (wall)",
        "relay": "relay-b/8",
        "meter": "meter-b/1",
        "circuit": "shed-b",
        "dead_man": "timed_on",
        "lease_s": 6.0,
        "current_a": 4.0,
        "power_w": 400.0,
        "duration_s": 36000.0,
    }
    assert [board["dead_man"] for board in told["summary"]["boards"]][:3] == ["lease 6 s", "lease 6 s", None]


def test_programs_get_the_mistakes_too(tmp_path: Path) -> None:
    result = check(tmp_path, changed("power_w: 800", "power_w: 8000"), "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    assert json.loads(result.stdout) == {
        "ok": False,
        "problems": [
            {
                "file": str(tmp_path / "site.yaml"),
                "line": 19,
                "column": 19,
                "what": "limits.power_w is 8000, above the fixed ceiling of 3500",
                "hint": "give at most 3500",
            }
        ],
        "notes": [],
        "summary": None,
    }


def test_the_usual_place_is_looked_at_unless_told() -> None:
    argument = next(parameter for parameter in command.params if parameter.name == "path")
    assert argument.default == DEFAULT_PATH == Path("/etc/chargerd/chargerd.yaml")


def test_85_ports_stay_readable_in_80_columns() -> None:
    result = CliRunner().invoke(command, [str(EXAMPLES / "quarter.yaml")])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    rows = lines[lines.index(next(line for line in lines if line.startswith("Ports"))) :]
    assert sum(" lease 6 s" in row for row in rows) == 85
    assert all(len(row) <= 80 for row in rows)
