"""Carries out the jobs of a bus: what a board is asked for each of them, and what its answers mean to the rest."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from chargerd.core.clock import Clock
from chargerd.core.commands import CloseRelay, RenewLease
from chargerd.core.events import (
    BoardIdentified,
    BusEvent,
    CircuitFault,
    InputsNotRead,
    InputsRead,
    MeterFault,
    MeterReading,
    RelayAction,
    RelayNotReadBack,
    RelayNotWritten,
    RelayReadBack,
    RelayWritten,
)
from chargerd.core.faults import FaultKind
from chargerd.core.plan import LeaseScope
from chargerd.core.units import LONG_AGO, BoardId, CircuitId, Instant, PortId, Seconds, Volts, after, between
from chargerd.modbus.board import BoardOnBus, Implausible, Wiring
from chargerd.modbus.connection import Connection
from chargerd.modbus.exchange import Exchange
from chargerd.modbus.feeder import Supply
from chargerd.modbus.jobs import Identify, Kind, Open, OwnJob, Poll, ReadBack, Reading, Renew
from chargerd.modbus.schedule import Schedule
from chargerd.modbus.wire import Answered, Failed

SETTLE = Seconds(0.1)
"""How long after a lapse the relays may be read back: the contact needs a while, too."""
REPEATS = 2
"""So often an opening that nothing answers is repeated before that is told; the next miss makes its board lost."""
FED_WITHIN = Seconds(0.5)
"""How soon after its heartbeat a relay is closed: renewed from 3 s after that on, it has as much less than 6 s."""
LAST_RESORT_ATTEMPT = 3
"""From this attempt on, an opening also makes a timed board close for its shortest time and lapse."""


class Worker:
    """Does one job after the other, in the bus's thread."""

    def __init__(
        self,
        *,
        boards: Mapping[BoardId, BoardOnBus],
        wiring: Mapping[PortId, Wiring],
        supply: Supply,
        schedule: Schedule,
        connection: Connection,
        exchange: Exchange,
        clock: Clock,
        tell: Callable[[BusEvent], None],
    ) -> None:
        self.opened: dict[PortId, Instant] = {}
        """When the request was sent whose answer last showed a relay open."""
        self._shown: dict[PortId, bool] = {}
        """Whether a relay was last read back closed, as long as nothing has been written to it since."""
        self._fed_at: dict[BoardId, Instant] = {}
        """When a board's heartbeat was last written, and answered."""
        self._boards = boards
        self._wiring = wiring
        self._supply = supply
        self._schedule = schedule
        self._lock = schedule.lock
        self._connection = connection
        self._exchange = exchange
        self._clock = clock
        self._tell = tell

    def do(self, job: OwnJob) -> None:
        """Do a job and tell what came of it. Raises `LineGone`."""
        match job:
            case Reading():
                self._read(job)
            case Open():
                self._cut(job)
            case Renew():
                self._hold(job)
            case ReadBack():
                self._read_back(job)
            case Poll():
                self._read_supply(job)
            case Identify():
                self._identify(job)

    def _cut(self, job: Open) -> None:
        board, channel = self._relay_of(job.port)
        assert board.relays is not None
        self._shown.pop(job.port, None)
        result = self._exchange.ask(board, board.relays.open(channel), urgent=True)
        if self._is_repeated(job, result):
            return
        if job.attempt >= LAST_RESORT_ATTEMPT and board.relays.timed and self._still_closed(board, channel):
            self._exchange.ask(board, board.relays.lapse(channel), urgent=True)
            with self._lock:
                lapsed = after(self._clock.now(), board.relays.lapses_in)
                self._schedule.settle(board.id, after(lapsed, SETTLE))
        if isinstance(result, Answered):
            self._tell(RelayWritten(port=job.port, action=RelayAction.OPEN, sent_at=result.sent_at, at=result.at))
        else:
            self._tell(RelayNotWritten(port=job.port, action=RelayAction.OPEN, kind=result.kind, at=result.at))

    def _is_repeated(self, job: Open, result: Answered | Failed) -> bool:
        """Queue an opening that nothing has answered once more, at once: it goes out after a longer silence.

        Not where silence does not help: a gateway would only be kept busy for longer.
        """
        wire = self._connection.wire
        answered = isinstance(result, Answered) or result.kind is not FaultKind.TIMEOUT
        if answered or job.repeat >= REPEATS or wire is None or wire.busy_with_silence:
            return False
        with self._lock:
            self._schedule.repeat(replace(job, repeat=job.repeat + 1))
        return True

    def _still_closed(self, board: BoardOnBus, channel: int) -> bool:
        """Say whether the relay reads closed. One that reads open, or is not read, is not to be closed at all."""
        assert board.relays is not None
        result = self._exchange.ask(board, board.relays.read())
        states = self._states(board, result)
        return states is not None and states[channel - 1]

    def _states(self, board: BoardOnBus, result: Answered | Failed) -> list[bool] | None:
        """Return what a read-back says of each channel; `None` if it was not answered, or says nothing."""
        assert board.relays is not None
        if isinstance(result, Failed):
            return None
        try:
            return board.relays.states(result.pdu)
        except Implausible as error:
            self._exchange.untrue(board.id, str(error))
            return None

    def _hold(self, job: Renew) -> None:
        command = job.command
        board, channel = self._relay_of(command.port)
        assert board.relays is not None
        if isinstance(command, CloseRelay):
            self._shown.pop(command.port, None)
        feeds = command.lease is not None and self._feeds(board, command)
        if isinstance(command, CloseRelay) and not feeds:
            request = board.relays.close(channel, command.lease)
        else:
            assert command.lease is not None
            request = board.relays.renew(channel, command.lease)
        result = self._exchange.ask(board, request, not_after=command.not_after)
        if isinstance(result, Failed):
            self._not_held(command, result, closes=not feeds)
        elif feeds:
            self._fed(job, board, result)
        else:
            action = _action(command)
            self._tell(RelayWritten(port=command.port, action=action, sent_at=result.sent_at, at=result.at))

    def _not_held(self, command: CloseRelay | RenewLease, result: Failed, *, closes: bool) -> None:
        if result.kind is FaultKind.TIMEOUT and result.sent:
            self._connection.flush()
        # What only keeps closed has closed nothing, whether it has come through or not.
        sent = result.sent and (closes or isinstance(command, RenewLease))
        self._tell(not_held(command, result.kind, result.at, sent=sent, late=result.late))

    def _feeds(self, board: BoardOnBus, command: CloseRelay | RenewLease) -> bool:
        """Say whether a board's heartbeat is to be written: to renew a relay, and before one is closed.

        Closed first, a relay would stay so without limit if the heartbeat did not come through after it.
        """
        assert board.relays is not None
        if board.relays.scope is not LeaseScope.BOARD:
            return False
        fed_at = self._fed_at.get(board.id, LONG_AGO)
        return isinstance(command, RenewLease) or between(fed_at, self._clock.now()) > FED_WITHIN

    def _fed(self, job: Renew, board: BoardOnBus, result: Answered) -> None:
        """A heartbeat was written: each relay of the board is renewed by it. What it was for comes next."""
        self._fed_at[board.id] = result.sent_at
        with self._lock:
            for port in board.relay_ports.values():
                self._schedule.drop_renewal(port)
            undone = self._schedule.hold(job) if isinstance(job.command, CloseRelay) else None
        for port in board.relay_ports.values():
            renewed = RelayWritten(port=port, action=RelayAction.RENEW, sent_at=result.sent_at, at=result.at)
            self._tell(renewed)
        if undone is not None:
            self._tell(not_held(undone.command, FaultKind.OFFLINE, result.at))

    def _read_back(self, job: ReadBack) -> None:
        board = self._boards[job.board]
        assert board.relays is not None
        result = self._exchange.ask(board, board.relays.read())
        self._keep(job, result)
        states = self._states(board, result)
        if states is None:
            kind = result.kind if isinstance(result, Failed) else FaultKind.IMPLAUSIBLE
            self._not_read_back(job, kind, result.at)
            return
        assert isinstance(result, Answered)
        for channel, port in board.relay_ports.items():
            closed = states[channel - 1]
            self._note_shown(port, closed=closed, at=result.at)
            self._tell(RelayReadBack(port=port, closed=closed, sent_at=result.sent_at, at=result.at))
            if not closed:
                self.opened[port] = result.sent_at
                self._forget_renewal(port, result.at)

    def _note_shown(self, port: PortId, *, closed: bool, at: Instant) -> None:
        """A relay that has moved without being written to may be another line's: have a board say who it is."""
        if self._shown.get(port, closed) is not closed:
            with self._lock:
                self._schedule.identities.doubt(at)
        self._shown[port] = closed

    def _forget_renewal(self, port: PortId, at: Instant) -> None:
        """A relay reads open: what would renew its lease would close it."""
        with self._lock:
            hold = self._schedule.drop_renewal(port)
        if hold is not None:
            self._tell(not_held(hold.command, FaultKind.OFFLINE, at))

    def _not_read_back(self, job: ReadBack, kind: FaultKind, at: Instant) -> None:
        for port in self._boards[job.board].relay_ports.values():
            self._tell(RelayNotReadBack(port=port, kind=kind, at=at))

    def _read(self, job: Reading) -> None:
        board = self._boards[job.board]
        assert board.meter is not None
        asked = job.kind is Kind.ENERGY
        result = self._exchange.ask(board, board.meter.read(job.channel, job.block))
        if isinstance(result, Failed):
            self._keep(job, result)
            self._note_voltage(job, None)
            self._fault(job, result.kind, result.at, again=asked)
            return
        try:
            values = board.meter.values(job.block, result.pdu, job.channel)
        except Implausible as error:
            self._exchange.untrue(job.board, str(error), port=job.port)
            self._note_voltage(job, None)
            self._fault(job, FaultKind.IMPLAUSIBLE, result.at, again=asked)
            return
        self._exchange.true(job.board)
        self._note_voltage(job, values.voltage)
        current, power, voltage, energy, untrue = values
        self._tell(
            MeterReading(port=job.port, at=result.at, current=current, power=power, voltage=voltage, energy=energy)
        )
        if untrue:
            self._exchange.untrue(job.board, "; ".join(untrue), port=job.port)
            self._fault(job, FaultKind.IMPLAUSIBLE, result.at, again=asked and energy is None)

    def _note_voltage(self, job: Reading, volts: Volts | None) -> None:
        """Let another meter tell the voltage if this one was asked for it and has not."""
        if job.tells_voltage:
            with self._lock:
                self._schedule.voltages.told(job, voltage=volts is not None)

    def _read_supply(self, job: Poll) -> None:
        result = self._exchange.ask(self._boards[job.board], self._supply.request(job))
        self._keep(job, result)
        if isinstance(result, Failed):
            self._supply_fault(job, result.kind, result.at)
            return
        if job.thermometers:
            for temperature in self._supply.thermometers[job.board].note(result.pdu, result.at):
                self._tell(temperature)
            return
        if job.circuit is None:
            self._inputs(job, result)
        else:
            self._feeder(job, job.circuit, result)

    def _feeder(self, job: Poll, circuit: CircuitId, result: Answered) -> None:
        try:
            reading, untrue = self._supply.feeders[circuit].note(job, result.pdu, result.at)
        except Implausible as error:
            reading, untrue = None, (str(error),)
        else:
            self._exchange.true(job.board)
        if reading is not None:
            self._tell(reading)
        if untrue:
            self._exchange.untrue(job.board, "; ".join(untrue), circuit=circuit)
        if untrue and reading is None:
            self._supply_fault(job, FaultKind.IMPLAUSIBLE, result.at)

    def _inputs(self, job: Poll, result: Answered) -> None:
        try:
            closed = self._supply.inputs[job.board].closed(result.pdu)
        except Implausible as error:
            self._exchange.untrue(job.board, str(error))
            self._supply_fault(job, FaultKind.IMPLAUSIBLE, result.at)
            return
        self._tell(InputsRead(board=job.board, at=result.at, closed=closed))

    def _supply_fault(self, job: Poll, kind: FaultKind, at: Instant) -> None:
        """Tell that the supply was not seen; of thermometers nobody waits to hear that."""
        if job.circuit is not None:
            self._tell(CircuitFault(circuit=job.circuit, at=at, kind=kind))
        elif not job.thermometers:
            self._tell(InputsNotRead(board=job.board, at=at, kind=kind))

    def _identify(self, job: Identify) -> None:
        """Ask a board for the next register of what it is known by; tell when it has told all, or tells none."""
        with self._lock:
            request = self._schedule.identities.request(job.board)
        result = self._exchange.ask(self._boards[job.board], request)
        with self._lock:
            known = self._schedule.identities
            if isinstance(result, Answered):
                told = known.answered(job.board, result.pdu, result.at)
            else:
                refused = result.kind is FaultKind.EXCEPTION
                told = (None,) if known.failed(job.board, result.at, refused=refused) else None
        if told is not None:
            self._tell(BoardIdentified(board=job.board, at=result.at, words=told[0]))

    def _keep(self, job: ReadBack | Reading | Poll, result: Answered | Failed) -> None:
        if isinstance(result, Failed) and result.kind is not FaultKind.EXCEPTION:
            with self._lock:
                self._schedule.unanswered(job)

    def _fault(self, job: Reading, kind: FaultKind, at: Instant, *, again: bool) -> None:
        if again:
            with self._lock:
                self._schedule.ask_energy(job.port, at)
        self._tell(MeterFault(port=job.port, at=at, kind=kind))

    def undone(self, job: Renew | ReadBack | Reading | Poll | Identify) -> None:
        """The line vanished under a job: tell that it came to nothing."""
        now = self._clock.now()
        match job:
            case Renew():
                self._tell(not_held(job.command, FaultKind.OFFLINE, now, sent=True))
            case ReadBack():
                self._not_read_back(job, FaultKind.OFFLINE, now)
            case Poll():
                self._supply_fault(job, FaultKind.OFFLINE, now)
            case Identify():
                pass  # Whoever is there when the line is back is asked anew.
            case Reading():
                self._fault(job, FaultKind.OFFLINE, now, again=job.kind is Kind.ENERGY)

    def _relay_of(self, port: PortId) -> tuple[BoardOnBus, int]:
        place = self._wiring[port].relay
        assert place is not None
        return self._boards[place[0]], place[1]


def _action(command: CloseRelay | RenewLease) -> RelayAction:
    return RelayAction.CLOSE if isinstance(command, CloseRelay) else RelayAction.RENEW


def not_held(
    command: CloseRelay | RenewLease, kind: FaultKind, at: Instant, *, sent: bool = False, late: bool = False
) -> RelayNotWritten:
    """Return that a relay was not closed, or not kept closed."""
    return RelayNotWritten(port=command.port, action=_action(command), kind=kind, at=at, sent=sent, late=late)
