"""One port: its relay, its session, and the primitives the state table is made of.

What the port does in which state stands in `chargerd.core.port.table`, and what is known of it in
`chargerd.core.port.condition`; here is how it is done. A port never closes its relay but through the start
sequence: two agreeing readings, the register, a durable session, the guards once more.
"""

from chargerd.core.boards.relay import Phase
from chargerd.core.circuits.share import drawn
from chargerd.core.commands import Checkpoint, Code, Pace, Persist, ReadEnergy, ReplyStatus, SetPace
from chargerd.core.facts import (
    Clearing,
    Latch,
    PortLockedOut,
    PortTripped,
    RelayOpenCircuit,
    RelayUnconfirmed,
    RelayUnexpected,
    SessionEnded,
    SessionResumed,
    SessionStarted,
    SessionSuspended,
)
from chargerd.core.metering.thermal import WORTH_KEEPING
from chargerd.core.moment import Moment, passed
from chargerd.core.port.answers import answer, answer_start, drop_raise, last_words
from chargerd.core.port.charge import OUTAGE, Charge
from chargerd.core.port.condition import BEYOND_CONTROL, Ending, PortCondition, Step
from chargerd.core.port.resuming import PROOF_WITHIN
from chargerd.core.protection.function import Result
from chargerd.core.protection.image import Verdict
from chargerd.core.session import Order, SessionRecord, StopDetail, StopReason, Warmth
from chargerd.core.units import Amps, Instant, Seconds, Watts, after
from chargerd.core.view import PortState

UNBIDDEN_TIMES = 2
"""A relay found closed this often without a command locks its port out."""
REOPENINGS = 3
"""A welded relay is opened this often more, in case it comes loose."""


class Port(PortCondition):
    """What may be done with a port. Whoever calls its methods is the state table."""

    # Moving

    def enter(self, state: PortState, now: Moment) -> None:
        """Enter a state; entering the one it is in keeps `since`."""
        if state is not self.state:
            self.state, self.since = state, now
        self.take_step(Step.NONE, None)

    def take_step(self, step: Step, until: Instant | None) -> None:
        """Take the next step of a sequence, to be done by `until`."""
        self.step, self.step_until = step, until

    def judged(self, now: Moment, *results: Result) -> bool:
        """Ask the protective functions; say whether the first that has picked up has one of these results."""
        if self.to_judge:
            self.verdict, self.to_judge = self.session.image.judge(now.instant), False
        return self.verdict is not None and self.verdict.result in results

    # Starting

    def accept(self, order: Order, now: Moment) -> None:
        """Accept a start: the sequence begins with two fresh readings and the register."""
        self._take(order, now)
        answer(self, order, ReplyStatus.ACCEPTED, Code.OK)
        self.enter(PortState.STARTING, now)
        self.begin_sequence(now)

    def enqueue(self, order: Order, now: Moment) -> None:
        """Accept a start that has to wait for its circuits."""
        self._take(order, now)
        self._queue(now)
        answer(self, order, ReplyStatus.ACCEPTED, Code.OK, "waits for its circuit")

    def _queue(self, now: Moment) -> None:
        order = self.session.order
        self.circuits.wait(self.id, order.limits)
        self.enter(PortState.QUEUED, now)
        self.take_step(Step.QUEUE, after(now.instant, self.patience(order)))

    def await_boards(self, order: Order, now: Moment) -> None:
        """Accept a start that meets the daemon just begun: nothing is known yet of its boards."""
        self._take(order, now)
        answer(self, order, ReplyStatus.ACCEPTED, Code.OK, "waits for the first answers of its boards")
        self.enter(PortState.STARTING, now)
        self.take_step(Step.KNOWN, self.step_deadline(now))
        self.out.do(SetPace(port=self.id, pace=Pace.ARMED))

    def take_place(self, now: Moment) -> None:
        """Its boards are known: begin, wait for its circuits, or end for what would have refused the start."""
        order = self.session.order
        held = [code for code in self.obstacles(now) if code not in {Code.BUSY, Code.CIRCUIT_FULL}]
        detail = StopDetail(function=f"step_{self.step.value}")
        # Until it was known to be open it has counted as closed, at its limit.
        self.circuits.touch(self.id, drawn(self.seen.current or Amps(0.0), self.seen.power or Watts(0.0)))
        if held:
            self.fail(held[0], detail, now)
        elif self.circuits.admits(self.id, order.limits, now.instant):
            self.enter(PortState.STARTING, now)
            self.begin_sequence(now)
        elif self.patience(order) > 0:
            self._queue(now)
        else:
            self.fail(Code.CIRCUIT_FULL, detail, now)

    def _take(self, order: Order, now: Moment) -> None:
        self.charge = Charge(self.plan, order, self.models, now)
        self.suspended_for = None

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

    def take_turn(self, now: Moment) -> None:
        """Close when it is this relay's turn: one a second per circuit."""
        slot = self.circuits.book(self.id, now.instant)
        if slot > now.instant:
            self.take_step(Step.TURN, slot)
        else:
            self.energise(now)

    def energise(self, now: Moment) -> None:
        """Close, or wait for the closing before it, or for power from above and what the meter shows with it."""
        turn = self.turn(now)
        if turn > now.instant:
            self.take_step(Step.TURN, turn)
        elif self.shown_free():
            self.close(now)
        else:
            self.take_step(Step.POWER, self.step_deadline(now))

    def close(self, now: Moment) -> None:
        """Close the relay; its readings are judged from now on."""
        self.session.touched = True
        self.session.image.close(now.instant)
        self.take_step(Step.CLOSE, self.step_deadline(now))
        self.shown_open = False
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
        assert self.seen.signed_power is not None
        assert self.seen.power_at is not None
        if self.seen.power_at >= began:
            totals.hold(self.seen.signed_power, self.seen.power_at)

    def confirm_start(self) -> None:
        """Tell whoever started it that current flows."""
        session = self.session
        if session.pending_start is not None and session.image.loaded:
            answer_start(self, ReplyStatus.DONE, Code.OK)

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
        self.charge = Charge.taken_up(self.plan, record, self.models, now, unanswered=unanswered)
        self.suspended_for = StopReason.POWER_LOSS
        self.sequence_from = self.suspended_at = now.instant
        self.recover_until = after(now.instant, PROOF_WITHIN)
        self.enter(PortState.SUSPENDED, now)
        self.circuits.wait(self.id, record.order.limits)
        self.out.do(SetPace(port=self.id, pace=Pace.CLOSED))
        self.out.tell(SessionSuspended(record=record, reason=OUTAGE))

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

    # Ending

    def trip(self, verdict: Verdict, now: Moment) -> None:
        """Open at once and end the session; what opened it may have to be cleared by hand."""
        latch, detail = None, verdict.detail
        if verdict.clearing is not None:
            latch = Latch(port=self.id, function=detail.function, clearing=verdict.clearing, detail=detail)
        self.trip_with(latch, verdict.reason, detail, now)

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
        unknown = self.step is Step.KNOWN
        self.stop_charging(now)
        self.recover_until = self.return_at = None
        self.circuits.leave(self.id)
        drop_raise(self, Code.FAILED, "the session has ended")
        self.ending = Ending(reason=reason, detail=detail, code=code)
        self.enter(PortState.STOPPING, now)
        self.take_step(Step.OPEN, self.give_up_at(now))
        if self.relay.phase is Phase.OPEN or unknown:
            self.opened(now)
        if self.charge is not None and self.charge.charged:
            # Whoever finds it after a crash must not let it go on.
            self.out.do(Checkpoint(records=(self.record(now),)))

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
        last_words(self, ending)
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
        if self.session.touched and self.load_seen(now):
            self.enter(PortState.STOPPING, now)  # Whoever draws it is not told that nothing flows any more.
            self.take_step(Step.OPEN, self.step_deadline(now))
        else:
            self.finish(now)

    def lock_out_unconfirmed(self, now: Moment, elsewhere: Amps | None = None) -> None:
        """Current flows, and nobody can read that the relay is open: lock out.

        `elsewhere` is the current if another port's meter shows it.
        """
        limit, measured = self.plan.protection.weld_current, elsewhere or self.seen.current
        if self.relay.board_lost:
            detail = StopDetail(function="relay_board_lost", measured=measured, limit=limit, unit="a")
        else:
            detail = StopDetail(function="relay_unconfirmed", measured=measured, limit=limit, unit="a")
        self.lock_out(detail.function, detail, now)

    def lock_out_welded(self, detail: StopDetail, now: Moment) -> None:
        """Current flows through an open relay: lock out, and open it again, but never toggle it under load."""
        self.lock_out(detail.function, detail, now, StopReason.RELAY_WELDED)
        self.reopen = REOPENINGS
        self.open_again(now)

    def open_again(self, now: Moment) -> None:
        """Open a welded relay once more."""
        self.reopen -= 1
        self.relay.open(now.instant, self.out)

    def found_closed(self, now: Moment) -> None:
        """The relay was read back closed without a command: it is being opened; a second time locks out."""
        self.unbidden += 1
        self.out.tell(RelayUnexpected(port=self.id))
        if self.unbidden >= UNBIDDEN_TIMES:
            self.lock_out("relay_unexpected", StopDetail(function="relay_unexpected", measured=self.unbidden), now)
        elif self.charge is None:
            self.rest(now)

    def tell_unconfirmed(self, now: Moment) -> None:
        """Tell once that nobody knows where the relay stands; without a session it is not free either."""
        opening = self.relay.told_open_at
        if self.unconfirmed_told == opening or not self.unconfirmed(now):
            return
        self.unconfirmed_told = opening
        if not any(latch.function in BEYOND_CONTROL for latch in self.latches):
            self.out.tell(RelayUnconfirmed(port=self.id, board=self.plan.relay.board))
        if self.charge is None:
            self.rest(now)
