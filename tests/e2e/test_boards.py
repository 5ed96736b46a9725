"""`chargerctl boards` at the real daemon: how each board does, and what is wrong with one that is silent."""

import json
import sys
from typing import Any

import pexpect
from click.testing import CliRunner

from chargerd.cli.chargerctl import main
from tests.e2e.test_sessions import steady
from tests.judging import every
from tests.patience import PATIENCE_S
from tests.site import DaemonSite

PATIENT = ("--timeout-ms", "500")
"""The simulated boards are slow on a busy machine."""


def ctl(site: DaemonSite, *words: str) -> str:
    result = CliRunner().invoke(main, ["--socket", str(site.socket), *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def boards(site: DaemonSite, *options: str) -> str:
    return ctl(site, "boards", *options)


def test_boards_are_shown_with_their_figures_and_a_silent_one_by_name(alone: DaemonSite) -> None:
    told = json.loads(boards(alone, "--json"))
    (bus,) = told["buses"]
    assert bus["connected"]
    assert bus["findings"] == []
    answers = {board["board"]: board["answers"] for board in bus["boards"]}
    assert every(count > 0 for count in answers.values()), answers
    silent = next(name for name in answers if name.startswith("meter"))
    asks_by_hand(alone)
    alone.world.board(silent).silence()
    alone.wait(lambda: "does not answer, others do" in boards(alone), "it is not noticed")
    assert f"{silent}: does not answer, others do; look at its supply" in boards(alone)
    tells_why(alone, silent)


def tells_why(site: DaemonSite, silent: str) -> None:
    """Name the silent board, the port it concerns, and what that port waits for."""
    assert site.ask("circuit", circuit="shed")["claims"] == []
    port = f"A{int(silent.removeprefix('meter-a')):02d}"
    site.wait(lambda: site.port(port)["blocked_by"] == ["meter_stale"], "the port does not say why")
    told = CliRunner().invoke(main, ["--socket", str(site.socket), "why"])
    assert told.exit_code == 1
    first = next(line for line in told.stdout.splitlines() if silent in line)
    assert f"{silent} on line-a: does not answer, others do; it concerns {port}" in first
    explained = CliRunner().invoke(main, ["--socket", str(site.socket), "explain", port])
    assert explained.exit_code == 1
    assert explained.stdout.startswith(f"{port} blocked: the meter {silent} does not answer")
    assert "the journal has not told" not in explained.stdout


def asks_by_hand(site: DaemonSite) -> None:
    """Scan, read, write and look on beside the daemon's own polls."""
    told = json.loads(ctl(site, "scan", "line-a", "--units", "1,11..12", *PATIENT, "--json"))
    assert told["findings"] == []
    looked = {(one["about"], one["verdict"]) for one in site.ask("doctor")["checks"]}
    assert {("journal", "ok"), ("board relay-a", "ok")} <= looked
    assert [one["as_configured"] for one in told["found"]] == [True] * 3
    assert ctl(site, "read", "meter-a1", "voltage").startswith("voltage: 2")
    assert "holds 0 (0x0000) now" in ctl(site, "write", "relay-a", "c:5", "off", "--yes")
    assert "relay-a read 16 coils" in ctl(site, "trace", "line-a", "--board", "relay-a", "--count", "1")
    on_a_terminal(site)
    while_a_port_charges(site)


def while_a_port_charges(site: DaemonSite) -> None:
    """Scan beside a charge, which goes on; and be refused what could harm it."""
    site.world.socket("A02").plug(steady())
    assert "current flows" in ctl(site, "start", "A02")
    refused = CliRunner().invoke(main, ["--socket", str(site.socket), "write", "relay-a", "c:1", "off", "--yes"])
    assert refused.exit_code == 1
    assert "relay-a serves A02, and A02 is charging: nothing is written to a board of a port" in refused.stderr
    told = json.loads(ctl(site, "scan", "line-a", "--units", "11..12", *PATIENT, "--json"))
    assert told["why_no_rates"] == "A02 in use: another rate is tried only while no port of the line is"
    assert site.port("A02")["state"] == "charging"
    assert "settled" in ctl(site, "stop", "A02")


def on_a_terminal(site: DaemonSite) -> None:
    """Be asked before something is written, and see how far a scan is."""
    start = "import sys; from chargerd.cli.chargerctl import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", start, "--socket", str(site.socket)]

    def spawn(*words: str) -> Any:
        return pexpect.spawn(
            command[0], [*command[1:], *words], timeout=PATIENCE_S, encoding="utf-8", dimensions=(24, 40)
        )

    asked = spawn("write", "relay-a", "c:6", "off")
    asked.expect_exact("Write 0 (0x0000) to coil 0x0006 of relay-a?")
    asked.sendline("y")
    asked.expect_exact("relay-a: 0x0006 holds 0 (0x0000) now")
    asked.expect(pexpect.EOF)
    scanned = spawn("scan", "line-a", "--units", "1,11..13", "--quick", *PATIENT)
    scanned.expect("[1-4] of 4, 0:0[0-9] left")
    scanned.expect("3 meter-a3|13 meter-a3")
    scanned.expect(pexpect.EOF)
    scanned.close()
    assert scanned.exitstatus == 0
