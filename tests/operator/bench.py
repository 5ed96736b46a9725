"""What the operator costs and how quick it is: `python -m tests.operator.bench`. Figures, no verdict.

- 85 sockets with a page open on each, all of them charging, a reading of each each second;
- from a rider's Start to the relay, with the demo's twelve sockets on one line at 9600 Bd;
- the operator's pages with 10,000 sessions behind them.
"""

import os
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from chargerd.cli.demo_rider import Page, Phone
from chargerd.operator.prices import load
from chargerd.operator.tables import connect
from tests.backend import Backend
from tests.broker import Mosquitto
from tests.operator.rig import ACCOUNT
from tests.operator.said import AT
from tests.operator.stage import OperatorProcess, Stage, charger, wait

PORTS = 85
SESSIONS = 10_000
STARTS = 24
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid: int) -> float:
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@contextmanager
def shed(broker: Mosquitto, folder: Path) -> Iterator[None]:
    args = ["--broker", broker.url, "--ports", str(PORTS), "--rate", "60", "--reading-interval", "1"]
    with (folder / "simulate.log").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "chargerd", "simulate", *args, "--orders", "backend"], stdout=out, stderr=out
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


class Readers:
    """A page open on each socket, by the phone that charges there: when each was last brought up to date."""

    def __init__(self, url: str, phones: dict[str, Phone]) -> None:
        self.news: dict[str, list[float]] = {}
        self.bytes = 0
        self._selector = selectors.DefaultSelector()
        self._leave = False
        self._sockets: list[socket.socket] = []
        parts = urlsplit(url)
        for port, phone in phones.items():
            sock = socket.create_connection((parts.hostname, parts.port))
            head = f"Host: x\r\nCookie: phone={phone.cookies['phone']}"
            sock.sendall(f"GET /s/sim-001/{port}/live HTTP/1.1\r\n{head}\r\n\r\n".encode())
            sock.setblocking(False)
            self.news[port] = []
            self._sockets.append(sock)
            self._selector.register(sock, selectors.EVENT_READ, (port, sock))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._leave = True
        self._thread.join()
        for sock in self._sockets:
            sock.close()

    def _run(self) -> None:
        while not self._leave:
            for key, _events in self._selector.select(0.2):
                port, sock = key.data
                data = sock.recv(65536)
                self.bytes += len(data)
                if b"data:" in data:
                    self.news[port].append(time.monotonic())


def freed(listener: Backend, seen: int, port: str) -> bool:
    """Whether the gateway has said since that a socket is free."""
    news = listener.messages[seen:]
    return any(topic == f"state/port/{port}" and body["state"] == "available" for topic, body, _kept in news)


def pages(folder: Path) -> None:
    with Mosquitto(folder / "broker") as broker, shed(broker, folder), OperatorProcess(folder, broker) as operator:
        db = connect(operator.database)
        wait(lambda: db.execute("SELECT count(*) FROM socket").fetchone()[0] == PORTS, "not all sockets are known")
        ports = [str(row[0]) for row in db.execute("SELECT port FROM socket ORDER BY port")]
        db.close()
        riders = {port: operator.phone() for port in ports}

        def look(port: str) -> Page:
            return riders[port].open(f"/s/sim-001/{port}")

        for port in ports:
            wait(lambda port=port: look(port).kind == "free", "a socket is not free")  # type: ignore[misc]
            riders[port].press(look(port), "start")
        wait(lambda: all(look(port).kind == "charging" for port in ports), "not all charge")
        readers = Readers(operator.url, riders)
        assert operator.process is not None
        pid = operator.process.pid
        late = []
        with Backend(broker.port, "sim-001", client_id="bench") as listener:
            threading.Event().wait(5)
            began, used, bytes_before = time.monotonic(), cpu_s(pid), readers.bytes
            for port in ports[::4]:
                seen = len(listener.messages)
                riders[port].press(look(port), "stop")
                wait(lambda port=port, seen=seen: freed(listener, seen, port), "no end")  # type: ignore[misc]
                when = time.monotonic()
                threading.Event().wait(2.0)
                # The page may have been quicker than we were.
                shown = [at for at in readers.news[port] if at >= when - 0.06]
                late.append(max(0.0, shown[0] - when) if shown else 9.0)
            lasted = time.monotonic() - began
            spent, sent = (cpu_s(pid) - used) / lasted, (readers.bytes - bytes_before) / lasted / PORTS
        readers.close()
        say(f"{PORTS} pages open, {PORTS} sockets charging, a reading of each each second:")
        say(f"  {spent:.1%} of a core, {memory_mib(pid):.0f} MiB, {sent:.0f} bytes/s a page")
        say(f"  its end on the page {statistics.median(late):.2f} s after the message, {max(late):.2f} s at most")


def starts(folder: Path) -> None:
    spans = []
    with Stage(folder, ports=12) as stage:
        ports = [f"A{number:02d}" for number in range(1, 13)]
        for number in range(STARTS):
            port = ports[number % len(ports)]
            phone = stage.operator.phone()

            def becomes(kind: str, port: str = port, phone: Phone = phone) -> None:
                wait(lambda: stage.look(port, phone).kind == kind, f"{port} is never {kind}")

            becomes("free")
            stage.site.world.socket(port).plug(charger())
            page = stage.look(port, phone)
            began = stage.site.clock.now()
            phone.press(page, "start")
            wait(lambda port=port: stage.site.contact(port), "the relay does not close")  # type: ignore[misc]
            spans.append([at for at, closed, _lapsed in stage.site.edges(port) if closed][-1] - began)
            becomes("charging")
            phone.press(stage.look(port, phone), "stop")
            becomes("ended")
            stage.site.world.socket(port).unplug()
    say(f"from Start to the closed contact, {STARTS} times, twelve sockets at 9600 Bd:")
    say(f"  {statistics.median(spans):.2f} s in the median, {max(spans):.2f} s at most")


def office(folder: Path) -> None:
    with Mosquitto(folder / "broker") as broker, OperatorProcess(folder, broker) as operator:
        db = connect(operator.database)
        names = (
            "gateway, session_id, port, stream, heard_at, energy_wh, charging_s, suspended_s, settled, stop_reason"
        )
        tariff = load(None).tariff.as_json()
        rows = [
            ("shed-1", f"S-{number}", "A01", "s", AT + number * 60, number % 500, 3600, 0, 1, "full", tariff)
            for number in range(SESSIONS)
        ]
        db.executemany(
            f"INSERT INTO session ({names}, tariff, quality, tiers, amount) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'exact', '[]', 30)",
            rows,
        )
        db.close()
        phone = operator.phone()
        phone.open("/operator/login", {"user": ACCOUNT.user, "password": ACCOUNT.password})
        say(f"{SESSIONS} sessions:")
        older = f"/operator/sessions?before={AT + 300_000}"
        for path in ("/operator", "/operator/sessions", older, "/operator/sessions.csv"):
            times = []
            for _again in range(5):
                began = time.monotonic()
                phone.open(path)
                times.append(time.monotonic() - began)
            say(f"  {path}: {statistics.median(times) * 1000:.0f} ms")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(*wanted: str) -> None:
    for measure in (pages, starts, office):
        if not wanted or measure.__name__ in wanted:
            with tempfile.TemporaryDirectory() as name:
                measure(Path(name))


if __name__ == "__main__":
    main(*sys.argv[1:])
