"""How a bus and its boards do: latencies, failures, the timeout that suits them, and what is probably wrong.

Pure: instants are arguments. The timeout follows the mean and the deviation of what was measured, as TCP's does
(RFC 6298), within the bounds of the board's profile.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

from chargerd.core.faults import FaultKind
from chargerd.core.units import BoardId, Instant, Seconds, between

BUCKETS: tuple[Seconds, ...] = tuple(Seconds(ms / 1000) for ms in (2, 5, 10, 20, 50, 100, 200, 500))
"""Upper edges of the latency histogram; one more bucket holds what took longer."""
ENOUGH = 16
"""Answers after which a board's own timeout is trusted."""
PATIENCE = 2.5
"""So many times the profile's timeout a board is waited for that is not known, or may have become slower."""
PATIENT_EACH = 4
GAIN = 1 / 8
SPREAD_GAIN = 1 / 4
SPREADS = 4
ADAPTER = Seconds(0.02)
"""What USB adapters may keep bytes for before they hand them over (FTDI: 16 ms by default)."""
LEAST_SPREAD = 0.01
MEMORY = 1 / 64
"""Weight of the newest transaction in the share of noise."""
NOISY = 0.02
"""A share of corrupt answers that a sound line does not have."""
STRANGERS = 0.06
"""A share of transactions with strangers' bytes that is told: four of the latest 64; less may be a bad cable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A board's timeouts as its profile has them: to begin with, and at least and at most."""

    usual: Seconds
    least: Seconds
    most: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardStatistics:
    """One board since the bus began. `latency` counts answers in `BUCKETS`; ages are `None` before any answer."""

    board: BoardId
    transactions: int
    answers: int
    timeouts: int
    corrupt: int
    exceptions: int
    implausible: int
    """Answers that were sound frames and could not be true."""
    foreign_bytes: int
    foreign: float
    """Share of the latest transactions in which bytes came that were no part of its answer."""
    latency: tuple[int, ...]
    latency_mean: Seconds | None
    timeout: Seconds
    """How long its next answer may take to begin."""
    silent: float
    """Share of the latest transactions that nothing answered."""
    refused: float
    """Share of them that were answered by an exception."""
    silence_wanted: Seconds | None
    """The silence before a request with which it is heard much better than with its own, if there is one."""
    untrue: float
    """Share of its latest values that cannot be true."""
    noise: float
    """Share of the latest transactions, about 64 of them, that were corrupt."""
    tainted_age: Seconds | None
    """How long ago a stranger's answer came where it was asked."""
    stale_age: Seconds | None
    """How long ago it answered."""
    misses: int
    lost: bool
    retry_in: Seconds
    """How long it is left alone yet; 0 if it may be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateStatistics:
    """What came later than it was due since the bus began: what, how often, and by how much at worst."""

    what: str
    count: int
    worst: Seconds


@dataclass(slots=True, kw_only=True)
class BoardHealth:
    """What is counted of one board."""

    bounds: Bounds
    transactions: int = 0
    timeouts: int = 0
    corrupt: int = 0
    exceptions: int = 0
    implausible: int = 0
    foreign_bytes: int = 0
    answers: int = 0
    """How many answers with a known latency there were."""
    latency: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    mean: float = 0.0
    spread: float = 0.0
    noise: float = 0.0
    strange: float = 0.0
    untrue: float = 0.0
    silent: float = 0.0
    refused: float = 0.0
    _strangers_told: bool = False
    answered_at: Instant | None = None
    tainted_at: Instant | None = None
    """When a stranger's answer last came in place of its own."""
    _silences: int = 0

    def answered(self, took: Seconds, at: Instant) -> None:
        """Count an answer that began so long after the request."""
        self.transactions += 1
        if self.noise or self.refused or self.silent:
            self._share(None)
        first = self.answers == 0
        self.answers += 1
        self.latency[bisect_left(BUCKETS, took)] += 1
        off = abs(took - self.mean)
        self.spread = took / 2 if first else self.spread + SPREAD_GAIN * (off - self.spread)
        self.mean = took if first else self.mean + GAIN * (took - self.mean)
        self.answered_at, self._silences = at, 0

    def failed(self, kind: FaultKind, at: Instant) -> None:
        """Count a transaction without an answer, or with a refusal."""
        self.transactions += 1
        self._share(kind)
        match kind:
            case FaultKind.EXCEPTION:
                self.exceptions += 1
                self.answered_at, self._silences = at, 0
                return
            case FaultKind.CORRUPT:
                self.corrupt += 1
            case _:
                self.timeouts += 1
                if not self._silences:
                    # The answer may only have been late, and what is not heard is not learnt from.
                    self.spread = max(2 * self.spread, LEAST_SPREAD)
        self._silences += 1

    def foreign(self, count: int) -> bool:
        """Count bytes that were no part of this board's answer; say whether their share is news by now."""
        if not count and not self.strange:
            return False
        self.foreign_bytes += count
        self.strange += MEMORY * ((count > 0) - self.strange)
        told, least = self._strangers_told, NOISY if self._strangers_told else STRANGERS
        self._strangers_told = self.strange >= least
        return self._strangers_told and not told

    def deceived(self, *, untrue: bool) -> None:
        """Count whether what a meter answered can be true."""
        self.implausible += untrue
        self.untrue += MEMORY * (untrue - self.untrue)

    def _share(self, kind: FaultKind | None) -> None:
        """Move the shares of what went wrong towards the newest transaction; shares of nothing stay so."""
        self.noise += MEMORY * ((kind is FaultKind.CORRUPT) - self.noise)
        self.refused += MEMORY * ((kind is FaultKind.EXCEPTION) - self.refused)
        self.silent += MEMORY * ((kind is FaultKind.TIMEOUT) - self.silent)

    def timeout(self, *, urgent: bool = False) -> Seconds:
        """Return how long the next answer may take to begin.

        A board that is not known well yet is given more than its profile says, and so is every fourth try of one
        that is silent: it may have become slower, and what is not heard is not learnt from. After a miss it is the
        profile's own time at least. An `urgent` request is sent again rather than waited for.
        """
        patient = not urgent and self._silences % PATIENT_EACH == 0
        if self.answers < ENOUGH:
            return self._patient if patient else self.bounds.usual
        suits = self.mean + SPREADS * self.spread + ADAPTER
        if self._silences:
            suits = max(suits, self._patient if patient else self.bounds.usual)
        return Seconds(min(max(suits, self.bounds.least), self.bounds.most))

    @property
    def _patient(self) -> Seconds:
        return Seconds(min(PATIENCE * self.bounds.usual, self.bounds.most))

    def shortened(self, used: Seconds) -> Seconds:
        """Return how much longer the board was to be waited for by its profile."""
        return Seconds(max(0.0, self.bounds.usual - used))

    def statistics(
        self,
        board: BoardId,
        now: Instant,
        *,
        misses: int,
        lost: bool,
        not_before: Instant,
        silence_wanted: Seconds | None = None,
    ) -> BoardStatistics:
        """Return what was counted, with what the schedule knows of the board."""
        return BoardStatistics(
            board=board,
            transactions=self.transactions,
            answers=self.answers,
            timeouts=self.timeouts,
            corrupt=self.corrupt,
            exceptions=self.exceptions,
            implausible=self.implausible,
            foreign_bytes=self.foreign_bytes,
            foreign=self.strange,
            untrue=self.untrue,
            silent=self.silent,
            refused=self.refused,
            silence_wanted=silence_wanted,
            latency=tuple(self.latency),
            latency_mean=Seconds(self.mean) if self.answers else None,
            timeout=self.timeout(),
            noise=self.noise,
            tainted_age=None if self.tainted_at is None else between(self.tainted_at, now),
            stale_age=None if self.answered_at is None else between(self.answered_at, now),
            misses=misses,
            lost=lost,
            retry_in=Seconds(max(0.0, between(now, not_before))),
        )


def health_of(bounds: Mapping[BoardId, Bounds]) -> dict[BoardId, BoardHealth]:
    """Return fresh counters for each board."""
    return {board: BoardHealth(bounds=one) for board, one in bounds.items()}
