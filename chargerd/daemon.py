"""Composition root: builds the daemon from a checked site, supervises it, and leaves with every relay open.

Start: the journal first, since what it remembers decides what may close; then the buses, whose first commands open
every relay; then broker and control socket, which may come and go. End: sessions are settled, relays read back
open, records written, the broker told. If anything goes wrong that nobody foresaw, the relays come first.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

import structlog

from chargerd import __version__
from chargerd.config.site import Site
from chargerd.control.server import ControlServer
from chargerd.core.commands import Answer, ReplyStatus
from chargerd.core.events import ShutdownRequested, StoreChanged
from chargerd.core.facts import Fact
from chargerd.core.ledger import Body, Json, LedgerEntry, RememberedCommand, Reply
from chargerd.core.moment import Moment
from chargerd.core.plan import Limits
from chargerd.core.session import Order, SessionRecord
from chargerd.core.station import Station
from chargerd.core.units import PortId, Seconds, after
from chargerd.core.view import PortView
from chargerd.modbus.bus import Bus, build
from chargerd.mqtt import bodies
from chargerd.mqtt.client import MqttLink
from chargerd.runtime import sdnotify
from chargerd.runtime.backend import Backend
from chargerd.runtime.clock import SystemClock, boot_id
from chargerd.runtime.desk import Desk
from chargerd.runtime.engine import Engine
from chargerd.runtime.local import LocalHandler
from chargerd.runtime.onlooker import Onlooker
from chargerd.runtime.scribe import Scribe
from chargerd.runtime.supervisor import Supervisor
from chargerd.store.errors import StoreError
from chargerd.store.journal import Journal

log = structlog.get_logger(__name__)

SWITCH_INTERVAL = 0.0005
"""How long a thread keeps the interpreter: measured to bring a bus thread's p99 from 42 ms down to 25 at 19200 Bd."""
SETTLE_WITHIN = Seconds(8.0)
"""How long a clean exit waits for sessions to be settled: opening, read-back and register have 3 s each."""
OPEN_WITHIN = Seconds(3.0)
"""How long the last openings may take when the daemon gives up."""
GAVE_UP = 70
"""Exit code (EX_SOFTWARE of sysexits.h) after which systemd starts the daemon anew."""
RELAYS_FILE = "relays.json"
"""What `chargerd open-relays` opens when nobody else is there any more."""


class StartError(Exception):
    """The daemon cannot start; the message says what to do."""


class Daemon:
    """The whole daemon. `run` returns its exit code."""

    def __init__(self, site: Site, *, state_dir: Path, runtime_dir: Path) -> None:
        self._site = site
        self._clock = SystemClock()
        self._began = self._clock.now()
        self._leave = threading.Event()
        self._failure: str | None = None
        for folder in (state_dir, runtime_dir):
            _make(folder)
        try:
            self._journal = Journal.open(
                state_dir / "journal.db",
                clock=self._clock,
                boot_id=boot_id(),
                on_health=lambda writable: self._engine.dispatch(StoreChanged(writable=writable)),
                on_crash=self._crashed,
            )
        except StoreError as error:
            raise StartError(str(error)) from error
        recovery = self._journal.recovery
        self._clock.boot = recovery.boot
        self._station = Station(site.plan, self._clock.moment(), recovery.latches)
        self._engine = Engine(self._station, self._clock, self._journal, self._give_up)
        self._buses = build(site, clock=self._clock, emit=self._engine.dispatch, on_crash=self._crashed)
        self._by_port = {port: bus for bus in self._buses for port in bus.ports}
        self._desk = Desk(
            plan=site.plan,
            clock=self._clock,
            journal=self._journal,
            dispatch=self._engine.dispatch,
            reply_of=self._reply,
            known=recovery.known_ids,
        )
        self._link = self._make_link()
        self._local = LocalHandler(
            engine=self._engine, desk=self._desk, clock=self._clock, port_state=self._port_state, status=self._status
        )
        self._control = ControlServer(
            runtime_dir / "chargerctl.sock", self._local, clock=self._clock, on_crash=self._crashed
        )
        self._onlooker = self._make_onlooker()
        self._scribe = Scribe(self._journal, self._entry, self._onlooker.nudge)
        self._supervisor = self._make_supervisor()

    # Running

    def run(self) -> int:
        """Run until told to stop (SIGTERM, SIGINT), or until something nobody foresaw. Returns the exit code."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_leave)
        self._start()
        interval = min(1.0, (sdnotify.watchdog_interval() or 3.0) / 3)
        while not self._leave.wait(interval):
            self._tick()
        return self._give_up_now() if self._failure is not None else self._close()

    def _start(self) -> None:
        recovery = self._journal.recovery
        for note in self._site.notes:
            log.warning("configured_but_not_acted_on", what=note.what, line=note.line)
        if recovery.salvaged is not None:
            log.error("journal_was_damaged", moved_to=recovery.salvaged)
        self._journal.start()
        self._engine.connect(self._by_port, [self._scribe, self._desk])
        self._engine.begin(interrupted(recovery.sessions, recovery.unfinished))
        for bus in self._buses:
            bus.start()
        self._onlooker.start()
        if self._link is not None:
            self._link.start()
        self._desk.conclude(recovery.unfinished, self._to_backend)
        self._control.start()
        log.info("started", version=__version__, ports=len(self._site.ports), boot=recovery.boot)
        sdnotify.notify("READY=1", f"STATUS={len(self._site.ports)} ports on {len(self._buses)} buses")

    def _tick(self) -> None:
        stuck = self._supervisor.stuck()
        if stuck:
            self._give_up(f"hung: {', '.join(stuck)}")
            return
        sdnotify.notify("WATCHDOG=1")

    def _close(self) -> int:
        """Leave in order: settle, open, record, say goodbye."""
        sdnotify.notify("STOPPING=1")
        log.info("stopping")
        self._engine.dispatch(ShutdownRequested())
        deadline = after(self._clock.now(), SETTLE_WITHIN)
        pause = threading.Event()
        while not self._engine.idle() and self._failure is None and self._clock.now() < deadline:
            pause.wait(0.02)
        self._onlooker.stop()
        self._engine.stop()
        left = self._stop_buses()
        if self._link is not None:
            self._link.stop(cause="shutdown")
        self._control.stop()
        self._journal.close(SETTLE_WITHIN)
        if left:
            log.error("relays_not_confirmed_open", ports=left)
        log.info("stopped")
        return GAVE_UP if self._failure is not None else 0

    def _stop_buses(self) -> list[PortId]:
        if self._engine.idle():
            left: list[PortId] = []
        else:
            left = [port for bus in self._buses for port in bus.open_all(OPEN_WITHIN)]
        for bus in self._buses:
            bus.stop(OPEN_WITHIN)
        return left

    # Going wrong

    def _give_up(self, reason: str) -> None:
        """Note why we leave; the main thread opens the relays once more, watching, and exits."""
        if self._failure is None:
            self._failure = reason
            log.critical("giving_up", reason=reason)
        self._leave.set()

    def _crashed(self, error: BaseException) -> None:
        """A thread died of an exception nobody foresaw."""
        log.critical("thread_died", exc_info=error)
        self._engine.panic(f"{type(error).__name__}: {error}")
        self._give_up(f"{type(error).__name__}: {error}")

    def _give_up_now(self) -> int:
        """Open every relay, and see to it, before anything else; then leave without ceremony."""
        opening = [threading.Thread(target=bus.open_all, args=(OPEN_WITHIN,), daemon=True) for bus in self._buses]
        for thread in opening:
            thread.start()
        for thread in opening:
            thread.join(OPEN_WITHIN + 1.0)
        self._journal.close(Seconds(2.0))
        sys.stdout.flush()
        os._exit(GAVE_UP)

    def _asked_to_leave(self, number: int, _frame: FrameType | None) -> None:
        log.info("asked_to_leave", signal=signal.Signals(number).name)
        self._leave.set()

    # Building

    def _make_link(self) -> MqttLink | None:
        mqtt = self._site.mqtt
        if mqtt is None:
            return None
        link = MqttLink(
            config=mqtt,
            gateway=self._site.gateway.id,
            clock=self._clock,
            ledger=self._journal,
            states=self,
            on_command=lambda incoming, acknowledge: self._backend.command(incoming, acknowledge),
            on_alarm=self._alarm,
            on_crash=self._crashed,
        )
        self._backend = Backend(
            link=link, desk=self._desk, clock=self._clock, reading_interval=Seconds(mqtt.reading_interval_s)
        )
        self._journal.on_appended = lambda _seq: link.rows_added()
        return link

    def _make_onlooker(self) -> Onlooker:
        listeners = [self._local.looked]
        if self._link is not None:
            listeners.append(self._backend.looked)
        return Onlooker(self._engine.views, self._clock, listeners)

    def _make_supervisor(self) -> Supervisor:
        supervisor = Supervisor(self._clock)
        for bus in self._buses:
            supervisor.watch(f"bus {bus.name}", _turn_of(bus), Seconds(10.0))
        supervisor.watch("deadlines", _turn_of(self._engine), Seconds(5.0))
        supervisor.watch("journal", _turn_of(self._journal), Seconds(60.0))
        supervisor.watch("onlooker", _turn_of(self._onlooker), Seconds(15.0))
        supervisor.watch("control", _turn_of(self._control), Seconds(15.0))
        if self._link is not None:
            supervisor.watch("mqtt", _turn_of(self._link), Seconds(90.0))
        return supervisor
