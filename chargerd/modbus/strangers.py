"""What gives away that others' answers come over a line: of a second master, or of a server's other clients. Pure.

RTU answers carry no number, so a stranger's answer of the same shape looks like the board's own. It shows where it
comes at the wrong time: to nothing, sooner than a board can answer, or as a second answer to one request. Then no
reading of that moment counts, and for a while each answer is waited out, to see whether another one follows.

Where answer after answer comes sooner than the line's rate allows, and none of them twice, it is the rate that is
wrong: a board at a USB port of its own keeps to none.
"""

from collections import deque
from collections.abc import Iterator
from enum import Enum, auto

from chargerd.core.units import LONG_AGO, Instant, Seconds, after
from chargerd.modbus.frames import Request, crc, fits, refuses

WARY_FOR = Seconds(60.0)
"""How long after strangers were heard each answer is waited out."""
LATE_FOR = Seconds(3.0)
"""How much later a board's own answer may come to what was given up."""
REMEMBERED = 32
"""A scan gives up on several addresses a second."""
_SHORTEST = 5
"""Bytes of the shortest frame: unit, function, exception code, CRC."""
_WRITES = frozenset({5, 6, 15, 16})
_READS = frozenset({1, 2, 3, 4})
_LONGER = 8
"""Bytes of a request to read, and of the answer to a write."""

KEEPS_PACE = 16
"""After so many answers in time, in a row, one that comes sooner than the line's rate allows is a stranger's."""
FAST = 5
MOST = 10
SOONER = 2
"""An answer that comes sooner, and alone, counts so much towards a line that is faster than its rate says; one in
time counts 1 against it, since a board may take its time.
"""


class Pace(Enum):
    """When an answer came: sooner than the line's rate allows, in time, or nobody was awake to see it."""

    SOONER = auto()
    IN_TIME = auto()
    UNKNOWN = auto()


class Strangers:
    """What was heard on one line beside the answers that were wanted."""

    def __init__(self) -> None:
        self._in_time = 0
        self._sooner = 0
        self._wary_until = LONG_AGO
        self._given_up: deque[tuple[Instant, Request]] = deque(maxlen=REMEMBERED)
        self._by_hand: deque[tuple[Instant, Request]] = deque(maxlen=REMEMBERED)

    def wary(self, now: Instant) -> bool:
        """Say whether an answer may be a stranger's, by what was heard lately."""
        return now < self._wary_until

    def calm(self, pace: Pace, now: Instant) -> bool:
        """Take in when an answer came, and say that nothing speaks for a stranger; else nothing is taken in."""
        if pace is Pace.SOONER or self._by_hand or now < self._wary_until:
            return False
        if pace is Pace.IN_TIME:
            self._in_time, self._sooner = self._in_time + 1, max(0, self._sooner - 1)
        return True

    def tainted_by(self, pace: Pace, now: Instant) -> bool:
        """Take in when an answer came; say whether that gives a stranger away, on a line that keeps its pace."""
        if pace is Pace.IN_TIME:
            self._in_time, self._sooner = self._in_time + 1, max(0, self._sooner - 1)
        if pace is not Pace.SOONER:
            return False
        kept, self._in_time = self._in_time >= KEEPS_PACE, 0
        if kept:
            self.heard(now)
        else:
            self._sooner = min(self._sooner + SOONER, MOST)
        return kept

    def doubtful(self, pace: Pace) -> bool:
        """Say whether an answer that came then is not believed, though nothing speaks for a stranger yet."""
        return pace is Pace.SOONER and self._sooner < FAST

    def heard(self, now: Instant) -> None:
        """Take note that a stranger has been heard."""
        self._sooner = 0
        self._wary_until = after(now, WARY_FOR)

    def given_up(self, request: Request, now: Instant) -> None:
        """Take note that a request was not answered in time: its answer may yet come."""
        self._given_up.append((after(now, LATE_FOR), request))

    def beware(self, request: Request, now: Instant) -> None:
        """Take note that what was asked by hand was not answered: that answer must not pass for another's."""
        self._by_hand.append((after(now, LATE_FOR), request))

    def mistakable(self, request: Request, now: Instant) -> bool:
        """Say whether a late answer to what was asked by hand would look like the answer to this."""
        if not self._by_hand:
            return False
        while self._by_hand and self._by_hand[0][0] < now:
            self._by_hand.popleft()
        mine = (request.unit, request.function, request.reply_size)
        return any(
            (one.unit, one.function, one.reply_size) == mine and one.pdu != request.pdu
            for _until, one in self._by_hand
        )

    def in_(self, data: bytes, now: Instant) -> bool:
        """Say whether what nobody has waited for holds a sound frame that is no late answer of a board here."""
        found = [frame for frame in sound_frames(data) if not self.is_late(frame, now)]
        if found:
            self.heard(now)
        return bool(found)

    def is_late(self, frame: bytes, now: Instant) -> bool:
        """Say whether a frame belongs to what was given up: its answer, or the echo of an adapter."""
        for one in self._given_up:
            until, request = one
            pdu = frame[1:-2]
            own = frame[0] == request.unit and (fits(request, pdu) or refuses(request, pdu))
            if now <= until and (own or frame == request.rtu):
                self._given_up.remove(one)
                return True
        return False


def sound_frames(data: bytes) -> Iterator[bytes]:
    """Yield the frames with a CRC that holds, one after the other, whatever stands between them."""
    start = 0
    while start + _SHORTEST <= len(data):
        frame = next(
            (data[start : start + size] for size in _sizes(data[start:]) if _holds(data, start, size)), b""
        )
        if frame:
            yield frame
        start += len(frame) or 1


def _sizes(data: bytes) -> Iterator[int]:
    """Yield how long a frame can be that begins like this: an exception, an answer, a request to read."""
    function = data[1]
    if function & 0x80:
        yield _SHORTEST
    elif function in _READS:
        yield _SHORTEST + data[2]
        yield _LONGER
    elif function in _WRITES:
        yield _LONGER


def _holds(data: bytes, start: int, size: int) -> bool:
    frame = data[start : start + size]
    return len(frame) == size and crc(frame[:-2]) == frame[-2:]
