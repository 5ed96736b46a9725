"""What a bus can be asked to do: openings, closings and renewals, and what is read again and again."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from chargerd.config.pacing import FAST_WITHIN, READS_A_REFRESH
from chargerd.config.register_map import Block
from chargerd.core.commands import CloseRelay, RenewLease
from chargerd.core.units import LONG_AGO, BoardId, CircuitId, Instant, PortId, Seconds, after


class Kind(StrEnum):
    """What is read."""

    CURRENT = "current"
    POWER = "power"
    VOLTAGE = "voltage"
    ENERGY = "energy"


@dataclass(slots=True, kw_only=True)
class Reading:
    """One block of one channel, read again and again. `every` is `None` while it is not wanted."""

    port: PortId
    board: BoardId
    channel: int
    kind: Kind
    block: Block
    """The same object for all that is read with it: blocks are told apart by identity, which costs nothing."""
    refresh: Seconds = Seconds(0.0)
    every: Seconds | None = None
    last: Instant = LONG_AGO
    asked_at: Instant | None = None
    """When it was asked for, to be read once and soon."""

    def eligible_at(self) -> Instant | None:
        """Return from when on it may be read; `None` while it is not wanted."""
        if self.asked_at is not None:
            return self.asked_at
        if self.every is None:
            return None
        return after(self.last, Seconds(max(self.every, self.refresh / READS_A_REFRESH)))

    def deadline(self) -> Instant:
        """Return by when it should be read; what was asked for is due when it was."""
        if self.asked_at is not None:
            return self.asked_at
        every = self.every or Seconds(0.0)
        return after(self.last, Seconds(max(every, self.refresh / READS_A_REFRESH) + FAST_WITHIN))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Open this relay."""

    port: PortId
    board: BoardId
    attempt: int
    """How often it has been tried, as far as whoever wants it knows."""
    repeat: int = 0
    """How often this attempt was repeated because nothing answered it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Close this relay, or keep it closed."""

    board: BoardId
    command: CloseRelay | RenewLease


@dataclass(frozen=True, slots=True, kw_only=True)
class Coils:
    """Read back the relays of this board."""

    board: BoardId


@dataclass(slots=True, kw_only=True)
class Regular:
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
        """What it is, in a word."""
        return "feeder" if self.circuit is not None else "thermometers" if self.thermometers else "inputs"


Job: TypeAlias = Cut | Hold | Coils | Reading | Regular
