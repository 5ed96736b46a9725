"""Why there is no connection, or not all of one: in plain words, each with what to do next. Pure."""

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chargerd.config.document import MqttSection
from chargerd.contract.ledger import Json
from chargerd.mqtt import tls
from chargerd.text import visible

if TYPE_CHECKING:
    import ssl

FAILURE = 0x80
"""Reason codes from here on say that something was not done (MQTT 5, 2.4)."""
NO_RETAINED, NO_QOS_1 = 0x9A, 0x9B
TAKEN_OVER, NOT_AUTHORISED = 0x8E, 0x87
NOT_VALID_YET, HAS_EXPIRED = 9, 10
OTHER_NAME = frozenset({62, 64})
"""OpenSSL's codes of verification (`x509_vfy.h`): for the wrong time, the wrong host name, the wrong address."""
NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})
NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
WANTS_CERTIFICATE = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE")
"""How TLS 1.3 and TLS 1.2 say that a client certificate is missing."""
HANG_UPS = (*tls.HUNG_UP, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)
LONGEST_QUOTE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """What was met, under a stable code, and what to do next; `ours_to_mend` if waiting does not help.

    `said` is what the broker itself put beside it. It may differ each time, so two are the same without it.
    """

    code: str
    what: str
    then: str
    ours_to_mend: bool = False
    said: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        """All as one line."""
        said = f" (it says: {self.said})" if self.said else ""
        return f"{self.what}{said}; {self.then}"

    @property
    def plain(self) -> dict[str, Json]:
        """The same for programs."""
        return {"code": self.code, "what": self.what, "then": self.then, "said": self.said or None}


NO_PROGRESS = Reason(
    code="no_progress",
    what="nothing had come from the broker for too long",
    then="check network and broker; it is tried again at once",
)
NO_TLS_THERE = "no_tls_there"
BROKE_OFF = "broke_off"
"""The code of a connection that ended without a word."""
UNSTEADY = Reason(
    code="unsteady",
    what="no connection lasts: another client may be using this gateway's id",
    then="look for two gateways with one gateway.id, or a card that was copied; else check the line",
)
RENEWED = Reason(
    code="credentials_replaced",
    what="there are new certificates or a new password",
    then="nothing: the gateway connects with them",
)


def printable(text: str) -> str:
    """Return text from afar on one line, with control and bidi characters made visible."""
    shown = visible(text)
    return shown if len(shown) <= LONGEST_QUOTE else f"{shown[:LONGEST_QUOTE]}..."


def place_of(config: MqttSection) -> str:
    """Return where the broker is looked for."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"{host}:{config.broker_port}"


def of_error(error: BaseException | None, config: MqttSection, *, opened: bool = False) -> Reason:
    """Return the reason behind what the system or TLS has raised instead of an answer.

    `opened` if the connection stood by then, TLS included.
    """
    if (untrusted := tls.is_not_trusted(error)) is not None:
        return _untrusted(untrusted, config)
    if isinstance(error, HANG_UPS):
        return hung_up(config) if opened or config.tls is None else _hung_up_on_tls(config)
    if (of_tls := tls.is_error(error)) is not None:
        return _tls(of_tls, config)
    if isinstance(error, socket.gaierror | UnicodeError):
        return _no_name(error, config)
    return _unreachable(error, config)


def _unreachable(error: BaseException | None, config: MqttSection) -> Reason:
    """There is no way to the broker, or something else came in between."""
    if isinstance(error, TimeoutError):
        return _no_answer(error, config)
    if isinstance(error, ConnectionRefusedError):
        return Reason(
            code="nobody_listens",
            what=f"nothing listens at {place_of(config)}",
            then="start the broker, or correct mqtt.host and mqtt.port (8883 is usual with TLS, 1883 without)",
        )
    if isinstance(error, OSError) and error.errno in NO_WAY:
        return Reason(
            code="no_route",
            what=f"the network has no way to {config.host}",
            then="check cable or radio, address and gateway of this machine: ip address, ip route",
        )
    return Reason(
        code="failed",
        what=f"connecting to {place_of(config)} failed: {said_by(error)}",
        then="it is tried again; if it stays so, look at the broker's log for the same moment",
    )


def said_by(error: BaseException | None) -> str:
    """Return an error's own words, its number left out."""
    if isinstance(error, OSError) and error.strerror:
        return printable(error.strerror)
    return printable(str(error) or type(error).__name__)


def _no_name(error: Exception, config: MqttSection) -> Reason:
    name = printable(config.host)
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return Reason(
            code="no_name_server",
            what=f"no name server answers, so {name} cannot be looked up",
            then="check the network and its DNS: resolvectl status, or cat /etc/resolv.conf",
        )
    return Reason(
        code="name_not_found",
        what=f"the name {name} does not resolve",
        then=f"correct mqtt.host, or the DNS that should know it: getent hosts {name}",
        ours_to_mend=True,
    )


def _no_answer(error: TimeoutError, config: MqttSection) -> Reason:
    if "handshake" in str(error):
        return Reason(
            code="no_tls_answer",
            what=f"{place_of(config)} takes the connection and does not answer in TLS",
            then="check that mqtt.port is the broker's port for TLS, and that the broker is not overloaded",
        )
    return Reason(
        code="no_answer",
        what=f"nothing answers at {place_of(config)}",
        then="check that the broker's machine is on, and every firewall between; then mqtt.host and mqtt.port",
    )


def _untrusted(error: "ssl.SSLCertVerificationError", config: MqttSection) -> Reason:
    """The broker's certificate does not do."""
    if error.verify_code in {NOT_VALID_YET, HAS_EXPIRED}:
        when = "is not valid yet" if error.verify_code == NOT_VALID_YET else "has expired"
        return Reason(
            code="broker_certificate_out_of_date",
            what=f"the broker's certificate {when} by this machine's clock",
            then="check the clock with timedatectl; if it is right, the broker needs a new certificate",
            ours_to_mend=True,
        )
    if error.verify_code in OTHER_NAME:
        return Reason(
            code="broker_certificate_of_another",
            what=f"the broker's certificate is not for {config.host}",
            then="write the name it is for into mqtt.host, or give the broker a certificate for this one",
            ours_to_mend=True,
        )
    authority = "the system's authorities" if config.tls is None or config.tls.ca is None else config.tls.ca
    return Reason(
        code="broker_certificate_not_trusted",
        what=f"the broker's certificate is not by {authority}: {printable(error.verify_message)}",
        then="put the certificate of its authority into the file of mqtt.tls.ca",
        ours_to_mend=True,
    )


def _tls(error: "ssl.SSLError", config: MqttSection) -> Reason:
    """TLS came to nothing: the broker has sent an alert, or no TLS."""
    said = error.reason or ""
    if any(one in said for one in NO_TLS):
        return _hung_up_on_tls(config)
    if any(one in said for one in WANTS_CERTIFICATE) and (config.tls is None or config.tls.certificate is None):
        return Reason(
            code="client_certificate_missing",
            what="the broker wants a client certificate, and none is given",
            then="give mqtt.tls.certificate and mqtt.tls.key",
            ours_to_mend=True,
        )
    if "EXPIRED" in said:
        return Reason(
            code="client_certificate_expired",
            what="the broker refuses this gateway's certificate: it has expired",
            then="put a new one into the file of mqtt.tls.certificate; it is taken within a minute",
            ours_to_mend=True,
        )
    if any(one in said for one in ("UNKNOWN_CA", "CERTIFICATE", "DECRYPT_ERROR", "ACCESS_DENIED")):
        return Reason(
            code="client_certificate_refused",
            what=f"the broker refuses this gateway's certificate: {printable(said.lower().replace('_', ' '))}",
            then="give one that is by an authority the broker trusts (its cafile) and is not revoked",
            ours_to_mend=True,
        )
    return Reason(
        code="tls_failed",
        what=f"TLS with {place_of(config)} failed: {printable(said.lower().replace('_', ' ') or str(error))}",
        then="broker and gateway share no version or cipher of TLS; the broker should take TLS 1.2 or 1.3",
        ours_to_mend=True,
    )


def _hung_up_on_tls(config: MqttSection) -> Reason:
    return Reason(
        code=NO_TLS_THERE,
        what=f"{place_of(config)} does not speak TLS: it hung up when it was spoken to in TLS",
        then="give the broker's port for TLS as mqtt.port (8883 is usual), or leave out mqtt.tls for plain text",
        ours_to_mend=True,
    )


def why_unusable(error: BaseException) -> str:
    """Return which file cannot be used, if that is known, and why."""
    file = getattr(error, "filename", None)
    return f"{printable(str(file))}: {said_by(error)}" if file else said_by(error)


def not_set_up(error: BaseException) -> Reason:
    """The keys or the password cannot be used; nothing was sent."""
    return Reason(
        code="not_set_up",
        what=f"the files of mqtt.tls or mqtt.password_file cannot be used: {why_unusable(error)}",
        then="put them right, readable for the daemon; it looks again each minute",
        ours_to_mend=True,
    )


def hung_up(config: MqttSection) -> Reason:
    """The connection was made, and ended before anything was answered to CONNECT."""
    if config.tls is None:
        then = "it may want TLS there (then give mqtt.tls), take MQTT 3.1.1 only, or be no broker at all"
    elif config.tls.certificate is None:
        then = "it may want a client certificate (mqtt.tls.certificate and key), or take MQTT 3.1.1 only"
    else:
        then = "it may not take this gateway's certificate, or take MQTT 3.1.1 only; the broker's log tells"
    return Reason(
        code="hung_up",
        what=f"{place_of(config)} hung up without a word when it was told who we are",
        then=then,
        ours_to_mend=True,
    )


def garbled(config: MqttSection) -> Reason:
    """What came was no MQTT 5."""
    tls = "" if config.tls is not None else ", or wants TLS (then give mqtt.tls)"
    return Reason(
        code="no_mqtt_there",
        what=f"what answers at {place_of(config)} does not speak MQTT 5",
        then=f"correct mqtt.host and mqtt.port: it is another service, an older broker{tls}",
        ours_to_mend=True,
    )


def mute(config: MqttSection) -> Reason:
    """The connection stands, and nothing comes."""
    return Reason(
        code="no_connack",
        what=f"{place_of(config)} takes the connection and never answers",
        then="check that it is the broker, and that it is not overloaded or hung",
    )


CREDENTIALS = "compare mqtt.username and the first line of mqtt.password_file with what the broker has"
WAIT = "it is tried again; look at the broker's log if it stays so"
NO_MQTT_5 = (
    "no_mqtt_5",
    "the broker takes no MQTT 5",
    "let it accept protocol version 5: chargerd speaks no other",
)
"""In the words of MQTT 3.1.1 and in those of MQTT 5."""
_CODES: Mapping[int, tuple[str, str, str]] = {
    0x01: NO_MQTT_5,
    0x84: NO_MQTT_5,
    0x85: (
        "client_id_refused",
        "the broker does not take this client id",
        "the id is gateway.id: allow it on the broker, or correct it here",
    ),
    0x86: ("credentials_refused", "the broker does not take user name or password", CREDENTIALS),
    0x8A: (
        "banned",
        "the broker has banned this client",
        "find out why, and lift the ban",
    ),
    0x8C: ("credentials_refused", "the broker wants another way of authentication", CREDENTIALS),
    0x90: ("prefix_refused", "the broker takes no topic below mqtt.prefix", "correct it, or the broker's rules"),
    0x95: ("packet_too_large", "a message was larger than the broker takes", "let it take packets of 20 KiB"),
    0x97: ("quota", "the broker's quota for this client is used up", "raise it on the broker"),
    NO_RETAINED: (
        "no_retained_messages",
        "the broker keeps no retained messages, which states, presence and last will are",
        "let it keep them; until then the gateway goes on without",
    ),
    NO_QOS_1: (
        "no_qos_1",
        "the broker takes no messages of QoS 1",
        "let it take them; until then messages go with QoS 0, and may be lost",
    ),
    0x9C: ("broker_moved", "the broker sends us to another one", "put that one's address into mqtt.host"),
    0x9D: ("broker_moved", "the broker has moved", "put its new address into mqtt.host"),
}
_PASSING: Mapping[int, tuple[str, str]] = {
    0x88: ("broker_unavailable", "the broker says that it is not available"),
    0x89: ("broker_busy", "the broker says that it is busy"),
    0x8B: ("broker_stopping", "the broker is being stopped"),
    0x8D: ("broker_timeout", "the broker had heard nothing from us for too long"),
    0x9F: ("too_many_connects", "the broker says that we connect too often"),
}


def of_code(code: int, config: MqttSection, *, name: str = "", said: str | None = None) -> Reason:
    """Return the reason a broker has given in a CONNACK or DISCONNECT (MQTT 5, 2.4).

    `name` is the code's in the standard, `said` what the broker put beside it.
    """
    quote = printable(said or "")
    if code in _PASSING:
        short, what = _PASSING[code]
        return Reason(code=short, what=what, then=WAIT, said=quote)
    if code == TAKEN_OVER:
        then = "find the other one: two gateways with one gateway.id, or a card that was copied"
        return Reason(code="taken_over", what="another client uses this gateway's id", then=then, said=quote)
    if code == NOT_AUTHORISED:
        short, what, then = "not_authorised", "the broker does not let this gateway in", _allowing(config)
    elif code in _CODES:
        short, what, then = _CODES[code]
    else:
        short, then = "refused", "see the broker's log for why"
        what = f"the broker refuses with 0x{code:02x}, {name or 'which has no name'}"
    return Reason(code=short, what=what, then=then, ours_to_mend=True, said=quote)


def _allowing(config: MqttSection) -> str:
    """Return how a broker is brought to let this gateway in."""
    if config.username is not None:
        return CREDENTIALS
    if config.tls is not None and config.tls.certificate is not None:
        return "allow this gateway on the broker: its certificate's common name has to be gateway.id"
    return "allow this gateway on the broker, or give mqtt.username and mqtt.password_file"
