"""What paho's thread tells the link, in order."""

from dataclasses import dataclass
from typing import TypeAlias

import paho.mqtt.client as paho

from chargerd.core.moment import Moment
from chargerd.core.units import Seconds
from chargerd.mqtt.offer import Offer
from chargerd.mqtt.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The broker has taken us. `conn` is the number in this connection's last will."""

    generation: int
    conn: int
    offer: Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class NotConnected:
    """An attempt came to nothing; the next one comes after `pause`."""

    reason: Reason
    pause: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A connection is gone; the next attempt comes after `pause`."""

    generation: int
    reason: Reason
    pause: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The broker has delivered a message."""

    generation: int
    message: paho.MQTTMessage
    received: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class PubAck:
    """The broker has answered a publication, with a code of 0x80 or more if it refused it."""

    generation: int
    mid: int
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubAck:
    """The broker has answered a subscription: for each topic a code, of 0x80 or more if it refuses that."""

    generation: int
    codes: tuple[int, ...]


Heard: TypeAlias = Connected | NotConnected | Lost | Delivered | PubAck | SubAck
