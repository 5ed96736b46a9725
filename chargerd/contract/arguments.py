"""What a backend sends: the arguments of each command, and its acknowledgement of the ledger."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from chargerd.contract.payloads import Message

LONGEST_QUEUE_S = 36_000
"""As long as the configuration allows."""
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


class Arguments(Message):
    """Arguments of a command: what is not listed is refused, since an unknown limit must not be ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


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

    port: ShortText
    session_id: ShortText | None = None
    order_id: Opaque | None = None
    limits: LimitsArgs | None = None
    tariff_tiers_w: Tiers | None = None
    queue_s: Annotated[float, Field(ge=0, le=LONGEST_QUEUE_S, allow_inf_nan=False)] | None = None
    full_stop: bool = True


class StopArgs(Arguments):
    """`cmd/stop`: without a session id only with `force`, so that nobody stops the next customer."""

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


class DisableArgs(HolderArgs):
    """`cmd/disable`: a port, or each port below a circuit, takes no start any more; sessions under way go on."""

    reason: Reason


class EnableArgs(HolderArgs):
    """`cmd/enable`: takes back what was disabled from afar."""

    reason: Reason


class ReplayArgs(Arguments):
    """`cmd/replay`: send kept rows of a stream again, from this number on, up to `to` or to the last."""

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
