"""How long the line is kept silent before a board is asked: its own figure, and more where that helps. Pure.

Some boards are deaf for a while after any frame, also one of another board's. What was not answered is asked again
after a longer silence, each time longer. A longer silence is kept for a board as long as it is heard with it and
not without: with noise on the line it would change nothing, and only cost time.
"""

from chargerd.core.units import Seconds

LONGER: tuple[Seconds, ...] = (Seconds(0.02), Seconds(0.06), Seconds(0.12))
"""After the first, second and third miss in a row. Boards were seen deaf for 20 ms and for 50 ms."""
GAIN = 1 / 8
"""Weight of the newest request in the share of misses at one length of silence."""
MISSED = 0.1
"""A share of misses that a sound board on a sound line does not have."""
BETTER = 4
"""A longer silence helps if it has so many times fewer misses."""
KNOWN = 8
"""So many answers to a longer silence are heard before anybody is told that the board wants it."""
TRY_AGAIN = 64
"""So many answers to a longer silence are heard before the board is tried without: it may be another one."""


class Silence:
    """What one board wants."""

    def __init__(self, own: Seconds = Seconds(0.0)) -> None:
        """`own` is what its profile or the configuration says, beside the 3.5 characters everybody gets."""
        self._lengths = (own, *(max(own, length) for length in LONGER))
        self._missed = [0.0] * len(self._lengths)
        self._heard = [0] * len(self._lengths)
        """How often it has answered after each of the lengths."""
        self._step = 0
        self._used = 0
        self._answers = 0

    def before(self, *, reading: bool) -> Seconds:
        """Return how long the line is to be silent before the next request, which is sent now.

        Whether the board still needs it is tried by a `reading` only: nobody waits for that.
        """
        trying = reading and self._answers >= TRY_AGAIN
        if trying:
            self._answers = 0
        self._used = 0 if trying else self._step
        return self._lengths[self._used]

    def answered(self) -> None:
        """Take in that the request was answered."""
        if not self._used and not self._missed[0]:  # As a rule: it has never wanted anything.
            self._heard[0] += 1
            return
        self._count(missed=False)
        self._answers += self._used > 0
        self._step = self._helps()

    def missed(self) -> None:
        """Take in that nothing answered it."""
        self._count(missed=True)
        longer = min(self._used + 1, len(self._lengths) - 1)
        self._step = max(longer, self._helps())

    @property
    def wanted(self) -> Seconds | None:
        """Return the silence with which the board is heard much better than with its own, if there is one."""
        helps = self._helps()
        return self._lengths[helps] if helps and self._heard[helps] >= KNOWN else None

    def _count(self, *, missed: bool) -> None:
        self._heard[self._used] += not missed
        self._missed[self._used] += GAIN * (missed - self._missed[self._used])

    def _helps(self) -> int:
        """Return the place of the shortest silence that helps; 0 if none does, or none is needed."""
        own = self._missed[0]
        if own < MISSED:
            return 0
        places = range(1, len(self._lengths))
        return next((place for place in places if self._heard[place] and BETTER * self._missed[place] <= own), 0)
