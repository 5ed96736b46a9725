"""The control socket's client, for `chargerctl`."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from chargerd.control.protocol import LONGEST_RESPONSE, Error, Request, Response

CHUNK = 65536


class ControlFailure(Exception):  # noqa: N818 - named for what it is to a person
    """The daemon did not serve a request; `hint` says what to do."""

    def __init__(self, message: str, hint: str = "", code: str = "failed") -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code


class DaemonNotRunning(ControlFailure):
    """Nobody serves the socket, or it is not ours to use."""


class ControlClient:
    """One connection to the daemon. A context manager."""

    def __init__(self, path: Path, timeout: float = 10.0) -> None:
        self._path = path
        self._number = 0
        self._buffer = b""
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
            hint = "use sudo, or join the group chargerd and log in again"
            raise DaemonNotRunning(f"{path} is not yours to use", hint, "permission") from error
        except OSError as error:
            self._socket.close()
            raise DaemonNotRunning(f"{path}: {error.strerror or error}", "", "not_running") from error

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close the connection."""
        self._socket.close()

    def call(self, method: str, **params: Any) -> Any:
        """Return the result of a request; of several, the last. Raises `ControlFailure`."""
        result: Any = None
        for result in self.stream(method, **params):  # noqa: B007 - the last one is what is wanted
            pass
        return result

    def stream(self, method: str, **params: Any) -> Iterator[Any]:
        """Yield the results of a request as they come. Raises `ControlFailure`."""
        self._number += 1
        request = Request(id=self._number, method=method, params=params)
        try:
            self._socket.sendall(request.model_dump_json().encode() + b"\n")
            more = True
            while more:
                response = self._next()
                if response.error is not None:
                    raise _failure(response.error)
                more = response.more
                yield response.result
        except TimeoutError as error:
            raise ControlFailure("the daemon does not answer", "see: journalctl -u chargerd", "timeout") from error
        except OSError as error:
            raise ControlFailure("the daemon has gone", "see: journalctl -u chargerd", "gone") from error

    def _next(self) -> Response:
        while b"\n" not in self._buffer:
            data = self._socket.recv(CHUNK)
            if not data or len(self._buffer) > LONGEST_RESPONSE:
                raise ControlFailure("the daemon has gone", "see: journalctl -u chargerd", "gone")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        try:
            return Response.model_validate_json(line)
        except ValidationError as error:
            hint = "daemon and chargerctl should be of one version"
            raise ControlFailure("the daemon's answer cannot be read", hint, "protocol") from error


def _failure(error: Error) -> ControlFailure:
    return ControlFailure(error.message, error.hint, error.code)
