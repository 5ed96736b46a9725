"""The rider's pages: a socket, its live parts, start, stop, and the receipt."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import tzinfo
from decimal import Decimal

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from chargerd.operator.hooks import Hooks, Payment
from chargerd.operator.messages import Command
from chargerd.operator.picture import Picture, Port
from chargerd.operator.prices import Prices, Tariff
from chargerd.operator.rides import WAIT_S, Goal, NewRide
from chargerd.operator.standing import Standing, Standings
from chargerd.operator.store import Store, TakenError
from chargerd.operator.web import (
    HEADERS,
    FormError,
    Pages,
    Parts,
    Signer,
    about,
    event,
    form_of,
    known_by,
    language_of,
    moment,
    money,
    new_secret,
    path,
    phone_of,
    secret_of,
    zone,
)
from chargerd.operator.words import Words

PARTS = ("state", "figures", "curve", "actions")
LEAST_BETWEEN_S = 0.9
"""Between two looks at a socket: a rider reads no faster."""
BEAT_S = 15.0
NOTICES = frozenset({"taken", "offline", "not_free", "cookies", "old", "payment", "not_yours", "stop_offline"})
CURVE_WIDTH, CURVE_HEIGHT = 300, 60
MOST_POINTS = 60


class Riders:
    """Everything below `/s` and `/r`."""

    def __init__(
        self,
        store: Store,
        picture: Picture,
        prices: Prices,
        hooks: Hooks,
        pages: Pages,
        send: Callable[[Command], None],
    ) -> None:
        self._store = store
        self._picture = picture
        self._prices = prices
        self._hooks = hooks
        self._pages = pages
        self._send = send
        self._signer = Signer(store.secret)
        self._standings = Standings(store, picture)

    @property
    def routes(self) -> list[Route]:
        """Return what is answered here."""
        return [
            Route("/s/{gateway}/{port}", self.socket),
            Route("/s/{gateway}/{port}/live", self.live),
            Route("/s/{gateway}/{port}/start", self.start, methods=["POST"]),
            Route("/s/{gateway}/{port}/stop", self.stop, methods=["POST"]),
            Route("/r/{receipt}", self.receipt),
        ]

    # Looking

    async def socket(self, request: Request) -> Response:
        """Show a socket to this phone."""
        port = self._port(request)
        if port is None:
            return self._pages.error(request, "no_socket", 404)
        notice = request.query_params.get("notice", "")
        secret = secret_of(request) or new_secret()
        phone = known_by(secret)
        standing = self._standings.of(port, phone)
        response = self._pages.page(
            request,
            "socket.html",
            parts=self._parts(standing, language_of(request), phone),
            standing=standing,
            shed=self._picture.gateways[port.gateway].name or port.gateway,
            refresh=standing.kind != "free",
            notice=notice if notice in NOTICES else "",
        )
        self._pages.give_phone(response, secret)
        return response

    async def live(self, request: Request) -> Response:
        """Send the parts of a socket's page that have changed, for as long as it is looked at."""
        port = self._port(request)
        if port is None:
            return self._pages.error(request, "no_socket", 404)
        if self._picture.crowded:
            return Response(status_code=503, headers=dict(HEADERS))
        stream = self._changes(port, language_of(request), phone_of(request))
        return StreamingResponse(stream, media_type="text/event-stream", headers=dict(HEADERS))

    async def _changes(self, port: Port, said: Words, phone: str | None) -> AsyncIterator[str]:
        shown: Parts = {}
        with self._picture.reader(port.gateway, port.port) as news:
            while True:
                news.clear()
                parts = self._parts(self._standings.of(port, phone), said, phone or "")
                yield event(parts, shown)
                shown = parts
                await asyncio.sleep(LEAST_BETWEEN_S)
                try:
                    await asyncio.wait_for(news.wait(), BEAT_S)
                except TimeoutError:
                    continue

    def _parts(self, standing: Standing, said: Words, phone: str) -> Parts:
        port, gateway, now = standing.port, standing.gateway, self._picture.moment
        where = zone(gateway.timezone)
        tariff = standing.tariff or self._prices.tariff
        symbol = self._prices.tariff.symbol
        shown = {
            "standing": standing,
            "port": port,
            "shed": gateway.name or gateway.id,
            "reason": self._reason(standing.ride, standing.session, said),
            "by": self._prices.tariff.by,
            "prices": price_lines(self._prices.tariff, said),
            "hours": [one for one in self._prices.hours if port.longest_s is None or one * 3600 <= port.longest_s],
            "amounts": [(one, money(Decimal(one) / 100, symbol)) for one in self._prices.amounts],
            "chosen": _chosen(standing, said),
            "cost": None if standing.cost is None else money(standing.cost, tariff.symbol, 3),
            "total": _total(standing.session, tariff),
            "curve": curve(port),
            "power": None if port.power_age(now) is not None else port.power_now(now),
            "tap": self._tap(phone, port),
            "stop_token": "" if standing.ride is None else self._stop_token(phone, standing.ride["session_id"]),
            "wait_minutes": WAIT_S // 60,
            "waits_until": self._waits_until(standing, where),
            "heard": moment(port.heard_at, where, "%H:%M"),
            "lost": moment(gateway.lost_at, where, "%H:%M"),
            "next_shed": self._next_shed(standing),
        }
        return self._pages.parts("parts", PARTS, said, **shown)

    def _waits_until(self, standing: Standing, where: tzinfo) -> str:
        """Return when a start that waits for room gives up; nothing, if its gateway has set that."""
        if standing.kind != "queued" or standing.ride is None:
            return ""
        query = "SELECT args FROM command WHERE name = 'start' AND gateway = ? AND session_id = ?"
        row = self._store.one(query, standing.ride["gateway"], standing.ride["session_id"])
        if row is None or "queue_s" not in (args := json.loads(row["args"])):
            return ""
        return moment(standing.ride["asked_at"] + args["queue_s"], where, "%H:%M")

    def _next_shed(self, standing: Standing) -> str:
        found = standing.next_free
        if found is None or found.gateway == standing.port.gateway:
            return ""
        return self._picture.gateways[found.gateway].name or found.gateway

    # Acting

    async def start(self, request: Request) -> Response:
        """Start a charge, once for each sheet of the form, however often it is tapped."""
        port = self._port(request)
        if port is None:
            return self._pages.error(request, "no_socket", 404)
        here, phone = path("s", port.gateway, port.port), phone_of(request)
        if phone is None:
            return self._pages.back(here, "cookies")
        try:
            form = await form_of(request)
        except FormError:
            return self._pages.error(request, "forbidden", 403)
        tap = form.get("tap", "")
        goal = Goal.parse(form.get("goal", ""), self._prices.hours, self._prices.amounts)
        if self._again(tap, phone):
            return self._pages.back(here)
        if goal is None or not self._tap_fits(tap, phone, port):
            return self._pages.back(here, "old")
        return self._pages.back(here, await self._begin(request, port, phone, form, goal))

    async def _begin(self, request: Request, port: Port, phone: str, form: Mapping[str, str], goal: Goal) -> str:
        """Send a start; return the notice, if it could not be. Who was shown a full line has said to wait."""
        standing = self._standings.of(port, phone)
        if standing.mine:
            return ""
        gateway = self._picture.gateways[port.gateway]
        if not gateway.online:
            return "offline"
        waits = "wait" in form
        if not standing.can_start and not (standing.can_wait and waits):
            return "taken" if self._standings.taken(port) or port.session else "not_free"
        rider = await asyncio.to_thread(self._hooks.identify, request.headers)
        ride = NewRide(
            port.gateway, port.port, phone, form["tap"], goal, rider=rider, stream=gateway.stream, waits=waits
        )
        payment = Payment(
            step="reserve", gateway=port.gateway, session_id=ride.session_id, rider=rider, amount=goal.amount
        )
        if not await asyncio.to_thread(self._hooks.pay, payment):
            return "payment"
        command = ride.command(
            self._prices.tariff, self._store.clock(), longest_s=port.longest_s, most_wh=port.most_wh
        )
        try:
            session = self._store.open_ride(ride, command)
        except TakenError:
            return "taken"
        if session == ride.session_id:
            self._send(command)
            self._picture.tell(port.gateway, port.port)
        return ""

    async def stop(self, request: Request) -> Response:
        """Stop a charge of this phone, and of no other."""
        port, phone = self._port(request), phone_of(request)
        if port is None:
            return self._pages.error(request, "no_socket", 404)
        here = path("s", port.gateway, port.port)
        try:
            form = await form_of(request)
        except FormError:
            return self._pages.error(request, "forbidden", 403)
        session, token = form.get("session", ""), form.get("token", "")
        query = "SELECT * FROM ride WHERE session_id = ? AND gateway = ? AND port = ?"
        ride = self._store.one(query, session, port.gateway, port.port)
        if ride is None or phone is None or ride["phone"] != phone:
            return self._pages.back(here, "not_yours")
        if not self._signer.fits(token, "stop", phone, session):
            return self._pages.error(request, "forbidden", 403)
        if not ride["closed"]:
            args = {"port": port.port, "session_id": session}
            command = Command.new(port.gateway, "stop", args, now=self._store.clock())
            if self._store.keep_command(command, "rider"):
                self._send(command)
                self._picture.tell(port.gateway, port.port)
        return self._pages.back(here, "" if self._picture.gateways[port.gateway].online else "stop_offline")

    # The receipt

    async def receipt(self, request: Request) -> Response:
        """Show what a charge came to, to whoever has the link."""
        ride = self._store.one("SELECT * FROM ride WHERE receipt = ?", request.path_params["receipt"])
        if ride is None:
            return self._pages.error(request, "no_page", 404)
        query = "SELECT * FROM session WHERE gateway = ? AND session_id = ? AND settled = 1"
        session = self._store.one(query, ride["gateway"], ride["session_id"])
        gateway = self._picture.gateways.get(ride["gateway"])
        where, tariff, said = (
            zone(gateway.timezone if gateway else ""),
            Tariff.from_json(ride["tariff"]),
            language_of(request),
        )
        return self._pages.page(
            request,
            "receipt.html",
            ride=ride,
            session=session,
            shed=(gateway and gateway.name) or ride["gateway"],
            reason=self._reason(ride, session, said),
            began=session and _moment(session["started_at"], ride["asked_at"], where),
            ended=session and _moment(session["ended_at"], session["heard_at"], where),
            total=_total(session, tariff),
            tiers=_tiers(session, tariff, said),
            capped=_capped(ride, session, tariff),
        )

    # Tokens

    def _tap(self, phone: str, port: Port) -> str:
        """Return the token of a sheet of the form: another one after each charge this phone has had there."""
        return self._signer.token(*self._sheet(phone, port))

    def _tap_fits(self, tap: str, phone: str, port: Port) -> bool:
        return self._signer.fits(tap, *self._sheet(phone, port))

    def _sheet(self, phone: str, port: Port) -> tuple[object, ...]:
        """Return what tells a sheet from others; the prices on it are those that its rider agrees to."""
        query = "SELECT count(*) FROM ride WHERE gateway = ? AND port = ? AND phone = ?"
        row = self._store.one(query, port.gateway, port.port, phone)
        had = 0 if row is None else row[0]
        return "start", phone, port.gateway, port.port, had, self._prices.tariff.as_json()

    def _again(self, tap: str, phone: str) -> bool:
        return self._store.one("SELECT 1 FROM ride WHERE tap = ? AND phone = ?", tap, phone) is not None

    def _stop_token(self, phone: str, session: str) -> str:
        return self._signer.token("stop", phone, session)

    # Words

    def _port(self, request: Request) -> Port | None:
        return self._picture.port(request.path_params["gateway"], request.path_params["port"])

    def _reason(self, ride: sqlite3.Row | None, session: sqlite3.Row | None, said: Words) -> str:
        """Return in plain words why a session has ended: a stop from afar is somebody's."""
        if ride is None or session is None or not session["settled"]:
            return ""
        reason = session["stop_reason"]
        if reason == "remote":
            query = "SELECT asked_by FROM command WHERE name = 'stop' AND gateway = ? AND session_id = ?"
            asked = self._store.one(query, ride["gateway"], ride["session_id"])
            reason = "remote" if asked is None or asked[0] == "rider" else asked[0]
        return said.of("reason", reason)


def _chosen(standing: Standing, said: Words) -> str:
    """Return what this phone's rider chose: it may not be to choose from any more."""
    goal, tariff = standing.goal, standing.tariff
    if goal is None or tariff is None:
        return ""
    if goal.hours is not None:
        return said("page.for_hours", hours=goal.hours)
    if goal.amount is not None:
        return said("page.for_amount", amount=money(Decimal(goal.amount) / 100, tariff.symbol))
    return said("page.until_full")


def price_lines(tariff: Tariff, said: Words) -> list[str]:
    """Return a tariff in words."""
    if tariff.by != "tier":
        return [said(f"page.price_{tariff.by}", price=money(tariff.per, tariff.symbol))]
    lines = []
    for tier in tariff.tiers:
        price = money(tier.per_hour, tariff.symbol)
        above = tier.up_to_w is None
        lines.append(
            said("page.price_tier_above", price=price)
            if above
            else said("page.price_tier", price=price, watts=f"{tier.up_to_w:g}")
        )
    return lines


def curve(port: Port) -> tuple[str, str]:
    """Return the power of a session as points of a line, and its highest, in watts."""
    points = list(port.curve.points)
    if len(points) < 2:  # noqa: PLR2004 - a line has two ends
        return "", ""
    points = points[:: max(1, len(points) // MOST_POINTS)] + points[-1:]
    first, last, most = points[0][0], points[-1][0], max(power for _at, power in points) or 1.0
    span = (last - first) or 1.0
    drawn = [
        f"{(at - first) / span * CURVE_WIDTH:.0f},{CURVE_HEIGHT - max(power, 0.0) / most * (CURVE_HEIGHT - 2):.0f}"
        for at, power in points
    ]
    return " ".join(drawn), f"{most:.0f}"


def _moment(known: float | None, otherwise: float, where: tzinfo) -> str:
    at, mark = about(known, otherwise)
    return mark + moment(at, where)


def _total(session: sqlite3.Row | None, tariff: Tariff) -> str:
    if session is None or session["amount"] is None:
        return ""
    return money(Decimal(session["amount"]) / 100, tariff.symbol)


def _tiers(session: sqlite3.Row | None, tariff: Tariff, said: Words) -> list[tuple[str, float, str]]:
    if session is None or tariff.by != "tier":
        return []
    rows = []
    for tier in json.loads(session["tiers"]):
        bound = tier.get("up_to_w")
        name = said("receipt.tier_above") if bound is None else said("receipt.tier", watts=f"{bound:g}")
        if tier.get("charging_s"):
            rows.append((name, tier["charging_s"], money(tariff.price_at(bound), tariff.symbol)))
    return rows


def _capped(ride: sqlite3.Row, session: sqlite3.Row | None, tariff: Tariff) -> str:
    most = ride["amount_limit"]
    if session is None or most is None or session["amount"] < most:
        return ""
    return money(Decimal(most) / 100, tariff.symbol)
