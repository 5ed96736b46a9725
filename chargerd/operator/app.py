"""The operator as a whole: its parts put together, and served until somebody ends it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from chargerd.operator.care import Care
from chargerd.operator.clock import Clock, steady, wall
from chargerd.operator.guard import Account, Guard
from chargerd.operator.hooks import Hooks
from chargerd.operator.link import Broker, Link
from chargerd.operator.messages import Command, Message
from chargerd.operator.office import HOME, Office
from chargerd.operator.picture import Picture
from chargerd.operator.prices import Prices
from chargerd.operator.riders import Riders
from chargerd.operator.store import Store
from chargerd.operator.web import HEADERS, HERE, Pages, Signer

LEAVE_WITHIN_S = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator is told at its start. `url`: how phones reach it, as `https://charge.example`."""

    broker: Broker
    database: Path
    prices: Prices
    hooks: Hooks
    account: Account | None = None
    url: str = ""


class Operator:
    """One operator. `app` is to be served by one process with one event loop."""

    def __init__(self, settings: Settings, *, now: Clock = wall, clock: Clock = steady) -> None:
        self.store = Store(settings.database, settings.prices.tariff, clock=now)
        self.picture = Picture(settings.prices.tariff, clock=clock, now=now)
        for row in self.store.all("SELECT * FROM socket"):
            self.picture.know(row["gateway"], row["port"], row["label"])
        self._loop: asyncio.AbstractEventLoop | None = None
        self.link = Link(settings.broker, self.store, self._heard)
        self.care = Care(self.store, self.picture, settings.hooks, self._send)
        pages = Pages(secure=settings.url.startswith("https://"))
        guard = Guard(settings.account, Signer(self.store.secret), now=now, clock=clock)
        shared = (self.store, self.picture, settings.prices)
        riders = Riders(*shared, settings.hooks, pages, self._send)
        office = Office(*shared, guard, pages, self._send, settings.url)
        self._pages = pages
        self.app = Starlette(
            routes=[
                Route("/", lambda _request: RedirectResponse(HOME, 303, dict(HEADERS))),
                *riders.routes,
                *office.routes,
                Mount("/static", _Static(directory=HERE / "static")),
            ],
            exception_handlers={404: self._missing, 405: self._missing, 500: self._broken},
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        self.link.start()
        care = asyncio.create_task(self.care.run())
        try:
            yield
        finally:
            care.cancel()
            with suppress(asyncio.CancelledError):
                await care
            await asyncio.to_thread(self.link.stop)
            self.store.close()

    def _heard(self, batch: Sequence[Message]) -> None:
        """Have what is stored shown: on the loop's thread, which the picture belongs to."""
        assert self._loop is not None, "the link is started on the loop"
        with suppress(RuntimeError):  # The loop has been closed meanwhile.
            self._loop.call_soon_threadsafe(self.picture.take, batch)

    def _send(self, command: Command) -> None:
        self.link.send(command)

    async def _missing(self, request: Request, _error: Exception) -> Response:
        return self._pages.error(request, "no_page", 404)

    async def _broken(self, request: Request, _error: Exception) -> Response:
        return self._pages.error(request, "broken", 500)


class _Static(StaticFiles):
    """Files whose address changes with what is in them: a phone asks for each once."""

    def file_response(self, *args: object, **more: object) -> Response:
        """Return a file with its headers."""
        response = super().file_response(*args, **more)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def serve(settings: Settings, listening: socket.socket) -> None:
    """Serve on a socket that listens, until SIGTERM or SIGINT."""
    operator = Operator(settings)
    config = uvicorn.Config(
        operator.app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=LEAVE_WITHIN_S,
        ws="none",
        lifespan="on",
    )
    uvicorn.Server(config).run(sockets=[listening])
