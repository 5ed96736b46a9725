"""What we ask the broker to be told of: commands, `ack`, and once what it has kept of our own states."""

from chargerd.contract.arguments import KNOWN
from chargerd.core.clock import Clock
from chargerd.core.units import Instant, Seconds, after
from chargerd.mqtt.alarms import Alarms
from chargerd.mqtt.feed import Feed
from chargerd.mqtt.heard import Connected, SubAck
from chargerd.mqtt.reasons import FAILURE
from chargerd.mqtt.transport import ACK, Transport

EVERY_COMMAND = ("cmd/+",)
EACH_COMMAND = tuple(f"cmd/{name}" for name in KNOWN)
"""The same for a broker that knows no wildcards."""
OWN_STATES = ("state/info", "state/gateway")
"""What we have said of our ledger in an earlier life: the broker keeps it longer than a broken card does."""
MOST_ASKED = 2
"""How often we ask for them: a broker may hang up on whom it does not let read them."""
SUBSCRIBE_AGAIN_AFTER = Seconds(60.0)


class Subscriptions:
    """Those of one connection after the other, and what the feed may expect of them. The link's thread owns it."""

    def __init__(self, *, clock: Clock, feed: Feed, alarms: Alarms) -> None:
        self._clock = clock
        self._feed = feed
        self._alarms = alarms
        self._transport: Transport | None = None
        self._generation = 0
        self._topics: tuple[str, ...] = ()
        self._again_at: Instant | None = None
        self._own_asked = 0
        self._own_subscribed = False
        """The broker keeps this with our session, from one connection to the next."""

    def opened(self, transport: Transport, heard: Connected) -> None:
        """Subscribe in a new connection; the first time also to what the broker has of our own states."""
        self._transport, self._generation = transport, heard.generation
        self._topics = (*(EVERY_COMMAND if heard.offer.wildcards else EACH_COMMAND), ACK)
        wanted = heard.offer.retained and self._feed.wants_own_states and self._own_asked < MOST_ASKED
        self._own_asked += wanted
        self._own_subscribed |= wanted
        own = OWN_STATES if wanted else ()
        transport.subscribe(self._generation, self._topics, own=own)
        self._feed.connected(own_states=own)

    def closed(self) -> None:
        """The connection is gone."""
        self._transport, self._generation, self._again_at = None, 0, None

    def answered(self, heard: SubAck) -> None:
        """The broker has answered; what it refuses is asked for again later."""
        if heard.generation != self._generation:
            return
        self._feed.subscribed()
        refused = [code for code in heard.codes[: len(self._topics)] if code >= FAILURE]
        if refused:
            codes = ", ".join(f"0x{code:02x}" for code in refused)
            self._alarms.say("subscription_refused", f"no commands will come; the broker says {codes}")
            self._again_at = after(self._clock.now(), SUBSCRIBE_AGAIN_AFTER)

    def look(self, now: Instant) -> None:
        """Ask again if it is time to, and for our own states no more once they are read."""
        if self._transport is None:
            return
        if self._again_at is not None and now >= self._again_at:
            self._again_at = None
            self._transport.subscribe(self._generation, self._topics)
        if self._own_subscribed and self._feed.own_states_read:
            self._own_subscribed = False
            self._transport.unsubscribe(self._generation, OWN_STATES)
