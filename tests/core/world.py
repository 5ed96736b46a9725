"""A station in virtual time: modelled relay boards, meters, a bus and a journal around the real decisions.

Nothing here asks the code under test what is true. Contacts, energies and leases are kept by the model itself, and
the log book holds what was decided (commands and facts), what the contacts did, and when.
"""

import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from chargerd.core.commands import (
    Answer,
    Checkpoint,
    CloseRelay,
    Command,
    OpenRelay,
    Pace,
    Persist,
    ReadEnergy,
    ReadRelay,
    RenewLease,
    SetPace,
)
from chargerd.core.events import (
    BoardBack,
    BoardLost,
    DeadlineReached,
    Event,
    FaultKind,
    MeterFault,
    MeterReading,
    Persisted,
    PersistFailed,
    RelayAction,
    RelayNotReadBack,
    RelayNotWritten,
    RelayReadBack,
    RelayWritten,
    ResetRequested,
    ShutdownRequested,
    StartRequested,
    StopRequested,
    StoreChanged,
)
from chargerd.core.facts import (
    Fact,
    Latch,
    LatchesCleared,
    PortLockedOut,
    PortTripped,
    SessionEnded,
    SessionResumed,
    SessionStarted,
    SessionSuspended,
    SessionUpdated,
)
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.outbox import Outcome
from chargerd.core.plan import (
    ChargeEnd,
    DeadMan,
    Limits,
    MeterPlan,
    PortPlan,
    Protection,
    RelayPlan,
    StationPlan,
)
from chargerd.core.session import Order, SessionRecord, Settlement, Source
from chargerd.core.station import Station
from chargerd.core.units import (
    Amps,
    BoardId,
    CircuitId,
    CommandId,
    Instant,
    PortId,
    Seconds,
    SessionId,
    WattHours,
    Watts,
)
from chargerd.core.view import PortState, PortView

BOOT = 1000.0
"""The boot clock when a world begins; an odd figure would hide nothing, 0 might."""
TRANSACTION = 0.03
"""Seconds one transaction takes on the bus."""
TIMEOUT = 0.2
"""Seconds the bus waits for an answer that does not come."""
COILS_EVERY = 2.0
IDLE_POLL = 5.0


def port_plan(name: str = "A01", channel: int = 1, **changes: object) -> PortPlan:
    """A port with the default plan; `lease=None` makes its board one without timed closing."""
    relay = RelayPlan(board=BoardId("relay-a"), channel=channel)
    if "lease" in changes and changes.pop("lease") is None:
        relay = replace(relay, lease=None, dead_man=DeadMan.NONE)
    plan = PortPlan(
        id=PortId(name),
        label=name,
        relay=relay,
        meter=MeterPlan(board=BoardId(f"meter-{name}")),
        circuit=CircuitId("shed"),
        limits=Limits(),
        protection=Protection(),
        charge_end=ChargeEnd(),
    )
    return replace(plan, **changes)  # type: ignore[arg-type]  # the caller names members of PortPlan


@dataclass(slots=True)
class Contact:
    """The physical contact of a relay, with its board's own timer. `welded` and `jammed` are its faults."""

    closed: bool = False
    lapses_at: float | None = None
    welded: bool = False
    jammed: bool = False
    """It does not close, whatever the coil does."""
    coil: bool = False
    edges: list[tuple[float, bool, str]] = field(default_factory=list)
    """When it moved, to where, and what moved it."""


@dataclass(slots=True)
class Load:
    """What is plugged in, and what really flowed: the model's own books of current, power and energy."""

    amps: float = 2.0
    watts: float = 300.0
    trace: list[tuple[float, float, float]] = field(default_factory=lambda: [(0.0, 0.0, 0.0)])
    energy: float = 5000.0
    """Watt-hours the meter has counted in its life."""

    def note(self, now: float, *, closed: bool) -> None:
        """Write down what flows from now on."""
        then, _, watts = self.trace[-1]
        self.energy += watts * (now - then) / 3600.0
        amps, watts = (self.amps, self.watts) if closed else (0.0, 0.0)
        self.trace.append((now, amps, watts))

    def at(self, when: float) -> tuple[float, float]:
        """Return amperes and watts at an instant."""
        for then, amps, watts in reversed(self.trace):
            if then <= when:
                return amps, watts
        return 0.0, 0.0

    def energy_at(self, now: float) -> float:
        """Return the watt-hours counted by now."""
        then, _, watts = self.trace[-1]
        return self.energy + watts * (now - then) / 3600.0


@dataclass(slots=True)
class Meter:
    """How a port's meter behaves."""

    silent: bool = False
    by_hand: bool = False
    """Nobody polls it; the scenario hands in its readings."""
    together: bool = False
    """Current, power and energy come in one transaction."""
    script: list[tuple[float, float]] = field(default_factory=list)
    """Readings it gives next, in amperes and watts, whatever is true."""
    pace: Pace = Pace.IDLE
    polls: int = 0
    power_at: float = -1e9
    lost_energy: bool = False
    """It does not give its register."""


@dataclass(slots=True)
class Board:
    """How the relay board behaves."""

    silent: bool = False
    deaf: bool = False
    """Writes do not reach it; reads do."""
    mute: bool = False
    """Writes are carried out, but not echoed."""
    blind: bool = False
    """Reads are not answered."""
    misses: int = 0
    lost: bool = False


@dataclass(slots=True)
class Journal:
    """How the journal behaves, and what it has made durable."""

    latency: float = 0.05
    failing: bool = False
    stuck: bool = False
    """It neither confirms nor refuses."""
    records: dict[SessionId, SessionRecord] = field(default_factory=dict)
    latches: dict[tuple[PortId, str], Latch] = field(default_factory=dict)
    ended: set[SessionId] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log book."""

    at: float
    port: str
    text: str

    def __str__(self) -> str:
        return f"{self.at:9.3f} {self.port:4} {self.text}"


@dataclass(slots=True)
class _Job:
    port: PortId
    kind: str
    command: Command | None = None


KINDS: Mapping[type, str] = {OpenRelay: "open", CloseRelay: "close", RenewLease: "renew", ReadRelay: "readback"}
URGENCY = {"open": 0, "readback": 1, "renew": 2, "close": 3, "coils": 4, "meter": 5, "energy": 6}


class Bus:
    """One line: one transaction at a time, the most urgent first, first come first served within that."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._queue: list[tuple[int, int, _Job]] = []
        self._numbers = itertools.count()
        self._busy = False
        self.held = False
        """Nothing goes out: another device keeps the line."""

    def release(self) -> None:
        """Let it go on."""
        self.held = False
        self._begin()

    def put(self, job: _Job) -> None:
        """Queue a job. An opening makes its port's queued closings and renewals forgotten."""
        if job.kind == "open":
            forgotten = [entry for entry in self._queue if entry[2].port == job.port and entry[0] in {2, 3}]
            self._queue = [entry for entry in self._queue if entry not in forgotten]
            for _, _, old in forgotten:
                if old.kind == "close":
                    self._world.later(0.0, self._world.tell, _not_written(old, self._world.now, sent=False))
        self._queue.append((URGENCY[job.kind], next(self._numbers), job))
        self._world.later(0.0, self._begin)

    def clear(self) -> None:
        """Forget everything that waits."""
        self._queue.clear()

    def _begin(self) -> None:
        if self._busy or self.held or not self._queue:
            return
        entry = min(self._queue, key=lambda queued: queued[:2])
        self._queue.remove(entry)
        self._busy = True
        took = self._world.transact(entry[2])
        self._world.later(took, self._done)

    def _done(self) -> None:
        self._busy = False
        self._begin()


def _not_written(job: _Job, at: float, *, sent: bool, late: bool = False) -> RelayNotWritten:
    return RelayNotWritten(
        port=job.port,
        action=RelayAction(job.kind),
        kind=FaultKind.TIMEOUT,
        at=Instant(at),
        sent=sent,
        late=late,
    )


class World:
    """A site of one board and some ports, driven in virtual time."""

    def __init__(
        self,
        *ports: PortPlan,
        tiers: tuple[float, ...] = (),
        poll: float = 0.5,
        coils: float = COILS_EVERY,
        wake_late: float = 0.0,
        separate: bool = False,
        latches: Iterable[Latch] = (),
        begin: bool = True,
    ) -> None:
        plans = ports or (port_plan(),)
        self.plan = StationPlan(ports=plans, tariff_tiers=tuple(Watts(tier) for tier in tiers))
        self.now = BOOT
        self.poll = poll
        self.coils = coils
        self.wake_late = wake_late
        self.contacts = {port.id: Contact() for port in plans}
        self.loads = {port.id: Load() for port in plans}
        self.meters = {port.id: Meter() for port in plans}
        self.board = Board()
        self.journal = Journal()
        self.book: list[Line] = []
        self.events: list[tuple[float, Event]] = []
        self.commands: list[tuple[float, Command]] = []
        self.facts: list[tuple[float, Fact]] = []
        self.watchers: list[Callable[[float, object], None]] = []
        self._plans = {port.id: port for port in plans}
        self._heap: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._numbers = itertools.count()
        self._sessions = itertools.count(1)
        self.relay_bus = Bus(self)
        self.meter_bus = Bus(self) if separate else self.relay_bus
        self._life = 0
        self.dead = False
        self._states: dict[PortId, PortState] = {}
        self.latches_at_start = tuple(latches)
        self.station = Station(self.plan, self.moment(), self.latches_at_start)
        if begin:
            self.begin()

    # Time

    def moment(self) -> Moment:
        return Moment(instant=Instant(self.now), boot=1, wall_ms=round(self.now * 1000), clock=ClockQuality.NTP)

    def later(self, seconds: float, action: Callable[..., None], *arguments: object) -> None:
        """Let something happen later in this world."""
        heapq.heappush(self._heap, (self.now + seconds, next(self._numbers), action, arguments))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.run_to(self.now + seconds)

    def run_to(self, end: float) -> None:
        """Let time pass up to an instant of the boot clock."""
        while self._step(end):
            pass

    def _step(self, end: float) -> bool:
        """Let the next thing happen, if it does by `end`; else let time pass until then."""
        deadline = self.station.next_deadline()
        wake = None if deadline is None else max(self.now, deadline + self.wake_late)
        happens = self._heap[0][0] if self._heap else None
        if happens is not None and happens <= end and (wake is None or happens <= wake):
            self.now, _, action, arguments = heapq.heappop(self._heap)
            action(*arguments)
            return True
        if wake is not None and wake <= end:
            self.now = wake
            self._wake()
            return True
        self.now = end
        return False

    def run_until(self, text: str, within: float = 300.0) -> float:
        """Let time pass until the log book gets this line, stop right there, and return when that was."""
        seen, end = len(self.book), self.now + within
        while self._step(end):
            for line in self.book[seen:]:
                if line.text == text:
                    return line.at
            seen = len(self.book)
        raise AssertionError(f"no '{text}' within {within} s:\n{self.print()}")

    def _wake(self) -> None:
        self.tell(DeadlineReached())
        after = self.station.next_deadline()
        assert after is None or after > self.now, f"woken at {self.now}, and again at {after}"

    # The station

    def begin(self, interrupted: Iterable[SessionRecord] = ()) -> None:
        """Let the station begin, and the bus with it."""
        self._carry_out(self.station.begin(interrupted, self.moment()))
        self._life += 1
        self.later(0.0, self._coils, self._life)
        for port in self._plans:
            self._set_pace(port, Pace.IDLE)

    def tell(self, event: Event) -> None:
        """Hand one event to the station and carry out what comes of it."""
        if self.dead:
            return
        self.events.append((self.now, event))
        self._watch(event)
        self._carry_out(self.station.handle(event, self.moment()), getattr(event, "port", None))

    def _carry_out(self, outcome: Outcome, port: PortId | None = None) -> None:
        for command in outcome.commands:
            self.commands.append((self.now, command))
            self._watch(command)
            self._execute(command)
        for fact in outcome.facts:
            self.facts.append((self.now, fact))
            self._watch(fact)
            self._record(fact)
        known = self._plans if port is None else [port] if port in self._plans else []
        for view in (self.station.view(name, self.moment()) for name in known):
            if self._states.get(view.id) is not view.state:
                self._states[view.id] = view.state
                self._write(view.id, f"state {view.state.value}")

    def _watch(self, what: object) -> None:
        for watcher in self.watchers:
            watcher(self.now, what)

    def _execute(self, command: Command) -> None:
        self._write(getattr(command, "port", None) or "", _word(command))
        match command:
            case OpenRelay() | CloseRelay() | RenewLease() | ReadRelay():
                self.relay_bus.put(_Job(command.port, KINDS[type(command)], command))
            case ReadEnergy():
                self.meter_bus.put(_Job(command.port, "energy", command))
            case SetPace():
                self._set_pace(command.port, command.pace)
            case Persist() if not self.journal.stuck:
                self.later(self.journal.latency, self._persisted, command, self._life)
            case Checkpoint() if not self.journal.failing:
                self.journal.records |= {record.order.session: record for record in command.records}
            case _:
                pass

    def _persisted(self, command: Persist, life: int) -> None:
        if self.journal.failing:
            self.tell(PersistFailed(port=command.port, token=command.token))
            return
        if command.record.order.session not in self.journal.ended:  # Its end was queued behind this record.
            self.journal.records[command.record.order.session] = command.record
        if life == self._life:
            self.tell(Persisted(port=command.port, token=command.token))

    def _record(self, fact: Fact) -> None:
        self._write(_port_of(fact), _word(fact))
        match fact:
            case SessionEnded():
                self.journal.ended.add(fact.settlement.record.order.session)
                self.journal.records.pop(fact.settlement.record.order.session, None)
            case PortTripped() | PortLockedOut():
                if fact.latch is not None:
                    self.journal.latches[fact.port, fact.latch.function] = fact.latch
            case LatchesCleared():
                for function in fact.functions:
                    self.journal.latches.pop((fact.port, function), None)
            case _:
                pass

    def restart(self, after: float = 1.0) -> None:
        """Kill the daemon where it stands; a new one begins some seconds later with what the journal kept."""
        self._life += 1
        self.dead = True
        self.relay_bus.clear()
        self.meter_bus.clear()
        end = self.now + after
        while self._heap and self._heap[0][0] <= end:
            self.now, _, action, arguments = heapq.heappop(self._heap)
            action(*arguments)
        self.now = end
        self.relay_bus.clear()
        self.meter_bus.clear()
        self.dead = False
        self._watch("restart")
        self._states.clear()
        self.station = Station(self.plan, self.moment(), tuple(self.journal.latches.values()))
        interrupted = tuple(self.journal.records.values())
        self.begin(interrupted)

    # People

    def start(self, port: str = "A01", *, source: Source = Source.REMOTE, **limits: float) -> SessionId:
        """Ask for a start. Returns the session's id; limits are members of `Limits`."""
        number = next(self._sessions)
        session = SessionId(f"session-{number}")
        known = self._plans.get(PortId(port))
        most = known.limits if known is not None else Limits()
        order = Order(
            session=session,
            port=PortId(port),
            limits=replace(most, **limits),  # type: ignore[arg-type]  # floats by name
            tiers=self.plan.tariff_tiers,
            source=source,
            command=CommandId(f"start-{number}"),
        )
        self.order(order)
        return session

    def order(self, order: Order) -> None:
        """Ask for a start in every detail."""
        self.tell(StartRequested(order=order, port=order.port))

    def stop(
        self,
        port: str = "A01",
        session: str | None = None,
        *,
        source: Source = Source.REMOTE,
        force: bool = False,
    ) -> CommandId:
        """Ask for a stop. Returns the command's id."""
        command = CommandId(f"stop-{next(self._numbers)}")
        named = None if session is None else SessionId(session)
        self.tell(StopRequested(port=PortId(port), session=named, source=source, force=force, command=command))
        return command

    def reset(self, port: str = "A01", *, source: Source = Source.REMOTE, reason: str | None = None) -> CommandId:
        """Ask for a reset. Returns the command's id."""
        command = CommandId(f"reset-{next(self._numbers)}")
        self.tell(ResetRequested(port=PortId(port), source=source, reason=reason, command=command))
        return command

    def shut_down(self) -> None:
        """Ask the station to leave."""
        self.tell(ShutdownRequested())

    def store(self, *, writable: bool) -> None:
        """Let the journal fail, or come back."""
        self.tell(StoreChanged(writable=writable))

    def charging(self, port: str = "A01", **limits: float) -> SessionId:
        """Bring a port to `charging`."""
        self.ready(port)
        session = self.start(port, source=Source.REMOTE, **limits)
        self.run_until("state charging", within=10)
        return session

    def ready(self, port: str = "A01") -> None:
        """Let time pass until a port can be started."""
        end = self.now + 30
        while self.view(port).blocked_by and self.now < end:
            self.run(0.1)
        assert not self.view(port).blocked_by, self.print()

    def draw(self, amps: float, watts: float | None = None, port: str = "A01") -> None:
        """Change what the load wants to draw; at 230 V and a power factor of 0.6 unless watts are given."""
        load = self.loads[PortId(port)]
        load.amps, load.watts = amps, amps * 138.0 if watts is None else watts
        load.note(self.now, closed=self.contacts[PortId(port)].closed)

    def show(self, amps: float | None, watts: float | None = None, port: str = "A01", **values: float) -> None:
        """Hand the station a reading of this very moment, whatever is true."""
        self.tell(
            MeterReading(
                port=PortId(port),
                at=Instant(self.now),
                current=None if amps is None else Amps(amps),
                power=None if watts is None else Watts(watts),
                **values,  # type: ignore[arg-type]  # floats by name
            )
        )

    def by_hand(self, port: str = "A01") -> None:
        """Let the port's meter tell current and power no more by itself: the scenario does."""
        self.meters[PortId(port)].by_hand = True

    def by_itself(self, port: str = "A01") -> None:
        """Let the port's meter speak again, whatever kept it from it."""
        meter = self.meters[PortId(port)]
        meter.silent = meter.by_hand = False

    # The physical side

    def transact(self, job: _Job) -> float:
        """Do one transaction and return how long it takes; what the station learns of it comes at its end."""
        match job.kind:
            case "open" | "close" | "renew":
                return self._write_relay(job)
            case "readback" | "coils":
                return self._read_relays(job)
            case _:
                return self._read_meter(job)

    def _write_relay(self, job: _Job) -> float:
        command = job.command
        began = self.now
        if isinstance(command, CloseRelay | RenewLease) and began > command.not_after:
            self.later(0.0, self.tell, _not_written(job, began, sent=False, late=True))
            return 0.0
        if not (self.board.silent or self.board.deaf):
            lease = command.lease if isinstance(command, CloseRelay | RenewLease) else None
            self.later(TRANSACTION / 3, self._move, job.port, job.kind, lease)
        confirmed = not (self.board.silent or self.board.deaf or self.board.mute)
        took = TRANSACTION if confirmed else TIMEOUT
        self._answered(confirmed, took)
        if confirmed:
            self.later(
                took,
                self.tell,
                RelayWritten(
                    port=job.port, action=RelayAction(job.kind), sent_at=Instant(began), at=Instant(began + took)
                ),
            )
        else:
            self.later(took, self.tell, _not_written(job, began + took, sent=True))
        return took

    def _move(self, port: PortId, kind: str, lease: Seconds | None) -> None:
        contact = self.contacts[port]
        contact.coil = kind != "open"
        contact.lapses_at = None if kind == "open" or lease is None else self.now + lease
        if contact.lapses_at is not None:
            self.later(lease or 0.0, self._lapse, port, contact.lapses_at)
        self.set_contact(port, closed=contact.coil, by=kind)

    def _lapse(self, port: PortId, due: float) -> None:
        contact = self.contacts[port]
        if contact.lapses_at == due:
            contact.lapses_at, contact.coil = None, False
            self.set_contact(port, closed=False, by="lapse")

    def set_contact(self, port: PortId, *, closed: bool, by: str) -> None:
        """Move a contact, as far as its faults allow it."""
        contact = self.contacts[port]
        now_closed = contact.closed if contact.welded else closed and not contact.jammed
        if now_closed == contact.closed:
            return
        contact.closed = now_closed
        contact.edges.append((self.now, now_closed, by))
        self.loads[port].note(self.now, closed=now_closed)
        self._write(port, f"contact {'closed' if now_closed else 'open'}")
        self._watch((port, now_closed, by))

    def _read_relays(self, job: _Job) -> float:
        began = self.now
        answered = not (self.board.silent or self.board.blind)
        took = TRANSACTION if answered else TIMEOUT
        self._answered(answered, took)
        if not answered:
            if job.kind == "readback":
                self.later(
                    took,
                    self.tell,
                    RelayNotReadBack(port=job.port, kind=FaultKind.TIMEOUT, at=Instant(began + took)),
                )
            return took
        ports = list(self._plans) if job.kind == "coils" else [job.port]
        self.later(TRANSACTION / 3, self._look, ports, began, began + took)
        return took

    def _look(self, ports: list[PortId], began: float, ends: float) -> None:
        for port in ports:
            contact = self.contacts[port]
            self.later(
                ends - self.now,
                self.tell,
                RelayReadBack(port=port, closed=contact.closed, sent_at=Instant(began), at=Instant(ends)),
            )

    def _answered(self, answered: bool, took: float) -> None:
        board = self.board
        board.misses = 0 if answered else board.misses + 1
        name = self.plan.ports[0].relay.board
        if answered and board.lost:
            board.lost = False
            self.later(took, self.tell, BoardBack(board=name, at=Instant(self.now + took)))
        elif not answered and board.misses == 3:
            board.lost = True
            self.later(took, self.tell, BoardLost(board=name, at=Instant(self.now + took), kind=FaultKind.TIMEOUT))

    def _coils(self, life: int) -> None:
        if life == self._life:
            self.relay_bus.put(_Job(self.plan.ports[0].id, "coils"))
            self.later(self.coils, self._coils, life)

    def _read_meter(self, job: _Job) -> float:
        meter = self.meters[job.port]
        silent = meter.silent or (job.kind == "energy" and meter.lost_energy)
        took = TIMEOUT if silent else TRANSACTION
        if silent:
            fault = MeterFault(port=job.port, at=Instant(self.now + took), kind=FaultKind.TIMEOUT)
            self.later(took, self.tell, fault)
        else:
            self.later(took, self._give_reading, job)
        return took

    def _give_reading(self, job: _Job) -> None:
        meter, load, plan = self.meters[job.port], self.loads[job.port], self._plans[job.port].meter
        when = self.now if plan.refresh <= 0 else self.now - self.now % plan.refresh
        amps, watts = load.at(when)
        register = None
        if job.kind == "energy" or meter.together:
            step = plan.energy_resolution
            register = WattHours(load.energy_at(self.now) // step * step)
        if job.kind == "energy" and not meter.together:
            self.tell(MeterReading(port=job.port, at=Instant(self.now), energy=register))
            return
        if meter.script:
            amps, watts = meter.script.pop(0)
        power = None
        if meter.together or meter.pace is not Pace.CLOSED or self.now - meter.power_at >= plan.power_every - 0.1:
            power, meter.power_at = Watts(watts), self.now
        self.tell(
            MeterReading(
                port=job.port,
                at=Instant(self.now),
                current=Amps(amps),
                power=power,
                energy=None if meter.lost_energy else register,
            )
        )

    def _set_pace(self, port: PortId, pace: Pace) -> None:
        meter = self.meters[port]
        meter.pace = pace
        meter.polls += 1
        self.later(0.0, self._poll, port, meter.polls)

    def _poll(self, port: PortId, number: int) -> None:
        meter = self.meters[port]
        if number == meter.polls:
            if not meter.by_hand:
                self.meter_bus.put(_Job(port, "meter"))
            self.later(IDLE_POLL if meter.pace is Pace.IDLE else self.poll, self._poll, port, number)

    # Looking

    def _write(self, port: str, text: str) -> None:
        self.book.append(Line(self.now - BOOT, port, text))

    @property
    def elapsed(self) -> float:
        """Seconds since this world began."""
        return self.now - BOOT

    def view(self, port: str = "A01") -> PortView:
        return self.station.view(PortId(port), self.moment())

    def state(self, port: str = "A01") -> PortState:
        return self.view(port).state

    def print(self) -> str:
        """Return the log book."""
        return "\n".join(str(line) for line in self.book if not line.text.startswith(("read", "pace")))

    def lines(self, port: str = "A01") -> list[str]:
        """Return what the log book says of a port, without times."""
        return [line.text for line in self.book if line.port == port]

    def tells(self, *texts: str, port: str = "A01") -> None:
        """Assert that the log book holds these lines of a port in this order, others may lie between."""
        rest = iter(self.lines(port))
        for text in texts:
            assert text in rest, f"'{text}' missing after what precedes it in {texts}:\n{self.print()}"

    def tells_not(self, *texts: str, port: str = "A01") -> None:
        """Assert that none of these lines is in the log book."""
        for text in texts:
            assert text not in self.lines(port), f"'{text}' is in the log book:\n{self.print()}"

    def when(self, text: str, port: str = "A01", nth: int = 1) -> float:
        """Return when the log book got this line, in seconds since the world began."""
        times = [line.at for line in self.book if line.port == port and line.text == text]
        assert len(times) >= nth, f"'{text}' only {len(times)} times:\n{self.print()}"
        return times[nth - 1]

    def count(self, text: str, port: str = "A01") -> int:
        return self.lines(port).count(text)

    def settlements(self) -> list[Settlement]:
        """Return all settlements so far."""
        return [fact.settlement for _, fact in self.facts if isinstance(fact, SessionEnded)]

    def settlement(self) -> Settlement:
        """Return the one settlement there is."""
        settled = self.settlements()
        assert len(settled) == 1, self.print()
        return settled[0]

    def answers(self, command: str) -> list[str]:
        """Return how a command was answered: `status code`."""
        return [
            f"{told.status.value} {told.code.value}"
            for _, told in self.commands
            if isinstance(told, Answer) and told.command == command
        ]

    def contact_time(self, port: str = "A01") -> float:
        """Return for how long the contact was really closed."""
        return self.contact_time_between(port, 0.0, self.now)

    def contact_time_between(self, port: str, since: float, until: float) -> float:
        """Return for how long the contact was really closed within a span of the boot clock."""
        edges = [*self.contacts[PortId(port)].edges, (self.now, False, "now")]
        total, closed_at = 0.0, None
        for at, closed, _ in edges:
            if closed:
                closed_at = at
            elif closed_at is not None:
                total += max(0.0, min(at, until) - max(closed_at, since))
                closed_at = None
        return total

    def energy_between(self, port: str, since: float, until: float) -> float:
        """Return the watt-hours that really flowed within a span of the boot clock."""
        trace = [*self.loads[PortId(port)].trace, (self.now, 0.0, 0.0)]
        return sum(
            watts * max(0.0, min(end, until) - max(at, since)) / 3600.0
            for (at, _, watts), (end, _, _) in itertools.pairwise(trace)
        )


_WORDING: Mapping[type, str] = {
    OpenRelay: "open",
    CloseRelay: "close",
    RenewLease: "renew",
    ReadRelay: "read relay",
    SetPace: "pace {it.pace}",
    Answer: "answer {it.name} {it.status} {it.code}",
    SessionStarted: "started",
    SessionUpdated: "updated",
    SessionResumed: "resumed",
    SessionSuspended: "suspended {it.reason}",
    SessionEnded: "ended {it.settlement.reason}",
    PortTripped: "tripped {it.function}",
    PortLockedOut: "locked out {it.latch.function}",
}


def _port_of(what: object) -> str:
    if isinstance(what, SessionEnded):
        return what.settlement.record.order.port
    record = getattr(what, "record", None)
    if isinstance(record, SessionRecord):
        return record.order.port
    return str(getattr(what, "port", None) or "")


def _word(what: object) -> str:
    """Put a command or a fact in the words of the log book."""
    wording = _WORDING.get(type(what))
    return wording.format(it=what) if wording is not None else _spaced(type(what).__name__)


def _spaced(name: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
