"""One bus: a thread, a queue, a line, and the boards on it.

The thread takes the most urgent job, performs one transaction, and tells what came of it, in its own thread and at
once: between a reading and the decision on it there is no hop. Commands may come from any thread and never block;
they wait for the transaction in flight and no more. The line may be missing at any time; it is tried again every
second, and openings wait for it at the head of the queue.
"""

import threading
from collections.abc import Callable, Iterable, Mapping

import structlog

from chargerd.core.clock import Clock
from chargerd.core.commands import BusCommand, CloseRelay, OpenRelay, ReadEnergy, ReadRelay, RenewLease, SetPace
from chargerd.core.events import (
    BoardBack,
    BoardLost,
    BusEvent,
    CircuitFault,
    FaultKind,
    InputsNotRead,
    InputsRead,
    MeterFault,
    MeterReading,
    PreparationFailed,
    RelayAction,
    RelayNotReadBack,
    RelayNotWritten,
    RelayReadBack,
    RelayWritten,
)
from chargerd.core.units import BoardId, Instant, PortId, Seconds, after, between
from chargerd.modbus.board import BoardOnBus, Implausible, Values, Wiring
from chargerd.modbus.feeder import NO_SUPPLY, Supply
from chargerd.modbus.frames import Request
from chargerd.modbus.health import BoardHealth, BusStatistics, LateStatistics, diagnose, health_of
from chargerd.modbus.lines import LineGone
from chargerd.modbus.preparing import Preparing
from chargerd.modbus.schedule import Coils, Cut, Hold, Job, Kind, Reading, Regular, Schedule
from chargerd.modbus.wire import NEVER, Answered, Counters, Failed, Wire

log = structlog.get_logger(__name__)

Emit = Callable[[BusEvent], None]

REOPEN_EVERY = Seconds(1.0)
LONGEST_NAP = Seconds(1.0)
SETTLE = Seconds(0.1)
"""How long after a lapse the relays may be read back: the contact needs a while, too."""
OPEN_AGAIN_EVERY = Seconds(0.15)
OVERLOAD_EVERY = Seconds(60.0)
OVERLOADED = 3
"""So many late readings of one kind within that time are no accident."""
LAST_RESORT_ATTEMPT = 3
"""From this attempt on, an opening also makes a timed board close for its shortest time and lapse."""


class Bus:
    """One line and its boards. Thread-safe."""

    def __init__(
        self,
        *,
        name: str,
        connect: Callable[[Counters], Wire],
        boards: Mapping[BoardId, BoardOnBus],
        wiring: Mapping[PortId, Wiring],
        schedule: Schedule,
        supply: Supply = NO_SUPPLY,
        clock: Clock,
        emit: Emit,
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self.name = name
        self.counters = Counters()
        self.last_turn: Instant = clock.now()
        self.connected = False
        self._connect = connect
        self._boards = boards
        self._wiring = wiring
        self._schedule = schedule
        self._supply = supply
        self._clock = clock
        self._emit = emit
        self._on_crash = on_crash
        self._wire: Wire | None = None
        self._connect_at = clock.now()
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._stopped = False
        self._unheard: list[RelayNotWritten] = []
        self._alone = False
        self._opened: dict[PortId, Instant] = {}
        self._preparing = {
            board.id: Preparing(board.relays)
            for board in boards.values()
            if board.relays is not None and board.relays.settings
        }
        self._health = health_of({board.id: board.bounds for board in boards.values()})
        self._late_at = clock.now()
        self._late_told: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name=f"bus {name}", daemon=True)

    # For everybody

    @property
    def ports(self) -> frozenset[PortId]:
        """The ports whose relay or meter hangs on this bus."""
        return frozenset(self._wiring)

    @property
    def relay_ports(self) -> frozenset[PortId]:
        """The ports whose relay hangs on this bus."""
        return frozenset(port for port, wiring in self._wiring.items() if wiring.relay is not None)

    @property
    def meter_ports(self) -> frozenset[PortId]:
        """The ports whose meter hangs on this bus."""
        return frozenset(port for port, wiring in self._wiring.items() if wiring.meter is not None)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: Seconds) -> None:
        """End the thread and give the line back."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if not self._thread.is_alive() and self._wire is not None:
            self._wire.close()

    def execute(self, command: BusCommand) -> None:
        """Queue a command. Never blocks; what it leads to is emitted, later and in the bus thread."""
        with self._wake:
            self._queue(command)
            self._wake.notify_all()

    def unprepared_boards(self) -> tuple[BoardId, ...]:
        """Return the boards whose settings are not known to be right: they count as boards without a dead-man."""
        return tuple(board for board, preparing in self._preparing.items() if not preparing.good)

    def lost_boards(self) -> tuple[BoardId, ...]:
        """Return the boards that do not answer."""
        with self._lock:
            return tuple(board for board, health in self._schedule.health.items() if health.lost)

    def statistics(self) -> BusStatistics:
        """Return how the bus and its boards do, and what is probably wrong."""
        with self._lock:
            now = self._clock.now()
            boards = tuple(
                self._health[board].statistics(
                    board, now, misses=known.misses, lost=known.lost, not_before=known.not_before
                )
                for board, known in self._schedule.health.items()
            )
            late = tuple(
                LateStatistics(what=what, count=one.count, worst=one.worst)
                for what, one in sorted(self._schedule.late.items())
            )
        return BusStatistics(
            bus=self.name,
            connected=self.connected,
            transactions=self.counters.transactions,
            boards=boards,
            late=late,
            findings=diagnose(boards, connected=self.connected),
        )

    def open_all(self, within: Seconds) -> tuple[PortId, ...]:
        """Open every relay of this bus and wait for it; returns the ports not read back open in time.

        For the end of the process: works whether or not the thread still runs, also if it is just dying. An
        opening that is not read back is sent again, since nobody else may be there any more to ask for it.
        """
        began = self._clock.now()
        deadline = after(began, within)
        tries = dict.fromkeys(self.relay_ports, 0)
        again_at = began
        while (left := self._not_open_since(began)) and (now := self._clock.now()) < deadline:
            if now >= again_at:
                again_at = after(now, OPEN_AGAIN_EVERY)
                self._ask_to_open(left, tries)
            if self._thread.is_alive():
                self._clock.sleep(Seconds(0.01))
            else:
                self._turn_alone()
        return tuple(sorted(left))

    def _ask_to_open(self, ports: Iterable[PortId], tries: dict[PortId, int]) -> None:
        """Open those of the ports that are not being opened or read back already."""
        with self._wake:
            waiting = [
                port for port in sorted(ports) if not self._schedule.opening(port, self._relay_of(port)[0].id)
            ]
            for port in waiting:
                tries[port] += 1
                self._queue(OpenRelay(port=port, attempt=tries[port]))
                self._queue(ReadRelay(port=port))
            self._wake.notify_all()

    def _not_open_since(self, began: Instant) -> set[PortId]:
        with self._lock:
            return {port for port in self.relay_ports if self._opened.get(port, Instant(float("-inf"))) < began}

    def _turn_alone(self) -> None:
        self._alone = True
        try:
            if not self.turn():
                self._clock.sleep(Seconds(0.01))
        except Exception:
            log.exception("last_opening_failed", bus=self.name)
            self._clock.sleep(Seconds(0.05))

    # Queueing

    def _queue(self, command: BusCommand) -> None:
        now = self._clock.now()
        wiring = self._wiring[command.port]
        if isinstance(command, SetPace):
            self._schedule.set_pace(command.port, command.pace, now)
            return
        if isinstance(command, ReadEnergy):
            self._schedule.ask_energy(command.port, now)
            return
        assert wiring.relay is not None, f"{command.port} has no relay on bus {self.name}"
        board = wiring.relay[0]
        match command:
            case OpenRelay():
                self._requeue(Cut(port=command.port, board=board, attempt=command.attempt), now)
            case ReadRelay():
                self._schedule.ask_coils(board)
            case CloseRelay() | RenewLease():
                undone = self._schedule.hold(Hold(board=board, command=command))
                if undone is not None:
                    self._unheard.append(_not_held(undone.command, FaultKind.OFFLINE, now))

    def _requeue(self, cut: Cut, now: Instant) -> None:
        """Queue an opening. A closing it purges is reported; of a renewal nobody wants to hear any more."""
        purged = self._schedule.cut(cut)
        if purged is not None and isinstance(purged.command, CloseRelay):
            self._unheard.append(_not_held(purged.command, FaultKind.OFFLINE, now))

    # The thread

    def _run(self) -> None:
        try:
            while not self._stopped:
                self.last_turn = self._clock.now()
                if not self.turn():
                    self._nap()
        except BaseException as error:  # noqa: BLE001 - the thread's last word, passed on to the supervisor
            self._on_crash(error)

    def _nap(self) -> None:
        with self._wake:
            now = self._clock.now()
            due = self._connect_at if self._wire is None else self._schedule.due_at(now)
            left = LONGEST_NAP if due is None else min(LONGEST_NAP, between(now, due))
            if left > 0 and not self._stopped and not self._to_be_told():
                self._wake.wait(left)

    def turn(self) -> bool:
        """Do one thing: connect, or one transaction. Returns whether there was anything to do."""
        try:
            if self._wire is None and not self._reconnect():
                return self._tell_unheard()
            return self._tell_unheard() or self._one_job()
        except LineGone as error:
            self._lose_line(error)
            return True

    def _to_be_told(self) -> bool:
        return bool(self._unheard) or (self._wire is None and self._schedule.holding)

    def _tell_unheard(self) -> bool:
        """Report closings and renewals that came to nothing; on a missing line that is all of them."""
        with self._lock:
            unheard, self._unheard = self._unheard, []
            if self._wire is None:
                now = self._clock.now()
                unheard += [
                    _not_held(hold.command, FaultKind.OFFLINE, now) for hold in self._schedule.drop_holds()
                ]
        for event in unheard:
            self._tell(event)
        return bool(unheard)

    def _tell(self, event: BusEvent) -> None:
        """Emit an event. While opening alone, what becomes of it must not come between us and the next relay."""
        try:
            self._emit(event)
        except Exception as error:
            if not self._alone:
                raise
            log.warning("nobody_heard", bus=self.name, why=repr(error))  # no traceback: relays are waiting

    def _reconnect(self) -> bool:
        now = self._clock.now()
        if now < self._connect_at:
            return False
        self._connect_at = after(now, REOPEN_EVERY)
        self._wire = self._connect(self.counters)
        self.connected = True
        log.info("line_open", bus=self.name)
        for preparing in self._preparing.values():
            preparing.begin()
        with self._lock:
            self._schedule.forgive()
        return True

    def _lose_line(self, error: LineGone) -> None:
        if self._wire is not None:
            log.warning("line_gone", bus=self.name, why=str(error))
            self._wire.close()
        else:
            log.debug("line_missing", bus=self.name, why=str(error))
        self._wire, self.connected = None, False
        now = self._clock.now()
        self._connect_at = after(now, REOPEN_EVERY)
        with self._lock:
            lost = self._schedule.lose_all()
        self._tell_unheard()
        for board in lost:
            self._tell(BoardLost(board=board, at=now, kind=FaultKind.OFFLINE))

    def _one_job(self) -> bool:
        now = self._clock.now()
        with self._lock:
            late = self._schedule.overdue(now)
            job = self._schedule.next(now)
            preparing = self._to_prepare(job)
            if job is not None and preparing is None:
                self._schedule.begin(job, now)
        for hold in late:
            self._tell(_not_held(hold.command, FaultKind.TIMEOUT, now, late=True))
        self._tell_overload(now)
        if job is None:
            return bool(late)
        if preparing is not None:
            self._prepare(self._boards[job.board], preparing)
            return True
        try:
            self._do(job)
        except LineGone:
            self._undone(job)
            raise
        return True

    def _tell_overload(self, now: Instant) -> None:
        """Say what has been late, at most once in a while: a line that is short of time is no single event."""
        if now < self._late_at:
            return
        self._late_at = after(now, OVERLOAD_EVERY)
        with self._lock:
            known = dict(self._schedule.late)
        more = {what: one.count - self._late_told.get(what, 0) for what, one in known.items()}
        self._late_told = {what: one.count for what, one in known.items()}
        late = {what: count for what, count in more.items() if count >= OVERLOADED}
        if late:
            worst = {what: round(known[what].worst, 3) for what in late}
            log.warning("bus_overloaded", bus=self.name, late=late, worst_s=worst)

    def _to_prepare(self, job: Job | None) -> Preparing | None:
        """Return what a job's board must be told first. Nothing comes before an opening, or at the very end."""
        if job is None or isinstance(job, Cut) or self._alone:
            return None
        preparing = self._preparing.get(job.board)
        return None if preparing is None or preparing.over else preparing

    def _prepare(self, board: BoardOnBus, preparing: Preparing) -> None:
        """Do one transaction of a board's preparation: the job it is for stays queued until all are done."""
        result = self._ask(board, preparing.request())
        if isinstance(result, Answered):
            preparing.answered(result.pdu)
        elif result.kind is FaultKind.EXCEPTION:
            preparing.refused()
        if preparing.good:
            log.info("board_prepared", bus=self.name, board=board.id)
        elif preparing.failed is not None:
            log.error("board_not_prepared", bus=self.name, board=board.id, setting=preparing.failed)
            self._tell(PreparationFailed(board=board.id, at=self._clock.now(), setting=preparing.failed))

    def _undone(self, job: Job) -> None:
        """The line vanished under a job: an opening stays queued, the rest is told that it came to nothing."""
        now = self._clock.now()
        match job:
            case Cut():
                with self._lock:
                    self._requeue(job, now)
            case Hold():
                self._tell(_not_held(job.command, FaultKind.OFFLINE, now, sent=True))
            case Coils():
                self._not_read_back(job, FaultKind.OFFLINE, now)
            case Regular():
                self._supply_fault(job, FaultKind.OFFLINE, now)
            case Reading():
                self._fault(job, FaultKind.OFFLINE, now, again=job.kind is Kind.ENERGY)

    # Jobs

    def _do(self, job: Job) -> None:
        match job:
            case Cut():
                self._cut(job)
            case Hold():
                self._hold(job)
            case Coils():
                self._read_back(job)
            case Regular():
                self._read_supply(job)
            case Reading():
                self._read(job)

    def _ask(
        self, board: BoardOnBus, request: Request, *, urgent: bool = False, not_after: Instant = NEVER
    ) -> Answered | Failed:
        """Perform one transaction, and keep the board's health."""
        assert self._wire is not None
        health = self._health[board.id]
        timeout, foreign = health.timeout(), self.counters.foreign_bytes
        result = self._wire.transact(request, timeout, silence=board.silence, urgent=urgent, not_after=not_after)
        if isinstance(result, Failed) and result.late:
            return result
        now = self._clock.now()
        self._count(health, result, self.counters.foreign_bytes - foreign)
        alive = isinstance(result, Answered) or result.kind is FaultKind.EXCEPTION
        with self._lock:
            back = alive and self._schedule.answered(board.id)
            if back and board.relay_ports:
                self._schedule.ask_coils(board.id)
            lost = not alive and self._schedule.missed(board.id, now, health.shortened(timeout))
        if back:
            if board.id in self._preparing:
                self._preparing[board.id].begin()
            self._tell(BoardBack(board=board.id, at=now))
        if lost:
            assert isinstance(result, Failed)
            self._tell(BoardLost(board=board.id, at=now, kind=result.kind))
        return result

    def _count(self, health: BoardHealth, result: Answered | Failed, foreign: int) -> None:
        with self._lock:
            health.foreign(foreign)
            if isinstance(result, Answered):
                health.answered(result.took, result.at)
            else:
                health.failed(result.kind, result.at)

    def _cut(self, job: Cut) -> None:
        board, channel = self._relay_of(job.port)
        assert board.relays is not None
        result = self._ask(board, board.relays.open(channel), urgent=True)
        if job.attempt >= LAST_RESORT_ATTEMPT and board.relays.timed and not self._is_open(board, channel, result):
            self._ask(board, board.relays.lapse(channel), urgent=True)
            with self._lock:
                lapsed = after(self._clock.now(), board.relays.lapses_in)
                self._schedule.settle(board.id, after(lapsed, SETTLE))
        if isinstance(result, Answered):
            self._tell(RelayWritten(port=job.port, action=RelayAction.OPEN, sent_at=result.sent_at, at=result.at))
        else:
            self._tell(RelayNotWritten(port=job.port, action=RelayAction.OPEN, kind=result.kind, at=result.at))

    def _is_open(self, board: BoardOnBus, channel: int, written: Answered | Failed) -> bool:
        """Say whether an opening was echoed and the relay reads open: then nothing is to close it at all."""
        if not isinstance(written, Answered):
            return False
        assert board.relays is not None
        result = self._ask(board, board.relays.read())
        return isinstance(result, Answered) and not board.relays.states(result.pdu)[channel - 1]

    def _hold(self, job: Hold) -> None:
        command = job.command
        board, channel = self._relay_of(command.port)
        assert board.relays is not None
        request = board.relays.close(channel, command.lease)
        result = self._ask(board, request, not_after=command.not_after)
        if isinstance(result, Answered):
            action = _action(command)
            self._tell(RelayWritten(port=command.port, action=action, sent_at=result.sent_at, at=result.at))
            return
        if result.kind is FaultKind.TIMEOUT and result.sent:
            self._flush()
        self._tell(_not_held(command, result.kind, result.at, sent=result.sent, late=result.late))

    def _flush(self) -> None:
        """Give up a connection in which a closing may still be on its way: it must not arrive after an opening."""
        if self._wire is not None and self._wire.discard is not None:
            log.warning("connection_renewed", bus=self.name, why="a closing was not answered")
            self._wire.discard()
            self._wire, self.connected = None, False
            self._connect_at = self._clock.now()

    def _read_back(self, job: Coils) -> None:
        board = self._boards[job.board]
        assert board.relays is not None
        result = self._ask(board, board.relays.read())
        self._keep(job, result)
        if isinstance(result, Failed):
            self._not_read_back(job, result.kind, result.at)
            return
        states = board.relays.states(result.pdu)
        for channel, port in board.relay_ports.items():
            closed = states[channel - 1]
            if not closed:
                self._opened[port] = result.sent_at
            self._tell(RelayReadBack(port=port, closed=closed, sent_at=result.sent_at, at=result.at))

    def _not_read_back(self, job: Coils, kind: FaultKind, at: Instant) -> None:
        for port in self._boards[job.board].relay_ports.values():
            self._tell(RelayNotReadBack(port=port, kind=kind, at=at))

    def _read(self, job: Reading) -> None:
        board = self._boards[job.board]
        assert board.meter is not None
        asked = job.kind is Kind.ENERGY
        result = self._ask(board, board.meter.read(job.channel, job.block))
        self._keep(job, result)
        if isinstance(result, Failed):
            self._fault(job, result.kind, result.at, again=asked)
            return
        try:
            values = board.meter.values(job.block, result.pdu, job.channel)
        except Implausible as error:
            log.warning("implausible", board=job.board, port=job.port, why=str(error))
            self._fault(job, FaultKind.IMPLAUSIBLE, result.at, again=asked)
            return
        self._tell(_reading(job.port, result.at, values))

    def _read_supply(self, job: Regular) -> None:
        result = self._ask(self._boards[job.board], self._supply.request(job))
        self._keep(job, result)
        if isinstance(result, Failed):
            self._supply_fault(job, result.kind, result.at)
            return
        if job.thermometers:
            for temperature in self._supply.thermometers[job.board].note(result.pdu, result.at):
                self._tell(temperature)
            return
        if job.circuit is None:
            closed = self._supply.inputs[job.board].closed(result.pdu)
            self._tell(InputsRead(board=job.board, at=result.at, closed=closed))
            return
        try:
            reading = self._supply.feeders[job.circuit].note(job, result.pdu, result.at)
        except Implausible as error:
            log.warning("implausible", board=job.board, circuit=job.circuit, why=str(error))
            self._supply_fault(job, FaultKind.IMPLAUSIBLE, result.at)
            return
        if reading is not None:
            self._tell(reading)

    def _supply_fault(self, job: Regular, kind: FaultKind, at: Instant) -> None:
        """Tell that the supply was not seen; of thermometers nobody waits to hear that."""
        if job.circuit is not None:
            self._tell(CircuitFault(circuit=job.circuit, at=at, kind=kind))
        elif not job.thermometers:
            self._tell(InputsNotRead(board=job.board, at=at, kind=kind))

    def _keep(self, job: Coils | Reading | Regular, result: Answered | Failed) -> None:
        if isinstance(result, Failed) and result.kind is not FaultKind.EXCEPTION:
            with self._lock:
                self._schedule.unanswered(job)

    def _fault(self, job: Reading, kind: FaultKind, at: Instant, *, again: bool) -> None:
        if again:
            with self._lock:
                self._schedule.ask_energy(job.port, at)
        self._tell(MeterFault(port=job.port, at=at, kind=kind))

    def _relay_of(self, port: PortId) -> tuple[BoardOnBus, int]:
        place = self._wiring[port].relay
        assert place is not None
        return self._boards[place[0]], place[1]


def _reading(port: PortId, at: Instant, values: Values) -> MeterReading:
    return MeterReading(
        port=port,
        at=at,
        current=values.current,
        power=values.power,
        voltage=values.voltage,
        energy=values.energy,
    )


def _action(command: CloseRelay | RenewLease) -> RelayAction:
    return RelayAction.CLOSE if isinstance(command, CloseRelay) else RelayAction.RENEW


def _not_held(
    command: CloseRelay | RenewLease, kind: FaultKind, at: Instant, *, sent: bool = False, late: bool = False
) -> RelayNotWritten:
    return RelayNotWritten(port=command.port, action=_action(command), kind=kind, at=at, sent=sent, late=late)
