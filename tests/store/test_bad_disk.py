"""A disk that fails under a charging station: the real station, engine, desk and journal on a disk with faults."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from chargerd.core.units import PortId
from chargerd.store import schema
from tests.campaign.books import Truth
from tests.campaign.shed import Shed
from tests.core.plant import port_plan
from tests.judging import every
from tests.logs import silence
from tests.store.recorder import Connection, Faults, RecordingVfs

Break = Callable[[Faults], None]


def fill(faults: Faults) -> None:
    faults.full = True


def break_writes(faults: Faults) -> None:
    faults.refused = {"write"}


def break_syncs(faults: Faults) -> None:
    faults.refused = {"sync"}


def make_read_only(faults: Faults) -> None:
    faults.read_only = True


KINDS: dict[str, Break] = {
    "full": fill,
    "writes fail": break_writes,
    "syncs fail": break_syncs,
    "read-only": make_read_only,
}
SHAKEN = {"writes fail", "syncs fail"}
"""After these a new process has to begin before anything closes."""


class Trouble:
    """A shed of four on a disk that can be broken and mended."""

    def __init__(self, folder: Path) -> None:
        self.vfs = RecordingVfs(f"faulty-{folder.name}")
        self.vfs.recording = False
        with self.disk():
            self.shed = Shed(folder, *(port_plan(f"A0{number}", number) for number in (1, 2, 3, 4)))
        self.books = Truth(self.shed)
        for port in self.shed.plans:
            self.shed.draw(0.0, 0.0, port=port)
        self.shed.run(10.0)

    @contextmanager
    def disk(self) -> Iterator[None]:
        """Put the faulty disk under what is opened meanwhile."""
        with patch.object(schema, "opened", lambda path: Connection(path, self.vfs, {})):
            yield

    def charge(self, *ports: str) -> None:
        """Start ports and let current flow."""
        for port in ports:
            self.shed.ask_start(port)
            self.shed.draw(1.0, 200.0, port=port)
        self.shed.run(30.0)
        assert every(self.closed(port) for port in ports)

    def closed(self, port: str) -> bool:
        """Say whether the contact of a port is closed."""
        return self.shed.contacts[PortId(port)].closed

    def mend(self) -> None:
        """Let the disk work again, and the pause pass."""
        self.vfs.faults.refused, self.vfs.faults.full, self.vfs.faults.read_only = set(), False, False
        self.shed.run(20.0)
        self.shed.mend_disk()
        self.shed.run(5.0)

    def restart(self) -> None:
        """Kill the daemon and let the next one begin on the same disk."""
        with self.disk():
            self.shed.kill(2.0)
        self.shed.run(10.0)

    def finish(self) -> int:
        """End what is under way; return how many settlements there are. Each session has one, in a whole chain."""
        for port in self.shed.plans:
            self.shed.ask_stop(port)
        self.shed.run(30.0)
        self.books.close()
        rows = self.shed.settlement_rows()
        assert sorted(rows) == sorted(set(rows))
        assert set(rows) >= self.books.started
        assert self.shed.real.verify_settlements() == ()
        assert self.shed.real.close(1.0)
        return len(rows)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with silence():
        yield


@pytest.fixture
def trouble(tmp_path: Path) -> Trouble:
    return Trouble(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_no_relay_closes_and_what_runs_stays_protected_and_is_settled_later(trouble: Trouble, kind: str) -> None:
    shed = trouble.shed
    trouble.charge("A01", "A02", "A03")
    KINDS[kind](trouble.vfs.faults)
    refused = shed.ask_start("A04")
    shed.run(70.0)  # A checkpoint is due, and fails.
    assert shed.replies[refused] == ["rejected store_unavailable"]
    assert not trouble.closed("A04")
    assert every(trouble.closed(port) for port in ("A01", "A02", "A03")), "what runs goes on"
    shed.draw(9.0, 1900.0, port="A01")
    shed.run(3.0)
    assert not trouble.closed("A01"), "overcurrent opens without a disk"
    shed.ask_stop("A02")
    shed.run(5.0)
    assert not trouble.closed("A02"), "and so does a stop"
    assert not shed.settlement_rows()
    trouble.mend()
    assert len(shed.settlement_rows()) == 2
    assert trouble.closed("A03")
    again = shed.ask_start("A04")
    shed.draw(1.0, 200.0, port="A04")
    shed.run(30.0)
    assert trouble.closed("A04") is (kind not in SHAKEN)
    assert ("rejected store_unavailable" in shed.replies[again]) is (kind in SHAKEN)
    assert not shed.real.restart_wanted or kind in SHAKEN
    if kind in SHAKEN:
        assert shed.real.restart_wanted
        trouble.restart()
        trouble.charge("A04")
    trouble.finish()


def test_one_relay_nobody_can_confirm_does_not_keep_the_site_waiting_for_a_new_process(trouble: Trouble) -> None:
    shed = trouble.shed
    trouble.charge("A01", "A02")
    break_writes(trouble.vfs.faults)
    shed.run(70.0)
    shed.board.silent = True
    shed.ask_stop("A01")
    shed.run(60.0)
    trouble.mend()
    assert shed.real.restart_wanted
    shed.ask_stop("A02")
    shed.run(60.0)
    assert shed.engine.at_rest()
    assert not shed.engine.idle()
    trouble.restart()
    shed.board.silent = False
    shed.run(20.0)
    trouble.charge("A03")
    assert trouble.finish() == 3


@pytest.mark.parametrize("waits", [0.1, 20.0, 59.0])
def test_a_stop_behind_a_start_on_a_stalled_disk_keeps_the_relay_open(trouble: Trouble, waits: float) -> None:
    shed = trouble.shed
    shed.stalled_until = shed.now + waits
    start = shed.ask_start("A01")
    stop = shed.ask_stop("A01", shed.session_of(start))
    shed.run(waits + 20.0)
    assert not trouble.closed("A01")
    assert shed.replies == {start: ["rejected conflict"], stop: ["accepted ok", "done ok"]}
    assert list(shed.replies) == [stop, start], "accepted first; its last word comes after the start's"
    assert not [line for line in shed.book if line.text == "close"]
    trouble.charge("A01")
    trouble.finish()


@pytest.mark.parametrize("kind", KINDS)
def test_a_daemon_killed_with_a_broken_disk_settles_from_what_is_on_it(trouble: Trouble, kind: str) -> None:
    shed = trouble.shed
    trouble.charge("A01", "A02")
    KINDS[kind](trouble.vfs.faults)
    shed.run(70.0)
    shed.ask_stop("A02")
    shed.run(5.0)
    assert not trouble.closed("A02")
    trouble.vfs.faults.refused, trouble.vfs.faults.full, trouble.vfs.faults.read_only = set(), False, False
    trouble.restart()
    shed.run(30.0)
    assert trouble.finish() == 2


def test_a_replaced_disk_gets_the_sessions_under_way(trouble: Trouble, tmp_path: Path) -> None:
    shed = trouble.shed
    trouble.charge("A01", "A02")
    break_writes(trouble.vfs.faults)
    shed.run(70.0)
    for file in tmp_path.glob("journal.db*"):
        file.unlink()
    with trouble.disk():
        trouble.mend()
    assert trouble.closed("A01")
    assert len(shed.durable_sessions()) == 2
    shed.ask_stop("A01")
    shed.run(10.0)
    assert len(shed.settlement_rows()) == 1
    trouble.restart()
    shed.run(30.0)
    trouble.finish()
