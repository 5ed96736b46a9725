"""paho, made to read any refusal and to outlive what it does not foresee."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from chargerd import log
from chargerd.mqtt.reasons import FAILURE

REFUSALS = range(FAILURE, 0x100)
ANSWER_WITHIN_S = 10.0
"""How long a CONNACK is waited for; paho itself waits as long as the keep-alive. In a cluster another node may
answer at once where this one waits for what it has lost."""


class _NeverRaised(Exception):  # noqa: N818 - named for what it is
    """What paho looks for where TLS has nothing to read; it does so without TLS, too."""


if vars(paho)["ssl"] is None:
    vars(paho)["ssl"] = SimpleNamespace(SSLWantReadError=_NeverRaised, SSLWantWriteError=_NeverRaised)
ANSWERS = (PacketTypes.CONNACK, PacketTypes.PUBACK, PacketTypes.SUBACK, PacketTypes.DISCONNECT)


def _any_refusal() -> dict[int, dict[str, list[int]]]:
    """Return paho's reason codes, so that it reads any refusal, whatever the packet.

    It knows those of the standard alone (MQTT 5, 2.4) and ends the connection at any other without a word, such
    as mosquitto's 0x95 in a PUBACK for what is above its `message_size_limit`. The next connection would meet the
    same row, and so on for ever.
    """
    names = {code: {name: list(of) for name, of in each.items()} for code, each in ReasonCode.names.items()}
    for code in REFUSALS:
        each = names.setdefault(code, {f"Reason 0x{code:02x}": []})
        for packet in ANSWERS:
            if not any(packet in of for of in each.values()):
                next(iter(each.values())).append(packet)
    return names


ReasonCode.names = _any_refusal()


class Client(paho.Client):
    """paho's client, whose thread outlives what paho does not foresee; it gives up a broker that says nothing.

    A name that cannot be encoded, or a packet like no other, ends the thread of the original without a word, and
    with it the connection.
    """

    on_failure: Callable[[Exception], None]
    on_mute: Callable[[], None]
    """Told when a broker that was connected to has not answered in time."""
    _answer_by: float | None = None
    _failed_with: type[Exception] | None = None
    """What was told of with its traceback: it is the same each time."""

    def await_answer(self) -> None:
        """Begin to wait for a CONNACK."""
        self._answer_by = time.monotonic() + ANSWER_WITHIN_S  # paho's own clock

    def answered(self) -> None:
        """It has come, or there is nobody any more to wait for."""
        self._answer_by = None

    def loop_misc(self) -> MQTTErrorCode:
        """Do what paho does now and then; whoever serves the network calls this."""
        if self._answer_by is not None and time.monotonic() >= self._answer_by:
            self._answer_by = None
            self.on_mute()
        return super().loop_misc()

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """Go on until told to end. What lies half read is given up with its connection."""
        while True:
            try:
                return super().loop_forever(timeout, retry_first_connection)
            except Exception as error:
                if type(error) is not self._failed_with:
                    self._failed_with = type(error)
                    log.error("client_failed", exc_info=error)  # noqa: TRY400 - so it does
                sock = self.socket()
                if sock is not None:
                    sock.close()  # paho finds it so, waits for its pause and begins anew.
                self.on_failure(error)
