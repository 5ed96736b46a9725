"""The plain figures the decisions work with, made by `chargerd.config` from the checked configuration.

Defaults are those of the protective functions' table (vendors' pile firmware over 34 releases, the AP3000 and
DC589 protocols; IEC 60255-151 for definite-time functions). All spans are seconds, factors are multiples of the
port's own limit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from chargerd.core.units import Amps, BoardId, Celsius, CircuitId, PortId, Seconds, Volts, WattHours, Watts

ADMIT = 0.9
"""Of a circuit's rating: what may be promised."""
OVERLOAD = 1.2
"""Of a circuit's rating: what is relieved at once."""
RENEWAL_MARGIN = Seconds(1.0)
"""A renewal must have begun this long before the last confirmed lease ends."""
RETRY_FIRST = Seconds(0.25)
"""How soon a write or a read-back that did not come about is tried again for the first time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one session may draw: current, power, time with the relay closed, and energy (`None`: no limit)."""

    current: Amps = Amps(5.0)
    power: Watts = Watts(1000.0)
    duration: Seconds = Seconds(36000.0)
    energy: WattHours | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedLimits:
    """Limits of which only some are named; `None`: as it is."""

    current: Amps | None = None
    power: Watts | None = None
    duration: Seconds | None = None
    energy: WattHours | None = None


CEILING = Limits(current=Amps(16.0), power=Watts(3500.0), duration=Seconds(57600.0))
"""What no configuration and no command can raise: a 16 A socket, and sixteen hours with the relay closed.

A moped's battery of 2 kWh takes 8 to 11 h at the charger it comes with.
"""


def exceeds(asked: Limits, most: Limits) -> bool:
    """Say whether any limit asked for lies above the most there is, or is no limit at all (0, negative, NaN)."""
    energy = math.inf if asked.energy is None else asked.energy
    most_energy = math.inf if most.energy is None else most.energy
    return not (
        0 < asked.current <= most.current
        and 0 < asked.power <= most.power
        and 0 < asked.duration <= most.duration
        and 0 < energy <= most_energy
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """Thresholds and delays of the protective functions of one port."""

    instant_factor: float = 1.5
    inrush_factor: float = 3.0
    inrush_for: Seconds = Seconds(2.0)
    definite_factor: float = 1.1
    definite_delay: Seconds = Seconds(3.0)
    overpower_factor: float = 1.1
    overpower_delay: Seconds = Seconds(5.0)
    overpower_instant_factor: float = 1.5
    stale_after: Seconds = Seconds(3.0)
    recover_within: Seconds = Seconds(120.0)
    weld_current: Amps = Amps(0.2)
    weld_power: Watts = Watts(10.0)
    open_tries: int = 3
    step_timeout: Seconds = Seconds(3.0)
    overvoltage: Volts = Volts(264.0)
    undervoltage: Volts = Volts(176.0)
    voltage_delay: Seconds = Seconds(4.0)
    voltage_back: Seconds = Seconds(60.0)
    temperature_warn: Celsius = Celsius(60.0)
    temperature_trip: Celsius = Celsius(70.0)
    temperature_delay: Seconds = Seconds(30.0)
    frozen_steps: float = 5.0
    frozen_for: Seconds = Seconds(300.0)
    power_jump: Watts = Watts(80.0)
    power_jump_delay: Seconds = Seconds(30.0)
    power_jump_after: Seconds = Seconds(1800.0)
    power_jump_trips: bool = False
    suspend_times: int = 3
    suspend_total: Seconds = Seconds(1800.0)
    shed_times: int = 10
    shed_wait: Seconds = Seconds(60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeEnd:
    """When a charge counts as over by the shape of its load."""

    full_below: Watts = Watts(25.0)
    full_after: Seconds = Seconds(2700.0)
    unplugged_below: Watts = Watts(2.0)
    unplugged_after: Seconds = Seconds(300.0)
    no_load_below: Watts = Watts(8.0)
    no_load_after: Seconds = Seconds(120.0)
    float_for: Seconds = Seconds(0.0)


class DeadMan(StrEnum):
    """How a board opens its relays when nobody speaks to it any more."""

    TIMED_ON = "timed_on"
    POLL_TIMEOUT = "poll_timeout"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayPlan:
    """The relay of a port.

    `channel` counts from 1, as printed on the board. `lease` is `None` on a board without timed closing: such a
    relay stays closed until it is told to open.
    """

    board: BoardId
    channel: int
    dead_man: DeadMan = DeadMan.TIMED_ON
    lease: Seconds | None = Seconds(6.0)
    renew_every: Seconds = Seconds(3.0)
    stagger: Seconds = Seconds(0.0)
    """How much sooner than that the first renewal comes, so that leases given together are renewed apart."""
    settling: Seconds = Seconds(0.3)
    """How long after a write, or another read-back, one may still show where the relay was before."""
    prepared: bool = True
    """Whether its board is fit for use as it is; else only once its settings were read and were right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterPlan:
    """The meter of a port: `refresh` is how often its values change, `power_every` how often power is read.

    `power_step` is the smallest difference of power it can show; 0 where it is too fine to matter.
    """

    board: BoardId
    channel: int = 1
    refresh: Seconds = Seconds(0.0)
    power_every: Seconds = Seconds(2.0)
    power_step: Watts = Watts(0.0)
    energy_resolution: WattHours = WattHours(1.0)


class Phase(StrEnum):
    """The phase a port or a circuit hangs on; one not stated counts on every phase."""

    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortPlan:
    """One socket: its relay, its meter, its circuit and its limits."""

    id: PortId
    label: str
    relay: RelayPlan
    meter: MeterPlan
    circuit: CircuitId
    phase: Phase = Phase.ALL
    limits: Limits = field(default_factory=Limits)
    protection: Protection = field(default_factory=Protection)
    charge_end: ChargeEnd = field(default_factory=ChargeEnd)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederPlan:
    """The meter of a circuit: how many phases it measures, and how often its values change."""

    board: BoardId
    phases: int = 1
    refresh: Seconds = Seconds(0.0)


_CONTACTOR = "contactor/"


def contactor_of(circuit: CircuitId) -> PortId:
    """Return the id under which relay commands and events mean a circuit's contactor; no port has a slash."""
    return PortId(f"{_CONTACTOR}{circuit}")


def contactors_last(port: PortId) -> tuple[bool, PortId]:
    """Return what to sort relays by where all are opened: contactors last, since relays open smaller currents."""
    return port.startswith(_CONTACTOR), port


def holder_of(circuit: CircuitId) -> PortId:
    """Return the id under which latches are kept, and resets asked for, that hold a whole circuit."""
    return PortId(f"circuit/{circuit}")


def circuit_of(holder: PortId) -> CircuitId | None:
    """Return the circuit such an id means; `None` for that of a port."""
    kind, _, circuit = holder.partition("/")
    return CircuitId(circuit) if kind == "circuit" and circuit else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitPlan:
    """One supply circuit of the tree; the rating is the breaker's."""

    id: CircuitId
    parent: CircuitId | None = None
    rating: Amps | None = None
    power: Watts | None = None
    phases: int = 1
    phase: Phase = Phase.ALL
    meter: FeederPlan | None = None
    contactor: RelayPlan | None = None


def mains_of(port: PortPlan, circuits: Mapping[CircuitId, CircuitPlan]) -> tuple[str, str]:
    """Return what the ports of one phase of one circuit have in common: one meter tells the voltage of all.

    Where it is not known which phase that is, a port has it to itself: its own meter alone tells.
    """
    circuit = at = circuits.get(port.circuit)
    phase = port.phase
    while phase is Phase.ALL and at is not None:
        phase, at = at.phase, None if at.parent is None else circuits.get(at.parent)
    if circuit is None or (phase is Phase.ALL and circuit.phases > 1):
        return ("port", port.id)
    return (circuit.id, phase.value)


class InputKind(StrEnum):
    """What an input reports; the reason a session ends by it has the same name."""

    SMOKE = "smoke"
    WATER = "water"
    HEAT = "heat"
    EMERGENCY_STOP = "emergency_stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPlan:
    """One contact that opens a circuit. `active` says in which position it reports danger."""

    id: str
    board: BoardId
    channel: int
    """Counted from 1, as printed on the board."""
    kind: InputKind
    circuit: CircuitId
    active: Literal["open", "closed"] = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePlan:
    """One line and the boards on it. `telling` are those that can tell who they are, `unique` as nobody else."""

    id: str
    boards: tuple[BoardId, ...]
    telling: frozenset[BoardId] = frozenset()
    unique: frozenset[BoardId] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class StationPlan:
    """Everything the decisions need to know about a site."""

    ports: tuple[PortPlan, ...]
    circuits: tuple[CircuitPlan, ...] = ()
    inputs: tuple[InputPlan, ...] = ()
    lines: tuple[LinePlan, ...] = ()
    queue_for: Seconds = Seconds(0.0)
    """How long a start waits for its circuit if its order does not say."""
    resume_window: Seconds = Seconds(0.0)
    """The longest outage of the gateway after which a session goes on; 0: none does."""
    tariff_tiers: tuple[Watts, ...] = ()
    checkpoint_every: Seconds = Seconds(60.0)
    update_every: Seconds = Seconds(900.0)
    reconcile_within: Seconds = Seconds(5.0)
