"""Why there is no connection: each way of having none is told apart, in words that say what to do next."""

import errno
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from chargerd.config.document import MqttSection
from chargerd.contract.payloads import EventBody, Severity
from chargerd.core.units import Instant, Seconds
from chargerd.mqtt.attempt import last_word
from chargerd.mqtt.attempts import TELL_AGAIN_AFTER, Attempts
from chargerd.mqtt.back_off import BackOff
from chargerd.mqtt.heard import Connected, Heard, Lost, NotConnected
from chargerd.mqtt.reasons import Reason, of_code, of_error, printable
from chargerd.mqtt.transport import Transport
from tests.judging import every
from tests.logs import capture_logs
from tests.mqtt.test_clock import WallClock
from tests.patience import PATIENCE_S

PLAIN = MqttSection(host="broker.example.net")
TLS = MqttSection.model_validate({"host": "broker.example.net", "tls": {"ca": "/ca.pem"}})
OWN = MqttSection.model_validate(
    {"host": "broker.example.net", "tls": {"ca": "/ca.pem", "certificate": "/own.crt", "key": "/own.key"}}
)
USER = MqttSection(host="broker.example.net", username="shed-1", password_file="/password")
WELCOME = b"\x20\x03\x00\x00\x00"


class Listener:
    """Keeps what paho's thread has said."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self._news = threading.Condition()

    def hear(self, heard: Heard) -> None:
        with self._news:
            self.heard.append(heard)
            self._news.notify_all()

    def will(self) -> tuple[int, bytes]:
        return 1, b"{}"

    def reason(self) -> Reason:
        """Return why the first connection, or attempt, has ended."""
        with self._news:
            assert self._news.wait_for(
                lambda: any(isinstance(one, NotConnected | Lost) for one in self.heard), PATIENCE_S
            )
        return next(one.reason for one in self.heard if isinstance(one, NotConnected | Lost))


@contextmanager
def server(says: bytes, *, listens: bool = True, ends: bool = True) -> Iterator[int]:
    """Answer each connection's first packet with these bytes; `listens`: read that packet before."""
    done = threading.Event()

    def serve(listener: socket.socket) -> None:
        while not done.is_set():
            try:
                sock, _address = listener.accept()
            except OSError:
                return
            with sock:
                if listens:
                    sock.recv(4096)
                sock.sendall(says)
                if not ends:
                    done.wait(PATIENCE_S)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        done.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE_S)


@contextmanager
def trying(config: MqttSection) -> Iterator[Listener]:
    listener = Listener()
    transport = Transport(
        config=config,
        client_id="shed-1",
        root="chargerd/v1/shed-1",
        generations=count(1),
        back_off=BackOff("shed-1"),
        clock=WallClock(),
        owner=listener,
    )
    transport.start()
    try:
        yield listener
    finally:
        transport.retire(with_will=False)()


def reason_at(port: int, host: str = "127.0.0.1") -> Reason:
    with trying(MqttSection.model_construct(host=host, port=port)) as listener:
        return listener.reason()


@pytest.mark.parametrize(
    ("says", "code"),
    [
        (b"\x20\x02\x00\x01", "no_mqtt_5"),
        (b"\x20\x03\x00\x84\x00", "no_mqtt_5"),
        (b"\x20\x02\x00\x05", "no_mqtt_there"),
        (b"\x20\x03\x00\x86\x00", "credentials_refused"),
        (b"\x20\x03\x00\x87\x00", "not_authorised"),
        (b"\x20\x03\x00\x9a\x00", "no_retained_messages"),
        (b"\xe0\x02\x9a\x00", "no_retained_messages"),
        (b"\xe0\x01\x9b", "no_qos_1"),
        (WELCOME + b"\xe0\x02\x9b\x00", "no_qos_1"),
        (WELCOME + b"\xe0\x00", "closed_by_broker"),
        (WELCOME, "broke_off"),
        (b"", "hung_up"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "no_mqtt_there"),
        (b"\x20\x05\x00\x00\x02\x99\x99", "no_mqtt_there"),
        (WELCOME + b"\x90\x01\x00", "no_mqtt_there"),
        (b"\x20\x0b\x00\x97\x08\x1f\x00\x05no\x1b\x07!", "quota"),
    ],
)
def test_what_answers_is_told_apart(says: bytes, code: str) -> None:
    with server(says) as port:
        reason = reason_at(port)
        assert (reason.code, bool(reason.what), bool(reason.then)) == (code, True, True)
        assert reason.said == ("no\\x1b\\x07!" if code == "quota" else "")


def test_a_broker_that_resets_the_line_after_its_last_word_is_heard() -> None:
    """It closes with our packets unread, so the kernel resets the line, and paho finds that out by writing."""
    with server(WELCOME + b"\xe0\x02\x8e\x00", listens=False) as port:
        for _ in range(2):
            assert reason_at(port).code == "taken_over"


def test_what_is_not_there_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert reason_at(port).code == "nobody_listens"

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    assert reason_at(port, "broker.example.net").code == "name_not_found"


def test_no_name_and_no_packet_ends_the_clients_thread() -> None:
    """A name that cannot be encoded raises no `OSError`: paho's own thread would be gone."""
    with trying(MqttSection.model_construct(host="broker..example", port=1883)) as listener:
        assert listener.reason().code == "name_not_found"
        with listener._news:  # noqa: SLF001
            assert listener._news.wait_for(lambda: len(listener.heard) > 1, PATIENCE_S)  # noqa: SLF001


def test_an_exception_while_connected_costs_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> None:
        raise RuntimeError("nobody foresaw this")

    with server(WELCOME + b"\xd0\x00", ends=False) as port:
        monkeypatch.setattr("paho.mqtt.client.Client._handle_pingresp", read)
        with trying(MqttSection(host="127.0.0.1", port=port)) as listener:
            assert "nobody foresaw this" in listener.reason().what
            assert isinstance(listener.heard[0], Connected)
            assert isinstance(listener.heard[1], Lost)


def alert(name: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {name}]")
    error.reason = name
    return error


def verification(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "why"
    return error


@pytest.mark.parametrize(
    ("error", "config", "code", "then"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, "unknown"),
            PLAIN,
            "name_not_found",
            "getent hosts broker.example.net",
        ),
        (socket.gaierror(socket.EAI_AGAIN, "later"), PLAIN, "no_name_server", "resolv"),
        (OSError(errno.EHOSTUNREACH, "no route"), PLAIN, "no_route", "ip route"),
        (TimeoutError("timed out"), PLAIN, "no_answer", "firewall"),
        (TimeoutError("_ssl.c: The handshake operation timed out"), TLS, "no_tls_answer", "mqtt.port"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), TLS, "no_tls_there", "leave out mqtt.tls"),
        (alert("WRONG_VERSION_NUMBER"), TLS, "no_tls_there", "8883"),
        (alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"), TLS, "client_certificate_missing", "mqtt.tls.certificate"),
        (alert("SSLV3_ALERT_HANDSHAKE_FAILURE"), TLS, "client_certificate_missing", "mqtt.tls.key"),
        (alert("SSLV3_ALERT_HANDSHAKE_FAILURE"), OWN, "tls_failed", "cipher"),
        (alert("TLSV1_ALERT_UNKNOWN_CA"), OWN, "client_certificate_refused", "authority"),
        (alert("SSLV3_ALERT_CERTIFICATE_EXPIRED"), OWN, "client_certificate_expired", "new one"),
        (verification(9), TLS, "broker_certificate_out_of_date", "timedatectl"),
        (verification(10), TLS, "broker_certificate_out_of_date", "timedatectl"),
        (verification(62), TLS, "broker_certificate_of_another", "mqtt.host"),
        (verification(20), TLS, "broker_certificate_not_trusted", "mqtt.tls.ca"),
        (OSError(errno.EMFILE, "Too many open files"), PLAIN, "failed", "tried again"),
    ],
)
def test_errors_say_what_to_do(error: BaseException, config: MqttSection, code: str, then: str) -> None:
    reason = of_error(error, config)
    assert (reason.code, then in reason.then) == (code, True), reason
    assert "[Errno" not in reason.text


@pytest.mark.parametrize(
    ("config", "then"), [(PLAIN, "mqtt.username"), (USER, "password_file"), (OWN, "common name")]
)
def test_one_who_is_not_let_in_is_told_with_what_he_came(config: MqttSection, then: str) -> None:
    assert then in of_code(0x87, config).then


@pytest.mark.parametrize("config", [PLAIN, TLS, OWN])
def test_a_hang_up_is_told_with_what_it_may_mean(config: MqttSection) -> None:
    reason = of_error(ConnectionResetError(), config, opened=True)
    assert reason.code == "hung_up"
    assert ("TLS" in reason.then, "certificate" in reason.then) == (config is PLAIN, config is not PLAIN)


def test_every_code_of_the_standard_has_a_reason() -> None:
    reasons = [of_code(code, PLAIN, name="a name") for code in range(0x80, 0xA3)]
    assert every(reason.what and reason.then for reason in reasons)
    assert next(reason.what for reason in reasons if reason.code == "refused").endswith("0x80, a name")


def test_text_from_afar_stays_on_its_line() -> None:
    assert printable("a\nb\u202ec\x1b[2J") == "a\\nb\\u202ec\\x1b[2J"
    assert len(printable("x" * 5000)) < 300


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", None),
        (b"\xe0\x00", 0),
        (b"\xd0\x00\xe0\x02\x8e\x00", 0x8E),
        (b"\x20\x03\x00\x87\x00", 0x87),
        (WELCOME, None),
        (b"\xe0\x05\x8e", None),
        (b"\x30\xff\xff\xff\xff\x01\xe0\x00", None),
        (b"\x30\x80\x01" + b"x" * 128 + b"\xe0\x01\x9a", 0x9A),
    ],
)
def test_the_last_word_is_found_among_what_was_left(data: bytes, word: int | None) -> None:
    assert last_word(data) == word


class Book:
    """Attempts on a clock that is moved by hand."""

    def __init__(self) -> None:
        self.clock = WallClock()
        self.told: list[EventBody] = []
        self.attempts = Attempts(self.clock, "b:1883", self.told.append)

    def later(self, seconds: float) -> None:
        self.clock.instant = Instant(self.clock.instant + seconds)


NOBODY, WRONG = of_error(ConnectionRefusedError(), PLAIN), of_code(0x86, USER)


def test_a_reason_is_logged_once_and_then_counted() -> None:
    book = Book()
    with capture_logs() as lines:
        for reason in (NOBODY, NOBODY, NOBODY, WRONG, WRONG, NOBODY):
            book.attempts.failed(reason, Seconds(5.0))
            book.later(60)
        book.later(TELL_AGAIN_AFTER)
        book.attempts.failed(NOBODY, Seconds(5.0))
    assert [(line["reason"], line.get("times_before")) for line in lines] == [
        ("nobody_listens", None),
        ("credentials_refused", 2),
        ("nobody_listens", 1),
        ("nobody_listens", None),
    ]
    assert every(line["why"] and line["then"] for line in lines)


def test_what_the_broker_says_beside_it_makes_no_other_reason() -> None:
    book = Book()
    with capture_logs() as lines:
        for word in ("at 10:01", "at 10:02"):
            book.attempts.failed(of_code(0x97, PLAIN, said=word), Seconds(5.0))
    assert [line["said"] for line in lines] == ["at 10:01"]


def test_the_state_says_since_when_how_often_and_what_comes_next() -> None:
    book = Book()
    book.attempts.failed(NOBODY, Seconds(5.0))
    book.later(3)
    book.attempts.failed(WRONG, Seconds(20.0))
    book.later(5)
    assert book.attempts.state.plain(book.clock.now()) == {
        "connected": False,
        "since_s": 8.0,
        "reason": {"code": "credentials_refused", "what": WRONG.what, "then": WRONG.then, "said": None},
        "attempts": 2,
        "next_attempt_s": 15.0,
        "shortfalls": [],
    }
    book.attempts.connected(1, (of_code(0x9A, PLAIN),))
    book.later(30)
    state = book.attempts.state.plain(book.clock.now())
    assert (state["connected"], state["since_s"], state["reason"], state["attempts"]) == (True, 30.0, None, 0)
    assert state["next_attempt_s"] is None
    assert [one.code for one in book.attempts.state.shortfalls] == ["no_retained_messages"]


def test_the_ledger_gets_one_row_for_an_absence_and_one_an_hour_for_many() -> None:
    book = Book()
    for _ in range(3):
        book.attempts.failed(NOBODY, Seconds(5.0))
        book.later(60)
    book.attempts.failed(WRONG, Seconds(5.0))
    assert not book.told, "not before there is somebody to tell"
    book.attempts.connected(1, ())
    assert [(one.event, one.severity) for one in book.told] == [("connection_failed", Severity.WARNING)]
    assert book.told[0].reason == f"without a connection for 3 min: {NOBODY.what} (3 times), {WRONG.what}"
    for conn in range(2, 40):
        book.later(20)
        book.attempts.lost(NOBODY, Seconds(1.0))
        book.later(10)
        book.attempts.connected(conn, ())
        book.attempts.look()
    assert len(book.told) == 1
    book.later(TELL_AGAIN_AFTER)
    book.attempts.look()
    assert book.told[1].reason == f"without a connection for 6 min: {NOBODY.what} (38 times)"
    assert book.told[1].severity is Severity.INFO, "nobody has to mend anything"
    book.later(TELL_AGAIN_AFTER)
    book.attempts.look()
    assert len(book.told) == 2


def test_one_who_stops_without_a_connection_leaves_the_reasons_to_the_next() -> None:
    book = Book()
    book.attempts.failed(WRONG, Seconds(5.0))
    book.attempts.tell()
    book.attempts.tell()
    assert len(book.told) == 1


def test_what_a_broker_lacks_is_told_when_it_changes() -> None:
    book = Book()
    lacks = (of_code(0x9A, PLAIN),)
    for conn, shortfalls in enumerate((lacks, lacks, (), lacks)):
        book.attempts.connected(conn, shortfalls)
    assert [one.event for one in book.told] == ["broker_falls_short", "broker_falls_short"]
    assert book.told[0].reason == lacks[0].text
