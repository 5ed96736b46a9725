"""Which kept rows a backend has asked for again. Pure: the drain sends these before anything else.

They are kept as spans of numbers that neither overlap nor touch, lowest first: several holes may be asked for at
once, and an impatient backend that asks again and again does not make its list grow.
"""

from collections import deque

UNCONFIRMED = 100
"""Rows a lost connection may have had under way, and more."""


class Replays:
    """Spans still to be sent, and which of the newest rows were sent because somebody asked."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int]] = []
        self._newest: deque[int | None] = deque(maxlen=UNCONFIRMED)
        """The newest rows sent, oldest first; `None` for one that nobody had asked for."""

    @property
    def next(self) -> int | None:
        """The number of the next row to send again."""
        return self._spans[0][0] if self._spans else None

    def ask(self, first: int, last: int) -> None:
        """Send these rows again, besides those asked for before."""
        merged: list[tuple[int, int]] = []
        for begin, end in sorted([*self._spans, (first, last)]):
            if merged and begin <= merged[-1][1] + 1:
                merged[-1] = merged[-1][0], max(merged[-1][1], end)
            elif begin <= end:
                merged.append((begin, end))
        self._spans = merged

    def kept_from(self, first: int) -> None:
        """Rows before this one are kept no more."""
        self._spans = [(max(begin, first), end) for begin, end in self._spans if end >= first]

    def took(self, seq: int) -> bool:
        """The next row there is has this number; say whether it was asked for."""
        begin, end = self._spans.pop(0)
        if seq < end:
            self._spans.insert(0, (seq + 1, end))
        return begin <= seq <= end

    def sent(self, seq: int, *, asked: bool) -> None:
        """A row has gone out."""
        self._newest.append(seq if asked else None)

    def lost(self, since: int | None = None) -> None:
        """What went out last may not have arrived, or not from the row `since` on: ask for it again."""
        if since is not None and since not in self._newest:
            return
        begin = 0 if since is None else self._newest.index(since)
        for seq in list(self._newest)[begin:]:
            if seq is not None:
                self.ask(seq, seq)
        self._newest.clear()

    def forget(self) -> None:
        """The stream is another one."""
        self._spans.clear()
        self._newest.clear()
