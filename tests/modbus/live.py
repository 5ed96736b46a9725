"""Real lines for a real bus: a pty with a scripted far end, a bridge between two ptys, small TCP servers."""

import abc
import contextlib
import os
import select
import socket
import socketserver
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from chargerd.config.site import Site
from chargerd.core.events import BusEvent
from chargerd.core.units import Seconds
from chargerd.modbus.build import build
from chargerd.modbus.bus import Bus
from chargerd.runtime.process.clock import SystemClock
from tests.patience import PATIENCE_S

CLOCK = SystemClock()
CHARACTER = 10 / 9600
"""Seconds a character takes: nobody answers sooner than the line lets him."""


def wait(holds: Callable[[], object], timeout: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.002)


class LiveBus:
    """The bus of a site with its thread, and what it told."""

    def __init__(self, site: Site) -> None:
        self.events: list[BusEvent] = []
        self.crashes: list[BaseException] = []
        self.heard: Callable[[BusEvent], None] = lambda _event: None
        (self.bus,) = build(site, clock=CLOCK, emit=self._emit, on_crash=self.crashes.append)

    def _emit(self, event: BusEvent) -> None:
        self.events.append(event)
        self.heard(event)

    def __enter__(self) -> Self:
        self.bus.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.bus.stop(Seconds(5.0))
        assert not self.crashes

    def told(self, what: type[Any], /, **fields: object) -> list[Any]:
        return [
            event
            for event in list(self.events)
            if isinstance(event, what) and all(getattr(event, name) == value for name, value in fields.items())
        ]

    def wait(self, what: type[Any], count: int = 1, /, **fields: object) -> Any:
        wait(lambda: len(self.told(what, **fields)) >= count)
        return self.told(what, **fields)[-1]


def raw_pty() -> tuple[int, int]:
    master, slave = os.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    os.set_blocking(master, False)
    return master, slave


class _Pump(abc.ABC):
    """A thread that waits for bytes at some ends until it is stopped."""

    def __init__(self) -> None:
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @abc.abstractmethod
    def ends(self) -> list[int]:
        """Return what is listened at."""

    @abc.abstractmethod
    def take(self, end: int) -> None:
        """Read what has come there, and do with it what is to be done."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        os.write(self._stop_write, b".")
        self._thread.join()
        for end in (self._stop_read, self._stop_write):
            os.close(end)

    def _run(self) -> None:
        while True:
            ready = select.select([self._stop_read, *self.ends()], [], [])[0]
            if self._stop_read in ready:
                return
            for end in ready:
                with contextlib.suppress(BlockingIOError):
                    self.take(end)


class PtySlave(_Pump):
    """The far end of a serial device: `script` says what a request is answered with, in steps of (wait, bytes)."""

    def __init__(self, link: Path, script: Callable[[bytes], list[tuple[float, bytes]]]) -> None:
        super().__init__()
        self.script = script
        self.requests: list[bytes] = []
        self._link = link
        self._master, self._slave = raw_pty()
        link.symlink_to(os.ttyname(self._slave))

    def ends(self) -> list[int]:
        return [self._master]

    def take(self, end: int) -> None:
        request = os.read(end, 256)
        self.requests.append(request)
        time.sleep(len(request) * CHARACTER)
        for pause, data in self.script(request):
            time.sleep(pause + len(data) * CHARACTER)
            os.write(end, data)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._link.unlink()
        os.close(self._master)
        os.close(self._slave)


class Bridge(_Pump):
    """A null modem: two serial devices, each hearing the other."""

    def __init__(self) -> None:
        super().__init__()
        self._pairs = [raw_pty(), raw_pty()]
        self.near, self.far = (os.ttyname(slave) for _master, slave in self._pairs)

    def ends(self) -> list[int]:
        return [master for master, _slave in self._pairs]

    def take(self, end: int) -> None:
        here, there = self.ends()
        os.write(there if end == here else here, os.read(end, 4096))

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for pair in self._pairs:
            for end in pair:
                os.close(end)


class TcpBoards(socketserver.ThreadingTCPServer):
    """Answers RTU frames in TCP, as serial servers do: `script` gives the reply to a request, frame by frame."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, script: Callable[[bytes], bytes]) -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.connections: list[socket.socket] = []
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.endpoint = f"127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.shutdown()
        self._thread.join()
        self.hang_up()
        self.server_close()

    def hang_up(self) -> None:
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections.clear()


class _Conversation(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server: Any = self.server
        server.connections.append(self.request)
        with contextlib.suppress(OSError):
            while request := self.request.recv(512):
                server.requests.append(request)
                reply = server.script(request)
                time.sleep((len(request) + len(reply)) * CHARACTER + 0.004)
                self.request.sendall(reply)


__all__ = ["CLOCK", "Bridge", "Bus", "LiveBus", "PtySlave", "TcpBoards", "raw_pty", "wait"]
