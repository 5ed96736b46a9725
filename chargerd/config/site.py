"""A checked site: every range spelled out, every reference known to hold, ready for the adapters and the core."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chargerd.config.document import BusSection, GatewaySection, MetricsSection, MqttSection
from chargerd.config.problems import Problem
from chargerd.config.profiles.models import Profile
from chargerd.core.plan import StationPlan
from chargerd.core.units import BoardId, CircuitId, PortId


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One board on a bus."""

    id: BoardId
    bus: str
    address: int
    profile: Profile
    lease: bool = True
    timed: bool = False
    """Whether its profile's times were changed for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel of a board, counted from 1."""

    board: BoardId
    channel: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PortWiring:
    """What a port hangs on."""

    id: PortId
    relay: Channel
    meter: Channel
    circuit: CircuitId
    temperature: Channel | None = None
    """The sensor at its socket, if it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Everything the configuration says; `notes` are things said but not acted on, which must not go unheard."""

    gateway: GatewaySection
    mqtt: MqttSection | None
    metrics: MetricsSection | None
    buses: Mapping[str, BusSection]
    boards: Mapping[BoardId, Board]
    ports: tuple[PortWiring, ...]
    plan: StationPlan
    digest: str
    notes: tuple[Problem, ...] = field(default=())

    def ports_of(self, bus: str) -> tuple[PortWiring, ...]:
        """Return the ports whose relay or meter hangs on this bus."""
        return tuple(
            port
            for port in self.ports
            if bus in {self.boards[port.relay.board].bus, self.boards[port.meter.board].bus}
        )
