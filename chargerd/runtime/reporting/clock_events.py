"""Watches the wall clock, which may be set at any time, and has the ledger say so.

Nothing decides by that clock. But rows of a boot that began without one have no time, and a consumer can give
them theirs only if told how far the wall clock is ahead of the boot clock: that is `clock_fixed`.
"""

from collections.abc import Callable, Sequence

from chargerd.contract.ledger import LedgerRow
from chargerd.contract.parts import up_ms
from chargerd.contract.payloads import EventBody, Severity
from chargerd.core.clock import Clock
from chargerd.core.units import Instant, PortId
from chargerd.core.view import PortView

STEP_MS = 1000
"""From here on it was set; the kernel's own corrections move it by half a millisecond a second at most."""


class ClockWatch:
    """Compares both clocks at each look. `note` gets what belongs into the ledger."""

    def __init__(self, clock: Clock, note: Callable[[EventBody], None]) -> None:
        self._clock = clock
        self._note = note
        self._quality = clock.moment().clock
        self.since: Instant = clock.now()
        """Since when the time of day comes from where it comes from now, or since the process began."""
        self._offset_ms: int | None = None
        self._untimed = clock.moment().wall_ms is None
        """Whether this boot may have rows without a time that nobody has told the offset for."""

    def recollect(self, rows: Sequence[LedgerRow]) -> None:
        """Take in rows of earlier processes: those of this boot may be without a time, too."""
        boot = self._clock.moment().boot
        if any(row.moment.boot == boot and row.moment.wall_ms is None for row in rows):
            self._untimed = True
            self._offset_ms = None

    def looked(self, _views: Sequence[PortView], _changed: frozenset[PortId]) -> None:
        """Look at the clocks when somebody looks at the station."""
        self.look()

    def look(self) -> None:
        """Compare the wall clock with the boot clock, which nobody sets; tell of first setting and steps."""
        moment = self._clock.moment()
        if moment.clock is not self._quality:
            self._quality, self.since = moment.clock, moment.instant
        if moment.wall_ms is None:
            self._untimed, self._offset_ms = True, None
            return
        offset = moment.wall_ms - up_ms(moment.instant)
        before, self._offset_ms = self._offset_ms, offset
        if before is None:
            if self._untimed:
                self._untimed = False
                self._note(EventBody(event="clock_fixed", severity=Severity.INFO, offset_ms=offset))
        elif abs(offset - before) >= STEP_MS:
            step = offset - before
            self._note(EventBody(event="clock_step", severity=Severity.WARNING, offset_ms=offset, step_ms=step))
