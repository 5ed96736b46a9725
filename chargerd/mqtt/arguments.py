"""What a backend sends: the arguments of each command, and its acknowledgement of the ledger."""

from itertools import pairwise
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from chargerd.mqtt.contract import Message

LONGEST_QUEUE_S = 36_000
"""As long as the configuration allows."""


class Arguments(Message):
    """Arguments of a command: what is not listed is refused, since an unknown limit must not be ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _ascending(bounds: list[float]) -> list[float]:
    if any(later <= earlier for earlier, later in pairwise(bounds)):
        raise ValueError("must be ascending")
    return bounds


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ShortText = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[\x20-\x7e]+$")]
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
    tariff_tiers_w: Annotated[list[Positive], Field(max_length=20), AfterValidator(_ascending)] | None = None
    queue_s: Annotated[float, Field(ge=0, le=LONGEST_QUEUE_S, allow_inf_nan=False)] | None = None
    full_stop: bool = True


class StopArgs(Arguments):
    """`cmd/stop`: without a session id only with `force`, so that nobody stops the next customer."""

    port: ShortText
    session_id: ShortText | None = None
    force: bool = False


class UpdateLimitsArgs(Arguments):
    """`cmd/update_limits`: other totals for a session under way; what is left out stays as it is."""

    port: ShortText
    session_id: ShortText
    limits: LimitsArgs

    @model_validator(mode="after")
    def _any(self) -> Self:
        if not self.limits.model_fields_set:
            raise ValueError("name at least one limit")
        return self


class HolderArgs(Arguments):
    """What is about a port, or about a circuit."""

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
    since: Annotated[int, Field(ge=1, alias="from")]
    to: Annotated[int, Field(ge=1)] | None = None

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
    through: Annotated[int, Field(ge=0)]
