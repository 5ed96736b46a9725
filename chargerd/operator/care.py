"""What has to be looked after, message or none: presences that run out, starts nobody answers, amounts, bills."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from decimal import Decimal

from chargerd.operator.hooks import Hooks, Payment
from chargerd.operator.messages import Command
from chargerd.operator.picture import Picture
from chargerd.operator.prices import Tariff
from chargerd.operator.store import CLOCK_STEP_S, Store

TURN_S = 1.0
GRACE_S = 5.0
"""A reply may come after its command has expired."""
BILLS_AT_ONCE = 50
FORGET_EVERY_S = 3600.0
log = logging.getLogger(__name__)


class Care:
    """One turn a second, on the event loop."""

    def __init__(self, store: Store, picture: Picture, hooks: Hooks, send: Callable[[Command], None]) -> None:
        self._store = store
        self._picture = picture
        self._hooks = hooks
        self._send = send
        self._forget_at = 0.0

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            await asyncio.sleep(TURN_S)
            try:
                await self.turn()
            except sqlite3.OperationalError:
                log.exception("the database takes nothing right now")

    async def turn(self) -> None:
        """Look after everything once."""
        self._picture.expire()
        for ride in self._store.all("SELECT * FROM ride WHERE closed = 0"):
            self._look_after(ride)
        await self._bill()
        if self._store.clock() >= self._forget_at:
            self._forget_at = self._store.clock() + FORGET_EVERY_S
            self._store.forget()

    def _look_after(self, ride: sqlite3.Row) -> None:
        if ride["status"] == "asked":
            now = self._store.clock()
            if now > ride["until"] + GRACE_S or now < ride["asked_at"] - CLOCK_STEP_S:
                self._close(ride, "unanswered")
        elif self._is_lost(ride):
            self._close(ride, "lost")
        elif ride["amount_limit"] is not None:
            self._stop_at_amount(ride)

    def _close(self, ride: sqlite3.Row, status: str) -> None:
        self._store.close_ride(ride["session_id"], status, "")
        self._picture.tell(ride["gateway"], ride["port"])

    def _is_lost(self, ride: sqlite3.Row) -> bool:
        """Whether no settlement will come: its stream is gone, and all of the new one is stored.

        A stream without rows says nothing: the gateway cannot read its journal, and may come back with it.
        """
        gateway = self._picture.gateways.get(ride["gateway"])
        if gateway is None or not gateway.online or gateway.stream is None or gateway.last < max(gateway.first, 1):
            return False
        row = self._store.one(
            "SELECT stream FROM session WHERE gateway = ? AND session_id = ?", ride["gateway"], ride["session_id"]
        )
        stream = ride["stream"] if row is None else row["stream"]
        port = gateway.ports.get(ride["port"])
        if stream in {None, gateway.stream} or port is None or port.heard_at is None:
            return False
        query = "SELECT seq FROM through WHERE gateway = ? AND stream = ?"
        through = self._store.one(query, gateway.id, gateway.stream)
        return through is not None and through[0] >= gateway.last and port.session != ride["session_id"]

    def _stop_at_amount(self, ride: sqlite3.Row) -> None:
        """Stop what has cost its amount. By energy and by time the gateway does that by its own limits."""
        port = self._picture.port(ride["gateway"], ride["port"])
        tariff = Tariff.from_json(ride["tariff"])
        if port is None or port.session != ride["session_id"] or tariff.by != "tier":
            return
        if tariff.cost(self._picture.spent(port, tariff)) >= Decimal(ride["amount_limit"]) / 100:
            args = {"port": ride["port"], "session_id": ride["session_id"]}
            stop = Command.new(ride["gateway"], "stop", args, now=self._store.clock())
            if self._store.keep_command(stop, "amount"):
                self._send(stop)

    async def _bill(self) -> None:
        """Hand bills over until each is taken, once as far as we are concerned."""
        due = self._store.all(
            "SELECT s.gateway, s.session_id, s.amount, r.rider FROM session AS s LEFT JOIN ride AS r "
            "ON r.session_id = s.session_id AND r.gateway = s.gateway WHERE s.settled = 1 AND s.paid = 0 LIMIT ?",
            BILLS_AT_ONCE,
        )
        paid = []
        for bill in due:
            payment = Payment(
                step="settle",
                gateway=bill["gateway"],
                session_id=bill["session_id"],
                rider=bill["rider"],
                amount=bill["amount"],
            )
            if await self._taken(payment):
                paid.append((bill["gateway"], bill["session_id"]))
        if paid:
            self._store.paid(paid)

    async def _taken(self, payment: Payment) -> bool:
        try:
            return await asyncio.to_thread(self._hooks.pay, payment)
        except Exception:  # It is not ours, and what fails in it must not keep us from the sheds.
            log.exception("the hook for payments has failed; the bill is handed over again")
            return False
