"""What a bus can be asked to do: openings, closings and renewals, and what is read again and again."""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from chargerd.config.budget.pacing import FAST_WITHIN, READS_A_REFRESH
from chargerd.config.profiles.register_map import Block
from chargerd.core.commands import CloseRelay, RenewLease
from chargerd.core.units import LONG_AGO, BoardId, CircuitId, Instant, PortId, Seconds, after
from chargerd.modbus.manual import Manual

NEVER = Instant(math.inf)


class Kind(StrEnum):
    """What is read."""

    CURRENT = "current"
    POWER = "power"
    VOLTAGE = "voltage"
    ENERGY = "energy"


@dataclass(slots=True)
class Wants:
    """Says whether other readings of a bus are wanted than before, or in other ways."""

    changed: bool = True


@dataclass(slots=True, kw_only=True)
class Reading:
    """One block of one channel, read again and again.

    From when on and by when is reckoned where something changes, not where it is asked: a schedule asks every
    reading of its bus before each transaction.
    """

    port: PortId
    board: BoardId
    channel: int
    kind: Kind
    block: Block
    """The same object for all that is read with it: blocks are told apart by identity, which costs nothing."""
    refresh: Seconds = Seconds(0.0)
    fast: bool = field(init=False, default=False)
    """Whether it is the current of a closed or starting port."""
    has_turns: bool = field(init=False, default=True)
    """Whether it is one of the slower things, or has a turn among them beside its own."""
    wants: Wants = field(init=False, default_factory=Wants, repr=False, compare=False)
    """The same object for all readings of a bus."""
    along: "tuple[Reading, ...]" = field(init=False, default=(), repr=False, compare=False)
    """All readings of its port that its transaction serves, itself among them: the same block of the channel."""
    tells_voltage: bool = field(init=False, default=False)
    """Whether the voltage is among them."""
    asked_at: Instant | None = field(init=False, default=None)
    """When it was asked for, to be read once and soon."""
    begins: Instant = field(init=False, default=NEVER)
    """From when on it may be read; never, while it is not wanted."""
    by: Instant = field(init=False, default=NEVER)
    """By when it should be read; what was asked for is due when it was."""
    _starts: bool = field(init=False, default=False)
    _beside: bool = field(init=False, default=False)
    _every: Seconds | None = field(init=False, default=None)
    _last: Instant = field(init=False, default=LONG_AGO)

    @property
    def wanted(self) -> bool:
        """Whether it is to be read again and again."""
        return self._every is not None

    def place(self, *, fast: bool, starts: bool, beside: bool) -> None:
        """Say what it is at its port's pace.

        `fast`: the current of a closed or starting port. `starts`: a start waits for it, and for a power in a
        frame of its own: they take turns, beside its own one. `beside`: it comes with its port's current anyway,
        as long as nobody asks for it.
        """
        self.fast, self._starts, self._beside = fast, starts, beside
        self.wants.changed = True
        self._reckon()

    def want(self, every: Seconds | None) -> None:
        """Read it so often from now on, but no more often than its values change; `None`: not at all."""
        self._every = every
        self._reckon()

    def ask(self, at: Instant | None) -> None:
        """Read it once and soon; `None`: nobody wants that any more."""
        self.asked_at = at
        self._reckon()

    def done(self, at: Instant) -> None:
        """It is being read."""
        self._last, self.asked_at = at, None
        self._reckon()

    def renew(self) -> None:
        """It is due as if it had never been read."""
        self._last = LONG_AGO
        self._reckon()

    def _reckon(self) -> None:
        asked_at, every, was = self.asked_at, self._every, (self.begins == NEVER, self.has_turns)
        self.has_turns = self._starts if self.fast else asked_at is not None or not self._beside
        if asked_at is not None:
            self.begins = self.by = asked_at
        else:
            least = self.refresh / READS_A_REFRESH
            begins = self._last + (least if every is None else max(every, least))
            self.begins = NEVER if every is None else Instant(begins)
            self.by = Instant(begins + FAST_WITHIN)
        if was != (self.begins == NEVER, self.has_turns):
            self.wants.changed = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Open this relay."""

    port: PortId
    board: BoardId
    attempt: int
    """How often it has been tried, as far as whoever wants it knows."""
    repeat: int = 0
    """How often this attempt was repeated because nothing answered it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew:
    """Close this relay, or keep it closed."""

    board: BoardId
    command: CloseRelay | RenewLease


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """Read back the relays of this board."""

    board: BoardId


@dataclass(slots=True, kw_only=True)
class Poll:
    """What is read whatever the ports do: a board's inputs or thermometers, or a block of a circuit's meter."""

    board: BoardId
    every: Seconds
    circuit: CircuitId | None = None
    """The circuit whose meter it is; `None`: the board's inputs, or its `thermometers`."""
    thermometers: bool = False
    channel: int = 1
    block: Block | None = None
    last: Instant = LONG_AGO

    def eligible_at(self) -> Instant:
        """Return from when on it may be read: soon enough to be read by its deadline among others."""
        return after(self.last, Seconds(self.every / 2))

    def deadline(self) -> Instant:
        """Return by when it is to be read."""
        return after(self.last, self.every)

    @property
    def name(self) -> str:
        return "feeder" if self.circuit is not None else "thermometers" if self.thermometers else "inputs"


@dataclass(slots=True, kw_only=True)
class Identify:
    """Ask a board who it is."""

    board: BoardId
    begins: Instant = NEVER
    """From when on it is to be asked."""


OwnJob: TypeAlias = Open | Renew | ReadBack | Reading | Poll | Identify
"""What the daemon wants by itself."""
Job: TypeAlias = OwnJob | Manual
