"""Sessions and what they cost, alarms, and what became of commands, as the messages tell."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from chargerd.operator.clock import Clock
from chargerd.operator.messages import (
    Body,
    UnsoundError,
    figure,
    moment,
    of_this_century,
    part,
    text,
    text_or_none,
    whole,
    whole_or_none,
)
from chargerd.operator.prices import Spent, Tariff, hundredths

FINAL = frozenset({"done", "failed", "rejected", "expired"})
REFUSED = frozenset({"rejected", "expired"})
WORTH_KEEPING = frozenset({"alarm", "warning"})


class Sessions:
    """Takes in what gateways say. Whoever calls has begun a transaction."""

    def __init__(self, db: sqlite3.Connection, tariff: Tariff, clock: Clock) -> None:
        self._db = db
        self._tariff = tariff
        self._clock = clock

    # The ledger's rows

    def row(self, gateway: str, row: Body) -> None:
        """Take a row of the ledger in, once or again. Raises `UnsoundError`."""
        event = text(row, "event")
        if event == "ended":
            self._ended(gateway, row)
        elif "session_id" in row and "charging_s" in row:
            self._under_way(gateway, row)
        elif row.get("severity") in WORTH_KEEPING:
            self._alarm(gateway, row)
        if event in {"clock_fixed", "clock_step"}:
            self.clock_known(gateway, text(row, "stream"), whole(row, "boot"), whole(row, "offset_ms"))

    def _under_way(self, gateway: str, row: Body) -> None:
        """`started`, `updated`, `suspended`, `resumed`: in any order, and after the settlement, too."""
        session, boot = text(row, "session_id"), whole(row, "boot")
        begins = row["event"] == "started"
        self._db.execute(
            "INSERT OR IGNORE INTO session (gateway, session_id, port, stream, heard_at, order_id, source, "
            "energy_wh, charging_s, suspended_s) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0)",
            (
                *(gateway, session, text(row, "port"), text(row, "stream"), self._clock()),
                *(text_or_none(row, "order_id"), text_or_none(row, "start_source")),
            ),
        )
        self._db.execute(
            "UPDATE session SET energy_wh = max(energy_wh, ?), charging_s = max(charging_s, ?), "
            "suspended_s = max(suspended_s, ?), started_at = coalesce(started_at, ?), stream = ? "
            "WHERE gateway = ? AND session_id = ? AND settled = 0",
            (
                *(whole(row, "energy_wh"), whole(row, "charging_s"), whole(row, "suspended_s")),
                *(moment(row, "started_at"), text(row, "stream"), gateway, session),
            ),
        )
        if begins:
            self._db.execute(
                "UPDATE session SET started_boot = ?, started_up_ms = ? "
                "WHERE gateway = ? AND session_id = ? AND started_boot IS NULL",
                (boot, whole(row, "up_ms"), gateway, session),
            )
        self._db.execute(
            "UPDATE ride SET status = 'accepted', closed = 0 WHERE session_id = ? AND gateway = ? AND status IN "
            "('asked', 'unanswered') AND NOT EXISTS (SELECT 1 FROM session AS s "
            "WHERE s.session_id = ride.session_id AND s.gateway = ride.gateway AND s.settled = 1)",
            (session, gateway),
        )

    def _ended(self, gateway: str, row: Body) -> None:
        """The settlement: the first of a gateway and session counts, whatever was heard of it before."""
        session, port, stream = text(row, "session_id"), text(row, "port"), text(row, "stream")
        known = self._db.execute(
            "SELECT settled FROM session WHERE gateway = ? AND session_id = ?", (gateway, session)
        ).fetchone()
        if known is not None and known[0]:
            return
        amount, tariff = self._price(gateway, session, row)
        began, end = part(row, "started"), part(row, "ended")
        told: Mapping[str, Any] = {
            "port": port,
            "stream": stream,
            "heard_at": self._clock(),
            "started_at": moment(row, "started_at") or self._rebased(gateway, stream, began),
            "started_boot": whole(began, "boot"),
            "started_up_ms": whole(began, "up_ms"),
            "ended_at": moment(row, "ended_at") or self._rebased(gateway, stream, end),
            "ended_boot": whole(end, "boot"),
            "ended_up_ms": whole(end, "up_ms"),
            "order_id": text_or_none(row, "order_id"),
            "source": text_or_none(row, "start_source"),
            "energy_wh": whole(row, "energy_wh"),
            "charging_s": whole(row, "charging_s"),
            "suspended_s": whole(row, "suspended_s"),
            "settled": 1,
            "stop_reason": text(row, "stop_reason"),
            "quality": text(row, "energy_quality"),
            "peak_power_w": figure(row, "peak_power_w"),
            "tiers": json.dumps(row["tiers"]),
            "amount": amount,
            "tariff": tariff.as_json(),
        }
        names = ("gateway", "session_id", *told)
        self._db.execute(
            f"INSERT OR REPLACE INTO session ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",  # noqa: S608 - names of ours
            (gateway, session, *told.values()),
        )
        self._db.execute(
            "UPDATE ride SET status = 'ended', closed = 1 WHERE session_id = ? AND gateway = ?", (session, gateway)
        )

    def _price(self, gateway: str, session: str, row: Body) -> tuple[int, Tariff]:
        """Return what a session costs, and by which tariff: the one its rider was shown.

        A session that another gateway has, too, is that one's: a clone of its card ends it once more. One of a
        wiring proof is nobody's.
        """
        if _of_a_proof(row):
            return 0, self._tariff
        spent = Spent(whole(row, "energy_wh"), whole(row, "charging_s"), _tiers(row))
        ride = self._db.execute(
            "SELECT gateway, tariff, amount_limit FROM ride WHERE session_id = ?", (session,)
        ).fetchone()
        if ride is None:
            query = "SELECT 1 FROM session WHERE session_id = ? AND gateway != ?"
            elsewhere = self._db.execute(query, (session, gateway)).fetchone() is not None
            return 0 if elsewhere else hundredths(self._tariff.cost(spent)), self._tariff
        tariff = Tariff.from_json(ride["tariff"])
        if ride["gateway"] != gateway:
            return 0, tariff
        return hundredths(tariff.cost(spent), ride["amount_limit"]), tariff

    def _alarm(self, gateway: str, row: Body) -> None:
        at = moment(row, "at") or self._clock()
        reason = row.get("reason") or row.get("function") or row.get("board")
        self._db.execute(
            "INSERT OR IGNORE INTO alarm VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(gateway, text(row, "stream"), whole(row, "seq"), at, text(row, "severity"), text(row, "event")),
                *(text_or_none(row, "port"), None if reason is None else str(reason)),
            ),
        )

    # Time

    def clock_known(self, gateway: str, stream: str, boot: int, offset_ms: int) -> None:
        """Give the moments of a boot that had no clock their time."""
        if of_this_century(offset_ms / 1000) is None:  # It is when the boot began.
            return
        self._db.execute("INSERT OR IGNORE INTO boot VALUES (?, ?, ?, ?)", (gateway, stream, boot, offset_ms))
        for end in ("started", "ended"):
            self._db.execute(
                f"UPDATE session SET {end}_at = ({end}_up_ms + ?) / 1000.0 "  # noqa: S608 - names of ours
                f"WHERE gateway = ? AND stream = ? AND {end}_boot = ? AND {end}_at IS NULL",
                (offset_ms, gateway, stream, boot),
            )

    def _rebased(self, gateway: str, stream: str, stamp: Body) -> float | None:
        query = "SELECT offset_ms FROM boot WHERE gateway = ? AND stream = ? AND boot = ?"
        found = self._db.execute(query, (gateway, stream, whole(stamp, "boot"))).fetchone()
        return None if found is None else of_this_century((whole(stamp, "up_ms") + found[0]) / 1000)

    # Replies and sockets

    def reply(self, body: Body) -> None:
        """Take in what became of a command; a repetition changes nothing. Raises `UnsoundError`."""
        number, status, code = text(body, "id"), text(body, "status"), text(body, "code")
        changed = self._db.execute(
            "UPDATE command SET status = ?, code = ?, message = ? WHERE id = ? AND gateway = ? "
            "AND status IN ('sent', 'accepted')",
            (status, code, text_or_none(body, "message") or "", number, text(body, "gateway")),
        )
        if not changed.rowcount:
            return
        name, session = self._db.execute("SELECT name, session_id FROM command WHERE id = ?", (number,)).fetchone()
        if name == "start":
            self._started(session, status, code)

    def _started(self, session: str, status: str, code: str) -> None:
        """A start has come to something, or to nothing. An accepted one is closed by its settlement alone."""
        if status in REFUSED:
            status, closes = "refused", "1"
        elif status == "failed":
            closes = "CASE WHEN status IN ('asked', 'unanswered') THEN 1 ELSE closed END"
        else:
            closes = "0"
        self._db.execute(
            f"UPDATE ride SET closed = {closes}, status = ?, code = ? "  # noqa: S608 - one of the above
            "WHERE session_id = ? AND status NOT IN ('ended', 'lost')",
            (status, code, session),
        )

    def socket(self, gateway: str, port: str, label: str) -> None:
        """Remember a socket: its code is on the wall, whether its gateway is there or not."""
        self._db.execute("INSERT OR REPLACE INTO socket VALUES (?, ?, ?)", (gateway, port, label))


def _of_a_proof(row: Body) -> bool:
    """Say whether a session was a step of a wiring proof: made on site, by an order of the proof's name."""
    order = text_or_none(row, "order_id")
    return row.get("start_source") == "local" and order is not None and order.startswith("proof-")


def _tiers(row: Body) -> dict[float | None, float]:
    tiers = row.get("tiers")
    if not isinstance(tiers, list) or not all(isinstance(one, dict) for one in tiers):
        raise UnsoundError("tiers is no list of objects")
    return {figure(one, "up_to_w"): whole_or_none(one, "charging_s") or 0 for one in tiers}
