"""Books kept beside a world: what must hold of contacts, sessions and answers, by what was, not what was said."""

from collections import Counter

from chargerd.core.commands import (
    Answer,
    CloseRelay,
    OpenRelay,
    Persist,
    RenewLease,
    ReplyStatus,
)
from chargerd.core.events import MeterReading, Persisted, RelayReadBack, StoreChanged
from chargerd.core.facts import (
    LatchesCleared,
    PortLockedOut,
    PortTripped,
    RelayNotReconciled,
    SessionEnded,
)
from chargerd.core.session import Settlement
from chargerd.core.units import PortId, SessionId
from tests.core.plant import TIMEOUT, TRANSACTION
from tests.core.world import World

LEASE = 6.0
RECONCILE = 5.0
SLACK = 0.05
"""Seconds of virtual time for events of one instant to come in."""


class Books:
    """Watches a world and asserts, each time something happens, that it may."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.accepted: Counter[str] = Counter()
        self.final: Counter[str] = Counter()
        self.sessions: set[SessionId] = set()
        self.ended: Counter[SessionId] = Counter()
        self.settlements: list[Settlement] = []
        self.suspect: set[PortId] = set()
        """Ports whose contact was tampered with since their relay was last told to close."""
        self._pending: dict[int, tuple[PortId, SessionId]] = {}
        self._durable: dict[PortId, SessionId] = {}
        self._told_to_close: dict[PortId, float] = {}
        self._barred: set[tuple[PortId, SessionId]] = set()
        self._latched: set[tuple[PortId, str]] = {(latch.port, latch.function) for latch in world.latches_at_start}
        self._heard: dict[PortId, list[float]] = {port.id: [] for port in world.plan.ports}
        self._must_open: set[PortId] = set()
        self._opened_last: dict[PortId, float] = {}
        self._locked: dict[PortId, float] = {}
        self._writable = True
        self._began = world.now
        self._unreconciled = {port.id for port in world.plan.ports}
        self._stale = {
            port.id: max(port.protection.stale_after, 3 * port.meter.refresh) for port in world.plan.ports
        }
        self._leased = {port.id for port in world.plan.ports if port.relay.lease is not None}
        world.watchers.append(self.see)

    def restarted(self) -> None:
        """A new daemon: what the journal holds it has to settle; what was only accepted is answered by others."""
        for session in self.sessions - set(self.ended) - set(self.world.journal.records):
            self.ended[session] += 1
        self.accepted = Counter(command for command in self.accepted if self.final[command])
        self._pending.clear()
        self._durable.clear()
        self._told_to_close.clear()
        self._must_open.clear()
        self._writable = True
        self._began = self.world.now
        self._unreconciled = {port.id for port in self.world.plan.ports}

    # Seeing

    def see(self, now: float, what: object) -> None:
        """Take note of an event, a command, a fact, or a contact that has moved."""
        match what:
            case "restart":
                self.restarted()
            case OpenRelay() | CloseRelay() | RenewLease() | Persist() | Answer():
                self._see_command(now, what)
            case PortTripped() | PortLockedOut() | LatchesCleared() | SessionEnded() | RelayNotReconciled():
                self._see_fact(now, what)
            case (str() as port, bool() as closed, str() as by):
                self._see_contact(now, PortId(port), by, closed=closed)
            case _:
                self._see_event(now, what)

    def _see_event(self, now: float, what: object) -> None:
        assert not self._must_open, f"S2: {self._must_open} not opened at once\n{self.world.print()}"
        match what:
            case MeterReading() if what.current is not None:
                self._heard[what.port].append(what.at)
                since = self._told_to_close.get(what.port)
                if since is not None and what.at > since and what.current >= 3 * 5.0:
                    self._must_open.add(what.port)
            case RelayReadBack() if not what.closed:
                self._unreconciled.discard(what.port)
            case Persisted() if what.token in self._pending:
                port, session = self._pending.pop(what.token)
                self._durable[port] = session
            case StoreChanged():
                self._writable = what.writable
            case _:
                pass
        self.check(now)

    def _see_command(self, now: float, what: OpenRelay | CloseRelay | RenewLease | Persist | Answer) -> None:
        match what:
            case OpenRelay():
                self._must_open.discard(what.port)
                self._told_to_close.pop(what.port, None)
                self._opened_last[what.port] = now
            case CloseRelay():
                self._may_be_told(now, what)
                self._told_to_close[what.port] = now
                self.suspect.discard(what.port)
                agreeing = [at for at in self._heard[what.port] if now - at < 3 * 3.0 + 1]
                assert len(agreeing) >= 2, "two readings"
                assert self._writable, "S6: the store cannot be written"
            case RenewLease():
                self._may_be_told(now, what)
            case Persist():
                self._durable.pop(what.port, None)
                self._pending[what.token] = (what.port, what.record.order.session)
            case Answer():
                self._see_answer(what)

    def _may_be_told(self, now: float, what: CloseRelay | RenewLease) -> None:
        session = self._durable.get(what.port)
        assert session is not None, self._said("S1", what)
        assert session not in self.ended, self._said("S1", what)
        assert (what.port, session) not in self._barred, self._said("S5", what)
        assert not [port for port, _ in self._latched if port == what.port], self._said("S6", what)
        assert now - self._heard[what.port][-1] < self._stale[what.port] + SLACK, self._said("S6", what)

    def _said(self, rule: str, what: object) -> str:
        return f"{rule}: {what} at {self.world.elapsed}\n{self.world.print()}"

    def _see_answer(self, answer: Answer) -> None:
        if answer.status is ReplyStatus.ACCEPTED:
            self.accepted[answer.command] += 1
            if answer.name == "start":
                assert answer.session is not None
                self.sessions.add(answer.session)
        else:
            self.final[answer.command] += 1
        assert self.accepted[answer.command] <= 1, answer
        assert self.final[answer.command] <= 1, answer

    def _see_fact(
        self,
        now: float,
        what: PortTripped | PortLockedOut | LatchesCleared | SessionEnded | RelayNotReconciled,
    ) -> None:
        match what:
            case PortTripped() | PortLockedOut():
                if what.session is not None:
                    self._barred.add((what.port, what.session))
                if what.latch is not None:
                    self._latched.add((what.port, what.latch.function))
                if isinstance(what, PortLockedOut):
                    self._locked[what.port] = now
                    self._unreconciled.discard(what.port)
            case LatchesCleared():
                self._latched -= {(what.port, function) for function in what.functions}
            case SessionEnded():
                self._see_end(now, what.settlement)
            case RelayNotReconciled():
                self._unreconciled.discard(what.port)

    def _see_end(self, now: float, settled: Settlement) -> None:
        order = settled.record.order
        self.ended[order.session] += 1
        self.settlements.append(settled)
        assert self.ended[order.session] == 1, f"{order.session} ended twice\n{self.world.print()}"
        tiers, record = settled.record.tiers, settled.record
        assert abs(sum(tier.energy for tier in tiers) - record.energy) < 1e-6, "tiers sum to the energy"
        assert abs(sum(tier.charging for tier in tiers) - record.charging) < 1e-6, "tiers sum to the time"
        if order.port in self._leased and not self._excused(now, order.port):
            closed = self.world.contacts[order.port].closed
            assert not closed, f"S1: {order.session} ended with its contact closed\n{self.world.print()}"

    def _see_contact(self, now: float, port: PortId, by: str, *, closed: bool) -> None:
        if by not in {"open", "close", "renew", "lapse"}:
            self.suspect.add(port)
        if not closed or port in self.suspect:
            return
        assert by == "close", self._said("S6: a renewal has closed", port)
        session = self._durable.get(port)
        dead = self.world.dead
        assert dead or session is not None, self._said("S1: closed without a durable session", port)
        told = self._told_to_close.get(port)
        in_flight = now - self._opened_last.get(port, 0.0) <= TRANSACTION + TIMEOUT
        assert dead or told is not None or in_flight, self._said("S5: closed though told to open", port)

    # Checking

    def _excused(self, now: float, port: PortId) -> bool:
        """A contact that somebody tampered with, a port locked out at this moment, or a dead daemon's lease."""
        contact = self.world.contacts[port]
        return (
            contact.welded
            or port in self.suspect
            or self._locked.get(port) == now
            or now - self._began <= LEASE + 1
        )

    def check(self, now: float) -> None:
        """Assert what must hold at any time."""
        late = self.world.wake_late + SLACK
        for port, since in self._told_to_close.items():
            heard = max(self._heard[port][-1], since - 3.0)
            blind = now - heard
            assert blind <= self._stale[port] + late, f"S3: {port} blind for {blind}\n{self.world.print()}"
        for port, contact in self.world.contacts.items():
            if contact.closed and port in self._leased and not self._excused(now, port):
                blind = now - self._heard[port][-1]
                assert blind <= self._stale[port] + LEASE + 1 + late, f"S3: {port} closed and blind"
                assert not self._long_ended(now, port), (
                    f"S1: {port} closed without a session\n{self.world.print()}"
                )
        if now > self._began + RECONCILE + late:
            assert not self._unreconciled, f"S9: {self._unreconciled}\n{self.world.print()}"

    def _long_ended(self, now: float, port: PortId) -> bool:
        opened = self._opened_last.get(port)
        return (
            port not in self._told_to_close
            and opened is not None
            and now - opened > 4 * LEASE
            and (port not in self._locked)
        )

    def close(self) -> None:
        """Assert what must hold when all faults are gone and the daemon has left."""
        assert self.sessions <= set(self.ended), f"never ended: {self.sessions - set(self.ended)}"
        unanswered = {command for command in self.accepted if not self.final[command]}
        assert not unanswered, f"never answered: {unanswered}\n{self.world.print()}"
        assert not [port for port, contact in self.world.contacts.items() if contact.closed]
