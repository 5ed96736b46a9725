"""What the broker has delivered and does not know yet that we have.

A command may be acknowledged only when its id is durable, and acknowledgements go out in the order in which the
messages came (MQTT 5, 4.6), however long each took.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Received:
    """A message of one connection; `done` when it may be acknowledged."""

    generation: int
    mid: int
    qos: int
    done: bool = False


class Inbox:
    """Acknowledges messages in order. `acknowledge` is told generation, packet number and QoS."""

    def __init__(self, acknowledge: Callable[[int, int, int], None]) -> None:
        self._acknowledge = acknowledge
        self._waiting: deque[Received] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def clear(self) -> None:
        """Forget what an older connection delivered: the broker will deliver it again."""
        self._waiting.clear()

    def take(self, received: Received) -> None:
        """Take a message in."""
        self._waiting.append(received)

    def done(self, received: Received) -> None:
        """Acknowledge this message, and what has waited for it."""
        received.done = True
        while self._waiting and self._waiting[0].done:
            first = self._waiting.popleft()
            self._acknowledge(first.generation, first.mid, first.qos)
