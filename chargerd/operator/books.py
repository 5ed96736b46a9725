"""What the operator's pages ask the database."""

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal

from chargerd.operator.prices import Tariff
from chargerd.operator.store import Store
from chargerd.operator.web import moment

PAGE = 50
DAY_S = 86_400
CSV_AT_ONCE = 500
ALARMS_SHOWN = 20
COLUMNS = (
    *(
        "gateway",
        "port",
        "session_id",
        "order_id",
        "source",
        "started_at",
        "ended_at",
        "charging_s",
        "suspended_s",
    ),
    *("energy_wh", "energy_quality", "peak_power_w", "stop_reason", "currency", "amount", "tiers"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is a formula to a spreadsheet."""


@dataclass(frozen=True, slots=True)
class Span:
    """Days, from the first to the last, as seconds since 1970."""

    begin: float
    end: float

    @classmethod
    def of(cls, first: str, last: str, where: tzinfo, now: float) -> "Span":
        """Return what a form says; what is no date is left open."""
        return cls(_day(first, where, 0.0), _day(last, where, now + DAY_S, days=1))


@dataclass(frozen=True, slots=True)
class Sum:
    """What settled sessions come to. `amount`: hundredths."""

    count: int
    energy_wh: int
    amount: int


class Books:
    """Reads only."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def today(self, where: tzinfo) -> Sum:
        """Return what has been settled since midnight."""
        midnight = datetime.fromtimestamp(self._store.clock(), where).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        return self.sum(Span(midnight.timestamp(), self._store.clock() + DAY_S))

    def sum(self, span: Span) -> Sum:
        """Return what was settled in a span."""
        row = self._store.one(
            "SELECT count(*), coalesce(sum(energy_wh), 0), coalesce(sum(amount), 0) FROM session "
            "WHERE settled = 1 AND heard_at >= ? AND heard_at < ?",
            *(span.begin, span.end),
        )
        assert row is not None, "an aggregate has a row"
        return Sum(*row)

    def sessions(self, span: Span, before: float) -> list[sqlite3.Row]:
        """Return a page of settled sessions, newest first, from before a moment on; one more if there are more."""
        return self._store.all(
            "SELECT * FROM session WHERE settled = 1 AND heard_at >= ? AND heard_at < ? AND heard_at < ? "
            "ORDER BY heard_at DESC LIMIT ?",
            *(span.begin, span.end, before, PAGE + 1),
        )

    def history(self, gateway: str, port: str) -> list[sqlite3.Row]:
        """Return the last sessions of a socket."""
        query = "SELECT * FROM session WHERE gateway = ? AND port = ? ORDER BY heard_at DESC LIMIT ?"
        return self._store.all(query, gateway, port, PAGE)

    def commands(self, gateway: str, port: str) -> list[sqlite3.Row]:
        """Return the last commands to a socket."""
        query = "SELECT * FROM command WHERE gateway = ? AND port = ? ORDER BY until - ttl_s DESC LIMIT 10"
        return self._store.all(query, gateway, port)

    def alarms(self, gateway: str | None = None, port: str | None = None) -> list[sqlite3.Row]:
        """Return the alarms of the last day, worst first, of a socket or of all."""
        since = self._store.clock() - DAY_S
        where = "" if port is None else "AND gateway = ? AND port = ? "
        values = () if port is None else (gateway, port)
        return self._store.all(
            f"SELECT * FROM alarm WHERE at >= ? {where}ORDER BY severity != 'alarm', at DESC LIMIT ?",  # noqa: S608
            *(since, *values, ALARMS_SHOWN),
        )

    def as_csv(self, span: Span, where: tzinfo) -> Iterator[str]:
        """Give all settlements of a span, oldest first, as CSV."""
        yield "\ufeff" + _line(COLUMNS)  # Spreadsheets take it for UTF-8 then.
        after, row_id = span.begin, 0
        while True:
            rows = self._store.all(
                "SELECT rowid, * FROM session WHERE settled = 1 AND heard_at < ? AND (heard_at, rowid) > (?, ?) "
                "ORDER BY heard_at, rowid LIMIT ?",
                *(span.end, after, row_id, CSV_AT_ONCE),
            )
            if not rows:
                return
            yield "".join(_line(_cells(row, where)) for row in rows)
            after, row_id = rows[-1]["heard_at"], rows[-1]["rowid"]


def _cells(row: sqlite3.Row, where: tzinfo) -> tuple[object, ...]:
    tariff = Tariff.from_json(row["tariff"])
    ends = (moment(row[f"{end}_at"], where, "%Y-%m-%dT%H:%M:%S%z") for end in ("started", "ended"))
    tiers = " ".join(f"{tier.get('up_to_w')}:{tier.get('charging_s')}" for tier in json.loads(row["tiers"]))
    return (
        *(row["gateway"], row["port"], row["session_id"], row["order_id"] or "", row["source"], *ends),
        *(row["charging_s"], row["suspended_s"], row["energy_wh"], row["quality"], row["peak_power_w"]),
        *(row["stop_reason"], tariff.symbol, Decimal(row["amount"]) / 100, tiers),
    )


def _line(cells: tuple[object, ...]) -> str:
    out = io.StringIO()
    safe = [f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell for cell in cells]
    csv.writer(out).writerow(safe)
    return out.getvalue()


def _day(said: str, where: tzinfo, otherwise: float, *, days: int = 0) -> float:
    try:
        day = datetime.strptime(said, "%Y-%m-%d").replace(tzinfo=where)
        return (day + timedelta(days=days)).timestamp()
    except (ValueError, OverflowError):
        return otherwise
