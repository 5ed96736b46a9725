"""Gateway and broker are killed at random moments: nothing that was durable is missing at the backend, ever.

CHARGERD_CAMPAIGN=long kills each some twenty times with each kind of broker; the short form a few times.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

from tests.backend import Backend
from tests.broker import Mosquitto
from tests.patience import PATIENCE_S

LONG = os.environ.get("CHARGERD_CAMPAIGN") == "long"
ROWS = 5000
KILLS = 20 if LONG else 2
PER_S = 250 if LONG else 1000


class Gateway:
    """The child process, started again after each kill; what it said was durable outlives it."""

    def __init__(self, journal: Path, port: int, rows: int = ROWS, *more: str) -> None:
        self.durable: list[int] = []
        self.finished = threading.Event()
        self.drained = threading.Event()
        figures = [str(journal), str(port), str(rows), str(PER_S)]
        self._command = [sys.executable, "-m", "tests.faults.gateway", *figures, *more]
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                if line.strip() == "all":
                    self.finished.set()
                elif line.strip() == "drained":
                    self.drained.set()
                elif line.startswith("durable "):
                    self.durable.append(int(line.split()[1]))

    def kill(self) -> None:
        assert self._process is not None
        assert self._reader is not None
        assert self._process.poll() is None, "the gateway ended by itself"
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)


class Books(Backend):
    """Stores each row once under (stream, seq), and acknowledges what it has without a gap."""

    def __init__(self, port: int) -> None:
        super().__init__(port, made_up=True)  # the stand-in of a gateway has only what rows need
        self.rows: dict[tuple[str, int], tuple[str, str | None]] = {}
        self.received = 0
        self.clashes: list[tuple[str, int]] = []
        self._looked = 0
        self._through = 0
        self._told = 0.0

    def take(self) -> int:
        """Store what has come, acknowledge it now and then, and return up to where there is no gap."""
        with self._news:
            fresh = self.messages[self._looked :]
            self._looked = len(self.messages)
        for topic, body, _retained in fresh:
            if topic in {"up/event", "up/session"}:
                self._store(body["stream"], body["seq"], (body["event"], body.get("session_id")))
        streams = {stream for stream, _seq in self.rows}
        for stream in streams:
            while (stream, self._through + 1) in self.rows:
                self._through += 1
            if time.monotonic() - self._told > 0.3:
                self._told = time.monotonic()
                self._say(stream)
        return self._through

    def _store(self, stream: str, seq: int, row: tuple[str, str | None]) -> None:
        self.received += 1
        if self.rows.setdefault((stream, seq), row) != row:
            self.clashes.append((stream, seq))

    def _say(self, stream: str) -> None:
        """Acknowledge without waiting: the broker may be dead at the moment."""
        body = b'{"stream": "%s", "through": %d}' % (stream.encode(), self._through)
        self._client.publish(f"{self.root}/ack", body, qos=1, retain=True)


def kills(seed: int) -> list[tuple[float, str]]:
    """When, within the time the rows take, and whom."""
    chance = random.Random(seed)
    span = ROWS / PER_S * (1.5 if LONG else 1.0)
    return sorted((chance.uniform(0.3, span), victim) for victim in ("gateway", "broker") for _ in range(KILLS))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("keeps_state", [False, True] if LONG else [random.Random(os.getpid()).random() < 0.5])
def test_nothing_is_missing_whoever_is_killed(tmp_path: Path, keeps_state: bool) -> None:
    seed = random.randrange(10**6)
    sys.stdout.write(f"seed {seed}, the broker keeps its state: {keeps_state}\n")
    settings = "autosave_on_changes true\nautosave_interval 1" if keeps_state else ""
    with (
        Mosquitto(tmp_path / "broker", settings=settings) as broker,
        Books(broker.port) as books,
        Gateway(tmp_path / "journal.db", broker.port) as gateway,
    ):
        began = time.monotonic()
        for at, victim in kills(seed):
            while time.monotonic() - began < at:
                books.take()
                time.sleep(0.02)
            if victim == "gateway":
                gateway.kill()
                gateway.start()
            else:
                broker.kill()
                if not keeps_state:
                    (broker.folder / "mosquitto.db").unlink(missing_ok=True)
                broker.start()
        deadline = time.monotonic() + PATIENCE_S
        while (not gateway.finished.is_set() or books.take() < ROWS) and time.monotonic() < deadline:
            time.sleep(0.02)
    assert books.take() >= ROWS, f"the row after {books.take()} never came"
    assert not books.clashes
    assert len({stream for stream, _seq in books.rows}) == 1
    settled = [session for event, session in books.rows.values() if event == "ended"]
    assert len(settled) == len(set(settled)), "a settlement has two places in the books"
    assert {f"S-{number}" for number in gateway.durable} <= set(settled)
    assert len(settled) == ROWS // 10
    again = books.received - len(books.rows)
    sys.stdout.write(f"{len(books.rows)} rows, {again} came again, {time.monotonic() - began:.1f} s\n")


def test_a_broker_that_forgets_while_the_backend_is_away_costs_nothing(tmp_path: Path) -> None:
    """And if a PUBACK were taken for a commit, this would see it: one of the two gateways takes it for one."""
    rows = 90  # As many as go to a backend nobody has heard of.
    with ExitStack() as stack:
        brokers, gateways = [], []
        for name, *bent in (("honest",), ("bent", "bent")):
            brokers.append(stack.enter_context(Mosquitto(tmp_path / name)))
            journal = tmp_path / f"{name}.db"
            gateways.append(stack.enter_context(Gateway(journal, brokers[-1].port, rows, *bent)))
        for gateway, broker in zip(gateways, brokers, strict=True):
            assert gateway.drained.wait(PATIENCE_S), "the broker has taken every row"
            broker.kill()
            (broker.folder / "mosquitto.db").unlink(missing_ok=True)
            broker.start()
        honest, bent_books = [stack.enter_context(Books(broker.port)) for broker in brokers]
        deadline = time.monotonic() + PATIENCE_S
        while honest.take() < rows and time.monotonic() < deadline:
            time.sleep(0.02)
        assert honest.take() == rows
        bent_books.wait("state/gateway")
        assert bent_books.take() < rows
