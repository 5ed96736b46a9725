"""Which ids of commands are known: those the journal keeps, and, where it cannot, those of the last hour.

They have a share of memory and of the journal of their own. Nothing leaves it early to make room: while it is full
no further command is taken in, but for what is safe, which needs no room.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Protocol

from chargerd.contract.arguments import Direction, moving
from chargerd.core.clock import Clock
from chargerd.core.units import CommandId, Instant, Seconds, between

MOST = 60_000
"""Ids: in seven days, a hundred commands a day for each of 85 ports."""
MOST_READING = MOST // 2
"""From here on, `get` and `replay` wait: they must not take the room of starts."""
SPARE = 1000
"""So many more of what is safe: what cannot be repeated at will while the share is full."""
SHARE_BYTES = 48 * 1024 * 1024
"""Of the journal, beside what its rows may take up."""
FLEETING_FOR = Seconds(3600.0)
"""How long an id is known that the journal does not keep: no command acts later than 600 s after its receipt."""
READING = moving(Direction.READING)
ALWAYS = moving(Direction.SAFE, Direction.EITHER)
"""Commands that are safe, or as far as they are: these act whether or not there is room."""


class Shelf(Protocol):
    """What is asked of the journal."""

    @property
    def command_bytes(self) -> int:
        """How much of the file remembered commands take up."""


class Known:
    """Ids and digests. Whoever calls holds a lock."""

    def __init__(self, *, clock: Clock, shelf: Shelf, kept: Mapping[CommandId, str]) -> None:
        self._clock = clock
        self._shelf = shelf
        self._digests = {command: _short(digest) for command, digest in kept.items()}
        self._fleeting: OrderedDict[CommandId, Instant] = OrderedDict()
        self._without_room: set[CommandId] = set()
        """Of commands the journal has yet to be asked for."""

    def __len__(self) -> int:
        return len(self._digests)

    def same(self, command: CommandId, digest: str) -> bool | None:
        """Say whether this id came with the same body before, `None` if it never came."""
        known = self._digests.get(command)
        return None if known is None else known == _short(digest)

    def room_for(self, name: str) -> bool:
        """Say whether a further command of this name can be kept."""
        most = MOST_READING if name in READING else MOST
        return len(self._digests) < most and self._shelf.command_bytes < SHARE_BYTES

    def add(self, command: CommandId, name: str, digest: str) -> None:
        """Know this id from now on; without room for it only for a while, and only so many of these."""
        room = self.room_for(name)
        if not room:
            self._without_room.add(command)
        if room or len(self._digests) < MOST + SPARE:
            self._digests[command] = _short(digest)

    def is_to_be_kept(self, command: CommandId) -> bool:
        """Say, once, whether the journal is to keep this one: there was room for it when it came."""
        without_room = command in self._without_room
        self._without_room.discard(command)
        return not without_room

    def not_kept(self, command: CommandId) -> None:
        """The journal does not keep this one."""
        if command in self._digests:
            self._fleeting[command] = self._clock.now()

    def is_fleeting(self, command: CommandId) -> bool:
        """Say whether nobody but this process knows it."""
        return command in self._fleeting

    def forget(self, commands: Iterable[CommandId]) -> None:
        """The journal keeps these no longer."""
        for command in commands:
            self._digests.pop(command, None)

    def forget_fleeting(self) -> list[CommandId]:
        """Forget what only this process knew, once its time is over; return what that was."""
        now, gone = self._clock.now(), []
        while self._fleeting and between(next(iter(self._fleeting.values())), now) > FLEETING_FOR:
            command, _ = self._fleeting.popitem(last=False)
            self._digests.pop(command, None)
            gone.append(command)
        return gone


def _short(digest: str) -> bytes:
    """Return half of a digest, as bytes: enough to tell bodies apart, and a third of the memory."""
    try:
        return bytes.fromhex(digest)[:16]
    except ValueError:
        return digest.encode()[:16]
