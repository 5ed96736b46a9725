"""Answers `GET /metrics`. A thread of its own takes connections; each is answered in another.

What asks may be slow, or may not be Prometheus at all: a few connections at once, each with its time, one scrape
after the other. Nothing of it is watched by the supervisor, since nothing protective depends on it.
"""

import gzip
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from chargerd import log

PATH = "/metrics"
MOST_AT_ONCE = 4
PATIENCE_S = 10.0
"""How long a connection may say nothing, and how long a scrape waits for the one before it."""
TRY_AGAIN_S = 10.0
"""An address may come later than the daemon, as that of a tunnel does."""
TURN_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer."""

    content_type: str
    body: bytes


MakePage = Callable[[str | None], Page]
"""Makes the answer, in the format that the header `Accept` asks for."""


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    timeout = PATIENCE_S
    server_version = "chargerd"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND, explain=f"the figures are at {PATH}")
            return
        if not self.server.alone.acquire(timeout=PATIENCE_S):
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, explain="another scrape is still being answered")
            return
        try:
            page = self.server.make_page(self.headers.get("Accept"))
        finally:
            self.server.alone.release()
        body = page.body
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", page.content_type)
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, compresslevel=1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing: a scrape each few seconds is no event."""


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    timeout = TURN_S

    def __init__(self, address: str, port: int, make_page: MakePage) -> None:
        self.address_family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET  # noqa: PLR2004
        self.make_page = make_page
        self.alone = threading.Lock()
        self._room = threading.BoundedSemaphore(MOST_AT_ONCE)
        super().__init__((address, port), _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - the library's signature
        """Refuse whoever comes while as many are being answered as may be."""
        return self._room.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's signature
        """Whoever asked has gone, or looking up has failed: the next scrape may do better."""
        log.debug("scrape_failed", client=str(client_address[0]), exc_info=sys.exception())


class MetricsServer:
    """Listens on an address, as soon as it can be had."""

    def __init__(self, address: str, port: int, make_page: MakePage) -> None:
        self._where = (address, port)
        self._make_page = make_page
        self._stopped = threading.Event()
        self._server: _Server | None = None
        self.why_not: str | None = None
        """Why it cannot listen; `None` while it does, or has not tried yet."""
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it listens; `None` while it does not."""
        server = self._server
        return None if server is None else (str(server.server_address[0]), int(server.server_address[1]))

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more. Does not wait; `join` does."""
        self._stopped.set()

    def join(self, timeout: float) -> None:
        """Wait until it does not listen any more."""
        self._thread.join(timeout)

    def _run(self) -> None:
        told = ""
        while not self._stopped.is_set():
            try:
                with _Server(*self._where, self._make_page) as server:
                    self._server, self.why_not = server, None
                    log.info("metrics_served", address=self._where[0], port=self._where[1])
                    told = ""
                    while not self._stopped.is_set():
                        server.handle_request()
            except OSError as error:
                self.why_not = error.strerror or str(error)
                if str(error) != told:
                    log.error("metrics_not_served", address=self._where[0], port=self._where[1], why=str(error))  # noqa: TRY400 - a cause
                    told = str(error)
                self._stopped.wait(TRY_AGAIN_S)
            finally:
                self._server = None
