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

from chargerd.core.keys import key
from chargerd.core.units import Amps, BoardId, Celsius, CircuitId, PortId, Seconds, Volts, WattHours, Watts

ADMIT = 0.9
"""Of a circuit's rating: what may be promised."""
OVERLOAD = 1.2
"""Of a circuit's rating: what is relieved at once."""
RENEWAL_MARGIN = Seconds(1.0)
"""A renewal must have begun this long before the last confirmed lease ends."""
RETRY_FIRST = Seconds(0.25)
"""How soon a write or a read-back that did not come about is tried again for the first time."""
MOST_CURRENT, MOST_POWER, MOST_DURATION = Amps(16.0), Watts(3500.0), Seconds(57600.0)
"""A 16 A socket, and 16 h closed: a moped's battery of 2 kWh takes 8 to 11 h at the charger it comes with."""
MOST_ENERGY = WattHours(100_000)
"""Far above any battery on two or three wheels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one session may draw: current, power, time with the relay closed, and energy (`None`: no limit)."""

    power: Watts = key(Watts(1000.0), "power_w", "power", gt=0, le=MOST_POWER)
    current: Amps = key(Amps(5.0), "current_a", "current", gt=0, le=MOST_CURRENT)
    duration: Seconds = key(Seconds(36000.0), "duration_s", "time with the relay closed", gt=0, le=MOST_DURATION)
    energy: WattHours | None = key(None, "energy_wh", "energy", gt=0, le=MOST_ENERGY)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedLimits:
    """Limits of which only some are named; `None`: as it is."""

    current: Amps | None = None
    power: Watts | None = None
    duration: Seconds | None = None
    energy: WattHours | None = None


CEILING = Limits(current=MOST_CURRENT, power=MOST_POWER, duration=MOST_DURATION)
"""What no configuration and no command can raise."""


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


def lower_of(one: Limits, other: Limits) -> Limits:
    """Return what both allow: of each limit the lower."""
    energies = [limits.energy for limits in (one, other) if limits.energy is not None]
    return Limits(
        current=min(one.current, other.current),
        power=min(one.power, other.power),
        duration=min(one.duration, other.duration),
        energy=min(energies, default=None),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """Thresholds and delays of the protective functions of one port."""

    instant_factor: float = key(
        1.5, "overcurrent_instant_factor", "trips on one reading at this multiple of `current_a`", ge=1.2, le=2.0
    )
    inrush_factor: float = key(
        3.0, "overcurrent_inrush_factor", "stands in for the instant factor right after closing", ge=1.5, le=5.0
    )
    inrush_for: Seconds = key(
        Seconds(2.0), "overcurrent_inrush_s", "for how long, beside one refresh of the meter", ge=0, le=5
    )
    definite_factor: float = key(
        1.1, "overcurrent_definite_factor", "trips at this multiple of `current_a` after a delay", ge=1.05, le=1.5
    )
    definite_delay: Seconds = key(Seconds(3.0), "overcurrent_definite_s", "that delay", ge=0.5, le=10)
    overpower_factor: float = key(
        1.1, "overpower_factor", "ends the session at this multiple of `power_w` after a delay", ge=1.05, le=1.5
    )
    overpower_delay: Seconds = key(Seconds(5.0), "overpower_s", "that delay", ge=1, le=30)
    overpower_instant_factor: float = key(
        1.5, "overpower_instant_factor", "ends it on one reading at this multiple of `power_w`", ge=1.2, le=2.0
    )
    stale_after: Seconds = key(
        Seconds(3.0),
        "meter_stale_s",
        "opens when no valid reading came for so long; three refreshes of the meter at least",
        ge=1,
        le=15,
    )
    recover_within: Seconds = key(
        Seconds(120.0), "recover_s", "how long a suspended session waits for its meter", ge=5, le=600
    )
    weld_current: Amps = key(
        Amps(0.2),
        "weld_current_a",
        "current through an open relay from which on it does not count as open",
        ge=0.05,
        le=0.5,
    )
    weld_power: Watts = key(
        Watts(10.0), "weld_power_w", "power beside it from which on an open relay counts as welded", ge=5, le=50
    )
    open_tries: int = key(
        3, "open_tries", "locks out a relay that is read back closed after so many openings", ge=1, le=5
    )
    step_timeout: Seconds = key(
        Seconds(3.0), "step_s", "how long each step of a start, and of a stop, may take", ge=1, le=10
    )
    suspend_times: int = key(
        3,
        "suspend_times",
        "how often in an hour a session may be suspended for faults; the next time ends it",
        ge=0,
        le=10,
    )
    suspend_total: Seconds = key(
        Seconds(1800.0),
        "suspend_total_s",
        "for how long in all, and for as long for want of room in its circuits",
        ge=60,
        le=7200,
    )
    shed_times: int = key(
        10, "shed_times", "how often in an hour its circuits may shed it; the next time ends it", ge=1, le=30
    )
    shed_wait: Seconds = key(
        Seconds(60.0), "shed_wait_s", "how long it then waits at least before it comes back", ge=10, le=600
    )
    overvoltage: Volts = key(
        Volts(264.0),
        "overvoltage_v",
        "opens above it after a delay, until it is in its band again",
        ge=110,
        le=280,
    )
    undervoltage: Volts = key(Volts(176.0), "undervoltage_v", "the same below it", ge=70, le=220)
    voltage_delay: Seconds = key(Seconds(4.0), "voltage_s", "that delay, for both", ge=4, le=30)
    voltage_back: Seconds = key(
        Seconds(60.0), "voltage_back_s", "how long in its band before a session goes on", ge=10, le=600
    )
    temperature_warn: Celsius = key(
        Celsius(60.0), "temperature_warn_c", "a socket this warm is told of and is not started", ge=40, le=80
    )
    temperature_trip: Celsius = key(
        Celsius(70.0), "temperature_trip_c", "a socket this hot is opened", ge=45, le=85
    )
    temperature_delay: Seconds = key(Seconds(30.0), "temperature_s", "after so long, for both", ge=10, le=120)
    frozen_steps: float = key(
        5.0,
        "frozen_steps",
        "opens when the register stands still though so many of its steps were drawn",
        ge=3,
        le=50,
    )
    frozen_for: Seconds = key(
        Seconds(300.0),
        "frozen_s",
        "flags values that have not changed for so long while neighbours' have",
        ge=120,
        le=3600,
    )
    power_jump: Watts = key(
        Watts(80.0), "power_jump_w", "tells of a load so far above its session's maximum", ge=30, le=2000
    )
    power_jump_delay: Seconds = key(Seconds(30.0), "power_jump_s", "that stays there for so long", ge=5, le=600)
    power_jump_after: Seconds = key(
        Seconds(1800.0), "power_jump_after_s", "later than this into charging", ge=300, le=36000
    )
    power_jump_trips: bool = key(False, "power_jump_trips", "on: end the session, too")
    reverse_power: Watts = key(
        Watts(20.0), "reverse_power_w", "tells of a load that feeds back so much", ge=5, le=2000
    )
    reverse_power_delay: Seconds = key(Seconds(10.0), "reverse_power_s", "for so long", ge=2, le=600)
    reverse_power_trips: bool = key(False, "reverse_power_trips", "on: end the session, too")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeEnd:
    """When a charge counts as over by the shape of its load."""

    full_below: Watts = key(Watts(25.0), "full_below_w", "a tapered charge under this is full", ge=1, le=200)
    full_after: Seconds = key(Seconds(2700.0), "full_after_s", "after so long", ge=30, le=36000)
    unplugged_below: Watts = key(
        Watts(2.0), "unplugged_below_w", "a step to under this is a pulled plug", ge=1.5, le=5
    )
    unplugged_after: Seconds = key(Seconds(300.0), "unplugged_after_s", "after so long", ge=30, le=3600)
    no_load_below: Watts = key(
        Watts(8.0), "no_load_below_w", "a session that never reached this has no load", ge=6, le=50
    )
    no_load_after: Seconds = key(Seconds(120.0), "no_load_after_s", "after so long from closing", ge=10, le=3600)
    float_for: Seconds = key(Seconds(0.0), "float_s", "how long a full port stays on", ge=0, le=36000)


class DeadMan(StrEnum):
    """How a board opens its relays when nobody speaks to it any more."""

    TIMED_ON = "timed_on"
    """Each closing is for a time."""
    HEARTBEAT = "heartbeat"
    """A register that has to be written again and again, or all relays open."""
    POLL_TIMEOUT = "poll_timeout"
    """All relays open when the board is not asked any more, whatever for."""
    NONE = "none"


class LeaseScope(StrEnum):
    """What a lease keeps closed.

    One of its own opens its relay when that is not renewed. One of the whole board obliges as much: it has to be
    renewed in time. It promises nothing of a single relay, which stays closed for as long as any other is renewed,
    unless nothing can be renewed, since the board does not answer.
    """

    RELAY = "relay"
    BOARD = "board"


LEASES = {DeadMan.TIMED_ON: LeaseScope.RELAY, DeadMan.HEARTBEAT: LeaseScope.BOARD}
"""The dead-men that are leases, since somebody has to renew them, and what each of these keeps closed."""


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
    scope: LeaseScope = LeaseScope.RELAY
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
    wired: str = ""
    """Where relay and meter are: of each the line, the board's address, what it speaks, and the channel."""


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


def lock_of(holder: PortId) -> PortId:
    """Return the id under which the lock of a port or a circuit is kept, beside what else holds it."""
    return PortId(f"lock/{holder}")


def locked_by(lock: PortId) -> PortId:
    """Return the port or circuit whose lock is kept under this id; an id that is none of a lock as it is."""
    kind, _, holder = lock.partition("/")
    return PortId(holder) if kind == "lock" and holder else lock


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
