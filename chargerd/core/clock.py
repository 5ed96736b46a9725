"""The clock as the rest of the program sees it: handed in from outside, real or virtual."""

import abc
from typing import Protocol

from chargerd.core.moment import Moment
from chargerd.core.units import Instant, Seconds


class Clock(Protocol):
    """A source of moments. The core is never given one; it is given moments."""

    @abc.abstractmethod
    def now(self) -> Instant:
        """Return the boot clock (CLOCK_BOOTTIME: monotonic, running on in suspend), in seconds."""

    @abc.abstractmethod
    def sleep(self, span: Seconds) -> None:
        """Let `span` pass."""

    @abc.abstractmethod
    def moment(self) -> Moment:
        """Return this moment with its wall time, as far as that is known."""
