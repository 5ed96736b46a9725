"""One exact-match transaction at a time on one line.

A line is silent for 3.5 characters before every request, counted from the last byte anybody sent: of a reply from
when it arrived, of our own request from when its last character must have left the adapter, which takes a whole
frame at once and sends it at line speed. Only the frame the request is to be answered with is an answer; all else
is foreign and makes the silence begin anew. A board that wants a longer silence gets it, before a cut-off as well.
After a timeout the line is drained before anything but a cut-off. A line that never falls silent is not waited for
without end: a cut-off then goes out all the same.

Some adapters hear what they send. What a read gets first is its own request there, and what a write gets first
looks like the board's answer and is none: the answer is what comes after it. Every read shows whether it is so.

Where strangers' answers come over the line, none of that moment counts; see `chargerd.modbus.strangers`.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from chargerd.config.budget.pacing import DRAIN, FAST_BAUD, SHORTEST_SILENCE, SILENCE
from chargerd.core.clock import Clock
from chargerd.core.faults import FaultKind
from chargerd.core.units import Instant, Seconds, after, between
from chargerd.modbus.frames import Match, MatchKind, Request, find_rtu
from chargerd.modbus.gateway import SILENCES
from chargerd.modbus.lines import Line, LineGone
from chargerd.modbus.manual import CannotTune, Rate, character_bits
from chargerd.modbus.strangers import Pace, Strangers

SLACK = Seconds(0.02)
"""How much later than computed the end of a reply may come: adapters hand over in blocks of up to 16 ms."""
SECOND = Seconds(0.05)
"""How long after an answer another board's is waited for, where all is taken: they differ by milliseconds."""
BABBLE = Seconds(0.5)
"""How much longer than wanted to wait for silence: two of the longest frames at 9600 Bd."""
NOTICED = Seconds(0.0005)
"""A wait shorter than this may have been none."""
NEVER = Instant(float("inf"))


class Answered(NamedTuple):
    """The answer came: its PDU, when the request began, and when the last byte of the answer was here."""

    pdu: bytes
    sent_at: Instant
    at: Instant
    took: Seconds = Seconds(0.0)
    """From the end of the request to the beginning of the answer, as far as line speed tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """No answer. `code` is the board's exception code, if it gave one.

    `sent` says whether the request went out; `late` that it was withheld because its time had passed.
    """

    kind: FaultKind
    sent_at: Instant
    at: Instant
    code: int | None = None
    sent: bool = True
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """All that came within a while after a request, whoever sent it; `sent`: whether the request went out."""

    data: bytes
    sent_at: Instant
    at: Instant
    sent: bool = True


@dataclass(slots=True, kw_only=True)
class Counters:
    """What a line has seen, since it was opened first."""

    transactions: int = 0
    timeouts: int = 0
    corrupt: int = 0
    exceptions: int = 0
    foreign_bytes: int = 0
    tainted: int = 0
    """Transactions in which a stranger's answer was heard: nothing was taken from them."""
    busy: float = 0.0
    """Seconds that boards were being asked and waited for."""


class Wire(Protocol):
    """Performs one transaction after the other. Raises `LineGone`."""

    counters: Counters
    discard: Callable[[], None] | None
    """Gives the line up with what it has not sent yet; `None` where nothing is kept: a network sends it later."""
    heard: bool | None
    """Whether the adapter hears what it sends; `None` while nothing has been read over it."""
    stray: bytes
    """What had come over the line by itself before the latest request."""
    taken: bytes
    """What has come over the line since, as it came."""

    @property
    def echo(self) -> bool | None:
        """Whether a write is first answered by the adapter itself; `None` while that is not known."""

    @property
    def busy_with_silence(self) -> Seconds:
        """How much longer than it is waited for a board that does not answer keeps the line from others."""

    def transact(
        self,
        request: Request,
        timeout: Seconds,
        *,
        silence: Seconds = Seconds(0.0),
        urgent: bool = False,
        not_after: Instant = NEVER,
    ) -> Answered | Failed:
        """Ask and wait for the answer, at most `timeout` after the request until it begins.

        `silence` is what the board wants before a request, where that is more than 3.5 characters. An `urgent`
        request waits for that, but not for the line to be drained. A request whose last bit would not be out by
        `not_after` is withheld.
        """

    def hear_out(self, request: Request, window: Seconds, *, silence: Seconds = Seconds(0.0)) -> Heard:
        """Ask, and take all that comes, if an answer may take as long as `window` to begin.

        Nothing is judged by it: neither who answers, nor whether anybody does.
        """

    def beware(self, request: Request) -> None:
        """Take note that an answer to this may yet come, and must not pass for another's of the same shape."""

    def tuned(self, rate: Rate) -> AbstractContextManager[None]:
        """Drive the line at another rate for a while. Raises `CannotTune`."""

    def close(self) -> None:
        """Give the line back."""


class RtuWire:
    """RTU frames, on a serial line or through a serial server."""

    def __init__(
        self,
        line: Line,
        clock: Clock,
        *,
        baudrate: int,
        character_bits: int,
        counters: Counters,
        discard: Callable[[], None] | None = None,
        echo: bool | None = None,
        tune: Callable[[Rate | None], None] | None = None,
    ) -> None:
        """`echo` says that the adapter hears what it sends, or that it does not; `None`: to be found out.

        `tune` drives the line at another rate, and back at its own; `None` where nobody can.
        """
        self.discard = discard
        self.stray = self.taken = b""
        self._tune = tune
        self.heard: bool | None = None
        self.echo = echo
        """Whether a write is first answered by the adapter itself."""
        self._told_of_echo = echo is not None
        self._line = line
        self._clock = clock
        self._own = (baudrate, character_bits)
        self._pace(*self._own)
        self._quiet_from = clock.now()
        self._timed_out_at: Instant | None = None
        self._strangers = Strangers()
        self.counters = counters

    def _pace(self, baudrate: int, bits: int) -> None:
        self._character = Seconds(bits / baudrate)
        self._silence = Seconds(max(SILENCE * self._character, SHORTEST_SILENCE if baudrate > FAST_BAUD else 0.0))

    @property
    def busy_with_silence(self) -> Seconds:
        """A serial line is free as soon as nobody listens any more."""
        return Seconds(0.0)

    @property
    def silence(self) -> Seconds:
        """The silence kept between frames."""
        return self._silence

    def close(self) -> None:
        """Give the line back."""
        self._line.close()

    def transact(
        self,
        request: Request,
        timeout: Seconds,
        *,
        silence: Seconds = Seconds(0.0),
        urgent: bool = False,
        not_after: Instant = NEVER,
    ) -> Answered | Failed:
        """Ask and wait for the answer."""
        self.taken = b""
        silent = self._fall_silent(max(self._silence, silence), urgent=urgent)
        self.stray, self.taken = self.taken, b""
        frame = request.rtu
        sent_at = self._clock.now()
        sent_until = after(sent_at, Seconds(len(frame) * self._character))
        if not silent and not urgent:
            self.counters.corrupt += 1
            return Failed(kind=FaultKind.CORRUPT, sent_at=sent_at, at=sent_at, sent=False)
        if sent_until > not_after:
            return too_late(sent_at)
        if not urgent:
            self._timed_out_at = None
        self.counters.transactions += 1
        self._line.write(frame)
        self._quiet_from = sent_until
        if self.echo is not False:  # What it hears of itself would only wake it.
            self._sleep_until(after(sent_until, self._lasts(request)))
        return self._listen(request, timeout, sent_at, sent_until)

    def hear_out(self, request: Request, window: Seconds, *, silence: Seconds = Seconds(0.0)) -> Heard:
        """Ask, and take all that comes: an answer, a second one behind it, or what is none."""
        self.taken = b""
        silent = self._fall_silent(max(self._silence, silence), urgent=False)
        self.stray, self.taken = self.taken, b""
        sent_at = self._clock.now()
        if not silent:
            return Heard(data=b"", sent_at=sent_at, at=sent_at, sent=False)
        self.counters.transactions += 1
        self._line.write(request.rtu)
        self._quiet_from = after(sent_at, Seconds(len(request.rtu) * self._character))
        until = after(self._quiet_from, Seconds(window + self._lasts(request) + SLACK))
        answered = self._take_all(request, until)
        now = self._clock.now()
        if not answered:
            self._timed_out_at = now
            self._strangers.given_up(request, now)
        return Heard(data=self.taken, sent_at=sent_at, at=now)

    def _lasts(self, request: Request) -> Seconds:
        """Return how long the expected answer takes on the line."""
        return Seconds(request.rtu_reply_size * self._character)

    def _take_all(self, request: Request, until: Instant) -> bool:
        """Take what comes until then, or until a second answer would have followed the first; say if one came."""
        answered = False
        while (left := between(self._clock.now(), until)) > 0:
            if not self._line.wait(left):
                continue
            self._take()
            self._quiet_from = max(self._quiet_from, self._clock.now())
            if not answered and find_rtu(request, self.taken.replace(request.rtu, b"", 1)) is not None:
                answered = True
                until = after(self._clock.now(), SECOND)
            self._sleep_until(min(until, after(self._clock.now(), self._lasts(request))))
        return answered

    def beware(self, request: Request) -> None:
        """Take note that an answer to this may yet come."""
        self._strangers.beware(request, self._clock.now())

    @contextmanager
    def tuned(self, rate: Rate) -> Iterator[None]:
        """Drive the line at another rate for a while, and then at its own again."""
        if self._tune is None:
            raise CannotTune("the rate of a line behind a network is set at the server there, not from here")
        try:
            self._tune(rate)
            self._pace(rate.baudrate, character_bits(rate))
            yield
        finally:
            self._tune(None)
            self._pace(*self._own)

    def _silent_at(self, wanted: Seconds, *, urgent: bool) -> Instant:
        """Return when the line will have been silent for `wanted`, and drained unless that is not waited for."""
        silent_at = after(self._quiet_from, wanted)
        if urgent or self._timed_out_at is None:
            return silent_at
        return max(silent_at, after(max(self._timed_out_at, self._quiet_from), DRAIN))

    def _fall_silent(self, wanted: Seconds, *, urgent: bool) -> bool:
        """Wait until nothing has been on the line for `wanted`; say whether that has come to be."""
        now, silent_at = self._clock.now(), self._silent_at(wanted, urgent=urgent)
        # Once at least, be it for no time: what has come since the last transaction shows at once.
        if not self._line.wait(Seconds(max(0.0, silent_at - now))) and self._clock.now() >= silent_at:
            return True
        return self._wait_for_silence(wanted, after(max(now, silent_at), BABBLE), urgent=urgent)

    def _wait_for_silence(self, wanted: Seconds, patience: Instant, *, urgent: bool) -> bool:
        """Wait on a line on which somebody speaks, until it is silent or nobody has patience any more."""
        stray = b""
        while True:
            now, silent_at = self._clock.now(), self._silent_at(wanted, urgent=urgent)
            if patience < now < silent_at:
                return False
            if self._line.wait(Seconds(max(0.0, between(now, silent_at)))):
                stray += self._take()
                self._quiet_from = max(self._quiet_from, self._clock.now())
            elif self._clock.now() >= silent_at:
                break
        if stray:
            self.counters.foreign_bytes += len(stray)
            self.counters.tainted += self._strangers.in_(stray, self._clock.now())
        return True

    def _take(self) -> bytes:
        """Return what has arrived on a line that says something has; nothing there means that its end is gone."""
        data = self._line.read()
        if not data:
            raise LineGone("hung up")
        self.taken += data
        return data

    def _listen(
        self, request: Request, timeout: Seconds, sent_at: Instant, sent_until: Instant
    ) -> Answered | Failed:
        """Wait for the answer; woken by its first character, and for the rest when that must be there."""
        size = request.rtu_reply_size
        reply = Seconds(size * self._character)
        soonest, deadline = after(sent_until, reply), after(sent_until, Seconds(timeout + reply))
        buffer, more = b"", False
        awake: Instant | None = None
        """When it was seen that the answer has not come sooner than it can."""
        while (now := self._clock.now()) < deadline:
            if awake is None and now >= soonest:
                awake = now
            if not self._comes(between(now, soonest if awake is None else deadline), surely=more):
                more = False
                continue
            now = self._clock.now()
            if not buffer:
                deadline = max(deadline, after(now, Seconds(reply + SLACK)))
            buffer = self.taken
            self._quiet_from = max(self._quiet_from, now)
            answer = self._after_echo(request, buffer)
            match = find_rtu(request, answer)
            if match is not None:
                self._learn(request, buffer)
                pace = self._pace_of(match, sent_until, awake, now)
                alone = match.end - match.start == len(answer)
                if not (alone and self._strangers.calm(pace, now)) and self._is_tainted(
                    request, match, answer, pace, now
                ):
                    return self._not_believed(sent_at)
                return self._found(match, answer, sent_at, sent_until, now)
            whole = self._whole_at(size - len(answer), now)
            if awake is None and whole >= after(soonest, self._character):
                awake = max(now, soonest)
            # The first character has come just now. Of several nobody knows when the last one did.
            exactly = awake is not None and len(answer) == 1
            more = self._sleep_until(after(whole, self._character) if exactly else whole)
        return self._silent(request, buffer, sent_at)

    def _whole_at(self, missing: int, now: Instant) -> Instant:
        """Return when so much more can be there, at the soonest."""
        return after(now, Seconds((missing - 1) * self._character))

    def _comes(self, within: Seconds, *, surely: bool) -> bool:
        """Take what has come, or comes within so long; say if anything has. Where it `surely` has, do not wait."""
        if surely and (data := self._line.read()):
            self.taken += data
            return True
        return self._line.wait(within) and bool(self._take())

    def _pace_of(self, match: Match, sent_until: Instant, awake: Instant | None, now: Instant) -> Pace:
        """Return when an answer came, as far as it can be told: whoever wakes up late finds everything there."""
        if now < after(sent_until, Seconds((match.end - match.start + 1) * self._character)):
            return Pace.SOONER
        if awake is None or between(awake, now) <= max(self._character, NOTICED):
            return Pace.UNKNOWN
        return Pace.IN_TIME

    def _after_echo(self, request: Request, buffer: bytes) -> bytes:
        """Return what has come after our own request. On an adapter that hears itself it has to be there first."""
        place = buffer.find(request.rtu)
        if request.echo is not None and not self.echo:
            return buffer
        if place < 0:
            return b"" if request.echo is not None else buffer
        return buffer[place + len(request.rtu) :]

    def _learn(self, request: Request, buffer: bytes) -> None:
        """Note whether a read has got its own request back; of a write nobody can tell."""
        if request.echo is None:
            self.heard = request.rtu in buffer
            self.echo = self.echo if self._told_of_echo else self.heard

    def _sleep_until(self, instant: Instant) -> bool:
        """Sleep over the part in which the answer cannot be complete yet, rather than wake at every byte.

        Say whether there was any.
        """
        left = between(self._clock.now(), instant)
        if left <= 0:
            return False
        self._clock.sleep(left)
        return True

    def _is_tainted(self, request: Request, match: Match, answer: bytes, pace: Pace, now: Instant) -> bool:
        """Say whether an answer may be another's. A write's may: its effect is read back anyhow."""
        if pace is Pace.SOONER and self._strangers.is_late(answer[match.start : match.end], now):
            return True
        sooner = self._strangers.tainted_by(pace, now)
        if request.echo is not None:
            self.counters.tainted += sooner
            return sooner
        doubtful = sooner or self._strangers.doubtful(pace)
        if self._is_answered_twice(request, answer[match.end :], now):
            return True
        second = self._others_in(request, match, answer, wait=doubtful or self._strangers.wary(now))
        self.counters.tainted += sooner or second
        return doubtful or second

    def _others_in(self, request: Request, match: Match, answer: bytes, *, wait: bool) -> bool:
        """Say whether there is a stranger's frame beside an answer; waited for where there is reason to."""
        before, behind = answer[: match.start], answer[match.end :]
        if wait:
            behind += self._wait_out(request)
        if not before and not behind:
            return False
        now = self._clock.now()
        return self._strangers.in_(before, now) | self._strangers.in_(behind, now)

    def _is_answered_twice(self, request: Request, behind: bytes, now: Instant) -> bool:
        """Say whether a second answer follows, where one may come to what was asked by hand: which is which?"""
        if not self._strangers.mistakable(request, now):
            return False
        return find_rtu(request, behind + self._wait_out(request)) is not None

    def _wait_out(self, request: Request) -> bytes:
        """Return what comes in the time of another such transaction: a second answer, or nothing."""
        frames = len(request.rtu) + request.rtu_reply_size
        until = after(self._clock.now(), Seconds(frames * self._character + 2 * self._silence + SLACK))
        stray = b""
        while (left := between(self._clock.now(), until)) > 0:
            if self._line.wait(left):
                stray += self._take()
                self._quiet_from = max(self._quiet_from, self._clock.now())
        self.counters.foreign_bytes += len(stray)
        return stray

    def _not_believed(self, sent_at: Instant) -> Failed:
        """Take nothing from a transaction in which a stranger may have been heard."""
        now = self._timed_out_at = self._clock.now()
        self.counters.corrupt += 1
        return Failed(kind=FaultKind.CORRUPT, sent_at=sent_at, at=now)

    def _found(
        self, match: Match, answer: bytes, sent_at: Instant, sent_until: Instant, now: Instant
    ) -> Answered | Failed:
        self.counters.foreign_bytes += len(answer) - (match.end - match.start)
        # What came before the answer in the same buffer is no part of its latency, but took its time on the line.
        took = Seconds(max(0.0, between(sent_until, now) - len(answer) * self._character))
        if match.kind is MatchKind.EXCEPTION:
            kind = refusal(self.counters, match.pdu[1])
            return Failed(kind=kind, sent_at=sent_at, at=now, code=match.pdu[1])
        return Answered(pdu=match.pdu, sent_at=sent_at, at=now, took=took)

    def _silent(self, request: Request, buffer: bytes, sent_at: Instant) -> Failed:
        now = self._timed_out_at = self._clock.now()
        self._strangers.given_up(request, now)
        self._learn(request, buffer)
        nothing = not buffer or (self.echo is True and buffer == request.rtu)
        if nothing:
            self.counters.timeouts += 1
        else:
            self.counters.foreign_bytes += len(buffer)
            self.counters.corrupt += 1
        kind = FaultKind.TIMEOUT if nothing else FaultKind.CORRUPT
        return Failed(kind=kind, sent_at=sent_at, at=now)


def refusal(counters: Counters, code: int) -> FaultKind:
    """Return what an exception says, and count it: a gateway's are the silence of the board behind it."""
    if code in SILENCES:
        counters.timeouts += 1
        return FaultKind.TIMEOUT
    counters.exceptions += 1
    return FaultKind.EXCEPTION


def too_late(now: Instant) -> Failed:
    """Return that a request was withheld."""
    return Failed(kind=FaultKind.TIMEOUT, sent_at=now, at=now, sent=False, late=True)
