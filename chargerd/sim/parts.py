"""The physical parts of a site: relay contacts, sockets and meters. Each is told the time; none asks for it."""

import threading
from dataclasses import dataclass, field
from enum import StrEnum

from chargerd.config.profiles.register_map import Quantity
from chargerd.core.units import Amps, Instant, PortId, Seconds, Volts, WattHours, Watts, after, between
from chargerd.sim.loads import Draw, Load, Phase


class Edge(StrEnum):
    """What can happen at a port, as its bystander would see it."""

    CLOSED = "closed"
    OPEN = "open"
    PLUGGED = "plugged"
    UNPLUGGED = "unplugged"
    OVERLOADED = "overloaded"
    """The current rose above 1.1 times the port's limit."""
    RELIEVED = "relieved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line of the world's log: `detail` says by what (`written`, `lapsed`, a load's name, amperes)."""

    at: Instant
    port: PortId
    edge: Edge
    detail: str = ""


class RelayFault(StrEnum):
    """What can be wrong with a relay."""

    NONE = "none"
    WELDED = "welded"
    """The contact is closed for good; the coil obeys and reads back as written."""
    STUCK = "stuck"
    """The contact stays where it is; the coil obeys."""
    DRIVER_SHORTED = "driver_shorted"
    """The coil is always energised, and reads back so."""
    DRIVER_DEAD = "driver_dead"
    """The coil is never energised, and reads back so."""


class Relay:
    """A relay with the timer of its board: a coil that is told, and a contact that usually follows."""

    def __init__(self) -> None:
        self.told = False
        self.lapses_at: Instant | None = None
        """When the board's own timer opens it; `None` while none runs."""
        self.fault = RelayFault.NONE
        self._stuck_at = False

    @property
    def coil(self) -> bool:
        """Whether the coil is energised, which is what the board reads back."""
        if self.fault is RelayFault.DRIVER_SHORTED:
            return True
        return self.told and self.fault is not RelayFault.DRIVER_DEAD

    @property
    def contact_closed(self) -> bool:
        """Whether current can flow."""
        if self.fault is RelayFault.NONE:  # First, since a world asks each of its relays at every step.
            return self.told
        if self.fault is RelayFault.WELDED:
            return True
        return self._stuck_at if self.fault is RelayFault.STUCK else self.coil

    def write(self, now: Instant, *, closed: bool, span: Seconds | None = None) -> None:
        """Tell the relay, as its board does on a frame. A timed closing starts the timer anew; others end it."""
        self.told = closed
        self.lapses_at = after(now, span) if closed and span is not None else None

    def lapse(self) -> None:
        """The board's timer has run out."""
        self.told, self.lapses_at = False, None

    def weld(self) -> None:
        """Weld the contact: closed, whatever the coil does."""
        self.fault = RelayFault.WELDED

    def stick(self) -> None:
        """Let the contact stay where it is."""
        self._stuck_at, self.fault = self.contact_closed, RelayFault.STUCK

    def short_driver(self) -> None:
        """Energise the coil for good."""
        self.fault = RelayFault.DRIVER_SHORTED

    def kill_driver(self) -> None:
        """Never energise the coil again."""
        self.fault = RelayFault.DRIVER_DEAD

    def repair(self) -> None:
        """Take all faults away."""
        self.fault = RelayFault.NONE


class Socket:
    """A socket and what is plugged into it."""

    def __init__(self, port: PortId, relay: Relay, lock: threading.RLock) -> None:
        self.port = port
        self.relay = relay
        self.load: Load | None = None
        self.drawn = Draw()
        self.energy = WattHours(0.0)
        """All that ever flowed here."""
        self.plugs: list[tuple[Edge, str]] = []
        """Pluggings that the world has not written down yet."""
        self._lock = lock
        self._energised = Seconds(0.0)
        self._closed_at: Instant | None = None

    @property
    def power(self) -> Watts:
        return self.drawn.power

    @property
    def current(self) -> Amps:
        return self.drawn.current

    @property
    def phase(self) -> Phase | None:
        """What the load is doing; `None` without a load."""
        return None if self.load is None else self.drawn.phase

    def plug(self, load: Load) -> None:
        """Plug something in, in place of what was there."""
        with self._lock:
            self.unplug()
            self.load = load
            self._energised = Seconds(0.0)
            self.plugs.append((Edge.PLUGGED, load.name))

    def unplug(self) -> None:
        """Pull the plug."""
        with self._lock:
            if self.load is not None:
                self.plugs.append((Edge.UNPLUGGED, self.load.name))
            self.load = None
            self.drawn = Draw()

    def pass_time(self, span: Seconds) -> None:
        """Let what flows flow for `span`."""
        self.energy = WattHours(self.energy + self.drawn.power * span / 3600.0)
        if self._closed_at is not None and self.load is not None:
            self._energised = Seconds(self._energised + span)

    def settle(self, now: Instant, voltage: Volts, jitter: float) -> None:
        """Work out what flows from now on."""
        if not self.relay.contact_closed:
            self._closed_at = None
            self.drawn = Draw()
            return
        if self._closed_at is None:
            self._closed_at = now
        if self.load is not None:
            self.drawn = self.load.draw(self._energised, between(self._closed_at, now), voltage, jitter)


@dataclass(slots=True, kw_only=True)
class Meter:
    """One measuring channel. `refresh` is how often its values change (0: always); `step` its register's step.

    `frozen` keeps the values as they are; `crosstalk` is what it reads of its neighbours' power at worst.
    """

    refresh: Seconds
    step: WattHours
    start: WattHours
    """The register when the world began."""
    socket: Socket | None = None
    crosstalk: Watts = Watts(0.0)
    frozen: bool = False
    reversed: bool = False
    """Its transformer was put on the wrong way round."""
    untrue: dict[Quantity, float] = field(default_factory=dict)
    """What it shows instead of what is true."""
    values: dict[Quantity, float] = field(default_factory=dict)
    _next: Instant | None = None

    def look(self, now: Instant, voltage: Volts, neighbours: Watts) -> None:
        """Take the values over, if a refresh is due."""
        if self.frozen or (self._next is not None and now < self._next):
            return
        if self.refresh > 0:
            self._next = Instant((now // self.refresh + 1) * self.refresh)
        socket = self.socket
        power = 0.0 if socket is None else -float(socket.power) if self.reversed else float(socket.power)
        current = 0.0 if socket is None else float(socket.current)
        energy = self.start + (0.0 if socket is None else socket.energy)
        self.values = {
            Quantity.VOLTAGE: float(voltage),
            Quantity.CURRENT: current,
            Quantity.POWER: power + min(self.crosstalk, neighbours / 1000.0),
            Quantity.ENERGY: energy // self.step * self.step,
        } | self.untrue
