"""What happened, in the past tense. Facts become rows of the journal, messages of the contract, and log lines."""

from dataclasses import dataclass

from chargerd.core.moment import Moment
from chargerd.core.session import Disabled, Latch, SessionRecord, Settlement, Source, StopDetail
from chargerd.core.units import BoardId, CircuitId, PortId, SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted:
    """The relay of a durable session was closed and read back closed."""

    record: SessionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUpdated:
    """Totals so far; on changes and every 15 minutes."""

    record: SessionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSuspended:
    """The relay was opened, the session goes on if the reason goes away in time."""

    record: SessionRecord
    reason: str
    detail: StopDetail | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResumed:
    """The relay of a suspended session was closed again."""

    record: SessionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """The session is over; its settlement is final."""

    settlement: Settlement


@dataclass(frozen=True, slots=True, kw_only=True)
class PortTripped:
    """A protective function opened a port. A `latch` says what now has to be cleared, if anything."""

    port: PortId
    function: str
    detail: StopDetail
    session: SessionId | None = None
    latch: Latch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortLockedOut:
    """A port must not be used until a person has been there."""

    port: PortId
    latch: Latch
    session: SessionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatchesCleared:
    """Latches were cleared by a reset; `kept` are those it could not clear.

    `circuit` names the circuit if `port` is the holder of a circuit's latches. Without a `source` nobody has reset
    it: what had latched it has turned out to be another port's fault.
    """

    port: PortId
    circuit: CircuitId | None = None
    functions: tuple[str, ...]
    source: Source | None
    reason: str | None = None
    kept: tuple[Latch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PortReserved:
    """A port is kept for a session until then."""

    port: PortId
    session: SessionId
    until: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationEnded:
    """A port is no longer kept for a session: `started`, `released`, `expired` or `shutdown`."""

    port: PortId
    session: SessionId
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PortDisabled:
    """A port takes no start any more, or no port below `circuit` does (`port` then holds the circuit)."""

    port: PortId
    circuit: CircuitId | None = None
    disabled: Disabled
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PortEnabled:
    """A port, or a circuit, is no longer disabled."""

    port: PortId
    circuit: CircuitId | None = None
    source: Source
    reason: str

    @property
    def holder(self) -> PortId:
        """Under which id it was disabled."""
        return self.port


@dataclass(frozen=True, slots=True, kw_only=True)
class PortLocked:
    """Somebody on site has put a lock on a port, or on a circuit with every port below (`port` then holds it)."""

    port: PortId
    circuit: CircuitId | None = None
    lock: Disabled

    @property
    def disabled(self) -> Disabled:
        """What the journal keeps of it."""
        return self.lock

    @property
    def reason(self) -> str:
        """Why, as it was given."""
        return self.lock.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PortUnlocked:
    """A lock was taken away on site, by whom; `lock` is what it was."""

    port: PortId
    circuit: CircuitId | None = None
    lock: Disabled
    by: str
    reason: str | None = None

    @property
    def holder(self) -> PortId:
        """Under which id the lock was kept."""
        return self.lock.holder


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOpenCircuit:
    """Three sessions in a row found no load behind a closed relay: a fuse or a wire is suspected."""

    port: PortId


@dataclass(frozen=True, slots=True, kw_only=True)
class PortTemperatureHigh:
    """A socket has been warmer than the warning threshold for as long as a trip would take; told once."""

    port: PortId
    detail: StopDetail
    session: SessionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterFrozen:
    """A meter answers, but does not measure: its register or its values stand still. Told once until they move."""

    port: PortId
    detail: StopDetail
    session: SessionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortAlarm:
    """A protective function that opens nothing has picked up; `detail` names it. Told once a session."""

    port: PortId
    detail: StopDetail
    session: SessionId

    @property
    def function(self) -> str:
        """The function's name, where trips have theirs."""
        return self.detail.function


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerJumped:
    """A load draws far more than ever in its session, and keeps to it; told once a session."""

    port: PortId
    detail: StopDetail
    session: SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerNegative:
    """A meter shows a power that flows back: wired the wrong way round, as chargers do not feed back."""

    port: PortId
    detail: StopDetail
    session: SessionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingImplausible:
    """A meter has answered what cannot be true, and nothing was taken from it; `detail` counts such answers."""

    port: PortId
    kind: str
    detail: StopDetail
    session: SessionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyEstimated:
    """A session's register cannot be believed any more, for the reason in `kind`: its integral stands instead."""

    port: PortId
    kind: str
    session: SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class InputTripped:
    """An input reported danger: its circuit, and everything below it, was opened and is held open."""

    input: str
    circuit: CircuitId
    function: str
    latch: Latch


@dataclass(frozen=True, slots=True, kw_only=True)
class InputsLost:
    """A board with inputs is not read any more; the circuits it guards are open until it is."""

    board: BoardId
    circuits: tuple[CircuitId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputsBack:
    """A board with inputs is read again."""

    board: BoardId
    circuits: tuple[CircuitId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputsFlapping:
    """A board with inputs is lost and back again and again; `detail` counts how often it was lost."""

    board: BoardId
    circuits: tuple[CircuitId, ...]
    detail: StopDetail


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitShed:
    """A port was opened because its circuit carries too much; its session waits for its return."""

    circuit: CircuitId
    port: PortId
    detail: StopDetail
    session: SessionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitTripped:
    """A circuit's contactor was opened, or found out of order. A `latch` says what has to be cleared, if anything.

    `port` is the one whose relay is out of control, if that was the cause.
    """

    circuit: CircuitId
    function: str
    port: PortId | None = None
    latch: Latch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayUnexpected:
    """A relay was read back closed without having been told so."""

    port: PortId


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayNotReconciled:
    """After the start of the daemon a relay could not be shown to be open in time: its board is reported lost."""

    port: PortId
    board: BoardId


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayUnconfirmed:
    """A relay was told to open, and nobody could read in time that it is: its port is out of service."""

    port: PortId
    board: BoardId


@dataclass(frozen=True, slots=True, kw_only=True)
class WiringSuspect:
    """The first of two ports closed, and the current showed on the second, an open one: they are exchanged.

    If the current goes with the opening of the first, both are latched; `detail` is what the second showed.
    """

    ports: tuple[PortId, PortId]
    detail: StopDetail
    session: SessionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardWentSilent:
    """A board stopped answering."""

    board: BoardId
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardReturned:
    """A board answers again."""

    board: BoardId


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFlapping:
    """A board is lost and back again and again; `detail` counts how often it was lost. No single time is told."""

    board: BoardId
    detail: StopDetail


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardNotPrepared:
    """A board did not take a setting it must have, named by `kind`: it counts as one without a dead-man."""

    board: BoardId
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignAnswers:
    """Where a board was asked, something else answers: a board with another address, or a second master.

    `kind` is `tainted` if it could have been taken for the board's own answer.
    """

    board: BoardId
    kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChanged:
    """A board tells that it is another one than before: nothing closes on its line until that is settled."""

    line: str
    board: BoardId


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRestored:
    """A line that had changed is in use again: it is `itself`, or was `accepted` on site, as `kind` says."""

    line: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed:
    """The journal cannot be written; no relay closes until it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRecovered:
    """The journal can be written again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFlapping:
    """The journal cannot be written, and can, again and again; `detail` counts how often it could not."""

    detail: StopDetail


SessionFact = SessionStarted | SessionUpdated | SessionSuspended | SessionResumed | SessionEnded
PortFact = (
    PortTripped
    | PortLockedOut
    | LatchesCleared
    | PortDisabled
    | PortEnabled
    | PortLocked
    | PortUnlocked
    | PortReserved
    | ReservationEnded
    | RelayUnexpected
    | RelayNotReconciled
    | RelayUnconfirmed
    | WiringSuspect
    | RelayOpenCircuit
    | PortTemperatureHigh
    | MeterFrozen
    | PortAlarm
    | PowerJumped
    | PowerNegative
    | ReadingImplausible
    | EnergyEstimated
)
CircuitFact = InputTripped | InputsLost | InputsBack | InputsFlapping | CircuitShed | CircuitTripped
BoardFact = BoardWentSilent | BoardReturned | BoardFlapping | BoardNotPrepared | ForeignAnswers
LineFact = LineChanged | LineRestored
StoreFact = StoreFailed | StoreRecovered | StoreFlapping
Fact = SessionFact | PortFact | CircuitFact | BoardFact | LineFact | StoreFact
