"""What comes and goes: told each time, until it does so too often; then that it flaps, and how often, at times.

Nothing here decides anything. A board that is lost and back each second suspends its ports each second; only what
is written of it, durable and sent to the backend, must not grow with it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from chargerd.core.facts import (
    BoardFlapping,
    BoardReturned,
    BoardWentSilent,
    Fact,
    InputsBack,
    InputsFlapping,
    InputsLost,
    StoreFailed,
    StoreFlapping,
    StoreRecovered,
)
from chargerd.core.session import StopDetail
from chargerd.core.units import BoardId, Instant, Seconds, after

Lost: TypeAlias = BoardWentSilent | InputsLost | StoreFailed
Back: TypeAlias = BoardReturned | InputsBack | StoreRecovered
Paired: TypeAlias = Lost | Back
Subject: TypeAlias = tuple[str, BoardId | None]

OFTEN = 3
"""Losses within `STEADY` that are flapping: the first two are told as they are."""
STEADY = Seconds(600.0)
"""After so long without a change it is over."""
TOLD_AGAIN = Seconds(3600.0)
"""How often the count is told while it goes on."""


@dataclass(slots=True)
class _Flap:
    """One thing that comes and goes."""

    losses: list[Instant] = field(default_factory=list)
    """The latest ones, oldest first."""
    count: int = 0
    """Losses since it has been flapping; 0: it is not."""
    told_at: Instant = Instant(0.0)
    changed_at: Instant = Instant(0.0)
    last: Paired | None = None
    """What is true of it now, and was not told."""


class Flaps:
    """All pairs of facts of a station."""

    def __init__(self) -> None:
        self._known: dict[Subject, _Flap] = {}

    def told(self, facts: Iterable[Fact], now: Instant) -> Iterator[Fact]:
        """Yield what is told of these facts."""
        for fact in facts:
            if isinstance(fact, Paired):
                yield from self._paired(fact, now)
            else:
                yield fact

    @property
    def any(self) -> bool:
        """Say whether anything has ever come or gone."""
        return bool(self._known)

    def due(self) -> Instant | None:
        """Return when there is something to tell though nothing changes."""
        if not self._known:
            return None
        return min((after(one.changed_at, STEADY) for one in self._known.values() if one.count), default=None)

    def over(self, now: Instant) -> Iterator[Fact]:
        """Yield what is told of those that have been steady for long enough: how often, and what is true now."""
        for flap in self._known.values():
            if flap.count and now >= after(flap.changed_at, STEADY):
                assert flap.last is not None
                yield _flapping(flap.last, flap.count)
                yield flap.last
                flap.count, flap.last = 0, None
                flap.losses.clear()

    def _paired(self, fact: Paired, now: Instant) -> Iterator[Fact]:
        flap = self._known.setdefault(_subject(fact), _Flap())
        flap.changed_at = now
        lost = isinstance(fact, Lost)
        if lost:
            flap.losses = [at for at in flap.losses if now < after(at, STEADY)] + [now]
        if flap.count:
            flap.count += lost
        elif lost and len(flap.losses) >= OFTEN:
            flap.count, flap.told_at = len(flap.losses), now
            yield _flapping(fact, flap.count)
        else:
            yield fact
            return
        flap.last = fact
        del flap.losses[:-OFTEN]
        if now >= after(flap.told_at, TOLD_AGAIN):
            flap.told_at = now
            yield _flapping(fact, flap.count)


def _subject(fact: Paired) -> Subject:
    match fact:
        case BoardWentSilent() | BoardReturned():
            return "board", fact.board
        case InputsLost() | InputsBack():
            return "inputs", fact.board
        case _:
            return "store", None


def _flapping(fact: Paired, count: int) -> Fact:
    detail = StopDetail(function="flapping", measured=float(count))
    match fact:
        case BoardWentSilent() | BoardReturned():
            return BoardFlapping(board=fact.board, detail=detail)
        case InputsLost() | InputsBack():
            return InputsFlapping(board=fact.board, circuits=fact.circuits, detail=detail)
        case _:
            return StoreFlapping(detail=detail)
