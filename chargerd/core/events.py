"""What the station is told: readings, relay feedback, requests, and answers of the journal.

`at` is when the thing was true, on the boot clock; the moment of handling is passed beside the event.
The `name` of a request is that of its command in the contract.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from chargerd.core.faults import FaultKind
from chargerd.core.plan import Limits
from chargerd.core.session import Order, Source
from chargerd.core.units import (
    Amps,
    BoardId,
    Celsius,
    CircuitId,
    CommandId,
    Instant,
    PortId,
    Seconds,
    SessionId,
    Volts,
    WattHours,
    Watts,
)


class RelayAction(StrEnum):
    """What was written to a relay."""

    OPEN = "open"
    CLOSE = "close"
    RENEW = "renew"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterReading:
    """Values of one port's meter, read in one transaction. What was not read is `None`, never 0."""

    port: PortId
    at: Instant
    current: Amps | None = None
    power: Watts | None = None
    voltage: Volts | None = None
    energy: WattHours | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterFault:
    """A meter was asked and did not give a usable answer."""

    port: PortId
    at: Instant
    kind: FaultKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureReading:
    """What the sensor at a port's socket shows; `None` where its board says that it does not know."""

    port: PortId
    at: Instant
    celsius: Celsius | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayWritten:
    """A write to a relay was confirmed by its byte-exact echo. `sent_at` is before the first byte went out."""

    port: PortId
    action: RelayAction
    sent_at: Instant
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayNotWritten:
    """A write was not confirmed. `sent` says whether bytes may have reached the board all the same.

    `late` marks a closing or a renewal that was withheld because its time had passed.
    """

    port: PortId
    action: RelayAction
    kind: FaultKind
    at: Instant
    sent: bool = True
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayReadBack:
    """The relay's state as its board reports it. `sent_at` is when the question went out."""

    port: PortId
    closed: bool
    sent_at: Instant
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayNotReadBack:
    """The board was asked for the relay's state and gave no usable answer."""

    port: PortId
    kind: FaultKind
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardLost:
    """A board stopped answering."""

    board: BoardId
    at: Instant
    kind: FaultKind


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardBack:
    """A board answers again, or for the first time."""

    board: BoardId
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignHeard:
    """Where a board was asked, frames come again and again that are no answer of its own.

    `tainted`: one that could have been taken for its answer. Nothing was taken from that moment.
    """

    board: BoardId
    at: Instant
    tainted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardPrepared:
    """Every setting a board must have has been read from it and was right. Holds until the board is back anew."""

    board: BoardId
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationFailed:
    """A board did not take a setting it must have before it is used, such as its poll timeout."""

    board: BoardId
    at: Instant
    setting: str
    """In a person's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputsRead:
    """The contacts of an input board, read in one transaction: `True` is closed, channel 1 first."""

    board: BoardId
    at: Instant
    closed: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputsNotRead:
    """An input board was asked and did not give a usable answer."""

    board: BoardId
    at: Instant
    kind: FaultKind


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitReading:
    """What a circuit's own meter shows.

    `currents` and `voltages` are per phase, L1 first, and have one element for a meter of one phase. `power` is
    that of all phases. What was not read is `None`, never 0.
    """

    circuit: CircuitId
    at: Instant
    currents: tuple[Amps | None, ...] = ()
    power: Watts | None = None
    voltages: tuple[Volts | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitFault:
    """A circuit's meter was asked and did not give a usable answer."""

    circuit: CircuitId
    at: Instant
    kind: FaultKind


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardIdentified:
    """A board was asked who it is. `words` as it told them; `None`: it does not tell."""

    board: BoardId
    at: Instant
    words: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAccepted:
    """Somebody on site says that the boards which a line has now are the right ones."""

    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """A configuration was read anew: the limits of ports, and how long a start waits whose order does not say.

    Ports that are not named stay as they are.
    """

    limits: Mapping[PortId, Limits]
    queue_for: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequested:
    """Someone wants a port energised. The command's id is durable by now."""

    name: ClassVar[str] = "start"

    order: Order
    port: PortId
    raising: CommandId | None = None
    """The newest command to raise its limits that came in meanwhile, and is not durable itself."""

    @property
    def command(self) -> CommandId | None:
        """Who is answered."""
        return self.order.command

    @property
    def session(self) -> SessionId:
        """What it would start."""
        return self.order.session


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested:
    """Someone wants a session ended. Without a session id only if `force` is set."""

    name: ClassVar[str] = "stop"

    port: PortId
    session: SessionId | None
    source: Source
    force: bool = False
    command: CommandId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetRequested:
    """Someone wants the latches of a port cleared, or those of a circuit (`holder_of` it instead of a port).

    A remote reset clears only latches marked for it; a lock-out is cleared only on site, with a `reason`.
    """

    name: ClassVar[str] = "reset"

    port: PortId
    source: Source
    reason: str | None = None
    command: CommandId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRequested:
    """Someone wants other limits for a session under way; totals for the session, `None`: as it is.

    Without a session id from on site only. `durable` says that the command's id is, and that it has not expired:
    before that, nothing is raised by it.
    """

    name: ClassVar[str] = "update_limits"

    port: PortId
    session: SessionId | None
    source: Source
    current: Amps | None = None
    power: Watts | None = None
    duration: Seconds | None = None
    energy: WattHours | None = None
    command: CommandId | None = None
    durable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableRequested:
    """Someone wants no start any more on a port, or on any below a circuit (`holder_of` it instead of a port)."""

    name: ClassVar[str] = "disable"

    port: PortId
    source: Source
    reason: str
    command: CommandId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableRequested:
    """Someone wants what was disabled back in service."""

    name: ClassVar[str] = "enable"

    port: PortId
    source: Source
    reason: str
    command: CommandId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRequested:
    """Someone on site puts a lock on a port, or a circuit with every port below: sessions end, nothing starts."""

    name: ClassVar[str] = "lock"

    port: PortId
    source: Source
    by: str
    reason: str
    command: CommandId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlockRequested:
    """Someone wants a lock taken away, which is done on site only."""

    name: ClassVar[str] = "unlock"

    port: PortId
    source: Source
    by: str
    reason: str | None = None
    command: CommandId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveRequested:
    """Someone wants a port kept for one session for so long; 0: no longer. The command's id is durable by now."""

    name: ClassVar[str] = "reserve"

    port: PortId
    session: SessionId
    source: Source
    lasts: Seconds
    command: CommandId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofNews:
    """What a wiring proof says, beside the starts and stops of its sessions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofHeld(ProofNews):
    """Somebody on site proves the wiring of these ports: for so long no start but the proof's own. 0: no longer.

    A port that has a session is not held: whoever asks looks at its view.
    """

    ports: tuple[PortId, ...]
    proof: str
    lasts: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofCleared(ProofNews):
    """A proof that holds a port has shown that these latches are not true of it, or needs them out of its way."""

    port: PortId
    proof: str
    functions: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofSuspected(ProofNews):
    """A proof has found these ports exchanged, or could not say that they are not: nobody may charge there."""

    ports: tuple[PortId, ...]
    power: Watts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseWithheld(ProofNews):
    """The lease of a proof's session is not to be renewed any more: its board has to open by itself."""

    port: PortId


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadManTested(ProofNews):
    """A bench test has shown whether a board opens by itself when nobody renews."""

    board: BoardId
    holds: bool


UnsafeRequest = StartRequested | ResetRequested | EnableRequested | UnlockRequested
"""What makes a closing possible: it is carried out when the command's id is durable, and not before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHeard:
    """Someone has asked for this, and the command's id is not durable yet: what comes after applies to it."""

    request: UnsafeRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDropped:
    """What was heard is not carried out: its id was not durable, or not in time. Its sender has been told."""

    request: UnsafeRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Persisted:
    """The journal has made durable what it was given under this token."""

    port: PortId
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistFailed:
    """The journal could not make durable what it was given under this token."""

    port: PortId
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreChanged:
    """Whether the journal can be written."""

    writable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineReached:
    """The instant the station asked to be woken at has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownRequested:
    """The daemon leaves for good: every relay is to be opened and every session ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRequested:
    """The daemon leaves and another one comes: every relay is to be opened, sessions wait for that one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainRequested:
    """Nothing starts any more, what goes on ends by itself; or, unless `begin`, everything may start again."""

    begin: bool


RelayEvent = RelayWritten | RelayNotWritten | RelayReadBack | RelayNotReadBack
SupplyEvent = InputsRead | InputsNotRead | CircuitReading | CircuitFault
BoardEvent = BoardLost | BoardBack | BoardPrepared | PreparationFailed | ForeignHeard
BusEvent = MeterReading | MeterFault | TemperatureReading | RelayEvent | SupplyEvent | BoardEvent | BoardIdentified
JournalEvent = Persisted | PersistFailed | StoreChanged
AvailabilityRequest = DisableRequested | EnableRequested | LockRequested | UnlockRequested
PortRequest = StartRequested | StopRequested | ResetRequested | UpdateRequested | ReserveRequested
Request = PortRequest | AvailabilityRequest
"""What somebody asks for. `name` is the command's in the contract, or, of a lock, the control socket's."""
RequestNews = RequestHeard | RequestDropped
Departure = ShutdownRequested | RestartRequested | DrainRequested
Report = BusEvent | JournalEvent | DeadlineReached | Departure | LineAccepted | Configured
Event = Report | Request | RequestNews | ProofNews
