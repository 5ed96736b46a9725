"""Simulated gateways on a virtual clock, with a broker in the same process: no thread, no socket, no waiting."""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from chargerd.core.units import Instant, Seconds
from chargerd.fleet.clock import Time
from chargerd.fleet.gateway import Gateway
from chargerd.fleet.site import Address, FleetSites
from chargerd.fleet.story import Story
from chargerd.fleet.telling import Telling
from chargerd.mqtt.heard import Connected, Delivered, Lost, PubAck, SubAck
from chargerd.mqtt.offer import Offer
from chargerd.mqtt.reasons import Reason
from chargerd.mqtt.transport import MakeTransport, Transport
from tests.contract.checking import complaints

BEGAN = Instant(1000.0)
UNPLUGGED = Reason(code="unplugged", what="the cable is out", then="plug it in")
WALL_MS = 1_795_000_000_000


class HandTime(Time):
    """Goes where it is told to."""

    def __init__(self) -> None:
        self.at = BEGAN

    def now(self) -> Instant:
        return self.at

    def wall_ms(self) -> int:
        return WALL_MS + round(self.at * 1000)


@dataclass(slots=True)
class Said:
    """A publication that the broker has taken."""

    at: Instant
    topic: str
    body: dict[str, Any]


@dataclass(slots=True)
class Broker:
    """Takes everything of one gateway, and acknowledges its ledger as a backend would, if it `listens`."""

    time: HandTime
    listens: bool = True
    barred: bool = False
    said: list[Said] = field(default_factory=list)
    rows: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def take(self, topic: str, data: bytes) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(data)
        self.said.append(Said(self.time.now(), topic, body))
        self.wrong += complaints(topic, body)
        if "seq" in body:
            held = self.rows.setdefault(body["stream"], {})
            for seq in range(body.get("from") or body["seq"], (body.get("to") or body["seq"]) + 1):
                held[seq] = body
        return body

    def through(self, stream: str) -> int:
        held, through = self.rows[stream], 0
        for seq in sorted(held):
            if seq != through + 1 and through:
                break
            through = seq
        return through


class DirectTransport(Transport):
    """What a gateway says is taken at once."""

    def attach(self, broker: Broker, when: Callable[[], None], watch: Callable[[str, bytes], None]) -> None:
        self._broker, self._when, self._watch = broker, when, watch
        self._mids = itertools.count(1)

    def start(self) -> None:
        self.dial()

    def dial(self) -> None:
        if self._broker.barred or self._live or self._retired:
            return
        self._conn, _will = self._will()
        self._live = next(self._generations)
        self._tell(Connected(generation=self._live, conn=self._conn, offer=Offer()))

    def hang_up(self) -> None:
        if self._live:
            generation, self._live = self._live, 0
            self._tell(Lost(generation=generation, reason=UNPLUGGED, pause=Seconds(1.0)))

    def subscribe(self, generation: int, topics: Sequence[str], *, own: Sequence[str] = ()) -> None:
        self._tell(SubAck(generation=generation, codes=(1,) * (len(topics) + len(own))))

    def publish(self, generation: int, topic: str, data: bytes, **_more: Any) -> int | None:
        if generation != self._live:
            return None
        body = self._broker.take(topic, data)
        self._watch(topic, data)
        mid = next(self._mids)
        self._tell(PubAck(generation=generation, mid=mid, code=0))
        if "seq" in body and self._broker.listens:
            stream = body["stream"]
            ack = {"stream": stream, "through": self._broker.through(stream)}
            self.deliver("ack", json.dumps(ack).encode())
        return mid

    def deliver(self, topic: str, payload: bytes) -> None:
        message: Any = SimpleNamespace(
            topic=f"{self._root}/{topic}",
            payload=payload,
            mid=next(self._mids),
            qos=1,
            retain=False,
            properties=None,
        )
        self._tell(Delivered(generation=self._live, message=message, received=self._clock.moment()))

    def acknowledge(self, generation: int, mid: int, qos: int) -> None:
        """Nobody waits for it."""

    def retire(self, *, with_will: bool) -> Callable[[], object]:
        self._retired, self._live = True, 0
        return lambda: with_will

    def _tell(self, heard: Any) -> None:
        self._hear(heard)
        self._when()


class DirectCarrier:
    """Carries what one gateway says straight to the broker."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._made: list[DirectTransport] = []

    def maker(self, when: Callable[[], None], watch: Callable[[str, bytes], None]) -> MakeTransport:
        def make(**parts: Any) -> DirectTransport:
            made = DirectTransport(**parts)
            made.attach(self.broker, when, watch)
            self._made = [made]
            return made

        return make

    def kill(self) -> None:
        for made in self._made:
            made.retire(with_will=True)

    def bar(self, *, barred: bool) -> None:
        self.broker.barred = barred
        for made in self._made:
            made.hang_up() if barred else made.dial()


def sites(folder: Path, *, ports: int = 2, circuit: str = "", rate: float = 60.0) -> FleetSites:
    return FleetSites(
        broker=Address(host="127.0.0.1", port=1883),
        prefix="chargerd/v1",
        reading_s=10,
        ports=ports,
        rate=rate,
        folder=folder,
        circuit=circuit,
    )


class Rig:
    """One gateway, turned whenever it is due."""

    def __init__(
        self, folder: Path, *, ports: int = 2, rate: float = 60.0, circuit: str = "", **more: Any
    ) -> None:
        self.time = HandTime()
        self.broker = Broker(self.time)
        self.carrier = DirectCarrier(self.broker)
        site = sites(folder, ports=ports, rate=rate, circuit=circuit).site("sim-001")
        self.gateway = Gateway(site, folder=folder, time=self.time, seed=1, carrier=self.carrier, **more)
        self.telling: Telling | None = None
        self._wanted = False
        self.gateway.on_wanted = self._want

    @classmethod
    def of(cls, story: Story, folder: Path, tell: Callable[[str], None] = lambda _line: None) -> "Rig":
        """A gateway for a story, which is told from its start on."""
        rig = cls(folder, ports=story.ports, circuit=story.circuit, limit_bytes=story.limit_bytes)
        rig.telling = Telling(story, rig.gateway, rig.carrier, tell)
        return rig

    def start(self) -> "Rig":
        self.gateway.start()
        return self

    def _want(self) -> None:
        self._wanted = True

    def run(self, seconds: float) -> None:
        until = Instant(self.time.at + Seconds(seconds))
        while True:
            self._wanted = False
            self.gateway.turn()
            assert self.gateway.failure is None
            if self.telling is not None:
                self.telling.turn()
            due = self.time.at if self._wanted else self._due()
            if due > until or (self.telling is not None and self.telling.over):
                break
            self.time.at = max(self.time.at, due)
        if self.telling is None or not self.telling.over:
            self.time.at = until

    def _due(self) -> Instant:
        due = self.gateway.due()
        return due if self.telling is None else min(due, self.telling.due())

    def close(self) -> None:
        """Let it leave, and see that it has nothing left to say."""
        self.telling = None
        self.gateway.leave()
        self.run(30.0)
        assert self.gateway.gone
