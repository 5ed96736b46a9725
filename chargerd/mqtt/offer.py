"""What a broker offers in its CONNACK, held against what the contract needs. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from paho.mqtt.properties import Properties

from chargerd.config.document import MqttSection
from chargerd.contract.payloads import LARGEST
from chargerd.mqtt.reasons import NO_QOS_1, NO_RETAINED, Reason, of_code

RECEIVE_MAXIMUM = 65535
"""What a broker takes at once that says nothing of it (MQTT 5, 3.2.2.3.3)."""
HEAD = 256
"""Bytes of a packet that are not payload, at most: topic, properties, lengths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What holds for one connection; what a broker does not mention it has (MQTT 5, 3.2.2.3)."""

    receive_maximum: int = RECEIVE_MAXIMUM
    largest_packet: int | None = None
    most_qos: int = 2
    retained: bool = True
    wildcards: bool = True
    shared: bool = True
    session_s: int | None = None
    """For how long the broker keeps our session, if that is not what we asked for."""

    @property
    def room(self) -> int:
        """The largest payload, in bytes, that passes in any case."""
        return LARGEST if self.largest_packet is None else min(LARGEST, self.largest_packet - HEAD)


def offer_of(properties: Properties | None, learned: Mapping[int, object]) -> Offer:
    """Read a CONNACK's properties; `learned` has the codes with which this broker has refused us before."""
    offer = Offer(
        receive_maximum=getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM),
        largest_packet=getattr(properties, "MaximumPacketSize", None),
        most_qos=getattr(properties, "MaximumQoS", 2),
        retained=bool(getattr(properties, "RetainAvailable", 1)),
        wildcards=bool(getattr(properties, "WildcardSubscriptionAvailable", 1)),
        shared=bool(getattr(properties, "SharedSubscriptionAvailable", 1)),
        session_s=getattr(properties, "SessionExpiryInterval", None),
    )
    if NO_RETAINED in learned:
        offer = replace(offer, retained=False)
    return replace(offer, most_qos=0) if NO_QOS_1 in learned else offer


def shortfalls(offer: Offer, config: MqttSection, *, asked_session_s: int) -> tuple[Reason, ...]:
    """Return what will not work as the contract has it, each with what to do."""
    found = []
    if offer.most_qos == 0:
        found.append(of_code(NO_QOS_1, config))
    if not offer.retained:
        found.append(of_code(NO_RETAINED, config))
    if offer.largest_packet is not None and offer.largest_packet < LARGEST + HEAD:
        found.append(
            Reason(
                code="small_packets",
                what=f"the broker takes packets of {offer.largest_packet} bytes at most; the contract's have up to"
                f" {LARGEST + HEAD}: a larger row goes as a gap, a larger state does not go",
                then=f"let it take packets of {LARGEST + HEAD} bytes or more",
            )
        )
    if not offer.wildcards:
        found.append(
            Reason(
                code="no_wildcards",
                what="the broker knows no wildcards: commands of a newer contract are not even refused,"
                " and a backend has to name each gateway's topics",
                then="let it take wildcard subscriptions, or take another broker",
            )
        )
    if not offer.shared:
        found.append(
            Reason(
                code="no_shared_subscriptions",
                what="the broker knows no shared subscriptions: each worker of a backend gets every message",
                then="run one worker, or let the broker share",
            )
        )
    if offer.session_s is not None and offer.session_s < asked_session_s:
        found.append(
            Reason(
                code="short_session",
                what=f"the broker keeps commands for {offer.session_s} s of absence, not for {asked_session_s}",
                then="let it keep sessions for an hour, or expect replies before you count a command as given",
            )
        )
    return tuple(found)
