"""How a socket stands for the phone that looks at it: one word, and what follows from it."""

import sqlite3
from dataclasses import dataclass, replace
from decimal import Decimal

from chargerd.operator.picture import Gateway, Picture, Port
from chargerd.operator.prices import Tariff
from chargerd.operator.rides import Goal
from chargerd.operator.store import Store

CURRENT_FLOWS_W = 5.0
"""Below it nothing is plugged in, as far as a rider can see."""
RECEIPT_SHOWN_S = 12 * 3600
REFUSAL_SHOWN_S = 600
IN_USE = frozenset({"queued", "starting", "charging", "suspended", "stopping"})
BLOCKED = {"tripped": "latched", "unknown": "not_yet_known"}
"""The code a start would be refused with; that of other states is their name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`kind` names a headline. `code`: why, of the contract. `ride`: this phone's, if the page is about it."""

    kind: str
    port: Port
    gateway: Gateway
    code: str = ""
    can_start: bool = False
    can_wait: bool = False
    """Whether nothing but room on its line is missing: a start would wait for it."""
    ride: sqlite3.Row | None = None
    session: sqlite3.Row | None = None
    cost: Decimal | None = None
    stopping: bool = False
    next_free: Port | None = None

    @property
    def mine(self) -> bool:
        """Whether this phone's ride is under way."""
        return self.ride is not None and not self.ride["closed"]

    @property
    def tariff(self) -> Tariff | None:
        """Return the prices of this phone's ride."""
        return None if self.ride is None else Tariff.from_json(self.ride["tariff"])

    @property
    def goal(self) -> Goal | None:
        """Return what its rider chose."""
        return None if self.ride is None else Goal.kept(self.ride["goal"])


class Standings:
    """Looks at picture and store."""

    def __init__(self, store: Store, picture: Picture) -> None:
        self._store = store
        self._picture = picture

    def of(self, port: Port, phone: str | None) -> Standing:
        """Return how a socket stands for a phone; `None`: for one we have never seen."""
        gateway = self._picture.gateways[port.gateway]
        kind, code = self._anybody(port, gateway)
        ride = None if phone is None else self._ride(port, phone)
        mine = None if ride is None else self._mine(port, gateway, ride)
        if mine is None or ride is None:
            return self._with_next(
                Standing(
                    kind=kind,
                    port=port,
                    gateway=gateway,
                    code=code,
                    can_start=kind == "free",
                    can_wait=kind == "blocked" and _is_full(port),
                )
            )
        session = self._session(ride)
        cost = None
        if not ride["closed"] and port.session == ride["session_id"]:
            tariff = Tariff.from_json(ride["tariff"])
            cost = tariff.cost(self._picture.spent(port, tariff))
            if ride["amount_limit"] is not None:
                cost = min(cost, Decimal(ride["amount_limit"]) / 100)
        return self._with_next(
            Standing(
                kind=mine[0],
                port=port,
                gateway=gateway,
                code=mine[1],
                can_start=bool(ride["closed"]) and kind == "free",
                can_wait=bool(ride["closed"]) and kind == "blocked" and _is_full(port),
                ride=ride,
                session=session,
                cost=cost,
                stopping=not ride["closed"] and self._stop_sent(ride),
            )
        )

    def taken(self, port: Port) -> bool:
        """Whether a ride stands open at a socket, be the gateway's state about it still to come."""
        query = "SELECT 1 FROM ride WHERE gateway = ? AND port = ? AND closed = 0"
        return self._store.one(query, port.gateway, port.port) is not None

    def _anybody(self, port: Port, gateway: Gateway) -> tuple[str, str]:
        """Return how a socket stands for whoever has nothing there."""
        if not gateway.online or port.heard_at is None:
            return "offline", ""
        if port.state in IN_USE or port.session is not None:
            return "taken", ""
        if port.state != "available":
            return "blocked", BLOCKED.get(port.state, port.state)
        if self.taken(port):
            return "taken", ""
        return ("blocked", port.blocked_by[0]) if port.blocked_by else ("free", "")

    def _mine(self, port: Port, gateway: Gateway, ride: sqlite3.Row) -> tuple[str, str] | None:
        """Return how a phone's own ride stands; `None`: it is of no interest any more."""
        now, session = self._store.clock(), ride["session_id"]
        if ride["status"] == "ended":
            return ("ended", "") if now < self._ended_at(ride) + RECEIPT_SHOWN_S else None
        if ride["closed"]:
            if now > ride["until"] + REFUSAL_SHOWN_S:
                return None
            status = ride["status"]
            return (status, "") if status in {"unanswered", "lost"} else ("refused", ride["code"])
        if port.session == session:
            return self._under_way(port, gateway, ride)
        if not gateway.online:
            return ("asked", "") if ride["status"] == "asked" else (_away(gateway), "")
        return {"asked": "asked", "accepted": "starting"}.get(ride["status"], "settling"), ""

    def _under_way(self, port: Port, gateway: Gateway, ride: sqlite3.Row) -> tuple[str, str]:
        if not gateway.online:
            return _away(gateway), ""
        if port.state == "charging":
            flows = ride["status"] == "done" or (port.power_w or 0.0) >= CURRENT_FLOWS_W
            return ("charging" if flows else "plug_in"), ""
        if port.state == "suspended":
            return "suspended", port.suspended_by or ""
        return (port.state if port.state in {"queued", "starting"} else "stopping"), ""

    def _with_next(self, standing: Standing) -> Standing:
        if standing.mine or standing.can_start or standing.kind == "ended":
            return standing
        found = self._picture.next_free(standing.port, self.taken)
        return replace(standing, next_free=found)

    def _ride(self, port: Port, phone: str) -> sqlite3.Row | None:
        return self._store.one(
            "SELECT * FROM ride WHERE gateway = ? AND port = ? AND phone = ? "
            "ORDER BY closed, asked_at DESC LIMIT 1",
            *(port.gateway, port.port, phone),
        )

    def _session(self, ride: sqlite3.Row) -> sqlite3.Row | None:
        query = "SELECT * FROM session WHERE gateway = ? AND session_id = ?"
        return self._store.one(query, ride["gateway"], ride["session_id"])

    def _ended_at(self, ride: sqlite3.Row) -> float:
        session = self._session(ride)
        return float(ride["asked_at"] if session is None else session["heard_at"])

    def _stop_sent(self, ride: sqlite3.Row) -> bool:
        query = (
            "SELECT 1 FROM command WHERE gateway = ? AND name = 'stop' AND session_id = ? AND until > ? "
            "AND status IN ('sent', 'accepted')"
        )
        return self._store.one(query, ride["gateway"], ride["session_id"], self._store.clock()) is not None


def _is_full(port: Port) -> bool:
    return set(port.blocked_by) == {"circuit_full"}


def _away(gateway: Gateway) -> str:
    """Return how a ride stands whose gateway is away: one that was stopped in order has opened its relays."""
    if gateway.shut and gateway.waits:
        return "mine_waits"
    return "mine_shut" if gateway.shut else "mine_offline"
