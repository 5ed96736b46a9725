"""Every message of the contract: where it goes, how, and what is in it. The documents are made from this table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from chargerd.contract.arguments import KNOWN, AckBody, Arguments, Rule, named, rules
from chargerd.contract.commands import ID, SHORTEST_TTL, ExpiresAt
from chargerd.contract.payloads import (
    HEALTH_EXPIRY,
    PRESENCE_EXPIRY,
    READING_EXPIRY,
    REPLY_EXPIRY,
    STATE_EXPIRY,
    BoardStateBody,
    CircuitStateBody,
    Envelope,
    EventBody,
    HealthBody,
    InfoBody,
    LedgerEnvelope,
    Message,
    PortStateBody,
    PresenceBody,
    ReadingMessageBody,
    ReplyBody,
    SessionBody,
    SettlementBody,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of message.

    `topic` is below `{prefix}/{gateway}`; `up` is from the gateway to the backend; `expiry_s` is the longest
    Message Expiry, `None` for one that does not expire.
    """

    name: str
    topic: str
    model: type[BaseModel]
    summary: str
    up: bool = True
    qos: int = 1
    retained: bool = False
    expiry_s: int | None = None


def _up(name: str, body: type[Message], envelope: type[Envelope] = Envelope) -> type[BaseModel]:
    """Return a body with its envelope, as it is published."""
    return create_model(name, __base__=(body, envelope), __doc__=body.__doc__)


def _command(args: type[Arguments]) -> type[BaseModel]:
    """Return a command as it is published; `args` are checked in the same strict way."""
    ttl = Annotated[float, Field(ge=SHORTEST_TTL, le=args.kind.longest)]
    fields: dict[str, Any] = {
        "id": (Annotated[str, Field(pattern=ID)], ...),
        "expires_at": (ExpiresAt | None, None),
        "ttl_s": (ttl | None, None),
        "args": (args, ...),
    }
    one_expiry: Rule = {"oneOf": [named("expires_at", "string"), named("ttl_s", "number")]}
    config = ConfigDict(extra="forbid", json_schema_extra=rules(one_expiry))
    title = args.kind.name.title().replace("_", "")
    return create_model(f"{title}Command", __config__=config, __doc__=args.__doc__, **fields)


STATES = (
    Kind(
        name="presence",
        topic="state/gateway",
        model=_up("Presence", PresenceBody),
        summary="Whether the gateway is there; the last will is this topic with `cause: lost`.",
        retained=True,
        expiry_s=int(PRESENCE_EXPIRY),
    ),
    Kind(
        name="info",
        topic="state/info",
        model=_up("Info", InfoBody),
        summary="What the gateway is and has; published at each connect.",
        retained=True,
    ),
    Kind(
        name="port",
        topic="state/port/{port}",
        model=_up("PortStateMessage", PortStateBody),
        summary="A port's state, its newest reading, and why a start would be refused now.",
        retained=True,
        expiry_s=int(STATE_EXPIRY),
    ),
    Kind(
        name="board",
        topic="state/board/{board}",
        model=_up("BoardState", BoardStateBody),
        summary="A board: whether it answers, and what opens its relays if nobody renews them.",
        retained=True,
        expiry_s=int(STATE_EXPIRY),
    ),
    Kind(
        name="circuit",
        topic="state/circuit/{circuit}",
        model=_up("CircuitState", CircuitStateBody),
        summary="A circuit: load, what is allocated, who waits.",
        retained=True,
        expiry_s=int(STATE_EXPIRY),
    ),
)
UP = (
    Kind(
        name="session",
        topic="up/session",
        model=_up("SessionEvent", SessionBody, LedgerEnvelope),
        summary="Ledger: a session's course, from `started` to before its settlement.",
    ),
    Kind(
        name="ended",
        topic="up/session",
        model=_up("Settlement", SettlementBody, LedgerEnvelope),
        summary="Ledger: the settlement. Every accepted start yields exactly one.",
    ),
    Kind(
        name="event",
        topic="up/event",
        model=_up("EventMessage", EventBody, LedgerEnvelope),
        summary="Ledger: a fact about a port, a circuit, a board or the gateway.",
    ),
    Kind(
        name="reading",
        topic="up/reading",
        model=_up("ReadingMessage", ReadingMessageBody),
        summary="Values of a closed port. No part of the ledger: some may be lost.",
        expiry_s=READING_EXPIRY,
    ),
    Kind(
        name="reply",
        topic="up/reply",
        model=_up("ReplyMessage", ReplyBody),
        summary="How a command stands; the command's Correlation Data is echoed.",
        expiry_s=REPLY_EXPIRY,
    ),
    Kind(
        name="health",
        topic="up/health",
        model=_up("Health", HealthBody),
        summary="How gateway and buses are doing.",
        qos=0,
        expiry_s=HEALTH_EXPIRY,
    ),
)
COMMANDS = tuple(
    Kind(
        name=name,
        topic=f"cmd/{name}",
        model=_command(args),
        summary=(args.__doc__ or "").splitlines()[0],
        up=False,
        expiry_s=int(args.kind.longest),
    )
    for name, args in KNOWN.items()
)
ACK = Kind(
    name="ack",
    topic="ack",
    model=AckBody,
    summary="The backend has stored the ledger up to here.",
    up=False,
    retained=True,
)
KINDS: tuple[Kind, ...] = (*STATES, *UP, *COMMANDS, ACK)
BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}


def kind_of(topic: str, payload: Mapping[str, object]) -> Kind:
    """Return the kind of a message by its topic below the root. Raises `KeyError` if there is none."""
    if topic == "up/session":
        return BY_NAME["ended" if payload.get("event") == "ended" else "session"]
    levels = topic.split("/")
    for kind in KINDS:
        pattern = kind.topic.split("/")
        if len(pattern) == len(levels) and all(
            ours in (theirs, "") or ours.startswith("{") for ours, theirs in zip(pattern, levels, strict=True)
        ):
            return kind
    raise KeyError(topic)
