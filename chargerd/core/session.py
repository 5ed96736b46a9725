"""What outlives a restart: sessions, settlements, latches, what is out of service or kept, how warm wires are."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from chargerd.core.moment import Moment
from chargerd.core.plan import Limits
from chargerd.core.units import CommandId, PortId, Seconds, SessionId, WattHours, Watts, after


class StopReason(StrEnum):
    """Why a session ended. Stable strings of the contract."""

    REMOTE = "remote"
    LOCAL = "local"
    FULL = "full"
    UNPLUGGED = "unplugged"
    NO_LOAD = "no_load"
    DURATION_LIMIT = "duration_limit"
    ENERGY_LIMIT = "energy_limit"
    OVERCURRENT = "overcurrent"
    OVERPOWER = "overpower"
    OVERVOLTAGE = "overvoltage"
    UNDERVOLTAGE = "undervoltage"
    OVERTEMPERATURE = "overtemperature"
    RELAY_FAULT = "relay_fault"
    RELAY_WELDED = "relay_welded"
    METER_LOST = "meter_lost"
    BOARD_LOST = "board_lost"
    CIRCUIT_OVERLOAD = "circuit_overload"
    SMOKE = "smoke"
    WATER = "water"
    HEAT = "heat"
    EMERGENCY_STOP = "emergency_stop"
    POWER_LOSS = "power_loss"
    SUSPENDED_TOO_LONG = "suspended_too_long"
    QUEUE_TIMEOUT = "queue_timeout"
    START_FAILED = "start_failed"
    SHUTDOWN = "shutdown"
    RESTART = "restart"
    INTERNAL = "internal"


class Source(StrEnum):
    """Who asked: the backend over MQTT, or a person on site over the control socket."""

    REMOTE = "remote"
    LOCAL = "local"


class EnergyQuality(StrEnum):
    """`EXACT`: the register was read and believed at both ends, before the closing and after the opening.

    `ESTIMATED`: something of that was missing and is named.
    """

    EXACT = "exact"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was ordered: the ids echoed everywhere, the session's own limits and its tariff tiers.

    `tiers` are upper bounds in watts, ascending; what lies above the last one forms a tier without bound.
    """

    session: SessionId
    port: PortId
    limits: Limits
    order: str | None = None
    tiers: tuple[Watts, ...] = ()
    source: Source = Source.REMOTE
    command: CommandId | None = None
    queue_for: Seconds | None = None
    """How long it may wait for its circuits; `None`: as the site says."""
    full_stop: bool = True
    """Whether the session ends when the charge is full; else the port stays on until another limit."""
    proof: str | None = None
    """The wiring proof it is a step of: nobody's charge, and not taken up after an outage. `None` else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Time and energy spent at up to `up_to` watts and above the tier before (`None`: no upper bound)."""

    up_to: Watts | None
    charging: Seconds = Seconds(0.0)
    energy: WattHours = WattHours(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """A span within a session in which its relay was open. `until` is `None` if the session ended in it."""

    since: Moment
    until: Moment | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What a session waits for that a stop in order has found or made suspended, and how much longer it may.

    `patience` is `None` where nothing but the time a session may be suspended in all limits it.
    """

    reason: StopReason
    patience: Seconds | None
    opened: bool = False
    """Whether its relay had been read back open by then: nothing has flowed since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopDetail:
    """The figures behind a stop: the function that decided, what it measured, and its limit.

    `unit` is the unit of both figures as it ends names at the edges (`a`, `w`, `s`, `wh`), or `None`.
    """

    function: str
    measured: float | None = None
    limit: float | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """A session as the journal keeps it: durable before its relay closes, and again at every checkpoint.

    Durations and energies are totals so far. `last_register` is the meter's register when it was last read, in
    watt-hours; `at` is the moment of this record, `charging_s` therefore known up to it and no further.
    """

    order: Order
    started: Moment
    at: Moment
    meter_start: WattHours | None = None
    last_register: WattHours | None = None
    energy: WattHours = WattHours(0.0)
    charging: Seconds = Seconds(0.0)
    suspended: Seconds = Seconds(0.0)
    peak_power: Watts = Watts(0.0)
    peak_power_first_5_min: Watts = Watts(0.0)
    tiers: tuple[Tier, ...] = ()
    interruptions: tuple[Interruption, ...] = ()
    theta: float = 0.0
    """The port's thermal image at `at`."""
    charged: bool = False
    """Whether a start sequence of it was ever completed."""
    ending: StopReason | None = None
    """Why it is being ended, from then on until it is settled."""
    elapsed: Seconds = Seconds(0.0)
    """Since the start, as counted over outages."""
    outages: Seconds = Seconds(0.0)
    """How much of `suspended` were outages of the gateway."""
    sheds: Seconds = Seconds(0.0)
    """How much of it its circuits had too little room for."""
    level: Watts = Watts(0.0)
    """The highest level of its power, which tells by what shape it ends."""
    lately: Watts = Watts(0.0)
    """The newest level that was more than an empty socket's: what a plug pulled later was pulled from."""
    doubt: str | None = None
    """Why its energy is only an estimate, if it is."""
    waits: Waits | None = None
    """What it waits for since the daemon was stopped in order; `None` in every other record."""
    returns: int = 0
    """How often it was about to go on after the gateway was away, whatever came of it."""
    wired: str | None = None
    """How its port was wired (`PortPlan.wired`); `None` in a record of before that was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The one record each accepted start ends in.

    `record` holds the totals at the end (its `at` is the end of the session). `quality_reason` says why an
    energy is only estimated. `meter_stop` is the register read after opening, or `None` if it was not to be had.
    """

    record: SessionRecord
    ended: Moment
    reason: StopReason
    detail: StopDetail | None = None
    quality: EnergyQuality = EnergyQuality.EXACT
    quality_reason: str | None = None
    resolution: WattHours = WattHours(1.0)
    meter_stop: WattHours | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermalState:
    """θ of one port's wire as it was at a moment, for the journal: it outlives sessions and restarts."""

    port: PortId
    theta: float
    at: Moment


class Clearing(StrEnum):
    """Who may clear a latch: anybody's reset, only a person on site, or that person giving a reason."""

    REMOTE = "remote"
    LOCAL = "local"
    LOCK_OUT = "lock_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latch:
    """Something that holds a port open until it is cleared; survives restarts."""

    port: PortId
    function: str
    clearing: Clearing
    detail: StopDetail | None = None
    since: Moment | None = field(default=None, compare=False)
    """When it was set; `None` for one that was kept by a version before this member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disabled:
    """Why a port, or a circuit (`holder_of` it), takes no start until it is enabled; survives restarts."""

    holder: PortId
    source: Source
    """What was disabled on site is enabled on site only."""
    reason: str
    since: Moment
    by: str | None = None
    """Whose lock it is, kept under `lock_of` the holder: no enabling takes it away, only an unlocking on site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """For which session a port is kept, since when, and for how long."""

    session: SessionId
    since: Moment
    lasts: Seconds

    @property
    def until(self) -> Moment:
        """When it ends by itself."""
        wall_ms = None if self.since.wall_ms is None else self.since.wall_ms + round(self.lasts * 1000)
        return replace(self.since, instant=after(self.since.instant, self.lasts), wall_ms=wall_ms)
