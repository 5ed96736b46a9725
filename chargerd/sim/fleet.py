"""A bus without a line: relays and meters that answer as events, so that one process can hold many gateways.

What it leaves out against `sim.line` are the frames: no byte is sent, no transaction takes time, none fails. It
drives the same world of sockets and loads, and tells what a real bus tells: writes, read-backs, readings.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from chargerd.config.register_map import Quantity
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
    BoardPrepared,
    BusEvent,
    MeterReading,
    RelayAction,
    RelayNotWritten,
    RelayReadBack,
    RelayWritten,
)
from chargerd.core.faults import FaultKind
from chargerd.core.units import Amps, BoardId, Instant, PortId, Seconds, Volts, WattHours, Watts, after
from chargerd.sim.world import World

TURN = Seconds(0.25)
EVERY = {Pace.IDLE: Seconds(5.0), Pace.ARMED: Seconds(0.25), Pace.CLOSED: Seconds(0.5)}
"""How often a meter is read. A line of twelve meters manages about as much."""
COILS_EVERY = Seconds(2.0)


@dataclass(slots=True)
class Nothing:
    """What a line has seen that is none."""

    transactions: int = 0
    timeouts: int = 0
    corrupt: int = 0
    exceptions: int = 0
    foreign_bytes: int = 0


class EventBus:
    """All boards of a site, on a bus of their own. Thread-safe as a real one is."""

    def __init__(
        self,
        site: Site,
        world: World,
        *,
        clock: Clock,
        emit: Callable[[BusEvent], None],
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self.name = next(iter(site.buses))
        self.connected = True
        self.counters = Nothing()
        self.last_turn: Instant = clock.now()
        self.relay_ports = self.meter_ports = frozenset(PortId(port.id) for port in site.ports)
        self._boards = tuple(site.boards)
        self._world = world
        self._clock = clock
        self._emit = emit
        self._on_crash = on_crash
        self._commands: queue.SimpleQueue[BusCommand | None] = queue.SimpleQueue()
        self._pace = dict.fromkeys(sorted(self.meter_ports), Pace.IDLE)
        self._due = dict.fromkeys(self._pace, clock.now())
        self._coils_due = clock.now()
        self._thread = threading.Thread(target=self._run, name=f"bus {self.name}", daemon=True)

    # As any bus

    def start(self) -> None:
        """Start the thread."""
        self._world.begin_at(self._clock.now())
        self._thread.start()

    def stop(self, timeout: Seconds) -> None:
        """End the thread."""
        self._commands.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def execute(self, command: BusCommand) -> None:
        """Queue a command; what it leads to is emitted later, in the bus's thread."""
        self._commands.put(command)

    def unprepared_boards(self) -> tuple[BoardId, ...]:
        """Return none: modelled boards have what they need."""
        return ()

    def lost_boards(self) -> tuple[BoardId, ...]:
        """Return nothing: these boards always answer."""
        return ()

    def unheard_boards(self) -> tuple[BoardId, ...]:
        """Return nothing: they have answered at once."""
        return ()

    def open_all(self, within: Seconds) -> tuple[PortId, ...]:
        """Open every relay, at once."""
        del within
        for port in self.relay_ports:
            self._world.relay(port).write(self._clock.now(), closed=False)
        return ()

    # The thread

    def _run(self) -> None:
        try:
            for board in self._boards:
                self._emit(BoardBack(board=board, at=self._clock.now()))
                self._emit(BoardPrepared(board=board, at=self._clock.now()))
            while self._obey():
                self._turn()
        except BaseException as error:  # noqa: BLE001 - the thread's last word, passed on to the supervisor
            self._on_crash(error)

    def _obey(self) -> bool:
        """Carry out commands until it is time to read again; `False` if told to end."""
        until = after(self._clock.now(), TURN)
        while (left := until - self._clock.now()) > 0:
            try:
                command = self._commands.get(timeout=left)
            except queue.Empty:
                return True
            if command is None:
                return False
            self._carry_out(command)
        return True

    def _turn(self) -> None:
        now = self.last_turn = self._clock.now()
        self._world.advance(now)
        self._world.log.clear()
        if now >= self._coils_due:
            self._coils_due = after(now, COILS_EVERY)
            for port in sorted(self.relay_ports):
                self._read_back(port)
        for port, due in self._due.items():
            if now >= due:
                self._due[port] = after(now, EVERY[self._pace[port]])
                self._read(port)

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
                self._read(port)
            case SetPace():
                self._pace[port] = command.pace
                self._due[port] = self._clock.now()

    def _hold(self, command: CloseRelay | RenewLease, action: RelayAction) -> None:
        now = self._clock.now()
        if now > command.not_after:
            late = RelayNotWritten(
                port=command.port, action=action, kind=FaultKind.TIMEOUT, at=now, sent=False, late=True
            )
            self._emit(late)
            return
        self._write(command.port, action, command.lease)

    def _write(self, port: PortId, action: RelayAction, lease: Seconds | None = None) -> None:
        sent_at = self._clock.now()
        with self._world.lock:
            self._world.relay(port).write(sent_at, closed=action is not RelayAction.OPEN, span=lease)
        self._world.advance(sent_at)
        self._emit(RelayWritten(port=port, action=action, sent_at=sent_at, at=self._clock.now()))

    def _read_back(self, port: PortId) -> None:
        now = self._clock.now()
        closed = self._world.relay(port).coil
        self._emit(RelayReadBack(port=port, closed=closed, sent_at=now, at=self._clock.now()))

    def _read(self, port: PortId) -> None:
        self._world.advance(self._clock.now())
        values = self._world.meter(port).values
        self._emit(
            MeterReading(
                port=port,
                at=self._clock.now(),
                current=Amps(round(values[Quantity.CURRENT], 3)),
                power=Watts(round(values[Quantity.POWER], 1)),
                voltage=Volts(round(values[Quantity.VOLTAGE], 1)),
                energy=WattHours(values[Quantity.ENERGY]),
            )
        )
