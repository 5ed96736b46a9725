"""What a run of the gate takes of a long list: one share, another with each commit. Run by hand, all of it.

The gate says which turn it is (`GATE_TURN`, the number of commits); as many commits in a row as there are shares
see the whole list, and so does `make mutants` at once.
"""

import os
from collections.abc import Callable, Sequence
from typing import TypeVar
from zlib import crc32

Item = TypeVar("Item")
TURN = os.environ.get("GATE_TURN", "")


def sampled(items: Sequence[Item], name: Callable[[Item], str], shares: int, turn: str = TURN) -> list[Item]:
    """Return the items whose turn it is. A name says which share an item is in, whatever stands beside it."""
    return [one for one in items if not turn or crc32(name(one).encode()) % shares == int(turn) % shares]
