"""The one place that reads the clocks of the machine."""

import ctypes
import os
import time
from pathlib import Path

from chargerd.core.clock import Clock
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import Instant, Seconds, after

STA_UNSYNC = 0x0040
"""adjtimex(2): the kernel's clock is not disciplined by anybody."""
TIMEX_BYTES = 256
TIMEX_STATUS_OFFSET = 40 if ctypes.sizeof(ctypes.c_long) == 8 else 20  # noqa: PLR2004 - bytes of a 64-bit long
"""Where `struct timex` keeps its status word: after `modes` (padded) and four longs."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
QUALITY_FOR = Seconds(1.0)
"""How long an answer of the kernel about its clock is good."""
REAL_TIME_CLOCKS = Path("/sys/class/rtc")


class SystemClock(Clock):
    """The kernel's clocks. `boot` is 0 until the journal has counted the boots."""

    def __init__(self) -> None:
        self.boot = 0
        self._has_rtc = REAL_TIME_CLOCKS.is_dir() and any(REAL_TIME_CLOCKS.iterdir())
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._quality = ClockQuality.NONE
        self._asked_again_at = Instant(0.0)

    def now(self) -> Instant:
        """Return CLOCK_BOOTTIME in seconds: it runs on while the machine is suspended, as leases do."""
        return Instant(time.clock_gettime(time.CLOCK_BOOTTIME))

    def sleep(self, span: Seconds) -> None:
        """Let `span` pass, and not much more: a bus thread sleeps over what it can predict."""
        time.sleep(max(0.0, span))  # noqa: TID251 - the one place

    def moment(self) -> Moment:
        """Return this moment; the wall time is `None` while nothing vouches for it."""
        now = self.now()
        if now >= self._asked_again_at:
            self._quality = self._ask_quality()
            self._asked_again_at = after(now, QUALITY_FOR)
        wall = None if self._quality is ClockQuality.NONE else time.time_ns() // 1_000_000
        return Moment(instant=now, boot=self.boot, wall_ms=wall, clock=self._quality)

    def _ask_quality(self) -> ClockQuality:
        # The kernel's synchronisation status, or at least a real-time clock from which it was set at boot.
        if self._synchronised():
            return ClockQuality.NTP
        return ClockQuality.RTC if self._has_rtc else ClockQuality.NONE

    def _synchronised(self) -> bool:
        buffer = ctypes.create_string_buffer(TIMEX_BYTES)
        if self._libc.adjtimex(buffer) < 0:
            return False
        status = ctypes.c_int.from_buffer(buffer, TIMEX_STATUS_OFFSET).value
        return not status & STA_UNSYNC


def boot_id() -> str:
    """Return the kernel's id of this boot; where there is none, one that holds for this process only."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return f"process-{os.getpid()}-{time.clock_gettime(time.CLOCK_BOOTTIME):.0f}"
