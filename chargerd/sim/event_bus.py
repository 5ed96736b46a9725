"""A bus without a line: relays and meters that answer as events, so that one process can hold many gateways.

What it leaves out against `sim.line` are the frames: no byte is sent, and a write takes no time. It drives the
same world of sockets and loads, and tells what a real bus tells: writes, read-backs, readings, boards that do not
answer. Time is turned by hand: `turn` does what is due, `due` says when that is.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from chargerd.config.profiles.register_map import Quantity
from chargerd.config.site import Site
from chargerd.core.clock import Clock
from chargerd.core.commands import (
    BusCommand,
    CloseRelay,
    OpenRelay,
    Pace,
    ReadEnergy,
    ReadRelay,
    RenewLease,
    SetPace,
)
from chargerd.core.events import (
    BoardBack,
    BoardLost,
    BoardPrepared,
    BusEvent,
    MeterFault,
    MeterReading,
    RelayAction,
    RelayNotReadBack,
    RelayNotWritten,
    RelayReadBack,
    RelayWritten,
)
from chargerd.core.faults import FaultKind
from chargerd.core.units import Amps, BoardId, Instant, PortId, Seconds, Volts, WattHours, Watts, after
from chargerd.sim.parts import Meter
from chargerd.sim.world import World

BEAT = Seconds(2.0)
"""Meters are read on a beat, all of a gateway together, unless a port is about to close."""
EVERY = {Pace.IDLE: Seconds(10.0), Pace.ARMED: Seconds(0.5), Pace.CLOSED: Seconds(4.0)}
"""How often a meter is read."""
ANSWERS_AFTER = Seconds(0.0625)
"""How long a reading that was asked for takes: about what a frame and its answer do at 9600 Bd.

A clock that is turned by hand stands still within a turn, and a reading of the very instant it was asked for at
counts as one from before: sessions would be settled without their registers. A binary fraction, so that no clock
that is a sum of such steps ever stops a bit short of it.
"""
COILS_EVERY = Seconds(10.0)
LOST_AFTER = Seconds(3.0)
"""How long a board keeps silent before it counts as lost."""


@dataclass(slots=True)
class Nothing:
    """What a line has seen that is none."""

    transactions: int = 0
    timeouts: int = 0
    corrupt: int = 0
    exceptions: int = 0
    foreign_bytes: int = 0


class EventBus:
    """The boards of one bus. `silent` are those that do not answer; it may be changed between two turns."""

    def __init__(
        self,
        name: str,
        site: Site,
        world: World,
        *,
        clock: Clock,
        emit: Callable[[BusEvent], None],
        world_time: Callable[[], Instant] | None = None,
    ) -> None:
        """`world_time` is the world's own clock, where the gateway's begins anew with each boot."""
        self.name = name
        self.connected = True
        self.counters = Nothing()
        self.last_turn: Instant = clock.now()
        self.silent: frozenset[BoardId] = frozenset()
        self._boards = tuple(board.id for board in site.boards.values() if board.bus == name)
        relays = {port.id: port.relay.board for port in site.ports if port.relay.board in self._boards}
        meters = {port.id: port.meter.board for port in site.ports if port.meter.board in self._boards}
        self._board_of_relay, self._board_of_meter = relays, meters
        self.relay_ports, self.meter_ports = frozenset(relays), frozenset(meters)
        self._channels: dict[PortId, Meter] = {port: world.meter(port) for port in meters}
        self._world = world
        self._clock = clock
        self._world_time = clock.now if world_time is None else world_time
        self._emit = emit
        self._commands: deque[BusCommand] = deque()
        self._pace = dict.fromkeys(sorted(meters), Pace.IDLE)
        self._due: dict[PortId, Instant] = {}
        self._began = self._coils_due = clock.now()
        self._silent_since: dict[BoardId, Instant] = {}
        self._lost: set[BoardId] = set()
        self._heard: set[BoardId] = set()

    # As any bus

    def start(self) -> None:
        """Begin; nothing is done without `turn`."""
        now = self._clock.now()
        self._world.begin_at(self._world_time())
        self._began = self._coils_due = now
        self._due = dict.fromkeys(self._pace, now)

    def stop(self, timeout: Seconds) -> None:
        """End: there is nothing to be waited for."""

    def execute(self, command: BusCommand) -> None:
        """Queue a command; what it leads to is emitted at the next turn."""
        self._commands.append(command)

    def unprepared_boards(self) -> tuple[BoardId, ...]:
        """Return none: modelled boards have what they need."""
        return ()

    def lost_boards(self) -> tuple[BoardId, ...]:
        """Return the boards that do not answer."""
        return tuple(board for board in self._boards if board in self._lost)

    def unheard_boards(self) -> tuple[BoardId, ...]:
        """Return the boards that have never answered and are not lost yet."""
        return tuple(board for board in self._boards if board not in self._heard and board not in self._lost)

    def open_all(self, within: Seconds) -> tuple[PortId, ...]:
        """Open every relay whose board answers, at once; return the others."""
        del within
        left = [port for port in self.relay_ports if self._board_of_relay[port] in self.silent]
        for port in self.relay_ports.difference(left):
            self._world.relay(port).write(self._world_time(), closed=False)
        return tuple(left)

    # Turns

    @property
    def busy(self) -> bool:
        """Whether commands wait that no turn has dealt with."""
        return bool(self._commands)

    def turn(self) -> None:
        """Carry out what is waiting, and read what is due."""
        now = self.last_turn = self._clock.now()
        self._look_at_boards(now)
        while self._commands:
            self._carry_out(self._commands.popleft())
        coils = now >= self._coils_due
        due = [port for port, at in self._due.items() if now >= at]
        if not (coils or due):
            return
        self._world.advance(self._world_time())
        self._world.log.clear()
        if coils:
            self._coils_due = after(now, COILS_EVERY)
            for port in self._board_of_relay:
                self._read_back(port)
        for port in due:
            self._due[port] = self._next(now, EVERY[self._pace[port]])
            self._read(port)

    def _next(self, now: Instant, every: Seconds) -> Instant:
        """Return when a port is read next: on a beat, so that those of one gateway are read together."""
        if every < BEAT:
            return after(now, every)
        return after(self._began, Seconds((now - self._began + every) // BEAT * BEAT))

    def due(self) -> Instant:
        """Return when there is something to be done next."""
        return min(self._coils_due, min(self._due.values(), default=self._coils_due))

    def _look_at_boards(self, now: Instant) -> None:
        if len(self._heard) == len(self._boards) and not (self.silent or self._silent_since):
            return
        for board in self._boards:
            if board not in self.silent:
                self._silent_since.pop(board, None)
                if board not in self._heard or board in self._lost:
                    self._heard.add(board)
                    self._lost.discard(board)
                    self._emit(BoardBack(board=board, at=now))
                    self._emit(BoardPrepared(board=board, at=now))
                continue
            since = self._silent_since.setdefault(board, now)
            if board not in self._lost and now >= after(since, LOST_AFTER):
                self._lost.add(board)
                self._emit(BoardLost(board=board, at=now, kind=FaultKind.TIMEOUT))

    def _carry_out(self, command: BusCommand) -> None:
        port = command.port
        match command:
            case OpenRelay():
                self._write(port, RelayAction.OPEN)
            case CloseRelay():
                self._hold(command, RelayAction.CLOSE)
            case RenewLease():
                self._hold(command, RelayAction.RENEW)
            case ReadRelay():
                self._read_back(port)
            case ReadEnergy():
                self._due[port] = after(self._clock.now(), ANSWERS_AFTER)
            case SetPace():
                self._pace[port] = command.pace
                self._due[port] = after(self._clock.now(), ANSWERS_AFTER)

    def _hold(self, command: CloseRelay | RenewLease, action: RelayAction) -> None:
        now = self._clock.now()
        if now > command.not_after:
            self._not_written(command.port, action, late=True)
            return
        self._write(command.port, action, command.lease)

    def _write(self, port: PortId, action: RelayAction, lease: Seconds | None = None) -> None:
        if self._board_of_relay[port] in self.silent:
            self._not_written(port, action, late=False)
            return
        now = self._clock.now()
        self._world.advance(self._world_time())
        self._world.relay(port).write(self._world_time(), closed=action is not RelayAction.OPEN, span=lease)
        if action is not RelayAction.RENEW:
            self._world.advance(self._world_time())
        self._emit(RelayWritten(port=port, action=action, sent_at=now, at=now))

    def _not_written(self, port: PortId, action: RelayAction, *, late: bool) -> None:
        self.counters.timeouts += not late
        kind, now = FaultKind.TIMEOUT, self._clock.now()
        self._emit(RelayNotWritten(port=port, action=action, kind=kind, at=now, sent=not late, late=late))

    def _read_back(self, port: PortId) -> None:
        now = self._clock.now()
        if self._board_of_relay[port] in self.silent:
            self.counters.timeouts += 1
            self._emit(RelayNotReadBack(port=port, kind=FaultKind.TIMEOUT, at=now))
            return
        self._emit(RelayReadBack(port=port, closed=self._world.relay(port).coil, sent_at=now, at=now))

    def _read(self, port: PortId) -> None:
        now = self._clock.now()
        if self._board_of_meter[port] in self.silent:
            self.counters.timeouts += 1
            self._emit(MeterFault(port=port, kind=FaultKind.TIMEOUT, at=now))
            return
        values = self._channels[port].values
        self._emit(
            MeterReading(
                port=port,
                at=now,
                current=Amps(round(values[Quantity.CURRENT], 3)),
                power=Watts(round(values[Quantity.POWER], 1)),
                voltage=Volts(round(values[Quantity.VOLTAGE], 1)),
                energy=WattHours(values[Quantity.ENERGY]),
            )
        )
