"""What each method of the control socket takes. Checked at the door, before anybody acts on it.

What a command does not know it refuses: a limit that was mistyped and ignored would leave a socket with the port's
full one. Figures are positive and finite, since a limit that is no number is never exceeded.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from chargerd.contract.arguments import KNOWN
from chargerd.contract.ledger import Json
from chargerd.contract.requests import complaint, unknown_fields

Name = Annotated[str, Field(min_length=1, max_length=128)]
Text = Annotated[str, Field(max_length=256)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Params(BaseModel):
    """Parameters of a method; `null` stands for what was left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Nothing(Params):
    """What takes nothing, as `status`, `verify`, `doctor`, `compare`, `leave` and `prove-report` do."""


class PortParams(Params):
    """`port` and `explain`."""

    port: Name


class StartParams(PortParams):
    """`start`: limits of the session, of which those left out are the port's own."""

    duration_s: Positive | None = None
    energy_wh: Positive | None = None
    power_w: Positive | None = None
    current_a: Positive | None = None
    order_id: Text | None = None
    full_stop: bool | None = None


class LimitsParams(PortParams):
    """`limits`: new limits of the session under way; those left out stay as they are."""

    session_id: Name | None = None
    duration_s: Positive | None = None
    energy_wh: Positive | None = None
    power_w: Positive | None = None
    current_a: Positive | None = None


class CircuitParams(Params):
    """`circuit`."""

    circuit: Name


class HolderParams(Params):
    """A port, or a circuit with every port below."""

    port: Name | None = None
    circuit: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.port is None) == (self.circuit is None):
            raise ValueError("give exactly one of port and circuit")
        return self


class ServiceParams(HolderParams):
    """`disable` and `enable`."""

    reason: Annotated[str, Field(min_length=1, max_length=256)]


class LockParams(ServiceParams):
    """`lock`: whose lock it is, and why."""

    by: Annotated[str, Field(min_length=1, max_length=64)]


class UnlockParams(HolderParams):
    """`unlock`: who takes the lock away, whoever has put it there."""

    by: Annotated[str, Field(min_length=1, max_length=64)]
    reason: Text | None = None


class StopParams(PortParams):
    """`stop`: whoever stands at the port needs no session id."""

    session_id: Name | None = None


class ResetParams(HolderParams):
    """`reset`: a lock-out is cleared with a reason only."""

    reason: Text | None = None


class LineParams(Params):
    """`accept-line` and `line`."""

    bus: Name


class ReloadParams(Params):
    """`reload`: with `restart` the daemon begins anew if something waits for that."""

    restart: bool | None = None


class SessionsParams(Params):
    """`sessions`: how many, and of which port; settlements come one a message, newest first, then how many."""

    limit: Annotated[int, Field(ge=1, le=1000)] | None = None
    port: Name | None = None


Mark = Annotated[str, Field(pattern=r"^[0-9]{1,19}\.[0-9]{1,19}$")]


class EventsParams(Params):
    """`events`: the newest before a mark, in pages; or all after one, for as long as the client stays."""

    port: Name | None = None
    severity: Literal["info", "warning", "alarm"] | None = None
    """As grave as this, or graver."""
    kinds: Annotated[list[Text], Field(max_length=32)] | None = None
    """Names of events, or patterns of them."""
    since_ms: Annotated[int, Field(ge=0)] | None = None
    within_s: Positive | None = None
    limit: Annotated[int, Field(ge=1, le=500)] | None = None
    before: Mark | None = None
    after: Mark | None = None


class SessionParams(Params):
    """`session`: one settlement."""

    session_id: Name


Unit = Annotated[int, Field(ge=1, le=247)]
Word = Annotated[int, Field(ge=0, le=0xFFFF)]


class UnitParams(Params):
    """A board of the configuration, or any unit of a bus."""

    board: Name | None = None
    bus: Name | None = None
    unit: Unit | None = None

    @model_validator(mode="after")
    def _one_board(self) -> Self:
        if (self.board is None) == (self.bus is None) or (self.bus is None) != (self.unit is None):
            raise ValueError("give a board, or a bus and a unit of it")
        return self


class ProbeParams(LineParams):
    """`probe`: one question of a scan, at another rate if that is given."""

    unit: Unit
    function: Annotated[int, Field(ge=1, le=4)]
    address: Word
    count: Annotated[int, Field(ge=1, le=64)]
    words: Literal[1, 2] = 1
    """16-bit words that each register has."""
    timeout_ms: Annotated[float, Field(ge=10, le=500, allow_inf_nan=False)] = 80.0
    baudrate: Annotated[int, Field(ge=1200, le=1_000_000)] | None = None
    parity: Literal["none", "even", "odd"] = "none"
    stopbits: Literal[1, 2] = 1


class ReadParams(UnitParams):
    """`read`: some registers or bits, or a quantity that the board's profile knows."""

    function: Annotated[int, Field(ge=1, le=4)] | None = None
    address: Word | None = None
    count: Annotated[int, Field(ge=1, le=64)] = 1
    quantity: Text | None = None
    channel: Annotated[int, Field(ge=1, le=64)] = 1

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if (self.address is None) == (self.quantity is None):
            raise ValueError("give an address or a quantity")
        return self


class WriteParams(UnitParams):
    """`write`: a coil (function 5), a register (6), or several (16)."""

    function: Literal[5, 6, 16]
    address: Word
    values: Annotated[list[Word], Field(min_length=1, max_length=8)]


class TraceParams(LineParams):
    """`trace`: of one unit if that is given; `errors`: only what was not answered well."""

    unit: Unit | None = None
    errors: bool = False


class DrainParams(Params):
    """`drain`: what has not ended within `timeout_s` is suspended; without it, that is waited for."""

    timeout_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class ProveParams(Params):
    """`prove`: these ports, or all; a load of `load_w` goes from socket to socket, or there is one in `each`.

    What was broken off goes on, unless it is to be done `anew`. `asks`: a person answers what is asked.
    """

    ports: Annotated[list[Name], Field(min_length=1, max_length=1024)] | None = None
    load_w: Annotated[float, Field(gt=0, le=3500, allow_inf_nan=False)] | None = None
    each: bool | None = None
    anew: bool | None = None
    asks: bool | None = None
    by: Text | None = None


class ProofAnswerParams(Params):
    """`prove-answer`: what the person at the load says to the question of a proof."""

    proof: Name
    answer: Literal["ready", "skip", "yes", "no"]


METHODS: Mapping[str, type[Params]] = {
    "status": Nothing,
    "watch": Nothing,
    "port": PortParams,
    "explain": PortParams,
    "circuit": CircuitParams,
    "why": Nothing,
    "start": StartParams,
    "stop": StopParams,
    "reset": ResetParams,
    "limits": LimitsParams,
    "disable": ServiceParams,
    "enable": ServiceParams,
    "lock": LockParams,
    "unlock": UnlockParams,
    "sessions": SessionsParams,
    "session": SessionParams,
    "events": EventsParams,
    "verify": Nothing,
    "boards": Nothing,
    "accept-line": LineParams,
    "doctor": Nothing,
    "compare": Nothing,
    "reload": ReloadParams,
    "line": LineParams,
    "probe": ProbeParams,
    "read": ReadParams,
    "write": WriteParams,
    "trace": TraceParams,
    "drain": DrainParams,
    "undrain": Nothing,
    "leave": Nothing,
    "shutdown": Nothing,
    "prove": ProveParams,
    "prove-answer": ProofAnswerParams,
    "prove-report": Nothing,
}

COMMANDS = frozenset(one.kind.on_site for one in KNOWN.values() if one.kind.on_site is not None)
"""Methods by which somebody on site gives a command of the contract."""
LEAVING = frozenset({"drain", "undrain", "leave", "shutdown"})
"""Methods by which the daemon itself is stopped, or is not."""
ACTING = COMMANDS | LEAVING | {"accept-line", "lock", "prove", "reload", "unlock", "write"}
"""Methods that change something: who used them is written to the log."""


class BadParams(Exception):  # noqa: N818 - named for what was handed in
    """Parameters that a method does not take. `code` is one of the contract's."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


def checked(method: str, params: Mapping[str, Json]) -> dict[str, Json]:
    """Return the parameters without those left out. Raises `BadParams`.

    Those of a method that is not listed are returned as they are: its handler knows it, or refuses it.
    """
    model = METHODS.get(method)
    if model is None:
        return dict(params)
    try:
        return model.model_validate(params).model_dump(exclude_none=True)
    except ValidationError as error:
        raise _refusal(method, model, error) from error


def _refusal(method: str, model: type[Params], error: ValidationError) -> BadParams:
    takes = ", ".join(model.model_fields) or "nothing"
    hint = f"{method} takes {takes}"
    unknown = unknown_fields(error)
    if unknown:
        return BadParams("unsupported", f"{method} does not know {unknown[0]!r}", hint)
    return BadParams("malformed", complaint(error), hint)
