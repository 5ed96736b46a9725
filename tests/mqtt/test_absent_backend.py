"""What the ledger costs while no backend listens, and how soon one that comes back has it. On a virtual clock."""

import json
from collections.abc import Callable
from typing import cast

from paho.mqtt.properties import Properties

from chargerd.core.units import Instant, Seconds
from chargerd.mqtt.alarms import Alarms
from chargerd.mqtt.feed import Feed
from chargerd.mqtt.heard import Connected, PubAck
from chargerd.mqtt.offer import Offer
from chargerd.mqtt.outgoing import Outgoing
from chargerd.mqtt.publisher import Publisher
from chargerd.mqtt.transport import Transport
from tests.mqtt.test_clock import WallClock
from tests.mqtt.test_link import Ledger, States

DAY = 86_400
SETTLEMENT = 1_200
"""Bytes of padding that make every row as large as a settlement with three tiers."""


class Broker:
    """Takes everything at once, and counts what the ledger costs on the wire."""

    def __init__(self) -> None:
        self.packets = 0
        self.bytes = 0
        self.rows: list[int] = []
        self.unanswered: list[int] = []

    def packet_size(self, topic: str, data: bytes, properties: Properties) -> int:
        return 9 + len(f"chargerd/v1/shed-1/{topic}") + len(properties.pack()) + len(data)  # type: ignore[no-untyped-call]

    def publish(
        self, _generation: int, topic: str, data: bytes, *, qos: int, retain: bool, properties: Properties
    ) -> int:
        self.packets += 1
        if topic.startswith("up/"):
            self.rows.append(json.loads(data)["seq"])
            self.bytes += self.packet_size(topic, data, properties)
        self.unanswered += [self.packets] * bool(qos)
        assert retain is topic.startswith("state/")
        return self.packets


class Gateway:
    def __init__(self, rows: int) -> None:
        self.clock, self.broker, self.ledger = WallClock(), Broker(), Ledger(rows=rows)
        self.ledger.padding, self.ledger.large = SETTLEMENT, set(range(1, 10_000))
        self._posted: list[Callable[[], None]] = []
        alarms = Alarms(self.clock, lambda _name, _detail: None)
        self.feed = Feed(
            gateway="shed-1",
            clock=self.clock,
            ledger=self.ledger,
            alarms=alarms,
            post=self._posted.append,
            on_renewed=lambda: None,
        )
        out = Outgoing(
            clock=self.clock,
            gateway="shed-1",
            states=States(),
            about_link=dict,
            ledger=self.ledger.span,
            may_tell=lambda: True,
        )
        self._publisher = Publisher(clock=self.clock, out=out, feed=self.feed, alarms=alarms)
        self.feed.begin()
        self._publisher.opened(cast("Transport", self.broker), Connected(generation=1, conn=1, offer=Offer()))
        self.feed.connected()
        out.connected(self.clock.now())

    def turn(self, seconds: float = 0.0) -> None:
        """Let so much time pass, then do all that is due."""
        self.clock.instant = Instant(self.clock.instant + seconds)
        before = -1
        while before != self.broker.packets or self._posted:
            before = self.broker.packets
            self.feed.fetch_due()
            while self._posted:
                self._posted.pop(0)()
            self._publisher.pump(1)
            while self.broker.unanswered:
                self._publisher.confirmed(PubAck(generation=1, mid=self.broker.unanswered.pop(), code=0))


def test_a_day_of_nobody_listening_costs_less_than_a_megabyte() -> None:
    gateway = Gateway(rows=1_000)
    for _ in range(DAY // 30):
        gateway.turn(30)
    assert set(gateway.broker.rows) == set(range(1, 101)), "the window, and no more"
    assert 100_000 < gateway.broker.bytes < 1_000_000, gateway.broker.bytes
    first_day = gateway.broker.bytes
    for _ in range(DAY // 30):
        gateway.turn(30)
    assert gateway.broker.bytes - first_day < 300_000


def test_a_backend_that_was_away_for_an_hour_has_every_row_within_five_seconds_of_its_word() -> None:
    gateway = Gateway(rows=0)
    word: Callable[[], None] = lambda: gateway.feed.acknowledged(  # noqa: E731
        b'{"stream": "stream", "through": 0}', kept=False
    )
    gateway.turn()
    word()
    for _ in range(600):
        gateway.ledger.last += 1
        gateway.turn(6)
    gateway.broker.rows.clear()
    began = gateway.clock.now()
    for _ in range(50):
        word()
        gateway.turn(0.1)
    assert gateway.clock.now() - began <= Seconds(5.01)
    assert set(gateway.broker.rows) == set(range(1, gateway.ledger.last + 1))
    assert len(gateway.broker.rows) <= gateway.ledger.last + 5, "and each once, but for what was under way"
