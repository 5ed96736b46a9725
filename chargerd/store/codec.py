"""Records of the core as text, and back without loss.

A stored text is `{"v": version, "data": record}`. Within a version fields are only added, with defaults: an older
text lacks them, and a text from a newer program has some that are ignored, so that a gateway can be taken back to
the version before. What older programs must not misread gets a new version, and they refuse it.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from pydantic import TypeAdapter, ValidationError

from chargerd.contract.ledger import Body, RememberedCommand, Reply
from chargerd.core.identity import Identity
from chargerd.core.moment import Moment
from chargerd.core.plan import NamedLimits
from chargerd.core.session import Disabled, Latch, SessionRecord, ThermalState
from chargerd.core.units import CommandId, PortId, SessionId

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Record: TypeAlias = DataclassInstance

VERSION = 1
LARGEST_EXACT = 2**53 - 1
"""RFC 8785 section 3.2.2.3: JSON numbers are IEEE 754 doubles; integers beyond this one lose digits."""

T = TypeVar("T", bound="Record")


class CodecError(ValueError):
    """A stored text does not hold the record it should hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Generic[T]):
    """The envelope of a stored record."""

    v: int
    data: T


class Codec(Generic[T]):
    """Writes one type of record as text and reads it back."""

    def __init__(self, adapter: "TypeAdapter[Stored[T]]") -> None:
        self._adapter = adapter

    def dump(self, record: T) -> str:
        """Return the record as text. NaN and infinities survive; half a surrogate pair becomes `?`."""
        return _text({"v": VERSION, "data": dataclasses.asdict(record)})

    def load(self, text: str) -> T:
        """Return the record. Raises `CodecError` if the text is damaged or of a newer version."""
        try:
            stored = self._adapter.validate_python(json.loads(text))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise CodecError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        except (TypeError, ValueError) as error:
            raise CodecError(str(error)) from error
        if stored.v != VERSION:
            raise CodecError(f"version {stored.v}, this program knows {VERSION}")
        return stored.data


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """A remembered command without its reply, which is stored beside it and replaced while this stands."""

    command: CommandId
    name: str
    digest: str
    moment: Moment
    port: PortId | None = None
    session: SessionId | None = None
    order: str | None = None
    limits: NamedLimits | None = None
    correlation: str | None = None


SESSION = Codec(TypeAdapter(Stored[SessionRecord]))
LATCH = Codec(TypeAdapter(Stored[Latch]))
WARMTH = Codec(TypeAdapter(Stored[ThermalState]))
DISABLED = Codec(TypeAdapter(Stored[Disabled]))
IDENTITY = Codec(TypeAdapter(Stored[Identity]))
COMMAND = Codec(TypeAdapter(Stored[CommandRecord]))


def dump_command(command: RememberedCommand) -> str:
    """Return a command as text, without its reply."""
    fields = {field.name: getattr(command, field.name) for field in dataclasses.fields(CommandRecord)}
    return COMMAND.dump(CommandRecord(**fields))


def load_command(text: str, reply: str | None, final: bool) -> RememberedCommand:
    """Return a command with its newest reply, given as the text of its body. Raises `CodecError`."""
    record = COMMAND.load(text)
    said = None if reply is None else Reply(command=record.command, body=load_body(reply))
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return RememberedCommand(**fields, reply=said, final=final)


def key(name: str) -> str:
    """Return a name as SQLite can hold it: half a surrogate pair, which has no UTF-8, is spelt out."""
    return name.encode("utf-8", "backslashreplace").decode()


def dump_body(body: Body) -> str:
    """Return a body as JSON. What is not a number (NaN, infinities) is not known and becomes `null`."""
    return json.dumps(json.loads(_text(dict(body)), parse_constant=lambda _: None), ensure_ascii=False)


def load_body(text: str | bytes) -> Body:
    """Return a stored body. Raises `CodecError`."""
    try:
        body = json.loads(text)
    except (TypeError, ValueError) as error:
        raise CodecError(str(error)) from error
    if not isinstance(body, dict):
        raise CodecError("a body must be an object")
    return body


def load_for_digest(text: str) -> Body:
    """Return a stored body with integers no double can hold as decimal strings: what RFC 8785 can canonicalise."""
    body: Body = json.loads(text, parse_int=_exact)
    return body


def _exact(digits: str) -> int | str:
    number = int(digits)
    return number if abs(number) <= LARGEST_EXACT else digits


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace").decode()
