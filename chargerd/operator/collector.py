"""What each message asks for: rows to store and to acknowledge, holes to have sent again."""

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from chargerd.operator.clock import Clock, steady
from chargerd.operator.messages import Body, Message, part, text, text_or_none, whole
from chargerd.operator.store import Store

ASK_AGAIN_S, ASK_AT_LAST_S = 10.0, 3600.0
UNSOUND = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError),
    *(sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError),
)
"""What comes of messages that are not as their schemas have it. A disk that is full is none of these."""
Key = tuple[str, str]
"""Gateway and stream."""
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Wanted:
    """What is to be said once a batch is on the disk."""

    acks: dict[Key, int] = field(default_factory=dict)
    replays: list[tuple[str, str, int, int]] = field(default_factory=list)
    """Gateway, stream, first and last number."""


class Collector:
    """Stores what comes. One thread."""

    def __init__(self, store: Store, *, clock: Clock = steady) -> None:
        self._store = store
        self._clock = clock
        self._asked: dict[Key, tuple[int, float, float]] = {}
        self._stood: dict[Key, int] = {}
        self._sockets: dict[tuple[str, str], str] = {}

    def take(self, batch: Sequence[Message]) -> Wanted:
        """Store a batch in one transaction. What it returns may be said only after that: a PUBACK is no commit.

        Raises `sqlite3.OperationalError` if the disk does not take it: nothing is acknowledged then, and the
        gateways send it again.
        """
        wanted = Wanted()
        lasting = [message for message in batch if not self._passing(message)]
        if lasting:
            with self._store.transaction():
                for message in lasting:
                    self._one(message, wanted)
        return wanted

    def _passing(self, message: Message) -> bool:
        """Whether there is nothing in a message that lasts: readings, and states of sockets that are known."""
        if message.level == "up/reading":
            return True
        known = message.level == f"state/port/{message.body.get('port')}"
        key = (message.gateway, str(message.body.get("port")))
        return known and self._sockets.get(key) == message.body.get("label")

    def _one(self, message: Message, wanted: Wanted) -> None:
        try:
            with self._store.part():
                self._dispatch(message, wanted)
        except UNSOUND as error:  # One gateway's nonsense is no reason to stop storing what the others say.
            _complain(message, error)

    def _dispatch(self, message: Message, wanted: Wanted) -> None:
        gateway, body = message.gateway, message.body
        if message.level in {"up/session", "up/event"}:
            through = self._store.ledger.add(gateway, body)
            self._store.sessions.row(gateway, body)
            self._acknowledge(gateway, text(body, "stream"), through, whole(body, "seq"), wanted)
        elif message.level == "up/reply":
            self._store.sessions.reply(body)
        elif message.level == "state/info":
            self._info(gateway, body, wanted)
        elif message.level == "state/gateway":
            self._presence(gateway, body, wanted)
        elif message.level.startswith("state/port/"):
            port, label = text(body, "port"), text_or_none(body, "label")
            self._store.sessions.socket(gateway, port, label or port)
            self._sockets[gateway, port] = label or port

    def _acknowledge(self, gateway: str, stream: str, through: int, seq: int, wanted: Wanted) -> None:
        wanted.acks[gateway, stream] = max(through, wanted.acks.get((gateway, stream), 0))
        if seq > through:
            self._ask_for(gateway, stream, through + 1, seq - 1, wanted)

    def _info(self, gateway: str, body: Body, wanted: Wanted) -> None:
        stood = part(body, "ledger")
        stream = text(stood, "stream")
        wanted.acks[gateway, stream] = self._store.ledger.begin(gateway, stream, whole(stood, "first"))
        anchor = part(body, "clock_anchor")
        if anchor.get("offset_ms") is not None:
            self._store.sessions.clock_known(gateway, stream, whole(anchor, "boot"), whole(anchor, "offset_ms"))

    def _presence(self, gateway: str, body: Body, wanted: Wanted) -> None:
        """Ask for what a gateway has and we have not: an `ack` makes it send what nobody has acknowledged at once.

        The retained presence comes with each subscription, so this is also what we say after a connect. What is
        still away at the next presence, within 60 s, was acknowledged: a database that was put back has lost it,
        and no `ack` brings it again.
        """
        if text(body, "status") != "online":
            return
        stood = part(body, "ledger")
        stream, last = text(stood, "stream"), whole(stood, "last")
        key = (gateway, stream)
        through = self._store.ledger.begin(gateway, stream, whole(stood, "first"))
        before = self._stood.pop(key, None)
        if through < last:
            self._stood[key] = through
            wanted.acks[key] = through
            if through == before:
                self._ask_for(gateway, stream, through + 1, last, wanted)

    def _ask_for(self, gateway: str, stream: str, first: int, last: int, wanted: Wanted) -> None:
        """Have rows sent again that we have not, acknowledged or not.

        While the first of them stays away, as one that we cannot take does, less and less often: each time the
        gateway sends all of them.
        """
        now = self._clock()
        missed, asked_at, wait = self._asked.get((gateway, stream), (0, 0.0, 0.0))
        if missed != first:
            wait = 0.0
        elif now < asked_at + wait:
            return
        self._asked[gateway, stream] = first, now, min(max(2 * wait, ASK_AGAIN_S), ASK_AT_LAST_S)
        wanted.replays.append((gateway, stream, first, last))


def _complain(message: Message, error: Exception) -> None:
    log.warning("%r %r is not as the contract has it: %r", message.gateway, message.level, error)
