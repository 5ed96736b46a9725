"""Snapshots of the station for those who show it: MQTT states, the control socket, metrics."""

from dataclasses import dataclass
from enum import StrEnum

from chargerd.core.commands import Code
from chargerd.core.metering.seen import Measured
from chargerd.core.moment import Moment
from chargerd.core.plan import Limits
from chargerd.core.session import (
    Clearing,
    Disabled,
    Latch,
    Reservation,
    SessionRecord,
    Source,
    StopDetail,
    StopReason,
)
from chargerd.core.stance import NOWHERE, Stance
from chargerd.core.units import Amps, BoardId, Celsius, CircuitId, Instant, PortId, SessionId, Watts


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One thing that holds a port or a circuit, with the figures by which it does.

    `what` is the function of a latch, a code of `blocked_by`, or the name of what a session waits for. What does
    not apply is `None` or empty.
    """

    what: str
    code: Code | None = None
    """Behind which it stands in `blocked_by`; `None`: it holds only the session under way."""
    detail: StopDetail | None = None
    since: Moment | None = None
    until: Moment | None = None
    """When it goes away by itself, or whoever waits for it gives up."""
    clearing: Clearing | None = None
    """Who may clear it, if it is cleared at all."""
    source: Source | None = None
    reason: str | None = None
    """In the words of whoever has set it."""
    circuit: CircuitId | None = None
    """Which holds it from above."""
    boards: tuple[BoardId, ...] = ()
    lines: tuple[str, ...] = ()
    ports: tuple[PortId, ...] = ()
    """Others that have to do with it."""
    session: SessionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """A session's suspension, and how long it may last."""

    by: str
    since: Moment
    until: Moment
    """When the session ends if what it waits for has not come by then."""
    times: int
    """How often it was suspended for that within the hour, this time included."""
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PortExplained:
    """A port, and what holds it, the gravest first."""

    port: PortView
    claims: tuple[Claim, ...]
    suspension: Suspension | None = None
    ending: StopReason | None = None
    """Why the session under way is being ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What is kept free on a circuit for one port, and what it draws; `seen`: whether its meter tells."""

    port: PortId
    state: PortState
    current: Amps
    power: Watts
    allocated_current: Amps
    allocated_power: Watts
    seen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """A port that waits for its circuits: how much it wants, and which have no room for it."""

    port: PortId
    current: Amps
    power: Watts
    full: tuple[CircuitId, ...]
    until: Moment | None = None
    """When it gives up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitExplained:
    """A circuit: what holds it, what is kept free on it for whom, and who waits for it, the longest first."""

    circuit: CircuitView
    claims: tuple[Claim, ...] = ()
    allocations: tuple[Allocation, ...] = ()
    waiters: tuple[Waiter, ...] = ()
    room_current: tuple[Amps, ...] | None = None
    """What may still be promised, of each phase; `None` without a rating."""
    room_power: Watts | None = None
