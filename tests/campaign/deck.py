"""What is dealt instead of drawn: chance decides the order, and all have come before any comes again.

A list of sixty drawn from is through after some three hundred draws; dealt from, after sixty. So few lives do for
all of it.
"""

from collections.abc import Iterable
from random import Random


class Deck:
    """Cards in an order of chance, shuffled anew when the last was dealt."""

    def __init__(self, rng: Random, cards: Iterable[str]) -> None:
        self._rng = rng
        self._cards = tuple(cards)
        self._left: list[str] = []

    def deal(self) -> str:
        if not self._left:
            self._left = self._rng.sample(self._cards, len(self._cards))
        return self._left.pop()
