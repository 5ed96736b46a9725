"""Snapshots of the station for those who show it: MQTT states, the control socket, metrics."""

from dataclasses import dataclass
from enum import StrEnum

from chargerd.core.commands import Code
from chargerd.core.metering.seen import Measured
from chargerd.core.moment import Moment
from chargerd.core.plan import Limits
from chargerd.core.session import Disabled, Latch, Reservation, SessionRecord
from chargerd.core.stance import NOWHERE, Stance
from chargerd.core.units import Amps, BoardId, Celsius, CircuitId, Instant, PortId, Watts


class PortState(StrEnum):
    """The states of a port, as the contract names them."""

    UNKNOWN = "unknown"
    DISABLED = "disabled"
    AVAILABLE = "available"
    QUEUED = "queued"
    STARTING = "starting"
    CHARGING = "charging"
    SUSPENDED = "suspended"
    STOPPING = "stopping"
    TRIPPED = "tripped"
    LOCKED_OUT = "locked_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortView:
    """Everything an onlooker may want to know about a port."""

    id: PortId
    label: str
    circuit: CircuitId
    board: BoardId
    state: PortState
    since: Moment
    relay_closed: bool | None
    """As last read back, however long ago; `None` while unknown."""
    limits: Limits
    """The port's own."""
    measured: Measured
    latches: tuple[Latch, ...] = ()
    blocked_by: tuple[Code, ...] = ()
    """Why a start would be refused now; empty if it would be accepted."""
    session: SessionRecord | None = None
    """The session under way with its totals so far; its order's limits are the limits in force."""
    queue_position: int | None = None
    """From 1, while the port waits for its circuits; `blocked_by` says for what."""
    temperature: Celsius | None = None
    """Of its socket; `None` without a sensor that shows one."""
    disabled: Disabled | None = None
    """Why no start is taken whatever else holds: the port's own, or that of the nearest circuit above."""
    lock: Disabled | None = None
    """Who on site keeps it open and why: by the port's own lock, or that of the nearest circuit above."""
    reservation: Reservation | None = None
    """For which session alone it takes a start."""
    opened_at: Instant | None = None
    """When its relay was last read back open after it was told to open."""
    relay: Stance = NOWHERE
    """Where its relay stands now, and how that is known."""
    proof: str | None = None
    """The wiring proof that holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitView:
    """Everything an onlooker may want to know about a circuit.

    Currents are L1 to L3; load is what is measured, or the sum of the ports, whichever is more; allocated is what
    is kept free for sessions.
    """

    id: CircuitId
    parent: CircuitId | None
    load_currents: tuple[Amps, ...]
    load_power: Watts
    allocated_currents: tuple[Amps, ...]
    allocated_power: Watts
    rating: Amps | None
    rating_power: Watts | None
    load_share: float
    """Load as a share of the rating, current or power, whichever is more; 1 is all of it."""
    measured: bool
    """Whether the circuit's own meter stands behind the load."""
    metered: tuple[Amps, ...] = ()
    """What its own meter shows, L1 first; nothing without one that was read lately."""
    contactor_closed: bool | None
    """As last read back, however long ago; `None` without a contactor, or while unknown."""
    queue: tuple[PortId, ...] = ()
    """Ports that wait for this circuit, the longest first."""
    latches: tuple[Latch, ...] = ()
    disabled: Disabled | None = None
    """The circuit's own; one above it disables its ports all the same."""
    lock: Disabled | None = None
    """The circuit's own, as well."""
    contactor: Stance | None = None
    """Where its contactor stands now, and how that is known; `None` without one."""
