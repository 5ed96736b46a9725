"""A simulated line in real time: a pty at whose far end the world's boards answer at line speed.

The pty takes a whole request at once; on the wire it would take its characters' time. So a request counts as
complete its own length after it arrived, the answer follows after 3.5 characters and the board's turnaround, and
goes out in pieces as a wire would deliver it.
"""

import errno
import os
import pty
import select
import threading
import tty
from pathlib import Path
from typing import Self

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from chargerd.core.clock import Clock
from chargerd.core.units import Instant, Seconds, after, between
from chargerd.sim.boards import SimBoard
from chargerd.sim.world import World

CHARACTER_BITS = 10
SILENCE = 3.5
PIECE = Seconds(0.002)
"""How often pieces of an answer are handed over."""
TICK = Seconds(0.05)
REQUEST = 8
"""Every request the daemon makes has this many bytes: reads, single writes."""
_RTU = FramerRTU(DecodePDU(True))


class PtyLine:
    """The boards of one bus behind a pty; `link` is a path that leads to it. A context manager."""

    def __init__(
        self,
        world: World,
        bus: str,
        clock: Clock,
        link: Path,
        *,
        baudrate: int = 9600,
        turnaround: Seconds = Seconds(0.002),
        lock: "threading.Lock | None" = None,
    ) -> None:
        self.link = link
        self.lock = lock or threading.Lock()
        """Held while the world moves; hold it to look at several things at once."""
        self._world = world
        self._clock = clock
        self._character = CHARACTER_BITS / baudrate
        self._turnaround = turnaround
        self._boards = {
            board.address: SimBoard(board, world) for board in world.site.boards.values() if board.bus == bus
        }
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"simulated {bus}", daemon=True)
        self._master: int | None = None
        self._slave: int | None = None
        self.drop_replies = 0
        """So many of the next answers are lost on the way."""
        self.corrupt_replies = 0
        """So many of the next answers arrive with a wrong byte."""
        self.answered = 0

    def __enter__(self) -> Self:
        """Plug the line in and begin to answer."""
        self.plug()
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Stop answering and take the line away."""
        self._stopped.set()
        self._thread.join(timeout=2.0)
        self.unplug()

    def plug(self) -> None:
        """Make the line appear."""
        with self.lock:
            if self._master is not None:
                return
            self._master, self._slave = pty.openpty()
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self.link.unlink(missing_ok=True)
            self.link.symlink_to(os.ttyname(self._slave))

    def unplug(self) -> None:
        """Make the line vanish, as an adapter does that is pulled out."""
        with self.lock:
            self.link.unlink(missing_ok=True)
            for fd in (self._master, self._slave):
                if fd is not None:
                    os.close(fd)
            self._master = self._slave = None

    def _run(self) -> None:
        buffer = b""
        arrived = Instant(0.0)
        while not self._stopped.is_set():
            with self.lock:
                self._world.advance(self._clock.now())
                master = self._master
            data = self._receive(master)
            if not data:
                if buffer and between(arrived, self._clock.now()) > TICK:
                    buffer = b""
                continue
            if not buffer:
                arrived = self._clock.now()
            buffer += data
            while len(buffer) >= REQUEST:
                frame, buffer = buffer[:REQUEST], buffer[REQUEST:]
                self._serve(frame, arrived)

    def _receive(self, master: int | None) -> bytes:
        if master is None:
            self._stopped.wait(TICK)
            return b""
        try:
            ready, _, _ = select.select([master], [], [], TICK)
            return os.read(master, 256) if ready else b""
        except (OSError, ValueError) as error:
            # EIO: nobody has the other end open just now. EBADF: it was unplugged meanwhile.
            if getattr(error, "errno", errno.EBADF) not in {errno.EIO, errno.EBADF, errno.EAGAIN}:
                raise
            self._stopped.wait(TICK)
            return b""

    def _serve(self, frame: bytes, arrived: Instant) -> None:
        complete = after(arrived, Seconds(len(frame) * self._character))
        self._wait_until(complete)
        board = self._boards.get(frame[0])
        if board is None or not _RTU.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big")):
            return
        with self.lock:
            self._world.advance(complete)
            pdu = board.answer(frame[1:-2], complete)
        if pdu is None:
            return
        reply = _RTU.encode(pdu, frame[0], 0)
        if self.drop_replies > 0:
            self.drop_replies -= 1
            return
        if self.corrupt_replies > 0:
            self.corrupt_replies -= 1
            reply = reply[:-1] + bytes([reply[-1] ^ 0x55])
        self._wait_until(after(complete, Seconds(SILENCE * self._character + self._turnaround)))
        self._send(reply)
        self.answered += 1

    def _send(self, reply: bytes) -> None:
        """Hand the answer over piece by piece, never sooner than a wire would."""
        began = self._clock.now()
        sent = 0
        while sent < len(reply):
            self._clock.sleep(Seconds(min(PIECE, (len(reply) - sent) * self._character)))
            due = int(between(began, self._clock.now()) / self._character + 1e-6)
            piece = reply[sent : min(len(reply), due)]
            with self.lock:
                if self._master is None:
                    return
                if piece:
                    os.write(self._master, piece)
            sent += len(piece)

    def _wait_until(self, instant: Instant) -> None:
        left = between(self._clock.now(), instant)
        if left > 0:
            self._clock.sleep(left)
