"""What the station wants done. Commands are imperative and carry all an adapter needs to carry them out."""

from dataclasses import dataclass
from enum import StrEnum

from chargerd.core.identity import Identity
from chargerd.core.session import SessionRecord, ThermalState
from chargerd.core.units import CommandId, Instant, PortId, Seconds, SessionId


class Pace(StrEnum):
    """How often a port's meter is to be read."""

    IDLE = "idle"
    """Nothing is asked of the port: each 5 s."""
    ARMED = "armed"
    """A start is under way: current and power as soon as possible."""
    CLOSED = "closed"
    """The relay is closed, or was a moment ago: current as often as the line allows, power each 2 s."""


class ReplyStatus(StrEnum):
    """Where a command stands (the contract's `status`)."""

    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Code(StrEnum):
    """Why. Stable strings of the contract."""

    OK = "ok"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    EXPIRED = "expired"
    CLOCK_UNSYNCHRONISED = "clock_unsynchronised"
    RETAINED = "retained"
    MALFORMED = "malformed"
    UNSUPPORTED = "unsupported"
    UNKNOWN_PORT = "unknown_port"
    UNKNOWN_SESSION = "unknown_session"
    WRONG_SESSION = "wrong_session"
    BUSY = "busy"
    LATCHED = "latched"
    LOCKED_OUT = "locked_out"
    LOCKED = "locked"
    """Somebody on site has put a lock on it; nobody else takes that away."""
    DISABLED = "disabled"
    RESERVED = "reserved"
    """It is kept for another session, for some minutes at most."""
    PROVING = "proving"
    """Its wiring is being proved on site."""
    QUEUE_FULL = "queue_full"
    CIRCUIT_FULL = "circuit_full"
    METER_STALE = "meter_stale"
    BOARD_LOST = "board_lost"
    NOT_YET_KNOWN = "not_yet_known"
    """Its boards have neither answered nor failed to since the daemon began: a start that comes now waits."""
    TOO_MANY_COMMANDS = "too_many_commands"
    """There is no room to keep the id of another one, so it might act twice."""
    LINE_CHANGED = "line_changed"
    """Its relay or meter hangs on a line with other boards than before; somebody on site has to accept them."""
    STORE_UNAVAILABLE = "store_unavailable"
    LIMIT_TOO_HIGH = "limit_too_high"
    THERMAL = "thermal"
    VOLTAGE = "voltage"
    NO_LOAD = "no_load"
    RELAY_FAULT = "relay_fault"
    SESSION_EXISTS = "session_exists"
    QUEUE_TIMEOUT = "queue_timeout"
    NOT_ALLOWED = "not_allowed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRelay:
    """Open this relay before anything else on its bus, and forget its queued closings and renewals."""

    port: PortId
    attempt: int = 1
    """From the third attempt on a board with timed closing is also told to close for 100 ms, then lapse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRelay:
    """Close this relay, for `lease` seconds where the board can (`None`: until told otherwise).

    Withheld, and reported as late, if it has not gone out by `not_after`.
    """

    port: PortId
    lease: Seconds | None
    not_after: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewLease:
    """Close an already closed relay for another `lease` seconds.

    A renewal is a close command: after `not_after` it is withheld and reported as late, since the relay may
    have opened by itself.
    """

    port: PortId
    lease: Seconds
    not_after: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRelay:
    """Read back the state of this relay, soon."""

    port: PortId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEnergy:
    """Read the energy register of this port's meter, soon."""

    port: PortId


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPace:
    """Read this port's meter at this pace from now on."""

    port: PortId
    pace: Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Persist:
    """Make this session durable, then answer with `Persisted` or `PersistFailed` and the same token."""

    port: PortId
    token: int
    record: SessionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Amend:
    """Make new limits of a session under way durable, then answer as to `Persist`."""

    port: PortId
    token: int
    record: SessionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Write the totals of open sessions, how warm ports are and who boards are, in one transaction.

    Nobody waits for it.
    """

    records: tuple[SessionRecord, ...]
    warmths: tuple[ThermalState, ...] = ()
    identities: tuple[Identity, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Tell whoever sent this command how it stands."""

    command: CommandId
    name: str
    status: ReplyStatus
    code: Code = Code.OK
    message: str = ""
    port: PortId | None = None
    session: SessionId | None = None
    queue_position: int | None = None


BusCommand = OpenRelay | CloseRelay | RenewLease | ReadRelay | ReadEnergy | SetPace
Command = BusCommand | Persist | Amend | Checkpoint | Answer
