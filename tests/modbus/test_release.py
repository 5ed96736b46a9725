"""A line that a dead daemon had to itself, while another program has it open: others get at it again."""

import fcntl
import json
import os
import pty
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from chargerd.cli.release_lines import main
from chargerd.modbus import release as module
from chargerd.modbus.emergency import RELAYS_FILE
from chargerd.modbus.release import NotALineError, is_line, release

TIOCGEXCL = 0x80045440
"""Whether a device is somebody's alone (tty_ioctl(4)); `termios` has no name for it."""
DRIVERS = """\
/dev/tty             /dev/tty        5       0 system:/dev/tty
usbserial            /dev/ttyUSB   188 0-511 serial
serial               /dev/ttyS       4      64 serial
pty_master           /dev/ptm      128 0-1048575 pty:master
unknown              /dev/tty        4 1-63 console
"""


@pytest.fixture
def device() -> Iterator[str]:
    """Give a line that is open already, and was somebody's alone."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCEXCL)
    yield os.ttyname(slave)
    os.close(slave)
    os.close(master)


def is_exclusive(path: str) -> bool:
    line = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        found: int = struct.unpack("i", fcntl.ioctl(line, TIOCGEXCL, b"\0" * 4))[0]
    finally:
        os.close(line)
    return bool(found)


def listed(folder: Path, *devices: str | None) -> Path:
    bus: dict[str, object] = {"tcp": None, "rtu_over_tcp": None, "baudrate": 9600, "parity": "none", "stopbits": 1}
    relay: dict[str, object] = {"port": "A01", "unit": 1, "pdu": "050000", "timeout_s": 0.1, "silence_s": 0.0}
    lines: list[dict[str, object]] = [{"bus": bus | {"serial": one}, "relays": [relay]} for one in devices]
    (folder / RELAYS_FILE).write_text(json.dumps({"lines": lines}))
    return folder


@pytest.mark.skipif(os.geteuid() != 0, reason="TIOCEXCL keeps everybody out but root, as whom the unit calls it")
def test_every_line_of_the_list_is_given_back(device: str, tmp_path: Path) -> None:
    assert is_exclusive(device)
    assert main(["--state-dir", str(listed(tmp_path, None, "/dev/ttyNONE9", device))]) == 0
    assert not is_exclusive(device)


@pytest.mark.parametrize("path", ["/dev/null", "/etc/hostname", "/dev"])
def test_what_is_no_line_is_not_opened(path: str) -> None:
    """The list is the daemon's: one that was taken over must not have root open a watchdog."""
    with pytest.raises(NotALineError, match="is no serial line"):
        release(path)


def test_one_that_cannot_be_given_back_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--state-dir", str(listed(tmp_path, "/dev/null"))]) == 1
    assert "/dev/null is no serial line" in capsys.readouterr().err


def test_before_any_daemon_has_run_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert main(["--state-dir", str(tmp_path)]) == 0


def test_a_list_that_is_none_is_said_to_be_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / RELAYS_FILE).write_text("[]")
    assert main(["--state-dir", str(tmp_path)]) == 1
    assert "is no list of relays" in capsys.readouterr().err


def test_lines_are_what_the_kernel_calls_serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "drivers").write_text(DRIVERS)
    monkeypatch.setattr(module, "DRIVERS", tmp_path / "drivers")
    lines = [(188, 0), (188, 511), (4, 64), (4, 67)]
    others = [(188, 512), (4, 1), (4, 63), (5, 0), (128, 3), (10, 130)]
    assert ([is_line(*one) for one in lines], [is_line(*one) for one in others]) == ([True] * 4, [False] * 6)
