"""What the operator knows for good: ledger, sessions, rides, commands. SQLite, one writer at a time."""

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chargerd.operator.clock import Clock, wall
from chargerd.operator.ledger import Ledger
from chargerd.operator.messages import Command
from chargerd.operator.prices import Tariff
from chargerd.operator.rides import NewRide
from chargerd.operator.sessions import Sessions
from chargerd.operator.tables import connect

CLOCK_STEP_S = 2.0
"""So far a server's clock may be set back in passing."""
ALARMS_KEPT_S = 90 * 86_400
"""Their rows stay in the ledger."""


class TakenError(Exception):
    """Somebody else's ride stands open at this socket."""


class Store:
    """The database. Every method may be called by any thread; what it writes is on the disk when it returns."""

    def __init__(self, path: Path | str, tariff: Tariff, *, clock: Clock = wall) -> None:
        self.clock = clock
        self.tariff = tariff
        self._db = connect(path)
        self._lock = threading.RLock()
        self.ledger = Ledger(self._db)
        self.sessions = Sessions(self._db, tariff, clock)
        self.secret = self._secret()

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def part(self) -> Iterator[None]:
        """Write a part of a transaction wholly or not at all, and leave the rest of it alone."""
        self._db.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK TO part")
            self._db.execute("RELEASE part")
            raise
        self._db.execute("RELEASE part")

    def all(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Read rows."""
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def one(self, query: str, *values: object) -> sqlite3.Row | None:
        """Read a row, if there is one."""
        with self._lock:
            found: sqlite3.Row | None = self._db.execute(query, values).fetchone()
            return found

    # Rides

    def open_ride(self, ride: NewRide, command: Command) -> str:
        """Store a ride and its command together; return the session it is, or was at an earlier tap.

        Raises `TakenError` if another ride stands open at this socket: of two riders in one second one is first.
        """
        with self.transaction() as db:
            again = db.execute("SELECT session_id FROM ride WHERE tap = ?", (ride.tap,)).fetchone()
            if again is not None:
                return str(again[0])
            query = "SELECT session_id, phone FROM ride WHERE gateway = ? AND port = ? AND closed = 0"
            for other in db.execute(query, (ride.gateway, ride.port)).fetchall():
                if other["phone"] == ride.phone:
                    return str(other["session_id"])
                raise TakenError
            row = {
                "session_id": ride.session_id,
                "gateway": ride.gateway,
                "port": ride.port,
                "phone": ride.phone,
                "receipt": ride.receipt,
                "tap": ride.tap,
                "asked_at": self.clock(),
                "until": command.until,
                "goal": str(ride.goal),
                "amount_limit": ride.goal.amount,
                "tariff": self.tariff.as_json(),
                "rider": ride.rider,
                "stream": ride.stream,
            }
            names = ", ".join(f":{name}" for name in row)
            db.execute(f"INSERT INTO ride ({', '.join(row)}) VALUES ({names})", row)  # noqa: S608 - names of ours
            self._keep(db, command, "rider")
            return ride.session_id

    def close_ride(self, session: str, status: str, code: str) -> None:
        """Say what became of a ride that no settlement will come for."""
        with self.transaction() as db:
            db.execute(
                "UPDATE ride SET status = ?, code = ?, closed = 1 WHERE session_id = ?", (status, code, session)
            )

    def paid(self, bills: Iterable[tuple[str, str]]) -> None:
        """Say which bills, by gateway and session, are taken."""
        with self.transaction() as db:
            db.executemany("UPDATE session SET paid = 1 WHERE gateway = ? AND session_id = ?", bills)

    # Commands

    def keep_command(self, command: Command, asked_by: str) -> bool:
        """Store a command before it is sent. `False`: the same is under way already, as after a double tap."""
        with self.transaction() as db:
            query = (
                "SELECT 1 FROM command WHERE gateway = ? AND name = ? AND args = ? AND until > ? "
                "AND status IN ('sent', 'accepted')"
            )
            args = json.dumps(dict(command.args), sort_keys=True)
            if db.execute(query, (command.gateway, command.name, args, self.clock())).fetchone():
                return False
            self._keep(db, command, asked_by)
            return True

    def unanswered(self) -> list[Command]:
        """Return the commands without a reply that are still good.

        A start from a time to come was sent before the clock was set back: it would be good for as long again,
        and begin when nobody waits for it any more. A stop is wanted late, too.
        """
        now = self.clock()
        rows = self.all(
            "SELECT * FROM command WHERE status = 'sent' AND until > ? "
            "AND (name != 'start' OR until - ttl_s <= ?)",
            *(now, now + CLOCK_STEP_S),
        )
        return [
            Command(row["id"], row["gateway"], row["name"], row["ttl_s"], json.loads(row["args"]), row["until"])
            for row in rows
        ]

    def _keep(self, db: sqlite3.Connection, command: Command, asked_by: str) -> None:
        args = command.args
        db.execute(
            "INSERT INTO command (id, gateway, name, ttl_s, args, until, asked_by, port, session_id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(
                    command.id,
                    command.gateway,
                    command.name,
                    command.ttl_s,
                    json.dumps(dict(args), sort_keys=True),
                ),
                *(command.until, asked_by, args.get("port"), args.get("session_id")),
            ),
        )

    def forget(self) -> None:
        """Let go what nobody looks at any more."""
        with self.transaction() as db:
            db.execute("DELETE FROM alarm WHERE at < ?", (self.clock() - ALARMS_KEPT_S,))

    def _secret(self) -> str:
        """Return what cookies are signed with; made once."""
        with self.transaction() as db:
            db.execute("INSERT OR IGNORE INTO setting VALUES ('secret', ?)", (secrets.token_hex(32),))
            row = db.execute("SELECT value FROM setting WHERE name = 'secret'").fetchone()
        return str(row[0])
