"""The line of a bus as it comes and goes. It may be missing at any time, and is tried again every second."""

from collections.abc import Callable

from chargerd import log
from chargerd.core.clock import Clock
from chargerd.core.units import Instant, Seconds, after
from chargerd.modbus.lines import LineGone
from chargerd.modbus.wire import Counters, Wire

REOPEN_EVERY = Seconds(1.0)


class Connection:
    """Holds the wire while there is one. Used by the bus's thread alone, but for `wire` and `counters`."""

    def __init__(self, bus: str, connect: Callable[[Counters], Wire], clock: Clock) -> None:
        self.counters = Counters()
        """Counts over all lines there ever were."""
        self.wire: Wire | None = None
        self.try_at: Instant = clock.now()
        """When the line is tried next, while there is none."""
        self.probed = False
        """Whether something has been read over this line, to find out whether its adapter hears itself."""
        self._bus = bus
        self._connect = connect
        self._clock = clock

    def open(self) -> bool:
        """Open the line if it is time to try; say whether it is open now. Raises `LineGone`."""
        now = self._clock.now()
        if now < self.try_at:
            return False
        self.try_at = after(now, REOPEN_EVERY)
        self.wire = self._connect(self.counters)
        self.probed = False
        log.info("line_open", bus=self._bus)
        return True

    def lose(self, error: LineGone) -> None:
        """Give up a line that is gone."""
        if self.wire is not None:
            log.warning("line_gone", bus=self._bus, why=str(error))
            self.wire.close()
        else:
            log.debug("line_missing", bus=self._bus, why=str(error))
        self.wire = None
        self.try_at = after(self._clock.now(), REOPEN_EVERY)

    def flush(self) -> None:
        """Give up a connection in which a closing may still be on its way: it must not arrive after an opening."""
        if self.wire is not None and self.wire.discard is not None:
            log.warning("connection_renewed", bus=self._bus, why="a closing was not answered")
            self.wire.discard()
            self.wire = None
            self.try_at = self._clock.now()
