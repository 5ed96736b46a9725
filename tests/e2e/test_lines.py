"""Another line on the same adapter, at the real daemon: nothing is resumed on it, and nothing starts."""

import json
import signal

import pytest
from click.testing import CliRunner, Result

from chargerd.cli.chargerctl import main
from chargerd.sim.loads import resistive
from tests.site import DaemonSite

pytestmark = pytest.mark.e2e


def ctl(site: DaemonSite, *words: str) -> Result:
    return CliRunner().invoke(main, ["--socket", str(site.socket), *words])


def exchange_meters(site: DaemonSite) -> None:
    """Let other boards of the same kinds answer at the same addresses, as on a line that was exchanged."""
    for name in ("meter-a1", "meter-a2", "meter-a3", "meter-a4"):
        board = site.world.board(name)
        board.identity = {place: word ^ 1 for place, word in board.identity.items()}


def test_a_session_is_not_resumed_on_another_line_until_somebody_has_looked(alone: DaemonSite) -> None:
    alone.world.socket("A01").plug(resistive("heater", 1.0))
    alone.ask("start", port="A01")
    alone.wait_state("A01", "charging")
    said = "it is another board than before"
    assert said not in ctl(alone, "boards").stdout
    alone.end(signal.SIGKILL)
    alone.wait(lambda: not alone.contact("A01"), "the lease does not lapse")
    closings = len(alone.edges("A01"))
    exchange_meters(alone)
    alone.start()
    alone.wait(lambda: "line_changed" in ctl(alone, "port", "A02", "--json").stdout, "it is not noticed")
    assert said in ctl(alone, "boards").stdout
    assert alone.port("A01")["state"] == "suspended"
    refused = ctl(alone, "start", "A02")
    assert (refused.exit_code, "line" in refused.output) == (1, True)
    assert len(alone.edges("A01")) == closings
    assert ctl(alone, "accept-line", "line-b").exit_code == 1
    accepted = json.loads(ctl(alone, "accept-line", "line-a", "--json").stdout)
    assert accepted["bus"] == "line-a"
    assert "meter-a1" in accepted["boards"]
    alone.wait_state("A01", "charging")
    assert alone.port("A02")["blocked_by"] == []
