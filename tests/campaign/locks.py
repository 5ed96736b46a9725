"""People who work at a socket and lock it meanwhile, and books of what nobody may do then.

They draw from a seed of their own, so that lives without them are as they were before there were any.
"""

import random
from collections import Counter
from collections.abc import Sequence

from chargerd.core.commands import Answer, CloseRelay
from chargerd.core.facts import PortLocked, PortUnlocked
from chargerd.core.units import PortId
from chargerd.core.view import PortView
from tests.campaign.shed import Shed

LOCKING = (
    "locked",
    "locked in session",
    "start under a lock",
    "refused as locked",
    "unlocked",
    "kept over a restart",
)
"""What comes of it."""
EVERY = 400.0
"""Seconds between two of these people, on the average."""


class Locks:
    """Locks, works and unlocks; asserts that no relay closes under a lock, whatever the backend sends."""

    def __init__(self, seed: int, shed: Shed, names: Sequence[PortId], happened: Counter[str]) -> None:
        self._rng = random.Random(f"{seed} locks")
        self._shed = shed
        self._names = names
        self._happened = happened
        self._locked: set[PortId] = set()
        self._over = False
        shed.watchers.append(self.see)

    def come(self) -> None:
        """Let somebody come now and then, until the life is over."""
        self._shed.later(self._rng.expovariate(1 / EVERY), self._comes)

    def end(self) -> None:
        """Take all locks away; from now on nobody comes."""
        self._over = True
        for port in sorted(self._locked):
            self._shed.ask_unlock(port)

    def see(self, now: float, what: object) -> None:
        """Take note of locks, and of whatever closes."""
        match what:
            case PortLocked():
                self._locked.add(what.port)
            case PortUnlocked():
                self._locked.discard(what.port)
            case CloseRelay():
                assert what.port not in self._locked, f"{what.port} is told to close under a lock, at {now}"
            case Answer(name="start", code="locked"):
                self._happened["refused as locked"] += 1
            case "begin":
                kept = {port for port in self._names if self._view(port).lock is not None}
                self._happened["kept over a restart"] += bool(kept & self._locked)
                self._locked = kept
            case _:
                pass

    def _view(self, port: PortId) -> PortView:
        return self._shed.station.view(port, self._shed.clock.moment())

    def _comes(self) -> None:
        self.come()
        rng, shed = self._rng, self._shed
        port, works = rng.choice(self._names), rng.uniform(20.0, 300.0)
        if shed.dead or self._over or port in self._locked:
            return
        self._happened["locked"] += 1
        self._happened["locked in session"] += self._view(port).session is not None
        shed.ask_lock(port)
        shed.later(rng.uniform(0.0, works), self._start, port)
        shed.later(works, self._leaves, port)

    def _start(self, port: PortId) -> None:
        if not self._shed.dead and not self._over:
            self._happened["start under a lock"] += 1
            self._shed.ask_start(port)

    def _leaves(self, port: PortId) -> None:
        if self._shed.dead:
            self._shed.later(5.0, self._leaves, port)
        elif not self._over:
            self._happened["unlocked"] += 1
            self._shed.ask_unlock(port)
