"""Alarms of the link, each once an hour at most.

An alarm is a row of the ledger, and rows are what a misconfigured broker refuses: an alarm for each refusal would
make rows without end.
"""

from collections.abc import Callable, Hashable

import structlog

from chargerd.core.clock import Clock
from chargerd.core.units import Instant, Seconds, between

log = structlog.get_logger(__name__)

SAME_AGAIN_AFTER = Seconds(3600.0)
MOST_REMEMBERED = 1000


class Alarms:
    """Passes on what is new; what was said within the hour goes to the log alone."""

    def __init__(self, clock: Clock, tell: Callable[[str, str], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._said: dict[tuple[str, Hashable], Instant] = {}

    def say(self, name: str, detail: str, about: Hashable = None) -> None:
        """Tell of `name`, unless the same was told of the same thing (`about`) a short while ago."""
        now = self._clock.now()
        said = self._said.get((name, about))
        if said is not None and between(said, now) < SAME_AGAIN_AFTER:
            log.warning(name, detail=detail, again=True)
            return
        self._said.pop((name, about), None)
        if len(self._said) >= MOST_REMEMBERED:
            del self._said[next(iter(self._said))]
        self._said[(name, about)] = now
        self._tell(name, detail)
