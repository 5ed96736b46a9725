"""A fleet at three RabbitMQ nodes: one is killed, one loses its cable, and one is cut off from the others.

Gateways are those of `chargerd simulate`; the backend is the example of `docs/backend/amqp`, twice, on one
database. What is judged at the end: every row of every ledger is stored once, every settlement is there once,
every command was answered or its time was over, and none was carried out twice or late.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from docs.backend.amqp.consumer import Store
from tests.brokers.rabbit import PASSWORD, USER, Cluster

TREE = Path(__file__).parents[2]
CONSUMER = TREE / "docs/backend/amqp/consumer.py"
SITE = TREE / "build/brokers/site"
"""Where `make brokers` puts what the example needs."""
STEADY_S, APART_S = 20.0, 40.0
"""How long nothing happens between two faults, and how long a node is away."""
PATIENCE_S, REJOINS_WITHIN = 180.0, 400.0
TTL_S = 30
STARTS_IN_S = 10.0
"""How long a start that was accepted in its last moment takes until current flows."""
STARTED_BY_HAND = 6
Say = Callable[[str], None]


class TrialError(Exception):
    """What was expected did not come about."""


@dataclass(slots=True)
class Size:
    """How large the fleet is: gateways with riders, and gateways whose sockets wait for the backend's commands."""

    riders: int = 24
    commanded: int = STARTED_BY_HAND
    ports: int = 6


class Fleet:
    """`chargerd simulate`, and what it says of itself each second."""

    def __init__(self, name: str, gateways: int, ports: int, url: str, folder: Path, *, orders: str) -> None:
        self.name, self.gateways = name, gateways
        command = [sys.executable, "-m", "chargerd", "simulate", "--json", "--name", name, "--orders", orders]
        command += ["--gateways", str(gateways), "--ports", str(ports), "--broker", url, "--rate", "30"]
        self._errors = (folder / f"{name}.log").open("w")
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._errors, text=True, cwd=TREE, start_new_session=True
        )
        self.seen: list[tuple[float, dict[str, Any]]] = []
        self.summary: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if said["kind"] == "summary":
                self.summary = said
            elif said["kind"] == "error":
                print(f"    {self.name}: {said['message']}")
            else:
                self.seen.append((time.monotonic(), said))

    @property
    def connected(self) -> int:
        return self.seen[-1][1]["connected"] if self.seen else 0

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def leave(self) -> None:
        """Have it settle its sessions and end."""
        self._process.send_signal(signal.SIGINT)

    def wait(self, seconds: float) -> int:
        code = self._process.wait(seconds)
        self._thread.join(seconds)
        return code

    def kill(self) -> None:
        if not self.ended:
            self._process.kill()
            self._process.wait()
        self._errors.close()


class Backend:
    """The example consumer, as a process."""

    def __init__(self, nodes: list[str], database: Path, log: Path) -> None:
        words = [word for node in nodes for word in ("--node", node)]
        self._command = [
            sys.executable,
            str(CONSUMER),
            "--database",
            str(database),
            "read",
            "--user",
            USER,
            *words,
        ]
        self._log = log
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as out:
            environment = {**os.environ, "AMQP_PASSWORD": PASSWORD, "PYTHONPATH": str(SITE)}
            return subprocess.Popen(self._command, stdout=out, stderr=out, env=environment)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.kill()
        self._process = self._start()


class Commander(threading.Thread):
    """Asks for something each second: starts and stops sessions at its own gateways, disables, enables, gets."""

    def __init__(self, database: Path, size: Size) -> None:
        super().__init__(daemon=True)
        self._store_at = database
        self._size = size
        self._random = random.Random(164)
        self._leave = threading.Event()
        self.sessions: dict[str, str] = {}
        """By session: the command that starts it."""

    def run(self) -> None:
        store = Store(self._store_at)
        running: dict[tuple[str, str], str] = {}
        number = 0
        while not self._leave.wait(1.0):
            number += 1
            if number % 4 == 0:
                gateway = f"rider-{self._random.randint(1, self._size.riders):03}"
                store.ask(gateway, "get", {}, TTL_S)
                continue
            gateway = f"asked-{self._random.randint(1, self._size.commanded):03}"
            port = f"A{self._random.randint(1, self._size.ports):02}"
            session = running.pop((gateway, port), None)
            if session is not None:
                store.ask(gateway, "stop", {"port": port, "session_id": session}, TTL_S)
                continue
            session = f"T-{number:05}"
            running[gateway, port] = session
            self.sessions[session] = store.ask(gateway, "start", {"port": port, "session_id": session}, TTL_S)

    def end(self) -> None:
        self._leave.set()
        self.join()


class Trial:
    """One run."""

    def __init__(self, cluster: Cluster, folder: Path, size: Size, say: Say) -> None:
        self._cluster, self._size, self._say = cluster, size, say
        self.database = folder / "backend.sqlite"
        Store(self.database).db.close()
        self._backends = [Backend(cluster.amqp, self.database, folder / f"backend-{n}.log") for n in (1, 2)]
        self._wait(
            lambda: all("connected" in (folder / f"backend-{n}.log").read_text() for n in (1, 2)), "backends"
        )
        self._fleets = [
            Fleet("rider", size.riders, size.ports, cluster.url, folder, orders="riders"),
            Fleet("asked", size.commanded, size.ports, cluster.url, folder, orders="backend"),
        ]
        self._commander = Commander(self.database, size)

    def run(self) -> dict[str, Any]:
        """Return what was measured. Raises `TrialError`."""
        self._wait(lambda: self._connected == self._all, "gateways connected")
        self._say(f"{self._all} gateways connected; queues led by {self._cluster.leaders()}")
        self._commander.start()
        self._pause(STEADY_S)
        faults = [
            self._fault("killed", "rabbit1", self._kill, self._revive),
            self._fault("without its cable", "rabbit2", self._cluster.network.cut, self._cluster.network.mend),
            self._fault("cut off from the others", "rabbit3", self._cluster.network.part, self._rejoin),
        ]
        self._backends[0].restart()
        self._say("one worker of the backend killed")
        self._pause(STEADY_S)
        self._commander.end()
        self._pause(TTL_S)
        for fleet in self._fleets:
            fleet.leave()
        codes = [fleet.wait(PATIENCE_S) for fleet in self._fleets]
        self._say(f"the fleet has left: exit codes {codes}")
        rows = sum(fleet.summary["rows"] for fleet in self._fleets)
        try:
            self._wait(lambda: self._stored() >= rows, "rows stored", 60.0)
        except TrialError as error:
            self._say(str(error))
        return {"faults": faults, "exit_codes": codes, **self._verdict(faults)}

    def close(self) -> None:
        for fleet in self._fleets:
            fleet.kill()
        for backend in self._backends:
            backend.kill()

    # Faults

    def _kill(self, name: str) -> None:
        self._cluster.nodes[name].kill()

    def _revive(self, name: str) -> None:
        self._cluster.nodes[name].start()
        self._cluster.nodes[name].wait_up()

    def _rejoin(self, name: str) -> None:
        self._cluster.network.join(name)

    def _fault(
        self, what: str, name: str, do: Callable[[str], None], undo: Callable[[str], None]
    ) -> dict[str, Any]:
        before = [len(fleet.seen) for fleet in self._fleets]
        began, wall = time.monotonic(), time.time()
        do(name)
        self._pause(APART_S)
        self._wait(lambda: self._connected == self._all, "all gateways back")
        away = self._away(before, began)
        undone = time.monotonic()
        undo(name)
        self._wait(self._cluster.whole, "the node back in the cluster", REJOINS_WITHIN)
        rejoined = time.monotonic() - undone
        self._wait(lambda: self._connected == self._all, "all gateways back after the node was")
        self._pause(STEADY_S)
        found = {
            "what": what,
            "lost_connections": self._all - min((c for _at, c in away), default=self._all),
            "all_back_s": max((at for at, c in away if c < self._all), default=0.0),
            "node_away_s": round(undone - began, 1),
            "node_rejoined_s": round(rejoined, 1),
            "wall": wall,
            "until_wall": wall + time.monotonic() - began,
        }
        lost, back = found["lost_connections"], found["all_back_s"]
        self._say(f"{name} {what}: {lost} connections lost, all back {back:.0f} s later")
        return found

    def _away(self, before: list[int], began: float) -> list[tuple[float, int]]:
        """Return how many were connected at each second since."""
        found: dict[int, list[int]] = {}
        for fleet, since in zip(self._fleets, before, strict=True):
            for at, said in fleet.seen[since:]:
                found.setdefault(round(at - began), []).append(said["connected"])
        return [
            (float(at), sum(counts)) for at, counts in sorted(found.items()) if len(counts) == len(self._fleets)
        ]

    # Waiting

    @property
    def _all(self) -> int:
        return sum(fleet.gateways for fleet in self._fleets)

    @property
    def _connected(self) -> int:
        return sum(fleet.connected for fleet in self._fleets)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for fleet in self._fleets:
                if fleet.ended:
                    raise TrialError(f"the fleet {fleet.name} has ended")
            time.sleep(0.2)

    def _wait(self, holds: Callable[[], bool], what: str, within: float = PATIENCE_S) -> None:
        until = time.monotonic() + within
        while not holds():
            if time.monotonic() > until:
                raise TrialError(f"not within {within:.0f} s: {what}")
            time.sleep(0.2)

    def _stored(self) -> int:
        with sqlite3.connect(self.database, timeout=60) as db:
            return int(db.execute("SELECT coalesce(sum(upto - seq + 1), 0) FROM ledger").fetchone()[0])

    # The verdict

    def _verdict(self, faults: list[dict[str, Any]]) -> dict[str, Any]:
        told = {key: sum(fleet.summary[key] for fleet in self._fleets) for key in ("rows", "started", "ended")}
        with sqlite3.connect(self.database, timeout=60) as db:
            found = ledger_found(db)
            commands = commands_found(db, self._commander.sessions)
            for fault in faults:
                begun, ended = fault.pop("wall"), fault.pop("until_wall")
                fault["row_waited_s"] = longest_wait(db, begun, ended)
                fault["commands"] = answers_of(db, begun, ended)
        return {"told": told, "found": found, "commands": commands, "gateways": self._all}


def ledger_found(db: sqlite3.Connection) -> dict[str, Any]:
    """Count what the backend has: rows, holes, and settlements that are there more than once."""
    found = {"rows": 0, "holes": 0, "gaps": 0}
    for _gateway, _stream, first, last, count, gaps in db.execute(
        "SELECT gateway, stream, min(seq), max(upto), sum(upto - seq + 1),"
        " sum(upto > seq OR body LIKE '%\"gap\"%') FROM ledger GROUP BY gateway, stream"
    ):
        found["rows"] += count
        found["holes"] += last - first + 1 - count + (first - 1)
        found["gaps"] += gaps
    sessions: Counter[tuple[str, str]] = Counter()
    started: Counter[tuple[str, str]] = Counter()
    for gateway, body in db.execute("SELECT gateway, body FROM ledger WHERE topic = 'up/session'"):
        row = json.loads(body)
        sessions[gateway, row["session_id"]] += row["event"] == "ended"
        started[gateway, row["session_id"]] += row["event"] == "started"
    found["ended"] = sum(sessions.values())
    found["started"] = sum(started.values())
    found["ended_twice"] = sum(count > 1 for count in sessions.values())
    found["started_twice"] = sum(count > 1 for count in started.values())
    found["never_ended"] = sum(count == 0 for count in sessions.values())
    return found


def commands_found(db: sqlite3.Connection, sessions: dict[str, str]) -> dict[str, Any]:
    """Count what became of each command; of starts, also whether any began after its time."""
    statuses: Counter[str] = Counter()
    late, slowest = 0, 0.0
    until = {}
    for number, status, code, ttl_s, asked_at, answered_at in db.execute(
        "SELECT id, status, code, ttl_s, asked_at, answered_at FROM command"
    ):
        until[number] = asked_at + ttl_s
        if code in {None, "unanswered"}:
            statuses["unanswered"] += 1
            continue
        statuses[status] += 1
        late += answered_at > until[number]
        slowest = max(slowest, answered_at - asked_at)
    begun_late = 0
    for (body,) in db.execute("SELECT body FROM ledger WHERE topic = 'up/session' AND body LIKE '%\"started\"%'"):
        row = json.loads(body)
        command = sessions.get(row["session_id"])
        if command is not None and row["event"] == "started":
            begun_late += datetime.fromisoformat(row["at"]).timestamp() > until[command] + STARTS_IN_S
    return {
        **dict(sorted(statuses.items())),
        "slowest_s": round(slowest, 1),
        "answered_after_their_time": late,
        "begun_after_their_time": begun_late,
    }


def longest_wait(db: sqlite3.Connection, since: float, until: float) -> float:
    """Return how long a row that was made in this time took at most until it was stored, in seconds."""
    longest = 0.0
    for body, stored_at in db.execute("SELECT body, stored_at FROM ledger"):
        at = json.loads(body).get("at")
        if at is None:
            continue
        made = datetime.fromisoformat(at).timestamp()
        if since <= made <= until:
            longest = max(longest, stored_at - made)
    return round(longest, 1)


def answers_of(db: sqlite3.Connection, since: float, until: float) -> dict[str, Any]:
    """Count the commands of this time, and those without an answer; and how slow the slowest was, in seconds."""
    query = (
        "SELECT count(*), coalesce(sum(code IS NULL OR code = 'unanswered'), 0),"
        " max(iif(code != 'unanswered', answered_at - asked_at, 0)) FROM command WHERE asked_at BETWEEN ? AND ?"
    )
    given, unanswered, slowest = db.execute(query, (since, until)).fetchone()
    return {"given": given, "unanswered": unanswered, "slowest_s": round(slowest or 0.0, 1)}


def trial(folder: Path, say: Say, size: Size | None = None, queues: str = "quorum") -> dict[str, Any]:
    """Set everything up, run it, take it down; return what was measured."""
    with Cluster(queues) as cluster:
        say("three nodes are up")
        running = Trial(cluster, folder, size or Size(), say)
        try:
            return running.run()
        finally:
            running.close()
