"""A week without a broker, 85 busy ports, then the drain: `python -m tests.mqtt.bench_drain [DAYS [PORTS]]`.

Writes what so many ports would have written (sessions of four hours, one after the other, with an update each
15 minutes), says how large the journal is, and hands it in to a mosquitto of its own, where a consumer checks the
order. A thread beside it wakes each 10 ms, as a bus does, and says how late it was; the consumer works in the same
process, so this is the worse case. Ends with 1 if a limit is missed.
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console

from chargerd.config.document import MqttSection
from chargerd.contract import bodies
from chargerd.contract.ledger import Batch, RememberedCommand, Reply
from chargerd.core.facts import Fact, SessionEnded, SessionStarted, SessionUpdated
from chargerd.core.session import EnergyQuality, SessionRecord, Settlement, StopReason
from chargerd.core.units import CommandId, PortId, Seconds, SessionId, WattHours
from chargerd.daemon import SWITCH_INTERVAL
from chargerd.mqtt.client import MqttLink
from chargerd.runtime.process.clock import SystemClock, boot_id
from chargerd.store.journal import Journal
from tests.broker import Mosquitto
from tests.faults.gateway import States, fail, warn
from tests.store.kit import record

HOURS_A_SESSION = 4
UPDATES_A_SESSION = HOURS_A_SESSION * 4
MOST_BYTES = 256 * 1024**2
LEAST_PER_S = 500
WAKE_S = 0.010


def facts(number: int, ports: int) -> Iterator[Fact]:
    """Return what one session tells."""
    plain = record(f"01M83SD06V9D533CMCYP{number:06d}")
    order = replace(plain.order, port=PortId(f"A{number % ports:02d}"), order=f"order {number:08d}")
    mine: SessionRecord = replace(plain, order=order, meter_start=WattHours(71510 + number))
    yield SessionStarted(record=mine)
    for _ in range(UPDATES_A_SESSION):
        yield SessionUpdated(record=mine)
    yield SessionEnded(
        settlement=Settlement(
            record=mine,
            ended=mine.at,
            reason=StopReason.REMOTE,
            quality=EnergyQuality.EXACT,
            resolution=WattHours(10),
            meter_stop=WattHours(72510 + number),
        )
    )


def batches(sessions: int, ports: int, clock: SystemClock) -> Iterator[Batch]:
    for number in range(sessions):
        now = replace(clock.moment(), wall_ms=1_790_000_000_000 + number)
        entries = tuple(bodies.ledger_entry(fact, now, offline=True) for fact in facts(number, ports))
        command, session = CommandId(f"command-{number:08d}"), SessionId(f"01M83SD06V9D533CMCYP{number:06d}")
        remembered = RememberedCommand(
            command=command,
            name="start",
            digest="0" * 64,
            moment=now,
            reply=Reply(command=command, body={"id": command, "status": "done", "code": "ok", "message": ""}),
            session=session,
            final=True,
        )
        yield Batch(entries=entries, commands=(remembered,), ended=(session,))


class Consumer:
    """Counts rows and whether each follows the one before."""

    def __init__(self, port: int) -> None:
        self.through = 0
        self.out_of_order = 0
        self.stream = ""
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="backend", protocol=paho.MQTTv5)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("chargerd/v1/shed-1/up/#", qos=1)
        self._client.loop_start()

    def _take(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        if message.topic.endswith(("/session", "/event")):
            row = json.loads(message.payload)
            self.stream = row["stream"]
            self.out_of_order += row["seq"] != self.through + 1
            self.through = row["seq"]
            if self.through == 1:
                self.acknowledge()

    def acknowledge(self) -> None:
        body = json.dumps({"stream": self.stream, "through": self.through})
        self._client.publish("chargerd/v1/shed-1/ack", body, qos=1, retain=True)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Waker:
    """Wakes as often as a bus does, and notes how late."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            due = time.monotonic() + WAKE_S
            time.sleep(WAKE_S)
            self.late.append((time.monotonic() - due) * 1000)


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.name.startswith("journal"))


def fill(journal: Journal, clock: SystemClock, days: float, ports: int) -> None:
    sessions = round(ports * days * 24 / HOURS_A_SESSION)
    written = threading.Semaphore(200)
    for batch in batches(sessions, ports, clock):
        written.acquire()
        journal.append(batch, lambda _done: written.release())
    for _ in range(200):
        written.acquire()


def drain(journal: Journal, clock: SystemClock, broker: Mosquitto) -> tuple[float, Consumer, list[float]]:
    """Hand all in; return how long it took, from the first row on."""
    consumer, waker = Consumer(broker.port), Waker()
    link = MqttLink(
        config=MqttSection(host="127.0.0.1", port=broker.port),
        gateway="shed-1",
        clock=clock,
        ledger=journal,
        states=States(),
        on_command=lambda _incoming, acknowledge: acknowledge(),
        on_refused=lambda _refusal: None,
        on_alarm=warn,
        on_crash=fail,
    )
    link.start()
    while not consumer.through:
        time.sleep(0.001)
    began = time.monotonic()
    waker.start()
    while consumer.through < journal.span().last:
        time.sleep(0.5)
        consumer.acknowledge()
    took = time.monotonic() - began
    waker.stop()
    link.stop()
    consumer.stop()
    return took, consumer, sorted(waker.late)


def main() -> int:
    days = float(sys.argv[1]) if len(sys.argv) > 1 else 7.0
    ports = int(sys.argv[2]) if len(sys.argv) > 2 else 85
    console, clock = Console(), SystemClock()
    sys.setswitchinterval(SWITCH_INTERVAL)
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name) / "broker") as broker:
        folder = Path(name)
        journal = Journal.open(
            folder / "journal.db", clock=clock, boot_id=boot_id(), on_health=lambda _: None, on_crash=fail
        )
        journal.start()
        fill(journal, clock, days, ports)
        rows, bytes_ = journal.span().last, size(folder)
        console.print(f"{days:g} days, {ports} ports: {rows} rows, {bytes_ / 1024**2:.1f} MiB")
        took, consumer, late = drain(journal, clock, broker)
        journal.close(Seconds(10))
    per_s = rows / took
    p99, worst = late[int(len(late) * 0.99)], late[-1]
    console.print(f"drained in {took:.1f} s: {per_s:.0f} rows/s, {consumer.out_of_order} out of order")
    console.print(f"a thread that wakes each 10 ms was late by {p99:.1f} ms (p99), {worst:.1f} ms at worst")
    return int(bytes_ > MOST_BYTES or per_s < LEAST_PER_S or consumer.out_of_order > 0)


if __name__ == "__main__":
    sys.exit(main())
