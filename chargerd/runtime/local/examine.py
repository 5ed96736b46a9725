"""What `chargerctl doctor` looks at of the machine: clock, disk and its wear, supply, temperature, watchdog.

Each look gives one line: all is well, a warning, or a fault, with what to do. What a machine does not tell is no
fault of its: a PC has no under-voltage flag.
"""

import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from chargerd import __version__
from chargerd.core.moment import ClockQuality

MEBI = 1 << 20
SCARCE, FULL = 200 * MEBI, 20 * MEBI
"""Free space at which somebody should look, and at which the journal's ballast is all that is left."""
WARM, HOT = 70.0, 80.0
"""Degrees of the processor: a Pi slows down from 80 on (Raspberry Pi documentation, frequency management)."""
WORN, SPENT = 8, 10
"""Tenths of an eMMC's life that are used up (JESD84-B51, DEVICE_LIFE_TIME_EST)."""
BUILT = 1_735_689_600
"""2025-01-01: no clock that is right shows an earlier time."""
THROTTLED = (
    (0, 16, "the supply voltage is too low", "use the supply the board asks for, and a short thick cable"),
    (2, 18, "the processor is slowed down", "look at its supply voltage and its temperature"),
    (3, 19, "the processor is too warm", "give the housing air, or the processor a heat sink"),
)
"""Bits of the firmware's flags: now, and since it was switched on (vcgencmd get_throttled)."""


class Verdict(StrEnum):
    """How a look has ended."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One look: at what, what was seen, and what to do unless all is well."""

    about: str
    verdict: Verdict
    what: str
    then: str = ""


def ok(about: str, what: str) -> Check:
    """Return that all is well."""
    return Check(about=about, verdict=Verdict.OK, what=what)


def warning(about: str, what: str, then: str) -> Check:
    """Return that somebody should look."""
    return Check(about=about, verdict=Verdict.WARNING, what=what, then=then)


def fault(about: str, what: str, then: str) -> Check:
    """Return that something does not work."""
    return Check(about=about, verdict=Verdict.FAULT, what=what, then=then)


def of_machine(folder: Path, quality: ClockQuality, *, root: Path = Path("/")) -> Iterator[Check]:
    """Look at the machine. `folder` is where the journal lies, `root` where the system's files are."""
    yield _clock(quality)
    yield from _disk(folder)
    yield from _wear(root)
    yield from _supply(root)
    yield from _temperature(root)
    yield ok("version", f"chargerd {__version__}, Python {platform.python_version()}, {_system(root)}")


def _clock(quality: ClockQuality) -> Check:
    now = time.time()  # noqa: TID251 - whether it is right is what is looked at
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < BUILT:
        return fault("clock", f"it shows {shown}", "connect the network, or set it: sudo timedatectl set-time ...")
    if quality is ClockQuality.NTP:
        return ok("clock", f"{shown}, kept by the network")
    then = "look why: timedatectl timesync-status, or chronyc tracking"
    if quality is ClockQuality.RTC:
        return warning("clock", f"{shown}, from the machine's own clock alone: nothing corrects it", then)
    what = f"{shown}, and nothing vouches for it: records have no time of day until something does"
    return warning("clock", what, then)


def _disk(folder: Path) -> Iterator[Check]:
    try:
        found = os.statvfs(folder)
    except OSError as error:
        yield fault("disk", f"{folder}: {error.strerror}", "make the folder, and give it to the daemon's user")
        return
    free = found.f_bavail * found.f_frsize
    what = f"{free // MEBI} MiB free where the journal lies"
    then = "look what fills it: du -xh / | sort -h | tail; journalctl --vacuum-size=100M"
    if found.f_flag & os.ST_RDONLY:
        yield fault(
            "disk", f"{folder} is mounted read-only", "see dmesg: a worn or broken card often becomes that"
        )
    elif free < FULL or (found.f_files and found.f_favail == 0):
        yield fault("disk", what, then)
    else:
        yield warning("disk", what, then) if free < SCARCE else ok("disk", what)


def _wear(root: Path) -> Iterator[Check]:
    """Look at how worn the card or flash is, where it tells: an eMMC does, an SD card does not."""
    for device in sorted((root / "sys/block").glob("mmcblk[0-9]")):
        life = _text(device / "device/life_time")
        if life is None:
            continue
        tenths = max(int(part, 16) for part in life.split())
        what = f"{device.name} has used up {10 * max(0, tenths - 1)} to {10 * tenths} % of its life"
        then = "replace it; the journal comes along with the folder"
        if tenths >= SPENT:
            yield fault("wear", what, then)
        else:
            yield warning("wear", what, then) if tenths >= WORN else ok("wear", what)


def _supply(root: Path) -> Iterator[Check]:
    """Look at the flags of a Pi's firmware; it keeps what has happened since it was switched on."""
    path = next((root / "sys/devices/platform").glob("soc*/*firmware/get_throttled"), None)
    text = None if path is None else _text(path)
    if text is None:
        return
    flags = int(text, 16)
    sound = True
    for now, before, what, then in THROTTLED:
        if flags >> now & 1:
            sound = False
            yield fault("supply", f"{what}, now", then)
        elif flags >> before & 1:
            sound = False
            yield warning("supply", f"{what} at times, since it was switched on", then)
    if sound:
        yield ok("supply", "no under-voltage and no throttling since it was switched on")


def _temperature(root: Path) -> Iterator[Check]:
    text = _text(root / "sys/class/thermal/thermal_zone0/temp")
    if text is None:
        return
    celsius = int(text) / 1000
    what, then = f"the processor has {celsius:.0f} C", "give the housing air, or the processor a heat sink"
    if celsius >= HOT:
        yield fault("temperature", what, then)
    else:
        yield warning("temperature", what, then) if celsius >= WARM else ok("temperature", what)


def of_watchdog(interval: float | None, *, root: Path = Path("/")) -> Iterator[Check]:
    """Look at who notices that the daemon hangs, and who notices that the machine does."""
    if interval is None:
        what = "nobody notices if the daemon hangs"
        yield warning(
            "watchdog", what, "run it as the service that comes with it: systemctl enable --now chargerd"
        )
    else:
        yield ok("watchdog", f"systemd restarts a daemon that is silent for {interval:g} s")
    states = [_text(path) for path in (root / "sys/class/watchdog").glob("watchdog*/state")]
    if "active" in states:
        yield ok("watchdog", "the machine restarts itself if it hangs")
    elif states:
        then = "set RuntimeWatchdogSec=15 in /etc/systemd/system.conf, and restart the machine"
        yield warning("watchdog", "a machine that hangs stays so", then)


def _system(root: Path) -> str:
    text = _text(root / "etc/os-release") or ""
    names = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return f"{names.get('PRETTY_NAME', 'Linux').strip(chr(34))}, kernel {platform.release()}"


def _text(path: Path) -> str | None:
    """Return what a file of the system says; `None` if this machine has none, or it says nothing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None
