"""Alarms and notes of the link, each once in a while at most.

They are rows of the ledger, and rows are what a misconfigured broker refuses: an alarm for each refusal would make
rows without end.
"""

from collections import Counter
from collections.abc import Callable, Hashable

from chargerd import log
from chargerd.contract.payloads import EventBody
from chargerd.core.clock import Clock
from chargerd.core.units import Instant, Seconds, between

SAME_AGAIN_AFTER = Seconds(3600.0)
MOST_REMEMBERED = 1000


class Alarms:
    """Passes on what is new; what was said within the hour goes to the log alone."""

    def __init__(self, clock: Clock, alarm: Callable[[str, str], None]) -> None:
        self.on_event: Callable[[EventBody], None] | None = None
        self._clock = clock
        self._alarm = alarm
        self._said: dict[tuple[str, Hashable], Instant] = {}
        self._kept: Counter[tuple[str, Hashable]] = Counter()
        """How often each came since it was last told."""

    def say(self, name: str, detail: str, about: Hashable = None) -> None:
        """Tell of `name`, unless the same was told of the same thing (`about`) a short while ago.

        What is not told is counted, and the count is told next time.
        """
        if self._is_new(name, about, SAME_AGAIN_AFTER):
            more = self._kept.pop((name, about), 0)
            self._alarm(name, f"{detail}; {more} more of these since it was last told" if more else detail)
        else:
            self._kept[name, about] += 1
            log.warning(name, detail=detail, again=True)

    def pass_on(self, body: EventBody) -> None:
        """Tell of something whose teller sees to it himself that it is not told too often."""
        if self.on_event is not None:
            self.on_event(body)

    def note(self, body: EventBody, about: Hashable, again_after: Seconds) -> None:
        """Tell of something with figures of its own, not more often than this."""
        if not self._is_new(body.event, about, again_after):
            return
        if self.on_event is not None:
            self.on_event(body)
        else:
            self._alarm(body.event, body.reason or "")

    def _is_new(self, name: str, about: Hashable, again_after: Seconds) -> bool:
        now = self._clock.now()
        said = self._said.get((name, about))
        if said is not None and between(said, now) < again_after:
            return False
        self._said.pop((name, about), None)
        if len(self._said) >= MOST_REMEMBERED:
            oldest = next(iter(self._said))
            del self._said[oldest]
            self._kept.pop(oldest, None)
        self._said[(name, about)] = now
        return True
