"""One port: what is known of it, and the few things every phase of its life needs.

What it does stands by phase: `admission` (is a start taken), `starting` (the sequence up to current), `suspending`
(open, and back), `ending` (up to the settlement), `latching` (what holds it open), `limits` (new ones under way).
Which of it happens when is for `table` to say. A phase's functions take the port; so none of them is found here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from chargerd.core.boards.dead_men import DeadMen
from chargerd.core.boards.lines import Lines
from chargerd.core.boards.relay import RelayPhase, RelayWatch
from chargerd.core.boards.weld import REFRESHES, SETTLING, Weld
from chargerd.core.circuits.availability import Availability
from chargerd.core.circuits.tree import BETWEEN_CLOSINGS, BETWEEN_RETURNS, Circuits
from chargerd.core.commands import Code
from chargerd.core.metering.pickup import Recurring, earliest, reached
from chargerd.core.metering.thermal import START_BELOW
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.plan import Limits, PortPlan
from chargerd.core.port.charge import Charge
from chargerd.core.protection.function import Models, Result
from chargerd.core.protection.image import Verdict
from chargerd.core.session import Clearing, Disabled, Latch, Reservation, SessionRecord, StopDetail, StopReason
from chargerd.core.stance import Stance
from chargerd.core.units import Instant, PortId, Seconds, SessionId, after
from chargerd.core.view import PortState, PortView


class Step(StrEnum):
    """How far a start or a stop has come."""

    NONE = "none"
    KNOWN = "known"
    """Its boards have not been heard of yet: the daemon has just begun."""
    QUEUE = "queue"
    READINGS = "readings"
    PERSIST = "persist"
    TURN = "turn"
    """Others of its circuits close first: one relay a second."""
    POWER = "power"
    """A contactor above is not closed yet, or what the meter shows since is not known."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofHold:
    """A wiring proof that takes a port for itself, and until when, unless it says so again."""

    proof: str
    until: Instant


@dataclass(slots=True, kw_only=True)
class StationContext:
    """What a port must know of the station it is part of."""

    store_writable: bool = True
    store_changed: Moment | None = None
    """When that last changed."""
    draining: bool = False
    """Whether nothing starts any more, and what goes on ends by itself."""
    leaving: bool = False
    """Whether the daemon leaves: nothing starts any more, and nothing goes on."""
    tokens: int = 0
    ports: "Mapping[PortId, Port]" = field(default_factory=dict)
    circuits: Circuits = field(default_factory=Circuits)
    availability: Availability = field(default_factory=Availability)
    queue_for: Seconds = Seconds(0.0)
    """How long a start waits whose order does not say."""
    resume_window: Seconds = Seconds(0.0)
    """The longest outage after which a session goes on."""
    dead_men: DeadMen = field(default_factory=DeadMen)
    lines: Lines = field(default_factory=Lines)
    """What is known of the lines that boards hang on."""
    suspects: set[PortId] = field(default_factory=set)
    """Ports whose meters or relays may be exchanged, while that is not settled."""

    def next_token(self) -> int:
        """Return a token nobody has used before."""
        self.tokens += 1
        return self.tokens


class Port:
    """What is known of one port. Whoever changes it is a function that the state table or a handler names."""

    def __init__(
        self, plan: PortPlan, station: StationContext, out: Outbox, now: Moment, latches: tuple[Latch, ...]
    ) -> None:
        self.plan = plan
        self.id = plan.id
        self.station = station
        self.out = out
        self.models = models = Models.of(plan)
        """What its sessions go by as well; each by its own name below."""
        self.seen, self.thermal, self.heat = models.seen, models.thermal, models.heat
        self.frozen, self.mains = models.frozen, models.mains
        self.meter_known = False
        """Whether its meter has answered, or was asked in vain, since the process began."""
        self.relay = RelayWatch(plan.id, plan.relay, plan.protection.open_tries)
        self.weld = Weld(plan)
        self.warmth_told = False
        """Whether the journal has it as a warm one."""
        self.implausible, self.negative = Recurring(), Recurring()
        self.latches = list(latches)
        self.state, self.step = PortState.UNKNOWN, Step.NONE
        self.since = now
        self.step_until: Instant | None = None
        self.charge: Charge | None = None
        self.ending: Ending | None = None
        self.verdict: Verdict | None = None
        self.to_judge = True
        """Whether the protective functions are to be asked: once for each thing that happens to the port."""
        self.token: int | None = None
        self.unconfirmed_told: Instant | None = None
        """The opening of which it was told that nobody could read it back."""
        self.shown_open: bool | None = None
        """Whether its own line has shown its relay open since it was to close; `None`: nothing since the process
        began."""
        self.shown_open_at = now.instant
        """When its own line was first asked of those times at which it has shown that."""
        self.unbidden, self.reopen = 0, 0
        """How often it was found closed unbidden, and how often, if welded, it is still to be opened again."""
        self.sequence_from = now.instant
        """Readings before this instant do not count for the start sequence under way."""
        self.suspended_for: StopReason | None = None
        self.suspended_at: Instant | None = None
        """When the newest suspension began, over or not."""
        self.recover_until: Instant | None = None
        self.return_at: Instant | None = None
        """Not before this instant a session that was interrupted together with others goes on."""
        self.spread = False
        """Whether it was given such an instant, or needs none."""
        self.intervention: Intervention | None = None
        self.reservation: Reservation | None = None
        """For which session it is kept, over or not; `None` while one is under way."""
        self._limits_to_come: Limits | None = None
        """Its own limits once the session under way has ended; `None`: as they are."""
        self.proof: ProofHold | None = None
        """The wiring proof that holds it, over or not."""

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

    @property
    def apart(self) -> Seconds:
        """Return for how long before it no other relay of its circuits may have closed."""
        return BETWEEN_RETURNS if self.charge is not None and self.charge.at_once else BETWEEN_CLOSINGS

    # Its own limits

    def own(self, limits: Limits, then: Limits | None = None) -> None:
        """Have limits of its own from now on, and other ones once the session under way has ended."""
        self.plan, self._limits_to_come = replace(self.plan, limits=limits), then

    def discharge(self) -> None:
        """Have no session any more."""
        self.charge, self.ending = None, None
        if self._limits_to_come is not None:
            self.own(self._limits_to_come)

    # Moving

    def enter(self, state: PortState, now: Moment) -> None:
        """Enter a state; entering the one it is in keeps `since`."""
        if state is not self.state:
            self.state, self.since = state, now
        self.take_step(Step.NONE, None)

    def take_step(self, step: Step, until: Instant | None) -> None:
        """Take the next step of a sequence, to be done by `until`."""
        self.step, self.step_until = step, until

    def picked_up(self, now: Moment) -> Verdict | None:
        """Ask the protective functions, and return what the first demands that has picked up."""
        if self.to_judge:
            self.verdict, self.to_judge = self.session.image.judge(now.instant), False
        return self.verdict

    def judged(self, now: Moment, *results: Result) -> bool:
        """Say whether the first function that has picked up has one of these results."""
        verdict = self.picked_up(now)
        return verdict is not None and verdict.result in results

    def rest(self, now: Moment) -> None:
        """Enter the state that fits a port without a session."""
        if any(latch.clearing is Clearing.LOCK_OUT for latch in self.latches):
            self.enter(PortState.LOCKED_OUT, now)
        elif self.latches or self.circuits.latched(self.id):
            self.enter(PortState.TRIPPED, now)
        elif self.relay.phase is not RelayPhase.OPEN:
            self.enter(PortState.UNKNOWN, now)
        elif self.disabled() is not None or self.locked() is not None:
            self.enter(PortState.DISABLED, now)
        else:
            self.enter(PortState.AVAILABLE, now)

    # When

    def step_deadline(self, now: Moment) -> Instant:
        """Return by when a step begun now must be done."""
        return after(now.instant, self.plan.protection.step_timeout)

    def due(self) -> Instant | None:
        """Return when this port has to be woken."""
        kept = self.reservation
        instants = [self.relay.due(), self.step_until, self.recover_until, self.return_at]
        instants.append(None if kept is None else kept.until.instant)
        if self.unconfirmed_told != self.relay.told_open_at:
            instants.append(self.unconfirmed_at())
        if self.charge is not None:
            instants.append(self.charge.image.due())
            if self.state is PortState.SUSPENDED:
                instants.append(self.charge.suspended_too_long_at())
        return earliest(instants)

    def timed_out(self, now: Moment) -> bool:
        """Say whether the step under way has taken too long."""
        return reached(self.step_until, now.instant)

    # Whether it may start

    def obstacles(
        self, now: Moment, session: SessionId | None = None, proof: str | None = None
    ) -> tuple[Code, ...]:
        """Return why a start would be refused now, most telling first; for what is not yet known it waits.

        Of `session`, if it is given: it may be the one the port is kept for; `proof`: the one it is a step of.
        """
        circuits, lock_out = self.circuits, Clearing.LOCK_OUT
        no_room = self.finds_no_room(now)
        unclear, unread = no_room and self.room_unclear(), circuits.unread(self.id)
        found = {
            Code.LOCKED: self.locked() is not None,
            Code.LOCKED_OUT: any(latch.clearing is lock_out for latch in self.latches) or circuits.held(self.id),
            Code.LATCHED: self.id in self.station.suspects
            or any(latch.clearing is not lock_out for latch in self.latches)
            or circuits.latched(self.id),
            Code.BUSY: self.charge is not None,
            Code.DISABLED: self.station.draining or self.station.leaving or self.disabled() is not None,
            Code.PROVING: self.proved_by(now) != proof,
            Code.RESERVED: self.kept_for_another(session, now),
            Code.LINE_CHANGED: self.station.lines.changed(self.id),
            Code.BOARD_LOST: self.relay.board_lost
            or (self.at_rest and self.relay.known and self.relay.phase is not RelayPhase.OPEN)
            or (circuits.unguarded(self.id) and not unread),
            Code.METER_STALE: (self.meter_known and not self.seen.alive(now.instant)) or self.frozen.dead,
            Code.STORE_UNAVAILABLE: not self.station.store_writable,
            Code.THERMAL: self.thermal.theta(now.instant) > START_BELOW or self.heat.warm(now.instant),
            Code.VOLTAGE: self.mains.out(now.instant),
            Code.CIRCUIT_FULL: no_room and not unclear,
            Code.NOT_YET_KNOWN: self._not_yet_known() or unclear or self.station.lines.pending(self.id),
        }
        return tuple(code for code, holds in found.items() if holds)

    def proved_by(self, now: Moment) -> str | None:
        """Return the wiring proof that holds the port; one that has not been heard of for long holds nothing."""
        held = self.proof
        return None if held is None or reached(held.until, now.instant) else held.proof

    def kept(self, now: Moment) -> Reservation | None:
        """Return for which session the port is kept now; one whose time is over has yet to be told of."""
        kept = self.reservation
        return None if kept is None or reached(kept.until.instant, now.instant) else kept

    def kept_for_another(self, session: SessionId | None, now: Moment) -> bool:
        """Say whether the port is kept, and not for this session."""
        kept = self.kept(now)
        return kept is not None and kept.session != session

    @property
    def at_rest(self) -> bool:
        """Whether its relay is to be open, and nobody has seen to it yet that it is."""
        return self.charge is None or self.step is Step.KNOWN

    def _not_yet_known(self) -> bool:
        """Say whether something of its own boards has neither answered nor failed to since the process began."""
        relay = self.relay.known or self.relay.board_lost
        return not relay or not self.meter_known or self.circuits.unread(self.id)

    def room_unclear(self) -> bool:
        """Say whether relays beside it are not known yet: until then each counts as closed, at its limit."""
        beside = [self.station.ports[other] for other in self.circuits.beside(self.id)]
        return any(not (other.relay.known or other.relay.board_lost) for other in beside)

    def disabled(self) -> Disabled | None:
        """Return why somebody has taken this port out of service, if that is so."""
        return self.station.availability.over(self.id, self.circuits)

    def locked(self) -> Disabled | None:
        """Return the lock that somebody on site has put on this port, or on a circuit above it."""
        return self.station.availability.lock_over(self.id, self.circuits)

    def finds_no_room(self, now: Moment) -> bool:
        """Say whether a start, or what waits for its circuits, finds no room there."""
        waits = self.id in self.circuits.waiting()
        idle = self.at_rest and (self.step is Step.KNOWN or not self.station.queue_for)
        return (waits or idle) and not self.circuits.admits(self.id, self.limits, now.instant)

    def load_absent(self) -> bool:
        """Say whether no current flows, as far as is known; an open relay that carries some is none."""
        return self.seen.current is not None and self.seen.current < self.plan.protection.weld_current

    # Whether its relay is known to be open

    def unconfirmed_at(self) -> Instant | None:
        """Return when nobody knows any more where its relay stands; `None` while it is not being opened."""
        lapses = self.station.dead_men.lapses(self.plan.relay)
        return self.relay.unconfirmed_at(lapses=lapses, shown=self.shown_within())

    def unconfirmed(self, now: Moment) -> bool:
        """Say whether its relay was told to open and nobody knows whether it is."""
        return reached(self.unconfirmed_at(), now.instant)

    def shown_within(self) -> Seconds:
        """Return how long after an opening its meter may still show what flowed before."""
        return Seconds(REFRESHES * self.plan.meter.refresh + SETTLING)

    def load_seen(self, now: Moment) -> bool:
        """Say whether its meter shows a current now; one that is silent or frozen shows none."""
        return not (self.frozen.dead or self.load_absent()) and self.seen.current_fresh(now.instant)

    def blind(self, now: Moment) -> bool:
        """Say whether its meter tells nothing of what flows now."""
        speaks = self.seen.alive(now.instant) if self.charge is None else self.seen.fresh(now.instant)
        return self.frozen.dead or not speaks

    # What is told

    def contact_until(self, now: Instant) -> Instant:
        """Return until when the relay counts as closed, as of `now`; nobody pays for more than was confirmed."""
        lapsed = self.relay.leased_until
        return now if lapsed is None else min(now, lapsed)

    def record(self, now: Moment) -> SessionRecord:
        """Return the session under way as the journal keeps it."""
        record = self.session.record(now, self.contact_until(now.instant))
        return record if self.ending is None else replace(record, ending=self.ending.reason)

    def shown_state(self) -> PortState:
        """Return the state as onlookers see it: a port is locked out at once, its session settled or not."""
        held = any(latch.clearing is Clearing.LOCK_OUT for latch in self.latches)
        return PortState.LOCKED_OUT if held and self.state is PortState.STOPPING else self.state

    def view(self, now: Moment) -> PortView:
        """Return a snapshot for onlookers."""
        fresh = self.seen.fresh(now.instant) if self._watched else self.seen.alive(now.instant)
        voltage = self.seen.voltage_by(now.instant)
        if voltage is None and self.mains.known(now.instant):
            voltage = self.mains.low
        return PortView(
            id=self.id,
            label=self.plan.label,
            circuit=self.plan.circuit,
            board=self.plan.relay.board,
            state=self.shown_state(),
            since=self.since,
            relay_closed=self.relay.read_back,
            limits=self.plan.limits,
            measured=self.seen.measured(
                fresh=fresh,
                frozen=self.frozen.flagged,
                voltage=voltage,
                moved_at=self.relay.opened_at if self.relay.phase is RelayPhase.OPEN else self.relay.closed_from,
            ),
            latches=tuple(self.latches),
            blocked_by=self.obstacles(now),
            session=self.record(now) if self.charge is not None else None,
            queue_position=self.circuits.position(self.id),
            temperature=self.heat.known(now.instant),
            disabled=self.disabled(),
            lock=self.locked(),
            reservation=self.kept(now),
            opened_at=self.relay.opened_at,
            relay=self.stance(now),
            proof=self.proved_by(now),
        )

    @property
    def _watched(self) -> bool:
        """Whether its meter is read fast: one that waits in the queue is read as if nothing were asked of it."""
        return self.charge is not None and self.state is not PortState.QUEUED

    def stance(self, now: Moment) -> Stance:
        """Return where its relay stands, and how that is known."""
        return self.relay.stands(
            now.instant,
            lapses=self.station.dead_men.lapses(self.plan.relay),
            vouched=self.station.lines.vouched(self.plan.relay.board),
        )
