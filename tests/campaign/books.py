"""Books of what really happened: contacts, readings, sessions and answers, kept apart from what is under test."""

from collections import Counter
from collections.abc import Iterator, Mapping
from math import isfinite

from chargerd.core.commands import Answer, CloseRelay, OpenRelay, RenewLease, ReplyStatus
from chargerd.core.events import MeterReading, RelayReadBack
from chargerd.core.facts import (
    CircuitTripped,
    InputTripped,
    LatchesCleared,
    PortLockedOut,
    PortTripped,
    RelayNotReconciled,
    SessionEnded,
    SessionSuspended,
)
from chargerd.core.plan import Phase, holder_of
from chargerd.core.units import CircuitId, PortId, SessionId
from tests.campaign.shed import Shed
from tests.contract.checking import complaints
from tests.core.plant import TIMEOUT, TRANSACTION

LEASE = 6.0
STALE = 3.0
RECONCILE = 5.0
INSTANT = 3 * 5.0
"""Amperes that no port of the shed may carry, inrush or not."""
SLACK = 0.05
APART, BACK_APART = 1.0, 0.25
"""Seconds between two closings of a circuit, however long they have waited in their bus; and before one that comes
back within the boot in which the daemon before had ended."""


AWAY = {"power_loss", "restart"}
"""The gateway was away, whoever says so."""
OPENED_WITHIN = LEASE + 4.0
"""After a trip of a circuit: whatever its bus does, leases lapse."""
SHED_WITHIN = 30.0
"""Two seconds, and then one relay after the other; each waits for its reading, at worst for its lease."""


def _chain(circuit: CircuitId, parents: Mapping[CircuitId, CircuitId | None]) -> Iterator[CircuitId]:
    at: CircuitId | None = circuit
    while at is not None:
        yield at
        at = parents[at]


class Truth:
    """Watches a shed and asserts, each time something happens, that it may."""

    def __init__(self, shed: Shed) -> None:
        self.shed = shed
        self.accepted: Counter[str] = Counter()
        self.final: Counter[str] = Counter()
        self.started: set[SessionId] = set()
        self.unwanted: set[SessionId] = set()
        """Sessions that somebody has stopped by name: no relay closes for them any more."""
        self.ended: Counter[SessionId] = Counter()
        self.reasons: Counter[str] = Counter()
        self._ports = {port.id: port for port in shed.plan.ports}
        self._told_to_close: dict[PortId, float] = {}
        self._told_to_open: dict[PortId, float] = {}
        self._heard: dict[PortId, float] = {}
        self._locked: set[PortId] = set()
        self._barred: set[SessionId] = set()
        self._latched: set[tuple[PortId, str]] = set()
        self._tampered: set[PortId] = set()
        self._too_much: dict[PortId, float] = {}
        self._began = shed.now
        self._closed_last: dict[PortId, float] = {}
        """When a relay below each circuit last closed."""
        self._found: dict[PortId, int] = {}
        """Whose session an end of the daemon has interrupted, and nothing since: the boot of its record."""
        self._open_ones = set(self._ports)
        self._tripped: dict[PortId, float] = {}
        self._over_from: dict[CircuitId, float] = {}
        self._ratings = {it.id: it.rating for it in shed.plan.circuits if it.rating is not None}
        parents = {it.id: it.parent for it in shed.plan.circuits}
        above = {it: tuple(_chain(it, parents)) for it in parents}
        self._below = {
            it: [port.id for port in shed.plan.ports if it in above.get(port.circuit, ())] for it in above
        }
        self._holders = {port.id: tuple(map(holder_of, above.get(port.circuit, ()))) for port in shed.plan.ports}
        self._holders |= {contactor: tuple(map(holder_of, above[it])) for contactor, it in shed.switched.items()}
        shed.watchers.append(self.see)

    def see(self, now: float, what: object) -> None:  # noqa: C901 - one line each
        """Take note of an event, a command, a fact, or a contact that has moved."""
        match what:
            case MeterReading():
                self._reading(now, what)
            case RelayReadBack():
                if not what.closed:
                    self._open_ones.discard(what.port)
            case OpenRelay() | CloseRelay() | RenewLease() | Answer():
                self._command(now, what)
            case PortTripped() | PortLockedOut() | LatchesCleared() | SessionEnded() | RelayNotReconciled():
                self._fact(what)
            case InputTripped() | CircuitTripped():
                self._circuit_trips(now, what)
            case (str() as port, bool() as closed, str() as by):
                self._contact(now, PortId(port), by, closed=closed)
            case "restart":
                self._found = {one.order.port: one.at.boot for one in self.shed.durable_sessions()}
                self._restart()
            case "begin":
                self._closed_last.clear()
                self._began, self._open_ones = now, set(self._ports)
            case SessionSuspended() if what.reason not in AWAY:
                self._found.pop(what.record.order.port, None)
            case _:
                pass

    def _command(self, now: float, command: OpenRelay | CloseRelay | RenewLease | Answer) -> None:
        match command:
            case OpenRelay():
                self._too_much.pop(command.port, None)
                self._told_to_close.pop(command.port, None)
                self._told_to_open[command.port] = now
            case Answer():
                self._answer(command)
            case _:
                self._closing(now, command)

    def _restart(self) -> None:
        self._told_to_close.clear()
        self._too_much.clear()
        # What had not reached the file was told nobody: the next daemon settles it again.
        written = set(self.shed.settlement_rows()) | self.shed.handed_in
        self.ended = Counter(session for session in self.ended if session in written)
        # Nor does it know of a trip that came after its disk had stalled.
        self._latched = {(latch.port, latch.function) for latch in self.shed.durable_latches()}
        self._locked &= {port for port, _ in self._latched}
        # Nor of a stop that had acted, and had not reached it.
        self.unwanted.clear()
        # No more was a last word that had not reached it.
        self.final = Counter(command for command in self.final if self._told(command))
        # Commands that were not durable yet are unknown to the next daemon; their senders ask again.
        self.accepted = Counter(command for command in self.accepted if self.final[command])

    def _told(self, command: str) -> set[str]:
        """Return the last words that have gone out to whoever sent a command."""
        return {said for said in self.shed.replies.get(command, ()) if not said.startswith("accepted")}

    def _reading(self, now: float, reading: MeterReading) -> None:
        assert not self._too_much, self._said("S2", f"{self._too_much} not opened at once")
        if reading.current is None or not isfinite(reading.current):
            return
        self._heard[reading.port] = reading.at
        since = self._told_to_close.get(reading.port)
        if since is not None and reading.at > since and reading.current >= INSTANT:
            self._too_much[reading.port] = now

    def _circuit_trips(self, now: float, fact: InputTripped | CircuitTripped) -> None:
        self.reasons[fact.function] += 1
        if fact.latch is not None:
            self._latched.add((fact.latch.port, fact.latch.function))
            self._tripped[fact.latch.port] = now

    def _held(self, port: PortId) -> list[str]:
        """Return the latches that hold a port or a contactor, its circuits' own among them."""
        holders = {port, *self._holders[port]}
        return [function for name, function in self._latched if name in holders]

    def _closing(self, now: float, command: CloseRelay | RenewLease) -> None:
        port = command.port
        assert not self._held(port), self._said(f"S6: latched {self._held(port)}", port)
        if port in self.shed.switched:
            self._tampered.discard(port)
            self._told_to_close[port] = now
            return
        heard = self._heard.get(port, -1e9)
        assert now - heard <= STALE + SLACK, self._said("S6: not seen", port)
        if isinstance(command, CloseRelay):
            durable = {record.order.port: record.order.session for record in self.shed.durable_sessions()}
            assert port in durable, self._said("S1: not durable", port)
            assert durable[port] not in self.unwanted, self._said("S8: closed after its stop", port)
            self._tampered.discard(port)
            self._told_to_close[port] = now

    def _answer(self, answer: Answer) -> None:
        if answer.status is ReplyStatus.ACCEPTED:
            self.accepted[answer.command] += 1
            if answer.name == "start" and answer.session is not None:
                self.started.add(answer.session)
        else:
            self.final[answer.command] += 1
        assert self.accepted[answer.command] <= 1, answer
        assert self.final[answer.command] <= 1, answer

    def _fact(
        self, fact: PortTripped | PortLockedOut | LatchesCleared | SessionEnded | RelayNotReconciled
    ) -> None:
        match fact:
            case PortTripped() | PortLockedOut():
                self.reasons[fact.latch.function if isinstance(fact, PortLockedOut) else fact.function] += 1
                if fact.latch is not None:
                    self._latched.add((fact.port, fact.latch.function))
                if isinstance(fact, PortLockedOut):
                    self._locked.add(fact.port)
                    self._open_ones.discard(fact.port)
            case LatchesCleared():
                self._latched -= {(fact.port, function) for function in fact.functions}
                self._locked -= {fact.port} - {port for port, _ in self._latched}
            case SessionEnded():
                self._end(fact)
            case RelayNotReconciled():
                self._open_ones.discard(fact.port)

    def _end(self, fact: SessionEnded) -> None:
        settled = fact.settlement
        record = settled.record
        self.ended[record.order.session] += 1
        self.reasons[f"ended {settled.reason.value}"] += 1
        assert self.ended[record.order.session] == 1, self._said("S7: ended twice", record.order.session)
        assert abs(sum(tier.energy for tier in record.tiers) - record.energy) < 1e-6, "tiers sum to the energy"
        assert record.charging >= 0 <= record.energy, record

    def _contact(self, now: float, port: PortId, by: str, *, closed: bool) -> None:
        if by in {"freed", "power"}:
            self._tampered.add(port)
        if not closed or port in self._tampered or self.shed.dead:
            return
        assert by == "close", self._said("S5: a renewal has closed", port)
        in_flight = now - self._told_to_open.get(port, -1e9) <= 2 * (TRANSACTION + TIMEOUT)
        assert port in self._told_to_close or in_flight, self._said("S5: closed though told to open", port)
        for circuit in self._holders[port] if port in self._ports else ():
            last = self._closed_last.get(circuit, -1e9)
            apart = BACK_APART if self._found.get(port) == self.shed.clock.boot else APART
            assert now - last >= apart, self._said(
                f"two relays of {circuit} closed within {now - last:.3f} s", port
            )
            self._closed_last[circuit] = now
        self._found.pop(port, None)

    def closed(self, port: PortId) -> bool:
        """Say whether a port's relay was told to close, and nothing else since."""
        return port in self._told_to_close

    def locked(self, port: PortId) -> bool:
        """Say whether a port is locked out."""
        return port in self._locked

    def check(self, now: float) -> None:
        """Assert what must hold at any time."""
        shed = self.shed
        if shed.dead:
            return
        for port, since in self._told_to_close.items():
            if port in shed.switched:
                continue
            blind = now - max(self._heard.get(port, since), since)
            assert blind <= STALE + SLACK, self._said(f"S3: blind for {blind}", port)
        for port, contact in shed.contacts.items():
            if not contact.closed or contact.welded or port in self._tampered or port in self._locked:
                continue
            told = max(self._told_to_open.get(port, 0.0), self._began)
            assert port in self._told_to_close or now - told <= 2 * LEASE + 3, self._said("S11: left closed", port)
        self._check_circuits(now)
        if now > self._began + RECONCILE + SLACK:
            assert not self._open_ones, self._said("S9", self._open_ones)

    def _check_circuits(self, now: float) -> None:
        """Assert that no circuit carries too much for long, and that what has tripped is open."""
        shed = self.shed
        for circuit, ports in self._below.items():
            flows = [port for port in ports if shed.energised(port)]
            for port in flows:
                tripped = self._tripped.get(holder_of(circuit), now)
                excused = shed.contacts[port].welded or port in self._tampered or port in self._locked
                assert excused or now - max(tripped, self._began) <= OPENED_WITHIN or not self._is_held(circuit), (
                    self._said(f"S2: {circuit} has tripped and is fed", port)
                )
            rating = self._ratings.get(circuit)
            load = max(
                sum(shed.loads[port].amps for port in flows if self._ports[port].phase in {phase, Phase.ALL})
                for phase in (Phase.L1, Phase.L2, Phase.L3)
            )
            welded = any(shed.contacts[port].welded for port in flows)
            if rating is None or load < rating or welded:
                self._over_from.pop(circuit, None)
                continue
            since = self._over_from.setdefault(circuit, now)
            assert now - max(since, self._began) <= SHED_WITHIN, self._said(f"S12: {load:.1f} A", circuit)

    def _is_held(self, circuit: CircuitId) -> bool:
        return any(name == holder_of(circuit) for name, _ in self._latched)

    def close(self) -> None:
        """Assert what must hold when all faults are gone and every session was stopped."""
        unsettled = self.started - set(self.ended)
        assert not unsettled, self._said("S7: never ended", unsettled)
        unanswered = {command for command in self.accepted if not self.final[command]}
        assert not unanswered, self._said("S8: never answered", unanswered)
        for command in self.shed.replies:
            assert len(self._told(command)) <= 1, self._said("S8: two last words", self._told(command))
        rows = self.shed.settlement_rows()
        counted = Counter(rows)
        known = set(counted) | self.shed.handed_in
        assert known == set(self.ended), self._said("S7", known ^ set(self.ended))
        assert max(counted.values(), default=1) == 1, self._said("S7: settled twice", counted)
        assert self.shed.real.verify_settlements() == ()
        wrong = [one for topic, payload in self.shed.payloads() for one in complaints(topic, payload)]
        assert not wrong, self._said("the contract", wrong[:3])
        left = [port for port, contact in self.shed.contacts.items() if contact.closed]
        assert not left, self._said("S11: left closed", left)

    def _said(self, rule: str, what: object) -> str:
        return f"{rule}: {what} at {self.shed.elapsed:.3f}\n{self.shed.tail()}"
