"""`chargerd check` as an installer and a program see it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chargerd.cli import check_supply
from chargerd.cli.check import command
from chargerd.config.loader import DEFAULT_PATH
from chargerd.config.profiles import library
from tests.config.sites import BASE, changed
from tests.judging import every

EXAMPLES = Path(__file__).parents[2] / "config"
HEADS = ("Boards", "Ports", "Circuits", "Reaction times", "Buses")
MISSING = "mqtt.tls.ca: /ca.pem is not on this machine; put it there before the daemon starts"


@pytest.fixture(autouse=True)
def adapters(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have every adapter but those in the list: the sites here are for other machines."""
    missing: list[str] = []

    def trouble(device: str, _user: object) -> tuple[str, str] | None:
        return (f"{device} is not on this machine", "plug the adapter in") if device in missing else None

    monkeypatch.setattr(check_supply, "trouble_with", trouble)
    return missing


def check(tmp_path: Path, text: str, *options: str) -> Result:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return CliRunner().invoke(command, [str(path), *options])


def test_a_good_file_is_shown_and_accepted(tmp_path: Path) -> None:
    result = check(tmp_path, BASE + "metrics: {address: '::1'}\n")
    assert result.exit_code == 0
    assert [MISSING in line for line in result.stderr.splitlines()] == [True]
    for part in (
        "gateway gate-1, broker broker.example.net:8883",
        "metrics: http://[::1]:9845/metrics\n",
        "bus line-a: /dev/line-a, 9600 Bd, parity none",
        "bus line-b: 10.0.0.2:4196, 9600 Bd, parity none",
        "profile waveshare-relay-16, tried: nothing on hardware yet",
        "meter-a1..3",
        "11..13",
        "B01 (wall)",
        "relay-b/8",
        "lease 6 s",
        "Usable, but this machine lacks what the notes say. 4 ports on 8 boards.",
    ):
        assert part in result.stdout
    assert "\x1b" not in result.stdout


def test_an_adapter_that_is_not_there_or_not_for_the_daemon_is_no_good(
    tmp_path: Path, adapters: list[str]
) -> None:
    adapters.append("/dev/line-a")
    text = changed(BASE[BASE.index("mqtt:") : BASE.index("buses:")], "")
    result = check(tmp_path, text)
    assert result.exit_code == 0
    assert "buses.line-a.serial: /dev/line-a is not on this machine; plug the adapter in" in result.stderr
    assert "Good." not in result.stdout
    assert "Usable, but this machine lacks what the notes say. 4 ports on 8 boards." in result.stdout
    told = json.loads(check(tmp_path, text, "--json").stdout)
    assert [note["what"] for note in told["notes"]] == ["buses.line-a.serial: /dev/line-a is not on this machine"]
    adapters.clear()
    assert "Good. 4 ports on 8 boards." in check(tmp_path, text).stdout


def test_a_rate_that_the_system_has_no_name_for_is_noted(tmp_path: Path) -> None:
    text = BASE[: BASE.index("boards:")].replace("mqtt:\n  host: broker.example.net\n  tls: {ca: /ca.pem}\n", "")
    text = text.replace("serial: /dev/line-a", "serial: /dev/line-a, baudrate: 128000")
    text = (
        text[: text.index("  line-b")]
        + """\
boards:
  relay-a: {bus: line-a, address: 1, profile: waveshare-relay-16}
  meter-a: {bus: line-a, address: 2, profile: eastron-fast}
circuits: {shed: {}}
ports: [{id: A01, relay: relay-a/1, meter: meter-a, circuit: shed}]
"""
    )
    profiles = tmp_path / "profiles.d"
    profiles.mkdir()
    own = library.whereabouts("chargerd/eastron-sdm.yaml").read_text()
    (profiles / "own.yaml").write_text(
        own.replace("eastron-sdm120:", "eastron-fast:").replace("9600]", "9600, 128000]")
    )
    result = check(tmp_path, text)
    assert "buses.line-a.baudrate: 128000 Bd is none of the system's own rates" in result.stderr, result.output


def test_a_site_without_broker_says_so_and_tcp_has_no_rate(tmp_path: Path) -> None:
    text = changed(BASE[BASE.index("mqtt:") : BASE.index("buses:")], "")
    text = changed('rtu_over_tcp: "10.0.0.2:4196"', 'tcp: "10.0.0.2:502"', text)
    result = check(tmp_path, text)
    assert "broker none, stand-alone" in result.stdout
    assert "bus line-b: 10.0.0.2:502\n" in result.stdout
    assert "bus line-b: let a gateway that serves one request at a time wait 2.0 s\n" in result.stdout


def test_notes_and_missing_dead_men_are_shown(tmp_path: Path) -> None:
    text = changed(
        "address: 1, profile: waveshare-relay-16", "address: 1, lease: off, profile: waveshare-relay-16"
    )
    result = check(tmp_path, text)
    assert result.exit_code == 0
    notes = result.stderr.splitlines()
    assert len(notes) == 2
    assert "note: " in notes[0]
    assert "relay-a closes its relays without a time limit" in notes[0]
    rows = [line for line in result.stdout.splitlines() if " A01..A03 " in line]
    assert rows[0].split() == ["A01..A03", "relay-a/1..3", "meter-a1..3", "shed-a", "4", "800", "10", "none"]


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
    result = check(tmp_path, changed("main: {phases: 3}", "main: {contactor: relay-b/1}"), "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert (told["ok"], told["problems"]) == (True, [])
    assert "the contactor of circuit main sits on relay-b" in told["notes"][0]["what"]
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
    budget = told["summary"]["budget"]
    assert [port["id"] for port in budget["ports"]] == ["A01", "A02", "A03", "B01"]
    assert every(0 < port["worst_s"] < port["worst_lost_s"] < port["definite_s"] + 3 for port in budget["ports"])
    parts = ("refresh_s", "polling_s", "in_flight_s", "write_s")
    assert sum(budget["ports"][3][part] for part in parts) == pytest.approx(
        budget["ports"][3]["worst_s"], abs=1e-3
    )
    assert [(bus["id"], bus["ports"], bus["baudrate"]) for bus in budget["buses"]] == [
        ("line-a", 3, 9600),
        ("line-b", 1, 9600),
    ]
    assert every(0 < bus["share"] < 1 and bus["more_ports"] > 0 for bus in budget["buses"])
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
    boards, ports, circuits, times, buses = (
        next(at for at, line in enumerate(lines) if line.startswith(head)) for head in HEADS
    )
    assert every(len(line) <= 80 for line in lines[boards:])
    sizes = zip("ABCDEFGH", (12, 12, 10, 10, 10, 10, 10, 11), strict=True)
    ranges = [f"{shed}01..{shed}{count}" for shed, count in sizes]
    for rows in (lines[ports:circuits], lines[times:buses]):
        assert [row.split()[0] for row in rows if ".." in row] == ranges
    sheds = [line.split()[0] for line in lines[buses:] if " more" in line]
    assert sheds == [f"shed-{shed}" for shed in "abcdefgh"]


def test_a_board_that_opens_by_itself_when_nobody_asks_it_says_so(tmp_path: Path) -> None:
    text = changed("address: 1, profile: waveshare-relay-8}", "address: 1, profile: wirenboard-mr6c}")
    result = check(tmp_path, changed("relay: relay-b/8", "relay: relay-b/6", text))
    assert result.exit_code == 0
    assert MISSING in result.stderr
    assert "poll timeout" in " ".join(result.stdout.split())


GUARDED = """\
inputs:
  smoke-a: {input: io-a/1, kind: smoke, circuit: shed-a}
  stop: {input: io-a/2, kind: emergency_stop, circuit: main, active: closed}
"""


def guarded() -> str:
    text = changed("shed-a: {parent: main, phase: L1}", CIRCUIT)
    text = changed("    circuit: shed-a\n", "    circuit: shed-a\n    temperature: heat-a/2..4\n", text)
    text = changed("    circuit: shed-b\n", "    circuit: shed-b\n    temperature: heat-a/5\n", text)
    heat = "  heat-a: {bus: line-b, address: 9, profile: eletechsup-r4dcb08}\n"
    return changed("circuits:\n", heat + "circuits:\n", text) + GUARDED


CIRCUIT = "shed-a: {parent: main, phase: L1, rating_a: 16, power_w: 3000, meter: feeder-a, contactor: relay-b/2}"


def test_what_feeds_and_guards_ports_is_shown_as_it_is_wired(tmp_path: Path) -> None:
    result = check(tmp_path, guarded())
    assert result.exit_code == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["shed-a", "main", "L1", "16", "3000", "feeder-a", "relay-b/2"] in rows
    assert ["main", "three", "no", "limit", "no", "limit"] in rows
    assert ["smoke-a", "io-a/1", "smoke", "open", "shed-a"] in rows
    assert ["stop", "io-a/2", "emergency_stop", "closed", "main"] in rows
    assert ["A01..A03", "heat-a/2..4"] in rows
    assert ["B01", "heat-a/5"] in rows
    without = check(tmp_path, BASE).stdout
    assert "Inputs" not in without
    assert "Temperature" not in without


def test_programs_are_told_what_feeds_and_guards_ports(tmp_path: Path) -> None:
    summary = json.loads(check(tmp_path, guarded(), "--json").stdout)["summary"]
    assert summary["circuits"][1] == {
        "id": "shed-a",
        "parent": "main",
        "phases": 1,
        "phase": "L1",
        "rating_a": 16.0,
        "power_w": 3000.0,
        "meter": "feeder-a",
        "contactor": "relay-b/2",
    }
    stop = {"id": "stop", "input": "io-a/2", "kind": "emergency_stop", "circuit": "main", "active": "closed"}
    assert summary["inputs"][1] == stop
    assert summary["temperatures"] == {
        "A01": "heat-a/2",
        "A02": "heat-a/3",
        "A03": "heat-a/4",
        "B01": "heat-a/5",
    }


def test_files_for_the_broker_are_missed_where_they_are_not(tmp_path: Path) -> None:
    there = tmp_path / "there.pem"
    there.touch()
    text = changed("tls: {ca: /ca.pem}", f"tls: {{ca: {there}}}\n  username: x\n  password_file: {tmp_path}/none")
    told = check(tmp_path, text).stderr.splitlines()
    assert len(told) == 2
    assert f"note: {tmp_path / 'site.yaml'}: mqtt.password_file: {tmp_path}/none is not on this machine" in told[0]
    assert f"mqtt.tls.ca: {there} holds no certificate in PEM form; put the right file there" in told[1]
    assert "Good." not in check(tmp_path, text).stdout
    alone = changed(BASE[BASE.index("mqtt:") : BASE.index("buses:")], "")
    assert check(tmp_path, alone).stderr == ""
