"""The operator's pages: sheds at a glance, sessions and money, a socket and what may be done to it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import segno
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from chargerd.operator.books import PAGE, Books, Span
from chargerd.operator.guard import COOKIE, STAYS_S, Guard
from chargerd.operator.messages import Command
from chargerd.operator.picture import Gateway, Picture, Port
from chargerd.operator.prices import Prices, Tariff
from chargerd.operator.store import Store
from chargerd.operator.web import (
    HEADERS,
    FormError,
    Pages,
    Parts,
    about,
    energy,
    event,
    form_of,
    language_of,
    moment,
    money,
    path,
    watts,
    zone,
)
from chargerd.operator.words import Words

HOME = "/operator"
PARTS = ("summary", "alarms", "sheds")
LEAST_BETWEEN_S = 1.0
BEAT_S = 15.0
LONGEST_REASON = 120
SERIOUS = {"locked_out": 0, "tripped": 1, "unknown": 2, "disabled": 4}
"""States that need somebody, worst first; boards that do not answer are between."""
BOARD, OFFLINE = 3, 1
ACTIONS = frozenset({"stop", "disable", "enable", "reset"})
Answer: TypeAlias = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that needs somebody. `rank`: worst first."""

    rank: int
    where: str
    what: str
    link: str


class Office:
    """Everything below `/operator`."""

    def __init__(
        self,
        store: Store,
        picture: Picture,
        prices: Prices,
        guard: Guard,
        pages: Pages,
        send: Callable[[Command], None],
        url: str = "",
    ) -> None:
        self._url = url.rstrip("/")
        self._store = store
        self._books = Books(store)
        self._picture = picture
        self._prices = prices
        self._guard = guard
        self._pages = pages
        self._send = send

    @property
    def routes(self) -> list[Route]:
        """Return what is answered here: all of it for whoever has logged in, but the login."""
        inside = self._inside
        return [
            Route(HOME, inside(self.overview)),
            Route(f"{HOME}/live", inside(self.live)),
            Route(f"{HOME}/sessions", inside(self.sessions)),
            Route(f"{HOME}/sessions.csv", inside(self.csv)),
            Route(f"{HOME}/labels", inside(self.labels)),
            Route(f"{HOME}/s/{{gateway}}/{{port}}", inside(self.socket)),
            Route(f"{HOME}/s/{{gateway}}/{{port}}/{{action}}", inside(self.act), methods=["POST"]),
            Route(f"{HOME}/login", self.login, methods=["GET", "POST"]),
            Route(f"{HOME}/logout", inside(self.logout), methods=["POST"]),
        ]

    # Who may

    def _inside(self, answer: Answer) -> Answer:
        async def guarded(request: Request) -> Response:
            if not self._guard.lets_in(request):
                return self._pages.back(f"{HOME}/login")
            return await answer(request)

        return guarded

    async def _form(self, request: Request) -> dict[str, str] | None:
        """Return a form of this login's pages, or `None`."""
        try:
            form = await form_of(request)
        except FormError:
            return None
        return dict(form) if self._guard.form_fits(request, form.get("token", "")) else None

    async def login(self, request: Request) -> Response:
        """Ask for the account. The form changes nothing but who asks, and its cookie goes to our pages alone."""
        if request.method == "GET":
            return self._login(request, "", 200)
        if self._guard.too_many():
            return self._pages.error(request, "too_many", 429)
        try:
            form = await form_of(request)
        except FormError:
            return self._pages.error(request, "forbidden", 403)
        cookie = self._guard.login(form.get("user", ""), form.get("password", ""))
        if cookie is None:
            return self._login(request, "wrong", 403)
        response = self._pages.back(HOME)
        self._pages.cookie(response, COOKIE, cookie, STAYS_S)
        return response

    def _login(self, request: Request, problem: str, status: int) -> Response:
        known = self._guard.account is not None
        return self._pages.page(request, "office/login.html", status=status, problem=problem, known=known)

    async def logout(self, request: Request) -> Response:
        """Forget the login in this browser."""
        if await self._form(request) is None:
            return self._pages.error(request, "forbidden", 403)
        response = self._pages.back(f"{HOME}/login")
        response.delete_cookie(COOKIE)
        return response

    # Looking

    async def overview(self, request: Request) -> Response:
        """Show all sheds."""
        return self._page(request, "sheds", parts=self._parts(language_of(request)))

    async def live(self, request: Request) -> Response:
        """Send the parts of the overview that have changed."""
        if self._picture.crowded:
            return Response(status_code=503, headers=dict(HEADERS))
        stream = self._changes(request, language_of(request))
        return StreamingResponse(stream, media_type="text/event-stream", headers=dict(HEADERS))

    async def _changes(self, request: Request, said: Words) -> AsyncIterator[str]:
        shown: Parts = {}
        with self._picture.reader() as news:
            while self._guard.lets_in(request):
                news.clear()
                parts = self._parts(said)
                yield event(parts, shown)
                shown = parts
                await asyncio.sleep(LEAST_BETWEEN_S)
                try:
                    await asyncio.wait_for(news.wait(), BEAT_S)
                except TimeoutError:
                    continue

    def _parts(self, said: Words) -> Parts:
        today, now = self._books.today(self._zone()), self._picture.moment
        sheds = sorted(self._picture.gateways.values(), key=lambda shed: shed.id)
        shown = {
            "today": today,
            "money": self._money(today.amount),
            "under_way": sum(port.session is not None for port in self._picture.ports()),
            "power": sum(
                port.power_now(now) or 0.0 for port in self._picture.ports() if port.power_age(now) is None
            ),
            "troubles": self._troubles(said),
            "alarms": [(row, self._when(row["at"], row["gateway"])) for row in self._books.alarms()],
            "sheds": [
                (shed, [self._tile(port, shed, said) for _id, port in sorted(shed.ports.items())])
                for shed in sheds
            ],
        }
        return self._pages.parts("office/parts", PARTS, said, **shown)

    def _tile(self, port: Port, shed: Gateway, said: Words) -> dict[str, Any]:
        """Return what a socket shows at a glance."""
        kind = port.state
        if port.state == "available" and port.blocked_by:
            kind = "blocked"
        if not shed.online:
            kind = "offline"
        now = self._picture.moment
        power = watts(port.power_now(now)) if shed.online else watts(None)
        age = port.power_age(now) if shed.online else None
        return {
            "port": port,
            "kind": kind,
            "state": said.of("port_state", kind),
            "why": self._why(port),
            "power": power,
            "age": "" if age is None else f"{age:.0f} s",
        }

    def _why(self, port: Port) -> str:
        """Return why a socket is as it is, in the words of the contract: they are what manuals name."""
        if port.state == "suspended":
            return port.suspended_by or ""
        held = [function for function, _clearing in port.latches]
        held += [why for why in (port.lock, port.disabled) if why is not None]
        return ", ".join(held or port.blocked_by) if held or port.state == "available" else ""

    def _troubles(self, said: Words) -> list[Trouble]:
        """Return what needs somebody now, worst first."""
        found = []
        for shed in self._picture.gateways.values():
            name = shed.name or shed.id
            if not shed.online:
                since = moment(shed.lost_at, zone(shed.timezone), "%H:%M")
                found.append(Trouble(OFFLINE, name, f"{said('office.offline')} {since}", ""))
            for port in shed.ports.values():
                if port.state in SERIOUS:
                    what = f"{said.of('port_state', port.state)} {self._why(port)}"
                    link = path("operator", "s", port.gateway, port.port)
                    found.append(Trouble(SERIOUS[port.state], f"{name} {port.label}", what, link))
            for board, health in sorted(shed.boards.items()):
                if health != "good":
                    found.append(Trouble(BOARD, f"{name} {board}", health, ""))
        return sorted(found, key=lambda one: (one.rank, one.where))

    async def sessions(self, request: Request) -> Response:
        """Show settled sessions, a page at a time."""
        query = request.query_params
        first, last = query.get("from", "")[:10], query.get("to", "")[:10]
        span = Span.of(first, last, self._zone(), self._store.clock())
        try:
            before = float(query.get("before", "inf"))
        except ValueError:
            before = float("inf")
        rows, total = self._books.sessions(span, before), self._books.sum(span)
        older = rows[PAGE - 1]["heard_at"] if len(rows) > PAGE else None
        said = language_of(request)
        return self._page(
            request,
            "sessions",
            first=first,
            last=last,
            rows=[self._line(row, said) for row in rows[:PAGE]],
            older=older,
            paged=before != float("inf"),
            total=said(
                "office.sum",
                count=total.count,
                energy=energy(total.energy_wh),
                money=self._money(total.amount),
            ),
        )

    async def csv(self, request: Request) -> Response:
        """Hand settlements out as a file."""
        query = request.query_params
        span = Span.of(query.get("from", ""), query.get("to", ""), self._zone(), self._store.clock())
        named = {"Content-Disposition": 'attachment; filename="settlements.csv"'}
        lines = self._books.as_csv(span, self._zone())
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers={**HEADERS, **named})

    async def labels(self, request: Request) -> Response:
        """Show the code of each socket's page, to be printed and put beside it."""
        base = self._url or str(request.base_url).rstrip("/")
        labels = []
        for port in self._picture.ports():
            shed = self._picture.gateways[port.gateway]
            address = base + path("s", port.gateway, port.port)
            drawn = segno.make(address, error="m", micro=False).svg_inline(border=2, omitsize=True, svgclass=None)
            labels.append((shed.name or shed.id, port.label, address, Markup(drawn)))  # noqa: S704 - lines of a code
        return self._page(request, "labels", labels=labels)

    async def socket(self, request: Request) -> Response:
        """Show a socket, its history, and what may be done."""
        port = self._picture.port(request.path_params["gateway"], request.path_params["port"])
        if port is None:
            return self._pages.error(request, "no_socket", 404)
        said, now, shed = language_of(request), self._store.clock(), self._picture.gateways[port.gateway]
        commands = [
            (row, said.of("status", "late" if row["status"] == "sent" and row["until"] < now else row["status"]))
            for row in self._books.commands(port.gateway, port.port)
        ]
        return self._page(
            request,
            "socket",
            tile=self._tile(port, shed, said),
            shed=shed.name or shed.id,
            port=port,
            commands=[
                (row, status, self._when(row["until"] - row["ttl_s"], port.gateway)) for row, status in commands
            ],
            rows=[self._line(row, said) for row in self._books.history(port.gateway, port.port)],
            alarms=[
                (row, self._when(row["at"], port.gateway)) for row in self._books.alarms(port.gateway, port.port)
            ],
            sent="sent" in request.query_params.get("notice", ""),
        )

    # Acting

    async def act(self, request: Request) -> Response:
        """Stop, disable, enable or reset a socket."""
        form, action = await self._form(request), request.path_params["action"]
        port = self._picture.port(request.path_params["gateway"], request.path_params["port"])
        if form is None:
            return self._pages.error(request, "forbidden", 403)
        if port is None or action not in ACTIONS:
            return self._pages.error(request, "no_socket", 404)
        args = self._arguments(action, port, form)
        if args is not None:
            command = Command.new(port.gateway, action, args, now=self._store.clock())
            if self._store.keep_command(command, "operator"):
                self._send(command)
        where = path("operator", "s", port.gateway, port.port)
        return self._pages.back(where, "sent" if args is not None else "")

    def _arguments(self, action: str, port: Port, form: dict[str, str]) -> dict[str, Any] | None:
        """Return a command's arguments; `None`: there is nothing to do.

        Stopped is the session that was on the page, and no other that has begun since.
        """
        if action == "stop":
            return {"port": port.port, "session_id": form["session"]} if form.get("session") else None
        if action == "reset":
            return {"port": port.port}
        reason = "".join(one for one in form.get("reason", "").strip() if one.isprintable())[:LONGEST_REASON]
        return {"port": port.port, "reason": reason} if reason else None

    # How it is shown

    def _page(self, request: Request, name: str, **more: Any) -> Response:
        token = self._guard.form_token(request)
        return self._pages.page(request, f"office/{name}.html", active=name, token=token, home=HOME, **more)

    def _line(self, row: sqlite3.Row, said: Words) -> dict[str, Any]:
        shed = self._picture.gateways.get(row["gateway"])
        where = zone(shed.timezone if shed else "")
        ended, late = about(row["ended_at"], row["heard_at"]) if row["settled"] else (None, "")
        length = row["charging_s"] + row["suspended_s"]
        began, mark = about(row["started_at"], row["heard_at"] if ended is None else ended - length)
        tariff = self._prices.tariff if row["tariff"] is None else Tariff.from_json(row["tariff"])
        return {
            "row": row,
            "shed": (shed and shed.name) or row["gateway"],
            "began": mark + moment(began, where),
            "ended": late + moment(ended, where),
            "reason": row["stop_reason"] or "",
            "words": said.of("reason", row["stop_reason"]) if row["stop_reason"] else "",
            "amount": "" if row["amount"] is None else money(Decimal(row["amount"]) / 100, tariff.symbol),
        }

    def _money(self, amount: int) -> str:
        return money(Decimal(amount) / 100, self._prices.tariff.symbol)

    def _when(self, at: float, gateway: str) -> str:
        shed = self._picture.gateways.get(gateway)
        return moment(at, zone(shed.timezone if shed else ""), "%m-%d %H:%M")

    def _zone(self) -> Any:
        """Return the time zone of the day: of the first shed that names one."""
        return zone(
            next((shed.timezone for _id, shed in sorted(self._picture.gateways.items()) if shed.timezone), "")
        )
