"""What is written and does nothing is said aloud: a detector believed to work is worse than none."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from chargerd.cli.check import command as check
from chargerd.config.adapters import by_path
from chargerd.core.plan import DeadMan
from tests.config.sites import BASE, changed, shipped, site, unmarked
from tests.config.test_site import bent

LIMITS = "limits: {power_w: 800, current_a: 4}"


def notes(text: str) -> list[str]:
    return [str(note).removeprefix("site.yaml:") for note in site(text).notes]


def test_a_site_without_anything_unusual_has_no_notes() -> None:
    assert notes(BASE) == []


@pytest.mark.parametrize(
    "new",
    [
        "resume: {window_s: 0}",
        "resume: {window_s: 600}",
        "queue: {queue_s: 60}",
        "resume: {}",
        "charge_end: {full_after_s: 60}",
        "inputs:\n  smoke: {input: io-a/1, kind: smoke, circuit: main}",
    ],
)
def test_what_is_acted_on_or_switched_off_is_not_noted(new: str) -> None:
    assert notes(changed(LIMITS, new)) == []


@pytest.mark.parametrize("new", ["meter: feeder-a", "rating_a: 40", "power_w: 7800", "contactor: io-a/1"])
def test_what_is_said_of_circuits_is_acted_on(new: str) -> None:
    assert notes(changed("main: {phases: 3}", f"main: {{{new}}}")) == []


def test_a_contactor_on_the_board_it_backs_up_is_noted() -> None:
    text, places = unmarked(changed("main: {phases: 3}", "main: {contactor: §relay-b/1}"))
    beside = "the contactor of circuit main sits on relay-b, as do relays it backs up, such as B01's"
    hint = "move it to a board of its own: one that fails takes both along"
    assert notes(text) == [f"{places[0]}: {beside}; {hint}"]


def test_a_contactor_beside_relays_of_other_circuits_is_well_placed() -> None:
    text = changed("{parent: main, phase: L1}", "{parent: main, contactor: relay-b/1}")
    assert notes(text) == []


def test_a_lease_switched_off_is_noted() -> None:
    text, places = unmarked(changed("relay-b: {bus: line-b,", "relay-b: {bus: line-b, lease: §off,"))
    said = "relay-b closes its relays without a time limit: a gateway that dies leaves them closed"
    assert notes(text) == [f"{places[0]}: {said}; leave lease: off out unless this board is known to need it"]


def test_a_lease_switched_off_for_a_range_is_noted_for_the_boards_in_use() -> None:
    text = changed(
        "relay-b: {bus: line-b, address: 1,", "relay-1..relay-2: {bus: line-b, lease: off, address: 5..6,"
    )
    found = notes(changed("relay: relay-b/8", "relay: relay-2/8", text))
    assert [note.split(": ", 1)[1].split(" ")[0] for note in found] == ["relay-2"]


def test_a_board_without_timed_closing_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    other = bent("waveshare-relay-8", {"relay": {"channels": 8, "dead_man": "none"}})
    monkeypatch.setattr("tests.config.sites.shipped", lambda: {**shipped(), "waveshare-relay-8": other})
    text, places = unmarked(changed("  relay-b: {", "  §relay-b: {"))
    said = "relay-b closes its relays without a time limit: a gateway that dies leaves them closed"
    assert notes(text) == [f"{places[0]}: {said}; rely on a contactor or a time switch behind it"]
    assert site(text).plan.ports[3].relay.lease is None


def test_a_poll_timeout_that_the_daemon_sets_needs_no_note() -> None:
    text = changed("address: 1, profile: waveshare-relay-8}", "address: 1, profile: wirenboard-mr6c}")
    text = changed("relay: relay-b/8", "relay: relay-b/6", text)
    assert notes(text) == []
    assert site(text).plan.ports[3].relay.dead_man is DeadMan.POLL_TIMEOUT


def test_a_port_on_one_of_three_phases_nobody_names_is_noted() -> None:
    text, places = unmarked(
        changed("main: {phases: 3}", "main: {phases: 3}").replace("  - id: B01", "  - §id: B01")
    )
    text = text.replace("circuit: shed-b\n", "circuit: main\n")
    what = "nobody says on which of the 3 phases of circuit main B01 hangs"
    hint = "give its phase: else it counts on each of them, and no other meter can tell its voltage"
    assert notes(text) == [f"{places[0]}: {what}; {hint}"]
    assert notes(text.replace("circuit: main\n", "circuit: main\n    phase: L2\n")) == []


@pytest.mark.parametrize("device", ["/dev/ttyUSB0", "/dev/ttyACM12"])
def test_an_adapter_named_in_the_order_of_discovery_is_noted(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargerd.config.notes.by_path", lambda _device: None)
    text, places = unmarked(changed("/dev/line-a", f"§{device}"))
    said = f"{device} is whichever adapter is found first: two that swap names swap the sockets behind them"
    assert notes(text) == [f"{places[0]}: {said}; write its name in /dev/serial/by-path"]
    monkeypatch.setattr("chargerd.config.notes.by_path", lambda _device: "/dev/serial/by-path/usb-0:1.2-port0")
    assert notes(text) == [f"{places[0]}: {said}; write /dev/serial/by-path/usb-0:1.2-port0"]


def test_what_is_to_be_told_of_a_line_is_told_of_a_file_with_mistakes_too(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    for old, new in (("phases: 3", "phases: 5"), ("parent: main, phase: L1", "parent: nothing, phase: L1")):
        path.write_text(changed(old, new, changed("/dev/line-a", "/dev/ttyUSB0")))
        result = CliRunner().invoke(check, [str(path)])
        assert result.exit_code == 1
        assert "note: " in result.stderr
        assert "/dev/ttyUSB0 is whichever adapter is found first" in result.stderr
        told = json.loads(CliRunner().invoke(check, [str(path), "--json"]).stdout)
        assert (told["ok"], len(told["notes"])) == (False, 1)


@pytest.mark.parametrize("device", ["/dev/ttyS0", "/dev/serial/by-path/usb-0:1.2-port0", "/dev/ttyUSB-left"])
def test_one_named_by_where_it_sits_is_not(device: str) -> None:
    assert notes(changed("/dev/line-a", device)) == []


def test_the_name_to_write_instead_is_looked_up(tmp_path: Path) -> None:
    (tmp_path / "ttyUSB0").touch()
    (tmp_path / "ttyUSB1").touch()
    folder = tmp_path / "by-path"
    assert by_path(str(tmp_path / "ttyUSB0"), folder) is None, "no such folder without an adapter"
    folder.mkdir()
    (folder / "usb-0:1.1-port0").symlink_to("../ttyUSB1")
    (folder / "usb-0:1.2-port0").symlink_to("../ttyUSB0")
    assert by_path(str(tmp_path / "ttyUSB0"), folder) == str(folder / "usb-0:1.2-port0")
    assert by_path(str(tmp_path / "ttyUSB2"), folder) is None
    assert by_path(str(tmp_path / "by-path/usb-0:1.1-port0"), folder) == str(folder / "usb-0:1.1-port0")


def test_lines_that_nobody_can_tell_apart_are_noted() -> None:
    text = """\
gateway: {id: shed-1}
buses: {line-a: {serial: /dev/a}, line-b: {serial: /dev/b}}
boards:
  relay-a: {bus: line-a, address: 1, profile: waveshare-relay-8}
  meter-a: {bus: line-a, address: 11, profile: pzem-016}
  relay-b: {bus: line-b, address: 1, profile: waveshare-relay-8}
  meter-b: {bus: line-b, address: 11, profile: pzem-016}
circuits: {shed: {}}
ports:
  - {id: A01, relay: relay-a/1, meter: meter-a, circuit: shed}
  - {id: B01, relay: relay-b/1, meter: meter-b, circuit: shed}
"""
    (said,) = notes(text)
    assert "lines line-a and line-b have boards at the same addresses, and none tells a serial number" in said
    assert notes(text.replace("bus: line-b, address: 11", "bus: line-b, address: 12")) == []
    assert notes(text.replace("pzem-016", "eastron-sdm120")) == []


def test_what_is_said_of_a_serial_line_that_is_none_is_noted() -> None:
    gateway = changed('{rtu_over_tcp: "10.0.0.2:4196"}', '{tcp: "10.0.0.2:502", parity: even, baudrate: 9600}')
    [note] = notes(gateway)
    assert "nobody acts on baudrate, parity of bus line-b: Modbus TCP has no serial line; leave it out" in note
    server = changed('{rtu_over_tcp: "10.0.0.2:4196"}', '{rtu_over_tcp: "10.0.0.2:4196", parity: even}')
    assert notes(server) == []


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
def test_metrics_for_this_machine_alone_are_not_noted(address: str) -> None:
    assert notes(changed(LIMITS, f'metrics: {{address: "{address}"}}')) == []


@pytest.mark.parametrize("address", ["0.0.0.0", "10.8.0.7", "::"])
def test_metrics_that_others_reach_are_noted(address: str) -> None:
    text, places = unmarked(changed(LIMITS, f'metrics: {{address: §"{address}"}}'))
    said = f"whoever reaches {address} can read this gateway's metrics, without a password"
    hint = "let a firewall or a tunnel see to who does, or leave address out and scrape on this machine"
    assert notes(text) == [f"{places[0]}: {said}; {hint}"]
