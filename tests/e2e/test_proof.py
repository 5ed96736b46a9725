"""A wiring proof from the terminal to the contacts: real ptys, the real daemon, a person with a load."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest

from chargerd.core.units import PortId, Watts
from chargerd.sim.loads import Load, Phase
from tests.patience import PATIENCE_S
from tests.site import DaemonSite

pytestmark = pytest.mark.e2e
WATTS = 100.0
LOAD = Load(name="lamp", shape=lambda _s: (Watts(WATTS), Phase.CHARGING), power_factor=1.0, noise=Watts(0.0))


def chargerctl(site: DaemonSite, *arguments: str) -> "pexpect.spawn[str]":
    program = "from chargerd.cli.chargerctl import main; main()"
    command = ["-c", program, "--socket", str(site.socket), *arguments]
    environment = {**os.environ, "COLUMNS": "80", "TERM": "dumb"}
    return pexpect.spawn(
        sys.executable, command, encoding="utf-8", timeout=PATIENCE_S, env=environment, dimensions=(40, 80)
    )


def load_into(site: DaemonSite, port: str) -> None:
    """Carry the load to a socket."""
    for name in ("A01", "A02"):
        site.world.socket(name).unplug()
    site.world.socket(port).plug(LOAD)


@pytest.mark.long
def test_exchanged_meters_are_named_and_a_broken_off_proof_goes_on(tmp_path: Path) -> None:
    report = tmp_path / "proof.json"
    with DaemonSite(tmp_path, ports=2, relays=", lease: off") as site:
        site.wait_ready()
        for meter, socket in (("A01", "A02"), ("A02", "A01")):
            site.world.meter(meter).socket = site.world.socket(socket)
        person = chargerctl(site, "prove", "--load", "100", "--by", "Ann", "--report", str(report))
        person.expect_exact("Put the load into socket A01")
        with pytest.raises(Exception, match="proving"):
            _raise(site.ask("start", port="A01"))
        load_into(site, "A01")
        person.sendline("")
        person.expect("A01: WRONG: the load in A01 shows on the meter of")
        person.expect_exact("Put the load into socket A02")
        person.kill(signal.SIGINT)
        person.expect_exact("broken off")
        person.expect(pexpect.EOF)
        person.close()
        assert person.exitstatus == 5
        site.wait(lambda: not site.port("A02")["blocked_by"].count("proving"), "the ports are not let go")
        assert site.port("A01")["latches"]
        site.end(signal.SIGKILL)
        site.start()
        site.wait(lambda: _answers(site), "the daemon does not come back")
        person = chargerctl(site, "prove", "--load", "100", "--by", "Ann", "--report", str(report))
        person.expect_exact("done: A01")
        person.expect_exact("Put the load into socket A02")
        load_into(site, "A02")
        person.sendline("")
        person.expect_exact("RESULT: WRONG: A01, A02: the meters of A01 and A02 are exchanged")
        person.expect(pexpect.EOF)
        person.close()
        assert person.exitstatus == 4
        assert not any(site.contact(port) for port in ("A01", "A02"))
        assert [latch["function"] for latch in site.port("A02")["latches"]] == ["wiring_suspect"]
    told: dict[str, Any] = json.loads(report.read_text())
    assert (told["result"], told["by"], told["load_w"]) == ("findings", "Ann", 100.0)
    assert {(one["kind"], one["mutual"]) for one in told["findings"]} == {("meter_exchanged", True)}
    assert PortId("A01") in {port["port"] for port in told["ports"]}


def _answers(site: DaemonSite) -> bool:
    try:
        ports = site.ask("status")["ports"]
    except Exception:  # noqa: BLE001 - it has just been started
        return False
    return all(port["reading"]["quality"] == "good" and port["relay_closed"] is False for port in ports)


def _raise(reply: dict[str, Any]) -> None:
    raise RuntimeError(reply["code"])
