"""The whole daemon without a line: what it does when it begins on a bad disk, and when it gives up."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chargerd import log
from chargerd.config.loader import load_text
from chargerd.config.site import Site
from chargerd.control.client import ControlClient, ControlFailure
from chargerd.core.clock import Clock
from chargerd.core.commands import BusCommand, OpenRelay
from chargerd.core.events import BusEvent, RelayReadBack, ReserveRequested
from chargerd.core.session import Source
from chargerd.core.units import Instant, PortId, Seconds, SessionId
from chargerd.daemon import GAVE_UP, Daemon
from chargerd.runtime.engine import Engine
from chargerd.runtime.process.supervisor import Supervisor
from chargerd.sim.event_bus import EventBus
from chargerd.sim.world import World
from chargerd.store.journal import Journal
from chargerd.store.place import Upkeep
from tests.logs import capture_logs
from tests.patience import PATIENCE_S

A01 = PortId("A01")
SETTLED = Seconds(0.4)
"""Longer than boards take to show what was written."""
SITE = """
gateway: {id: shed, name: Shed}
buses: {line: {rtu_over_tcp: "127.0.0.1:1", baudrate: 9600}}
boards:
  relay: {bus: line, address: 1, profile: waveshare-relay-16}
  meter: {bus: line, address: 11, profile: eastron-sdm120}
circuits: {shed: {}}
ports: [{id: A01, relay: relay/1, meter: meter, circuit: shed}]
"""


class TalkingBus(EventBus):
    """In a thread of its own, it tells what it reads back while it opens everything, as a bus with a line does."""

    def __init__(self, site: Site, world: World, *, clock: Clock, emit: Callable[[BusEvent], None]) -> None:
        super().__init__("line", site, world, clock=clock, emit=emit)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        super().start()
        self._thread.start()

    def stop(self, timeout: Seconds) -> None:
        self._stopped.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopped.wait(0.02):
            self.turn()

    def open_all(self, within: Seconds) -> tuple[PortId, ...]:
        left = super().open_all(within)
        for _ in range(3):
            self._clock.sleep(SETTLED)  # Else nothing would be held against the relay anyway.
            now = self._clock.now()
            self._emit(RelayReadBack(port=A01, closed=False, sent_at=now, at=now))
        return left


@pytest.fixture
def healths() -> list[Callable[[bool], None]]:
    """Whom the journal tells whether it can write."""
    return []


@pytest.fixture
def crashes() -> list[Callable[[BaseException], None]]:
    """Whom a bus tells that its thread has died."""
    return []


@pytest.fixture
def world() -> World:
    return World(load_text(SITE, "test"), seed=1)


@pytest.fixture
def daemon(
    tmp_path: Path,
    world: World,
    healths: list[Callable[[bool], None]],
    crashes: list[Callable[[BaseException], None]],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Daemon]:
    make = Journal.open

    def watched(path: Path, **others: Any) -> Journal:
        healths.append(others["on_health"])
        return make(path, **others)

    monkeypatch.setattr(Journal, "open", watched)

    def make_buses(
        site: Site, *, clock: Clock, emit: Callable[[BusEvent], None], on_crash: Callable[[BaseException], None]
    ) -> tuple[TalkingBus]:
        crashes.append(on_crash)
        return (TalkingBus(site, world, clock=clock, emit=emit),)

    with capture_logs():
        yield Daemon(
            load_text(SITE, "test"),
            state_dir=tmp_path / "state",
            runtime_dir=tmp_path / "run",
            make_buses=make_buses,
            upkeep=Upkeep(),
        )


def look(folder: Path) -> dict[str, Any]:
    """Return the port as the control socket shows it; nothing while there is none yet."""
    try:
        with ControlClient(folder / "run" / "chargerctl.sock") as client:
            shown: dict[str, Any] = client.call("port", port=A01)
    except ControlFailure:
        return {"state": None, "blocked_by": ["nobody there"]}
    return shown


def wait(folder: Path, until: Callable[[Mapping[str, Any]], bool]) -> None:
    """Wait until the port is as it should be."""
    deadline = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not until(port := look(folder)):
        assert time.monotonic() < deadline, port
        pause.wait(0.03)


def test_relays_opened_by_a_daemon_that_gives_up_are_no_fault_of_theirs(
    daemon: Daemon, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    hung = threading.Event()
    monkeypatch.setattr("os._exit", left.append)
    monkeypatch.setattr("signal.signal", lambda _number, _handler: None)
    monkeypatch.setattr(Supervisor, "stuck", lambda _self: ("mqtt",) if hung.is_set() else ())
    running = threading.Thread(target=daemon.run, daemon=True)
    running.start()
    wait(tmp_path, lambda port: not port["blocked_by"])
    with ControlClient(tmp_path / "run" / "chargerctl.sock") as client:
        next(client.stream("start", port=A01))
    wait(tmp_path, lambda port: port["state"] == "charging")
    assert world.relay(A01).coil
    hung.set()
    running.join(PATIENCE_S)
    assert left == [GAVE_UP]
    assert log._OUTPUT.listener is None, "what is told from here on finds no journal"  # noqa: SLF001
    assert not world.relay(A01).coil, "it has opened them itself, since nobody decides any more"
    port = look(tmp_path)
    assert not port["latches"], "it would want somebody on site, and is not to blame"
    assert port["session_id"] is not None, "the next daemon takes it up"
    assert daemon.stop() == GAVE_UP


def test_a_thread_that_dies_has_every_relay_opened_before_anybody_looks(
    daemon: Daemon,
    world: World,
    crashes: list[Callable[[BaseException], None]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    daemon.start()
    wait(tmp_path, lambda port: not port["blocked_by"])
    with ControlClient(tmp_path / "run" / "chargerctl.sock") as client:
        next(client.stream("start", port=A01))
    wait(tmp_path, lambda port: port["state"] == "charging")
    assert world.relay(A01).coil
    told: list[object] = []
    execute = EventBus.execute

    def watched(bus: EventBus, command: BusCommand) -> None:
        told.append(command)
        execute(bus, command)

    monkeypatch.setattr(EventBus, "execute", watched)
    crashes[0](ZeroDivisionError("a mistake"))
    assert OpenRelay(port=A01) in told, "the bus was told nothing"
    assert daemon.failure == "ZeroDivisionError: a mistake"
    assert daemon.stop() == GAVE_UP


def test_a_restart_of_its_own_would_meet_neither_a_session_nor_a_reservation_nor_a_proof(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.start()
    wait(tmp_path, lambda port: not port["blocked_by"])
    unused, dispatch = daemon._unused, daemon._engine.dispatch  # noqa: SLF001 - what it asks is the question
    assert not unused(), "nobody would begin it anew"
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid() + 1))
    assert not unused(), "what is to be begun anew is another process"
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid()))
    assert unused()
    with monkeypatch.context() as patch:
        patch.setattr(daemon._proofs, "_prover", SimpleNamespace(busy=True))  # noqa: SLF001
        assert not unused(), "a proof goes on"
    for lasts, free in ((60.0, False), (0.0, True)):
        dispatch(ReserveRequested(port=A01, session=SessionId("S-1"), source=Source.REMOTE, lasts=Seconds(lasts)))
        assert unused() is free
    with ControlClient(tmp_path / "run" / "chargerctl.sock") as client:
        next(client.stream("start", port=A01))
    wait(tmp_path, lambda port: port["state"] == "charging")
    assert not unused(), "a session goes on"
    daemon.stop()


def test_each_thread_that_hangs_is_noticed_in_its_time(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, now = daemon._supervisor, Instant(0.0)  # noqa: SLF001 - whom it watches is the question
    daemon.start()
    watched = [replace(one, last_turn=lambda: Instant(0.0)) for one in supervisor._watched]  # noqa: SLF001
    monkeypatch.setattr(supervisor, "_watched", watched)
    monkeypatch.setattr(supervisor, "_clock", SimpleNamespace(now=lambda: now))
    noticed = []
    for at in (4.9, 5.1, 9.9, 10.1, 14.9, 15.1, 59.9, 60.1):
        now = Instant(at)
        noticed.append((at, set(supervisor.stuck())))
    sooner, buses, later = (
        {"deadlines"},
        {"deadlines", "bus line"},
        {"deadlines", "bus line", "onlooker", "control"},
    )
    assert noticed == [
        (4.9, set()),
        (5.1, sooner),
        (9.9, sooner),
        (10.1, buses),
        (14.9, buses),
        (15.1, later),
        (59.9, later),
        (60.1, later | {"journal"}),
    ]
    assert daemon.stop() == 0


def test_after_an_error_of_the_disk_it_begins_anew_with_the_end_of_the_last_session_whatever_relays_say(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    shaken = threading.Event()
    ticked = threading.Semaphore(0)
    monkeypatch.setattr("os._exit", left.append)
    monkeypatch.setattr("signal.signal", lambda _number, _handler: None)
    monkeypatch.setattr("chargerd.runtime.process.sd_notify.watchdog_interval", lambda: 0.1)
    monkeypatch.setattr("chargerd.runtime.process.sd_notify.notify", lambda *_what: ticked.release())
    monkeypatch.setattr(Journal, "restart_wanted", property(lambda _self: shaken.is_set()))
    monkeypatch.setattr(Engine, "idle", lambda _self: False)  # One relay is not read back any more.
    running = threading.Thread(target=daemon.run, daemon=True)
    running.start()
    wait(tmp_path, lambda port: not port["blocked_by"])
    with ControlClient(tmp_path / "run" / "chargerctl.sock") as client:
        next(client.stream("start", port=A01))
    wait(tmp_path, lambda port: port["state"] == "charging")
    shaken.set()
    while ticked.acquire(blocking=False):
        pass
    for _ in range(3):
        assert ticked.acquire(timeout=20), "it watches on while somebody charges"
    assert not left
    with ControlClient(tmp_path / "run" / "chargerctl.sock") as client:
        next(client.stream("stop", port=A01))
    running.join(20)
    assert left == [GAVE_UP]


def test_a_disk_that_fails_as_the_daemon_begins_keeps_nobody_from_protecting(
    daemon: Daemon, tmp_path: Path, healths: list[Callable[[bool], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Journal.start

    def fail(journal: Journal) -> None:
        begin(journal)
        healths[0](False)

    monkeypatch.setattr(Journal, "start", fail)
    daemon.start()
    wait(tmp_path, lambda port: port["blocked_by"] == ["store_unavailable"])
    assert daemon.failure is None
    assert daemon.stop() == 0
