"""Books about orders, kept beside the station: each is taken on once, settled once; lock-outs are cleared on site.

They know only what went in and what came out, and answer with what is wrong, or nothing.

S4  a lock-out is cleared only on site and with a reason
S7  a port takes on nothing before what it had taken on is settled, and nothing is settled twice
S8  a command is accepted once, and has one last word; no start is accepted after what has overtaken it
S12 no port is told to close that somebody on site has locked, itself or by a circuit above
"""

from collections.abc import Iterable, Mapping

from chargerd.core.commands import Answer, CloseRelay, Persist, ReplyStatus
from chargerd.core.events import (
    DisableRequested,
    Event,
    LockRequested,
    MeterReading,
    RequestDropped,
    RequestHeard,
    StartRequested,
    StopRequested,
)
from chargerd.core.facts import (
    CircuitTripped,
    Fact,
    InputTripped,
    LatchesCleared,
    PortLocked,
    PortLockedOut,
    PortTripped,
    PortUnlocked,
    SessionEnded,
)
from chargerd.core.outbox import Outcome
from chargerd.core.plan import locked_by
from chargerd.core.session import Clearing, Disabled, Latch, Source
from chargerd.core.units import Instant, PortId, Seconds, SessionId, between

REMEMBERED = 4096
"""Sessions and commands of the past that are kept in mind: days of a busy gateway."""
REMEMBERED_FOR = Seconds(6 * 86_400.0)
"""How long they are: the journal keeps a command's id for seven days, and one that comes after is a new one."""


class OrderBooks:
    """What was taken on, and what became of it."""

    def __init__(
        self,
        latches: Iterable[Latch],
        above: Mapping[PortId, tuple[PortId, ...]],
        out_of_service: Iterable[Disabled] = (),
    ) -> None:
        """Take what is latched and locked, and for each port the ids under which its circuits are."""
        self._above = above
        self._by_hand = {locked_by(one.holder) for one in out_of_service if one.by is not None}
        """Ports and circuits that somebody on site has locked."""
        self._on_its_way: dict[str, StartRequested] = {}
        self._overtaken: dict[str, str] = {}
        """Starts on their way that must not be accepted any more, and by what they were overtaken."""
        self._locked = {(it.port, it.function) for it in latches if it.clearing is Clearing.LOCK_OUT}
        self._under_way: dict[PortId, SessionId] = {}
        self._ended: dict[str, Instant] = {}
        self._accepted: dict[str, Instant] = {}
        self._answered: dict[str, Instant] = {}

    def wrong(self, event: Event | None, outcome: Outcome, now: Instant) -> str | None:
        """Take in one turn of the station; return what is wrong with it."""
        if not isinstance(event, MeterReading):  # Which says nothing of any order.
            self._note(event)
        if not outcome.commands and not outcome.facts:
            return None
        found = [self._answer(told, now) for told in outcome.commands if isinstance(told, Answer)]
        found += [self._taken_on(told) for told in outcome.commands if isinstance(told, Persist)]
        found += [self._closed(told.port) for told in outcome.commands if isinstance(told, CloseRelay)]
        found += [self._fact(told, now) for told in outcome.facts]
        return next((what for what in found if what is not None), None)

    def _note(self, event: Event | None) -> None:
        match event:
            case RequestHeard(request=StartRequested() as start) if start.order.command is not None:
                self._on_its_way[start.order.command] = start
            case RequestDropped(request=StartRequested() as start):
                self._arrived(start.order.command or "")
            case StopRequested() if event.force or event.session or event.source is Source.LOCAL:
                for command, start in self._on_its_way.items():
                    if start.port == event.port and event.session in {None, start.order.session}:
                        self._overtaken.setdefault(command, "a stop")
            case DisableRequested():
                self._overtake(event.port, "a disabling")
            case LockRequested():
                self._overtake(event.port, "a lock")
            case _:
                pass

    def _overtake(self, holder: PortId, what: str) -> None:
        for command, start in self._on_its_way.items():
            if holder in {start.port, *self._above.get(start.port, ())}:
                self._overtaken.setdefault(command, what)

    def _arrived(self, command: str) -> str | None:
        self._on_its_way.pop(command, None)
        return self._overtaken.pop(command, None)

    def _answer(self, answer: Answer, now: Instant) -> str | None:
        accepted = answer.status is ReplyStatus.ACCEPTED
        overtaken = self._arrived(answer.command)
        if accepted and overtaken is not None:
            return f"S8: {answer.command} is accepted after {overtaken} has come"
        known = self._accepted if accepted else self._answered
        _forget(known, now)
        if answer.command in known:
            return f"S8: {answer.command} is {'accepted' if accepted else 'answered'} twice"
        _remember(known, answer.command, now)
        return None

    def _taken_on(self, command: Persist) -> str | None:
        session = command.record.order.session
        before = self._under_way.setdefault(command.port, session)
        if before != session:
            return f"S7: {command.port} takes on {session}, and {before} is not settled"
        return f"S7: {session} is settled, and taken on again" if session in self._ended else None

    def _closed(self, port: PortId) -> str | None:
        held = {port, *self._above.get(port, ())} & self._by_hand
        return f"S12: {port} is told to close, and {next(iter(held))} is locked on site" if held else None

    def _fact(self, fact: Fact, now: Instant) -> str | None:
        match fact:
            case SessionEnded():
                return self._settled(fact, now)
            case PortLockedOut() | PortTripped() | InputTripped() | CircuitTripped():
                if fact.latch is not None:
                    self._latch(fact.latch)
                return None
            case LatchesCleared():
                return self._cleared(fact)
            case PortLocked():
                self._by_hand.add(fact.port)
                return None
            case PortUnlocked():
                self._by_hand.discard(fact.port)
                return None
            case _:
                return None

    def _latch(self, latch: Latch) -> None:
        self._overtake(latch.port, latch.function)
        if latch.clearing is Clearing.LOCK_OUT:
            self._locked.add((latch.port, latch.function))

    def _settled(self, fact: SessionEnded, now: Instant) -> str | None:
        order = fact.settlement.record.order
        if order.session in self._ended:
            return f"S7: {order.session} is settled twice"
        _remember(self._ended, order.session, now)
        if self._under_way.get(order.port) == order.session:
            del self._under_way[order.port]
        return None

    def _cleared(self, fact: LatchesCleared) -> str | None:
        freed = {(fact.port, function) for function in fact.functions} & self._locked
        if freed and (fact.source is not Source.LOCAL or not fact.reason):
            return f"S4: {fact.port} was locked out, and is freed from afar or without a reason"
        self._locked -= freed
        return None


def _remember(known: dict[str, Instant], name: str, now: Instant) -> None:
    known[name] = now
    if len(known) > REMEMBERED:
        del known[next(iter(known))]


def _forget(known: dict[str, Instant], now: Instant) -> None:
    """Let go of what is too old. They stand in the order in which they came."""
    while known and between(next(iter(known.values())), now) > REMEMBERED_FOR:
        del known[next(iter(known))]
