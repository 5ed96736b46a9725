"""The control socket's client, for `chargerctl`. Loads nothing but JSON: an answer is not to wait for models."""

import json
import select
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from chargerd.control.protocol import HELLO, LONGEST_REQUEST, LONGEST_RESPONSE
from chargerd.text import visible_all

CHUNK = 65536
LOG_HINT = "see: journalctl -u chargerd"


class ControlFailure(Exception):  # noqa: N818 - named for what it is to a person
    """The daemon did not serve a request; `hint` says what to do, `exit_code` what a command ends with."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "", code: str = "failed") -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code


class DaemonNotRunning(ControlFailure):
    """Nobody serves the socket, or it is not ours to use."""

    exit_code = 3


class NotPermitted(DaemonNotRunning):
    """The socket is not ours to use: neither root nor of its group. The code is EX_NOPERM of sysexits.h."""

    exit_code = 77


class ControlClient:
    """One connection to the daemon. A context manager.

    `timeout` is for the first answer to a request, in seconds. Further ones are waited for as long as they take:
    a daemon that hangs is ended by its own watchdog, and that is noticed. `for_people` has texts in the results
    made fit for a terminal.
    """

    def __init__(self, path: Path, timeout: float = 10.0, *, for_people: bool = False) -> None:
        self._path = path
        self._number = 0
        self._buffer = b""
        self._timeout = timeout
        self._for_people = for_people
        self._more = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            self._socket.close()
            hint = "start it with: systemctl start chargerd, or name its socket with --socket"
            raise DaemonNotRunning(
                f"chargerd is not running (nobody serves {path})", hint, "not_running"
            ) from error
        except PermissionError as error:
            self._socket.close()
            raise NotPermitted(f"{path} is not yours to use", _way_in(path), "permission") from error
        except (BlockingIOError, TimeoutError) as error:
            self._socket.close()
            raise ControlFailure("the daemon does not answer", LOG_HINT, "timeout") from error
        except OSError as error:
            self._socket.close()
            raise DaemonNotRunning(f"{path}: {error.strerror or error}", "", "not_running") from error

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close the connection."""
        self._socket.close()

    def hello(self) -> dict[str, Any]:
        """Return the daemon's `protocol` and `version`. Raises `ControlFailure`."""
        said: dict[str, Any] = self.call(HELLO)
        return said

    def call(self, method: str, **params: Any) -> Any:
        """Return the result of a request; of several, the last. Raises `ControlFailure`."""
        result: Any = None
        for result in self.stream(method, **params):  # noqa: B007 - the last one is what is wanted
            pass
        return result

    def stream(self, method: str, **params: Any) -> Iterator[Any]:
        """Yield the results of a request as they come. Raises `ControlFailure`."""
        self._number += 1
        line = json.dumps({"id": self._number, "method": method, "params": params}).encode()
        if len(line) > LONGEST_REQUEST:
            raise ControlFailure("the request is too long", f"it may have {LONGEST_REQUEST} bytes", "malformed")
        self._send(line + b"\n")
        patience: float | None = self._timeout
        while True:
            response = self._next(patience)
            self._more = response.get("more") is True
            result = response.get("result")
            yield visible_all(result) if self._for_people else result
            if not self._more:
                return
            patience = None

    def fileno(self) -> int:
        """Return what `select` is to wait for beside other things; ask `ready` first what has arrived already."""
        return self._socket.fileno()

    def ready(self, seconds: float) -> bool:
        """Wait for at most so long; say whether the stream can go on: its next result arrives, or it has ended."""
        if not self._more or b"\n" in self._buffer:
            return True
        arrived, _, _ = select.select([self._socket], [], [], seconds)
        return bool(arrived)

    def await_end(self, seconds: float) -> None:
        """Wait until the daemon has closed the connection, as it does when it ends; so long at most."""
        self._socket.settimeout(seconds)
        with suppress(OSError):
            while self._socket.recv(CHUNK):
                pass

    def _send(self, line: bytes) -> None:
        self._socket.settimeout(self._timeout)
        try:
            self._socket.sendall(line)
        except TimeoutError as error:
            raise ControlFailure("the daemon does not answer", LOG_HINT, "timeout") from error
        except OSError:
            return  # Refused at the door, perhaps: why is there to be read. Else it has gone, as reading says.

    def _receive(self, patience: float | None) -> bytes:
        self._socket.settimeout(patience)
        try:
            return self._socket.recv(CHUNK)
        except TimeoutError as error:
            raise ControlFailure("the daemon does not answer", LOG_HINT, "timeout") from error
        except OSError:
            return b""

    def _next(self, patience: float | None) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            data = self._receive(patience)
            if not data:
                raise ControlFailure("the daemon has gone", LOG_HINT, "gone")
            self._buffer += data
            if len(self._buffer) > LONGEST_RESPONSE:
                raise ControlFailure("the daemon's answer does not end", LOG_HINT, "protocol")
        line, self._buffer = self._buffer.split(b"\n", 1)
        return _response(line)


def _way_in(path: Path) -> str:
    """Say how to get at a socket that is somebody else's."""
    try:
        group = path.group()
    except (OSError, KeyError):
        group = "chargerd"
    if group == "root":
        return "use sudo"
    return f"use sudo, or join the group {group} (sudo usermod -aG {group} $USER) and log in again"


def _response(line: bytes) -> dict[str, Any]:
    """Return a line as a response. Raises `ControlFailure`: the daemon's own, or that the line is none."""
    try:
        response = json.loads(line)
        failure = response.get("error")
        if failure is None:
            return dict(response)
        message, hint, code = str(failure["message"]), str(failure.get("hint", "")), str(failure["code"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        hint = "daemon and chargerctl should be of one version"
        raise ControlFailure("the daemon's answer cannot be read", hint, "protocol") from error
    raise ControlFailure(message, hint, code)
