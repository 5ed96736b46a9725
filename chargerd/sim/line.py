"""A serial line with boards on it, at the speed of a real one: a pseudo-terminal and a thread.

A request occupies the line for its characters from the arrival of its first byte; after 3.5 characters of silence
and the turnaround the answer goes out, a millisecond's worth of characters at a time. Before each answer, and
every 50 ms besides, the world is brought up to the real time. What a master did wrong on the line is counted.
"""

import contextlib
import os
import random
import select
import threading
import tty
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from chargerd.core.clock import Clock
from chargerd.core.units import Instant, Seconds, after, between
from chargerd.sim.boards import Codec
from chargerd.sim.world import World

TURNAROUND = Seconds(0.002)
"""How long a board takes before it answers."""
CHARACTER_BITS = 10
"""8N1, the only form a pseudo-terminal knows."""
SILENCE = 3.5
"""Characters of silence that end a frame (Modbus over serial line V1.02, 2.5.1.1)."""
OVERHEAD = 3
"""Bytes of a frame beside its PDU: unit and CRC."""
PULSE = Seconds(0.05)
CHUNK = Seconds(0.001)
GARBAGE_AFTER = Seconds(0.02)
"""Bytes that have not become a request this long after they should have been complete are dropped."""
SLACK = Seconds(0.0002)
"""How much the clocks of two processes may disagree before a silence counts as broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFaults:
    """How often answers go wrong, from 0 to 1, and how late the late ones are. `unit` limits it to one board.

    `strange` are those before which a stranger's answer of the same shape comes, sooner than the board's own can.
    `deaf` is how long after any frame a board hears nothing. `echo`: the adapter hears what is sent over it, to
    whomever.
    """

    drop: float = 0.0
    corrupt: float = 0.0
    late: float = 0.0
    late_by: Seconds = Seconds(0.3)
    strange: float = 0.0
    deaf: Seconds = Seconds(0.0)
    echo: bool = False
    unit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what became of it. `reply` is empty if nothing answered."""

    began: Instant
    """When its first byte arrived."""
    ended: Instant
    """When the last character of the reply was through, or of the request if there was none."""
    silence: Seconds
    """How long the line had been silent before."""
    request: bytes
    reply: bytes


class PtyLine:
    """A line that a program opens as if it were a serial adapter.

    `clock` is what the world follows. `link` is a symbolic link to the device, so that a configuration can name
    it; the device itself is `path`. Use as a context manager, or `start` and `stop`.
    """

    def __init__(
        self,
        world: World,
        bus_name: str,
        *,
        clock: Clock,
        baudrate: int = 9600,
        link: Path | None = None,
    ) -> None:
        self.faults = LineFaults()
        self.exchanges: deque[Exchange] = deque(maxlen=10_000)
        self.broken_silences = 0
        """Requests that began less than 3.5 characters after the last byte on the line."""
        self.failure: BaseException | None = None
        """What ended the thread, if something did."""
        self._world = world
        self._bus = bus_name
        self._clock = clock
        self._character = CHARACTER_BITS / baudrate
        self._link = link
        self._random = random.Random(0)  # noqa: S311 - a simulation has no secrets
        self._codec = Codec()
        self._changing = threading.Lock()
        self._master: int | None = None
        self._slave: int | None = None
        self._path = ""
        self._quiet_from = Instant(0.0)
        self._stopped = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name=f"line {bus_name}", daemon=True)

    # Life

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def path(self) -> str:
        """The device; empty while unplugged."""
        return self._path

    @property
    def silence(self) -> Seconds:
        """3.5 characters, in seconds, as MODBUS over Serial Line V1.02 wants it between frames (2.5.1.1)."""
        return Seconds(SILENCE * self._character)

    def start(self) -> None:
        """Plug the line in and let the boards listen."""
        self._world.begin_at(self._clock.now())
        self.plug()
        self._thread.start()

    def stop(self) -> None:
        """Take it all away. The thread has ended when this returns."""
        self._stopped.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join()
        self.unplug()
        for end in (self._wake_read, self._wake_write):
            with contextlib.suppress(OSError):
                os.close(end)

    def plug(self) -> None:
        """Make a new device behind the same link, as an adapter that is plugged in again."""
        with self._changing:
            if self._master is not None:
                return
            self._master, self._slave = os.openpty()
            # Both ends raw: no echo, nothing translated. The far end stays open here, so that a program that
            # leaves does not hang up the line for the next one.
            tty.setraw(self._master)
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self._path = os.ttyname(self._slave)
            if self._link is not None:
                fresh = self._link.with_name(f".{self._link.name}.new")
                fresh.unlink(missing_ok=True)
                fresh.symlink_to(self._path)
                fresh.replace(self._link)
        self._wake()

    def unplug(self) -> None:
        """Pull the adapter: the device and its link are gone, whoever has it open is hung up."""
        with self._changing:
            for end in (self._master, self._slave):
                if end is not None:
                    os.close(end)
            self._master = self._slave = None
            self._path = ""
            if self._link is not None:
                self._link.unlink(missing_ok=True)
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b".")

    # The thread

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                if self._wait(PULSE):
                    self._converse()
                self._world.advance(self._clock.now())
        except (
            BaseException
        ) as error:  # whoever started the line asks `failure`; a silent end would look like a fault
            self.failure = error
            raise

    def _wait(self, timeout: Seconds) -> bool:
        """Wait for bytes; say whether there are any."""
        with self._changing:
            ends = [self._wake_read] if self._master is None else [self._wake_read, self._master]
        try:
            ready = select.select(ends, [], [], max(0.0, timeout))[0]
        except (OSError, ValueError):
            return False  # unplugged between looking and waiting
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        return len(ends) > 1 and ends[1] in ready

    def _read(self) -> bytes:
        with self._changing:
            if self._master is None:
                return b""
            try:
                return os.read(self._master, 4096)
            except OSError:
                return b""

    def _converse(self) -> None:
        """Take in one request and answer it."""
        began = self._clock.now()
        silence = between(self._quiet_from, began)
        if silence < self.silence - SLACK:
            self.broken_silences += 1
        data = self._read()
        while (heard := self._codec.unpack(data)) is None:
            complete = after(began, Seconds(len(data) * self._character + GARBAGE_AFTER))
            left = between(self._clock.now(), complete)
            if left <= 0 or not data:
                self._quiet_from = self._clock.now()
                return
            if self._wait(left):
                data += self._read()
        sent = after(began, Seconds(len(data) * self._character))
        self._quiet_from = sent
        if self.faults.echo:
            self._sleep_until(sent)
            self._write(data)
        deaf = self.faults.unit in {None, heard[0]} and silence < self.faults.deaf
        reply = b"" if deaf else self._reply(*heard, sent)
        self.exchanges.append(
            Exchange(began=began, ended=self._quiet_from, silence=silence, request=data, reply=reply)
        )

    def _reply(self, unit: int, pdu: bytes, sent: Instant) -> bytes:
        self._sleep_until(after(sent, self.silence))
        with self._world.lock:
            self._world.advance(self._clock.now())
            answer = self._world.ask(self._bus, unit, pdu)
        if answer is None:
            return b""
        frame, late_by = self._spoil(unit, self._codec.pack(unit, answer))
        if frame:
            self._send(frame, after(sent, Seconds(self.silence + TURNAROUND + late_by)))
        return frame

    def _spoil(self, unit: int, frame: bytes) -> tuple[bytes, float]:
        """Return what becomes of an answer under the line's faults, and how late it is."""
        faults = self.faults
        if faults.unit not in {None, unit}:
            return frame, 0.0
        if self._random.random() < faults.strange:
            self._write(self._codec.pack(unit, frame[1:3] + bytes(len(frame) - len(frame[1:3]) - OVERHEAD)))
        if self._random.random() < faults.drop:
            return b"", 0.0
        if self._random.random() < faults.corrupt:
            place = self._random.randrange(len(frame))
            frame = frame[:place] + bytes([frame[place] ^ (1 << self._random.randrange(8))]) + frame[place + 1 :]
        return frame, faults.late_by if self._random.random() < faults.late else 0.0

    def _send(self, frame: bytes, begin: Instant) -> None:
        """Let the characters of a frame arrive as a line delivers them: each when its last bit is through."""
        at_once = max(1, round(CHUNK / self._character))
        for start in range(0, len(frame), at_once):
            chunk = frame[start : start + at_once]
            self._sleep_until(after(begin, Seconds((start + len(chunk)) * self._character)))
            self._write(chunk)
        self._quiet_from = after(begin, Seconds(len(frame) * self._character))

    def _write(self, chunk: bytes) -> None:
        with self._changing, contextlib.suppress(OSError):
            if self._master is not None:
                os.write(self._master, chunk)

    def _sleep_until(self, instant: Instant) -> None:
        left = between(self._clock.now(), instant)
        if left > 0:
            self._clock.sleep(left)
