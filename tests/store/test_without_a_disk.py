"""The real daemon process on a full disk and on a read-only one: it watches, nothing closes, and it says why."""

import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from chargerd.control.client import ControlClient, ControlFailure
from tests.patience import PATIENCE_S
from tests.site import DaemonSite
from tests.store.test_failures import fill, mounted

pytestmark = pytest.mark.e2e

REMOUNT, READ_ONLY = 32, 1
"""Flags of mount(2)."""
GAVE_UP = 70


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    yield from mounted(tmp_path / "state", b"size=1m")


@pytest.fixture
def site(tmp_path: Path, disk: Path) -> Iterator[DaemonSite]:
    """Build a site whose daemon has run once, and runs no more."""
    with DaemonSite(tmp_path) as one:
        assert one.state == disk
        one.wait_ready()
        assert one.end(signal.SIGTERM) == 0
        yield one


def remount(disk: Path, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"none", os.fsencode(disk), b"tmpfs", flags | REMOUNT, b"size=1m") == 0


def store(site: DaemonSite) -> dict[str, object]:
    try:
        found: dict[str, object] = site.ask("status")["store"]
    except ControlFailure:
        return {}
    return found


def first_reply(site: DaemonSite) -> dict[str, object]:
    with ControlClient(site.socket, timeout=PATIENCE_S) as client:
        reply: dict[str, object] = next(client.stream("start", port="A01"))
        return reply


def start_is_refused(site: DaemonSite) -> None:
    site.wait(lambda: site.port("A01")["blocked_by"] == ["store_unavailable"], "the port does not say why")
    reply = first_reply(site)
    assert (reply["status"], reply["code"]) == ("rejected", "store_unavailable")
    assert site.edges("A01") == []


def test_on_a_full_disk_it_watches_and_charges_again_when_there_is_room(site: DaemonSite, disk: Path) -> None:
    fill(disk / "filler")
    site.start()
    site.wait(lambda: store(site).get("writable") is False, "it does not say that it cannot write")
    assert "full" in str(store(site)["why_not"])
    start_is_refused(site)
    (disk / "filler").unlink()
    site.wait(lambda: store(site).get("writable") is True, "it does not notice the room")
    assert store(site)["why_not"] is None
    site.wait_ready()
    assert first_reply(site)["status"] == "accepted"


def test_on_a_read_only_disk_it_watches_and_begins_anew_when_that_is_over(site: DaemonSite, disk: Path) -> None:
    remount(disk, READ_ONLY)
    site.start()
    site.wait(lambda: store(site).get("writable") is False, "it does not say that it cannot write")
    start_is_refused(site)
    remount(disk, 0)
    assert site.process is not None
    assert site.process.wait(PATIENCE_S) == GAVE_UP
    assert "begin anew" in site.log.read_text()
    site.start()
    site.wait_ready()
    assert store(site)["writable"] is True
