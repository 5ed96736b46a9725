"""Commands on their way: heard, and not carried out yet, since their ids are not durable.

A disk may stall for as long as such a command is good for. What comes meanwhile has come after it and applies to
it: a stop, a disabling, a lock or a latch keeps a start from beginning, and lower limits become the start's own. A
disabling is not undone by an enabling from before it, nor a latch cleared by a reset that cannot have meant it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from chargerd.core.circuits.tree import Circuits
from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.events import (
    DisableRequested,
    EnableRequested,
    LockRequested,
    Request,
    RequestDropped,
    RequestHeard,
    RequestNews,
    ResetRequested,
    StartRequested,
    StopRequested,
    UnlockRequested,
    UnsafeRequest,
    UpdateRequested,
)
from chargerd.core.facts import CircuitTripped, Fact, InputTripped, PortLockedOut, PortTripped
from chargerd.core.outbox import Outbox
from chargerd.core.plan import exceeds, holder_of
from chargerd.core.port.admission import own_limits
from chargerd.core.port.answers import answer_request
from chargerd.core.port.ending import nameless
from chargerd.core.port.limits import named
from chargerd.core.port.port import Port
from chargerd.core.session import Clearing, Source
from chargerd.core.units import CommandId, PortId, SessionId


@dataclass(slots=True, kw_only=True)
class OnItsWay:
    """One command that was heard, and what has come after it."""

    request: UnsafeRequest
    holders: frozenset[PortId]
    """Whose latches and whose disabling concern it: its port's, and those of the circuits above."""
    overtaken: tuple[Code, str] | None = None
    """Why it is not carried out any more, and what is said of that: the first thing that came."""
    raising: CommandId | None = None
    """The newest command to raise its limits, whose own id is not durable either."""
    stops: list[StopRequested] = field(default_factory=list)
    """Stops that are done when it has had its last word."""

    def overtake(self, code: Code, message: str) -> None:
        """Keep it from being carried out."""
        self.overtaken = self.overtaken or (code, message)


class Heard:
    """What is on its way to a station, in the order in which it was heard."""

    def __init__(self, circuits: Circuits, out: Outbox) -> None:
        self._circuits = circuits
        self._out = out
        self._waiting: dict[CommandId | None, OnItsWay] = {}

    def attend(self, event: Request | RequestNews, port: Port | None) -> Request | None:
        """Take in what somebody asks for; return it as it is to be carried out now, `None` if nothing is."""
        charge = None if port is None else port.charge
        under_way = None if charge is None else charge.order.session
        match event:
            case RequestHeard():
                self._note(event.request)
            case RequestDropped():
                self._drop(event.request)
            case StartRequested() | ResetRequested() | EnableRequested() | UnlockRequested():
                return self._arrive(event)
            case StopRequested() if self._stop(event, under_way):
                pass
            case UpdateRequested() if port is not None and self._update(event, port, under_way):
                pass
            case _:
                if isinstance(event, DisableRequested | LockRequested):
                    self._take_out(event)
                return event
        return None

    def see(self, facts: Iterable[Fact]) -> None:
        """Let what has tripped apply to starts below it, and to resets that cannot have been about it."""
        for fact in facts if self._waiting else ():
            match fact:
                case PortTripped() | PortLockedOut() | InputTripped() if fact.latch is not None:
                    self._latched(fact.latch.port, fact.latch.function, fact.latch.clearing)
                case CircuitTripped():
                    clearing = Clearing.LOCK_OUT if fact.latch is None else fact.latch.clearing
                    self._latched(holder_of(fact.circuit), fact.function, clearing)
                case _:
                    pass

    # The way of one

    def _note(self, request: UnsafeRequest) -> None:
        above = (holder_of(circuit.plan.id) for circuit in self._circuits.place(request.port).above)
        holders = frozenset((request.port, *above))
        self._waiting[request.command] = OnItsWay(request=request, holders=holders)

    def _drop(self, request: UnsafeRequest) -> None:
        heard = self._waiting.pop(request.command, None)
        if heard is not None:
            self._confirm_stops(heard)

    def _arrive(self, request: UnsafeRequest) -> UnsafeRequest | None:
        """Return a command that is durable now as it is to be carried out; `None` if it was refused instead."""
        heard = self._waiting.pop(request.command, None)
        if heard is None:
            return request
        if heard.overtaken is not None:
            self._refuse(heard.request, *heard.overtaken)
            self._confirm_stops(heard)
            return None
        if isinstance(heard.request, StartRequested):
            return replace(heard.request, raising=heard.raising)
        return heard.request

    # What comes after

    def _stop(self, event: StopRequested, under_way: SessionId | None) -> bool:
        """Withdraw the starts a stop is for; say whether it is answered by that, and no session need be asked."""
        starts = self._starts(event.port, event.session)
        mine = bool(starts) and (under_way is None or event.session not in {None, under_way})
        if starts and nameless(event):
            if mine:
                start = starts[-1].request
                self._answer(event, start, ReplyStatus.REJECTED, Code.NOT_ALLOWED, "name the session, or force")
            return mine
        for heard in starts:
            heard.overtake(Code.CONFLICT, "overtaken by a stop")
        if mine:
            starts[-1].stops.append(event)
            self._answer(event, starts[-1].request, ReplyStatus.ACCEPTED, Code.OK)
        return mine

    def _update(self, event: UpdateRequested, port: Port, under_way: SessionId | None) -> bool:
        """Give other limits to the start they are meant for; say whether there is one.

        To lower holds at once, to raise only when that command's own id is durable.
        """
        unclear = event.session is None and event.source is Source.REMOTE
        theirs = under_way is not None and event.session in {None, under_way}
        starts = [] if unclear or theirs else self._starts(event.port, event.session)
        if not starts:
            return False
        heard = starts[-1]
        start = heard.request
        assert isinstance(start, StartRequested)
        limits = named(event, start.order.limits)
        raises = exceeds(limits, start.order.limits)
        if heard.overtaken is not None:
            answer_request(port, event, ReplyStatus.REJECTED, Code.UNKNOWN_SESSION, "its start was overtaken")
        elif exceeds(named(event, port.plan.limits), port.plan.limits):
            answer_request(port, event, ReplyStatus.REJECTED, Code.LIMIT_TOO_HIGH, own_limits(port))
        elif raises and not event.durable:
            heard.raising = event.command
        elif raises and heard.raising != event.command:
            answer_request(port, event, ReplyStatus.REJECTED, Code.CONFLICT, "overtaken by a later update")
        else:
            heard.raising = None
            heard.request = replace(start, order=replace(start.order, limits=limits))
            answer_request(port, event, ReplyStatus.DONE, Code.OK)
        return True

    def _take_out(self, event: DisableRequested | LockRequested) -> None:
        """Let a disabling or a lock apply to starts below it, and to whatever would take the same back."""
        locks = isinstance(event, LockRequested)
        code, back = (Code.LOCKED, UnlockRequested) if locks else (Code.DISABLED, EnableRequested)
        for heard in self._waiting.values():
            if isinstance(heard.request, StartRequested) and event.port in heard.holders:
                heard.overtake(code, f"{code.value} after it was sent")
            elif isinstance(heard.request, back) and event.port == heard.request.port:
                heard.overtake(Code.CONFLICT, f"overtaken by a {'locking' if locks else 'disabling'}")

    def _latched(self, holder: PortId, function: str, clearing: Clearing) -> None:
        code = Code.LOCKED_OUT if clearing is Clearing.LOCK_OUT else Code.LATCHED
        for heard in self._waiting.values():
            starts = isinstance(heard.request, StartRequested) and holder in heard.holders
            if starts or (isinstance(heard.request, ResetRequested) and holder == heard.request.port):
                heard.overtake(code, f"{function} came after it was sent")

    # Within

    def _starts(self, port: PortId, session: SessionId | None) -> list[OnItsWay]:
        """Return the starts of a port that a session's id means; `None` means them all."""
        return [
            heard
            for heard in self._waiting.values()
            if isinstance(heard.request, StartRequested)
            and heard.request.port == port
            and session in {None, heard.request.order.session}
        ]

    def _refuse(self, request: UnsafeRequest, code: Code, message: str) -> None:
        self._out.answer(request, ReplyStatus.REJECTED, code, message, session=_session(request))

    def _confirm_stops(self, heard: OnItsWay) -> None:
        """Say the last word to those who wanted a start stopped, after its own."""
        for stop in heard.stops:
            self._answer(stop, heard.request, ReplyStatus.DONE, Code.OK)

    def _answer(
        self, stop: StopRequested, start: UnsafeRequest, status: ReplyStatus, code: Code, message: str = ""
    ) -> None:
        self._out.answer(stop, status, code, message, session=_session(start))


def _session(request: UnsafeRequest) -> SessionId | None:
    return request.session if isinstance(request, StartRequested) else None
