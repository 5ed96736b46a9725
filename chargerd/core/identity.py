"""What a board tells of itself: words of the registers its profile names, compared as they are."""

from dataclasses import dataclass

from chargerd.core.units import BoardId


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a board of the site is known by; survives restarts."""

    board: BoardId
    words: tuple[int, ...]
    """None: whatever it tells next, as of a line that was accepted before this board had told."""
