"""A shed in virtual time: modelled boards and loads around the real decisions, engine, desk and journal.

The physical side and its faults are those of the scenarios' world. What the daemon is made of is the real thing,
with its threads turned by hand: the engine is woken at its deadlines, the journal writes a real file when its turn
comes, and a restart opens that file anew. The same seed gives the same trace.
"""

import hashlib
import heapq
from dataclasses import replace
from math import inf, nextafter
from pathlib import Path
from typing import TypeVar

from chargerd.contract import bodies
from chargerd.contract.ledger import Json, Reply
from chargerd.core.commands import (
    Answer,
    BusCommand,
    Checkpoint,
    CloseRelay,
    OpenRelay,
    Pace,
    ReadRelay,
    RenewLease,
    SetPace,
)
from chargerd.core.events import (
    DeadlineReached,
    Event,
    LockRequested,
    ReserveRequested,
    ResetRequested,
    RestartRequested,
    StartRequested,
    StopRequested,
    StoreChanged,
    UnlockRequested,
)
from chargerd.core.facts import Fact
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.plan import PortPlan, StationPlan
from chargerd.core.session import Latch, SessionRecord, Source
from chargerd.core.station import Station
from chargerd.core.units import CommandId, Instant, PortId, Seconds, SessionId
from chargerd.runtime.commands.after_restart import interrupted, ports_to_stop, unanswered_starts
from chargerd.runtime.commands.handler import CommandHandler
from chargerd.runtime.commands.handlers import fulfilled
from chargerd.runtime.engine import Engine
from chargerd.runtime.reporting.recorder import FactRecorder
from chargerd.store.journal import Journal
from tests.core import explained
from tests.core.logbook import port_of, word
from tests.core.plant import BOOT, Job, port_plan
from tests.core.world import World

Told = TypeVar("Told", bound=Event | BusCommand)
KINDS = {OpenRelay: "open", CloseRelay: "close", RenewLease: "renew", ReadRelay: "readback"}
EXPIRY = 60.0
"""Seconds a start is good for."""
RESUME_WINDOW = Seconds(1800.0)
REBOOT = 20.0
"""Seconds until a gateway that was switched on has come up."""
TIMES = ("at", "sent_at", "not_after")
"""Members of events and commands that are instants of the boot clock."""
DISK = 0.02
"""Seconds until what was handed in is on the disk."""


class WorldClock:
    """The shed's time, for those who are handed a clock. The wall clock may jump; nothing may depend on it."""

    def __init__(self, shed: "Shed") -> None:
        self._shed = shed
        self.boot = 1
        self.booted = 0.0
        """When the gateway was last switched on, in the shed's time."""
        self.offset = 1_700_000_000.0
        self.quality = ClockQuality.NTP

    def now(self) -> Instant:
        """Return the boot clock."""
        return Instant(self._shed.now - self.booted)

    def sleep(self, span: Seconds) -> None:
        """Let the shed's time pass."""
        self._shed.advance(self._shed.now + span)

    def moment(self) -> Moment:
        """Return this moment with whatever the wall clock says."""
        wall = None if self.quality is ClockQuality.NONE else round((self._shed.now + self.offset) * 1000)
        return Moment(instant=self.now(), boot=self.boot, wall_ms=wall, clock=self.quality)


class Panicked(AssertionError):  # noqa: N818 - named for what it says
    """The daemon gave up: an exception nobody foresaw, or a violated invariant."""


class Shed(World):
    """One shed and one daemon, again and again."""

    def __init__(self, folder: Path, *ports: PortPlan, poll: float = 1.0, site: StationPlan | None = None) -> None:
        site = site or StationPlan(ports=ports or (port_plan(),), resume_window=RESUME_WINDOW)
        super().__init__(site=site, poll=poll, separate=True, begin=False)
        self._path = folder / "journal.db"
        self.clock = WorldClock(self)
        self.trace = hashlib.sha256()
        self.facts_told: list[tuple[float, Fact]] = []
        self.replies: dict[str, list[str]] = {}
        self.handed_in: set[SessionId] = set()
        """Whose settlements the backend has acknowledged: they may leave the file."""
        self.stalled_until = 0.0
        """The disk takes nothing before."""
        self._boot_id = "boot-1"
        self._turn_due = False
        self._open()

    # The daemon

    def _open(self) -> None:
        self.real = Journal.open(
            self._path,
            clock=self.clock,
            boot_id=self._boot_id,
            on_health=lambda writable: self.tell(StoreChanged(writable=writable)),
            on_crash=self._crashed,
        )
        recovery = self.real.recovery
        self.clock.boot = recovery.boot
        self.station = Station(
            self.plan,
            self.clock.moment(),
            recovery.latches,
            disabled=recovery.disabled,
            identities=recovery.identities,
        )
        self.engine = Engine(self.station, self.clock, self.real, self._panicked)
        self.desk = CommandHandler(
            plan=self.plan,
            clock=self.clock,
            journal=self.real,
            dispatch=self.tell,
            reply_of=lambda answer: bodies.reply(answer, None),
            known=recovery.known_ids,
        )
        scribe = FactRecorder(
            self.real, lambda fact, now: bodies.ledger_entry(fact, now, offline=True), lambda: None
        )

        def note(facts: tuple[Fact, ...], now: Moment, checkpoints: tuple[Checkpoint, ...]) -> None:
            for fact in facts:
                self._see_fact(fact)
            scribe.facts(facts, now, checkpoints)

        buses = dict.fromkeys((*self.plans, *self.switched), self)
        self.engine.connect(relays=buses, meters=buses, note=note, answer=self._answer)
        self.life += 1
        self.begin_buses()
        unanswered = unanswered_starts(recovery)
        self.engine.begin(
            interrupted(recovery),
            stopped=ports_to_stop(recovery),
            unanswered=unanswered,
            warmths=recovery.warmths,
            by_itself=False,
        )
        under_way = {view.session.order.command for view in self.engine.views() if view.session is not None}
        going_on, kept = unanswered & under_way, fulfilled(recovery)
        self.desk.conclude(recovery.unfinished, lambda _command: self._respond, going_on, kept)
        self.due()

    def begin_buses(self) -> None:
        """Let the modelled buses begin."""
        self.later(0.0, self.read_coils, self.life)
        self.later(0.0, self.read_inputs, self.life)
        self.later(0.0, self.read_feeders, self.life)
        self.adapters.begin()
        for port in self.plans:
            self.set_pace(port, Pace.IDLE)

    def end_buses(self) -> None:
        """Forget what waits, as a killed process does."""
        self.relay_bus.clear()
        self.meter_bus.clear()

    def lose_power(self) -> None:
        """Let every relay fall open."""
        for port, contact in self.contacts.items():
            contact.lapses_at, contact.coil = None, False
            self.set_contact(port, closed=False, by="power")

    def pass_dead(self, end: float) -> None:
        """Let time pass without a daemon."""
        while self.heap and self.heap[0][0] <= end:
            self._pop()
        self.now = end

    def _panicked(self, reason: str) -> None:
        raise Panicked(f"{reason} at {self.elapsed}\n{self.tail()}")

    def _crashed(self, error: BaseException) -> None:
        raise Panicked(f"the journal died at {self.elapsed}") from error

    def kill(self, after: float, *, power: bool = False) -> None:
        """Kill the daemon where it stands; another one begins some seconds later with what the file kept.

        `power`: the whole gateway was without it, and with it the boards; their relays fall open.
        """
        self.life += 1
        self.dead = True
        self.watch("restart")
        self.end_buses()
        if power:
            self._boot_id = f"boot-{self.now}"
            self.lose_power()
        self.real._writer._db.close()  # noqa: SLF001 - as the kernel does for a killed process
        self.pass_dead(self.now + after)
        self.end_buses()
        if power:
            self.reboot(min(after, REBOOT))
        self.dead = False
        self._turn_due = False
        self.watch("begin")
        self._open()

    def leave(self) -> None:
        """Have the daemon end in order: sessions wait for the next one."""
        self.tell(RestartRequested())

    def reboot(self, took: float) -> None:
        """Let the boot clock begin anew: it has counted the seconds the gateway took to come up."""
        self.clock.booted = self.now - took

    # Events and commands

    def tell(self, event: Event) -> None:
        """Bring an event to the engine."""
        if self.dead:
            return
        self.watch(event)
        self.engine.dispatch(event if not self.clock.booted else _shifted(event, -self.clock.booted))
        self.due()

    def execute(self, command: BusCommand) -> None:
        """Take a command from the engine, as a bus does."""
        self.watch(command)
        self._mark(command.port, word(command))
        if isinstance(command, SetPace):
            self.set_pace(command.port, command.pace)
        elif isinstance(command, OpenRelay | CloseRelay | RenewLease | ReadRelay):
            told = _shifted(command, self.clock.booted)
            self.relay_bus.put(Job(command.port, KINDS[type(command)], told))
        else:
            self.meter_bus.put(Job(command.port, "energy", command))

    def _answer(self, answer: Answer, now: Moment) -> None:
        self.watch(answer)
        self._mark(answer.port or "", word(answer))
        self.desk.answer(answer, now)
        self.due()

    def _see_fact(self, fact: Fact) -> None:
        self.watch(fact)
        self.facts_told.append((self.now, fact))
        self._mark(port_of(fact), word(fact))

    def _respond(self, reply: Reply, _final: bool) -> None:
        said = f"{reply.body['status']} {reply.body['code']}"
        self.replies.setdefault(reply.command, []).append(said)

    def _mark(self, port: str, text: str) -> None:
        self.trace.update(f"{self.now!r} {port} {text}\n".encode())
        if not text.startswith(("read", "renew", "pace")):
            self.write(port, text)

    def due(self) -> None:
        """Let the journal have its turn a little later."""
        if not self._turn_due:
            self._turn_due = True
            self.later(max(DISK, self.stalled_until - self.now), self._turn, self.life)

    def _turn(self, life: int) -> None:
        if life != self.life:
            return
        self._turn_due = False
        if self.now < self.stalled_until:
            self.due()
            return
        self.real.turn()

    def mend_disk(self) -> None:
        """Let the disk take what it was given."""
        self.stalled_until = 0.0
        self.later(DISK, self._turn, self.life)

    def durable_sessions(self) -> tuple[SessionRecord, ...]:
        """Return the open sessions as the file has them."""
        return self.real._writer.tables.sessions()  # noqa: SLF001 - the file as it is, not what is said of it

    def durable_latches(self) -> tuple[Latch, ...]:
        """Return the latches as the file has them."""
        return self.real._writer.tables.latches()  # noqa: SLF001 - as above

    def settlement_rows(self) -> list[SessionId]:
        """Return whose settlements are in the file."""
        rows = self.real._writer.tables.ledger.settlements(1_000_000)  # noqa: SLF001 - as above
        return [SessionId(str(row.body["session_id"])) for row in rows]

    def payloads(self) -> list[tuple[str, dict[str, Json]]]:
        """Return topic and payload of each row in the file, as the backend would get them."""
        rows = self.real._writer.tables.ledger.rows(0, 1_000_000)  # noqa: SLF001 - as above
        return [(f"up/{row.kind.value}", bodies.ledger_payload("shed-1", row)) for row in rows]

    # Time

    def ask_why(self) -> None:
        """Hold what is explained to what is done, by the gateway's own clock."""
        if not self.dead:
            explained.check(self.station, self.clock.moment())

    def _step(self, end: float) -> bool:
        deadline = None if self.dead else self._deadline()
        happens = self.heap[0][0] if self.heap else None
        if happens is not None and happens <= end and (deadline is None or happens <= deadline):
            self._pop()
            return True
        if deadline is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.tell(DeadlineReached())
            return True
        self.now = max(self.now, end)  # A power cut may have outlasted it.
        return False

    def advance(self, to: float) -> None:
        """Let time pass while somebody sleeps; here nobody does."""
        raise AssertionError(f"asleep until {to}")

    def _deadline(self) -> float | None:
        """Return when the engine wants to be woken, in the shed's time."""
        asked = self.engine.next_deadline()
        if asked is None:
            return None
        until = asked + self.clock.booted
        while until - self.clock.booted < asked:
            until = nextafter(until, inf)  # Rounded down, it would be woken too early again and again.
        return until

    def _pop(self) -> None:
        self.now, _, action, arguments = heapq.heappop(self.heap)
        action(*arguments)

    # People

    def ask_start(self, port: str, **limits: float) -> CommandId:
        """Send a start, as the backend does."""
        command = CommandId(f"start-{next(self.numbers)}")
        self._ask_start(port, command, self.session_of(command), limits)
        return command

    def ask_start_of(self, port: str, session: SessionId) -> CommandId:
        """Send the start of a session that was named before."""
        command = CommandId(f"start-{next(self.numbers)}")
        self._ask_start(port, command, session, {})
        return command

    def _ask_start(self, port: str, command: CommandId, session: SessionId, limits: dict[str, float]) -> None:
        own = self.plans[PortId(port)].limits
        order = self.desk.orders.order(
            PortId(port),
            limits=type(own)(**({"current": own.current, "power": own.power, "duration": own.duration} | limits)),  # type: ignore[arg-type]
            session=session,
            source=Source.REMOTE,
            command=command,
        )
        if not self.desk.seen_before(command, "start", "digest", self._respond):
            expires = Instant(self.clock.now() + EXPIRY)
            self.desk.submit(
                StartRequested(order=order, port=order.port),
                self._respond,
                digest="digest",
                expires=expires,
                received=_nothing,
            )
        self.due()

    @staticmethod
    def session_of(start: CommandId) -> SessionId:
        """Return the session a start was for."""
        return SessionId(start.replace("start", "session"))

    def ask_stop(self, port: str, session: SessionId | None = None) -> CommandId:
        """Send a stop of this session, or of whatever session there is."""
        command = CommandId(f"stop-{next(self.numbers)}")
        event = StopRequested(
            port=PortId(port), session=session, source=Source.REMOTE, force=session is None, command=command
        )
        self.desk.seen_before(command, "stop", "digest", self._respond)
        self.desk.submit(event, self._respond, digest="digest", received=_nothing)
        self.due()
        return command

    def ask_reserve(self, port: str, session: SessionId, lasts: float) -> CommandId:
        """Have a port kept for a session; 0 gives it back."""
        command = CommandId(f"reserve-{next(self.numbers)}")
        event = ReserveRequested(
            port=PortId(port), session=session, source=Source.REMOTE, lasts=Seconds(lasts), command=command
        )
        self.desk.seen_before(command, "reserve", "digest", self._respond)
        expires = Instant(self.clock.now() + EXPIRY)
        self.desk.submit(event, self._respond, digest="digest", expires=expires, received=_nothing)
        self.due()
        return command

    def ask_lock(self, port: str) -> CommandId:
        """Lock a port on site."""
        command = CommandId(f"lock-{next(self.numbers)}")
        event = LockRequested(port=PortId(port), source=Source.LOCAL, by="Ada", reason="works", command=command)
        self.desk.submit(event, self._respond, digest="", received=_nothing)
        self.due()
        return command

    def ask_unlock(self, port: str) -> CommandId:
        """Take the lock of a port away on site."""
        command = CommandId(f"unlock-{next(self.numbers)}")
        event = UnlockRequested(port=PortId(port), source=Source.LOCAL, by="Ada", command=command)
        expires = Instant(self.clock.now() + EXPIRY)
        self.desk.submit(event, self._respond, digest="", expires=expires, received=_nothing)
        self.due()
        return command

    def ask_reset(self, port: str) -> CommandId:
        """Reset on site, with a reason."""
        command = CommandId(f"reset-{next(self.numbers)}")
        event = ResetRequested(port=PortId(port), source=Source.LOCAL, reason="looked at it", command=command)
        self.desk.seen_before(command, "reset", "digest", self._respond)
        expires = Instant(self.clock.now() + EXPIRY)
        self.desk.submit(event, self._respond, digest="digest", expires=expires, received=_nothing)
        self.due()
        return command

    def tail(self, lines: int = 60) -> str:
        """Return the newest lines of the log book."""
        return "\n".join(str(line) for line in self.book[-lines:])

    @property
    def hours(self) -> float:
        """Hours since the shed was built."""
        return (self.now - BOOT) / 3600.0


def _shifted(what: Told, by: float) -> Told:
    """Return an event or a command with its instants moved: from the shed's time to the boot clock, or back."""
    if not by:
        return what
    return replace(what, **{name: getattr(what, name) + by for name in TIMES if hasattr(what, name)})


def _nothing() -> None:
    pass
