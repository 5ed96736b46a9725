"""What bytes travel over: a serial line, or a socket. A line that is gone says so in one way only.

pyserial lets `termios.error`, which is no `OSError`, through; a closed pty reads as end of file or as EIO; a
socket as an empty read. All of them are `LineGone` here.
"""

import errno
import fcntl
import os
import re
import select
import socket
import struct
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import serial

from chargerd import log
from chargerd.core.units import Seconds
from chargerd.modbus.manual import CannotTune, LineRate, Rate

CHUNK = 4096
CONNECT_TIMEOUT = Seconds(2.0)
WRITE_TIMEOUT = Seconds(1.0)
TTY = Path("/sys/class/tty")
PARITIES = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}


_NUMBER = re.compile(r"\[Errno -?\d+\] ")
_REPEATED = re.compile(r"(?<=\w): '/[^']*'$")


class Trouble(StrEnum):
    """Why a line is not there, as far as the system says."""

    ABSENT = "absent"
    NO_PERMISSION = "no_permission"
    IN_USE = "in_use"
    REFUSED = "refused"
    HUNG_UP = "hung_up"
    NOT_MODBUS_TCP = "not_modbus_tcp"


TROUBLES = {
    errno.EACCES: Trouble.NO_PERMISSION,
    errno.EPERM: Trouble.NO_PERMISSION,
    errno.EBUSY: Trouble.IN_USE,
    errno.EAGAIN: Trouble.IN_USE,
    errno.ECONNREFUSED: Trouble.REFUSED,
    errno.ECONNRESET: Trouble.HUNG_UP,
    errno.EPIPE: Trouble.HUNG_UP,
}
"""EAGAIN: the lock of the device is held by another program."""


class LineGone(Exception):  # noqa: N818 - named for what it says
    """The line cannot be opened, or has vanished; the message says how, in the system's own words."""

    def __init__(self, why: str, trouble: Trouble = Trouble.ABSENT) -> None:
        super().__init__(why)
        self.trouble = trouble

    @classmethod
    def of(cls, error: Exception) -> "LineGone":
        """Return what an error of the system means for the line."""
        number = error.args[0] if error.args else None
        return cls(
            words_of(error), TROUBLES.get(number, Trouble.ABSENT) if isinstance(number, int) else Trouble.ABSENT
        )


def words_of(error: Exception) -> str:
    """Return what the system says, without its numbers and a path at its end: some libraries have both twice."""
    return (
        str(error.args[-1]) if isinstance(error, termios.error) else _REPEATED.sub("", _NUMBER.sub("", str(error)))
    )


class LineSettings(LineRate, Protocol):
    """Where a line is and how it is driven, as the configuration's buses say."""

    @property
    def serial(self) -> str | None:
        """The device, or `None` where `tcp` or `rtu_over_tcp` says which host and port."""

    @property
    def tcp(self) -> str | None:
        """Host and port of a Modbus TCP server."""

    @property
    def rtu_over_tcp(self) -> str | None:
        """Host and port of a serial server."""

    @property
    def echo(self) -> str:
        """Whether the adapter hears what it sends: `yes`, `no`, or `auto`, to be found out."""


class Line(Protocol):
    """A way for bytes. Every method raises `LineGone` when it has vanished."""

    def write(self, data: bytes) -> None:
        """Send all of `data`."""

    def read(self) -> bytes:
        """Return what has arrived, without waiting; empty if nothing has."""

    def wait(self, timeout: Seconds) -> bool:
        """Wait until something has arrived, at most `timeout`; say whether it has."""

    def close(self) -> None:
        """Give the line back. Never raises."""


def hasten(device: str, tty: Path = TTY) -> bool:
    """Have an FTDI adapter hand over bytes after 1 ms instead of 16; say whether it has such a timer.

    Some systems do not let the low-latency flag of the device do that; this needs write access to sysfs.
    """
    timer = tty / Path(device).resolve().name / "device" / "latency_timer"
    try:
        if timer.read_text(encoding="ascii").strip() != "1":
            timer.write_text("1", encoding="ascii")
    except (OSError, ValueError):
        return False
    return True


class Resolver:
    """Looks host names up, waiting no longer than told: a dead name server takes half a minute."""

    def __init__(self, lookup: Callable[[str, int], str]) -> None:
        self._lookup = lookup
        self._lock = threading.Lock()
        self._running: dict[str, threading.Thread] = {}
        self._found: dict[str, str | OSError] = {}

    def address(self, host: str, port: int, within: Seconds) -> str:
        """Return the address of a host. Raises `LineGone`; a longer look-up goes on for the next caller."""
        with self._lock:
            thread = self._running.get(host)
            if thread is None:
                self._found.pop(host, None)
                thread = threading.Thread(target=self._run, args=(host, port), name="name look-up", daemon=True)
                self._running[host] = thread
                thread.start()
        thread.join(within)
        with self._lock:
            found = self._found.get(host)
        if found is None:
            raise LineGone(f"the name server does not say where {host} is; give its address instead")
        if isinstance(found, OSError):
            raise LineGone(words_of(found)) from found
        return found

    def _run(self, host: str, port: int) -> None:
        found: str | OSError
        try:
            found = self._lookup(host, port)
        except (OSError, UnicodeError) as error:  # a host name can be too long for a label
            found = error if isinstance(error, OSError) else OSError(str(error))
        with self._lock:
            self._found[host] = found
            self._running.pop(host, None)


def first_address(host: str, port: int) -> str:
    """Return the first address a host name stands for. Raises `OSError`, `UnicodeError`."""
    return str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])


RESOLVER = Resolver(first_address)


class SerialLine:
    """A serial device, raw and ours alone.

    Two things keep others out: the lock, which only programs respect that ask for it, and TIOCEXCL, with which the
    system opens the device for nobody else. It does so for root all the same (`CAP_SYS_ADMIN`, tty_ioctl(4)).
    """

    def __init__(self, settings: LineSettings) -> None:
        self._settings = settings
        try:
            self._port = serial.Serial(
                settings.serial,
                settings.baudrate,
                parity=PARITIES[settings.parity],
                stopbits=settings.stopbits,
                timeout=0,
                exclusive=True,
            )
        except (OSError, termios.error, ValueError) as error:
            raise LineGone.of(error) from error
        self._fd = self._port.fileno()
        try:
            fcntl.ioctl(self._fd, termios.TIOCEXCL)
        except OSError:
            log.debug("not_exclusive", line=settings.serial)
        hasten(settings.serial or "")
        try:
            # An FTDI adapter otherwise keeps what it has for 16 ms before it hands it over.
            self._port.set_low_latency_mode(True)
        except (OSError, ValueError, NotImplementedError):
            # NotImplementedError is pyserial's word for a system without such a mode, ValueError the one for a
            # driver without it, as a pty's. The line does without: its answers are handed over a little later.
            log.debug("no_low_latency", line=settings.serial)

    def write(self, data: bytes) -> None:
        """Send all of `data`; the adapter takes it at once and sends it at its own speed."""
        rest = data
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                if not select.select([], [self._fd], [], WRITE_TIMEOUT)[1]:
                    raise LineGone("the device takes no more bytes") from None
            except (OSError, termios.error) as error:
                raise LineGone.of(error) from error

    def read(self) -> bytes:
        """Return what has arrived."""
        try:
            return os.read(self._fd, CHUNK)
        except BlockingIOError:
            return b""
        except (OSError, termios.error) as error:
            raise LineGone.of(error) from error

    def wait(self, timeout: Seconds) -> bool:
        """Wait until something has arrived."""
        try:
            return bool(select.select([self._fd], [], [], max(0.0, timeout))[0])
        except (OSError, ValueError) as error:
            raise LineGone.of(error) from error

    def tune(self, rate: Rate | None) -> None:
        """Drive the device at another rate, or at its own again. Raises `CannotTune`."""
        wanted: LineRate = self._settings if rate is None else rate
        try:
            self._port.apply_settings(
                {"baudrate": wanted.baudrate, "parity": PARITIES[wanted.parity], "stopbits": wanted.stopbits}
            )
        except (OSError, termios.error, ValueError) as error:
            if rate is None:
                raise LineGone.of(error) from error
            raise CannotTune(
                f"the adapter does not take {rate.baudrate} Bd, parity {rate.parity}: {words_of(error)}"
            ) from error

    def close(self) -> None:
        """Give the device back, for others too."""
        if self._port.is_open:  # Else its number may be another line's by now.
            with suppress(OSError, ValueError):
                fcntl.ioctl(self._fd, termios.TIOCNXCL)
        try:
            self._port.close()
        except (OSError, termios.error):
            log.debug("close_failed", line=self._port.port)


class SocketLine:
    """A TCP connection to a serial server or a Modbus TCP board."""

    def __init__(self, endpoint: str) -> None:
        host, _colon, port = endpoint.rpartition(":")
        try:
            address = RESOLVER.address(host.strip("[]"), int(port), CONNECT_TIMEOUT)
            self._socket = socket.create_connection((address, int(port)), timeout=CONNECT_TIMEOUT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setblocking(False)
        except (OSError, ValueError) as error:  # a host name can be too long for a label: UnicodeError
            raise LineGone.of(error) from error

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        try:
            self._socket.settimeout(WRITE_TIMEOUT)
            self._socket.sendall(data)
            self._socket.setblocking(False)
        except OSError as error:
            raise LineGone.of(error) from error

    def read(self) -> bytes:
        """Return what has arrived."""
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise LineGone.of(error) from error
        if not data:
            raise LineGone("the other side closed the connection", Trouble.HUNG_UP)
        return data

    def wait(self, timeout: Seconds) -> bool:
        """Wait until something has arrived."""
        try:
            return bool(select.select([self._socket], [], [], max(0.0, timeout))[0])
        except (OSError, ValueError) as error:
            raise LineGone.of(error) from error

    def discard(self) -> None:
        """Close the connection, and send nothing of what it has not sent yet."""
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            log.debug("discard_failed")
        self._socket.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
