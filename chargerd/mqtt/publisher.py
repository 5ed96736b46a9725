"""Hands messages to paho while the broker's window has room, and learns what became of each.

paho ignores the broker's Receive Maximum and calls a refused PUBLISH published, so what is under way is counted
here, by PUBACKs.
"""

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from chargerd.contract.parts import json_of
from chargerd.contract.payloads import LARGEST
from chargerd.core.clock import Clock
from chargerd.core.units import Instant
from chargerd.mqtt.alarms import Alarms
from chargerd.mqtt.feed import DEAD, Feed
from chargerd.mqtt.heard import Connected, PubAck
from chargerd.mqtt.offer import Offer
from chargerd.mqtt.outgoing import Outgoing, Waiting
from chargerd.mqtt.reasons import FAILURE
from chargerd.mqtt.transport import WINDOW, Transport, properties_of


class Publisher:
    """What is under way over one connection after the other. Owned by the link's thread."""

    def __init__(self, *, clock: Clock, out: Outgoing, feed: Feed, alarms: Alarms) -> None:
        self._clock = clock
        self._out = out
        self._feed = feed
        self._alarms = alarms
        self._transport: Transport | None = None
        self._generation = 0
        self._window = WINDOW
        self._offer = Offer()
        self._in_flight: dict[int, Waiting] = {}
        self._confirmed_at = clock.now()

    @property
    def idle(self) -> bool:
        """Whether the broker has confirmed all it was sent."""
        return not self._in_flight

    @property
    def has_room(self) -> bool:
        """Whether the broker takes one more message now."""
        return self._transport is not None and len(self._in_flight) < self._window

    @property
    def waits_since(self) -> Instant | None:
        """Since when the broker has confirmed nothing of what is under way; `None` if nothing is."""
        return self._confirmed_at if self._in_flight else None

    def opened(self, transport: Transport, heard: Connected) -> None:
        """Begin with a new connection, within the broker's limits."""
        self._transport, self._generation = transport, heard.generation
        self._window = max(1, min(WINDOW, heard.offer.receive_maximum))
        self._offer = heard.offer

    def closed(self) -> None:
        """The connection is gone, and with it what it had not confirmed; replies are kept."""
        self._transport, self._generation = None, 0
        self._out.disconnected(self._in_flight.values())
        self._in_flight.clear()

    def pump(self, conn: int) -> None:
        """Publish while there is room: replies, states, presence, rows of the ledger, readings."""
        while self.has_room:
            waiting = self._out.urgent(conn) or self._feed.next() or self._out.leisurely()
            if waiting is None or not self.publish(waiting):
                return

    def publish(self, waiting: Waiting) -> bool:
        """Hand a message to paho; `False` if the connection is gone, of which we shall hear in a moment."""
        assert self._transport is not None
        data = b"" if waiting.payload is None else json_of(waiting.payload)
        properties = self._properties(waiting)
        packet = self._transport.packet_size(waiting.topic, data, properties)
        largest = self._offer.largest_packet
        if len(data) > LARGEST or (largest is not None and packet > largest):
            self._too_large(waiting, len(data))
            return True
        qos, retain = min(waiting.qos, self._offer.most_qos), waiting.retain and self._offer.retained
        mid = self._transport.publish(
            self._generation, waiting.topic, data, qos=qos, retain=retain, properties=properties
        )
        if mid is None:
            self._out.put_back(waiting)
            return False
        if waiting.qos:  # What goes with QoS 0 for the broker's sake counts until paho has written it.
            if not self._in_flight:
                self._confirmed_at = self._clock.now()
            self._in_flight[mid] = waiting
        return True

    def confirmed(self, heard: PubAck) -> None:
        """Take in the broker's word on a message; one of an earlier connection says nothing any more."""
        if heard.generation != self._generation:
            return
        self._confirmed_at = self._clock.now()
        sent = self._in_flight.pop(heard.mid, None)
        if sent is None:
            return
        if heard.code < FAILURE:
            self._feed.taken(sent)
            self._out.taken(sent)
            return
        if sent.row is not None:
            self._feed.refused(sent, heard.code)
        if heard.code not in DEAD or sent.row is None:
            number = "" if sent.row is None else sent.row.seq
            detail = f"{sent.topic} {number} refused with 0x{heard.code:02x}"
            self._alarms.say("publish_refused", detail, (sent.kind, heard.code))

    def _too_large(self, waiting: Waiting, size: int) -> None:
        detail = f"is {size} bytes long"
        if waiting.row is not None:
            self._feed.dead(waiting, detail)
        else:
            self._alarms.say("message_too_large", f"{waiting.topic} {detail}", waiting.kind)

    def _properties(self, waiting: Waiting) -> Properties:
        properties = properties_of(PacketTypes.PUBLISH)
        properties.ContentType = "application/json"
        if waiting.expires_at is not None:
            properties.MessageExpiryInterval = waiting.left(self._clock.now())
        if waiting.correlation is not None:
            properties.CorrelationData = waiting.correlation
        return properties
