"""Gives a line back that a daemon which died had to itself.

The daemon has the system open its lines for nobody else (TIOCEXCL, tty_ioctl(4)). The device keeps that until the
last who has it open closes it. So where some other program had it open, too, it outlives a daemon that was killed,
and nobody but root gets at the relays. Asked as root, for the paths in a file that is not root's: therefore
nothing is opened but what the kernel calls a serial line.
"""

import fcntl
import os
import stat
import termios
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

DRIVERS: Final = Path("/proc/tty/drivers")
"""One a line: name, where its devices are, major number, minor number or range of them, kind (proc(5))."""
KINDS: Final = frozenset({"serial", "pty:slave"})
"""The second is what stands for a line where boards are simulated."""


class NotALineError(OSError):
    """This is no serial line."""


def release(path: str) -> None:
    """Let others open the device again. Raises `OSError`; `NotALineError` if it is no serial line."""
    # Neither waits for a carrier nor becomes the terminal of this process.
    device = os.open(path, os.O_PATH)
    try:
        found = os.fstat(device)
        if not (stat.S_ISCHR(found.st_mode) and is_line(os.major(found.st_rdev), os.minor(found.st_rdev))):
            raise NotALineError(f"{path} is no serial line")
        # Through what was looked at: the name may lead elsewhere by now.
        line = os.open(f"/proc/self/fd/{device}", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    finally:
        os.close(device)
    with closing(os.fdopen(line, "rb", buffering=0)):
        fcntl.ioctl(line, termios.TIOCNXCL)


def is_line(major: int, minor: int) -> bool:
    """Say whether the kernel has a serial line under these numbers. Raises `OSError`."""
    return any(major == number and minor in minors for number, minors in _lines())


def _lines() -> Iterator[tuple[int, range]]:
    for row in DRIVERS.read_text(encoding="utf-8").splitlines():
        *_, major, minors, kind = row.split()
        if kind in KINDS:
            first, _dash, last = minors.partition("-")
            # One number alone is that of the first device, however many there are.
            end = int(last) if last else int(first) + 0xFF
            yield int(major), range(int(first), end + 1)
