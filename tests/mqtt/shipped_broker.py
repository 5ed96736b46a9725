"""mosquitto with the settings of the manual, set up by the manual's script, and anybody who talks to it."""

import getpass
import os
import queue
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from chargerd.config.document import TlsSection
from tests.broker import Mosquitto, free_port
from tests.mqtt.pki import Authority
from tests.patience import PATIENCE_S

SHIPPED = Path(__file__).parents[2] / "docs" / "backend" / "broker"
ROOT = "chargerd/v1"
NOT_AUTHORISED = 0x87
DEBIANS = """pid_file /run/mosquitto/mosquitto.pid
persistence true
persistence_location /var/lib/mosquitto/
log_dest file /var/log/mosquitto/mosquitto.log
include_dir /etc/mosquitto/conf.d
"""
"""The settings in `mosquitto.conf` of Debian 12 and 13."""


class ShippedBroker:
    """As on Debian, but for the places of its files, its ports on this machine alone, and its user."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self._folder = folder
        self._authority = authority
        self._mosquitto = Mosquitto(folder)
        self.gateways, self.backends, self._here = self._mosquitto.port, free_port(), free_port()
        for name in ("etc/conf.d", "lib"):
            (folder / name).mkdir(parents=True)
        (folder / "etc/certs").symlink_to(authority.folder)
        own = DEBIANS + f"user {getpass.getuser()}\n"
        (folder / "mosquitto.conf").write_text(self._placed(own, *DEBIANS_PLACES))
        shipped = (SHIPPED / "chargerd.conf").read_text("utf-8")
        (folder / "etc/conf.d/chargerd.conf").write_text(self._placed(shipped, *SHIPPED_PLACES))

    def _placed(self, text: str, *places: str) -> str:
        """Put files and ports elsewhere, and nothing else; each of these must be there to be replaced."""
        elsewhere = {
            "/etc/mosquitto/": f"{self._folder}/etc/",
            "/var/lib/mosquitto/": f"{self._folder}/lib/",
            "/run/mosquitto/": f"{self._folder}/",
            "/var/log/mosquitto/": f"{self._folder}/",
            "listener 8883\n": f"listener {self.gateways} 127.0.0.1\n",
            "listener 8884\n": f"listener {self.backends} 127.0.0.1\n",
            "listener 1883 127.0.0.1\n": f"listener {self._here} 127.0.0.1\n",
        }
        for place in places:
            assert place in text, place
            text = text.replace(place, elsewhere[place])
        return text

    def access(self, *arguments: str) -> str:
        """Run the manual's script; return what it prints."""
        places = {
            "MOSQUITTO_ETC": f"{self._folder}/etc",
            "MOSQUITTO_LIB": f"{self._folder}/lib",
            "MOSQUITTO_PORT": str(self._here),
        }
        done = subprocess.run(
            [SHIPPED / "access", *arguments],
            env={**os.environ, **places},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def tls(self, name: str | None = None) -> TlsSection:
        """Give the authority, and the certificate of somebody if it is wanted."""
        return self._authority.tls(name)

    def __enter__(self) -> Self:
        self.access("init")
        self._mosquitto.start()
        for port in (self.backends, self._here):
            self._mosquitto.wait_for(port)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._mosquitto.stop()


DEBIANS_PLACES = ("/etc/mosquitto/", "/var/lib/mosquitto/", "/run/mosquitto/", "/var/log/mosquitto/")
SHIPPED_PLACES = (
    "/etc/mosquitto/",
    "/var/lib/mosquitto/",
    "listener 8883\n",
    "listener 8884\n",
    "listener 1883 127.0.0.1\n",
)


class Anybody:
    """A client that does as it is told, and tells what the broker answers."""

    def __init__(self, client: paho.Client) -> None:
        self.client = client
        self.heard = heard = queue.SimpleQueue[tuple[str, bytes]]()
        self.lost = lost = queue.SimpleQueue[int]()
        self._answers = answers = queue.SimpleQueue[int]()
        # None of these knows `self`: paho closes its sockets when nobody knows the client any more.
        client.on_connect = lambda _client, _data, _flags, reason, _more: answers.put(reason.value)
        client.on_subscribe = lambda _client, _data, _mid, reasons, _more: answers.put(reasons[0].value)
        client.on_publish = lambda _client, _data, _mid, reason, _more: answers.put(reason.value)
        client.on_message = lambda _client, _data, message: heard.put((message.topic, bytes(message.payload)))
        client.on_disconnect = lambda _client, _data, _flags, reason, _more: lost.put(reason.value)

    def answer(self) -> int:
        return self._answers.get(timeout=PATIENCE_S)

    def subscribe(self, topics: str) -> int:
        self.client.subscribe(topics, options=SubscribeOptions(qos=1))
        return self.answer()

    def publish(
        self, topic: str, payload: bytes = b"{}", *, retain: bool = False, expiry_s: int | None = None
    ) -> int:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if expiry_s is not None:
            properties.MessageExpiryInterval = expiry_s
        self.client.publish(topic, payload, qos=1, retain=retain, properties=properties)
        return self.answer()

    def heard_until(self, last: bytes) -> list[tuple[str, bytes]]:
        """Return what has come, up to a message that ends it."""
        so_far = []
        while True:
            so_far.append(self.heard.get(timeout=PATIENCE_S))
            if so_far[-1][1] == last:
                return so_far


@contextmanager
def anybody(
    port: int,
    section: TlsSection,
    *,
    client_id: str = "anybody",
    login: tuple[str, str] | None = None,
    will: str | None = None,
    kept_s: int = 0,
    expected: int = 0,
) -> Iterator[Anybody]:
    """Connect somebody; `expected` is what the broker has to say to that."""
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5, reconnect_on_failure=False
    )
    client.tls_set(ca_certs=section.ca, certfile=section.certificate, keyfile=section.key)
    if login is not None:
        client.username_pw_set(*login)
    if will is not None:
        client.will_set(will, b"will", qos=1, retain=True)
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = kept_s
    one = Anybody(client)
    client.connect("127.0.0.1", port, clean_start=not kept_s, properties=properties)
    client.loop_start()
    try:
        assert one.answer() == expected
        yield one
    finally:
        client.disconnect()
        client.loop_stop()
