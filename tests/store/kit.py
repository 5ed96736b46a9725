"""Builders, a clock by hand, and a journal that can be broken and mended."""

import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chargerd.contract.ledger import Batch, Body, LedgerEntry, LedgerRow, Owner, RememberedCommand, RowKind
from chargerd.core.clock import Clock
from chargerd.core.identity import Identity
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.plan import Limits
from chargerd.core.session import Clearing, Disabled, Latch, Order, SessionRecord, Source, ThermalState
from chargerd.core.units import BoardId, CommandId, Instant, PortId, Seconds, SessionId, WattHours, Watts
from chargerd.store.journal import NOBODY, Journal
from chargerd.store.place import Upkeep
from tests.patience import PATIENCE_S

NOON_MS = 1_760_000_000_000


class HandClock(Clock):
    """Stands still until it is moved."""

    def __init__(self, wall_ms: int | None = NOON_MS) -> None:
        self.instant = 100.0
        self.wall_ms = wall_ms

    def now(self) -> Instant:
        return Instant(self.instant)

    def moment(self) -> Moment:
        quality = ClockQuality.NONE if self.wall_ms is None else ClockQuality.NTP
        return Moment(instant=self.now(), boot=1, wall_ms=self.wall_ms, clock=quality)

    def sleep(self, span: Seconds) -> None:
        self.advance(span)

    def advance(self, seconds: float) -> None:
        self.instant += seconds
        if self.wall_ms is not None:
            self.wall_ms += round(seconds * 1000)


MOMENT = Moment(instant=Instant(1.5), boot=1, wall_ms=NOON_MS, clock=ClockQuality.NTP)


def identity(board: str = "meter", *words: int) -> Identity:
    return Identity(board=BoardId(board), words=words or (291, 17767))


def record(session: str = "s1", *, port: str = "A01", energy: float = 0.0) -> SessionRecord:
    order = Order(
        session=SessionId(session), port=PortId(port), limits=Limits(power=Watts(500.0)), command=CommandId("c1")
    )
    return SessionRecord(
        order=order, started=MOMENT, at=MOMENT, energy=WattHours(energy), charging=Seconds(energy)
    )


def latch(port: str = "A01", function: str = "relay_will_not_open") -> Latch:
    return Latch(port=PortId(port), function=function, clearing=Clearing.LOCK_OUT)


def disabled(holder: str = "A01", reason: str = "a worn plug") -> Disabled:
    return Disabled(holder=PortId(holder), source=Source.LOCAL, reason=reason, since=MOMENT)


def warmth(port: str = "A01", theta: float = 0.75) -> ThermalState:
    return ThermalState(port=PortId(port), theta=theta, at=MOMENT)


def entry(body: Body | None = None, *, settlement: bool = False, kind: RowKind = RowKind.EVENT) -> LedgerEntry:
    return LedgerEntry(kind=kind, body=body or {"event": "x"}, moment=MOMENT, offline=False, settlement=settlement)


def command(name: str = "c1", *, digest: str = "d1", session: str | None = None) -> RememberedCommand:
    return RememberedCommand(
        command=CommandId(name),
        name="start",
        digest=digest,
        moment=MOMENT,
        port=PortId("A01"),
        session=None if session is None else SessionId(session),
    )


def connection_of(journal: Journal) -> sqlite3.Connection:
    return journal._writer._db  # noqa: SLF001 - faults are put where a disk would have them


def batches_kept(journal: Journal) -> list[Batch]:
    return list(journal._writer._backlog.first(10_000))  # noqa: SLF001 - what memory holds shows nowhere else


def mirrored(journal: Journal) -> Batch:
    return journal._writer._mirror.whole()  # noqa: SLF001 - it shows in a new file only, beside what is owed


@dataclass
class Opened:
    """A journal with ears."""

    journal: Journal
    clock: HandClock
    health: list[bool] = field(default_factory=list)
    crashes: list[BaseException] = field(default_factory=list)
    health_changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for_health(self, *expected: bool) -> None:
        with self.health_changed:
            assert self.health_changed.wait_for(lambda: self.health == list(expected), PATIENCE_S), self.health

    def write(self, batch: Batch) -> bool:
        """Append and wait for the verdict."""
        return bool(got(lambda deliver: self.journal.append(batch, deliver)))

    def settle(self) -> None:
        """Wait until all that was queued has been tried."""
        got(lambda deliver: self.journal.has_session(SessionId("nobody"), deliver))

    def rows(self, after: int = 0, limit: int = 100_000) -> list[LedgerRow]:
        return list(got(lambda deliver: self.journal.read_rows(after, limit, deliver)))

    def lookup(self, name: str, session: str | None = None) -> tuple[RememberedCommand | None, bool]:
        answers: queue.SimpleQueue[tuple[RememberedCommand | None, bool]] = queue.SimpleQueue()
        self.journal.desk_lookup(
            CommandId(name),
            None if session is None else SessionId(session),
            lambda known, used: answers.put((known, used)),
        )
        return answers.get(timeout=PATIENCE_S)

    def break_disk(self) -> None:
        """From now on every write fails, as on a disk mounted read-only."""
        connection_of(self.journal).execute("PRAGMA query_only = ON")

    def mend_disk(self) -> None:
        """Let writes succeed again and the pause pass."""
        connection_of(self.journal).execute("PRAGMA query_only = OFF")
        self.clock.advance(60.0)

    def close(self) -> bool:
        return self.journal.close(PATIENCE_S)


def got(ask: Callable[[Callable[[Any], None]], None]) -> Any:
    """Ask with a callback and wait for what it is given."""
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    ask(answers.put)
    return answers.get(timeout=PATIENCE_S)


def open_journal(
    path: Path,
    clock: HandClock | None = None,
    *,
    boot_id: str = "boot-a",
    start: bool = True,
    upkeep: Upkeep = Upkeep(),  # noqa: B008 - frozen
    owner: Owner = NOBODY,
) -> Opened:
    clock = clock or HandClock()
    health: list[bool] = []
    crashes: list[BaseException] = []
    changed = threading.Condition()

    def on_health(writable: bool) -> None:
        with changed:
            health.append(writable)
            changed.notify_all()

    journal = Journal.open(
        path,
        clock=clock,
        boot_id=boot_id,
        on_health=on_health,
        on_crash=crashes.append,
        upkeep=upkeep,
        owner=owner,
    )
    if start:
        journal.start()
    return Opened(journal=journal, clock=clock, health=health, crashes=crashes, health_changed=changed)
