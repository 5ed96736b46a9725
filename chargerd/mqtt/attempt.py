"""What one connection shows of why it ended. Filled by paho's thread through paho's own notices.

paho tells that a connection is gone and keeps to itself why. The alert of a broker that refuses a certificate is
an error it has caught. A DISCONNECT that came right before the line was reset is never read, if paho was writing.
"""

import sys
from collections.abc import Iterator
from socket import socket

from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import VariableByteIntegers
from paho.mqtt.reasoncodes import ReasonCode

from chargerd.config.document import MqttSection
from chargerd.mqtt import tls
from chargerd.mqtt.reasons import BROKE_OFF, FAILURE, Reason, garbled, hung_up, mute, of_code, of_error

MOST_LEFT = 65536
"""Bytes that are read for a last word at most."""
SILENCE, NONSENSE = 0x8D, 0x82
"""paho's own words for a broker that says nothing any more, and for what it cannot read."""
LONGEST_LENGTH = 4
"""Bytes of the length in a packet's head, at most (MQTT 5, 1.5.5)."""


class Attempt:
    """One connection, from before its first packet to its end."""

    def __init__(self, config: MqttSection) -> None:
        self._config = config
        self._opened = False
        self._ended = False
        """Whether the other side has ended it."""
        self._error: BaseException | None = None
        self.last_code: int | None = None
        """What a DISCONNECT said that nobody has read in its time."""
        self._mute = False
        """Whether we have given it up ourselves, since nothing was said."""
        self._left = b""
        self.told = False
        """Whether somebody has been told how it ended: paho may say so twice."""

    def opened(self) -> None:
        """The connection stands, TLS included."""
        self._opened = True

    def mute(self) -> None:
        """The broker has not said in time whether it takes us."""
        self._mute = True

    def logged(self) -> None:
        """Take the error paho writes about, if it does: it writes where it has caught it."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self._error, self._ended = error, True

    def closing(self, sock: object) -> None:
        """Read what has come and was not read: it may say why the broker hangs up."""
        if not isinstance(sock, socket):
            return
        try:
            sock.setblocking(False)
            while len(self._left) < MOST_LEFT:
                data = sock.recv(MOST_LEFT)
                self._left += data
                if not data:
                    self._ended = True
                    break
        except tls.WAITS:
            pass
        except OSError as error:
            self._ended = True
            if isinstance(error, tls.ERRORS) or self._error is None:
                self._error = error  # An alert of TLS says more than that the line was reset.
        self.last_code = last_word(self._left)

    def failed(self, error: BaseException | None) -> Reason:
        """Return why no connection came about."""
        return of_error(error, self._config)

    def refused(self, code: ReasonCode, said: str | None) -> Reason:
        """Return why the broker says it does not take us."""
        return of_code(int(code.value), self._config, name=str(code), said=said)

    def unanswered(self, code: ReasonCode, *, by_broker: bool, said: str | None) -> Reason:
        """Return why a connection ended before the broker had taken us."""
        if by_broker or self.last_code is not None:
            return self._word(code, by_broker=by_broker, said=said)
        if self._mute:
            return mute(self._config)
        if self._error is not None:
            return of_error(self._error, self._config, opened=self._opened)
        if int(code.value) == SILENCE:
            return mute(self._config)
        if int(code.value) == NONSENSE or self._left or not self._ended:
            return garbled(self._config)
        return hung_up(self._config)

    def lost(self, code: ReasonCode, *, by_broker: bool, said: str | None) -> Reason:
        """Return why a connection ended that stood."""
        if by_broker or self.last_code is not None:
            return self._word(code, by_broker=by_broker, said=said)
        if isinstance(self._error, tls.ERRORS) and not isinstance(self._error, tls.HUNG_UP):
            return of_error(self._error, self._config, opened=True)
        if int(code.value) == NONSENSE:
            return garbled(self._config)
        if int(code.value) == SILENCE:
            then = "check network and broker; it is tried again"
            return Reason(code="keep_alive_timeout", what="the broker answers no more", then=then)
        what = "the connection broke off" if self._error is not None else "the broker hung up without a word"
        return Reason(code=BROKE_OFF, what=what, then="it is tried again; the broker's log may tell why")

    def _word(self, code: ReasonCode, *, by_broker: bool, said: str | None) -> Reason:
        number = int(code.value) if by_broker or self.last_code is None else self.last_code
        if number < FAILURE:
            what = "the broker has closed the connection in order"
            return Reason(code="closed_by_broker", what=what, then="it is tried again")
        return of_code(number, self._config, name=str(code) if by_broker else "", said=said)


def last_word(data: bytes) -> int | None:
    """Return the reason of a CONNACK that refuses or of a DISCONNECT among the packets in `data`."""
    found = None
    for kind, body in _packets(data):
        if kind == PacketTypes.DISCONNECT:
            found = body[0] if body else 0
        elif kind == PacketTypes.CONNACK and len(body) > 1 and body[1]:
            found = body[1]
    return found


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give kind and contents of each whole packet."""
    rest = data
    while rest:
        try:
            length, size = VariableByteIntegers.decode(rest[1 : 1 + LONGEST_LENGTH])  # type: ignore[no-untyped-call]
        except MalformedPacket:
            return
        begin, end = 1 + size, 1 + size + length
        if end > len(rest):
            return
        yield rest[0] >> 4, rest[begin:end]
        rest = rest[end:]
