"""The control socket's server: one thread, many clients, blocked by none of them.

Whatever a client sends is checked here, so that no handler ever meets it: a mistake in this thread ends the
daemon, and a technician's typing must not be able to.
"""

import os
import selectors
import shutil
import socket
import stat
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from chargerd import __version__, log
from chargerd.contract.ledger import Json
from chargerd.contract.requests import complaint
from chargerd.control.envelopes import Error, Request, Response
from chargerd.control.methods import ACTING, BadParams, checked
from chargerd.control.protocol import HELLO, LONGEST_REQUEST, LONGEST_RESPONSE, PROTOCOL
from chargerd.core.clock import Clock
from chargerd.core.units import Instant

MODE = 0o660
GROUP = "chargerd"
CHUNK = 65536
TURN = 1.0
PROBE = 1.0
"""Seconds a daemon that may still be there gets to take the knock of the next one."""
MOST_CLIENTS = 64
"""More than there are people and screens; each costs a file descriptor, which buses and journal need more."""
_UCRED = struct.Struct("3i")


class ControlError(Exception):
    """The socket cannot be served; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end, as the kernel says."""

    pid: int
    uid: int
    gid: int


class Responder:
    """Answers one request; may be used from any thread and at any later time."""

    def __init__(self, client: "_Client", number: int, wake: Callable[[], None]) -> None:
        self._client = client
        self._number = number
        self._wake = wake

    @property
    def peer(self) -> Peer:
        """Return who has asked, as the kernel says."""
        return self._client.peer

    @property
    def closed(self) -> bool:
        """Say whether the client has gone: nobody wants to hear more."""
        return self._client.gone

    def send(self, result: Json, *, more: bool = False) -> None:
        """Send a result; `more` announces another one."""
        self._client.push(Response(id=self._number, result=result, more=more))
        self._wake()

    def fail(self, code: str, message: str, hint: str = "") -> None:
        """Say why there is no result."""
        self._client.push(Response(id=self._number, error=Error(code=code, message=message, hint=hint)))
        self._wake()


class Handler(Protocol):
    """Who serves the requests. Called in the server's thread; must not block it."""

    def call(self, method: str, params: Mapping[str, Json], peer: Peer, respond: Responder) -> None:
        """Serve one request, now or later."""


class _Client:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = b""
        self.gone = False
        self.leaving = False
        """Nothing more is read; it goes when it has been told what is pending."""
        self.peer = _peer_of(sock)
        self._lock = threading.Lock()
        self._pending = bytearray()
        """Grows in place: a bus adds to it, and must not copy megabytes for a client that does not read."""

    def push(self, response: Response) -> None:
        """Queue a line; a client that does not read is dropped rather than waited for."""
        line = response.model_dump_json().encode() + b"\n"
        with self._lock:
            if len(self._pending) + len(line) > LONGEST_RESPONSE:
                self.gone = True
                self._pending.clear()
            elif not self.gone:
                self._pending += line

    @property
    def has_pending(self) -> bool:
        with self._lock:
            return bool(self._pending)

    def flush(self) -> None:
        """Send what the kernel takes now. Raises `OSError`."""
        with self._lock:
            del self._pending[: self.sock.send(self._pending)]


def _peer_of(sock: socket.socket) -> Peer:
    pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid=pid, uid=uid, gid=gid)


class ControlServer:
    """Serves a unix stream socket."""

    def __init__(
        self, path: Path, handler: Handler, *, clock: Clock, on_crash: Callable[[BaseException], None]
    ) -> None:
        self._path = path
        self._handler = handler
        self._clock = clock
        self._on_crash = on_crash
        self._selector = selectors.DefaultSelector()
        self._clients: dict[int, _Client] = {}
        self._stopped = False
        self._reader, self._writer = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._socket: socket.socket | None = None
        self.last_turn: Instant = clock.now()

    def start(self) -> None:
        """Bind the socket and begin to serve. Raises `ControlError` if somebody serves it already."""
        self._socket = _bind(self._path)
        for sock in (self._socket, self._reader, self._writer):
            sock.setblocking(False)
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(self._reader, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        """End, and remove the socket."""
        self._stopped = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(TURN * 2)
        for client in tuple(self._clients.values()):
            with suppress(OSError):  # The last word, if its reader takes it now; nobody is waited for.
                client.flush()
            self._drop(client)
        if self._socket is not None:
            self._socket.close()
            self._path.unlink(missing_ok=True)
        self._selector.close()
        self._reader.close()
        self._writer.close()

    def _wake(self) -> None:
        try:
            self._writer.send(b"\0")
        except OSError:
            return  # Full: it will wake all the same. Closed: there is nobody to wake.

    def _run(self) -> None:
        try:
            while not self._stopped:
                self.last_turn = self._clock.now()
                self._turn()
        except BaseException as error:  # noqa: BLE001 - the thread's last word, passed on to the supervisor
            self._on_crash(error)

    def _turn(self) -> None:
        for client in tuple(self._clients.values()):
            pending = client.has_pending
            if client.gone or (client.leaving and not pending):
                self._drop(client)
                continue
            wanted = 0 if client.leaving else selectors.EVENT_READ
            self._selector.modify(client.sock, wanted | (selectors.EVENT_WRITE if pending else 0), client)
        for key, events in self._selector.select(TURN):
            if key.fileobj is self._socket:
                self._accept()
            elif key.fileobj is self._reader:
                self._reader.recv(CHUNK)
            else:
                self._serve(key.data, events)

    def _accept(self) -> None:
        assert self._socket is not None
        try:
            sock, _address = self._socket.accept()
        except OSError:
            return  # It went away between the knock and the door.
        sock.setblocking(False)
        client = _Client(sock)
        if len(self._clients) >= MOST_CLIENTS:
            log.warning("control_client_refused", clients=len(self._clients), uid=client.peer.uid)
            client.push(_refused("too_many_clients", "too many connections", "end a chargerctl watch somewhere"))
            client.leaving = True
        self._clients[sock.fileno()] = client
        self._selector.register(sock, selectors.EVENT_READ, client)

    def _serve(self, client: _Client, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                client.flush()
            data = client.sock.recv(CHUNK) if events & selectors.EVENT_READ else None
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            client.received += data
            self._take_lines(client)
        elif data is not None:
            client.gone = True

    def _take_lines(self, client: _Client) -> None:
        *lines, client.received = client.received.split(b"\n")
        for line in lines:
            if client.gone or len(line) > LONGEST_REQUEST:
                break
            if line.strip():
                self._take(client, line)
        if max(len(line) for line in (*lines, client.received)) > LONGEST_REQUEST:
            # What follows may be the rest of it, and must not be taken for a request.
            client.push(_malformed(f"a request is one line of at most {LONGEST_REQUEST} bytes"))
            client.leaving = True

    def _take(self, client: _Client, line: bytes) -> None:
        try:
            request = Request.model_validate_json(line)
        except ValidationError as error:
            client.push(_malformed(complaint(error)))
            return
        respond = Responder(client, request.id, self._wake)
        if request.method == HELLO:
            respond.send({"protocol": PROTOCOL, "version": __version__})
            return
        try:
            params = checked(request.method, request.params)
        except BadParams as refused:
            respond.fail(refused.code, str(refused), refused.hint)
            return
        peer = client.peer
        if request.method in ACTING:
            log.info("local_command", method=request.method, params=params, uid=peer.uid, pid=peer.pid)
        self._handler.call(request.method, params, peer, respond)

    def _drop(self, client: _Client) -> None:
        client.gone = True
        self._selector.unregister(client.sock)
        self._clients.pop(client.sock.fileno(), None)
        client.sock.close()


def _malformed(message: str) -> Response:
    return _refused("malformed", message, "send {id, method, params}")


def _refused(code: str, message: str, hint: str) -> Response:
    return Response(id=None, error=Error(code=code, message=message, hint=hint))


def _bind(path: Path) -> socket.socket:
    """Bind the socket. Raises `ControlError`."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        _make_way(path)
        sock.bind(str(path))
        path.chmod(MODE)
        _give_to_group(path)
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise ControlError(f"{path}: {error.strerror or error}") from error
    except ControlError:
        sock.close()
        raise
    return sock


def _make_way(path: Path) -> None:
    """Remove a socket that nobody serves any more, and nothing else. Raises `ControlError`, `OSError`."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ControlError(f"{path} is no socket; move it away, or name another runtime directory")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        else:
            raise ControlError(f"another daemon serves {path}; stop it first")


def _give_to_group(path: Path) -> None:
    """Let the members of the group use the socket, where there is such a group and we may."""
    try:
        shutil.chown(path, group=GROUP)
    except (LookupError, PermissionError):
        log.debug("socket_keeps_its_group", path=str(path), uid=os.getuid())
