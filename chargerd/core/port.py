"""One port: its state, its relay, its session, and the primitives the state table is made of.

What the port does in which state stands in `chargerd.core.table`; here is how it is done. A port never closes its
relay but through the start sequence: two agreeing readings, the register, a durable session, the guards once more.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from chargerd.core.availability import Availability
from chargerd.core.charge import OUTAGE, Charge
from chargerd.core.circuits import Circuits
from chargerd.core.commands import Answer, Checkpoint, Code, Pace, Persist, ReadEnergy, ReplyStatus, SetPace
from chargerd.core.events import MeterReading, ResetRequested, StopRequested, UpdateRequested
from chargerd.core.facts import (
    Clearing,
    Disabled,
    Latch,
    LatchesCleared,
    PortLockedOut,
    PortTripped,
    RelayOpenCircuit,
    RelayUnexpected,
    SessionEnded,
    SessionResumed,
    SessionStarted,
    SessionSuspended,
)
from chargerd.core.frozen import Frozen
from chargerd.core.heat import Heat
from chargerd.core.mains import Mains
from chargerd.core.moment import Moment, passed
from chargerd.core.outbox import Outbox
from chargerd.core.pickup import Recurring, reached
from chargerd.core.plan import Limits, PortPlan
from chargerd.core.protection import Function, Result, Verdict, judge, next_judgement
from chargerd.core.relay import Phase, RelayWatch
from chargerd.core.resuming import PROOF_WITHIN, Outlook, outlook
from chargerd.core.seen import Seen
from chargerd.core.session import Order, SessionRecord, Source, StopDetail, StopReason
from chargerd.core.thermal import START_BELOW, WORTH_KEEPING, Thermal, Warmth
from chargerd.core.units import CommandId, Instant, PortId, Seconds, SessionId, after, between
from chargerd.core.view import PortState, PortView
from chargerd.core.weld import Weld

UNCONFIRMED_END = Seconds(15.0)
"""How long a session waits for its relay to be read back open on a board without leases before it is settled."""
UNBIDDEN_TIMES = 2
"""A relay found closed this often without a command locks its port out."""


OUTAGES = frozenset({StopReason.METER_LOST, StopReason.BOARD_LOST, StopReason.UNDERVOLTAGE, StopReason.POWER_LOSS})
"""What an outage of the mains looks like from here."""
VOLTAGES = frozenset({StopReason.OVERVOLTAGE, StopReason.UNDERVOLTAGE})
"""What the voltage has suspended waits for the voltage, as long as any session may be suspended."""
TOGETHER = Seconds(10.0)
REOPENINGS = 3
BEYOND_CONTROL = frozenset({"relay_welded", "relay_will_not_open", "relay_board_lost"})
"""Lock-outs of relays that do not open: the contactor above stays open while one is held."""
FAILURES = {
    StopReason.METER_LOST: Code.METER_STALE,
    StopReason.BOARD_LOST: Code.BOARD_LOST,
    StopReason.RELAY_FAULT: Code.RELAY_FAULT,
    StopReason.RELAY_WELDED: Code.RELAY_FAULT,
    StopReason.QUEUE_TIMEOUT: Code.QUEUE_TIMEOUT,
    StopReason.OVERVOLTAGE: Code.VOLTAGE,
    StopReason.UNDERVOLTAGE: Code.VOLTAGE,
}
"""What a start is answered whose session ended for these reasons before current flowed."""
WITHOUT_LOAD = frozenset(
    {StopReason.NO_LOAD, StopReason.REMOTE, StopReason.LOCAL, StopReason.DURATION_LIMIT, StopReason.UNPLUGGED}
)
"""What ends a session that finds no load: its own time, or somebody who does not wait for it."""
NAMES = {StopRequested: "stop", ResetRequested: "reset", UpdateRequested: "update_limits"}
"""Of commands that a port answers, as the contract has them."""


class Step(StrEnum):
    """How far a start or a stop has come."""

    NONE = "none"
    QUEUE = "queue"
    READINGS = "readings"
    PERSIST = "persist"
    TURN = "turn"
    """Others of its circuits close first: one relay a second."""
    POWER = "power"
    """A contactor above is not closed yet."""
    CLOSE = "close"
    FIRST_READING = "first_reading"
    OPEN = "open"
    ENERGY = "energy"


@dataclass(slots=True, kw_only=True)
class Ending:
    """Why a session is being ended; fixed when the stop begins."""

    reason: StopReason
    detail: StopDetail | None = None
    code: Code | None = None
    """What a start that still waits for its last word is answered, if the reason does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervention:
    """What a circuit demands of a port below it: why, and how long a suspension may last (`None`: as any may)."""

    reason: StopReason
    detail: StopDetail
    code: Code
    patience: Seconds | None = None


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """What a port must know of the station it is part of."""

    store_writable: bool = True
    leaving: bool = False
    """Whether the daemon leaves: nothing starts any more."""
    tokens: int = 0
    ports: "dict[PortId, Port]" = field(default_factory=dict)
    circuits: Circuits = field(default_factory=Circuits)
    availability: Availability = field(default_factory=Availability)
    queue_for: Seconds = Seconds(0.0)
    """How long a start waits whose order does not say."""
    resume_window: Seconds = Seconds(0.0)
    """The longest outage after which a session goes on."""

    def next_token(self) -> int:
        """Return a token nobody has used before."""
        self.tokens += 1
        return self.tokens


def clears(request: ResetRequested, latch: Latch) -> bool:
    """Say whether a reset may clear a latch: lock-outs want a reason given on site."""
    match latch.clearing:
        case Clearing.REMOTE:
            return True
        case Clearing.LOCAL:
            return request.source is Source.LOCAL
        case _:
            return request.source is Source.LOCAL and bool(request.reason)


class Port:
    """The state of one port. Whoever calls its methods is the state table."""

    def __init__(
        self, plan: PortPlan, station: Surroundings, out: Outbox, now: Moment, latches: tuple[Latch, ...]
    ) -> None:
        self.plan = plan
        self.id = plan.id
        self.station = station
        self.out = out
        self.seen = Seen(plan.meter, plan.protection)
        self.relay = RelayWatch(plan.id, plan.relay, plan.protection.open_tries)
        self.weld = Weld(plan)
        self.thermal = Thermal()
        self.warmth_told = False
        """Whether the journal has it as a warm one."""
        self.heat = Heat(plan.protection)
        self.frozen = Frozen(plan)
        self.implausible = Recurring()
        self.negative = Recurring()
        self.mains = Mains(plan.protection)
        self.latches = list(latches)
        self.state = PortState.UNKNOWN
        self.since = now
        self.step = Step.NONE
        self.step_until: Instant | None = None
        self.charge: Charge | None = None
        self.ending: Ending | None = None
        self.verdict: Verdict | None = None
        self.token: int | None = None
        self.board_lost = False
        self.unbidden = 0
        self.sequence_from = now.instant
        """Readings before this instant do not count for the start sequence under way."""
        self.suspended_for: StopReason | None = None
        self.suspended_at: Instant | None = None
        """When the newest suspension began, over or not."""
        self.recover_until: Instant | None = None
        self.return_at: Instant | None = None
        """Not before this instant a session that was interrupted together with others goes on."""
        self.spread = False
        """Whether it was given such an instant."""
        self.intervention: Intervention | None = None
        self.reopen = 0
        """How often a welded relay is still to be opened again."""

    @property
    def circuits(self) -> Circuits:
        """Return the supply tree."""
        return self.station.circuits

    @property
    def limits(self) -> Limits:
        """Return the limits in force."""
        return self.plan.limits if self.charge is None else self.charge.order.limits

    @property
    def session(self) -> Charge:
        """Return the session under way; only for states that have one."""
        assert self.charge is not None, f"{self.id} has no session in {self.state}"
        return self.charge

    # Moving

    def enter(self, state: PortState, now: Moment) -> None:
        """Enter a state; entering the one it is in keeps `since`."""
        if state is not self.state:
            self.state, self.since = state, now
        self.take_step(Step.NONE, None)

    def take_step(self, step: Step, until: Instant | None) -> None:
        """Take the next step of a sequence, to be done by `until`."""
        self.step, self.step_until = step, until

    def step_deadline(self, now: Moment) -> Instant:
        """Return by when a step begun now must be done."""
        return after(now.instant, self.plan.protection.step_timeout)

    def due(self) -> Instant | None:
        """Return when this port has to be woken."""
        instants = [self.relay.due(), self.step_until, self.recover_until, self.return_at]
        if self.charge is not None:
            instants.append(next_judgement(self.charge.image))
            if self.state is PortState.SUSPENDED:
                instants.append(self.charge.suspended_too_long_at())
        return min((instant for instant in instants if instant is not None), default=None)

    # Judging

    def judged(self, now: Moment, *results: Result) -> bool:
        """Ask the protective functions; say whether the first that has picked up has one of these results."""
        self.verdict = judge(self.session.image, now.instant)
        return self.verdict is not None and self.verdict.function.result in results

    def timed_out(self, now: Moment) -> bool:
        """Say whether the step under way has taken too long."""
        return reached(self.step_until, now.instant)

    def obstacles(self, now: Moment) -> tuple[Code, ...]:
        """Return why a start would be refused now, most telling first."""
        circuits, lock_out = self.circuits, Clearing.LOCK_OUT
        found = {
            Code.LOCKED_OUT: any(latch.clearing is lock_out for latch in self.latches) or circuits.held(self.id),
            Code.LATCHED: any(latch.clearing is not lock_out for latch in self.latches)
            or circuits.latched(self.id),
            Code.BUSY: self.charge is not None,
            Code.DISABLED: self.station.leaving or self.disabled() is not None,
            Code.BOARD_LOST: self.board_lost
            or (self.charge is None and self.relay.phase is not Phase.OPEN)
            or circuits.unguarded(self.id),
            Code.METER_STALE: not self.seen.alive(now.instant) or self.frozen.dead,
            Code.STORE_UNAVAILABLE: not self.station.store_writable,
            Code.THERMAL: self.thermal.theta(now.instant) > START_BELOW or self.heat.warm(now.instant),
            Code.VOLTAGE: self.mains.out(now.instant),
            Code.CIRCUIT_FULL: self._finds_no_room(now),
        }
        return tuple(code for code, holds in found.items() if holds)

    def disabled(self) -> Disabled | None:
        """Return why somebody has taken this port out of service, if that is so."""
        return self.station.availability.over(self.id, self.circuits)

    def most(self) -> str:
        """Return the port's own limits in words."""
        limits = self.plan.limits
        energy = "" if limits.energy is None else f", {limits.energy:g} Wh"
        return f"this port allows up to {limits.current:g} A, {limits.power:g} W, {limits.duration:g} s{energy}"

    def _finds_no_room(self, now: Moment) -> bool:
        waits = self.id in self.circuits.waiting()
        idle = self.charge is None and not self.station.queue_for
        return (waits or idle) and not self.circuits.admits(self.id, self.limits, now.instant)

    def may_close(self, now: Moment) -> bool:
        """Say whether the guards of a closing edge hold (invariant S6), and the session is durable (S1)."""
        return (
            self.session.durable
            and not self.latches
            and self.circuits.allow(self.id)
            and not self.board_lost
            and self.station.store_writable
            and self.relay.phase is Phase.OPEN
            and self.seen.fresh(now.instant)
            and self.load_absent()
            and not self.mains.out(now.instant)
        )

    def load_absent(self) -> bool:
        """Say whether no current flows, as far as is known; an open relay that carries some is none."""
        return self.seen.current is not None and self.seen.current < self.plan.protection.weld_current

    def ready(self, now: Moment) -> bool:
        """Say whether two fresh readings since the sequence began agree that nothing flows."""
        return self.seen.quiet_since(self.sequence_from) and self.seen.fresh(now.instant)

    # Starting

    def accept(self, order: Order, now: Moment) -> None:
        """Accept a start: the sequence begins with two fresh readings and the register."""
        self._take(order, now)
        self.answer(order, ReplyStatus.ACCEPTED, Code.OK)
        self.enter(PortState.STARTING, now)
        self.begin_sequence(now)

    def _take(self, order: Order, now: Moment) -> None:
        self.charge = Charge(self.plan, order, self.seen, now)
        self.charge.image.thermal = self.thermal
        self.charge.image.heat = self.heat
        self.charge.image.frozen = self.frozen
        self.charge.image.mains = self.mains
        self.suspended_for = None

    def enqueue(self, order: Order, now: Moment) -> None:
        """Accept a start that has to wait for its circuits."""
        self._take(order, now)
        self.circuits.wait(self.id, order.limits)
        self.answer(order, ReplyStatus.ACCEPTED, Code.OK, "waits for its circuit")
        self.enter(PortState.QUEUED, now)
        self.take_step(Step.QUEUE, after(now.instant, self.patience(order)))

    def patience(self, order: Order) -> Seconds:
        """Return how long a start may wait for its circuits."""
        return self.station.queue_for if order.queue_for is None else order.queue_for

    def admit(self, now: Moment) -> None:
        """The circuits can take it: the start sequence begins."""
        self.circuits.leave(self.id)
        self.enter(PortState.STARTING, now)
        self.begin_sequence(now)

    def begin_sequence(self, now: Moment) -> None:
        """Ask for fresh readings and the register."""
        self.session.durable = False
        self.frozen.try_again()
        self.sequence_from = now.instant
        self.take_step(Step.READINGS, self.step_deadline(now))
        self.out.do(SetPace(port=self.id, pace=Pace.ARMED))
        self.out.do(ReadEnergy(port=self.id))

    def persist(self, now: Moment) -> None:
        """Write the session ahead."""
        session = self.session
        assert self.seen.energy is not None
        assert self.seen.energy_at is not None
        session.totals.register(self.seen.energy, self.seen.energy_at)
        self.token = self.station.next_token()
        self.take_step(Step.PERSIST, self.step_deadline(now))
        self.out.do(Persist(port=self.id, token=self.token, record=self.record(now)))

    def has_register(self) -> bool:
        """Say whether the register was read since the sequence began."""
        return self.seen.energy_at is not None and self.seen.energy_at > self.sequence_from

    def take_turn(self, now: Moment) -> None:
        """Close when it is this relay's turn: one a second per circuit."""
        slot = self.circuits.book(self.id, now.instant)
        if slot > now.instant:
            self.take_step(Step.TURN, slot)
        else:
            self.energise(now)

    def energise(self, now: Moment) -> None:
        """Close, or wait for the contactors above to be closed first."""
        if self.circuits.powered(self.id):
            self.close(now)
        else:
            self.take_step(Step.POWER, self.step_deadline(now))

    def close(self, now: Moment) -> None:
        """Close the relay; its readings are judged from now on."""
        self.session.touched = True
        self.session.image.close(now.instant)
        self.take_step(Step.CLOSE, self.step_deadline(now))
        self.out.do(SetPace(port=self.id, pace=Pace.CLOSED))
        self.relay.close(now.instant, self.plan.protection.step_timeout, self.out)

    def closed(self, now: Moment) -> None:
        """The relay has been read back closed: charging time runs from its write on."""
        session = self.session
        session.image.contact_from = self.relay.closed_from
        self.count_from_closing()
        session.resume(now)
        fact = SessionResumed if session.announced else SessionStarted
        session.announced = True
        self.out.tell(fact(record=self.record(now)))
        self.take_step(Step.FIRST_READING, self.step_deadline(now))

    def count_from_closing(self) -> None:
        """Let charging time run from the write that closed the relay on."""
        totals, began = self.session.totals, self.relay.closed_from
        assert began is not None
        self.session.contact_closed(began)
        totals.close(began)
        assert self.seen.power is not None
        assert self.seen.power_at is not None
        if self.seen.power_at >= began:
            totals.hold(self.seen.power, self.seen.power_at)

    def confirm_start(self) -> None:
        """Tell whoever started it that current flows."""
        session = self.session
        if session.pending_start is not None and session.image.loaded:
            self.answer_start(ReplyStatus.DONE, Code.OK)

    # Suspending

    def suspend(
        self, reason: StopReason, detail: StopDetail, now: Moment, *, patience: Seconds | None = None
    ) -> None:
        """Open at once; the session waits for the reason to go away, for `patience` at most."""
        self.stop_charging(now)
        self.session.suspend(detail.function, now)
        self.out.tell(SessionSuspended(record=self.record(now), reason=detail.function, detail=detail))
        self.suspended_for = reason
        self.sequence_from = now.instant
        self.suspended_at = now.instant
        self.return_at, self.spread = None, False
        self.recover_until = None if patience is None else after(now.instant, patience)
        if reason is StopReason.CIRCUIT_OVERLOAD:
            self.circuits.leave(self.id)
            self.circuits.wait(self.id, self.limits)
        self.enter(PortState.SUSPENDED, now)

    def take_up(self, record: SessionRecord, now: Moment, *, unanswered: bool) -> None:
        """An outage has interrupted this session: it waits for its proof and for its meter, its relay open."""
        self.charge = Charge.taken_up(self.plan, record, self.seen, now, unanswered=unanswered)
        image = self.charge.image
        image.thermal, image.heat, image.mains, image.frozen = self.thermal, self.heat, self.mains, self.frozen
        self.suspended_for = StopReason.POWER_LOSS
        self.sequence_from = self.suspended_at = now.instant
        self.recover_until = after(now.instant, PROOF_WITHIN)
        self.enter(PortState.SUSPENDED, now)
        self.circuits.wait(self.id, record.order.limits)
        self.out.do(SetPace(port=self.id, pace=Pace.CLOSED))
        self.out.tell(SessionSuspended(record=record, reason=OUTAGE))

    def outlook(self, now: Moment) -> Outlook:
        """Say whether a session that an outage has interrupted goes on, as of now."""
        kept, back = self.session.kept, self.suspended_at
        if kept is None or back is None:
            return Outlook.GOES_ON
        return outlook(kept, now, self.station.resume_window, between(back, now.instant))

    def prove(self, now: Moment) -> None:
        """The outage was short: the session goes on once its meter is seen."""
        kept = self.session.kept
        assert kept is not None
        outage = passed(kept.at, now)
        assert outage is not None
        self.session.prove(outage, now)
        self.recover_until = after(now.instant, self.plan.protection.recover_within)

    def restart(self, now: Moment) -> None:
        """Go through the start sequence again for a suspended session."""
        self.recover_until = self.return_at = None
        self.circuits.leave(self.id)
        self.enter(PortState.STARTING, now)
        self.begin_sequence(now)

    def may_return(self, now: Moment) -> bool:
        """Say whether its circuits let a suspended session go on."""
        waits = self.id in self.circuits.waiting()
        allowed = self.circuits.allow(self.id) and self.circuits.reachable(self.id)
        return allowed and (not waits or self.circuits.admits(self.id, self.limits, now.instant))

    def interrupted_together(self) -> bool:
        """Say whether others of its circuit were interrupted with it: the mains were gone, or a line was."""
        return any(
            other is not self
            and other.plan.circuit == self.plan.circuit
            and other.suspended_for in OUTAGES
            and self.suspended_for in OUTAGES
            and other.suspended_at is not None
            and self.suspended_at is not None
            and abs(between(other.suspended_at, self.suspended_at)) <= TOGETHER
            for other in self.station.ports.values()
        )

    def alone_in_the_dark(self, now: Moment) -> bool:
        """Say whether no meter of its circuit speaks, and there are others: the mains are gone."""
        others = [
            port
            for port in self.station.ports.values()
            if port is not self and port.plan.circuit == self.plan.circuit
        ]
        return bool(others) and not any(port.seen.alive(now.instant) for port in [self, *others])

    def outlasted(self, now: Moment) -> StopReason:
        """Return the reason of a session that was suspended for too long: the voltage is named, others are not."""
        if self.suspended_for is StopReason.UNDERVOLTAGE and self.mains.dark(now.instant):
            return StopReason.POWER_LOSS
        return self.suspended_for if self.suspended_for in VOLTAGES else StopReason.SUSPENDED_TOO_LONG

    # Ending

    def trip(self, function: Function, detail: StopDetail, now: Moment) -> None:
        """Open at once and end the session; what opened it may have to be cleared by hand."""
        latch = None
        if function.clearing is not None:
            latch = Latch(port=self.id, function=detail.function, clearing=function.clearing, detail=detail)
        self.trip_with(latch, function.reason, detail, now)

    def trip_with(self, latch: Latch | None, reason: StopReason, detail: StopDetail, now: Moment) -> None:
        """Open at once, end the session for this reason, and hold the port by this latch."""
        session = self.session.order.session
        if latch is not None:
            self.latches.append(latch)
        self.out.tell(
            PortTripped(port=self.id, function=detail.function, detail=detail, session=session, latch=latch)
        )
        self.end(reason, detail, now)

    def fail(self, code: Code, detail: StopDetail, now: Moment) -> None:
        """End a start that came to nothing; a session that was resuming ends by what had suspended it."""
        self.end(self.suspended_for or StopReason.START_FAILED, detail, now, code=code)

    def end(self, reason: StopReason, detail: StopDetail | None, now: Moment, *, code: Code | None = None) -> None:
        """Open and end the session; the settlement follows when the relay is open and the register read."""
        self.stop_charging(now)
        self.recover_until = self.return_at = None
        self.circuits.leave(self.id)
        self.drop_raise(Code.FAILED, "the session has ended")
        self.ending = Ending(reason=reason, detail=detail, code=code)
        self.enter(PortState.STOPPING, now)
        self.take_step(Step.OPEN, self.give_up_at(now))
        if self.relay.phase is Phase.OPEN:
            self.opened(now)
        if self.charge is not None and self.charge.charged:
            # Whoever finds it after a crash must not let it go on.
            self.out.do(Checkpoint(records=(self.record(now),)))

    def give_up_at(self, now: Moment) -> Instant:
        """Return when a session is settled though its relay was not read back open."""
        patience = after(now.instant, UNCONFIRMED_END)
        lapsed = self.relay.surely_open_at
        return patience if lapsed is None else max(lapsed, self.step_deadline(now))

    def stop_charging(self, now: Moment) -> None:
        """Open the relay, unless it is known to be open. A closing that was written counts, read back or not."""
        if self.relay.phase is Phase.CLOSING and self.relay.closed_from is not None:
            self.count_from_closing()
        if self.relay.phase is not Phase.OPEN:
            self.relay.open(now.instant, self.out)
        self.session.image.open()

    def opened(self, now: Moment) -> None:
        """The relay of an ending session is open: read the register, unless there is nothing to settle by it."""
        self.count_open(now)
        if not self.session.touched or self.session.kept is not None:
            self.finish(now)
            return
        self.sequence_from = now.instant
        self.take_step(Step.ENERGY, self.step_deadline(now))
        self.out.do(ReadEnergy(port=self.id))

    def count_open(self, now: Moment) -> None:
        """Charging time ends: now, or with the last confirmed lease, whichever was earlier."""
        until = self.contact_until(now.instant)
        self.session.totals.open(until)
        self.session.contact_opened(until)

    def contact_until(self, now: Instant) -> Instant:
        """Return until when the relay counts as closed, as of `now`; nobody pays for more than was confirmed."""
        lapsed = self.relay.leased_until
        return now if lapsed is None else min(now, lapsed)

    def record(self, now: Moment) -> SessionRecord:
        """Return the session under way as the journal keeps it."""
        record = self.session.record(now, self.contact_until(now.instant))
        return record if self.ending is None else replace(record, ending=self.ending.reason)

    def finish(self, now: Moment) -> None:
        """Settle: the session's one record, and the last words to whoever asked."""
        session, ending = self.session, self.ending
        assert ending is not None
        self.count_open(now)
        session.resume(now)
        stop = None
        if self.step is Step.ENERGY and self.has_register():
            assert self.seen.energy is not None
            assert self.seen.energy_at is not None
            session.totals.register(self.seen.energy, self.seen.energy_at)
            stop = self.seen.energy
        self.out.tell(SessionEnded(settlement=session.settle(ending.reason, ending.detail, stop, now)))
        self.last_words(ending)
        if self.weld.never_drew(charged=session.charged, peak=session.peak):
            self.out.tell(RelayOpenCircuit(port=self.id))
        self.charge, self.ending = None, None
        warmth = self.warmth(now)
        if warmth is not None:
            self.out.do(Checkpoint(records=(), warmths=(warmth,)))
        self.out.do(SetPace(port=self.id, pace=Pace.IDLE))
        self.rest(now)

    def warmth(self, now: Moment) -> Warmth | None:
        """Return how warm its wire is, for the journal; `None` for one that is cold and was so before."""
        theta = self.thermal.theta(now.instant)
        was_told, self.warmth_told = self.warmth_told, theta >= WORTH_KEEPING
        return Warmth(port=self.id, theta=theta, at=now) if was_told or self.warmth_told else None

    def rest(self, now: Moment) -> None:
        """Enter the state that fits a port without a session."""
        if any(latch.clearing is Clearing.LOCK_OUT for latch in self.latches):
            self.enter(PortState.LOCKED_OUT, now)
        elif self.latches or self.circuits.latched(self.id):
            self.enter(PortState.TRIPPED, now)
        elif self.relay.phase is not Phase.OPEN:
            self.enter(PortState.UNKNOWN, now)
        elif self.disabled() is not None:
            self.enter(PortState.DISABLED, now)
        else:
            self.enter(PortState.AVAILABLE, now)

    def lock_out(
        self,
        function: str,
        detail: StopDetail | None,
        now: Moment,
        reason: StopReason = StopReason.RELAY_FAULT,
    ) -> None:
        """Lock the port out and end its session, if it has one."""
        if not any(latch.function == function for latch in self.latches):
            latch = Latch(port=self.id, function=function, clearing=Clearing.LOCK_OUT, detail=detail)
            self.latches.append(latch)
            session = self.charge.order.session if self.charge is not None else None
            self.out.tell(PortLockedOut(port=self.id, latch=latch, session=session))
        if self.charge is None:
            self.rest(now)
            return
        if self.ending is None:
            self.ending = Ending(reason=reason, detail=StopDetail(function=function))
        self.stop_charging(now)
        self.recover_until = self.return_at = None
        self.circuits.leave(self.id)
        self.finish(now)

    def lock_out_welded(self, detail: StopDetail, now: Moment) -> None:
        """Current flows through an open relay: lock out, and open it again, but never toggle it under load."""
        self.lock_out(detail.function, detail, now, StopReason.RELAY_WELDED)
        self.reopen = REOPENINGS
        self.open_again(now)

    def open_again(self, now: Moment) -> None:
        """Open a welded relay once more."""
        self.reopen -= 1
        self.relay.open(now.instant, self.out)

    def out_of_control(self) -> bool:
        """Say whether only the contactor above can still open this port."""
        if self.board_lost and self.plan.relay.lease is None and self.relay.phase is not Phase.OPEN:
            return True
        return bool(self.latches) and any(latch.function in BEYOND_CONTROL for latch in self.latches)

    def found_closed(self, now: Moment) -> None:
        """The relay was read back closed without a command: it is being opened; a second time locks out."""
        self.unbidden += 1
        self.out.tell(RelayUnexpected(port=self.id))
        if self.unbidden >= UNBIDDEN_TIMES:
            self.lock_out("relay_unexpected", StopDetail(function="relay_unexpected", measured=self.unbidden), now)

    # Resetting

    def clear(self, request: ResetRequested, now: Moment) -> None:
        """Clear every latch this request may clear, and say so; lock-outs want a reason given on site."""
        kept = [latch for latch in self.latches if not clears(request, latch)]
        cleared = tuple(latch.function for latch in self.latches if latch not in kept)
        self.latches = kept
        if cleared:
            self.unbidden = 0
            self.out.tell(
                LatchesCleared(
                    port=self.id,
                    functions=cleared,
                    source=request.source,
                    reason=request.reason,
                    kept=tuple(kept),
                )
            )
        if kept:
            code = Code.LOCKED_OUT if kept[0].clearing is Clearing.LOCK_OUT else Code.NOT_ALLOWED
            self.answer_request(request, ReplyStatus.REJECTED, code)
        else:
            self.answer_request(request, ReplyStatus.DONE, Code.OK)
        self.rest(now)

    # Answering

    def answer(self, order: Order, status: ReplyStatus, code: Code, message: str = "") -> None:
        """Answer a start."""
        if order.command is not None:
            self._say(order.command, "start", status, code, message, order.session)

    def answer_request(
        self,
        request: StopRequested | ResetRequested | UpdateRequested,
        status: ReplyStatus,
        code: Code,
        message: str = "",
    ) -> None:
        """Answer whoever wants something of a port or its session."""
        if request.command is not None:
            name = NAMES[type(request)]
            session = self.charge.order.session if self.charge is not None else None
            self._say(request.command, name, status, code, message, session)

    def answer_start(self, status: ReplyStatus, code: Code, message: str = "") -> None:
        """Say the last word to the start of the session under way, once."""
        session = self.session
        if session.pending_start is not None:
            self.answer(session.order, status, code, message)
            session.pending_start = None

    def drop_raise(self, code: Code, message: str = "") -> None:
        """Tell whoever wanted higher limits, and still waits for the journal, that nothing comes of it."""
        pending, self.session.pending_raise = self.session.pending_raise, None
        if pending is not None:
            self.answer_request(pending.event, ReplyStatus.FAILED, code, message)

    def last_words(self, ending: Ending) -> None:
        """Answer the commands that waited for this session to start or to end."""
        session = self.session
        self.drop_raise(Code.FAILED, "the session has ended")
        unloaded = session.charged and not session.image.loaded and ending.reason in WITHOUT_LOAD
        code = Code.NO_LOAD if unloaded else ending.code or FAILURES.get(ending.reason, Code.FAILED)
        self.answer_start(ReplyStatus.FAILED, code, f"ended: {ending.reason.value}")
        for command in session.pending_stops:
            self._say(command, "stop", ReplyStatus.DONE, Code.OK, "", session.order.session)

    def _say(
        self,
        command: CommandId,
        name: str,
        status: ReplyStatus,
        code: Code,
        message: str,
        session: SessionId | None,
    ) -> None:
        self.out.do(
            Answer(
                command=command,
                name=name,
                status=status,
                code=code,
                message=message,
                port=self.id,
                session=session,
                queue_position=self.circuits.position(self.id),
            )
        )

    # Looking

    def wants(self, reading: MeterReading) -> bool:
        """Say whether a reading holds the register as it was after the relay opened."""
        return reading.energy is not None and reading.at > self.sequence_from

    def view(self, now: Moment) -> PortView:
        """Return a snapshot for onlookers."""
        fresh = self.seen.fresh(now.instant) if self.charge is not None else self.seen.alive(now.instant)
        voltage = self.seen.voltage_by(now.instant)
        if voltage is None and self.mains.known(now.instant):
            voltage = self.mains.low
        return PortView(
            id=self.id,
            label=self.plan.label,
            circuit=self.plan.circuit,
            board=self.plan.relay.board,
            state=self.state,
            since=self.since,
            relay_closed=self.relay.read_back,
            limits=self.plan.limits,
            measured=self.seen.measured(
                fresh=fresh,
                frozen=self.frozen.flagged,
                voltage=voltage,
                opened_at=self.relay.opened_at if self.relay.phase is Phase.OPEN else None,
            ),
            latches=tuple(self.latches),
            blocked_by=self.obstacles(now),
            session=self.record(now) if self.charge is not None else None,
            queue_position=self.circuits.position(self.id),
            temperature=self.heat.known(now.instant),
            disabled=self.disabled(),
        )
