"""The ledger of all gateways: each row once, and up to where there is no hole."""

import json
import sqlite3

from chargerd.operator.messages import Body, text, whole, whole_or_none


class Ledger:
    """Rows by gateway, stream and number. The caller has begun a transaction: rows are acknowledged after it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def add(self, gateway: str, row: Body) -> int:
        """Store a row once, however often it comes; return up to where this stream is stored without a hole.

        A `gap` stands for all rows from `from` to `to`, which will never come again: it takes the place of those
        that are stored already, too, or its last numbers would be missed for ever. Raises `UnsoundError`.
        """
        stream, seq, gap = text(row, "stream"), whole(row, "seq"), row.get("event") == "gap"
        first = (gap and whole_or_none(row, "from", least=1)) or seq
        upto = max(first, (gap and whole_or_none(row, "to", least=1)) or seq)
        if gap and first == upto == self.reach(gateway, stream, first):
            return self._advance(gateway, stream, 0)  # The row itself says more, and may be a settlement.
        if gap:
            self._db.execute(
                "DELETE FROM ledger WHERE gateway = ? AND stream = ? AND seq >= ? AND upto <= ?",
                (gateway, stream, first, upto),
            )
        # A row may come after all where a gap stood for it.
        if gap or self.reach(gateway, stream, first) in {None, upto}:
            self._db.execute(
                "INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?)",
                (gateway, stream, first, upto, json.dumps(dict(row))),
            )
        return self._advance(gateway, stream, 0)

    def reach(self, gateway: str, stream: str, seq: int) -> int | None:
        """Return the last number of what is stored in the place of `seq`, if anything is."""
        query = "SELECT max(upto) FROM ledger WHERE gateway = ? AND stream = ? AND upto >= ? AND seq <= ?"
        found: int | None = self._db.execute(query, (gateway, stream, seq, seq)).fetchone()[0]
        return found

    def begin(self, gateway: str, stream: str, first: int) -> int:
        """Take the rows before `first` for stored: the gateway has them no more.

        They were acknowledged long ago; one that is new, or has lost them, must not wait for them for ever.
        """
        return self._advance(gateway, stream, first - 1)

    def _advance(self, gateway: str, stream: str, through: int) -> int:
        """Return up to where a stream is stored without a hole, from `through` or what was known on."""
        query = "SELECT seq FROM through WHERE gateway = ? AND stream = ?"
        found = self._db.execute(query, (gateway, stream)).fetchone()
        through = max(through, found[0] if found else 0)
        while following := self.reach(gateway, stream, through + 1):
            through = following
        self._db.execute("INSERT OR REPLACE INTO through VALUES (?, ?, ?)", (gateway, stream, through))
        return through
