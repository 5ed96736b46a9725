"""One bus: a thread, a queue, a line, and the boards on it.

The thread takes the most urgent job, performs one transaction, and tells what came of it, in its own thread and at
once: between a reading and the decision on it there is no hop. Commands may come from any thread and never block;
they wait for the transaction in flight and no more. The line may be missing at any time; it is tried again every
second, and openings wait for it at the head of the queue.
"""

import threading
from collections.abc import Callable, Iterable, Mapping

from chargerd import log
from chargerd.core.clock import Clock
from chargerd.core.commands import BusCommand, CloseRelay, OpenRelay, ReadEnergy, ReadRelay, RenewLease, SetPace
from chargerd.core.events import BoardLost, BusEvent, RelayNotWritten
from chargerd.core.faults import FaultKind
from chargerd.core.plan import contactors_last
from chargerd.core.units import BoardId, Instant, PortId, Seconds, after, between
from chargerd.modbus.board import BoardOnBus, Wiring
from chargerd.modbus.by_hand import ByHand
from chargerd.modbus.connection import Connection
from chargerd.modbus.diagnosis import BusStatistics, LineState, diagnose
from chargerd.modbus.exchange import Exchange
from chargerd.modbus.feeder import NO_SUPPLY, Supply
from chargerd.modbus.health import LateStatistics
from chargerd.modbus.jobs import Job, Open, ReadBack, Renew
from chargerd.modbus.lines import LineGone
from chargerd.modbus.manual import Manual
from chargerd.modbus.schedule import Schedule
from chargerd.modbus.trace import Tracers
from chargerd.modbus.wire import Counters, Wire
from chargerd.modbus.worker import Worker, not_held

Emit = Callable[[BusEvent], None]

LONGEST_NAP = Seconds(1.0)
OPEN_AGAIN_EVERY = Seconds(0.15)


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
        self.last_turn: Instant = clock.now()
        self._wiring = wiring
        self._schedule = schedule
        self._clock = clock
        self._emit = emit
        self._on_crash = on_crash
        self._lock = schedule.lock
        self._wake = threading.Condition(self._lock)
        self._stopped = False
        self._unheard: list[RelayNotWritten] = []
        self._alone = False
        self.tracers = Tracers()
        """Those who are told of every transaction."""
        self._connection = Connection(name, connect, clock)
        self._exchange = Exchange(
            bus=name,
            boards=boards,
            schedule=schedule,
            connection=self._connection,
            clock=clock,
            tell=self._tell,
            tracers=self.tracers,
        )
        self._by_hand = ByHand(
            bus=name,
            boards=boards,
            schedule=schedule,
            connection=self._connection,
            clock=clock,
            tracers=self.tracers,
        )
        self._worker = Worker(
            boards=boards,
            wiring=wiring,
            supply=supply,
            schedule=schedule,
            connection=self._connection,
            exchange=self._exchange,
            clock=clock,
            tell=self._tell,
        )
        self._thread = threading.Thread(target=self._run, name=f"bus {name}", daemon=True)

    # For everybody

    @property
    def connected(self) -> bool:
        return self._connection.wire is not None

    @property
    def counters(self) -> Counters:
        return self._connection.counters

    @property
    def ports(self) -> frozenset[PortId]:
        return frozenset(self._wiring)

    @property
    def relay_ports(self) -> frozenset[PortId]:
        return frozenset(port for port, wiring in self._wiring.items() if wiring.relay is not None)

    @property
    def meter_ports(self) -> frozenset[PortId]:
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
        if not self._thread.is_alive() and self._connection.wire is not None:
            self._connection.wire.close()

    def execute(self, command: BusCommand) -> None:
        """Queue a command. Never blocks; what it leads to is emitted, later and in the bus thread."""
        with self._wake:
            self._queue(command)
            self._wake.notify_all()

    def ask(self, job: Manual) -> None:
        """Queue what somebody on site asks for. Never blocks; what came of it is told in the bus's thread."""
        with self._wake:
            self._schedule.manual.add(job, self._clock.now())
            self._wake.notify_all()

    def unprepared_boards(self) -> tuple[BoardId, ...]:
        """Return the boards whose settings are not known to be right: they count as boards without a dead-man."""
        return self._exchange.unprepared_boards()

    def lost_boards(self) -> tuple[BoardId, ...]:
        """Return the boards that do not answer."""
        with self._lock:
            return tuple(board for board, health in self._schedule.back_offs.boards.items() if health.lost)

    def unheard_boards(self) -> tuple[BoardId, ...]:
        """Return the boards that have never answered since the bus began, and are not lost yet."""
        lost = set(self.lost_boards())
        return tuple(
            one.board for one in self._exchange.statistics() if one.stale_age is None and one.board not in lost
        )

    def statistics(self) -> BusStatistics:
        """Return how the bus and its boards do, and what is probably wrong."""
        boards = self._exchange.statistics()
        with self._lock:
            known = sorted(self._schedule.lateness.known.items())
        late = tuple(LateStatistics(what=what, count=one.count, worst=one.worst) for what, one in known)
        wire, gone = self._connection.wire, self._connection.gone
        line = LineState(
            connected=wire is not None,
            network=wire is not None and wire.discard is not None,
            trouble=None if gone is None else gone.trouble,
            why=None if gone is None else str(gone),
            echo=None if wire is None else wire.echo,
            heard=None if wire is None else wire.heard,
        )
        return BusStatistics(
            bus=self.name,
            connected=line.connected,
            transactions=self.counters.transactions,
            busy=Seconds(self.counters.busy),
            boards=boards,
            hears_itself=line.heard,
            why=line.why,
            late=late,
            findings=(*diagnose(boards, line), *self._exchange.refusing()),
        )

    def open_all(self, within: Seconds) -> tuple[PortId, ...]:
        """Open every relay of this bus and wait for it; returns the ports not read back open in time.

        For the end of the process: works whether or not the thread still runs, also if it is just dying. An
        opening that is not read back is sent again, since nobody else may be there any more to ask for it.
        """
        with self._lock:
            self._schedule.manual.drop()  # Whoever asked is told by the daemon's end.
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
            in_order = sorted(ports, key=contactors_last)
            waiting = [port for port in in_order if not self._schedule.opening(port, self._board_of(port))]
            for port in waiting:
                tries[port] += 1
                self._queue(OpenRelay(port=port, attempt=tries[port]))
                self._queue(ReadRelay(port=port))
            self._wake.notify_all()

    def _not_open_since(self, began: Instant) -> set[PortId]:
        with self._lock:
            return {
                port for port in self.relay_ports if self._worker.opened.get(port, Instant(float("-inf"))) < began
            }

    def _turn_alone(self) -> None:
        self._alone = True
        try:
            if not self.turn():
                self._clock.sleep(Seconds(0.01))
        except Exception:  # Of whatever kind: the relays that are still to be opened wait for nobody's mistake.
            log.exception("last_opening_failed", bus=self.name)
            self._clock.sleep(Seconds(0.05))

    # Queueing

    def _queue(self, command: BusCommand) -> None:
        now = self._clock.now()
        if isinstance(command, SetPace):
            self._schedule.set_pace(command.port, command.pace, now)
            return
        if isinstance(command, ReadEnergy):
            self._schedule.ask_energy(command.port, now)
            return
        board = self._board_of(command.port)
        match command:
            case OpenRelay():
                self._requeue(Open(port=command.port, board=board, attempt=command.attempt), now)
            case ReadRelay():
                self._schedule.ask_coils(board)
            case CloseRelay() | RenewLease():
                undone = self._schedule.hold(Renew(board=board, command=command))
                if undone is not None:
                    self._unheard.append(not_held(undone.command, FaultKind.OFFLINE, now))

    def _requeue(self, cut: Open, now: Instant) -> None:
        """Queue an opening. A closing it purges is reported; of a renewal nobody wants to hear any more."""
        purged = self._schedule.cut(cut)
        if purged is not None and isinstance(purged.command, CloseRelay):
            self._unheard.append(not_held(purged.command, FaultKind.OFFLINE, now))

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
            due = self._connection.try_at if not self.connected else self._schedule.due_at(now)
            left = LONGEST_NAP if due is None else min(LONGEST_NAP, between(now, due))
            if left > 0 and not self._stopped and not self._to_be_told():
                self._wake.wait(left)

    def turn(self) -> bool:
        """Do one thing: connect, or one transaction. Returns whether there was anything to do."""
        try:
            if self._connection.doubtful and self._exchange.hung():
                self._connection.renew()
            if self._connection.wire is None and not self._reconnect():
                return self._tell_unheard()
            return (bool(self._unheard) and self._tell_unheard()) or self._one_job()
        except LineGone as error:
            self._lose_line(error)
            return True

    def _to_be_told(self) -> bool:
        waiting = self._schedule.holding or bool(self._schedule.manual)
        return bool(self._unheard) or (not self.connected and waiting)

    def _tell_unheard(self) -> bool:
        """Report closings and renewals that came to nothing; on a missing line that is all of them."""
        with self._lock:
            unheard, self._unheard = self._unheard, []
            dropped = () if self.connected else self._schedule.manual.drop()
            if not self.connected:
                now = self._clock.now()
                unheard += [not_held(hold.command, FaultKind.OFFLINE, now) for hold in self._schedule.drop_holds()]
        for event in unheard:
            self._tell(event)
        for job in dropped:
            self._by_hand.put_off(job, "the line is not there")
        return bool(unheard or dropped)

    def _tell(self, event: BusEvent) -> None:
        """Emit an event. While opening alone, what becomes of it must not come between us and the next relay."""
        try:
            self._emit(event)
        except Exception as error:
            if not self._alone:
                raise
            log.warning("nobody_heard", bus=self.name, why=repr(error))  # no traceback: relays are waiting

    def _reconnect(self) -> bool:
        if not self._connection.open():
            return False
        self._exchange.prepare_anew()
        with self._lock:
            self._schedule.forgive()
            self._schedule.identities.begin(self._clock.now())
        return True

    def _lose_line(self, error: LineGone) -> None:
        self._connection.lose(error)
        now = self._clock.now()
        with self._lock:
            lost = self._schedule.back_offs.lose_all()
        self._tell_unheard()
        for board in lost:
            self._tell(BoardLost(board=board, at=now, kind=FaultKind.OFFLINE))

    def _one_job(self) -> bool:
        now = self._clock.now()
        with self._lock:
            late = self._schedule.overdue(now)
            job = self._after_a_read(self._schedule.next(now))
            preparing = None if self._alone else self._exchange.to_prepare(job)
            if job is not None and preparing is None:
                self._schedule.begin(job, now)
            overload = self._schedule.lateness.overload(now)
        for hold in late:
            self._tell(not_held(hold.command, FaultKind.TIMEOUT, now, late=True))
        if overload:
            counts = {what: one.count for what, one in overload.items()}
            worst = {what: round(one.worst, 3) for what, one in overload.items()}
            log.warning("bus_overloaded", bus=self.name, late=counts, worst_s=worst)
        if job is None:
            return bool(late)
        if preparing is not None and job.board is not None:
            self._exchange.prepare(job.board, preparing)
            return True
        self._do(job)
        return True

    def _after_a_read(self, job: Job | None) -> Job | None:
        """Return a read-back in a write's place while it is not known whether the adapter hears what it sends.

        Once for each line: it would be taken for the board's answer otherwise, and the next frame sent into that.
        """
        if not isinstance(job, Open | Renew) or self._connection.probed:
            return job
        wire = self._connection.wire
        if wire is None or wire.echo is not None:
            return job
        self._connection.probed = True
        return ReadBack(board=job.board)

    def _do(self, job: Job) -> None:
        """Do a job; if the line vanishes under it, an opening stays queued and the rest has come to nothing."""
        try:
            if isinstance(job, Manual):
                self._by_hand.do(job)
            else:
                self._worker.do(job)
        except LineGone:
            if isinstance(job, Manual):
                self._by_hand.put_off(job, "the line is gone")
                raise
            if isinstance(job, Open):
                with self._lock:
                    self._requeue(job, self._clock.now())
            else:
                self._worker.undone(job)
            raise

    def _board_of(self, port: PortId) -> BoardId:
        """Return the board of a port's relay."""
        relay = self._wiring[port].relay
        assert relay is not None, f"{port} has no relay on bus {self.name}"
        return relay[0]
