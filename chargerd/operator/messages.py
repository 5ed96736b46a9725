"""What gateways say and what they are told, as `docs/mqtt.md` has it."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

Body: TypeAlias = Mapping[str, Any]
"""A decoded message; `Any`, since JSON is."""
LARGEST = 2**53
"""Whole numbers of the contract are below it."""
LONGEST = 256 * 1024
"""Bytes of a message. The contract's longest, `state/info` of a large site, is a tenth of it."""
EARLIEST, LATEST = 946_684_800.0, 4_102_444_800.0
"""Moments are of this century: what is not comes of no clock, and no calendar of ours has it."""
START_TTL_S, STOP_TTL_S, OTHER_TTL_S = 20, 300, 30
"""How long a command is good for: a rider waits for a start, and a stop is wanted late, too."""


class UnsoundError(ValueError):
    """This is not as the contract has it."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a gateway says. `level`: the topic below its root. `expires_s`: what the broker gave it."""

    gateway: str
    level: str
    body: Body
    expires_s: float | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """What a gateway is told. `until`: by the wall clock, when nobody waits for its reply any more."""

    id: str
    gateway: str
    name: str
    ttl_s: int
    args: Body
    until: float

    @classmethod
    def new(cls, gateway: str, name: str, args: Body, *, now: float) -> "Command":
        """Make one under an id that is never used again."""
        ttl = {"start": START_TTL_S, "stop": STOP_TTL_S}.get(name, OTHER_TTL_S)
        return cls(secrets.token_hex(16), gateway, name, ttl, args, now + ttl)

    @property
    def payload(self) -> str:
        """Return what is sent: the same each time, or the gateway would call it a conflict."""
        return json.dumps({"id": self.id, "ttl_s": self.ttl_s, "args": dict(self.args)}, sort_keys=True)


def understood(root: str, topic: str, payload: bytes, expires_s: float | None = None) -> Message:
    """Return who says what. Raises `UnsoundError`.

    The broker has checked who may publish on which topic, and nobody has checked the message. So what names
    another gateway than its topic does is no message of either: with it one gateway could have another's rows
    acknowledged, which then are lost.
    """
    gateway, _slash, level = topic.removeprefix(f"{root}/").partition("/")
    if len(payload) > LONGEST:
        raise UnsoundError(f"is {len(payload)} bytes long")
    try:
        body = json.loads(payload)
        if b"\\u" in payload:  # Half a character can be written so, and neither stored nor shown.
            json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UnsoundError(f"no JSON: {error!r}") from error
    if not isinstance(body, dict) or body.get("gateway") != gateway:
        raise UnsoundError("does not name the gateway of its topic")
    return Message(gateway, level, body, expires_s)


def text(body: Body, name: str) -> str:
    """Return a field that is a text. Raises `UnsoundError`."""
    value = body.get(name)
    if not isinstance(value, str):
        raise UnsoundError(f"{name} is no text")
    return value


def text_or_none(body: Body, name: str) -> str | None:
    """Return a field that may be `null` or absent. Raises `UnsoundError`."""
    return None if body.get(name) is None else text(body, name)


def whole(body: Body, name: str, *, least: int = 0) -> int:
    """Return a field that is a whole number. Raises `UnsoundError`."""
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < LARGEST:
        raise UnsoundError(f"{name} is no whole number from {least} on")
    return value


def whole_or_none(body: Body, name: str, *, least: int = 0) -> int | None:
    """Return a field that may be `null` or absent. Raises `UnsoundError`."""
    return None if body.get(name) is None else whole(body, name, least=least)


def figure(body: Body, name: str) -> float | None:
    """Return a field that is a number or `null`. Raises `UnsoundError`."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < LARGEST:
        raise UnsoundError(f"{name} is no number")
    return float(value)


def part(body: Body, name: str) -> Body:
    """Return a field that is an object. Raises `UnsoundError`."""
    value = body.get(name)
    if not isinstance(value, dict):
        raise UnsoundError(f"{name} is no object")
    return value


def moment(body: Body, name: str) -> float | None:
    """Return a moment as seconds since 1970, or `None` if the gateway had no clock. Raises `UnsoundError`."""
    value = text_or_none(body, name)
    if value is None:
        return None
    try:
        return of_this_century(datetime.fromisoformat(value).timestamp())
    except (ValueError, OverflowError) as error:
        raise UnsoundError(f"{name} is no moment") from error


def of_this_century(at: float) -> float | None:
    """Return a moment, or `None` for one that no clock can have told."""
    return at if EARLIEST <= at < LATEST else None
