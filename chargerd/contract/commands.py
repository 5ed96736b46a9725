"""Reads commands: well-formed, in time, never retained, and nothing in them unknown. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from chargerd.contract.arguments import KNOWN, PRINTABLE, Arguments, Direction, moving
from chargerd.contract.payloads import LARGEST
from chargerd.contract.requests import LONGEST, complaint, unknown_fields
from chargerd.core.commands import Answer, Code, ReplyStatus
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import CommandId, Instant, PortId, Seconds, after

ID = r"^[\x21-\x7e]([\x20-\x7e]{0,62}[\x21-\x7e])?$"
"""1 to 64 printable characters, not framed by blanks."""
TIME = (
    r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?"
    r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$"
)
"""RFC 3339. Days a month does not have are left to whoever reads it."""
SHORTEST_TTL = Seconds(1.0)
"""Less than a Message Expiry can say."""
PATTERNS: Mapping[str, str] = {
    ID: "1 to 64 printable ASCII characters, not framed by blanks",
    PRINTABLE: "of printable ASCII characters",
    TIME: "an RFC 3339 time with its zone, such as 2026-09-21T14:13:50Z",
}
ExpiresAt = Annotated[str, Field(pattern=TIME, json_schema_extra={"format": "date-time"})]
UNTIMED = moving(Direction.SAFE, Direction.EITHER, Direction.READING)
"""Commands that run without a clock: fully, or as far as they are safe."""
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A command that may act until `expires` (on the boot clock; `None`: no clock to tell, so only safely)."""

    id: CommandId
    name: str
    digest: str
    args: Arguments
    expires: Instant | None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A message that is no command, or none that may act."""

    id: CommandId | None
    name: str
    code: Code
    message: str
    status: ReplyStatus = ReplyStatus.REJECTED
    port: str | None = None
    correlation: bytes | None = None
    digest: str | None = None
    """Of a body there is nothing wrong with: the same command may have been taken in before."""

    def answer(self) -> Answer:
        """Return the answer that says so."""
        return Answer(
            command=self.id or CommandId(""),
            name=self.name,
            status=self.status,
            code=self.code,
            message=self.message,
            port=None if self.port is None else PortId(self.port),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A message as the broker delivered it. `message_expiry` is what the broker says is left of it, in seconds."""

    name: str
    payload: bytes
    retained: bool
    message_expiry: int | None
    received: Moment
    correlation: bytes | None = None


class _Command(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, Field(pattern=ID)]
    expires_at: ExpiresAt | None = None
    ttl_s: Annotated[float, Field(ge=SHORTEST_TTL, allow_inf_nan=False)] | None = None
    args: dict[str, object]

    @model_validator(mode="after")
    def _one_expiry(self) -> "_Command":
        if (self.expires_at is None) == (self.ttl_s is None):
            raise ValueError("give exactly one of expires_at and ttl_s")
        return self


class _RefusedError(Exception):
    def __init__(self, code: Code, message: str, status: ReplyStatus = ReplyStatus.REJECTED) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def parse(arrived: Arrived) -> Incoming | Refusal:
    """Read a message from `cmd/{name}`. Never raises."""
    known: dict[str, object] = {}
    try:
        return _parse(arrived, known)
    except _RefusedError as refused:
        found = known.get("id")
        port = known.get("port")
        return Refusal(
            id=CommandId(found) if isinstance(found, str) and re.fullmatch(ID, found) else None,
            name=arrived.name,
            code=refused.code,
            message=str(refused),
            status=refused.status,
            port=port if isinstance(port, str) else None,
            correlation=arrived.correlation,
            digest=digest if isinstance(digest := known.get("digest"), str) else None,
        )


def _parse(arrived: Arrived, known: dict[str, object]) -> Incoming:
    data = _load(arrived.payload)
    known["id"] = data.get("id")
    args_data = data.get("args")
    known["port"] = args_data.get("port") if isinstance(args_data, dict) else None
    if arrived.retained:
        raise _RefusedError(Code.RETAINED, "commands must not be retained")
    kind = KNOWN.get(arrived.name)
    if kind is None:
        raise _RefusedError(Code.UNSUPPORTED, f"this gateway knows {', '.join(sorted(KNOWN))}")
    command = _read(_Command, data, "")
    args = _read(kind, command.args, "args")
    known["digest"] = digest = hashlib.sha256(rfc8785.dumps({"name": arrived.name, "body": data})).hexdigest()
    expires = _expiry(command, arrived)
    return Incoming(
        id=CommandId(command.id),
        name=arrived.name,
        digest=digest,
        args=args,
        expires=expires,
        correlation=arrived.correlation,
    )


def _load(payload: bytes) -> dict[str, Any]:
    if len(payload) > LARGEST:
        raise _RefusedError(Code.MALFORMED, f"larger than {LARGEST} bytes")
    if not payload:
        raise _RefusedError(Code.MALFORMED, "empty, which is no command and clears a retained one")
    try:
        data = json.loads(payload.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_once_each)
        rfc8785.dumps(data)
    except (ValueError, RecursionError, rfc8785.CanonicalizationError) as error:
        raise _RefusedError(Code.MALFORMED, f"not JSON: {error}"[:LONGEST]) from error
    if not isinstance(data, dict):
        raise _RefusedError(Code.MALFORMED, "not a JSON object")
    return data


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse a name given twice: of two limits, one would be ignored."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice in one object")
    return found


def _read(model: type[ModelT], data: object, below: str) -> ModelT:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        unknown = unknown_fields(error, below)
        if unknown:
            raise _RefusedError(Code.UNSUPPORTED, f"unknown: {', '.join(unknown)}"[:LONGEST]) from error
        raise _RefusedError(Code.MALFORMED, complaint(error, below, PATTERNS)) from error


def _expiry(command: _Command, arrived: Arrived) -> Instant | None:
    """Return until when the command may act. Raises if it is late, or if that cannot be told."""
    longest = KNOWN[arrived.name].kind.longest
    if command.ttl_s is not None:
        if command.ttl_s > longest:
            raise _RefusedError(Code.MALFORMED, f"ttl_s may be {longest:g} at most")
        if arrived.message_expiry is None or arrived.message_expiry > command.ttl_s:
            raise _RefusedError(Code.MALFORMED, "ttl_s needs a Message Expiry of at most as many seconds")
        # What the broker says is left counts: the message may have waited there for the rest.
        return after(arrived.received.instant, Seconds(min(command.ttl_s, arrived.message_expiry)))
    assert command.expires_at is not None
    try:
        at = datetime.fromisoformat(command.expires_at)
    except ValueError as error:
        raise _RefusedError(Code.MALFORMED, f"expires_at must be {PATTERNS[TIME]}") from error
    return _absolute(at.timestamp(), longest, arrived)


def _absolute(at: float, longest: Seconds, arrived: Arrived) -> Instant | None:
    received = arrived.received
    if received.clock is ClockQuality.NONE or received.wall_ms is None:
        if arrived.name in UNTIMED:
            return None
        raise _RefusedError(Code.CLOCK_UNSYNCHRONISED, "this gateway's clock is not set; use ttl_s")
    left = at - received.wall_ms / 1000
    if not 0 < left <= longest and received.clock is not ClockQuality.NTP and arrived.name in UNTIMED:
        return None  # A clock nobody has synchronised may be wrong, and a stop always works.
    if left <= 0:
        raise _RefusedError(Code.EXPIRED, f"expired {-left:.1f} s ago", ReplyStatus.EXPIRED)
    if left > longest:
        raise _RefusedError(Code.MALFORMED, f"expires_at may lie {longest:g} s ahead at most")
    return after(received.instant, Seconds(left))
