"""The course of a wiring proof: which relay is closed next, for how long, and what the person on site is asked.

It closes nothing itself. It asks the station for sessions of its own, one at a time. These go through the start
sequence, are protected, leased and recorded like any other; what they show is evidence (`chargerd.core.proof`).
Whatever happens to whoever drives it, a session of a proof ends by its own time, and its board opens by its lease.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from chargerd.core.boards.weld import REFRESHES
from chargerd.core.commands import Code
from chargerd.core.events import (
    Event,
    LeaseWithheld,
    ProofCleared,
    ProofHeld,
    ProofSuspected,
    StartRequested,
    StopRequested,
)
from chargerd.core.facts import Fact, PortLockedOut, PortTripped, SessionEnded, WiringSuspect
from chargerd.core.moment import Moment
from chargerd.core.plan import DeadMan, RelayPlan, StationPlan
from chargerd.core.proof import MOVED, Closing, Evidence, LeaseTest, Result, Verdicts, moved
from chargerd.core.proof_watch import OPEN_STATES, QUIET, Sight, Watch
from chargerd.core.session import Order, Settlement, Source, StopDetail
from chargerd.core.units import (
    BoardId,
    Instant,
    PortId,
    Seconds,
    SessionId,
    Watts,
    after,
    between,
)
from chargerd.core.view import PortState, PortView

LONGEST = Seconds(60.0)
"""A session of a proof ends by itself after so long, whatever became of the proof."""
HELD_FOR, HELD_EVERY = Seconds(60.0), Seconds(15.0)
"""How long ports are held, and how often that is said again."""
STARTS_WITHIN = Seconds(20.0)
"""The steps of a start have 3 s each, and a contactor and its turn come before it."""
ENDS_WITHIN = Seconds(45.0)
"""Opening, register and a suspicion that has to be settled."""
LAPSED, OUTLIVED = "lease_lapsed", "lease_outlived"
STUCK_OPEN = "relay_stuck_open"
SUSPECT, WELDED, UNCONFIRMED = "wiring_suspect", "relay_welded", "relay_unconfirmed"
GONE = Watts(10.0)
RENEWALS = 5
"""So many renewals have to pass without the load noticing."""
MARGIN = Seconds(2.0)
"""So much longer than its lease a relay that was opened plainly is looked at."""


class Ask(StrEnum):
    """What the person on site is asked."""

    PLUG = "plug"
    """To put the load into this socket, and nothing into the others of the proof."""
    PLUG_ALL = "plug_all"
    """To have a load in every socket of the proof."""
    STEADY = "steady"
    """Whether the load ran through without going out for a moment."""


class Answer(StrEnum):
    """What the person says."""

    READY = "ready"
    SKIP = "skip"
    YES = "yes"
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question, and the port it is about."""

    ask: Ask
    port: PortId | None = None

    @property
    def answers(self) -> frozenset[Answer]:
        """What can be said to it."""
        if self.ask is Ask.STEADY:
            return frozenset({Answer.YES, Answer.NO, Answer.SKIP})
        return frozenset({Answer.READY, Answer.SKIP})


class Doing(StrEnum):
    """What is going on, for whoever watches."""

    CLOSE = "close"
    SHOWN = "shown"
    SEARCH = "search"
    RENEW = "renew"
    OFF = "off"
    LAPSE = "lapse"
    PORT = "port"
    BOARD = "board"


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One thing that has happened in a proof."""

    doing: Doing
    port: PortId
    board: BoardId | None = None
    result: Result | None = None
    power: Watts | None = None


Steps: TypeAlias = Generator[None, None, None]


class _NotOpenError(Exception):
    """A relay that the proof has closed is not known to be open again."""


def _lapsed(test: LeaseTest, detail: StopDetail) -> LeaseTest:
    """Return a test with what has ended its lease."""
    lapsed = None if detail.measured is None else Seconds(detail.measured)
    return replace(test, lapse_after=lapsed, lapse_opened=detail.function == LAPSED)


class Course:
    """One run of a proof. Call `turn` a few times a second, and give the events it returns to the station.

    What is in `evidence` when it `has_changed` is to be kept before these events are given: whoever takes up the
    proof begins with it.
    """

    def __init__(
        self,
        plan: StationPlan,
        *,
        proof: str,
        ports: Iterable[PortId],
        new_session: Callable[[], SessionId],
        load: Watts | None = None,
        moving: bool = True,
        asks: bool = True,
        evidence: Evidence | None = None,
    ) -> None:
        """`moving`: one load goes from socket to socket; else there is one in each. `asks`: a person answers."""
        self._plan = plan
        self._plans = {port.id: port for port in plan.ports}
        self._above = {port.id: port.circuit for port in plan.ports}
        self.proof = proof
        self.ports = tuple(ports)
        self._new_session = new_session
        self._load = load
        self._moving = moving
        self._asks = asks
        self.evidence = evidence or Evidence()
        self.has_changed = False
        self.question: Question | None = None
        self.done = False
        self.refused: dict[PortId, Code] = {}
        """Ports that could not be held, and why: the proof is over then, and nothing was closed."""
        self.news: list[News] = []
        self._said: Answer | None = None
        self._sight = Sight(now=Moment(instant=Instant(0.0)), views={})
        self._events: list[Event] = []
        self._session: SessionId | None = None
        self._ended: Settlement | None = None
        self._closing: PortId | None = None
        """The port whose relay is closed now."""
        self._latched: str | None = None
        self._idle: set[PortId] = set()
        """Ports whose meters showed nothing before the closing: what shows before is not its current."""
        self._loads: tuple[PortId, ...] = ()
        """The sockets that have a load meanwhile."""
        self._called_welded: set[PortId] = set()
        """Ports that were locked out as welded while another one was closed, and had shown nothing before it."""
        self._withheld: LeaseTest | None = None
        """The test of a board whose lease is let run out now."""
        self._shown_at: tuple[PortId, Watts] | None = None
        """The port whose meter has shown the load of the one that was closed, as the station has seen it."""
        self._hold_at: Instant | None = None
        self._leaving = False
        self._course: Steps = self._run()

    # What whoever drives it says

    def turn(self, sight: Sight) -> list[Event]:
        """Look, and return what is to be done."""
        self._sight = sight
        for fact in sight.facts:
            self._take_in(fact)
        if not self.done:
            self._keep_hold()
            try:
                next(self._course)
            except StopIteration:
                self.done = True
        events, self._events = self._events, []
        return events

    def answer(self, answer: Answer) -> bool:
        """Take an answer to the question; say whether it is one."""
        if self.question is None or answer not in self.question.answers:
            return False
        self._said = answer
        return True

    def leave(self) -> None:
        """Break off: what is closed is opened, what was found exchanged is latched, the ports are let go."""
        if not (self._leaving or self.done):
            self._leaving = True
            self.question = None
            self._course.close()
            self._course = self._leave()

    def abandon(self) -> list[Event]:
        """Return what ends it at once and looks no more: for whoever drives it and has failed."""
        self.done = True
        events: list[Event] = []
        if self._closing is not None and self._session is not None:
            events.append(StopRequested(port=self._closing, session=self._session, source=Source.LOCAL))
        return [*events, ProofHeld(ports=self.ports, proof=self.proof, lasts=Seconds(0.0))]

    # Within

    def _take_in(self, fact: Fact) -> None:
        match fact:
            case SessionEnded() if fact.settlement.record.order.session == self._session:
                self._ended = fact.settlement
                self._keep_outlived(fact.settlement.detail)
            case WiringSuspect() if self._closing is not None:
                self._shown_at = (fact.ports[1], Watts(fact.detail.measured or 0.0))
            case PortTripped() | PortLockedOut() if self._closing is not None and fact.latch is not None:
                one = (fact.port, fact.latch.function)
                if fact.port == self._closing and fact.latch.function != SUSPECT:
                    self._latched = self._latched or fact.latch.function
                elif fact.latch.function == WELDED and fact.port in self._idle:
                    self._called_welded.add(fact.port)
                if one not in self.evidence.provoked:
                    self._keep(replace(self.evidence, provoked=(*self.evidence.provoked, one)))
            case _:
                pass

    def _keep_outlived(self, detail: StopDetail | None) -> None:
        """Keep at once that a board has not opened by itself: whoever proves may be gone before all is at rest."""
        if self._withheld is not None and detail is not None and detail.function == OUTLIVED:
            self._keep_test(_lapsed(self._withheld, detail))

    def _keep_test(self, test: LeaseTest) -> None:
        if test not in self.evidence.leases:
            self._keep(replace(self.evidence, leases=(*self.evidence.leases, test)))

    def _keep(self, evidence: Evidence) -> None:
        self.evidence, self.has_changed = evidence, True

    def _keep_hold(self) -> None:
        now = self._sight.now.instant
        if not self._leaving and (self._hold_at is None or now >= self._hold_at):
            self._hold_at = after(now, HELD_EVERY)
            self._events.append(ProofHeld(ports=self.ports, proof=self.proof, lasts=HELD_FOR))

    @property
    def _now(self) -> Instant:
        return self._sight.now.instant

    def _view(self, port: PortId) -> PortView:
        return self._sight.views[port]

    @property
    def _verdicts(self) -> Verdicts:
        return Verdicts(self._plan, self.evidence, self._load)

    # The course

    def _run(self) -> Steps:
        yield
        self.refused = {port: self._why_not_held(port) for port in self.ports if not self._holds(port)}
        if self.refused:
            yield from self._leave()
            return
        self._keep_latched()
        with suppress(_NotOpenError):
            yield from self._go_through()
        yield from self._leave()

    def _go_through(self) -> Steps:
        todo = [port for port in self.ports if self.evidence.own(port) is None]
        if todo and not self._moving:
            yield from self._ask(Ask.PLUG_ALL, None)
        for port in todo:
            yield from self._demand_open()
            if self._moving:
                said = yield from self._ask(Ask.PLUG, port)
                if said is Answer.SKIP:
                    self._keep(replace(self.evidence, skipped=(*self.evidence.skipped, port)))
                    continue
            yield from self._prove(port)
            if self._is_sound(port) and self._is_to_test(port):
                yield from self._test_lease(port)
        yield from self._test_boards()

    def _demand_open(self) -> Steps:
        """Nothing is closed while a relay that the proof has closed before is not known to be open again.

        A daemon that has just begun may have to read it first. Raises `_NotOpenError`.
        """
        told = {closing.relay for closing in self.evidence.closings if closing.refused is None}
        since = self._now
        while any(self._view(port).relay.closed is not False for port in told):
            if between(since, self._now) > ENDS_WITHIN:
                raise _NotOpenError
            yield

    def _holds(self, port: PortId) -> bool:
        view = self._sight.views.get(port)
        return view is not None and view.proof == self.proof

    def _why_not_held(self, port: PortId) -> Code:
        view = self._sight.views.get(port)
        if view is None:
            return Code.UNKNOWN_PORT
        return Code.BUSY if view.session is not None else Code.PROVING

    def _ask(self, ask: Ask, port: PortId | None) -> Generator[None, None, Answer]:
        self._said = None
        self.question = Question(ask=ask, port=port)
        while (said := self._answered()) is None:
            yield
        self.question = None
        return said

    def _answered(self) -> Answer | None:
        return self._said

    def _is_sound(self, port: PortId) -> bool:
        own = self.evidence.own(port)
        return own is not None and own.closed and not self._verdicts.of_port(port)

    def _prove(self, port: PortId) -> Steps:
        loads = (port,) if self._moving else self.ports
        self._tell(Doing.CLOSE, port)
        closing = yield from self._close(port, loads)
        if closing.closed and not moved(closing) and self._moving and closing.ended is None:
            yield from self._search(port)
        found = self._verdicts.of_port(port)
        self._tell(Doing.PORT, port, result=Result.FINDINGS if found else Result.PROVED)

    def _search(self, port: PortId) -> Steps:
        """The load stays where it is: find out which other relay feeds its socket."""
        board = self._plans[port].relay.board
        others = [other for other in self.ports if other != port]
        for other in sorted(others, key=lambda one: self._plans[one].relay.board != board):
            if self._is_sound(other):
                continue  # Its relay is known to feed its own socket.
            self._tell(Doing.SEARCH, other)
            closing = yield from self._close(other, (port,))
            if moved(closing):
                return

    def _tell(
        self, doing: Doing, port: PortId, *, result: Result | None = None, power: Watts | None = None
    ) -> None:
        board = self._plans[port].relay.board if port in self._plans else None
        self.news.append(News(doing=doing, port=port, board=board, result=result, power=power))

    # One closing

    def _close(self, port: PortId, loads: tuple[PortId, ...]) -> Generator[None, None, Closing]:
        """Close one relay until all meters have shown what comes of it; open it again, and keep what was seen."""
        yield from self._settle()
        yield from self._demand_open()
        yield from self._clear(port)
        watch = Watch(self._sight, self._readable(port), port)
        self._loads = loads
        yield from self._start(port)
        started = self._now
        refused = None
        while refused is None and self._ended is None:
            view = self._view(port)
            if view.session is None or view.session.order.session != self._session:
                refused = self._why_refused(view)
                break
            watch.look(self._sight)
            if watch.since is None:
                self._idle -= {name for name in self.ports if abs(self._view(name).measured.power or 0.0) >= MOVED}
            if watch.enough(self._sight) or (watch.since is None and between(started, self._now) >= STARTS_WITHIN):
                break
            yield
        yield from self._stop(port)
        watch.still = self._view(port).measured.power
        if self._shown_at is not None:
            watch.show(*self._shown_at)
        closing = replace(
            watch.closing(loads, self._sight),
            refused=None if refused is None else refused.value,
            ended=self._function(),
            measured=self._measured(),
            latched=self._latched or (None if self._view(port).relay_closed is False else UNCONFIRMED),
        )
        self._keep(replace(self.evidence, closings=(*self.evidence.closings, closing)))
        own = closing.of(port)
        self._tell(Doing.SHOWN, port, power=None if own is None else own.during)
        yield  # So that it is kept before anything else is done.
        return closing

    def _readable(self, port: PortId) -> tuple[PortId, ...]:
        """Return the ports whose meters are looked at: those that nobody else has closed."""
        return tuple(name for name, view in self._sight.views.items() if name == port or view.session is None)

    def _start(self, port: PortId) -> Steps:
        limits = self._plans[port].limits
        self._session, self._ended, self._shown_at = self._new_session(), None, None
        order = Order(
            session=self._session,
            port=port,
            limits=replace(limits, duration=Seconds(min(limits.duration, LONGEST))),
            order=self.proof,
            source=Source.LOCAL,
            queue_for=Seconds(0.0),
            proof=self.proof,
        )
        self._closing, self._latched, self._called_welded = port, None, set()
        self._idle = set(self.ports)
        self._events.append(StartRequested(order=order, port=port))
        yield

    @staticmethod
    def _why_refused(view: PortView) -> Code:
        return next((code for code in view.blocked_by if code is not Code.PROVING), Code.FAILED)

    def _function(self) -> str | None:
        """Return the function that has ended the session, if it was not the proof's own stop."""
        ended = self._ended
        if ended is None or (ended.detail is None and ended.reason.value == Source.LOCAL.value):
            return None
        return ended.reason.value if ended.detail is None else ended.detail.function

    def _measured(self) -> float | None:
        detail = None if self._ended is None else self._ended.detail
        return None if detail is None else detail.measured

    def _stop(self, port: PortId) -> Steps:
        """Open again, and wait until the session is settled and what flows now is known."""
        view = self._view(port)
        if view.session is not None and view.session.order.session == self._session:
            self._events.append(StopRequested(port=port, session=self._session, source=Source.LOCAL))
            yield
        yield from self._settle()
        self._clear_welds()
        self._closing = None

    def _settle(self) -> Steps:
        """Wait until no port of the proof has a session, none is closed, and all meters have been read since."""
        began, quiet_from = self._now, None
        while between(began, self._now) < ENDS_WITHIN:
            at_rest = all(self._is_at_rest(self._view(port)) for port in self.ports)
            if not at_rest:
                quiet_from = None
            elif quiet_from is None:
                quiet_from = after(self._now, QUIET)
            if quiet_from is not None and all(self._is_quiet(self._view(port), quiet_from) for port in self.ports):
                break
            yield

    @staticmethod
    def _is_at_rest(view: PortView) -> bool:
        pending = Code.LATCHED in view.blocked_by and not view.latches
        return view.session is None and view.relay_closed is False and not pending

    @staticmethod
    def _is_quiet(view: PortView, since: Instant) -> bool:
        """Say whether a meter has been read since, or cannot be."""
        at = view.measured.at
        return (at is not None and at >= since) or not view.measured.fresh

    def _clear_welds(self) -> None:
        """Clear the lock-outs of ports whose current went with the opening of another one: they are not welded.

        Only of sockets without a load: in one that has it the current would go with the plug as well.
        """
        for port in self._called_welded - set(self._loads):
            view = self._view(port)
            power = view.measured.power
            if view.measured.fresh and power is not None and abs(power) < MOVED:
                self._events.append(ProofCleared(port=port, proof=self.proof, functions=frozenset({WELDED})))

    def _clear(self, port: PortId) -> Steps:
        """Clear what the proof itself has provoked at a port that is to be closed next."""
        latched = any(latch.function == SUSPECT for latch in self._view(port).latches)
        if latched and (port, SUSPECT) in self.evidence.provoked:
            self._events.append(ProofCleared(port=port, proof=self.proof, functions=frozenset({SUSPECT})))
            yield

    def _keep_latched(self, crossed: tuple[PortId, ...] = ()) -> None:
        """Keep of what was provoked what is latched, or will be: a later suspicion is not a proof's to clear."""
        views = self._sight.views
        held = {name for name, view in views.items() if any(latch.function == SUSPECT for latch in view.latches)}
        names = dict.fromkeys(
            (*(port for port, function in self.evidence.provoked if function == SUSPECT), *crossed)
        )
        provoked = tuple((port, SUSPECT) for port in names if port in held or port in crossed)
        if provoked != self.evidence.provoked:
            self._keep(replace(self.evidence, provoked=provoked))

    # The lease

    def _is_to_test(self, port: PortId) -> bool:
        relay = self._plans[port].relay
        test = self.evidence.lease(relay.board)
        return test is None and relay.lease is not None and relay.dead_man is not DeadMan.NONE

    def _test_boards(self) -> Steps:
        """Test the boards that are left: those of a proof that was broken off in between."""
        for port in self.ports:
            if self._is_sound(port) and self._is_to_test(port):
                if self._moving:
                    said = yield from self._ask(Ask.PLUG, port)
                    if said is Answer.SKIP:
                        continue
                yield from self._test_lease(port)

    def _test_lease(self, port: PortId) -> Steps:
        relay = self._plans[port].relay
        assert relay.lease is not None
        test = LeaseTest(board=relay.board, port=port, lease=relay.lease, at_ms=self._sight.now.wall_ms)
        test = yield from self._test_renewal(test, relay)
        if test.why is None and not test.fell_open:
            if self._asks:
                said = yield from self._ask(Ask.STEADY, port)
                test = replace(test, flickered={Answer.YES: False, Answer.NO: True}.get(said))
            test = yield from self._test_lapse(test, relay)
        self._keep_test(test)
        self._tell(Doing.BOARD, port)
        yield

    def _begin_test(self, port: PortId) -> Generator[None, None, bool]:
        """Close, and wait until current flows; say whether it does."""
        yield from self._settle()
        yield from self._demand_open()
        yield from self._clear(port)
        yield from self._start(port)
        began = self._now
        while self._ended is None and between(began, self._now) < STARTS_WITHIN:
            view = self._view(port)
            if view.session is None:
                return False
            if view.state is PortState.CHARGING and abs(view.measured.power or 0.0) >= MOVED:
                return True
            yield
        return False

    def _test_renewal(self, test: LeaseTest, relay: RelayPlan) -> Generator[None, None, LeaseTest]:
        """Renew for a while and look whether the load notices; then open plainly and look whether that holds."""
        port = test.port
        self._tell(Doing.RENEW, port)
        flows = yield from self._begin_test(port)
        if not flows:
            yield from self._stop(port)
            return replace(test, why=self._function() or "no_load")
        began, powers, goes_on = self._now, [abs(self._view(port).measured.power or 0.0)], True
        fell = False
        while between(began, self._now) < RENEWALS * relay.renew_every and goes_on and not fell:
            yield
            view = self._view(port)
            goes_on = view.session is not None and view.state in OPEN_STATES
            fell = goes_on and view.relay_closed is False
            if view.measured.power is not None and goes_on and not fell:
                powers.append(abs(view.measured.power))
        lasted = Seconds(between(began, self._now))
        test = replace(test, renewed_for=lasted, lowest=min(powers) / max(powers), fell_open=fell)
        if fell or not goes_on:
            yield from self._stop(port)
            function = self._function()
            fell = fell or function == STUCK_OPEN
            return replace(test, fell_open=fell, why=None if fell else function or "interrupted")
        return (yield from self._test_off(test))

    def _test_off(self, test: LeaseTest) -> Generator[None, None, LeaseTest]:
        """Open plainly, while the lease has seconds to run, and look whether it stays open beyond its end."""
        port, told = test.port, self._now
        self._tell(Doing.OFF, port)
        self._events.append(StopRequested(port=port, session=self._session, source=Source.LOCAL))
        opened: Instant | None = None
        stayed = True
        while between(told, self._now) < test.lease + MARGIN:
            yield
            view = self._view(port)
            if opened is None and view.relay_closed is False:
                opened = self._now
            elif opened is not None and (view.relay_closed or self._flows(port, opened)):
                stayed = False
        yield from self._stop(port)
        off = Seconds(between(told, self._now if opened is None else opened))
        return replace(test, off_after=off, off_stayed=stayed)

    def _flows(self, port: PortId, opened: Instant) -> bool:
        """Say whether its meter shows a load in a reading that can no longer be from before its opening."""
        measured = self._view(port).measured
        shows = after(opened, Seconds(REFRESHES * self._plans[port].meter.refresh))
        return measured.at is not None and measured.at >= shows and abs(measured.power or 0.0) >= GONE

    def _test_lapse(self, test: LeaseTest, relay: RelayPlan) -> Generator[None, None, LeaseTest]:
        """Close, renew no more, and look whether the board opens by itself."""
        port = test.port
        self._tell(Doing.LAPSE, port)
        self._withheld = test
        flows = yield from self._begin_test(port)
        if flows:
            self._events.append(LeaseWithheld(port=port))
            began = self._now
            while self._ended is None and between(began, self._now) < 2 * test.lease + relay.renew_every:
                yield
        yield from self._stop(port)
        self._withheld = None
        detail = None if self._ended is None else self._ended.detail
        if detail is None or detail.function not in {LAPSED, OUTLIVED}:
            return replace(test, why=self._function() or ("no_load" if not flows else "not_withheld"))
        return _lapsed(test, detail)

    # Its end

    def _leave(self) -> Steps:
        """Stop what is under way, latch what is exchanged, and let the ports go."""
        self._leaving = True
        mine = [port for port in self.ports if self._is_mine(port)]
        for port in mine:
            session = self._view(port).session
            assert session is not None
            self._events.append(StopRequested(port=port, session=session.order.session, source=Source.LOCAL))
        if mine:
            yield
        began = self._now
        while any(self._is_mine(port) for port in self.ports) and between(began, self._now) < ENDS_WITHIN:
            yield
        crossed = self._verdicts.crossed(self.ports)
        if not self.refused:
            self._keep_latched(crossed)
        if crossed:
            self._events.append(ProofSuspected(ports=crossed))
        self._events.append(ProofHeld(ports=self.ports, proof=self.proof, lasts=Seconds(0.0)))

    def _is_mine(self, port: PortId) -> bool:
        view = self._sight.views.get(port)
        return view is not None and view.session is not None and view.session.order.proof == self.proof
