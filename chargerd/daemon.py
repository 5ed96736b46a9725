"""Composition root: builds the daemon from a checked site, supervises it, and leaves with every relay open.

Start: the journal first, since what it remembers decides what may close; then the buses, whose first commands open
every relay; then broker and control socket, which may come and go. End: relays are read back open, what waits for
the next start is written down, the broker told. If anything goes wrong that nobody foresaw, the relays come first.
"""

import os
import signal
import sys
import threading
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from chargerd import __version__, log
from chargerd.config.choosing import Chosen
from chargerd.config.document import MqttSection
from chargerd.config.site import Site
from chargerd.contract import bodies
from chargerd.contract.commands import Incoming, Refusal
from chargerd.contract.ledger import (
    Batch,
    Json,
    LedgerEntry,
    Owner,
    Recovery,
    RememberedCommand,
    Reply,
    RowKind,
)
from chargerd.contract.payloads import EventBody, Severity
from chargerd.control.server import ControlError, ControlServer, Responder
from chargerd.core.clock import Clock
from chargerd.core.commands import Answer
from chargerd.core.events import BusEvent, StoreChanged
from chargerd.core.facts import Fact
from chargerd.core.moment import Moment
from chargerd.core.station import Station
from chargerd.core.units import CommandId, Instant, PortId, Seconds
from chargerd.core.view import CircuitView
from chargerd.modbus.build import build
from chargerd.modbus.bus import Bus
from chargerd.modbus.emergency import RELAYS_FILE
from chargerd.modbus.relay_list import listed, write_relays_file
from chargerd.runtime.commands.after_restart import (
    interrupted,
    lost_latches,
    ports_to_stop,
    unanswered_starts,
)
from chargerd.runtime.commands.backend import Backend
from chargerd.runtime.commands.handler import CommandHandler
from chargerd.runtime.commands.handlers import fulfilled
from chargerd.runtime.commands.memory import Respond
from chargerd.runtime.engine import BusLike, Engine
from chargerd.runtime.local.handler import LocalHandler
from chargerd.runtime.local.leave_requests import LeaveRequests
from chargerd.runtime.local.line_requests import LineRequests
from chargerd.runtime.local.lines import Lines
from chargerd.runtime.local.proofs import Proofs
from chargerd.runtime.local.questions import Questions
from chargerd.runtime.local.settlements import SettlementQueries
from chargerd.runtime.process import sd_notify
from chargerd.runtime.process.configuration import Configuration, refused
from chargerd.runtime.process.host import Host, this_machine
from chargerd.runtime.process.last_exit import LastExit
from chargerd.runtime.process.leaving import How, Leaving, Parts
from chargerd.runtime.process.stopping import Stoppable
from chargerd.runtime.process.supervisor import Supervisor
from chargerd.runtime.reporting import starts
from chargerd.runtime.reporting.clock_events import ClockWatch
from chargerd.runtime.reporting.gateway import GatewayState
from chargerd.runtime.reporting.health import HealthReporter, Watched
from chargerd.runtime.reporting.recorder import LEVELS, FactRecorder
from chargerd.runtime.reporting.watcher import PortWatcher, ViewsListener
from chargerd.store import ballast
from chargerd.store.errors import StoreError
from chargerd.store.journal import Journal
from chargerd.store.place import Upkeep

if TYPE_CHECKING:
    from chargerd.mqtt.client import MqttLink
    from chargerd.mqtt.transport import MakeTransport
    from chargerd.runtime.local.reloading import Reloading
    from chargerd.runtime.metrics.exporter import Exporter

SWITCH_INTERVAL = 0.0005
"""How long a thread keeps the interpreter: measured to bring a bus thread's p99 from 42 ms down to 25."""
OPEN_WITHIN = Seconds(3.0)
"""How long the last openings may take when the daemon gives up."""
RECOLLECT = 500
"""How many of the newest rows are looked at for ones of this boot that have no time yet."""
LAST_WORDS = Seconds(0.2)
"""For the log's thread, before the process ends without ceremony."""
ANNOUNCED = "announced.json"
"""In the state's folder: which messages a broker keeps for others than the backend."""
UPKEEP = Upkeep(copies=3, ballast_bytes=ballast.BYTES, lenient=True)
"""What is done for the journal; without a disk the daemon watches all the same."""
GAVE_UP = 70
"""Exit code (EX_SOFTWARE of sysexits.h) after which systemd starts the daemon anew."""
STAYS_STOPPED = 80
"""Exit code after which it does not, since somebody on site has stopped it for good; outside of sysexits.h."""


class StartError(Exception):
    """The daemon cannot start; the message says what to do."""


class DrivenBus(BusLike, Watched, Stoppable, Protocol):
    """What the daemon needs of a bus, on a line or simulated."""

    last_turn: Instant

    @property
    def relay_ports(self) -> frozenset[PortId]:
        """The ports whose relay hangs on it."""

    @property
    def meter_ports(self) -> frozenset[PortId]:
        """The ports whose meter hangs on it."""

    def start(self) -> None:
        """Start its thread."""


class MakeBuses(Protocol):
    """Makes the buses of a site."""

    def __call__(
        self,
        site: Site,
        *,
        clock: Clock,
        emit: Callable[[BusEvent], None],
        on_crash: Callable[[BaseException], None],
    ) -> Sequence[DrivenBus]:
        """Make them; nothing is started yet."""


class Daemon:
    """The whole daemon. `run` returns its exit code.

    A program with several of them calls `start`, looks at `failure` now and then, and calls `stop`; it hands in
    what makes their buses, how each journal is kept, and what machine each is to run on (this one by default).
    """

    def __init__(
        self,
        site: Site,
        *,
        state_dir: Path,
        runtime_dir: Path,
        make_buses: MakeBuses = build,
        upkeep: Upkeep = UPKEEP,
        host: Host | None = None,
        make_transport: "MakeTransport | None" = None,
        configuration: tuple[Path, Chosen] | None = None,
    ) -> None:
        """`configuration`: the file the site was read from, to be read again if asked, and what came of that."""
        host = this_machine() if host is None else host
        self._site = site
        self._configuration = (
            None
            if configuration is None
            else Configuration(configuration[1], configuration[0], state_dir, host.clock)
        )
        self._state_dir = state_dir
        self._clock = host.clock
        self._make_transport = make_transport
        self._last_exit = LastExit((state_dir, runtime_dir), self._clock)
        self._leave = threading.Event()
        self._failure: str | None = None
        self._signal: int | None = None
        self._how = How.RESTART
        self._stays = False
        self._to_reload = False
        for folder in (state_dir, runtime_dir):
            _make(folder)
        _remember_relays(site, state_dir)
        try:
            self._journal = Journal.open(
                state_dir / "journal.db",
                clock=self._clock,
                boot_id=host.boot_id,
                on_health=lambda writable: self._engine.dispatch(StoreChanged(writable=writable)),
                on_crash=self._crashed,
                upkeep=upkeep,
                owner=Owner(gateway=site.gateway.id, machine=host.machine),
            )
        except StoreError as error:
            raise StartError(str(error)) from error
        recovery = self._journal.recovery
        self._clock.boot = recovery.boot
        latches = (*recovery.latches, *(lost_latches(site.plan) if recovery.latches_unknown else ()))
        # Gateways whose mains return together must not all switch on in the same order.
        seed = zlib.crc32(site.gateway.id.encode())
        # What was open on another gateway's journal cannot be taken up: nobody knows what was plugged in since.
        plan = site.plan if recovery.moved is None else replace(site.plan, resume_window=Seconds(0.0))
        self._station = Station(plan, self._clock.moment(), latches, seed, recovery.disabled, recovery.identities)
        self._engine = Engine(self._station, self._clock, self._journal, self._give_up)
        self._buses = make_buses(site, clock=self._clock, emit=self._engine.dispatch, on_crash=self._crashed)
        self._relays = {port: bus for bus in self._buses for port in bus.relay_ports}
        self._meters = {port: bus for bus in self._buses for port in bus.meter_ports}
        self._desk = CommandHandler(
            plan=site.plan,
            clock=self._clock,
            journal=self._journal,
            dispatch=self._engine.dispatch,
            reply_of=self._reply,
            known=recovery.known_ids,
        )
        self._journal.on_forgotten = self._desk.memory.forget
        self._portrait = GatewayState(
            site=site,
            engine=self._engine,
            journal=self._journal,
            buses=self._buses,
            clock=self._clock,
            link=self._link_state,
            configuration=lambda: None if self._configuration is None else self._configuration.status(),
            refusal=lambda: None if self._configuration is None else self._configuration.refusal,
        )
        self._reloading: Reloading | None = None
        self._link = self._make_link()
        self._exporter = self._make_exporter()
        self._leaves = LeaveRequests(
            self._engine.views, self._engine.dispatch, self._clock, self._asked_to_leave_for_good
        )
        self._proofs = Proofs(
            site=lambda: self._site,
            engine=self._engine,
            clock=self._clock,
            folder=state_dir,
            listen=self._listen_to_facts,
        )
        self._lines = Lines(
            lambda: [bus.statistics() for bus in self._driven_lines()],
            self._engine.changed_lines,
            self._engine.dispatch,
        )
        self._questions = Questions(
            site=lambda: self._site,
            engine=self._engine,
            journal=self._journal,
            clock=self._clock,
            folder=state_dir,
            portrait=self._portrait,
            lines=self._lines,
            buses=self._buses,
            link=self._link_state,
            why_no_metrics=lambda: None if self._exporter is None else self._exporter.why_not,
            proved=lambda: self._proofs.proved,
            configuration=self._configuration,
        )
        self._local = LocalHandler(
            engine=self._engine,
            desk=self._desk,
            clock=self._clock,
            port_state=self._portrait.of_port,
            status=self._status,
            accounts=SettlementQueries(self._journal),
            audit=self._note,
            lines=self._lines,
            others={
                **self._line_requests().methods,
                **self._leaves.methods,
                "compare": lambda _params, respond: self._reload(respond, only_look=True),
                "reload": lambda params, respond: self._reload(respond, restart=params.get("restart") is True),
                **self._proofs.methods,
                **self._questions.methods,
            },
        )
        self._control = ControlServer(
            runtime_dir / "chargerctl.sock", self._local, clock=self._clock, on_crash=self._crashed
        )
        self._clock_watch = ClockWatch(self._clock, self._note)
        self._onlooker = self._make_onlooker()
        self._scribe = FactRecorder(self._journal, self._entry, self._onlooker.nudge)
        self._supervisor = self._make_supervisor()

    # Running

    def run(self) -> int:
        """Run until told to stop (SIGTERM, SIGINT), or until something nobody foresaw. Returns the exit code."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_leave)
        self._keep_notes()
        signal.signal(signal.SIGHUP, self._asked_to_reload)
        try:
            self.start()
            interval = min(1.0, (sd_notify.watchdog_interval() or 3.0) / 3)
            while not self._leave.wait(interval):
                self._tick()
                self._reload_if_asked()
            return self._give_up_now() if self._failure is not None else self._close()
        except BaseException as error:  # Whatever it was, the relays come first.
            self._give_up(f"{type(error).__name__}: {error}")
            log.critical("main_thread_failed", exc_info=error)
            return self._give_up_now()

    def _keep_notes(self) -> None:
        """Have the journal keep what only the log would tell: one log is for one daemon."""
        from chargerd.runtime.reporting.notes import Notes  # noqa: PLC0415 - a fleet does without

        log.listen(Notes(self._journal.append, self._clock, online=self._online))

    @property
    def failure(self) -> str | None:
        """Why it has to end; `None` while it works."""
        return self._failure

    @property
    def connected(self) -> bool:
        """Whether it has a broker."""
        return self._online()

    def stop(self) -> int:
        """Leave in order; returns the exit code."""
        return self._close()

    def start(self) -> None:
        """Start everything, without the watch that `run` keeps."""
        self._begin(by_itself=True)
        self._onlooker.start()
        if self._link is not None:
            self._link.start()
        if self._exporter is not None:
            self._exporter.start()
        try:
            self._control.start()
        except ControlError as error:
            # Protection does not depend on somebody being able to look at it.
            log.error("no_control_socket", why=str(error))  # noqa: TRY400 - a cause, not a mistake
        boot = self._journal.recovery.boot
        self._last_exit.note("running")
        log.info("started", version=__version__, ports=len(self._site.ports), boot=boot)
        self._tell_configuration()
        sd_notify.notify("READY=1", f"STATUS={self._status_line()}")

    def _tell_configuration(self) -> None:
        """Say why the file is not used, last of all, so that it is what is seen; keep what starts well."""
        configuration = self._configuration
        if configuration is None:
            return
        why = configuration.refusal
        if why is not None:
            self._note(refused(why, self._site.digest))
        configuration.watch(lambda: (self._engine.views(), self._engine.circuit_views(), self._online()))

    def _begin(self, *, by_itself: bool) -> None:
        """Take up what the journal holds, and begin to decide; `by_itself`: in threads of their own."""
        recovery = self._journal.recovery
        for note in self._site.notes:
            log.warning("note_on_the_configuration", what=note.what, hint=note.hint, line=note.line)
        self._engine.connect(
            relays=self._relays, meters=self._meters, note=self._scribe.facts, answer=self._desk.answer
        )
        if by_itself:
            self._journal.start()  # Which may have to say at once that it cannot write.
        newest = self._journal.span().last
        self._journal.read_rows(max(0, newest - RECOLLECT), RECOLLECT, self._clock_watch.recollect)
        self._tell_journal(recovery)
        cut_short = interrupted(recovery)
        self._note(
            starts.started(
                recovery, version=__version__, configuration=self._site.digest, interrupted=len(cut_short)
            )
        )
        unanswered = unanswered_starts(recovery)
        self._engine.begin(
            cut_short,
            stopped=ports_to_stop(recovery),
            unanswered=unanswered,
            warmths=recovery.warmths,
            by_itself=by_itself,
        )
        self._proofs.begin()
        if recovery.moved is not None:
            self._journal.append(Batch(settled_all=True))
        going_on = unanswered & self._under_way()
        self._desk.conclude(recovery.unfinished, self._to_backend, going_on, fulfilled(recovery))
        if self._link is not None and starts.cut_off(recovery):
            self._backend.say_again(recovery.last_words)
        self._tell_store()
        for bus in self._buses:
            bus.start()
        self._onlooker.look()  # So that boards and circuits are told before it is said that we are here.

    def _under_way(self) -> set[CommandId]:
        """Return the starts of the sessions that go on."""
        sessions = (view.session for view in self._engine.views())
        commands = (None if session is None else session.order.command for session in sessions)
        return {command for command in commands if command is not None}

    def _tell_journal(self, recovery: Recovery) -> None:
        """Say what is unusual about the journal that was found."""
        if recovery.salvaged is not None:
            self._alarm("journal_was_damaged", f"moved to {recovery.salvaged}")
        if recovery.moved is not None:
            self._alarm("stream_renewed", f"{recovery.moved}: this journal is a copy, or its card has moved")
        if recovery.latches_unknown:
            log.critical("latches_were_lost", ports="all locked out")
            self._journal.append(Batch(latches=lost_latches(self._site.plan)))

    def _tell_store(self) -> None:
        """Tell the station if the journal takes nothing from the start: then no relay closes."""
        why_not = self._journal.why_not
        if why_not is not None:
            self._engine.dispatch(StoreChanged(writable=False))
            self._alarm("store_unavailable", why_not)
        if why_not is not None and self._journal.why_not is None:
            self._engine.dispatch(StoreChanged(writable=True))  # It came back just now.

    def _tick(self) -> None:
        stuck = self._supervisor.stuck()
        if stuck:
            self._give_up(f"hung: {', '.join(stuck)}")
            return
        # One relay that nobody can confirm open must not keep the whole site out of service.
        if self._journal.restart_wanted and self._engine.at_rest():
            self._give_up("the journal was lost and is back: begin anew with what it holds")
            return
        if self._configuration is not None and self._configuration.may_begin_anew(self._unused):
            log.info("beginning_anew", waiting=list(self._configuration.running.waiting))
            self._leave.set()
            return
        sd_notify.notify("WATCHDOG=1")

    def _unused(self) -> bool:
        """Say whether a restart now would touch nobody, and systemd begins the daemon anew."""
        kept_for_somebody = any(view.reservation is not None for view in self._engine.views())
        busy = kept_for_somebody or self._proofs.busy or not self._engine.idle()
        return not busy and sd_notify.is_expected()

    def _close(self) -> int:
        """Leave in order: open, record, say goodbye. Sessions wait for the next daemon, unless they are to end."""
        sd_notify.notify("STOPPING=1")
        told = None if self._signal is None else signal.Signals(self._signal).name
        log.info("stopping", signal=told, sessions=self._how.value)
        Leaving(self._how, self._clock, self._hurried).leave(
            Parts(
                engine=self._engine,
                onlookers=[
                    one for one in (self._onlooker, self._exporter, self._configuration) if one is not None
                ],
                buses=self._buses,
                link=self._link,
                control=self._control,
                journal=self._journal,
                note=self._note,
                parting=self._leaves.part,
            )
        )
        log.info("stopped")
        if self._failure is None:
            self._last_exit.note("stopped")
        else:
            self._last_exit.note("failed", reason=self._failure)
        return GAVE_UP if self._failure is not None else STAYS_STOPPED if self._stays else 0

    def _hurried(self) -> bool:
        """Say whether sessions are not waited for: something has failed, or systemd counts the seconds."""
        return self._failure is not None or self._signal is not None

    # Going wrong

    def _give_up(self, reason: str) -> None:
        """Note why we leave; the main thread opens the relays once more, watching, and exits."""
        first = self._failure is None
        if first:
            self._failure = reason
        self._leave.set()
        if first:
            log.critical("giving_up", reason=reason)

    def _crashed(self, error: BaseException) -> None:
        """A thread died of an exception nobody foresaw."""
        self._engine.panic(f"{type(error).__name__}: {error}")
        self._give_up(f"{type(error).__name__}: {error}")
        log.critical("thread_died", exc_info=error)

    def _give_up_now(self) -> int:
        """Open every relay, and see to it, before anything else; then leave without ceremony."""
        self._engine.cease()  # Else it would latch what falls open without its command, or renew it.
        opening = [threading.Thread(target=bus.open_all, args=(OPEN_WITHIN,), daemon=True) for bus in self._buses]
        for thread in opening:
            thread.start()
        for thread in opening:
            thread.join(OPEN_WITHIN + 1.0)
        with suppress(Exception):
            self._note(starts.failed(self._failure or "unknown"))
            self._last_exit.note("failed", reason=self._failure)
        log.listen(None)
        self._journal.close(Seconds(2.0))
        self._clock.sleep(LAST_WORDS)
        os._exit(GAVE_UP)

    def _asked_to_leave(self, number: int, _frame: FrameType | None) -> None:
        # Nothing else: the interrupted thread may hold any lock, the log's among them.
        self._signal = number
        self._leave.set()

    def _asked_to_leave_for_good(self, how: How) -> None:
        """Somebody on site wants it stopped until somebody starts it."""
        self._how, self._stays = how, True
        self._leave.set()

    def _asked_to_reload(self, _number: int, _frame: FrameType | None) -> None:
        self._to_reload = True  # And nothing else, for the same reason; the next tick sees it.

    def _reload_if_asked(self) -> None:
        if self._to_reload:
            self._to_reload = False
            self._reload(None)

    # Building

    def _make_link(self) -> "MqttLink | None":
        mqtt = self._site.mqtt
        if mqtt is None:
            return None
        from chargerd.mqtt.client import MqttLink  # noqa: PLC0415 - without a broker it is not loaded: 4 MB

        link = MqttLink(
            config=mqtt,
            gateway=self._site.gateway.id,
            clock=self._clock,
            ledger=self._journal,
            states=self._portrait,
            on_command=self._command,
            on_refused=self._refused,
            on_alarm=self._alarm,
            on_crash=self._crashed,
        )
        link.on_event = self._note
        if self._make_transport is not None:
            link.make_transport = self._make_transport
        self._announce(link, mqtt)
        self._backend = Backend(
            link=link,
            desk=self._desk,
            clock=self._clock,
            reading_interval=Seconds(mqtt.reading_interval_s),
            states_too=mqtt.home_assistant is not None,
        )
        self._journal.on_appended = lambda _seq: link.rows_added()
        return link

    def _announce(self, link: "MqttLink", mqtt: MqttSection) -> None:
        """Tell Home Assistant, or have what it was told withdrawn."""
        if mqtt.home_assistant is None and not (self._state_dir / ANNOUNCED).exists():
            return
        from chargerd.runtime.reporting.announcer import Announcer  # noqa: PLC0415 - few have it, or have had it
        from chargerd.runtime.reporting.home_assistant import announcements  # noqa: PLC0415 - the same

        section = mqtt.home_assistant
        wanted = {} if section is None else announcements(self._site, mqtt, section)
        announcer = Announcer(self._state_dir / ANNOUNCED, wanted)
        link.announce(announcer.messages(), announcer.withdrawn)

    def _make_exporter(self) -> "Exporter | None":
        config = self._site.metrics
        if config is None:
            return None
        from chargerd.runtime.metrics.collect import Sources  # noqa: PLC0415 - loaded where figures are served
        from chargerd.runtime.metrics.exporter import Exporter  # noqa: PLC0415 - and its library with it: 5 MB

        sources = Sources(
            site=lambda: self._site,
            clock=self._clock,
            folder=self._state_dir,
            starts=self._journal.recovery.starts,
            threads=lambda: self._supervisor.watched,
            lines=lambda: [bus.statistics() for bus in self._driven_lines()],
            unprepared=lambda: frozenset(board for bus in self._buses for board in bus.unprepared_boards()),
            span=self._journal.span,
            writable=lambda: self._journal.why_not is None,
            link=lambda: None if self._link is None else self._link.state,
            unsent=lambda: None if self._link is None else self._link.unsent,
            budgets=self._portrait.latencies,
        )
        return Exporter(config, sources)

    def _command(self, incoming: Incoming, acknowledge: Callable[[], None]) -> None:
        self._backend.command(incoming, acknowledge)

    def _refused(self, refusal: Refusal) -> None:
        self._backend.refused(refusal)

    def _make_onlooker(self) -> PortWatcher:
        return PortWatcher(self._engine.views, self._clock, self._listeners(), self._crashed)

    def _listeners(self) -> list[ViewsListener]:
        """Return who is told of each look at the station."""
        listeners: list[ViewsListener] = [
            self._clock_watch.looked,
            self._local.looked,
            self._leaves.looked,
            self._questions.looked,
        ]
        of_circuits: list[Callable[[Sequence[CircuitView]], None]] = []
        if self._exporter is not None:
            listeners.append(self._exporter.looked)
            of_circuits.append(self._exporter.circuits)
        if self._link is not None:
            listeners.append(self._backend.looked)
            of_circuits.append(self._backend.circuits)
        if of_circuits:
            listeners.append(lambda _views, _changed: self._tell_circuits(of_circuits))
        if self._link is not None:
            vitals = HealthReporter(
                link=self._link,
                boards=self._site.boards,
                buses=self._buses,
                folder=self._state_dir,
                span=self._journal.span,
                clock=self._clock,
                proved=lambda: self._proofs.proved,
            )
            listeners.append(vitals.looked)
        return listeners

    def _tell_circuits(self, listeners: Sequence[Callable[[Sequence[CircuitView]], None]]) -> None:
        views = self._engine.circuit_views()
        for listener in listeners:
            listener(views)

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

    # What others ask of the daemon

    def _reload(self, respond: Responder | None, *, restart: bool = False, only_look: bool = False) -> None:
        """Read the configuration anew; `respond` is `None` if nobody waits for what comes of it."""
        if self._configuration is None:
            if respond is not None:
                respond.fail("unsupported", "this daemon was started without a file", "start it with --config")
            return
        if self._reloading is None:
            from chargerd.runtime.local.reloading import Reloading  # noqa: PLC0415 - loaded if somebody asks for it

            self._reloading = Reloading(
                configuration=self._configuration,
                engine=self._engine,
                adopt=self._adopt,
                audit=self._note,
                notify=self._tell_reload,
                restart=self._leave.set,
            )
        self._reloading.begin(respond, restart=restart, only_look=only_look)

    def _adopt(self, site: Site) -> None:
        """Go by what a configuration says that was read anew while ports charge."""
        self._site = site
        self._desk.orders.adopt(site.plan)
        self._portrait.adopt(site)

    def _tell_reload(self, begins: bool) -> None:
        """Tell systemd of a reload: one that was begun by a signal ends for it when we are ready again."""
        if begins:
            sd_notify.notify("RELOADING=1", f"MONOTONIC_USEC={sd_notify.monotonic_microseconds()}")
        else:
            sd_notify.notify("READY=1", f"STATUS={self._status_line()}")
            if self._link is not None:
                self._link.publish_states()

    def _status_line(self) -> str:
        """Return what `systemctl status` shows."""
        ports, buses = len(self._site.ports), len(self._buses)
        line = f"{ports} port{'' if ports == 1 else 's'} on {buses} bus{'' if buses == 1 else 'es'}"
        return line if self._configuration is None else f"{line}{self._configuration.remark()}"

    def _line_requests(self) -> LineRequests:
        return LineRequests(site=self._site, buses=self._driven_lines, views=self._engine.views, clock=self._clock)

    def _status(self) -> dict[str, Json]:
        from chargerd.runtime.reporting.surroundings import surroundings  # noqa: PLC0415 - loaded if somebody asks

        now, since = self._clock.moment(), self._clock_watch.since
        around = surroundings(now, self._state_dir, since, self._lines.findings())
        return {**self._portrait.status(), "draining": self._leaves.draining, **around}

    def _listen_to_facts(self, listener: Callable[[tuple[Fact, ...]], None] | None) -> None:
        self._scribe.listener = listener

    def _driven_lines(self) -> list[Bus]:
        """Return the buses that have a line; simulated ones have none."""
        return [bus for bus in self._buses if isinstance(bus, Bus)]

    def _reply(self, answer: Answer) -> Reply:
        state = None
        if answer.port is not None and answer.port in self._relays:
            state = self._engine.view(answer.port).state
        return bodies.reply(answer, state)

    def _entry(self, fact: Fact, now: Moment) -> LedgerEntry:
        entry = bodies.ledger_entry(fact, now, offline=not self._online())
        if self._exporter is not None:
            self._exporter.count(entry)
        return entry

    def _online(self) -> bool:
        return self._link is not None and self._link.connected

    def _link_state(self) -> dict[str, Json] | None:
        return None if self._link is None else self._link.state.plain(self._clock.now())

    def _to_backend(self, command: RememberedCommand) -> Respond:
        return _to_nobody if self._link is None else self._backend.respond_to(command)

    def _alarm(self, name: str, detail: str) -> None:
        self._note(EventBody(event=name, severity=Severity.ALARM, reason=detail))

    def _note(self, body: EventBody) -> None:
        """Write an event of the gateway itself into the ledger."""
        fields = body.model_dump(exclude_none=True, exclude={"event", "severity"})
        log.tell(LEVELS[body.severity], body.event, **fields)
        entry = LedgerEntry(
            kind=RowKind.EVENT, body=bodies.plain(body), moment=self._clock.moment(), offline=not self._online()
        )
        if self._exporter is not None:
            self._exporter.count(entry)
        self._journal.append(Batch(entries=(entry,)))


def _to_nobody(_reply: Reply, _final: bool) -> None:
    """There is no backend to be told."""


class _Ticks(Protocol):
    @property
    def last_turn(self) -> Instant: ...


def _turn_of(thread: _Ticks) -> Callable[[], Instant]:
    return lambda: thread.last_turn


def _remember_relays(site: Site, state_dir: Path) -> None:
    """Write the list for the last resort; a disk that cannot take it keeps nobody from protecting.

    What the daemon drove before stays on it until the new configuration has started well: either may be the one
    that tells how the site is wired.
    """
    try:
        path = state_dir / RELAYS_FILE
        write_relays_file(site, path, beside=listed(path))
    except OSError as error:
        log.error("relays_not_listed", why=str(error))  # noqa: TRY400 - a cause, not a mistake


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"{folder}: {error.strerror}; create it, or name another folder") from error
