"""Books of sessions that outages have interrupted: which went on, what was counted, and what really flowed."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from chargerd.core.commands import Answer, CloseRelay, ReplyStatus
from chargerd.core.facts import PortTripped, SessionEnded, SessionResumed, SessionStarted, SessionSuspended
from chargerd.core.session import EnergyQuality, SessionRecord, Settlement, StopReason
from chargerd.core.units import PortId, SessionId
from tests.campaign.books import LEASE
from tests.campaign.shed import RESUME_WINDOW, Shed

AWAY = {StopReason.POWER_LOSS.value, StopReason.RESTART.value}
SLACK = 0.5
"""Seconds, for openings on their way and read-backs."""
ROUNDING = 1e-6
BEGINNING_AND_END = 30.0
"""Seconds a session is neither charging nor suspended: its first start sequence and its end."""
STEPS = 2.5
"""Watt-hours by which the register's step may part two of its readings from what flowed."""


@dataclass(slots=True)
class _Kept:
    """A session as the journal had it when the daemon was killed: when that was, and on which boot's clock."""

    record: SessionRecord
    made: float
    booted: float


class Outages:
    """Watches a shed through its restarts; the shed's own clock tells how long each outage really was."""

    def __init__(self, shed: Shed) -> None:
        self.shed = shed
        self.resumed = 0
        """How many sessions have gone on after an outage."""
        self.over = 0
        """How many have not."""
        self._began = shed.now
        self._least_ahead = shed.clock.offset
        """By how much the wall clock was ahead since the daemon began, at the least."""
        self._booted = {1: 0.0}
        self._kept: dict[SessionId, _Kept] = {}
        self._started: Counter[SessionId] = Counter()
        self._suspended: set[SessionId] = set()
        self._tripped: set[SessionId] = set()
        self._energy: dict[SessionId, float] = {}
        self._closed: dict[PortId, float] = {}
        self._closed_for: defaultdict[PortId, float] = defaultdict(float)
        self._closed_before: dict[SessionId, float] = {}
        self._unseen: Counter[PortId] = Counter()
        """How often a contact has opened because its board had no supply."""
        self._unseen_before: dict[SessionId, int] = {}
        self._crooked: set[PortId] = set()
        """Ports whose contact or meter was not what it should be."""
        shed.watchers.append(self.see)

    def distrust(self, port: PortId) -> None:
        """What this port's meter counts no longer tells what has flowed."""
        self._crooked.add(port)

    def see(self, now: float, what: object) -> None:  # noqa: C901 - one line each
        """Take note of what concerns sessions and their outages."""
        self._least_ahead = min(self._least_ahead, self.shed.clock.offset)
        match what:
            case "restart":
                self._restart()
            case "begin":
                self._began, self._least_ahead = now, self.shed.clock.offset
            case Answer(name="start", status=ReplyStatus.ACCEPTED):
                self._accepted(what)
            case CloseRelay():
                self._closing(what.port)
            case SessionStarted():
                self._started[what.record.order.session] += 1
                assert self._started[what.record.order.session] == 1, self._said("started twice", what)
            case SessionSuspended():
                self._suspended.add(what.record.order.session)
            case SessionResumed():
                self._resume(what.record)
            case PortTripped() if what.session is not None:
                self._tripped.add(what.session)
            case SessionEnded():
                self._end(what.settlement)
            case (str() as port, bool() as closed, str() as by):
                self._contact(now, PortId(port), closed=closed)
                self._unseen[PortId(port)] += by == "power"
            case _:
                pass

    def _restart(self) -> None:
        clock = self.shed.clock
        self._booted[clock.boot] = clock.booted
        open_ones = self.shed.durable_sessions()
        self._kept = {
            record.order.session: _Kept(
                record=record,
                made=record.at.instant + self._booted[record.at.boot],
                booted=self._booted[record.at.boot],
            )
            for record in open_ones
        }
        # What had not reached the file was told nobody.
        self._suspended &= set(self._kept)
        self._tripped &= {record.order.session for record in open_ones if record.ending is not None}

    def _accepted(self, answer: Answer) -> None:
        session, port = answer.session, answer.port
        assert session is not None
        assert port is not None
        self._energy[session] = self.shed.loads[port].energy_at(self.shed.now)
        self._closed_before[session] = self._closed_until_now(port)
        self._unseen_before[session] = self._unseen[port]

    def _closing(self, port: PortId) -> None:
        here = [record for record in self.shed.durable_sessions() if record.order.port == port]
        tripped = [record for record in here if record.order.session in self._tripped]
        assert not tripped, self._said("S5: closed after a trip", tripped)

    def _resume(self, record: SessionRecord) -> None:
        session = record.order.session
        assert session in self._suspended, self._said("resumed, but never suspended", session)
        self._suspended.discard(session)
        kept = self._kept.pop(session, None)
        if kept is None:
            return
        self.resumed += 1
        clock = self.shed.clock
        outage = self._began - kept.made
        if kept.booted != clock.booted:
            assert kept.record.at.wall_ms is not None, self._said("resumed without a proof", session)
            # The wall clock is the only witness, and it may have been set: before the proof, or after it.
            outage += self._least_ahead - (kept.record.at.wall_ms / 1000 - kept.made)
        assert outage <= RESUME_WINDOW + SLACK, self._said(f"resumed after {outage}", session)
        assert kept.record.charged, self._said("resumed, but had never charged", session)
        assert kept.record.ending is None, self._said("resumed, but was being ended", session)
        waits = kept.record.waits
        during = [one for one in record.interruptions if waits is not None or one.reason in AWAY]
        began = [one.since for one in during if waits is not None or one is during[-1]]
        assert any(one.instant <= kept.record.at.instant or one.boot != kept.record.at.boot for one in began)

    def _end(self, settled: Settlement) -> None:
        record = settled.record
        session, port = record.order.session, record.order.port
        kept = self._kept.pop(session, None)
        if kept is not None:
            self.over += 1
            read = settled.meter_stop is not None or record.last_register != kept.record.last_register
            assert record.energy == kept.record.energy or read, settled
        self._suspended.discard(session)
        self._time(settled)
        if session not in self._energy or port in self._crooked or type(self.shed) is not Shed:
            return
        flowed = self.shed.loads[port].energy_at(self.shed.now) - self._energy[session]
        if settled.quality is EnergyQuality.EXACT:
            assert None not in {record.meter_start, settled.meter_stop}, self._said("no register", settled)
            assert abs(record.energy - flowed) <= STEPS, self._said(f"{flowed} Wh have flowed", settled)
        closed = self._closed_until_now(port) - self._closed_before[session]
        # What nobody has read back open counts as closed until its lease has ended.
        unseen = self._unseen[port] - self._unseen_before[session]
        unconfirmed = LEASE * (1 + unseen + len(record.interruptions))
        assert record.charging <= closed + unconfirmed + SLACK, self._said(f"closed for {closed} s", settled)

    def _time(self, settled: Settlement) -> None:
        record = settled.record
        assert abs(sum(tier.charging for tier in record.tiers) - record.charging) < SLACK, record
        counted = record.charging + record.suspended
        assert counted <= record.elapsed + ROUNDING, self._said(f"{counted} s of {record.elapsed}", settled)
        # One whose relay is at fault is not settled while its meter shows a current, its own or another's.
        at_fault = settled.reason in {StopReason.RELAY_FAULT, StopReason.RELAY_WELDED}
        if record.charged and settled.meter_stop is not None and record.order.queue_for is None and not at_fault:
            left = record.elapsed - counted
            waited = self.shed.plan.queue_for
            assert left <= BEGINNING_AND_END + waited, self._said(f"{left} s are neither", settled)
        assert record.outages <= record.suspended + SLACK, record
        ends = [one.until for one in record.interruptions[:-1]]
        assert None not in ends, self._said("an interruption that has not ended", settled)

    def _contact(self, now: float, port: PortId, *, closed: bool) -> None:
        if self.shed.contacts[port].welded or self.shed.contacts[port].jammed:
            self._crooked.add(port)
        if closed:
            self._closed.setdefault(port, now)
        elif port in self._closed:
            self._closed_for[port] += now - self._closed.pop(port)

    def _closed_until_now(self, port: PortId) -> float:
        since = self._closed.get(port)
        return self._closed_for[port] + (0.0 if since is None else self.shed.now - since)

    def close(self) -> None:
        """Assert what must hold when every session was stopped."""
        assert not self._suspended, self._said("suspended for ever", self._suspended)

    def _said(self, rule: str, what: object) -> str:
        return f"{rule}: {what} at {self.shed.elapsed:.3f}\n{self.shed.tail()}"
