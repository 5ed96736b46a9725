"""A station in virtual time: modelled relay boards, meters, a bus and a journal around the real decisions.

Nothing here asks the code under test what is true. Contacts, energies and leases are kept by the model itself, and
the log book holds what was decided (commands and facts), what the contacts did, and when.
"""

import heapq
import itertools
from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace

from chargerd.core.commands import (
    Amend,
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
    DeadlineReached,
    DisableRequested,
    DrainRequested,
    EnableRequested,
    Event,
    LockRequested,
    MeterReading,
    Persisted,
    PersistFailed,
    RequestHeard,
    ReserveRequested,
    ResetRequested,
    RestartRequested,
    ShutdownRequested,
    StartRequested,
    StopRequested,
    StoreChanged,
    UnlockRequested,
    UpdateRequested,
)
from chargerd.core.facts import (
    CircuitTripped,
    Fact,
    InputTripped,
    LatchesCleared,
    PortDisabled,
    PortEnabled,
    PortLocked,
    PortLockedOut,
    PortTripped,
    PortUnlocked,
    SessionEnded,
    SessionSuspended,
    SessionUpdated,
)
from chargerd.core.identity import Identity
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.outbox import Outcome
from chargerd.core.plan import (
    Limits,
    PortPlan,
    StationPlan,
)
from chargerd.core.session import Disabled, Latch, Order, SessionRecord, Settlement, Source, ThermalState
from chargerd.core.station import Station
from chargerd.core.units import (
    Amps,
    BoardId,
    CommandId,
    Instant,
    PortId,
    Seconds,
    SessionId,
    Watts,
)
from chargerd.core.view import CircuitView, PortState, PortView
from tests.core import explained
from tests.core.logbook import port_of, word
from tests.core.plant import BOOT, COILS_EVERY, KINDS, Job, Plant, port_plan

SEED = 7


@dataclass(slots=True)
class Journal:
    """How the journal behaves, and what it has made durable."""

    latency: float = 0.05
    failing: bool = False
    stuck: bool = False
    """It neither confirms nor refuses."""
    records: dict[SessionId, SessionRecord] = field(default_factory=dict)
    latches: dict[tuple[PortId, str], Latch] = field(default_factory=dict)
    warmths: dict[PortId, ThermalState] = field(default_factory=dict)
    identities: dict[BoardId, Identity] = field(default_factory=dict)
    newest: dict[SessionId, int] = field(default_factory=dict)
    """Which of the things handed in was the last written about a session: later ones overwrite earlier."""
    disabled: dict[PortId, Disabled] = field(default_factory=dict)

    def write(self, session: SessionId, record: SessionRecord | None, number: int) -> None:
        """Keep a session as open, or forget it, unless what was handed in later has been written already."""
        if number < self.newest.get(session, 0):
            return
        self.newest[session] = number
        if record is None:
            self.records.pop(session, None)
        else:
            self.records[session] = record


class World(Plant):
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
        site: StationPlan | None = None,
        begin: bool = True,
    ) -> None:
        plan = site or StationPlan(
            ports=ports or (port_plan(),), tariff_tiers=tuple(Watts(tier) for tier in tiers)
        )
        super().__init__(plan, poll=poll, coils=coils, separate=separate)
        self.wake_late = wake_late
        self.dead = False
        self.boot = 1
        self.time_from = ClockQuality.NTP
        self.clock_step_ms = 0
        self.journal = Journal()
        self.events: list[tuple[float, Event]] = []
        self.commands: list[tuple[float, Command]] = []
        self.facts: list[tuple[float, Fact]] = []
        self._sessions = itertools.count(1)
        self._handed_in = itertools.count(1)
        self._states: dict[PortId, PortState] = {}
        self.latches_at_start = tuple(latches)
        self.station = Station(self.plan, self.moment(), self.latches_at_start, SEED)
        if begin:
            self.begin()

    # Time

    def moment(self) -> Moment:
        wall_ms = None if self.time_from == ClockQuality.NONE else round(self.now * 1000) + self.clock_step_ms
        return Moment(instant=Instant(self.now), boot=self.boot, wall_ms=wall_ms, clock=self.time_from)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.run_to(self.now + seconds)

    def run_to(self, end: float) -> None:
        """Let time pass up to an instant of the boot clock."""
        while self._step(end):
            pass
        self.ask_why()

    def ask_why(self) -> None:
        """Hold what is explained to what is done."""
        explained.check(self.station, self.moment())

    def _step(self, end: float) -> bool:
        """Let the next thing happen, if it does by `end`; else let time pass until then."""
        deadline = self.station.next_deadline()
        wake = None if deadline is None else max(self.now, deadline + self.wake_late)
        happens = self.heap[0][0] if self.heap else None
        if happens is not None and happens <= end and (wake is None or happens <= wake):
            self.now, _, action, arguments = heapq.heappop(self.heap)
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

    def begin(
        self,
        interrupted: Iterable[SessionRecord] = (),
        *,
        stopped: Container[PortId] = (),
        unanswered: Container[CommandId] = (),
    ) -> None:
        """Let the station begin, and the bus with it."""
        for port in self.plans:
            self.set_pace(port, Pace.IDLE)
        outcome = self.station.begin(
            interrupted,
            self.moment(),
            stopped=stopped,
            unanswered=unanswered,
            warmths=tuple(self.journal.warmths.values()),
        )
        self._carry_out(outcome)
        self.life += 1
        self.later(0.0, self.read_coils, self.life)
        self.later(0.0, self.read_inputs, self.life)
        self.later(0.0, self.read_feeders, self.life)
        self.adapters.begin()

    def tell(self, event: Event) -> None:
        """Hand one event to the station and carry out what comes of it."""
        if self.dead:
            return
        self.events.append((self.now, event))
        self.watch(event)
        self._carry_out(self.station.handle(event, self.moment()), getattr(event, "port", None))

    def _carry_out(self, outcome: Outcome, port: PortId | None = None) -> None:
        # In the order of the engine: facts with their checkpoints in one transaction, then all else.
        told, marked, ended = (next(self._handed_in) for _ in range(3))
        for command in outcome.commands:
            self.commands.append((self.now, command))
            self.watch(command)
            beside = bool(outcome.facts) and isinstance(command, Checkpoint)
            self._execute(command, marked if beside else next(self._handed_in))
        for fact in outcome.facts:
            self.facts.append((self.now, fact))
            self.watch(fact)
            self._record(fact, ended if isinstance(fact, SessionEnded) else told)
        if outcome.facts:
            self.ask_why()
        known = self.plans if port is None else [port] if port in self.plans else []
        for view in (self.station.view(name, self.moment()) for name in known):
            if self._states.get(view.id) is not view.state:
                self._states[view.id] = view.state
                self.write(view.id, f"state {view.state.value}")

    def _execute(self, command: Command, number: int) -> None:
        self.write(getattr(command, "port", None) or "", word(command))
        match command:
            case OpenRelay() | CloseRelay() | RenewLease() | ReadRelay():
                self.relay_bus.put(Job(command.port, KINDS[type(command)], command))
            case ReadEnergy():
                self.meter_bus.put(Job(command.port, "energy", command))
            case SetPace():
                self.set_pace(command.port, command.pace)
            case Persist() | Amend() if not self.journal.stuck:
                self.later(self.journal.latency, self._persisted, command, number, self.life)
            case Checkpoint() if not self.journal.failing:
                self.journal.warmths |= {warmth.port: warmth for warmth in command.warmths}
                self.journal.identities |= {one.board: one for one in command.identities}
                for record in command.records:
                    self.journal.write(record.order.session, record, number)
            case _:
                pass

    def _persisted(self, command: Persist | Amend, number: int, life: int) -> None:
        if self.journal.failing:
            self.tell(PersistFailed(port=command.port, token=command.token))
            return
        self.journal.write(command.record.order.session, command.record, number)
        if life == self.life:
            self.tell(Persisted(port=command.port, token=command.token))

    def _record(self, fact: Fact, number: int) -> None:
        self.write(port_of(fact), word(fact))
        match fact:
            case SessionEnded():
                self.journal.write(fact.settlement.record.order.session, None, number)
            case PortTripped() | PortLockedOut() | InputTripped() | CircuitTripped():
                if fact.latch is not None:
                    self.journal.latches[fact.latch.port, fact.latch.function] = fact.latch
            case SessionSuspended() if fact.record.waits is not None and not self.journal.failing:
                self.journal.write(fact.record.order.session, fact.record, number)
            case SessionUpdated() if not self.journal.failing:
                self.journal.write(fact.record.order.session, fact.record, number)
            case PortDisabled() | PortLocked():
                self.journal.disabled[fact.disabled.holder] = fact.disabled
            case _:
                self._record_clearing(fact)

    def _record_clearing(self, fact: Fact) -> None:
        match fact:
            case LatchesCleared():
                for function in fact.functions:
                    self.journal.latches.pop((fact.port, function), None)
            case PortEnabled() | PortUnlocked():
                self.journal.disabled.pop(fact.holder, None)
            case _:
                pass

    def restart(self, after: float = 1.0) -> None:
        """Kill the daemon where it stands; a new one begins some seconds later with what the journal kept."""
        self.life += 1
        self.dead = True
        self.relay_bus.clear()
        self.meter_bus.clear()
        end = self.now + after
        while self.heap and self.heap[0][0] <= end:
            self.now, _, action, arguments = heapq.heappop(self.heap)
            action(*arguments)
        self.now = end
        self.relay_bus.clear()
        self.meter_bus.clear()
        self.dead = False
        self.watch("restart")
        self._states.clear()
        self.renew()
        interrupted = tuple(self.journal.records.values())
        self.begin(interrupted)

    def renew(self) -> None:
        """Make a station that knows what the journal has kept, and has not begun."""
        journal = self.journal
        latches, disabled = tuple(journal.latches.values()), tuple(journal.disabled.values())
        identities = tuple(journal.identities.values())
        self.station = Station(self.plan, self.moment(), latches, SEED, disabled, identities)

    # People

    def start(self, port: str = "A01", *, source: Source = Source.REMOTE, **limits: float) -> SessionId:
        """Ask for a start. Returns the session's id; limits are members of `Limits`."""
        request = self._start(port, source, **limits)
        self.tell(request)
        return request.order.session

    def hear_start(self, port: str = "A01", *, source: Source = Source.REMOTE, **limits: float) -> StartRequested:
        """Ask for a start whose id is not durable yet. Returns what is to be told when it is."""
        request = self._start(port, source, **limits)
        self.tell(RequestHeard(request=request))
        return request

    def _start(self, port: str, source: Source, **limits: float) -> StartRequested:
        number = next(self._sessions)
        session = SessionId(f"session-{number}")
        known = self.plans.get(PortId(port))
        most = known.limits if known is not None else Limits()
        order = Order(
            session=session,
            port=PortId(port),
            limits=replace(most, **limits),  # type: ignore[arg-type]  # floats by name
            tiers=self.plan.tariff_tiers,
            source=source,
            command=CommandId(f"start-{number}"),
        )
        return StartRequested(order=order, port=order.port)

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
        command = CommandId(f"stop-{next(self.numbers)}")
        named = None if session is None else SessionId(session)
        self.tell(StopRequested(port=PortId(port), session=named, source=source, force=force, command=command))
        return command

    def reset(self, port: str = "A01", *, source: Source = Source.REMOTE, reason: str | None = None) -> CommandId:
        """Ask for a reset. Returns the command's id."""
        command = CommandId(f"reset-{next(self.numbers)}")
        self.tell(ResetRequested(port=PortId(port), source=source, reason=reason, command=command))
        return command

    def update(
        self,
        port: str = "A01",
        session: str | None = "session-1",
        *,
        source: Source = Source.REMOTE,
        durable: bool = True,
        **limits: float,
    ) -> CommandId:
        """Ask for other limits, as the desk does: at once, and again when the id is durable. Returns the id."""
        command = CommandId(f"update-{next(self.numbers)}")
        event = UpdateRequested(
            port=PortId(port),
            session=None if session is None else SessionId(session),
            source=source,
            command=command,
            **limits,  # type: ignore[arg-type]  # floats by name
        )
        self.tell(event)
        if durable and not self.answers(command):
            self.tell(replace(event, durable=True))
        return command

    def disable(self, port: str = "A01", *, source: Source = Source.REMOTE, reason: str = "recall") -> CommandId:
        """Take a port, or a circuit's holder, out of service. Returns the command's id."""
        command = CommandId(f"disable-{next(self.numbers)}")
        self.tell(DisableRequested(port=PortId(port), source=source, reason=reason, command=command))
        return command

    def enable(self, port: str = "A01", *, source: Source = Source.REMOTE) -> CommandId:
        """Put a port, or a circuit's holder, back in service. Returns the command's id."""
        command = CommandId(f"enable-{next(self.numbers)}")
        self.tell(EnableRequested(port=PortId(port), source=source, reason="mended", command=command))
        return command

    def lock(self, port: str = "A01", *, by: str = "Ada", reason: str = "changing the socket") -> CommandId:
        """Put a lock on a port, or on a circuit's holder. Returns the command's id."""
        command = CommandId(f"lock-{next(self.numbers)}")
        self.tell(LockRequested(port=PortId(port), source=Source.LOCAL, by=by, reason=reason, command=command))
        return command

    def unlock(self, port: str = "A01", *, by: str = "Ada", source: Source = Source.LOCAL) -> CommandId:
        """Take the lock of a port, or of a circuit's holder, away. Returns the command's id."""
        command = CommandId(f"unlock-{next(self.numbers)}")
        self.tell(UnlockRequested(port=PortId(port), source=source, by=by, command=command))
        return command

    def reserve(self, port: str = "A01", session: str = "session-1", lasts: float = 600.0) -> CommandId:
        """Ask for a port to be kept for a session. Returns the command's id."""
        command = CommandId(f"reserve-{next(self.numbers)}")
        self.tell(
            ReserveRequested(
                port=PortId(port),
                session=SessionId(session),
                source=Source.REMOTE,
                lasts=Seconds(lasts),
                command=command,
            )
        )
        return command

    def shut_down(self) -> None:
        """Ask the station to leave for good."""
        self.tell(ShutdownRequested())

    def restart_in_order(self, after: float = 2.0, *, within: float = 1.5) -> None:
        """Stop the daemon in order, in `within` seconds at most; another one begins `after` seconds later."""
        self.tell(RestartRequested())
        end = self.now + within
        while not self.station.idle() and self._step(end):
            pass
        self.restart(after)

    def drain(self, *, begin: bool = True) -> None:
        """Have nothing start any more, or everything again."""
        self.tell(DrainRequested(begin=begin))

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

    def ready_not(self, port: str) -> None:
        """Assert that a port cannot be started."""
        assert self.view(port).blocked_by, self.print()

    def draw(self, amps: float, watts: float | None = None, port: str = "A01") -> None:
        """Change what the load wants to draw; at 230 V and a power factor of 0.6 unless watts are given."""
        load = self.loads[PortId(port)]
        load.amps, load.watts = amps, amps * 138.0 if watts is None else watts
        load.take_in(self.now, closed=self.energised(PortId(port)))

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

    def shed(self) -> CircuitView:
        """Return the circuit all scenarios are about."""
        circuit = self.station.circuit_views(self.moment())
        return next(view for view in circuit if view.id == "shed")

    def by_hand(self, port: str = "A01") -> None:
        """Let the port's meter tell current and power no more by itself: the scenario does."""
        self.meters[PortId(port)].by_hand = True

    def by_itself(self, port: str = "A01") -> None:
        """Let the port's meter speak again, whatever kept it from it."""
        meter = self.meters[PortId(port)]
        meter.silent = meter.by_hand = False

    # Looking

    @property
    def elapsed(self) -> float:
        """Seconds since this world began."""
        return self.now - BOOT

    def view(self, port: str = "A01") -> PortView:
        return self.station.view(PortId(port), self.moment())

    def state(self, port: str = "A01") -> PortState:
        return self.view(port).state

    def run_for_warmth(self, port: str = "A01") -> float:
        """Let a minute and a bit pass, and return how warm the journal has been told a port is."""
        self.run(61)
        return self.journal.warmths[PortId(port)].theta

    @property
    def suspects(self) -> set[PortId]:
        """Return the ports whose wires are suspected, as long as that is not settled."""
        return self.station._surroundings.suspects  # noqa: SLF001 - both are latched meanwhile, and after it

    def settlements(self) -> list[Settlement]:
        """Return all settlements so far."""
        return [fact.settlement for _, fact in self.facts if isinstance(fact, SessionEnded)]

    def settlement(self) -> Settlement:
        """Return the one settlement there is."""
        settled = self.settlements()
        assert len(settled) == 1, self.print()
        return settled[0]

    def messages(self, command: str) -> list[str]:
        """Return what was said beside the codes."""
        return [told.message for _, told in self.commands if isinstance(told, Answer) and told.command == command]

    def answers(self, command: str) -> list[str]:
        """Return how a command was answered: `status code`."""
        return [
            f"{told.status.value} {told.code.value}"
            for _, told in self.commands
            if isinstance(told, Answer) and told.command == command
        ]
