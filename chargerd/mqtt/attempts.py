"""How the connection stands and why: for `chargerctl status`, the log, and, once there is one, the ledger.

A reason is logged when it changes and then counted, since a gateway without a broker tries for days. The ledger
gets one row for all of an absence, once an hour at most.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chargerd import log
from chargerd.contract.ledger import Json
from chargerd.contract.payloads import EventBody, Severity
from chargerd.core.clock import Clock
from chargerd.core.units import Instant, Seconds, after, between
from chargerd.mqtt.reasons import Reason

TELL_AGAIN_AFTER = Seconds(3600.0)
MOST_NAMED = 8
"""Reasons one row names, the most frequent first."""
LONG = Seconds(120.0)
"""Spans from here on are told in minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """How the link stands. `shortfalls` is what the present broker cannot do."""

    connected: bool
    since: Instant
    reason: Reason | None = None
    attempts: int = 0
    """How many have come to nothing since the last connection."""
    next_at: Instant | None = None
    shortfalls: tuple[Reason, ...] = ()
    connections: int = 0
    """How many there have been since the process began."""
    failures: int = 0
    """How many attempts have come to nothing since then, and connections were lost."""

    def plain(self, now: Instant) -> dict[str, Json]:
        """Return it as `chargerctl status --json` has it."""
        left = None if self.next_at is None else round(max(0.0, between(now, self.next_at)), 1)
        return {
            "connected": self.connected,
            "since_s": round(between(self.since, now), 1),
            "reason": None if self.reason is None else self.reason.plain,
            "attempts": self.attempts,
            "next_attempt_s": left,
            "shortfalls": [one.plain for one in self.shortfalls],
        }


class Attempts:
    """Keeps count of what became of each attempt. Owned by the link's thread; `state` may be read by any."""

    def __init__(self, clock: Clock, broker: str, tell: Callable[[EventBody], None]) -> None:
        self._clock = clock
        self._broker = broker
        self._tell = tell
        self.state = LinkState(connected=False, since=clock.now())
        self._logged: Reason | None = None
        self._logged_at = clock.now()
        self._same = 0
        """How many attempts had the reason logged last, since it was."""
        self._met: Counter[Reason] = Counter()
        """What the ledger has not been told of yet."""
        self._away = Seconds(0.0)
        self._told_at: Instant | None = None
        self._shortfalls_told: tuple[Reason, ...] = ()

    def failed(self, reason: Reason, pause: Seconds) -> None:
        """An attempt has come to nothing; the next one comes after `pause`."""
        now = self._clock.now()
        before = self.state
        since = before.since if not before.connected else now
        self._log("not_connected", reason, now)
        self.state = replace(
            before,
            connected=False,
            since=since,
            reason=reason,
            attempts=before.attempts + 1,
            next_at=after(now, pause),
            shortfalls=(),
            failures=before.failures + 1,
        )

    def lost(self, reason: Reason, pause: Seconds) -> None:
        """A connection is gone."""
        now = self._clock.now()
        self._log("disconnected", reason, now)
        self.state = LinkState(
            connected=False,
            since=now,
            reason=reason,
            next_at=after(now, pause),
            connections=self.state.connections,
            failures=self.state.failures + 1,
        )

    def connected(self, conn: int, shortfalls: Sequence[Reason]) -> None:
        """There is a connection, with what its broker cannot do."""
        now, before = self._clock.now(), self.state
        self._away = Seconds(self._away + between(before.since, now))
        log.info("connected", broker=self._broker, conn=conn, failed_attempts=before.attempts)
        self.state = LinkState(
            connected=True,
            since=now,
            shortfalls=tuple(shortfalls),
            connections=before.connections + 1,
            failures=before.failures,
        )
        self._logged, self._same = None, 0
        self._tell_shortfalls()
        self.look()

    def look(self) -> None:
        """Tell the ledger what is due: of an absence that is over, once an hour at most."""
        now = self._clock.now()
        if not self._met or not self.state.connected:
            return
        if self._told_at is None or between(self._told_at, now) >= TELL_AGAIN_AFTER:
            self.tell()

    def tell(self) -> None:
        """Tell the ledger what it does not know yet of why there was no connection."""
        if not self._met:
            return
        named = [_times(reason, count) for reason, count in self._met.most_common(MOST_NAMED)]
        grave = any(reason.ours_to_mend for reason in self._met)
        body = EventBody(
            event="connection_failed",
            severity=Severity.WARNING if grave else Severity.INFO,
            reason=f"without a connection for {_span(self._away)}: {', '.join(named)}",
        )
        self._met.clear()
        self._away = Seconds(0.0)
        self._told_at = self._clock.now()
        self._tell(body)

    def _log(self, event: str, reason: Reason, now: Instant) -> None:
        self._met[reason] += 1
        if reason == self._logged and between(self._logged_at, now) < TELL_AGAIN_AFTER:
            self._same += 1
            return
        more = {"times_before": self._same} if self._same else {}
        said = {"said": reason.said} if reason.said else {}
        about = {"reason": reason.code, "why": reason.what, "then": reason.then}
        log.warning(event, broker=self._broker, **about, **said, **more)
        self._logged, self._logged_at, self._same = reason, now, 0

    def _tell_shortfalls(self) -> None:
        """Say what this broker cannot do, if that is news."""
        shortfalls = self.state.shortfalls
        if shortfalls == self._shortfalls_told:
            return
        self._shortfalls_told = shortfalls
        for one in shortfalls:
            log.warning("broker_falls_short", reason=one.code, what=one.what, then=one.then)
        if shortfalls:
            text = ". ".join(one.text for one in shortfalls)
            self._tell(EventBody(event="broker_falls_short", severity=Severity.WARNING, reason=text))


def _times(reason: Reason, count: int) -> str:
    return reason.what if count == 1 else f"{reason.what} ({count} times)"


def _span(seconds: Seconds) -> str:
    return f"{seconds:.0f} s" if seconds < LONG else f"{seconds / 60:.0f} min"
