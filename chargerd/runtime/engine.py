"""The only caller of the station: one lock, one order, deadlines, and what happens when something goes wrong.

An event is handled in the thread that brings it. What comes out of it is handed on before the lock is released, so
that commands and records leave in the order in which they were decided; nothing that is called under the lock
blocks. Commands to relays go out before anything is recorded.
"""

import threading
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Protocol, TypeAlias

from chargerd import log
from chargerd.contract.ledger import Batch
from chargerd.core.clock import Clock
from chargerd.core.commands import (
    Amend,
    Answer,
    BusCommand,
    Checkpoint,
    CloseRelay,
    Command,
    OpenRelay,
    Persist,
    ReadEnergy,
    RenewLease,
    SetPace,
)
from chargerd.core.events import DeadlineReached, Event, Persisted, PersistFailed
from chargerd.core.facts import Fact
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outcome
from chargerd.core.plan import contactors_last
from chargerd.core.session import SessionRecord, ThermalState
from chargerd.core.station import Station
from chargerd.core.units import BoardId, CircuitId, CommandId, Instant, PortId, Seconds
from chargerd.core.view import CircuitExplained, CircuitView, PortExplained, PortView

PATIENCE = Seconds(2.0)
"""How long an event waits for its turn before the decisions count as hung; a turn takes under a millisecond."""
LONGEST_NAP = Seconds(1.0)
"""How long the deadline thread sleeps at most, so that its tick shows that it lives."""

Note: TypeAlias = Callable[[tuple[Fact, ...], Moment, tuple[Checkpoint, ...]], None]
"""Takes facts, when they were decided, and the checkpoints that belong to them."""


class BusLike(Protocol):
    """What the engine needs of a bus."""

    def execute(self, command: BusCommand) -> None:
        """Queue a command without blocking."""


class JournalLike(Protocol):
    """What the engine needs of the journal."""

    def append(self, batch: Batch, done: Callable[[bool], None] | None = None) -> None:
        """Queue a batch without blocking."""


class Engine:
    """Serialises events into the station and hands its outcomes on."""

    def __init__(
        self, station: Station, clock: Clock, journal: JournalLike, on_panic: Callable[[str], None]
    ) -> None:
        self._station = station
        self._clock = clock
        self._journal = journal
        self._on_panic = on_panic
        self._relays: Mapping[PortId, BusLike] = {}
        self._meters: Mapping[PortId, BusLike] = {}
        self._note: Note = _unnoted
        self._answer: Callable[[Answer, Moment], None] = _unheard
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._stopped = False
        self._panicked = False
        self._panicking = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
        self.last_turn: Instant = clock.now()

    def connect(
        self,
        *,
        relays: Mapping[PortId, BusLike],
        meters: Mapping[PortId, BusLike],
        note: Note,
        answer: Callable[[Answer, Moment], None],
    ) -> None:
        """Say on which bus each port's relay and meter hang, and who takes facts and answers; before `begin`.

        Both are called under the lock, so they must neither block nor dispatch.
        """
        self._relays = relays
        self._meters = meters
        self._note = note
        self._answer = answer

    def begin(
        self,
        interrupted: Iterable[SessionRecord],
        *,
        stopped: Container[PortId] = (),
        unanswered: Container[CommandId] = (),
        warmths: Iterable[ThermalState] = (),
        by_itself: bool = True,
    ) -> None:
        """Let the station begin: every relay is told to open, interrupted sessions are taken up or settled.

        `stopped`, `unanswered` and `warmths` are those of `Station.begin`.
        Where time is turned by hand (`by_itself` is false), somebody else dispatches `DeadlineReached`.
        """
        with self._lock:
            now = self._clock.moment()
            outcome = self._station.begin(
                interrupted, now, stopped=stopped, unanswered=unanswered, warmths=warmths
            )
            self._hand_on(outcome, now)
        if by_itself:
            self._thread.start()

    def next_deadline(self) -> Instant | None:
        """Return when the station wants to be woken."""
        with self._lock:
            return self._station.next_deadline()

    def stop(self) -> None:
        """End the deadline thread."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=LONGEST_NAP * 2)

    def dispatch(self, event: Event) -> None:
        """Handle one event. An exception nobody foresaw opens the relays and ends the process."""
        if self._panicked:
            return
        if not self._lock.acquire(timeout=PATIENCE):
            self.panic("the decisions hang")
            return
        try:
            self._handle(event)
        except Exception as error:
            self.panic(f"{type(error).__name__}: {error}")
            log.critical("decision_failed", event_type=type(event).__name__, exc_info=True)
        finally:
            self._lock.release()

    def _handle(self, event: Event) -> None:
        if self._panicked:
            return
        now = self._clock.moment()
        before = self._station.next_deadline()
        outcome = self._station.handle(event, now)
        if outcome.commands or outcome.facts:
            self._hand_on(outcome, now)
        after = self._station.next_deadline()
        if after is not None and (before is None or after < before):
            self._wake.notify_all()

    def panic(self, reason: str) -> None:
        """Tell every relay to open, ahead of everything else, and have the process ended.

        Waits for no lock: whoever holds it may be what has gone wrong.
        """
        with self._panicking:
            if self._panicked:
                return
            self._panicked = True
        self._on_panic(reason)
        for port in sorted(self._relays, key=contactors_last):
            self._relays[port].execute(OpenRelay(port=port))

    def cease(self) -> None:
        """Decide nothing any more: whoever gives up opens the relays, and that is no fault of theirs.

        Waits for no decision either. One that comes to its end later closes nothing.
        """
        with self._panicking:
            self._panicked = True

    # Looking

    def views(self) -> tuple[PortView, ...]:
        """Return snapshots of all ports."""
        with self._lock:
            return self._station.views(self._clock.moment())

    def circuit_views(self) -> tuple[CircuitView, ...]:
        """Return snapshots of all circuits."""
        with self._lock:
            return self._station.circuit_views(self._clock.moment())

    def view(self, port: PortId) -> PortView:
        """Return a snapshot of one port. Raises `KeyError`."""
        with self._lock:
            return self._station.view(port, self._clock.moment())

    def explain(self, port: PortId) -> PortExplained:
        """Return a port and all that holds it. Raises `KeyError`."""
        with self._lock:
            return self._station.explain(port, self._clock.moment())

    def explain_all(self) -> tuple[tuple[PortExplained, ...], tuple[CircuitExplained, ...]]:
        """Return all ports and circuits with what holds them, as of one moment."""
        with self._lock:
            return self._station.explain_all(self._clock.moment())

    def explain_circuit(self, circuit: CircuitId) -> CircuitExplained:
        """Return a circuit, what holds it, and who waits for it. Raises `KeyError`."""
        with self._lock:
            return self._station.explain_circuit(circuit, self._clock.moment())

    def changed_lines(self) -> Mapping[str, tuple[BoardId, ...]]:
        """Return the lines that have other boards than before, and the boards that show it."""
        with self._lock:
            return self._station.changed_lines()

    def at_rest(self) -> bool:
        """Say whether no session goes on; relays may be as they are."""
        with self._lock:
            return self._station.at_rest(self._clock.moment())

    def idle(self) -> bool:
        """Say whether no session is under way and every relay is open."""
        with self._lock:
            return self._station.idle()

    # Handing on

    def _hand_on(self, outcome: Outcome, now: Moment) -> None:
        # Open first, record after: an opening waits for nothing, not even for its own answer.
        for command in outcome.commands:
            if self._panicked and isinstance(command, CloseRelay | RenewLease):
                continue  # It was decided while everything was being opened.
            if isinstance(command, BusCommand):
                buses = self._meters if isinstance(command, SetPace | ReadEnergy) else self._relays
                buses[command.port].execute(command)
        # Facts and records before answers: a last word must not be durable before what it is about. A session's
        # end begins in one transaction with the trip that is behind it, or it would go on after a crash between
        # the two.
        checkpoints = tuple(command for command in outcome.commands if isinstance(command, Checkpoint))
        if outcome.facts:
            self._note(outcome.facts, now, checkpoints)
        for command in sorted(outcome.commands, key=lambda one: isinstance(one, Answer)):
            if not (outcome.facts and isinstance(command, Checkpoint)):
                self._carry_out(command, now)

    def _carry_out(self, command: Command, now: Moment) -> None:
        match command:
            case Persist() | Amend():
                self._journal.append(Batch(sessions=(command.record,)), self._answer_to(command))
            case Checkpoint():
                self._journal.append(
                    Batch(sessions=command.records, warmths=command.warmths, identities=command.identities)
                )
            case Answer():
                self._answer(command, now)
            case _:
                pass  # Commands to a bus are on their way already.

    def _answer_to(self, command: Persist | Amend) -> Callable[[bool], None]:
        def done(durable: bool) -> None:
            answer = Persisted if durable else PersistFailed
            self.dispatch(answer(port=command.port, token=command.token))

        return done

    def _run(self) -> None:
        while True:
            with self._wake:
                if self._stopped or self._panicked:
                    return
                self.last_turn = self._clock.now()
                deadline = self._station.next_deadline()
                nap = LONGEST_NAP if deadline is None else min(LONGEST_NAP, deadline - self._clock.now())
                if nap > 0:
                    self._wake.wait(nap)
                    continue
            self.dispatch(DeadlineReached())


def _unnoted(_facts: object, now: Moment, _checkpoints: object) -> None:
    _unheard(None, now)


def _unheard(_what: object, _now: Moment) -> None:
    raise RuntimeError("the engine was begun before it was connected")
