"""How long a gateway is kept busy by a board that does not answer. Pure.

Many Modbus TCP gateways serve one request at a time: while they wait for a dead board, often a second, whatever
comes next waits with them. That is no silence of the boards asked next: they are waited for until the gateway must
be free again. How long it waits is learnt from what comes late: its exception, or the next board's answer.
"""

from chargerd.config.budget.pacing import GATEWAY_MAY_WAIT
from chargerd.core.units import LONG_AGO, Instant, Seconds, after, between

SILENCES = frozenset({0x0A, 0x0B})
"""Exceptions that a gateway gives in a board's place: no path to it, and no answer from it (MODBUS Application
Protocol V1.1b3, 7). They are the board's silence.
"""
USUALLY_WAITS = Seconds(1.0)
"""How much longer a silent board is left alone until then."""


class Gateway:
    """What is open on one connection, and how long its other end waits for a silent board."""

    def __init__(self) -> None:
        self._waits: Seconds | None = None
        self._open: dict[int, Instant] = {}
        """Requests that were given up, by transaction number, and when they were sent."""
        self._takes: dict[int, Seconds] = {}
        """How long each unit took to answer when nothing was open."""
        self._free_at = LONG_AGO
        """When it is known to have been done with what came before."""

    @property
    def waits(self) -> Seconds:
        """How long a silent board keeps the other end busy."""
        return USUALLY_WAITS if self._waits is None else self._waits

    def given_up(self, number: int, sent_at: Instant) -> None:
        """A request was not answered in time. The gateway may still wait for its board."""
        self._open[number] = sent_at

    def busy_until(self) -> Instant:
        """Return when the gateway must be done with what was given up, and that is not waited for without end."""
        until, each = self._free_at, GATEWAY_MAY_WAIT if self._waits is None else self._waits
        for sent_at in self._open.values():
            until = after(max(until, sent_at), each)
        return min(until, after(max(self._open.values(), default=until), GATEWAY_MAY_WAIT))

    def came_late(self, number: int, now: Instant) -> bool:
        """Take in an answer to what was given up, and say whether it was one: the gateway is done with it."""
        sent_at = self._open.pop(number, None)
        if sent_at is None:
            return False
        self._measured(between(max(sent_at, self._free_at), now), now)
        return True

    def refused(self, sent_at: Instant, now: Instant) -> None:
        """Take in that the gateway says of a board that it does not answer."""
        self._measured(between(max(sent_at, self._free_at), now), now)

    def answered(self, unit: int, sent_at: Instant, now: Instant) -> Seconds:
        """Take in that a board has answered; return how long it took once the gateway was free for it.

        What was asked before it and is still open has been given up by the gateway without a word: it was free as
        long before this answer as the board takes when nothing is open.
        """
        took = between(max(sent_at, self._free_at), now)
        if self._open:
            took = Seconds(min(took, self._takes.get(unit, 0.0)))
            done, began = after(now, Seconds(-took)), max(self._free_at, min(self._open.values()))
            self._measured(Seconds(max(0.0, between(began, done)) / len(self._open)), done)
            self._open.clear()
        else:
            self._takes[unit] = took
        self._free_at = now
        return took

    def _measured(self, waits: Seconds, done: Instant) -> None:
        self._waits, self._free_at = Seconds(min(waits, GATEWAY_MAY_WAIT)), done
