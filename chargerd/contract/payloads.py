"""The messages of the contract: every payload as a model, in the contract's own names and units.

What is not known is `null`, never 0. Within a major version fields are only added.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.moment import ClockQuality
from chargerd.core.session import EnergyQuality, Source, StopReason
from chargerd.core.stance import Known
from chargerd.core.units import CommandId, PortId, Seconds, SessionId
from chargerd.core.view import PortState

MAJOR = 1
MINOR = 0
PRESENCE_EXPIRY = Seconds(180.0)
STATE_EXPIRY = Seconds(3600.0)
REPLY_EXPIRY = 3600
READING_EXPIRY = 86400
HEALTH_EXPIRY = 60
"""For how many seconds a message of each kind is of use."""
LARGEST = 16 * 1024
"""Bytes of a payload."""


Timestamp = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", json_schema_extra={"format": "date-time"}),
]
"""RFC 3339 in UTC with milliseconds."""


class Message(BaseModel):
    """Frozen; what is not listed does not belong."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Envelope(Message):
    """What every payload carries. `at` is `null` exactly while `clock` is `none`."""

    gateway: str
    at: Timestamp | None
    clock: ClockQuality
    boot: int
    up_ms: int


class LedgerEnvelope(Envelope):
    """What every row of the ledger carries besides: consumers de-duplicate on (`stream`, `seq`)."""

    stream: str
    seq: int
    offline: bool


class LimitsBody(Message):
    """Limits of a port or a session."""

    current_a: float
    power_w: float
    duration_s: float
    energy_wh: float | None = None


class ReadingQuality(StrEnum):
    """Whether a reading may be relied on. `frozen`: the meter answers, but seems not to measure."""

    GOOD = "good"
    STALE = "stale"
    FROZEN = "frozen"
    NONE = "none"


class ReadingBody(Message):
    """The newest values of a port. `stale`: power and current are none of now, whatever they are."""

    power_w: float | None
    current_a: float | None
    voltage_v: float | None
    energy_wh: int | None
    age_s: float | None
    quality: ReadingQuality
    stale: bool | None = None
    energy_age_s: float | None = None
    """Of the register, which is read more seldom than all else."""


class RelayBody(Message):
    """Where a relay or a contactor stands now, as far as is known.

    `source` says how: `read_back` a moment ago; `believed` by what it was told and by its lease, since nobody has
    read it back lately; `unknown`, with which `closed` is `null`. `age_s`: how old the last read-back is.
    """

    closed: bool | None
    source: Known
    age_s: float | None


class DetailBody(Message):
    """The figures behind a trip or a stop."""

    function: str
    measured: float | None
    limit: float | None
    unit: str | None


class LatchBody(Message):
    """What holds a port open, and who may clear it."""

    function: str
    clearing: str
    detail: DetailBody | None
    since: Timestamp | None = None


class DisabledBody(Message):
    """Why a port, or each port below a circuit, takes no start until it is enabled; `circuit`: it is all of it."""

    source: Source
    reason: str
    since: Timestamp | None
    circuit: str | None = None


class LockBody(Message):
    """Who on site keeps a port open, or each port below a circuit, until it is unlocked there; no command does."""

    by: str
    reason: str
    since: Timestamp | None
    circuit: str | None = None


class ReservationBody(Message):
    """For which session alone a port takes a start, until `ttl_s` after `since`."""

    session_id: SessionId
    ttl_s: float
    since: Timestamp | None
    since_up_ms: int


class OcppStatus(StrEnum):
    """OCPP's names for the states of a connector."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    FAULTED = "Faulted"
    UNAVAILABLE = "Unavailable"


OCPP_STATUS: dict[PortState, OcppStatus] = {
    PortState.UNKNOWN: OcppStatus.UNAVAILABLE,
    PortState.DISABLED: OcppStatus.UNAVAILABLE,
    PortState.AVAILABLE: OcppStatus.AVAILABLE,
    PortState.QUEUED: OcppStatus.PREPARING,
    PortState.STARTING: OcppStatus.PREPARING,
    PortState.CHARGING: OcppStatus.CHARGING,
    PortState.SUSPENDED: OcppStatus.SUSPENDED_EVSE,
    PortState.STOPPING: OcppStatus.FINISHING,
    PortState.TRIPPED: OcppStatus.FAULTED,
    PortState.LOCKED_OUT: OcppStatus.FAULTED,
}


class ProgressBody(Message):
    """What the session under way has drawn so far."""

    charging_s: float
    suspended_s: float
    energy_wh: int
    peak_power_w: float
    suspended_by: str | None = None
    """Why it is suspended, as in the event `suspended`, until current may flow again."""


class PortStateBody(Message):
    """`state/port/{port}`, without the envelope. `relay_closed`: as last read back, however long ago."""

    port: PortId
    label: str
    circuit: str
    state: PortState
    ocpp_status: OcppStatus
    since: Timestamp | None
    since_up_ms: int
    relay_closed: bool | None
    session_id: SessionId | None
    order_id: str | None
    reading: ReadingBody
    session: ProgressBody | None
    limits: LimitsBody
    limits_in_force: LimitsBody | None
    latches: tuple[LatchBody, ...]
    blocked_by: tuple[Code, ...]
    queue_position: int | None
    disabled: DisabledBody | None = None
    latency_budget_s: float | None = None
    """At worst, from too much current at the clamp to an open contact, no frame lost."""
    temperature_c: float | None = None
    """Of the socket, where it has a sensor."""
    reservation: ReservationBody | None = None
    lock: LockBody | None = None
    relay: RelayBody | None = None


class TierBody(Message):
    """Time and energy at up to `up_to_w`; `null`: above the last bound."""

    up_to_w: float | None
    charging_s: int
    energy_wh: int


class StampBody(Message):
    """A moment on the boot clock: one end of a session, or of an interruption."""

    boot: int
    up_ms: int


class InterruptionBody(Message):
    """A span of a session in which its relay was open; `to` and `ended` are `null` if the session ended in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    since: Timestamp | None = Field(alias="from")
    to: Timestamp | None
    reason: str
    began: StampBody | None = None
    ended: StampBody | None = None


class SessionBody(Message):
    """`up/session`: `started`, `updated`, `suspended`, `resumed`."""

    event: Literal["started", "updated", "suspended", "resumed"]
    session_id: SessionId
    order_id: str | None
    port: PortId
    started_at: Timestamp | None
    charging_s: int
    suspended_s: int
    energy_wh: int
    meter_start_wh: int | None
    limits: LimitsBody
    start_source: Source
    reason: str | None = None
    detail: DetailBody | None = None


class SettlementBody(Message):
    """`up/session` `ended`: the one record of a session. The journal adds both digests."""

    event: Literal["ended"]
    session_id: SessionId
    order_id: str | None
    port: PortId
    started_at: Timestamp | None
    ended_at: Timestamp | None
    started: StampBody
    ended: StampBody
    duration_s: int | None
    charging_s: int
    suspended_s: int
    energy_wh: int
    energy_quality: EnergyQuality
    energy_quality_reason: str | None
    energy_resolution_wh: float
    meter_start_wh: int | None
    meter_stop_wh: int | None
    peak_power_w: float
    peak_power_first_5_min_w: float
    mean_power_w: float | None
    tiers: tuple[TierBody, ...]
    stop_reason: StopReason
    stop_detail: DetailBody | None
    confidence: float | None
    interruptions: tuple[InterruptionBody, ...]
    start_source: Source
    limits: LimitsBody
    previous_digest: str | None = None
    digest: str | None = None


class Severity(StrEnum):
    """How much an event matters."""

    INFO = "info"
    WARNING = "warning"
    ALARM = "alarm"


class DeadLetterBody(Message):
    """A row that could not be sent: what it was, as far as its place in the books goes."""

    topic: str
    event: str | None
    session_id: SessionId | None = None


class EventBody(Message):
    """`up/event`: a fact about a port, a circuit, a board or the gateway.

    `gap` stands in the place of rows that will not come: `from` and `to` number them. `clock_fixed` tells how
    far the wall clock is ahead of this boot's `up_ms`, so that rows without a time get theirs; `clock_step` tells
    by how much the wall clock was set. `gateway_started` says in `reason` how the process before it ended:
    `first_start`, `stopped`, `failed` or `interrupted`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    event: str
    severity: Severity
    port: PortId | None = None
    ports: tuple[PortId, ...] | None = None
    circuit: str | None = None
    circuits: tuple[str, ...] | None = None
    bus: str | None = None
    board: str | None = None
    input: str | None = None
    session_id: SessionId | None = None
    function: str | None = None
    detail: DetailBody | None = None
    latch: LatchBody | None = None
    functions: tuple[str, ...] | None = None
    source: Source | None = None
    reason: str | None = None
    since_seq: int | None = Field(default=None, alias="from")
    to: int | None = None
    dead_letter: DeadLetterBody | None = None
    offset_ms: int | None = None
    step_ms: int | None = None
    expires_at: str | None = None
    version: str | None = None
    configuration: str | None = None
    sessions_interrupted: int | None = None
    uid: int | None = None
    """Of whoever gave a command on site."""
    user: str | None = None
    """Who that is, as the gateway's machine knows the `uid`."""
    by: str | None = None
    """The name on a lock; of `port_unlocked`, whoever has taken it away."""


class ReadingMessageBody(Message):
    """`up/reading`: the values of a closed port."""

    port: PortId
    session_id: SessionId | None
    power_w: float | None
    current_a: float | None
    voltage_v: float | None
    energy_wh: int | None
    session_energy_wh: int | None
    age_s: float | None
    quality: ReadingQuality


class ReplyBody(Message):
    """`up/reply`: how a command stands. `id` is `null` if the command had none that could be read."""

    id: CommandId | None
    command: str
    status: ReplyStatus
    code: Code
    message: str
    port: PortId | None = None
    session_id: SessionId | None = None
    queue_position: int | None = None
    port_state: PortState | None = None


class LedgerSpanBody(Message):
    """What the ledger holds."""

    stream: str
    first: int
    last: int


class PresenceBody(Message):
    """`state/gateway`: presence, birth and last will. `ledger` is as of now; a last will has none.

    `sessions`, of a `shutdown` only: what became of them. `suspended` ones go on after the next start.
    """

    status: Literal["online", "offline"]
    cause: Literal["lost", "shutdown"] | None = None
    conn: int
    ledger: LedgerSpanBody | None = None
    sessions: Literal["suspended", "ended"] | None = None


class BoardHealth(StrEnum):
    """Whether a board answers."""

    GOOD = "good"
    LOST = "lost"
    UNKNOWN = "unknown"


class BoardStateBody(Message):
    """`state/board/{board}`, without the envelope. `dead_man` is what opens its relays if nobody renews them."""

    board: str
    bus: str
    address: int
    profile: str
    firmware: str | None
    health: BoardHealth
    dead_man: str | None
    dead_man_proved: bool | None


class CircuitStateBody(Message):
    """`state/circuit/{circuit}`, without the envelope. Currents are those of L1 to L3.

    `measured`: the circuit's own meter stands behind the load; else it is the sum of its ports, those without a
    fresh reading at their limit. `contactor_closed`: as last read back, however long ago.
    """

    circuit: str
    parent: str | None
    load_current_a: tuple[float, ...]
    load_power_w: float
    allocated_current_a: tuple[float, ...]
    allocated_power_w: float
    rating_current_a: float | None
    rating_power_w: float | None
    measured: bool
    contactor_closed: bool | None
    queue: tuple[PortId, ...]
    latches: tuple[LatchBody, ...]
    disabled: DisabledBody | None = None
    lock: LockBody | None = None
    contactor: RelayBody | None = None


class BusHealthBody(Message):
    """How a bus has done since the daemon's start, in transactions and what became of them."""

    model_config = ConfigDict(frozen=True, extra="allow")

    bus: str
    connected: bool
    transactions: int
    timeouts: int
    corrupt: int
    exceptions: int
    foreign_bytes: int
    boards_lost: tuple[str, ...]


class HealthBody(Message):
    """`up/health`, without the envelope."""

    load: float | None
    temperature_c: float | None
    memory_free_bytes: int | None
    disk_free_bytes: int | None
    journal_bytes: int | None
    ledger_waiting: int
    buses: tuple[BusHealthBody, ...]


class CertificateBody(Message):
    """A certificate of the link, and until when it is good."""

    file: Literal["ca", "certificate"]
    subject: str | None
    expires_at: str


class ClockAnchorBody(Message):
    """One moment on both clocks, as `at` and `up_ms` of the envelope give it; `offset_ms` is their difference."""

    boot: int
    up_ms: int
    offset_ms: int | None


class InfoPortBody(Message):
    """A port's name, and where it hangs."""

    port: PortId
    label: str
    circuit: str


class InfoBoardBody(Message):
    """A board, and where it hangs."""

    board: str
    bus: str
    address: int
    profile: str


class InfoBody(Message):
    """`state/info`, without the envelope: what this gateway is and has. `starts` counts starts of the daemon.

    Where all would not fit into one message `boards` is empty, then `ports` too: each has a state of its own.
    """

    name: str
    timezone: str
    version: str
    contract: str
    configuration: str
    starts: int
    ports: tuple[InfoPortBody, ...]
    boards: tuple[InfoBoardBody, ...]
    circuits: tuple[str, ...]
    capabilities: tuple[str, ...]
    ledger: LedgerSpanBody
    certificates: tuple[CertificateBody, ...]
    clock_anchor: ClockAnchorBody
    configuration_refused: str | None = None
    """Where and why the configuration's file is wrong, while the gateway runs on the one before; else `null`."""
