"""An example of a backend behind RabbitMQ: reads the gateways' ledgers over AMQP, and gives commands.

Gateways speak MQTT; whoever stores what they say reads an ordinary quorum queue. Any number of these may run at
once on one database: RabbitMQ gives each message to one of them, as an MQTT broker does by a shared subscription.

    python consumer.py read --node rabbit1 --node rabbit2 --node rabbit3 --database backend.sqlite
    python consumer.py command sim-001 start '{"port": "A01"}' --ttl 30 --database backend.sqlite

The order of things is what matters, in any language: store, commit, tell the broker (`basic.ack`), tell the
gateway (`ack`). Whatever is lost in between comes again.
"""

import argparse
import json
import logging
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

PREFIX = "chargerd/v1"
QUEUE = "chargerd-backend"
EXCHANGE = "amq.topic"
READ = ("up/session", "up/event", "up/reply", "state/gateway", "state/info")
"""What is stored, or acknowledged: below a gateway's root. Other states and readings go to queues of their own."""
PREFETCH = 200
"""Messages that are under way to one worker, and committed together at most."""
COMMIT_EVERY_S = 0.2
AGAIN_S = 5.0
"""A command without a reply is sent again after so long, under its id: however often, it has one effect."""
HEARTBEAT_S = 10
TABLES = """
CREATE TABLE IF NOT EXISTS ledger (gateway TEXT, stream TEXT, seq INTEGER, upto INTEGER, topic TEXT, body TEXT,
    stored_at REAL, PRIMARY KEY (gateway, stream, seq));
CREATE TABLE IF NOT EXISTS through (gateway TEXT, stream TEXT, seq INTEGER, PRIMARY KEY (gateway, stream));
CREATE TABLE IF NOT EXISTS command (id TEXT PRIMARY KEY, gateway TEXT, name TEXT, payload TEXT, ttl_s INTEGER,
    asked_at REAL, sent_at REAL, status TEXT, code TEXT, answered_at REAL);
"""
UNSOUND = (
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError),
    *(sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError),
)
"""What comes of messages that are not as their schemas have it. A disk that is full is none of these."""
log = logging.getLogger("consumer")
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a gateway has said: whose topic it came on is what the broker has checked, not what its body names."""

    gateway: str
    topic: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command that waits for its reply, and for how many seconds it is good yet."""

    id: str
    gateway: str
    name: str
    payload: str
    left_s: float


class Store:
    """Ledger and commands of all gateways in one file, which several processes may have open."""

    def __init__(self, path: Path, clock: Clock = time.time) -> None:  # noqa: TID251 - a backend has a clock
        self._clock = clock
        self.db = sqlite3.connect(path, isolation_level=None, timeout=60)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.executescript(TABLES)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all or nothing; one process at a time."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def take(self, batch: Sequence[Message]) -> dict[tuple[str, str], int]:
        """Store a batch in one transaction; return what to acknowledge: by gateway and stream, up to which number.

        A stream of which nothing new is stored without a hole is not acknowledged: rows may be with a colleague.
        """
        with self.transaction():
            acks: dict[tuple[str, str], int] = {}
            for message in batch:
                try:
                    acks |= self._one(message)
                except UNSOUND as error:  # One gateway's nonsense is no reason to stop storing what others say.
                    log.warning("%s %s is not as the contract has it: %r", message.gateway, message.topic, error)
        return acks

    def _one(self, message: Message) -> dict[tuple[str, str], int]:
        body = message.body
        if message.topic in {"up/session", "up/event"}:
            key = (message.gateway, str(body["stream"]))
            before = self._through(*key)
            self._row(message, key[1], int(body["seq"]))
            through = self._advance(*key, before)
            return {key: through} if through > before else {}
        if message.topic == "up/reply":
            # What we have given up is not what the gateway says of it: a reply may come late, too.
            query = (
                "UPDATE command SET status = ?, code = ?, answered_at = iif(code = 'unanswered', ?3,"
                " coalesce(answered_at, ?3)) WHERE id = ? AND gateway = ? AND (code = 'unanswered' OR"
                " status NOT IN ('done', 'failed', 'rejected', 'expired'))"
            )
            self.db.execute(query, (body["status"], body["code"], self._clock(), body["id"], message.gateway))
            return {}
        # A presence, or the birth before it, says which rows there are. An `ack` by AMQP is not retained, so
        # it is said at each of them: whoever has just come back has heard none.
        stood = body.get("ledger")
        if stood is None:
            return {}
        key = (message.gateway, str(stood["stream"]))
        return {key: self._advance(*key, max(self._through(*key), int(stood["first"]) - 1))}

    def _row(self, message: Message, stream: str, seq: int) -> None:
        """Store a row once, however often it comes. A `gap` takes the place of all rows it stands for."""
        body, first, upto = message.body, seq, seq
        if body.get("event") == "gap":
            first, upto = int(body["from"]), max(seq, int(body["to"]))
            query = "DELETE FROM ledger WHERE gateway = ? AND stream = ? AND seq >= ? AND upto <= ?"
            self.db.execute(query, (message.gateway, stream, first, upto))
        self.db.execute(
            "INSERT OR IGNORE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?)",
            (message.gateway, stream, first, upto, message.topic, json.dumps(body), self._clock()),
        )

    def _through(self, gateway: str, stream: str) -> int:
        query = "SELECT seq FROM through WHERE gateway = ? AND stream = ?"
        found = self.db.execute(query, (gateway, stream)).fetchone()
        return int(found[0]) if found else 0

    def _advance(self, gateway: str, stream: str, through: int) -> int:
        """Return up to where a stream is stored without a hole."""
        query = "SELECT max(upto) FROM ledger WHERE gateway = ? AND stream = ? AND seq <= ? AND upto >= ?"
        while (
            found := self.db.execute(query, (gateway, stream, through + 1, through + 1)).fetchone()[0]
        ) is not None:
            through = int(found)
        self.db.execute("INSERT OR REPLACE INTO through VALUES (?, ?, ?)", (gateway, stream, through))
        return through

    def ask(self, gateway: str, name: str, args: dict[str, Any], ttl_s: int) -> str:
        """Store a command, to be sent by whichever worker comes first; return its id.

        It says until when it is good by the clock, not for how long (`ttl_s`): that needs a Message Expiry, and
        RabbitMQ makes none of what comes by AMQP.
        """
        number = uuid.uuid4().hex
        until = datetime.fromtimestamp(self._clock() + ttl_s, UTC).isoformat(timespec="milliseconds")
        payload = json.dumps({"id": number, "expires_at": until.replace("+00:00", "Z"), "args": args})
        row = (number, gateway, name, payload, ttl_s, self._clock(), 0.0, "waiting", None, None)
        self.db.execute("INSERT INTO command VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return number

    def due(self) -> list[Command]:
        """Return the commands to be sent now, and count them as sent; one without a second left is `expired`."""
        now = self._clock()
        query = "SELECT 1 FROM command WHERE status = 'waiting' AND (sent_at < ? OR asked_at + ttl_s < ?) LIMIT 1"
        if self.db.execute(query, (now - AGAIN_S, now + 1)).fetchone() is None:
            return []
        with self.transaction():
            self.db.execute(
                "UPDATE command SET status = 'expired', code = 'unanswered', answered_at = ?"
                " WHERE status = 'waiting' AND asked_at + ttl_s < ?",
                (now, now + 1),
            )
            found = self.db.execute(
                "UPDATE command SET sent_at = ? WHERE status = 'waiting' AND sent_at < ?"
                " RETURNING id, gateway, name, payload, asked_at + ttl_s - ?",
                (now, now - AGAIN_S, now),
            ).fetchall()
        return [Command(id=i, gateway=g, name=n, payload=p, left_s=left) for i, g, n, p, left in found]


def key_of(topic: str, gateway: str = "*") -> str:
    """Return the routing key, or the binding key, of a topic below a gateway's root.

    RabbitMQ writes a topic's slashes as dots, so a gateway's id must have none.
    """
    return f"{PREFIX}/{gateway}/{topic}".replace("/", ".")


def message_of(key: str, payload: bytes) -> Message:
    """Return what came under a routing key. Raises `ValueError` if it is not of the contract."""
    words = key.split(".")
    depth = PREFIX.count("/") + 1
    body = json.loads(payload)
    if len(words) < depth + 2 or not isinstance(body, dict):
        raise ValueError(f"{key} is no gateway's")
    return Message(gateway=words[depth], topic="/".join(words[depth + 1 :]), body=body)


class Worker:
    """One connection after the other, to whichever node answers."""

    def __init__(self, store: Store, urls: Sequence[str], queue: str = QUEUE) -> None:
        self._store = store
        self._urls = urls
        self._queue = queue

    def run(self, leave: Callable[[], bool] = lambda: False) -> None:
        """Read until `leave` says so; a node that goes takes its connections with it, and there are others."""
        import pika  # noqa: PLC0415 - the store above is of use without it
        from pika.exceptions import AMQPError  # noqa: PLC0415

        parameters = [pika.URLParameters(url) for url in self._urls]
        for one in parameters:
            one.heartbeat, one.socket_timeout, one.blocked_connection_timeout = HEARTBEAT_S, 3, 30
        start = os.getpid()
        while not leave():
            start += 1  # Another node first each time: one that accepts and then fails is not all that is tried.
            turned = [parameters[(start + at) % len(parameters)] for at in range(len(parameters))]
            try:
                connection = pika.BlockingConnection(turned)
                self._serve(connection.channel(), leave)
                connection.close()
            except (AMQPError, OSError) as error:
                log.warning("the connection is gone: %r", error)
                time.sleep(0.5)  # noqa: TID251 - nothing else is to be done meanwhile

    def _serve(self, channel: Any, leave: Callable[[], bool]) -> None:
        channel.queue_declare(self._queue, durable=True, arguments={"x-queue-type": "quorum"})
        for topic in READ:
            channel.queue_bind(self._queue, EXCHANGE, key_of(topic))
        channel.basic_qos(prefetch_count=PREFETCH)
        log.info("connected")
        batch: list[tuple[str, bytes]] = []
        tag, commit_at = 0, 0.0
        for method, _properties, body in channel.consume(self._queue, inactivity_timeout=COMMIT_EVERY_S):
            if method is not None:
                commit_at = commit_at if batch else time.monotonic() + COMMIT_EVERY_S
                batch.append((method.routing_key, body))
                tag = method.delivery_tag
            if batch and (method is None or len(batch) >= PREFETCH or time.monotonic() >= commit_at):
                acks = self._store.take(list(understood(batch)))
                channel.basic_ack(tag, multiple=True)
                batch.clear()
                for (gateway, stream), through in acks.items():
                    said = json.dumps({"stream": stream, "through": through})
                    publish(channel, key_of("ack", gateway), said, None)
            for command in self._store.due():
                publish(channel, key_of(f"cmd/{command.name}", command.gateway), command.payload, command.left_s)
            if leave():
                channel.cancel()
                return


def understood(batch: Sequence[tuple[str, bytes]]) -> Iterator[Message]:
    """Give what can be read; one gateway's nonsense must not come again for ever, nor stop the others."""
    for key, payload in batch:
        try:
            yield message_of(key, payload)
        except (ValueError, RecursionError) as error:
            log.warning("put aside: %s", error)


def publish(channel: Any, key: str, payload: str, left_s: float | None) -> None:
    """Publish to a gateway: persistent is QoS 1. What has expired RabbitMQ drops while it waits for a gateway."""
    import pika  # noqa: PLC0415

    expiration = None if left_s is None else str(int(left_s * 1000))
    properties = pika.BasicProperties(delivery_mode=2, content_type="application/json", expiration=expiration)
    channel.basic_publish(EXCHANGE, key, payload.encode(), properties)


def main() -> None:
    """Read, or store a command for whoever reads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", type=Path, default=Path("backend.sqlite"))
    verbs = parser.add_subparsers(dest="verb", required=True)
    read = verbs.add_parser("read", help="store what gateways say, and acknowledge it")
    read.add_argument("--node", action="append", default=[], help="host[:port]; once for each node (localhost)")
    read.add_argument("--user", default="guest")
    read.add_argument("--password", default=os.environ.get("AMQP_PASSWORD", "guest"), help="or AMQP_PASSWORD")
    command = verbs.add_parser("command", help="have a command sent")
    command.add_argument("gateway")
    command.add_argument("name")
    command.add_argument("args", nargs="?", type=json.loads, default={})
    command.add_argument("--ttl", type=int, default=30)
    options = parser.parse_args()
    store = Store(options.database)
    if options.verb == "command":
        print(store.ask(options.gateway, options.name, options.args, options.ttl))  # noqa: T201
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(message)s")
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    login = f"{quote(options.user, safe='')}:{quote(options.password, safe='')}"
    Worker(store, [f"amqp://{login}@{node}/%2F" for node in options.node or ["localhost"]]).run()


if __name__ == "__main__":
    main()
