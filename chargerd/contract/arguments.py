"""What a backend sends: the arguments of each command, and its acknowledgement of the ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from chargerd.contract.payloads import Message
from chargerd.core.units import Seconds

LONGEST_QUEUE_S = 36_000
"""As long as the configuration allows."""
LONGEST_RESERVATION_S = 900
"""A socket that is kept for nobody is a socket lost to everybody."""
LARGEST_FIGURE = 1_000_000_000
"""Of a limit, in its unit. What is more can only be a mistake."""
LARGEST_WHOLE = 2**53 - 1
"""What every language reads from JSON without loss (RFC 8785 refuses more)."""
PRINTABLE = r"^[\x20-\x7e]+$"
Rule = dict[str, JsonValue]
"""A part of a JSON Schema that says what fields have to do with each other."""


def named(field: str, kind: str) -> Rule:
    """Return the rule that a field is there and not `null`."""
    return {"required": [field], "properties": {field: {"type": kind}}}


def rules(*parts: Rule) -> Rule:
    """Return rules in the form that generators of code leave alone: on top they would make unions of them."""
    return {"allOf": list(parts)}


class Direction(StrEnum):
    """Which way a command moves things. By that alone it is decided when it acts, and without what."""

    SAFE = auto()
    """Ends, lowers, takes out of service: acts at once, without a clock, and whether or not there is room."""
    EITHER = auto()
    """Only the station knows: it does at once what is safe, and the rest as if it were `UNSAFE`."""
    UNSAFE = auto()
    """Makes a closing possible, or is meant for now only: acts when its id is durable, and in time."""
    READING = auto()
    """Moves no relay, and does no harm if it acts again: when its id is durable, without a clock."""


SHORT, LONG = Seconds(60.0), Seconds(600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandKind:
    """What is to be known of a command besides its arguments.

    `longest`: the longest it may be on its way. `on_site`: the method of the control socket, and the command of
    `chargerctl`, by which the same is asked for on site; `None`: only a backend can. `ocpp`: what OCPP 2.0.1 calls
    the same request; `None`: it has none.
    """

    name: str
    direction: Direction
    longest: Seconds = LONG
    on_site: str | None
    ocpp: str | None


_COMMANDS: "dict[str, type[Arguments]]" = {}


class Arguments(Message):
    """Arguments of a command: what is not listed is refused, since an unknown limit must not be ignored.

    A class with a `kind` is a command, and stands in `KNOWN` by that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    kind: ClassVar[CommandKind]

    def __init_subclass__(cls, **more: Any) -> None:
        """Enter a command into `KNOWN`."""
        super().__init_subclass__(**more)
        if "kind" in vars(cls):
            _COMMANDS[cls.kind.name] = cls


KNOWN: Mapping[str, type[Arguments]] = MappingProxyType(_COMMANDS)
"""Every command of the contract by its name, in the order in which they stand below."""


def moving(*directions: Direction) -> frozenset[str]:
    """Return the names of the commands that move things in one of these directions."""
    return frozenset(name for name, model in KNOWN.items() if model.kind.direction in directions)


def _in_order(bounds: Sequence[float]) -> list[float]:
    """A schema cannot ask for an order, and none is needed: each tier of a settlement names its bound."""
    if len(set(bounds)) != len(bounds):
        raise ValueError("names a bound twice")
    return sorted(bounds)


def _whole(value: object) -> object:
    """To JSON 5.0 is the same number as 5, and some languages write it so."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Positive = Annotated[float, Field(gt=0, le=LARGEST_FIGURE, allow_inf_nan=False)]
Whole = BeforeValidator(_whole)
Tiers = Annotated[
    list[Positive],
    Field(max_length=20, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_in_order),
]
ShortText = Annotated[str, Field(min_length=1, max_length=128, pattern=PRINTABLE)]
Reason = Annotated[str, Field(min_length=1, max_length=256)]
Opaque = Annotated[str, Field(max_length=256)]


class LimitsArgs(Arguments):
    """Limits of an order; what is left out is the port's own."""

    power_w: Positive | None = None
    current_a: Positive | None = None
    duration_s: Positive | None = None
    energy_wh: Positive | None = None


class StartArgs(Arguments):
    """`cmd/start`; with `full_stop: false` the port stays on when the charge is full, until another limit."""

    kind = CommandKind(
        name="start",
        direction=Direction.UNSAFE,
        longest=SHORT,
        on_site="start",
        ocpp="RequestStartTransaction",
    )

    port: ShortText
    session_id: ShortText | None = None
    order_id: Opaque | None = None
    limits: LimitsArgs | None = None
    tariff_tiers_w: Tiers | None = None
    queue_s: Annotated[float, Field(ge=0, le=LONGEST_QUEUE_S, allow_inf_nan=False)] | None = None
    full_stop: bool = True


class StopArgs(Arguments):
    """`cmd/stop`: without a session id only with `force`, so that nobody stops the next customer."""

    kind = CommandKind(name="stop", direction=Direction.SAFE, on_site="stop", ocpp="RequestStopTransaction")

    model_config = ConfigDict(
        json_schema_extra=rules(
            {
                "anyOf": [
                    named("session_id", "string"),
                    {"required": ["force"], "properties": {"force": {"const": True}}},
                ]
            }
        )
    )

    port: ShortText
    session_id: ShortText | None = None
    force: bool = False


class OtherLimitsArgs(LimitsArgs):
    """Other limits for a session, one at least; what is left out stays as it is."""

    model_config = ConfigDict(
        json_schema_extra=rules({"anyOf": [named(limit, "number") for limit in LimitsArgs.model_fields]})
    )

    @model_validator(mode="after")
    def _any(self) -> Self:
        if all(getattr(self, limit) is None for limit in LimitsArgs.model_fields):
            raise ValueError("name at least one limit")
        return self


class UpdateLimitsArgs(Arguments):
    """`cmd/update_limits`: other totals for a session under way; what is left out stays as it is."""

    kind = CommandKind(
        name="update_limits",
        direction=Direction.EITHER,
        longest=SHORT,
        on_site="limits",
        ocpp="SetChargingProfile",
    )

    port: ShortText
    session_id: ShortText
    limits: OtherLimitsArgs


class HolderArgs(Arguments):
    """What is about a port, or about a circuit."""

    model_config = ConfigDict(
        json_schema_extra=rules({"oneOf": [named("port", "string"), named("circuit", "string")]})
    )

    port: ShortText | None = None
    circuit: ShortText | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.port is None) == (self.circuit is None):
            raise ValueError("give exactly one of port and circuit")
        return self


class ResetArgs(HolderArgs):
    """`cmd/reset`: clears latches that may be cleared from afar, of a port or of a circuit."""

    kind = CommandKind(name="reset", direction=Direction.UNSAFE, on_site="reset", ocpp=None)


class DisableArgs(HolderArgs):
    """`cmd/disable`: a port, or each port below a circuit, takes no start any more; sessions under way go on."""

    kind = CommandKind(
        name="disable", direction=Direction.SAFE, on_site="disable", ocpp="ChangeAvailability(Inoperative)"
    )

    reason: Reason


class EnableArgs(HolderArgs):
    """`cmd/enable`: takes back what was disabled from afar."""

    kind = CommandKind(
        name="enable", direction=Direction.UNSAFE, on_site="enable", ocpp="ChangeAvailability(Operative)"
    )

    reason: Reason


class ReserveArgs(Arguments):
    """`cmd/reserve`: keeps a port for one session for `ttl_s`: no other starts there. 0 gives it back."""

    kind = CommandKind(
        name="reserve",
        direction=Direction.UNSAFE,
        longest=SHORT,
        on_site=None,
        ocpp="ReserveNow, CancelReservation",
    )

    port: ShortText
    session_id: ShortText
    ttl_s: Annotated[float, Field(ge=0, le=LONGEST_RESERVATION_S, allow_inf_nan=False)]


class ReplayArgs(Arguments):
    """`cmd/replay`: send kept rows of a stream again, from this number on, up to `to` or to the last."""

    kind = CommandKind(name="replay", direction=Direction.READING, on_site=None, ocpp=None)

    stream: ShortText
    since: Annotated[int, Field(ge=1, le=LARGEST_WHOLE, alias="from"), Whole]
    to: Annotated[int, Field(ge=1, le=LARGEST_WHOLE), Whole] | None = None

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.to is not None and self.to < self.since:
            raise ValueError("to must not be below from")
        return self


class GetArgs(Arguments):
    """`cmd/get`: publish all states again."""

    kind = CommandKind(
        name="get", direction=Direction.READING, on_site=None, ocpp="TriggerMessage(StatusNotification)"
    )


class AckBody(BaseModel):
    """`ack`: the backend has stored the ledger up to here. Unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    stream: str
    through: Annotated[int, Field(ge=0, le=LARGEST_WHOLE), Whole]


class KeptLedger(BaseModel):
    """How far a ledger had come."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    stream: str
    last: Annotated[int, Field(ge=0)]


class KeptState(BaseModel):
    """What the gateway itself has said once, and the broker has kept: of interest is where the ledger was."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    ledger: KeptLedger | None = None
