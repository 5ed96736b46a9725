"""Commands on their way in: what the broker has delivered and does not know yet that we have.

A command may be acknowledged only when its id is durable, and acknowledgements go out in the order in which the
messages came (MQTT 5, 4.6), however long each took.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from chargerd.contract.commands import Arrived, Incoming, Refusal, parse
from chargerd.mqtt.heard import Delivered


@dataclass(slots=True, kw_only=True)
class Received:
    """A message of one connection; `done` when it may be acknowledged."""

    generation: int
    mid: int
    qos: int
    done: bool = False


class Inbox:
    """Passes commands on, and acknowledges messages in order. Owned by the link's thread.

    `acknowledge` is told generation, packet number and QoS; `on_command` is handed what may be called once the
    command is durable, from any thread: `post` leads it back.
    """

    def __init__(
        self,
        *,
        acknowledge: Callable[[int, int, int], None],
        on_command: Callable[[Incoming, Callable[[], None]], None],
        on_refused: Callable[[Refusal], None],
        post: Callable[[Callable[[], None]], None],
    ) -> None:
        self._acknowledge = acknowledge
        self._on_command = on_command
        self._on_refused = on_refused
        self._post = post
        self._waiting: deque[Received] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def clear(self) -> None:
        """Forget what an older connection delivered: the broker will deliver it again."""
        self._waiting.clear()

    def take(self, heard: Delivered) -> Received:
        """Take a message in; it waits for `done`."""
        message = heard.message
        received = Received(generation=heard.generation, mid=message.mid, qos=message.qos)
        self._waiting.append(received)
        return received

    def command(self, name: str, heard: Delivered) -> None:
        """Take a command in, and pass it on or refuse it."""
        received, message = self.take(heard), heard.message
        arrived = Arrived(
            name=name,
            payload=bytes(message.payload),
            retained=message.retain,
            message_expiry=getattr(message.properties, "MessageExpiryInterval", None),
            received=heard.received,
            correlation=getattr(message.properties, "CorrelationData", None),
        )
        parsed = parse(arrived)
        if isinstance(parsed, Refusal):
            self._on_refused(parsed)
            self.done(received)
        else:
            self._on_command(parsed, lambda: self._post(lambda: self.done(received)))

    def done(self, received: Received) -> None:
        """Acknowledge this message, and what has waited for it."""
        received.done = True
        while self._waiting and self._waiting[0].done:
            first = self._waiting.popleft()
            self._acknowledge(first.generation, first.mid, first.qos)
