"""A small backend: it keeps the ledger of all gateways in SQLite, acknowledges it, and can start a port.

    python backend.py HOST PORT ledger.db                        store until Ctrl-C
    python backend.py HOST PORT ledger.db start GATEWAY A01      start a port, show the replies, go on storing
    python backend.py HOST PORT ledger.db stop GATEWAY A01       the same with whatever charges there

Needs paho-mqtt 2 and nothing else. Several may run at once on one database, each with its own `BACKEND_NAME`: they
share the subscription, and the broker gives each message to one of them. For a broker with the settings in
`broker/`, `BACKEND_CA` is the authority's certificate, `BACKEND_USER` and `BACKEND_PASSWORD` of `access`.
"""
# ruff: noqa: INP001, T201

import contextlib
import json
import os
import queue
import sqlite3
import sys
import time
import uuid
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

ROOT = "chargerd/v1"
SHARED = f"$share/backend/{ROOT}"
TTL_S = 30
ASK_AGAIN_S, ASK_AT_LAST_S = 10, 3600
SAY_EVERY_S = 10
SESSION_S = 7 * 86400
MOST_WAITING = 1000
UNSOUND = (
    *(ValueError, TypeError, KeyError, OverflowError, RecursionError),
    *(sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError),
)
"""What comes of messages that are not as their schemas have it. A disk that is full is none of these."""
TABLES = """
CREATE TABLE IF NOT EXISTS ledger (
    gateway TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL, upto INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (gateway, stream, seq));
CREATE INDEX IF NOT EXISTS reach ON ledger (gateway, stream, upto);
CREATE TABLE IF NOT EXISTS settlement (
    session_id TEXT NOT NULL, gateway TEXT NOT NULL, order_id TEXT, energy_wh INTEGER NOT NULL,
    stop_reason TEXT NOT NULL, PRIMARY KEY (gateway, session_id));
CREATE TABLE IF NOT EXISTS through (
    gateway TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (gateway, stream));
"""


class Store:
    """The ledger. One connection, one thread."""

    def __init__(self, path: str) -> None:
        self.db = sqlite3.connect(path)
        self.db.executescript(TABLES)

    def add(self, row: dict[str, Any]) -> int:
        """Store a row once, however often it comes; return up to where this stream is stored without a hole.

        A `gap` stands for all rows from `from` to `to`, which will never come again: it takes the place of those
        that are stored already, too, or its last numbers would be missed for ever.
        """
        gateway, stream, gap = row["gateway"], row["stream"], row["event"] == "gap"
        first = row["from"] if gap and row.get("from") else row["seq"]
        upto = row["to"] if gap and row.get("to") else row["seq"]
        with self.db:  # One transaction: after it, and not before, the row may be acknowledged.
            if gap and first == upto == self.reach(gateway, stream, first):
                return self.advance(gateway, stream, 0)  # The row itself says more, and may be a settlement.
            if gap:
                self.db.execute(
                    "DELETE FROM ledger WHERE gateway = ? AND stream = ? AND seq >= ? AND upto <= ?",
                    (gateway, stream, first, upto),
                )
            # A row may come after all where a gap stood for it.
            if gap or self.reach(gateway, stream, first) in {None, upto}:
                self.db.execute(
                    "INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?)",
                    (gateway, stream, first, upto, json.dumps(row)),
                )
            if row["event"] == "ended":
                self.db.execute(
                    "INSERT OR IGNORE INTO settlement VALUES (?, ?, ?, ?, ?)",
                    (row["session_id"], gateway, row["order_id"], row["energy_wh"], row["stop_reason"]),
                )
            return self.advance(gateway, stream, 0)

    def reach(self, gateway: str, stream: str, seq: int) -> int | None:
        """Return the last number of what is stored in the place of `seq`, if anything is."""
        query = "SELECT max(upto) FROM ledger WHERE gateway = ? AND stream = ? AND upto >= ? AND seq <= ?"
        return self.db.execute(query, (gateway, stream, seq, seq)).fetchone()[0]

    def begin(self, gateway: str, stream: str, first: int) -> int:
        """Take the rows before `first` for stored, as `state/info` has it: the gateway has them no more.

        They were acknowledged long ago; a backend that is new, or has lost them, must not wait for them for ever.
        """
        with self.db:
            return self.advance(gateway, stream, first - 1)

    def advance(self, gateway: str, stream: str, through: int) -> int:
        """Return up to where a stream is stored without a hole, from `through` or what was known on."""
        query = "SELECT seq FROM through WHERE gateway = ? AND stream = ?"
        found = self.db.execute(query, (gateway, stream)).fetchone()
        through = max(through, found[0] if found else 0)
        while following := self.reach(gateway, stream, through + 1):
            through = following
        self.db.execute("INSERT OR REPLACE INTO through VALUES (?, ?, ?)", (gateway, stream, through))
        return through


def understood(topic: str, payload: bytes) -> tuple[str, str, dict[str, Any]]:
    """Return who says what: gateway, topic below its root, message.

    The broker has checked who may publish on which topic, and nobody has checked the message. So what names
    another gateway than its topic does is no message of either: with it one gateway could have another's rows
    acknowledged, which then are lost.
    """
    gateway, _slash, level = topic.removeprefix(f"{ROOT}/").partition("/")
    body = json.loads(payload)
    if not isinstance(body, dict) or body["gateway"] != gateway:
        raise ValueError("does not name the gateway of its topic")
    return gateway, level, body


def shown(*texts: object) -> None:
    """Print what comes from afar: nothing in it may steer a terminal."""
    print(*(str(text).encode("unicode_escape").decode("ascii") for text in texts), flush=True)


class Backend:
    """The connection. The callbacks only fill a queue; all else happens in the main thread."""

    def __init__(self, host: str, port: int, store: Store, name: str) -> None:
        self.store = store
        # When it is full, paho waits: what a gateway sends faster than we store it waits at the broker, which has
        # a limit for that.
        self.arrived: queue.Queue[paho.MQTTMessage] = queue.Queue(MOST_WAITING)
        self.asked: dict[tuple[str, str], tuple[int, float, float]] = {}
        self.stood: dict[tuple[str, str], int] = {}
        self.unanswered: dict[str, tuple[str, str, float]] = {}
        self.stored = 0
        self.say_at = time.monotonic() + SAY_EVERY_S
        # A name and a session that outlive this process: the broker keeps what comes while we are away.
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5)
        self.client.on_connect = self.connected
        self.client.on_disconnect = lambda _client, _data, _flags, why, _more: shown("no connection:", why)
        self.client.on_message = lambda _client, _data, message: self.arrived.put(message)
        if authority := os.environ.get("BACKEND_CA"):
            self.client.tls_set(ca_certs=authority)
        if user := os.environ.get("BACKEND_USER"):
            self.client.username_pw_set(user, os.environ.get("BACKEND_PASSWORD"))
        kept = Properties(PacketTypes.CONNECT)
        kept.SessionExpiryInterval = SESSION_S
        self.client.connect(host, port, clean_start=False, properties=kept)
        self.client.loop_start()

    def connected(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        """Subscribe anew after each connect: the ledger by turns with other workers, the rest for ourselves."""
        if reason.is_failure:
            shown("the broker refuses the connection:", reason)
        else:
            shown("connected; storing what comes")
            rows = [f"{SHARED}/+/up/session", f"{SHARED}/+/up/event"]
            topics = [*rows, f"{ROOT}/+/up/reply", f"{ROOT}/+/state/info", f"{ROOT}/+/state/gateway"]
            client.subscribe([(topic, 1) for topic in topics])

    def turn(self) -> None:
        """Take one message; acknowledge what is stored by then."""
        self.say(time.monotonic())
        try:
            message = self.arrived.get(timeout=0.5)
        except queue.Empty:
            return
        if not message.payload:  # Somebody has cleared what was retained.
            return
        try:
            self.take(*understood(message.topic, message.payload))
        except UNSOUND as error:  # One gateway's nonsense is no reason to stop storing what the others say.
            shown(message.topic, "is not as the contract has it:", repr(error))

    def say(self, now: float) -> None:
        """Tell how it goes: what is stored, now and then, and which command nobody has replied to."""
        if self.stored and now >= self.say_at:
            shown(self.stored, "rows stored")
            self.stored, self.say_at = 0, now + SAY_EVERY_S
        for number, (gateway, name, until) in list(self.unanswered.items()):
            if now >= until:
                del self.unanswered[number]
                shown(gateway, number, "has no reply to", name, "within", TTL_S, "s: is that gateway online?")

    def take(self, gateway: str, level: str, body: dict[str, Any]) -> None:
        """Do what a message asks for."""
        if level == "up/reply":
            self.unanswered.pop(body["id"], None)
            shown(gateway, body["id"], body["status"], body["code"], body["message"])
        elif level == "state/info":
            stream, first = body["ledger"]["stream"], body["ledger"]["first"]
            self.acknowledge(gateway, stream, self.store.begin(gateway, stream, first))
        elif level == "state/gateway":
            self.present(gateway, body)
        else:
            through = self.store.add(body)
            self.stored += 1
            self.acknowledge(gateway, body["stream"], through)
            if body["seq"] > through:
                self.ask_for(gateway, body["stream"], through + 1, body["seq"] - 1)

    def present(self, gateway: str, body: dict[str, Any]) -> None:
        """Ask for what a gateway has and we have not: an `ack` makes it send what nobody has acknowledged at once.

        The retained presence comes with each subscription, so this is also what we say after a connect. What is
        still away at the next presence, within 60 s, was acknowledged: a database that was put back has lost it,
        and no `ack` brings it again.
        """
        if body["status"] == "online":
            stream, last = body["ledger"]["stream"], body["ledger"]["last"]
            through = self.store.begin(gateway, stream, body["ledger"]["first"])
            stood = self.stood.pop((gateway, stream), None)
            if through < last:
                self.stood[gateway, stream] = through
                self.acknowledge(gateway, stream, through)
                if through == stood:
                    self.ask_for(gateway, stream, through + 1, last)

    def acknowledge(self, gateway: str, stream: str, through: int) -> None:
        """Tell the gateway up to where we have everything."""
        ack = {"stream": stream, "through": through}
        self.client.publish(f"{ROOT}/{gateway}/ack", json.dumps(ack), qos=1, retain=True)

    def ask_for(self, gateway: str, stream: str, first: int, last: int) -> None:
        """Have rows sent again that we have not, acknowledged or not.

        While the first of them stays away, as one that we cannot take does, less and less often: each time the
        gateway sends all of them.
        """
        now = time.monotonic()
        missed, asked_at, wait = self.asked.get((gateway, stream), (0, 0.0, 0.0))
        if missed != first:
            wait = 0.0
        elif now < asked_at + wait:
            return
        self.asked[gateway, stream] = first, now, min(max(2 * wait, ASK_AGAIN_S), ASK_AT_LAST_S)
        self.command(gateway, "replay", stream=stream, **{"from": first, "to": last})

    def command(self, gateway: str, name: str, **args: Any) -> str:
        """Send a command; its id is never used again. The broker keeps it for no longer than it is good."""
        properties = Properties(PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = TTL_S
        number = uuid.uuid4().hex
        body = {"id": number, "ttl_s": TTL_S, "args": args}
        self.client.publish(f"{ROOT}/{gateway}/cmd/{name}", json.dumps(body), qos=1, properties=properties)
        self.unanswered[number] = (gateway, name, time.monotonic() + TTL_S)
        return number


def main(host: str, port: str, path: str, *wanted: str) -> None:
    """Store until Ctrl-C."""
    backend = Backend(host, int(port), Store(path), os.environ.get("BACKEND_NAME", "backend-1"))
    if wanted:
        name, gateway, socket = wanted
        args: dict[str, Any] = (
            {"session_id": uuid.uuid4().hex, "order_id": "order 17"} if name == "start" else {"force": True}
        )
        print(gateway, backend.command(gateway, name, port=socket, **args), "sent", flush=True)
    while True:
        backend.turn()


if __name__ == "__main__":
    if len(sys.argv) not in {4, 7} or sys.argv[4:5] not in ([], ["start"], ["stop"]):
        sys.exit(__doc__)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            main(*sys.argv[1:])
        except ConnectionError as error:
            sys.exit(f"no broker answers at {sys.argv[1]}:{sys.argv[2]}: {error}")
