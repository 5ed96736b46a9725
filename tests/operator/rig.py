"""An operator without a broker: what gateways say is put in, what they are told is looked at."""

import asyncio
from collections.abc import Mapping
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

from chargerd.cli.demo_rider import Page
from chargerd.operator import hooks
from chargerd.operator.app import Operator, Settings
from chargerd.operator.collector import Collector
from chargerd.operator.guard import Account
from chargerd.operator.link import Broker
from chargerd.operator.messages import Command
from chargerd.operator.prices import Prices, load
from tests.operator.said import AT, GATEWAY, heard, presence, state

ACCOUNT = Account("caretaker", "secret & sound")


class Sent:
    """Stands where the link to the broker is."""

    def __init__(self) -> None:
        self.commands: list[Command] = []

    def send(self, command: Command) -> None:
        self.commands.append(command)


class Clock:
    def __init__(self) -> None:
        self.now = AT

    def __call__(self) -> float:
        return self.now


class Rig:
    """Everything but the broker, with a clock of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        prices: Prices | None = None,
        hooked: Any = hooks,
        account: Account | None = ACCOUNT,
        url: str = "",
    ) -> None:
        settings = Settings(
            broker=Broker(host="127.0.0.1"),
            database=folder / "operator.db",
            prices=prices or load(None),
            hooks=hooked,
            account=account,
            url=url,
        )
        self.clock = Clock()
        self.operator = Operator(settings, now=self.clock, clock=self.clock)
        self.store, self.picture = self.operator.store, self.operator.picture
        self.store.all("PRAGMA synchronous = OFF")
        self.sent = Sent()
        self.operator.link = self.sent  # type: ignore[assignment]
        self._collector = Collector(self.store, clock=self.clock)

    @property
    def commands(self) -> list[Command]:
        return self.sent.commands

    def close(self) -> None:
        self.store.close()

    def say(
        self, level: str, body: dict[str, Any], gateway: str = GATEWAY, expires_s: float | None = None
    ) -> None:
        """Have a gateway say something: stored first, then shown."""
        message = heard(level, {**body, "gateway": gateway}, gateway, expires_s)
        self._collector.take([message])
        self.picture.take([message])

    def shed(self, *ports: str, gateway: str = GATEWAY) -> None:
        """Have a shed with free sockets."""
        for port in ports:
            self.say(f"state/port/{port}", state(port), gateway)
        self.say("state/gateway", presence(0), gateway)

    def reply(self, status: str, code: str = "ok", command: Command | None = None) -> None:
        """Have the gateway answer the last command."""
        asked = command or self.commands[-1]
        body = {"id": asked.id, "command": asked.name, "status": status, "code": code, "message": ""}
        self.say("up/reply", {**body, "port": "A01", "session_id": asked.args.get("session_id")})

    def care(self, seconds: float = 0.0) -> None:
        """Let time go by, and look after things."""
        self.clock.now += seconds
        asyncio.run(self.operator.care.turn())


class Phone:
    """A phone or a browser, in this process."""

    def __init__(self, rig: Rig, language: str = "en") -> None:
        self.rig = rig
        self.language = language
        self.cookies: dict[str, str] = {}
        self.keeps_cookies = True
        self.status = 0
        self.headers: dict[str, str] = {}
        self.set_cookies: list[str] = []
        self.body = b""

    @property
    def text(self) -> str:
        return self.body.decode()

    def open(
        self, path: str, form: Mapping[str, str] | None = None, *, follow: bool = True, **headers: str
    ) -> Page:
        self.ask(path, form, None, **headers)
        while follow and (where := self.headers.get("location")):
            self.ask(where)
        return Page(self.text)

    def socket(self, port: str = "A01", gateway: str = GATEWAY) -> Page:
        return self.open(f"/s/{gateway}/{port}")

    def press(self, page: Page, button: str, **fields: str) -> Page:
        action = next(one for one in page.forms if one.endswith(f"/{button}"))
        return self.open(action, {**page.forms[action], **fields})

    def ask(
        self, path: str, form: Mapping[str, str] | None = None, data: bytes | None = None, **headers: str
    ) -> None:
        """Ask for a path; a form is sent."""
        where, _question, query = path.partition("?")
        given = {"host": "operator", "accept-language": self.language, **headers}
        if self.cookies:
            given["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if form is not None or data is not None:
            given.setdefault("content-type", "application/x-www-form-urlencoded")
        body = urlencode(form or {}).encode() if data is None else data
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET" if form is None and data is None else "POST",
            "scheme": "http",
            "path": unquote(where),
            "raw_path": where.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
            "server": ("operator", 80),
            "client": ("127.0.0.1", 1),
        }
        asyncio.run(self._exchange(scope, body))
        for line in self.set_cookies if self.keeps_cookies else ():
            self.cookies |= {key: morsel.value for key, morsel in SimpleCookie(line).items()}
        self.cookies = {name: value for name, value in self.cookies.items() if value}

    async def _exchange(self, scope: dict[str, Any], body: bytes) -> None:
        said = [{"type": "http.request", "body": body, "more_body": False}]
        self.body, self.headers, self.set_cookies = b"", {}, []

        async def receive() -> dict[str, Any]:
            if said:
                return said.pop()
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                pairs = [(name.decode().lower(), value.decode()) for name, value in message["headers"]]
                self.headers = dict(pairs)
                self.set_cookies = [value for name, value in pairs if name == "set-cookie"]
            else:
                self.body += message.get("body", b"")

        await self.rig.operator.app(scope, receive, send)
