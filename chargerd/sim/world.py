"""A site that exists only here: sockets, relays, meters and boards, made from a checked configuration.

The world has a clock of its own, which only `advance` moves; nothing in it sleeps or looks at another clock. It
goes in steps (of 50 ms unless told otherwise) from where it began, and to the exact instant where a board's timer
runs out, so that what happens depends on the seed and on what was done when, and not on how often somebody looked.
"""

import math
import random
import threading

from chargerd.config.site import Board, Site
from chargerd.core.units import Amps, BoardId, Instant, PortId, Seconds, Volts, WattHours, Watts, between
from chargerd.sim.boards import BROADCAST, BoardSim
from chargerd.sim.parts import Edge, Happening, Meter, Relay, RelayFault, Socket

STEP = Seconds(0.05)
MAINS = Volts(230.0)
OVERLOADED_AT = 1.1
"""Times a port's current limit: the lowest threshold that ends in a trip."""


class World:
    """The site. Public members may be read and changed at any time, under `lock` where threads meet."""

    def __init__(
        self,
        site: Site,
        *,
        seed: int = 0,
        begin: Instant = Instant(0.0),
        crosstalk: Watts = Watts(0.0),
        step: Seconds = STEP,
    ) -> None:
        self._step_for = step
        self.lock = threading.RLock()
        self.log: list[Happening] = []
        self.mains = self.voltage = MAINS
        """Mains as they are meant to be, and as they are at this moment."""
        self._site = site
        self._random = random.Random(seed)  # noqa: S311 - a simulation has no secrets
        self._begin = begin
        self._now = begin
        self._steps = 0
        self._boards = {board.id: self._make(board, crosstalk) for board in site.boards.values()}
        self._relays = [relay for board in self._boards.values() for relay in board.relays]
        self._meters = [meter for board in self._boards.values() for meter in board.meters]
        self._keeping = [meter for meter in self._meters if meter.refresh > 0]
        self._moved = True
        """Whether anything has changed that a meter would show at once."""
        self._sockets: dict[PortId, Socket] = {}
        for port in site.ports:
            relay = self._boards[port.relay.board].relays[port.relay.channel - 1]
            socket = Socket(port.id, relay, self.lock)
            self._sockets[port.id] = socket
            self.meter(port.id).socket = socket
        self._limits = {port.id: port.limits.current for port in site.plan.ports}
        self._closed = dict.fromkeys(self._sockets, False)
        self._over = dict.fromkeys(self._sockets, False)
        self._jitter = dict.fromkeys(self._sockets, 0.0)
        self._look()

    def _make(self, board: Board, crosstalk: Watts) -> BoardSim:
        profile = board.profile
        relays = [] if profile.relay is None else [Relay() for _ in range(profile.relay.channels)]
        meters: list[Meter] = []
        if profile.meter is not None:
            meters = [
                Meter(
                    refresh=Seconds(profile.timing.refresh_ms / 1000),
                    step=WattHours(profile.meter.energy_resolution_wh),
                    start=WattHours(self._random.uniform(5_000, 500_000)),
                    crosstalk=Watts(crosstalk * self._random.random()),
                )
                for _ in range(profile.meter.channels)
            ]
        return BoardSim(board, relays, meters, 0 if profile.inputs is None else profile.inputs.channels)

    # Looking

    @property
    def now(self) -> Instant:
        return self._now

    def socket(self, port: str) -> Socket:
        """Return the socket of a port. Raises `KeyError` if the site has no such port."""
        return self._sockets[PortId(port)]

    def relay(self, port: str) -> Relay:
        """Return the relay of a port."""
        return self._sockets[PortId(port)].relay

    def meter(self, port: str) -> Meter:
        """Return the measuring channel of a port."""
        wiring = next(wiring for wiring in self._site.ports if wiring.id == port)
        return self._boards[wiring.meter.board].meters[wiring.meter.channel - 1]

    def board(self, board: str) -> BoardSim:
        """Return a board."""
        return self._boards[BoardId(board)]

    def meter_board(self, port: str) -> BoardSim:
        """Return the board a port's meter is a channel of."""
        wiring = next(wiring for wiring in self._site.ports if wiring.id == port)
        return self._boards[wiring.meter.board]

    def boards_on(self, bus: str) -> tuple[BoardSim, ...]:
        """Return the boards on a bus."""
        return tuple(board for board in self._boards.values() if board.board.bus == bus)

    def edges(self, port: str, *edges: Edge) -> list[Happening]:
        """Return what happened at a port, of these kinds or of all."""
        wanted = edges or tuple(Edge)
        return [line for line in tuple(self.log) if line.port == port and line.edge in wanted]

    # Asking the boards

    def ask(self, bus: str, unit: int, pdu: bytes) -> bytes | None:
        """Let the boards of a bus hear a request; return the PDU of the one that answers, if one does."""
        with self.lock:
            answers = [
                board.answer(pdu, self._now)
                for board in self.boards_on(bus)
                if unit in {BROADCAST, board.board.address}
            ]
            self._follow("written")
            self._look()
        return None if unit == BROADCAST else next((answer for answer in answers if answer is not None), None)

    # Time

    def begin_at(self, instant: Instant) -> None:
        """Set the clock of a world in which no time has passed yet; later calls change nothing."""
        with self.lock:
            if self._steps == 0 and self._now == self._begin:
                self._begin = self._now = instant

    def advance(self, to: Instant) -> None:
        """Let time pass up to an instant. A `to` in the past changes nothing."""
        with self.lock:
            self._follow("written")
            while self._now < to:
                self._step(to)
            self._look()

    def _step(self, to: Instant) -> None:
        grid = Instant(self._begin + (self._steps + 1) * self._step_for)
        timed = [(relay.lapses_at, relay) for relay in self._relays if relay.lapses_at is not None]
        lapse = min((lapses_at for lapses_at, _ in timed), default=grid)
        end = Instant(min(to, grid, max(lapse, self._now)))
        span = between(self._now, end)
        for socket in self._sockets.values():
            socket.pass_time(span)
        self._now = end
        lapsed = [relay for lapses_at, relay in timed if lapses_at <= end]
        for relay in lapsed:
            relay.lapse()
        if lapsed:
            self._follow("lapsed")
        if end >= grid:
            self._steps += 1
            self._stir()

    def _stir(self) -> None:
        """Draw new noise, on the grid only."""
        swing = 2.0 * math.sin(2 * math.pi * self._steps * self._step_for / 600.0)
        self.voltage = Volts(self.mains + swing + self._random.gauss(0.0, 0.3))
        for port in self._sockets:
            self._jitter[port] = self._random.gauss(0.0, 1.0)
        for port in self._sockets:
            self._settle(port)
        self._look(slow=True)

    def _follow(self, cause: str) -> None:
        """Let contacts follow their coils, and write down which ones moved, and plugs."""
        self._note_plugs()
        for port, socket in self._sockets.items():
            relay = socket.relay
            closed = relay.contact_closed
            if closed is not self._closed[port]:
                self._closed[port] = closed
                why = cause if relay.fault is RelayFault.NONE else relay.fault.value
                self._write(port, Edge.CLOSED if closed else Edge.OPEN, why)
                self._settle(port)

    def _settle(self, port: PortId) -> None:
        """Work out what flows at a port: on the grid, or when its contact has moved; never because one looks."""
        socket = self._sockets[port]
        socket.settle(self._now, self.voltage, self._jitter[port])
        self._moved = True
        self._note_overload(port, socket.current)

    def _note_overload(self, port: PortId, current: Amps) -> None:
        over = current >= OVERLOADED_AT * self._limits[port]
        if over is not self._over[port]:
            self._over[port] = over
            self._write(port, Edge.OVERLOADED if over else Edge.RELIEVED, f"{current:.2f} A")

    def _note_plugs(self) -> None:
        for port, socket in self._sockets.items():
            while socket.plugs:
                edge, name = socket.plugs.pop(0)
                self._moved = True
                self._write(port, edge, name)

    def _write(self, port: PortId, edge: Edge, detail: str) -> None:
        self.log.append(Happening(at=self._now, port=port, edge=edge, detail=detail))

    def _look(self, *, slow: bool = False) -> None:
        """Let the meters take over what flows; `slow`: only those whose values keep for a while."""
        meters = self._keeping
        if self._moved and not slow:
            self._moved, meters = False, self._meters
        if not meters:
            return
        total = sum(socket.power for socket in self._sockets.values())
        for meter in meters:
            own = 0.0 if meter.socket is None else meter.socket.power
            meter.look(self._now, self.voltage, Watts(total - own))
