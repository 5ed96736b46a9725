"""Watches that every thread ticks. The watchdog of systemd is fed only while all of them do."""

from collections.abc import Callable
from dataclasses import dataclass

from chargerd.core.clock import Clock
from chargerd.core.units import Instant, Seconds, between


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A thread with a heartbeat: `last_turn` tells its last tick, `patience` how old that may grow."""

    name: str
    last_turn: Callable[[], Instant]
    patience: Seconds


class Supervisor:
    """Knows the threads of the daemon and says which of them hang."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched: list[Watched] = []

    def watch(self, name: str, last_turn: Callable[[], Instant], patience: Seconds) -> None:
        """Watch one more thread."""
        self._watched.append(Watched(name=name, last_turn=last_turn, patience=patience))

    @property
    def watched(self) -> tuple[Watched, ...]:
        """All of them."""
        return tuple(self._watched)

    def stuck(self) -> tuple[str, ...]:
        """Return the names of the threads that have not ticked for longer than their patience."""
        now = self._clock.now()
        return tuple(one.name for one in self._watched if between(one.last_turn(), now) > one.patience)
