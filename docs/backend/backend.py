"""A small backend: it keeps the ledger of all gateways in SQLite, acknowledges it, and can start a port.

    python backend.py HOST PORT ledger.db                        store until Ctrl-C
    python backend.py HOST PORT ledger.db start GATEWAY A01      start a port, show the replies, go on storing
    python backend.py HOST PORT ledger.db stop GATEWAY A01       the same with whatever charges there

Needs paho-mqtt 2 and nothing else. Several may run at once on one database, each with its own `BACKEND_NAME`: they
share the subscription, and the broker gives each message to one of them.
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
ASK_AGAIN_S = 10
SESSION_S = 7 * 86400
TABLES = """
CREATE TABLE IF NOT EXISTS ledger (
    stream TEXT NOT NULL, seq INTEGER NOT NULL, upto INTEGER NOT NULL, gateway TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (stream, seq));
CREATE INDEX IF NOT EXISTS reach ON ledger (stream, upto);
CREATE TABLE IF NOT EXISTS settlement (
    session_id TEXT NOT NULL, gateway TEXT NOT NULL, order_id TEXT, energy_wh INTEGER NOT NULL,
    stop_reason TEXT NOT NULL, PRIMARY KEY (gateway, session_id));
CREATE TABLE IF NOT EXISTS through (
    stream TEXT PRIMARY KEY, gateway TEXT NOT NULL, seq INTEGER NOT NULL);
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
        stream, gateway, gap = row["stream"], row["gateway"], row["event"] == "gap"
        first = row["from"] if gap and row.get("from") else row["seq"]
        upto = row["to"] if gap and row.get("to") else row["seq"]
        with self.db:  # One transaction: after it, and not before, the row may be acknowledged.
            if gap:
                self.db.execute(
                    "DELETE FROM ledger WHERE stream = ? AND seq >= ? AND upto <= ?", (stream, first, upto)
                )
            if gap or self.reach(stream, first) in {
                None,
                upto,
            }:  # A row may come after all where a gap stood for it.
                self.db.execute(
                    "INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?)",
                    (stream, first, upto, gateway, json.dumps(row)),
                )
            if row["event"] == "ended":
                self.db.execute(
                    "INSERT OR IGNORE INTO settlement VALUES (?, ?, ?, ?, ?)",
                    (row["session_id"], gateway, row["order_id"], row["energy_wh"], row["stop_reason"]),
                )
            return self.advance(stream, gateway, 0)

    def reach(self, stream: str, seq: int) -> int | None:
        """Return the last number of what is stored in the place of `seq`, if anything is."""
        query = "SELECT max(upto) FROM ledger WHERE stream = ? AND upto >= ? AND seq <= ?"
        return self.db.execute(query, (stream, seq, seq)).fetchone()[0]

    def begin(self, gateway: str, stream: str, first: int) -> int:
        """Take the rows before `first` for stored, as `state/info` has it: the gateway has them no more.

        They were acknowledged long ago; a backend that is new, or has lost them, must not wait for them for ever.
        """
        with self.db:
            return self.advance(stream, gateway, first - 1)

    def advance(self, stream: str, gateway: str, through: int) -> int:
        """Return up to where a stream is stored without a hole, from `through` or what was known on."""
        found = self.db.execute("SELECT seq FROM through WHERE stream = ?", (stream,)).fetchone()
        through = max(through, found[0] if found else 0)
        while following := self.reach(stream, through + 1):
            through = following
        self.db.execute("INSERT OR REPLACE INTO through VALUES (?, ?, ?)", (stream, gateway, through))
        return through


class Backend:
    """The connection. The callbacks only fill a queue; all else happens in the main thread."""

    def __init__(self, host: str, port: int, store: Store, name: str) -> None:
        self.store = store
        self.arrived: queue.SimpleQueue[paho.MQTTMessage] = queue.SimpleQueue()
        self.asked: dict[str, float] = {}
        # A name and a session that outlive this process: the broker keeps what comes while we are away.
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5)
        self.client.on_connect = self.connected
        self.client.on_message = lambda _client, _data, message: self.arrived.put(message)
        kept = Properties(PacketTypes.CONNECT)
        kept.SessionExpiryInterval = SESSION_S
        self.client.connect(host, port, clean_start=False, properties=kept)
        self.client.loop_start()

    def connected(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        """Subscribe anew after each connect: the ledger by turns with other workers, the rest for ourselves."""
        if not reason.is_failure:
            rows = [f"{SHARED}/+/up/session", f"{SHARED}/+/up/event"]
            topics = [*rows, f"{ROOT}/+/up/reply", f"{ROOT}/+/state/info", f"{ROOT}/+/state/gateway"]
            client.subscribe([(topic, 1) for topic in topics])

    def turn(self) -> None:
        """Take one message; acknowledge what is stored by then."""
        try:
            message = self.arrived.get(timeout=0.5)
        except queue.Empty:
            return
        topic, body = message.topic, json.loads(message.payload)
        if topic.endswith("/up/reply"):
            print(body["gateway"], body["id"], body["status"], body["code"], body["message"], flush=True)
            return
        if topic.endswith("/state/info"):
            stream, first = body["ledger"]["stream"], body["ledger"]["first"]
            self.acknowledge(body["gateway"], stream, self.store.begin(body["gateway"], stream, first))
            return
        if topic.endswith("/state/gateway"):
            self.present(body)
            return
        through = self.store.add(body)
        self.acknowledge(body["gateway"], body["stream"], through)
        if body["seq"] > through:
            self.ask_for(body["gateway"], body["stream"], through + 1, body["seq"] - 1)

    def present(self, body: dict[str, Any]) -> None:
        """Ask for what a gateway has and we have not: an `ack` makes it send everything above it at once.

        The retained presence comes with each subscription, so this is also what we say after a connect.
        """
        if body["status"] == "online":
            ledger = body["ledger"]
            through = self.store.begin(body["gateway"], ledger["stream"], ledger["first"])
            if through < ledger["last"]:
                self.acknowledge(body["gateway"], ledger["stream"], through)

    def acknowledge(self, gateway: str, stream: str, through: int) -> None:
        """Tell the gateway up to where we have everything."""
        ack = {"stream": stream, "through": through}
        self.client.publish(f"{ROOT}/{gateway}/ack", json.dumps(ack), qos=1, retain=True)

    def ask_for(self, gateway: str, stream: str, first: int, last: int) -> None:
        """Have rows sent again that we have not: they would come by themselves, but only within half an hour."""
        now = time.monotonic()
        if now - self.asked.get(stream, -ASK_AGAIN_S) >= ASK_AGAIN_S:
            self.asked[stream] = now
            self.command(gateway, "replay", stream=stream, **{"from": first, "to": last})

    def command(self, gateway: str, name: str, **args: Any) -> str:
        """Send a command; its id is never used again. The broker keeps it for no longer than it is good."""
        properties = Properties(PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = TTL_S
        number = uuid.uuid4().hex
        body = {"id": number, "ttl_s": TTL_S, "args": args}
        self.client.publish(f"{ROOT}/{gateway}/cmd/{name}", json.dumps(body), qos=1, properties=properties)
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
