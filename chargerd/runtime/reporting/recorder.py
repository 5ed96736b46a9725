"""Turns facts into rows of the journal, in the order in which they happened."""

import re
from collections.abc import Callable, Mapping

from chargerd import log
from chargerd.contract.bodies import RENAMED, SEVERITY
from chargerd.contract.ledger import Batch, LedgerEntry
from chargerd.contract.payloads import Severity
from chargerd.core.commands import Checkpoint
from chargerd.core.facts import (
    CircuitTripped,
    Fact,
    InputTripped,
    LatchesCleared,
    PortDisabled,
    PortEnabled,
    PortLocked,
    PortLockedOut,
    PortTripped,
    PortUnlocked,
    SessionEnded,
    SessionResumed,
    SessionStarted,
    SessionSuspended,
    SessionUpdated,
)
from chargerd.core.moment import Moment
from chargerd.core.session import Disabled, Latch, SessionRecord
from chargerd.core.units import PortId, SessionId
from chargerd.runtime.engine import JournalLike

EntryOf = Callable[[Fact, Moment], LedgerEntry]


LEVELS: Mapping[Severity, log.Level] = {
    Severity.INFO: log.Level.INFO,
    Severity.WARNING: log.Level.WARNING,
    Severity.ALARM: log.Level.ERROR,
}


class FactRecorder:
    """Writes down what happened. The facts of one event are one transaction, kept and tried again if it fails."""

    def __init__(self, journal: JournalLike, entry_of: EntryOf, nudge: Callable[[], None]) -> None:
        self._journal = journal
        self._entry_of = entry_of
        self._nudge = nudge
        self.listener: Callable[[tuple[Fact, ...]], None] | None = None
        """Who is told of facts as well, for as long as it wants; it must not block."""

    def facts(self, facts: tuple[Fact, ...], now: Moment, checkpoints: tuple[Checkpoint, ...] = ()) -> None:
        """Write down the facts of one event with the checkpoints that belong to them, and log each fact."""
        for fact in facts:
            log.tell(LEVELS[_severity(fact)], event_name(fact), **outline(fact))
        self._journal.append(batch_of(facts, now, self._entry_of, checkpoints))
        if self.listener is not None:
            self.listener(facts)
        self._nudge()


def _severity(fact: Fact) -> Severity:
    """Return how grave a fact is; what belongs to a session is its ordinary course."""
    name = RENAMED.get(type(fact), event_name(fact))
    grave = isinstance(fact, PortTripped | PortLockedOut)
    return Severity.ALARM if grave else SEVERITY.get(name, Severity.INFO)


def batch_of(
    facts: tuple[Fact, ...], now: Moment, entry_of: EntryOf, checkpoints: tuple[Checkpoint, ...] = ()
) -> Batch:
    """Return what one transaction has to write for these facts, and for checkpoints that belong to them."""
    sessions: list[SessionRecord] = []
    ended: list[SessionId] = []
    latches: list[Latch] = []
    cleared: list[PortId] = []
    disabled: list[Disabled] = []
    enabled: list[PortId] = []
    for fact in facts:
        match fact:
            case SessionStarted() | SessionUpdated() | SessionSuspended() | SessionResumed():
                sessions.append(fact.record)
            case SessionEnded():
                ended.append(fact.settlement.record.order.session)
            case PortTripped() | PortLockedOut() | InputTripped() | CircuitTripped():
                latches.extend([fact.latch] if fact.latch is not None else [])
            case LatchesCleared():
                cleared.append(fact.port)
                latches.extend(fact.kept)
            case PortDisabled() | PortLocked():
                disabled.append(fact.disabled)
            case PortEnabled() | PortUnlocked():
                enabled.append(fact.holder)
            case _:
                pass
    return Batch(
        sessions=(*sessions, *(record for checkpoint in checkpoints for record in checkpoint.records)),
        warmths=tuple(warmth for checkpoint in checkpoints for warmth in checkpoint.warmths),
        identities=tuple(one for checkpoint in checkpoints for one in checkpoint.identities),
        ended=tuple(ended),
        latches=tuple(latches),
        cleared=tuple(cleared),
        disabled=tuple(disabled),
        enabled=tuple(enabled),
        entries=tuple(entry_of(fact, now) for fact in facts),
    )


def event_name(fact: Fact) -> str:
    """Return the fact's name as log events are named: `PortTripped` is `port_tripped`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(fact).__name__).lower()


def outline(fact: Fact) -> dict[str, object]:
    """Return the few figures of a fact that belong into the log."""
    names: dict[str, object] = {}
    for name in ("port", "circuit", "line", "board", "function", "reason", "kind", "by"):
        if hasattr(fact, name):
            names[name] = getattr(fact, name)
    record = fact.settlement.record if isinstance(fact, SessionEnded) else getattr(fact, "record", None)
    if isinstance(record, SessionRecord):
        names |= {"port": record.order.port, "session": record.order.session, "energy_wh": round(record.energy, 1)}
    if isinstance(fact, SessionEnded):
        names["reason"] = fact.settlement.reason.value
    if isinstance(fact, PortTripped):
        names |= {"measured": fact.detail.measured, "limit": fact.detail.limit, "session": fact.session}
    return names
