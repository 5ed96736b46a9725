"""Lines that are missing, taken, full or gone: each says so in one way."""

import contextlib
import errno
import os
import socket
import subprocess
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import serial

from chargerd.config.document import BusSection
from chargerd.config.profiles.models import Parity
from chargerd.core.units import Seconds
from chargerd.modbus import lines
from chargerd.modbus.connector import connector
from chargerd.modbus.emergency import Settings
from chargerd.modbus.lines import Line, LineGone, Resolver, SerialLine, SocketLine, Trouble, hasten
from chargerd.modbus.manual import CannotTune, Rate
from chargerd.modbus.wire import Counters, RtuWire
from tests.judging import every
from tests.modbus.kit import VirtualClock
from tests.modbus.live import raw_pty
from tests.patience import PATIENCE_S

SHORT = Seconds(0.02)


@dataclass
class Pty:
    master: int
    slave: int

    @property
    def section(self) -> BusSection:
        return BusSection(serial=os.ttyname(self.slave), baudrate=9600)

    def hang_up(self) -> None:
        for end in (self.master, self.slave):
            os.close(end)
        self.master = self.slave = -1


@pytest.fixture
def pty() -> Iterator[Pty]:
    one = Pty(*raw_pty())
    yield one
    if one.master >= 0:
        one.hang_up()


@pytest.fixture
def line(pty: Pty) -> Iterator[SerialLine]:
    one = SerialLine(pty.section)
    yield one
    one.close()


def test_bytes_go_both_ways(pty: Pty, line: SerialLine) -> None:
    line.write(b"\x00\x0d\x11\xff")
    assert os.read(pty.master, 16) == b"\x00\x0d\x11\xff"
    assert line.read() == b""
    assert not line.wait(SHORT)
    os.write(pty.master, b"\x00\x03\x0d\x13")
    assert line.wait(Seconds(5.0))
    assert line.read() == b"\x00\x03\x0d\x13"


def test_a_line_is_ours_alone(pty: Pty, line: SerialLine) -> None:
    with pytest.raises(LineGone) as caught:
        SerialLine(pty.section)
    assert caught.value.trouble is Trouble.IN_USE
    line.close()
    SerialLine(pty.section).close()


NOBODY = 65534


def opened_by_another(device: str) -> str:
    """Open a device in another process, not as root, whom the system lets open whatever it likes."""
    Path(device).chmod(0o666)
    found = subprocess.run(
        ["/bin/sh", "-c", f'exec 3<>"{device}"'],
        capture_output=True,
        text=True,
        check=False,
        user=NOBODY if os.getuid() == 0 else None,
    )
    return "" if found.returncode == 0 else found.stderr


def test_the_system_opens_our_line_for_no_other_program_until_we_give_it_back(pty: Pty) -> None:
    device = os.ttyname(pty.slave)
    assert not opened_by_another(device)
    line = SerialLine(pty.section)
    assert "busy" in opened_by_another(device)
    line.close()
    assert not opened_by_another(device)


def test_a_line_is_driven_at_another_rate_and_at_its_own_again(pty: Pty, line: SerialLine) -> None:
    line.tune(Rate(baudrate=19200))
    assert termios.tcgetattr(pty.slave)[4] == termios.B19200
    assert "busy" in opened_by_another(os.ttyname(pty.slave))
    line.tune(None)
    assert termios.tcgetattr(pty.slave)[4] == termios.B9600
    with pytest.raises(CannotTune, match="does not take 9600 Bd, parity even: Invalid argument"):
        line.tune(Rate(baudrate=9600, parity="even"))  # A pseudo-terminal has no parity.
    line.tune(None)
    line.write(b"\x01")
    assert os.read(pty.master, 16) == b"\x01"


def test_a_rate_the_adapter_does_not_take_is_no_lost_line(
    monkeypatch: pytest.MonkeyPatch, line: SerialLine
) -> None:
    def refuse(_self: object, _settings: object) -> None:
        raise ValueError("Failed to set custom baud rate")

    monkeypatch.setattr(serial.Serial, "apply_settings", refuse)
    with pytest.raises(CannotTune, match="does not take 250000 Bd, parity none: Failed to set"):
        line.tune(Rate(baudrate=250_000))
    with pytest.raises(LineGone):
        line.tune(None)


def test_a_missing_device_is_a_line_that_is_gone() -> None:
    with pytest.raises(LineGone, match="No such file or directory"):
        SerialLine(BusSection(serial="/dev/no-such-device"))


@pytest.mark.parametrize(
    ("number", "trouble"),
    [
        (errno.EACCES, Trouble.NO_PERMISSION),
        (errno.EPERM, Trouble.NO_PERMISSION),
        (errno.EBUSY, Trouble.IN_USE),
        (errno.EAGAIN, Trouble.IN_USE),
        (errno.ENOENT, Trouble.ABSENT),
        (errno.ECONNREFUSED, Trouble.REFUSED),
        (errno.ECONNRESET, Trouble.HUNG_UP),
    ],
)
def test_the_systems_own_reason_is_kept(number: int, trouble: Trouble) -> None:
    error = LineGone.of(OSError(number, os.strerror(number)))
    assert error.trouble is trouble
    assert os.strerror(number) in str(error)
    assert LineGone.of(ValueError("too long")).trouble is Trouble.ABSENT


def test_so_is_one_whose_settings_are_refused(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise termios.error(22, "Invalid argument")

    monkeypatch.setattr(termios, "tcsetattr", refuse)
    with pytest.raises(LineGone, match="Invalid argument"):
        SerialLine(pty.section.model_copy(update={"parity": Parity.EVEN}))


@pytest.mark.parametrize("error", [ValueError, NotImplementedError, OSError])
def test_an_adapter_without_low_latency_will_do(
    pty: Pty, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def refuse(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(serial.Serial, "set_low_latency_mode", refuse)
    SerialLine(pty.section).close()


def test_one_that_vanishes_is_noticed_by_whoever_waits_reads_or_writes(pty: Pty, line: SerialLine) -> None:
    pty.hang_up()
    assert line.wait(Seconds(5.0))
    with contextlib.suppress(LineGone):
        assert line.read() == b""  # the kernel says either
    with pytest.raises(LineGone):
        line.write(b"\x00")


def test_a_device_that_takes_no_more_is_given_up(line: SerialLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "WRITE_TIMEOUT", SHORT)
    with pytest.raises(LineGone, match="takes no more"):
        line.write(bytes(1_000_000))


@pytest.mark.parametrize(("error", "gone"), [(BlockingIOError(), False), (OSError(5, "Input/output error"), True)])
def test_a_read_that_fails_says_which_way(
    line: SerialLine, monkeypatch: pytest.MonkeyPatch, error: OSError, gone: bool
) -> None:
    def refuse(*_arguments: object) -> bytes:
        raise error

    monkeypatch.setattr(os, "read", refuse)
    with pytest.raises(LineGone) if gone else contextlib.nullcontext():
        assert line.read() == b""


def test_one_that_is_slow_to_take_is_waited_for(
    pty: Pty, line: SerialLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, refused = os.write, iter([True])

    def write(end: int, data: bytes) -> int:
        if next(refused, False):
            raise BlockingIOError
        return real(end, data)

    monkeypatch.setattr(os, "write", write)
    line.write(b"\x01\x02")
    assert os.read(pty.master, 16) == b"\x01\x02"


def test_waiting_on_a_closed_line_is_no_crash(line: SerialLine) -> None:
    line._fd = -1  # noqa: SLF001 - a descriptor that a vanished device has left behind
    with pytest.raises(LineGone):
        line.wait(SHORT)


def test_closing_never_fails(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    line = SerialLine(pty.section)
    real = serial.Serial.close

    def refuse(port: serial.Serial) -> None:
        real(port)
        raise termios.error(5, "Input/output error")

    monkeypatch.setattr(serial.Serial, "close", refuse)
    line.close()
    monkeypatch.undo()  # The port closes itself once more when it is forgotten.


# Sockets


@dataclass
class Connection:
    line: SocketLine
    far: socket.socket


@pytest.fixture
def connection() -> Iterator[Connection]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = SocketLine(f"127.0.0.1:{server.getsockname()[1]}")
        far, _address = server.accept()
        with far:
            yield Connection(line, far)
        line.close()


def test_a_connection_carries_bytes_both_ways(connection: Connection) -> None:
    connection.line.write(b"\x01\x02")
    assert connection.far.recv(16) == b"\x01\x02"
    assert connection.line.read() == b""
    assert not connection.line.wait(SHORT)
    connection.far.sendall(b"\x03")
    assert connection.line.wait(Seconds(5.0))
    assert connection.line.read() == b"\x03"


def test_one_that_is_closed_is_gone(connection: Connection) -> None:
    connection.far.close()
    assert connection.line.wait(Seconds(5.0))
    with pytest.raises(LineGone, match="closed the connection"):
        connection.line.read()


def test_one_that_is_reset_is_gone(connection: Connection) -> None:
    connection.line.write(b"unread")
    connection.far.recv(1)
    connection.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.far.close()
    assert connection.line.wait(Seconds(5.0))
    with pytest.raises(LineGone):
        connection.line.read()
    with pytest.raises(LineGone):
        connection.line.write(b"\x00")


def test_one_that_takes_no_more_is_given_up(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "WRITE_TIMEOUT", SHORT)
    with pytest.raises(LineGone):
        connection.line.write(bytes(20_000_000))


def test_waiting_on_a_closed_connection_is_no_crash(connection: Connection) -> None:
    connection.line.close()
    with pytest.raises(LineGone):
        connection.line.wait(SHORT)


def test_nobody_there_and_no_such_host_are_lines_that_are_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for endpoint in (f"127.0.0.1:{port}", f"{'x' * 64}.invalid:502", "[::1]:1"):
        with pytest.raises(LineGone):
            SocketLine(endpoint)


def test_a_name_server_that_is_dead_keeps_nobody_and_its_late_word_counts() -> None:
    asked, may_answer = [], threading.Event()

    def slow(host: str, _port: int) -> str:
        asked.append(host)
        assert may_answer.wait(PATIENCE_S)
        return "127.0.0.1"

    resolver = Resolver(slow)
    for _ in range(3):
        with pytest.raises(LineGone, match="does not say where"):
            resolver.address("boards.example", 502, Seconds(0.001))
    assert asked == ["boards.example"]
    may_answer.set()
    assert resolver.address("boards.example", 502, Seconds(10.0)) == "127.0.0.1"


def test_a_name_that_cannot_be_is_a_line_that_is_gone() -> None:
    def refuse(_host: str, _port: int) -> str:
        raise UnicodeError("label too long")

    with pytest.raises(LineGone, match="label too long"):
        Resolver(refuse).address("boards.example", 502, Seconds(10.0))


def test_an_adapters_latency_timer_is_set_where_there_is_one(tmp_path: Path) -> None:
    device = tmp_path / "ttyUSB0" / "device"
    device.mkdir(parents=True)
    assert not hasten("/dev/ttyUSB0", tmp_path)
    timer = device / "latency_timer"
    timer.write_text("16\n", encoding="ascii")
    assert hasten("/dev/ttyUSB0", tmp_path)
    assert timer.read_text(encoding="ascii") == "1"


def test_what_a_connection_has_not_sent_is_discarded_with_it(connection: Connection) -> None:
    near, far = connection.line, connection.far
    near.discard()
    with pytest.raises(ConnectionResetError):
        far.recv(1)
    near.discard()


def test_both_are_lines(line: SerialLine, connection: Connection) -> None:
    both: list[Line] = [line, connection.line]
    assert every(not one.wait(Seconds(0.0)) for one in both)


@pytest.mark.parametrize(
    ("baudrate", "parity", "stopbits", "silence"),
    [
        (9600, "none", 1, 3.5 * 10 / 9600),
        (9600, "even", 1, 3.5 * 11 / 9600),
        (9600, "odd", 1, 3.5 * 11 / 9600),
        (9600, "none", 2, 3.5 * 11 / 9600),
        (9600, "even", 2, 3.5 * 12 / 9600),
        (38400, "even", 1, 0.00175),
    ],
)
def test_the_silence_before_a_request_counts_every_bit_of_a_character(
    monkeypatch: pytest.MonkeyPatch, baudrate: int, parity: str, stopbits: int, silence: float
) -> None:
    monkeypatch.setattr("chargerd.modbus.connector.SerialLine", lambda _settings: SimpleNamespace(tune=None))
    settings = Settings(
        serial="/dev/line", tcp=None, rtu_over_tcp=None, baudrate=baudrate, parity=parity, stopbits=stopbits
    )
    wire = connector(settings, VirtualClock())(Counters())
    assert isinstance(wire, RtuWire)
    assert wire.silence == pytest.approx(silence)


def test_a_line_that_is_missing_says_so_without_the_systems_numbers(tmp_path: Path) -> None:
    """pyserial passes on what the system says, number and all, and puts the number before it again."""
    with pytest.raises(LineGone) as caught:
        SerialLine(BusSection(serial=str(tmp_path / "none"), baudrate=9600))
    assert "No such file or directory" in str(caught.value)
    assert "Errno" not in str(caught.value)
