"""What the log tells that the ledger does not, kept in the journal as notes: `chargerctl events` shows both.

Lines, broker, disk and the socket have much to say that no backend need store, and that is gone with the log's own
file. Each kind of it is listed here. What comes again and again is counted, not kept each time: the same within a
minute, or more than `MOST_AN_HOUR` of one kind, is told with the next one that is kept.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from chargerd import log
from chargerd.contract.ledger import Batch, Json, LedgerEntry, RowKind
from chargerd.contract.payloads import Severity
from chargerd.core.clock import Clock
from chargerd.core.units import Instant, Seconds, between

KEPT: Final[Mapping[str, Severity]] = MappingProxyType(
    {
        "announcements_not_kept": Severity.WARNING,
        "announcements_unknown": Severity.WARNING,
        "ballast_released": Severity.ALARM,
        "board_prepared": Severity.INFO,
        "bus_overloaded": Severity.WARNING,
        "command_refused": Severity.WARNING,
        "configuration_not_kept": Severity.WARNING,
        "connected": Severity.INFO,
        "connection_renewed": Severity.WARNING,
        "control_client_refused": Severity.WARNING,
        "credentials_replaced": Severity.INFO,
        "decision_failed": Severity.ALARM,
        "disconnected": Severity.WARNING,
        "doctor_failed": Severity.WARNING,
        "journal_not_copied": Severity.WARNING,
        "journal_not_opened": Severity.ALARM,
        "journal_not_written": Severity.ALARM,
        "journal_reopened": Severity.WARNING,
        "journal_unreadable": Severity.WARNING,
        "journal_written_again": Severity.INFO,
        "last_opening_failed": Severity.ALARM,
        "ledger_row_unreadable": Severity.WARNING,
        "line_gone": Severity.WARNING,
        "line_missing": Severity.WARNING,
        "line_open": Severity.INFO,
        "manual_request_failed": Severity.WARNING,
        "manual_request_not_judged": Severity.WARNING,
        "metrics_not_served": Severity.WARNING,
        "no_control_socket": Severity.WARNING,
        "nobody_heard": Severity.WARNING,
        "not_connected": Severity.WARNING,
        "note_on_the_configuration": Severity.WARNING,
        "reload_failed": Severity.WARNING,
        "relays_not_confirmed_open": Severity.ALARM,
        "thread_died": Severity.ALARM,
        "trace_failed": Severity.WARNING,
    }
)
"""Each kind of note, and how grave it is."""
SAME_AGAIN_AFTER: Final = Seconds(60.0)
HOUR: Final = Seconds(3600.0)
MOST_AN_HOUR: Final = 30
"""Of one kind: with every kind there is, less than a fifth of what is kept comes in one hour."""
MOST_REMEMBERED: Final = 500
LONGEST: Final = 300
"""Characters of a text."""
WHY: Final = ("why", "what", "error", "detail")
"""What the log calls the reason; the first that is there."""
ABOUT: Final = ("bus", "board", "port")


class Notes:
    """Listens to the log, and hands what is listed to the journal. Never raises, never blocks; thread-safe."""

    def __init__(self, append: Callable[[Batch], None], clock: Clock, *, online: Callable[[], bool]) -> None:
        self._append = append
        self._clock = clock
        self._online = online
        self._lock = threading.Lock()
        self._last: dict[tuple[object, ...], Instant] = {}
        self._lately: dict[str, deque[Instant]] = {}
        self._same: Counter[tuple[object, ...]] = Counter()
        self._too_many: Counter[str] = Counter()

    def __call__(self, _level: log.Level, event: str, fields: Mapping[str, object]) -> None:
        """Keep an event of the log, if it is listed and was not kept a short while ago."""
        severity = KEPT.get(event)
        if severity is None:
            return
        with self._lock:
            same = (event, *(fields.get(name) for name in (*ABOUT, "reason", "code", "name", "uid")))
            if not self._is_news(event, same):
                return
            more = self._same.pop(same, 0) + self._too_many.pop(event, 0)
        body = _body(event, severity, fields)
        if more:
            body["times_before"] = more
        moment = self._clock.moment()
        entry = LedgerEntry(kind=RowKind.EVENT, body=body, moment=moment, offline=not self._online())
        self._append(Batch(notes=(entry,)))

    def _is_news(self, event: str, same: tuple[object, ...]) -> bool:
        """Say whether it is to be kept, and count it if not."""
        now = self._clock.now()
        before = self._last.get(same)
        if before is not None and between(before, now) < SAME_AGAIN_AFTER:
            self._same[same] += 1
            return False
        lately = self._lately.setdefault(event, deque())
        while lately and between(lately[0], now) >= HOUR:
            lately.popleft()
        if len(lately) >= MOST_AN_HOUR:
            self._too_many[event] += 1
            return False
        lately.append(now)
        self._last.pop(same, None)
        if len(self._last) >= MOST_REMEMBERED:
            oldest = next(iter(self._last))
            del self._last[oldest]
            self._same.pop(oldest, None)
        self._last[same] = now
        return True


def _body(event: str, severity: Severity, fields: Mapping[str, object]) -> dict[str, Json]:
    """Return a note by the names that events have; what went wrong is its `reason`."""
    body: dict[str, Json] = {"event": event, "severity": severity.value}
    why = next((fields[name] for name in WHY if fields.get(name)), None)
    if why is not None:
        body["reason"] = str(why)[:LONGEST]
    for name, value in fields.items():
        if name in WHY or value is None:
            continue
        if name == "exc_info":
            body["reason"] = f"{type(value).__name__}: {value}"[:LONGEST] if value is not True else "see the log"
        elif name == "reason":
            body["code"] = str(value)[:LONGEST]
        else:
            body[name] = value if isinstance(value, bool | int | float) else str(value)[:LONGEST]
    return body
