"""Does a drain delay a trip? `python -m tests.mqtt.bench_trips [DAYS]`. Figures, no verdict.

The real daemon on a simulated line at 9600 Bd with twelve ports charging. Six of them get an overcurrent while
nothing else happens, six while a week's ledger of 85 ports is sent again (`cmd/replay`); told is how long each
contact took to open.
"""

import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from rich.console import Console

from chargerd.core.units import Seconds, Watts
from chargerd.runtime.process.clock import SystemClock, boot_id
from chargerd.sim.loads import Load, Phase, resistive
from chargerd.store.journal import Journal
from tests.broker import Mosquitto
from tests.faults.gateway import fail
from tests.mqtt.bench_drain import fill
from tests.site import DaemonSite

PORTS = 12
EACH = PORTS // 2
PAST_INRUSH_S = 2.5


class Watcher:
    """Follows the ledger, acknowledges it, and asks for it again."""

    def __init__(self, port: int) -> None:
        self.through = 0
        self.received = 0
        self.stream = ""
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="backend", protocol=paho.MQTTv5)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([("chargerd/v1/shed-1/up/session", 1), ("chargerd/v1/shed-1/up/event", 1)])
        self._client.loop_start()

    def _take(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        row = json.loads(message.payload)
        self.stream, self.through = row["stream"], row["seq"]
        self.received += 1

    def acknowledge(self) -> None:
        body = json.dumps({"stream": self.stream, "through": self.through})
        self._client.publish("chargerd/v1/shed-1/ack", body, qos=1, retain=True)

    def replay(self) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.MessageExpiryInterval = 60
        body = json.dumps({"id": "again", "ttl_s": 60, "args": {"stream": self.stream, "from": 1}})
        self._client.publish("chargerd/v1/shed-1/cmd/replay", body, qos=1, properties=properties)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def steady() -> Load:
    return Load(name="bike", shape=lambda _s: (Watts(150.0), Phase.CHARGING), power_factor=0.6, noise=Watts(0.0))


def trip(site: DaemonSite, port: str) -> float:
    """Give a port an overcurrent; return after how many milliseconds its contact was open."""
    site.world.socket(port).plug(resistive("short", 9.0))
    began = site.clock.now()
    site.wait(lambda: not site.contact(port), f"{port} stays closed")
    return (site.edges(port)[-1][0] - began) * 1000


def told(name: str, values: list[float]) -> str:
    return f"{name}: median {statistics.median(values):.0f} ms, worst {max(values):.0f} ms of {len(values)}"


def main() -> None:
    days = float(sys.argv[1]) if len(sys.argv) > 1 else 7.0
    console, clock, pause = Console(), SystemClock(), threading.Event()
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name) / "broker") as broker:
        folder = Path(name)
        (folder / "state").mkdir()
        journal = Journal.open(
            folder / "state" / "journal.db",
            clock=clock,
            boot_id=boot_id(),
            on_health=lambda _: None,
            on_crash=fail,
        )
        journal.start()
        fill(journal, clock, days, 85)
        rows = journal.span().last
        journal.close(Seconds(10))
        watcher = Watcher(broker.port)
        with DaemonSite(folder, ports=PORTS, broker=broker.port) as site:
            site.wait_ready()
            ports = [f"A{number:02d}" for number in range(1, PORTS + 1)]
            for port in ports:
                site.world.socket(port).plug(steady())
                site.ask("start", port=port)
            for port in ports:
                site.wait_state(port, "charging", timeout=60)
            site.wait(lambda: watcher.through >= rows, "the ledger is not drained", 300)
            watcher.acknowledge()
            site.wait(lambda: site.ask("status")["ledger"]["acked"] >= rows, "not acknowledged")
            pause.wait(PAST_INRUSH_S)
            quiet = [trip(site, port) for port in ports[:EACH]]
            before, began = watcher.received, time.monotonic()
            watcher.replay()
            site.wait(lambda: watcher.received > before + 1000, "no replay")
            busy = [trip(site, port) for port in ports[EACH:]]
            during = watcher.received - before
            spent = time.monotonic() - began
        watcher.stop()
    console.print(told("with nothing else going on", quiet))
    console.print(told(f"while rows go out at {during / spent:.0f}/s", busy))


if __name__ == "__main__":
    main()
