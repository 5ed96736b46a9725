"""TLS with a client certificate, its renewal under way, and its end foretold."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chargerd.config.document import MqttSection, TlsSection
from chargerd.contract.payloads import CertificateBody, EventBody, Severity
from chargerd.core.units import Instant
from chargerd.mqtt.alarms import Alarms
from chargerd.mqtt.certificates import KeyFiles, read_expiry, unusable
from chargerd.mqtt.keys import DAY_MS, KeyWatch
from tests.broker import Mosquitto
from tests.mqtt.pki import Authority
from tests.mqtt.test_clock import WallClock
from tests.mqtt.test_link import Ledger, Stage
from tests.mqtt.test_reasons import trying


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("pki"))
    made.issue("server")
    made.issue("shed-1", days=100)
    made.issue("shed-1", days=20, file="short")
    made.issue("shed-1", days=-1, file="old")
    return made


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("foreign"), "other")
    made.issue("shed-1")
    return made


@pytest.fixture
def broker(tmp_path: Path, authority: Authority) -> Iterator[Mosquitto]:
    """A broker as one should be set up: it wants a certificate, and takes the client id from it."""
    settings = authority.listening() + "use_username_as_clientid true\n"
    with Mosquitto(tmp_path / "broker", settings=settings) as one:
        yield one


def tls(authority: Authority, folder: Path, name: str = "shed-1") -> TlsSection:
    """Copy a certificate and its key to where the gateway has its own."""
    for end in ("crt", "key"):
        (folder / f"own.{end}").write_bytes((authority.folder / f"{name}.{end}").read_bytes())
    return TlsSection(
        ca=str(authority.certificate), certificate=str(folder / "own.crt"), key=str(folder / "own.key")
    )


def test_a_link_over_tls_shows_its_certificate_and_checks_the_brokers(
    tmp_path: Path, authority: Authority, broker: Mosquitto
) -> None:
    with Stage(broker.port, Ledger(rows=3), tls=tls(authority, tmp_path)) as stage:
        stage.wait(lambda: stage.link.connected and stage.link.drained)
        log = (broker.folder / "mosquitto.log").read_text()
        assert "u'shed-1'" in log, "the broker took the name from the certificate"
        info = stage.link._about()  # noqa: SLF001 - goes into state/info
        assert isinstance(info["certificates"], list)
        told = [CertificateBody.model_validate(one) for one in info["certificates"]]
        assert [(one.file, one.subject) for one in told] == [("ca", "ca"), ("certificate", "shed-1")]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves that socket to the GC
def test_each_way_of_not_fitting_a_brokers_tls_is_told_apart(
    tmp_path: Path, authority: Authority, foreign: Authority, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def resolving(host: str, *others: Any, **named: Any) -> Any:  # Not each machine's hosts file has names.
        return resolve("127.0.0.1" if host == "broker.example" else host, *others, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolving)
    good = tls(authority, tmp_path)
    ours = {"port": broker.port, "host": "127.0.0.1"}
    attempts: list[tuple[str, dict[str, object]]] = [
        ("hung_up, or no_mqtt_there with an alert", ours),
        ("client_certificate_missing", {**ours, "tls": authority.tls()}),
        ("client_certificate_expired", {**ours, "tls": authority.tls("old")}),
        ("client_certificate_refused", {**ours, "tls": foreign.tls("shed-1", ca=authority.certificate)}),
        ("broker_certificate_not_trusted", {**ours, "tls": authority.tls("shed-1", ca=foreign.certificate)}),
        ("broker_certificate_of_another", {**ours, "host": "broker.example", "tls": good}),
    ]
    for code, config in attempts:
        with trying(MqttSection.model_validate(config)) as one:
            reason = one.reason()
            assert reason.code in code, reason
    with (
        Mosquitto(tmp_path / "plain") as plain,
        trying(MqttSection(host="127.0.0.1", port=plain.port, tls=good)) as one,
    ):
        assert one.reason().code == "no_tls_there"


def test_a_file_that_is_not_what_it_is_to_be_is_named_with_its_key(tmp_path: Path, authority: Authority) -> None:
    good = tls(authority, tmp_path)
    assert list(unusable(good)) == []
    junk = tmp_path / "junk.pem"
    junk.write_text("no PEM at all\n")
    other = str(authority.folder / "short.key")
    for key, path, why in (
        ("ca", str(junk), "holds no certificate in PEM form"),
        ("certificate", str(junk), "holds no certificate in PEM form"),
        ("key", str(junk), "holds no private key in PEM form"),
        ("key", other, f"is not the key of {good.certificate}"),
    ):
        section = good.model_copy(update={key: path})
        assert [(one.key, one.path, one.why) for one in unusable(section)] == [(f"mqtt.tls.{key}", path, why)]
        with pytest.raises(OSError, match=f"mqtt.tls.{key}") as told:
            KeyFiles(MqttSection(host="broker", tls=section)).check()
        assert told.value.filename == path
    both = good.model_copy(update={"certificate": str(junk), "key": str(junk)})
    assert [one.key for one in unusable(both)] == ["mqtt.tls.certificate", "mqtt.tls.key"]
    gone = good.model_copy(update={"key": str(tmp_path / "none")})
    assert list(unusable(gone)) == [], "that it is not there is told by others"
    with Stage(1, Ledger(), tls=good.model_copy(update={"key": str(junk)})) as stage:
        stage.wait(lambda: bool(stage.alarms))
        name, text = stage.alarms[0]
    assert name == "link_not_set_up"
    assert f"{junk}: holds no private key in PEM form (mqtt.tls.key)" in text


def test_an_alarm_says_why_the_broker_refuses(authority: Authority, broker: Mosquitto) -> None:
    with Stage(broker.port, Ledger(), tls=authority.tls()) as stage:
        stage.wait(lambda: bool(stage.alarms))
        assert stage.alarms[0][0] == "connection_refused"
        assert "mqtt.tls.certificate" in stage.alarms[0][1]
        state = stage.link.state
        assert (state.connected, state.attempts >= 1) == (False, True)
        assert state.reason is not None
        assert state.reason.code == "client_certificate_missing"


def test_new_files_are_taken_without_a_restart_and_unfit_ones_are_not(
    tmp_path: Path, authority: Authority, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargerd.mqtt.client.LOOK_AT_KEYS_EVERY", 0.1)
    section = tls(authority, tmp_path)
    with Stage(broker.port, Ledger(rows=2), tls=section) as stage:
        stage.wait(lambda: stage.link.connected)
        first = stage.link._transport  # noqa: SLF001 - that it is another one afterwards is the point
        (tmp_path / "own.key").write_bytes((authority.folder / "short.key").read_bytes())
        stage.wait(lambda: any(name == "credentials_not_usable" for name, _ in stage.alarms))
        assert stage.link.connected
        assert stage.link._transport is first  # noqa: SLF001
        tls(authority, tmp_path, "short")
        stage.wait(lambda: stage.link._transport not in {first, None} and stage.link.connected)  # noqa: SLF001
        serials = (broker.folder / "mosquitto.log").read_text().count("New client connected")
        assert serials == 2


def test_a_certificate_is_warned_of_thirty_days_ahead_each_day(tmp_path: Path, authority: Authority) -> None:
    config = MqttSection.model_validate({"host": "h", "tls": tls(authority, tmp_path)})
    [own] = [one for one in KeyFiles(config).expiries() if one.role == "certificate"]
    clock = WallClock()
    told: list[EventBody] = []
    alarms = Alarms(clock, lambda name, detail: pytest.fail(f"{name} {detail}"))
    alarms.on_event = told.append
    watch = KeyWatch(config, clock, alarms)
    watch.warn()
    assert not told, "without a clock nobody knows"
    for days, expected in ((31, 0), (29, 1), (29, 1), (1, 2), (-1, 3)):
        clock.instant = Instant(clock.instant + (86_401 if expected > len(told) else 60))
        clock.ahead_ms = own.expires_ms - days * DAY_MS - round(clock.instant * 1000)
        watch.warn()
        assert len(told) == expected, days
    assert [(one.event, one.severity) for one in told] == [
        ("certificate_expires", Severity.WARNING),
        ("certificate_expires", Severity.WARNING),
        ("certificate_expired", Severity.ALARM),
    ]
    assert told[0].expires_at is not None
    assert "shed-1 is good for 29 days more" in (told[0].reason or "")


def test_expiries_are_read_as_openssl_writes_them(tmp_path: Path) -> None:
    late = Authority(tmp_path, "late")
    certificate, _key = late.issue("far", days=365 * 40)
    config = MqttSection.model_validate(
        {"host": "h", "tls": {"ca": str(late.certificate), "certificate": str(certificate), "key": str(_key)}}
    )
    far = KeyFiles(config).expiries()[-1]
    context = ssl.create_default_context(cafile=str(late.certificate))
    [known] = context.get_ca_certs()
    assert isinstance(known["notAfter"], str)
    ca = KeyFiles(config).expiries()[0]
    assert ca.expires_ms == ssl.cert_time_to_seconds(known["notAfter"]) * 1000
    assert far.expires_ms - ca.expires_ms == pytest.approx(39 * 365 * DAY_MS, abs=DAY_MS)
    with pytest.raises((ValueError, IndexError)):
        read_expiry("ca", b"\x30\x03\x02\x01")
    (tmp_path / "none.crt").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    unreadable = config.model_copy(update={"tls": TlsSection(ca=str(tmp_path / "none.crt"))})
    assert KeyFiles(unreadable).expiries() == ()
    assert KeyFiles(config.model_copy(update={"tls": None})).expiries() == ()
