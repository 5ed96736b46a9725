"""What a start does first: it opens the relays the daemon drove last, whatever becomes of the start."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chargerd.config.kept import KEPT_FILE
from chargerd.core.units import Watts
from chargerd.modbus.emergency import RELAYS_FILE
from chargerd.sim.loads import Load, Phase
from tests.site import DaemonSite

pytestmark = pytest.mark.e2e


def bike() -> Load:
    return Load(name="bike", shape=lambda _s: (Watts(150.0), Phase.CHARGING), power_factor=0.6, noise=Watts(0.0))


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[DaemonSite]:
    """A port charges on a board that holds its relay closed by itself, and the daemon is dead."""
    with DaemonSite(tmp_path) as one:
        one.wait_ready()
        one.world.socket("A01").plug(bike())
        assert one.ask("start", port="A01")["status"] == "done"
        one.end(signal.SIGKILL)
        assert one.contact("A01")
        yield one


def run(site: DaemonSite, config: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chargerd", "run", "--config", str(config)]
    command += ["--state-dir", str(site.state), "--runtime-dir", str(site.socket.parent)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_configuration_that_has_become_wrong_does_not_leave_a_relay_closed(killed: DaemonSite) -> None:
    killed.config.write_text("nonsense")
    (killed.state / KEPT_FILE).unlink(missing_ok=True)
    done = run(killed, killed.config)
    assert done.returncode == 78
    assert "relays_not_opened_first" not in done.stderr
    assert not killed.contact("A01")
    assert killed.edges("A01")[-1][2] is False, "opened by the start, not by the board's timer"


def test_a_list_of_relays_that_are_no_longer_configured_is_sent_all_the_same(killed: DaemonSite) -> None:
    killed.config.write_text(killed.config.read_text().replace("A01..A04", "B01..B04"))
    killed.start()
    killed.wait_ready()
    assert killed.edges("A01")[-1][1:] == (False, False)


def test_a_list_that_is_none_keeps_nothing_from_starting(killed: DaemonSite) -> None:
    path = killed.state / RELAYS_FILE
    path.write_bytes(path.read_bytes()[:100])
    killed.start()
    killed.wait_state("A01", "charging")
    assert "is no list of relays" in killed.log.read_text()
    assert b'"lines"' in path.read_bytes()


def test_a_second_daemon_by_mistake_tells_no_relay_of_the_first_one_to_open(killed: DaemonSite) -> None:
    folder = os.open(killed.state, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        run(killed, killed.folder / "none.yaml")
    finally:
        os.close(folder)
    assert killed.edges("A01")[-1][1] or killed.edges("A01")[-1][2], "closed, or opened by the board's own timer"


def test_a_daemon_keeps_its_folder_from_its_very_first_start_on(tmp_path: Path) -> None:
    with DaemonSite(tmp_path) as site:
        site.wait_ready()
        folder = os.open(site.state, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(folder)


def test_a_session_that_goes_on_is_opened_first_and_closed_again(killed: DaemonSite) -> None:
    closings = len(killed.edges("A01"))
    killed.start()
    killed.wait_state("A01", "charging")
    assert [edge[1:] for edge in killed.edges("A01")[closings:]] == [(False, False), (True, False)]
