"""The one row that says where the journal stands."""

import sqlite3
from dataclasses import dataclass

from chargerd.contract.ledger import Owner
from chargerd.store.errors import DamagedError


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where it stands; `settled` is the digest of the newest settlement."""

    stream: str
    last: int
    acked: int
    settled: str | None
    starts: int
    salvaged: str | None
    latches_unknown: bool
    begun: int
    """The last number that was given out before the stream began."""
    owner: Owner
    unsettled: str | None
    """Why what is open in it cannot go on, until it is settled."""
    command_bytes: int
    """How much of the file remembered commands take up."""


def read_state(connection: sqlite3.Connection) -> State:
    """Return where the journal stands. Raises `DamagedError` if it does not know."""
    row = connection.execute(
        "SELECT stream, last, acked, settled, starts, salvaged, latches_unknown, begun, gateway, machine,"
        " command_bytes, unsettled"
        " FROM state"
    ).fetchone()
    if row is None:
        raise DamagedError("the row that says where the journal stands is missing")
    return State(
        stream=row[0],
        last=row[1],
        acked=row[2],
        settled=row[3],
        starts=row[4],
        salvaged=row[5],
        latches_unknown=bool(row[6]),
        begun=row[7],
        owner=Owner(gateway=row[8], machine=row[9]),
        command_bytes=row[10],
        unsettled=row[11],
    )
