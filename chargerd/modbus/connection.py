"""The line of a bus as it comes and goes. It may be missing at any time, and is tried again every second.

A connection over a network can hang: its far end acknowledges what is sent, and nothing ever answers. One over
which no board has been heard for so long that each has been asked is given up for a fresh one; if that changes
nothing, ever more seldom.
"""

from collections.abc import Callable

from chargerd import log
from chargerd.config.budget.pacing import IDLE_EVERY
from chargerd.core.clock import Clock
from chargerd.core.units import BoardId, Instant, Seconds, after
from chargerd.modbus.lines import LineGone
from chargerd.modbus.wire import Counters, Wire

REOPEN_EVERY = Seconds(1.0)
GONE_IS_NEWS = Seconds(10.0)
"""How long a line that is there again is told to have been gone: some go as soon as they are used."""
HUNG_AFTER = Seconds(IDLE_EVERY + 1.0)
"""An idle board is asked within that time, too."""
HUNG_MISSES = 2
"""So many boards at least have not answered then, or all there are: a dead one is not left alone for long."""
HUNG_AT_MOST = Seconds(60.0)
"""How long a silence is put up with after fresh connections have not ended it."""


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
        self._gone: LineGone | None = None
        self._gone_at: Instant = clock.now()
        self._unheard_since: Instant | None = None
        self._unheard: set[BoardId] = set()
        """The boards that have not answered since."""
        self._patience = HUNG_AFTER
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
        self._forget()
        log.info("line_open", bus=self._bus)
        return True

    def lose(self, error: LineGone) -> None:
        """Give up a line that is gone."""
        if self.wire is not None:
            log.warning("line_gone", bus=self._bus, why=str(error))
            self.wire.close()
        elif self._gone is None or str(self._gone) != str(error):
            log.warning("line_missing", bus=self._bus, why=str(error))
        else:
            log.debug("line_missing", bus=self._bus, why=str(error))
        self._gone, self._gone_at = error, self._clock.now()
        self.wire = None
        self.try_at = after(self._clock.now(), REOPEN_EVERY)

    @property
    def gone(self) -> LineGone | None:
        """Why the line is not there, or why it went a short while ago."""
        news = self.wire is None or self._clock.now() < after(self._gone_at, GONE_IS_NEWS)
        return self._gone if news else None

    def flush(self) -> None:
        """Give up a connection in which a closing may still be on its way: it must not arrive after an opening."""
        self._renew("a closing was not answered")

    def heard(self) -> None:
        """Take note that something at the other end has answered."""
        self._patience = HUNG_AFTER
        if self._unheard_since is not None:
            self._forget()

    def unheard(self, board: BoardId, since: Instant) -> None:
        """Take note that what a board was asked then has not been answered."""
        self._unheard.add(board)
        if self._unheard_since is None:
            self._unheard_since = since

    @property
    def doubtful(self) -> bool:
        """Say whether something has not been answered since anything was heard."""
        return self._unheard_since is not None

    def hangs(self, boards: int) -> bool:
        """Say whether nothing has been heard over a network with so many boards for so long that it may hang."""
        if self.wire is None or self.wire.discard is None or self._unheard_since is None:
            return False
        long = self._clock.now() >= after(self._unheard_since, self._patience)
        return long and len(self._unheard) >= min(boards, HUNG_MISSES)

    def _forget(self) -> None:
        self._unheard_since = None
        self._unheard.clear()

    def renew(self) -> None:
        """Give up a connection that hangs."""
        self._patience = Seconds(min(2 * self._patience, HUNG_AT_MOST))
        self._renew("nothing at the other end answers")

    def _renew(self, why: str) -> None:
        if self.wire is not None and self.wire.discard is not None:
            log.warning("connection_renewed", bus=self._bus, why=why)
            self.wire.discard()
            self.wire = None
            self.try_at = self._clock.now()
