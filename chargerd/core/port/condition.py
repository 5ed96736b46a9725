"""One port as it stands: its image, and the questions the rules of the state table ask of it.

Nothing here acts: no relay moves, no fact is told, no state changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from chargerd.core.boards.dead_men import DeadMen
from chargerd.core.boards.lines import Lines
from chargerd.core.boards.relay import Phase, RelayWatch
from chargerd.core.boards.weld import REFRESHES, SETTLING, Weld
from chargerd.core.circuits.availability import Availability
from chargerd.core.circuits.tree import BETWEEN_CLOSINGS, Circuits
from chargerd.core.commands import Code
from chargerd.core.facts import Clearing, Disabled, Latch
from chargerd.core.metering.pickup import Recurring, earliest, reached
from chargerd.core.metering.thermal import START_BELOW
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.plan import Limits, PortPlan
from chargerd.core.port.charge import Charge
from chargerd.core.port.resuming import Outlook, outlook
from chargerd.core.protection.function import Models
from chargerd.core.protection.image import Verdict
from chargerd.core.session import Order, SessionRecord, StopDetail, StopReason
from chargerd.core.units import Instant, PortId, Seconds, after, between
from chargerd.core.view import PortState, PortView

OUTAGES = frozenset({StopReason.METER_LOST, StopReason.BOARD_LOST, StopReason.UNDERVOLTAGE, StopReason.POWER_LOSS})
"""What an outage of the mains looks like from here."""
VOLTAGES = frozenset({StopReason.OVERVOLTAGE, StopReason.UNDERVOLTAGE})
"""What the voltage has suspended waits for the voltage, as long as any session may be suspended."""
TOGETHER = Seconds(10.0)
"""Sessions that were interrupted no further apart were interrupted by one thing."""
LOOK_AGAIN = Seconds(0.1)
"""How soon a relay that waits for another's closing to leave its bus looks again."""
UNCONFIRMED_END = Seconds(15.0)
"""How long a session waits for its relay to be read back open on a board without leases before it is settled."""
UNDECIDED = Seconds(19.5)
"""How long a contactor waits for the verdict on a contact once its meter can show it: three readings at rest."""
BEYOND_CONTROL = frozenset({"relay_welded", "relay_will_not_open", "relay_board_lost", "relay_unconfirmed"})
"""Lock-outs of relays that do not open: the contactor above stays open while one is held."""


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


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """What a port must know of the station it is part of."""

    store_writable: bool = True
    leaving: bool = False
    """Whether the daemon leaves: nothing starts any more."""
    tokens: int = 0
    ports: "Mapping[PortId, PortCondition]" = field(default_factory=dict)
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


class PortCondition:
    """What is known of one port, and the questions its rules ask. `chargerd.core.port.port.Port` acts."""

    def __init__(
        self, plan: PortPlan, station: Surroundings, out: Outbox, now: Moment, latches: tuple[Latch, ...]
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
        self.implausible = Recurring()
        self.negative = Recurring()
        self.latches = list(latches)
        self.state = PortState.UNKNOWN
        self.since = now
        self.step = Step.NONE
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

    # When

    def step_deadline(self, now: Moment) -> Instant:
        """Return by when a step begun now must be done."""
        return after(now.instant, self.plan.protection.step_timeout)

    def due(self) -> Instant | None:
        """Return when this port has to be woken."""
        instants = [self.relay.due(), self.step_until, self.recover_until, self.return_at]
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

    def give_up_at(self, now: Moment) -> Instant:
        """Return when a session is settled though its relay was not read back open."""
        patience = after(now.instant, UNCONFIRMED_END)
        lapsed = self.relay.surely_open_at
        return patience if lapsed is None else max(lapsed, self.step_deadline(now))

    # Whether it may start or close

    def obstacles(self, now: Moment) -> tuple[Code, ...]:
        """Return why a start would be refused now, most telling first; for what is not yet known it waits."""
        circuits, lock_out = self.circuits, Clearing.LOCK_OUT
        no_room = self._finds_no_room(now)
        unclear, unread = no_room and self.room_unclear(), circuits.unread(self.id)
        found = {
            Code.LOCKED_OUT: any(latch.clearing is lock_out for latch in self.latches) or circuits.held(self.id),
            Code.LATCHED: self.id in self.station.suspects
            or any(latch.clearing is not lock_out for latch in self.latches)
            or circuits.latched(self.id),
            Code.BUSY: self.charge is not None,
            Code.DISABLED: self.station.leaving or self.disabled() is not None,
            Code.LINE_CHANGED: self.station.lines.changed(self.id),
            Code.BOARD_LOST: self.relay.board_lost
            or (self._at_rest and self.relay.known and self.relay.phase is not Phase.OPEN)
            or (circuits.unguarded(self.id) and not unread),
            Code.METER_STALE: (self.meter_known and not self.seen.alive(now.instant)) or self.frozen.dead,
            Code.STORE_UNAVAILABLE: not self.station.store_writable,
            Code.THERMAL: self.thermal.theta(now.instant) > START_BELOW or self.heat.warm(now.instant),
            Code.VOLTAGE: self.mains.out(now.instant),
            Code.CIRCUIT_FULL: no_room and not unclear,
            Code.NOT_YET_KNOWN: self._not_yet_known() or unclear or self.station.lines.pending(self.id),
        }
        return tuple(code for code, holds in found.items() if holds)

    @property
    def _at_rest(self) -> bool:
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

    def most(self) -> str:
        """Return the port's own limits in words."""
        limits = self.plan.limits
        energy = "" if limits.energy is None else f", {limits.energy:g} Wh"
        return f"this port allows up to {limits.current:g} A, {limits.power:g} W, {limits.duration:g} s{energy}"

    def _finds_no_room(self, now: Moment) -> bool:
        waits = self.id in self.circuits.waiting()
        idle = self._at_rest and (self.step is Step.KNOWN or not self.station.queue_for)
        return (waits or idle) and not self.circuits.admits(self.id, self.limits, now.instant)

    def may_close(self, now: Moment) -> bool:
        """Say whether the guards of a closing edge hold (invariant S6), and the session is durable (S1)."""
        return (
            self.session.durable
            and not self.latches
            and self.id not in self.station.suspects
            and self.circuits.allow(self.id)
            and not self.relay.board_lost
            and self.station.lines.steady(self.id)
            and self.station.store_writable
            and self.relay.phase is Phase.OPEN
            and self.seen.fresh(now.instant)
            and not self.mains.out(now.instant)
        )

    def shown_free(self) -> bool:
        """Say whether two readings agree that nothing flows though there is power from above.

        Below an open contactor every meter shows that, also that of a welded contact.
        """
        powered = self.circuits.powered_from(self.id)
        if powered is None or not self.load_absent():
            return False
        return self.seen.quiet_since(max(self.sequence_from, powered))

    def load_absent(self) -> bool:
        """Say whether no current flows, as far as is known; an open relay that carries some is none."""
        return self.seen.current is not None and self.seen.current < self.plan.protection.weld_current

    def ready(self, now: Moment) -> bool:
        """Say whether two fresh readings since the sequence began agree that nothing flows."""
        return self.seen.quiet_since(self.sequence_from) and self.seen.fresh(now.instant)

    def has_register(self) -> bool:
        """Say whether the register was read since the sequence began."""
        return self.seen.energy_at is not None and self.seen.energy_at > self.sequence_from

    def patience(self, order: Order) -> Seconds:
        """Return how long a start may wait for its circuits."""
        return self.station.queue_for if order.queue_for is None else order.queue_for

    # Whether a session goes on

    def outlook(self, now: Moment) -> Outlook:
        """Say whether a session that an outage has interrupted goes on, as of now."""
        kept, back = self.session.kept, self.suspended_at
        if kept is None or back is None:
            return Outlook.GOES_ON
        return outlook(kept, now, self.station.resume_window, between(back, now.instant))

    def may_return(self, now: Moment) -> bool:
        """Say whether its circuits let a suspended session go on."""
        waits = self.id in self.circuits.waiting()
        allowed = self.circuits.allow(self.id) and self.circuits.reachable(self.id)
        return allowed and (not waits or self.circuits.admits(self.id, self.limits, now.instant))

    def rested(self, now: Moment) -> bool:
        """Say whether a session that was shed has waited for long enough, lest it flutter with its circuit."""
        if self.suspended_for is not StopReason.CIRCUIT_OVERLOAD or self.suspended_at is None:
            return True
        return between(self.suspended_at, now.instant) >= self.plan.protection.shed_wait

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

    # Whether it is its turn to close

    def turn(self, now: Moment) -> Instant:
        """Return when its relay may be told to close as far as the closings of its circuits go that went before.

        One that waits in a bus's queue is waited for: what was admitted one by one closes one by one.
        """
        turn, mine = now.instant, {circuit.plan.id for circuit in self.circuits.place(self.id).above}
        for other in self.station.ports.values():
            above = self.circuits.place(other.id).above
            if other is self or not any(circuit.plan.id in mine for circuit in above):
                continue
            if other.relay.closing:
                turn = max(turn, after(now.instant, LOOK_AGAIN))
            elif other.relay.last_closing is not None:
                turn = max(turn, after(other.relay.last_closing, BETWEEN_CLOSINGS))
        return turn

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

    def load_unconfirmed(self, now: Moment) -> bool:
        """Say whether current or power was measured so late that an unconfirmed relay should have been open."""
        told, until = self.relay.told_open_at, self.unconfirmed_at()
        if told is None or until is None or not reached(until, now.instant) or self.frozen.dead:
            return False
        since = until if self.station.dead_men.lapses(self.plan.relay) else after(told, self.shown_within())
        seen = self.seen
        flows = seen.current_at is not None and seen.current_at >= since and not self.load_absent()
        draws = seen.power_at is not None and seen.power_at >= since and (seen.power or 0.0) > self.weld.least
        return flows or draws

    def undecided_until(self, now: Moment) -> Instant | None:
        """Return until when its contactors wait to see whether its contact carries on, which reads back open.

        `None`: they need not. Without power from above no meter would show it.
        """
        relay, seen = self.relay, self.seen
        opened = relay.opened_at
        if relay.phase is not Phase.OPEN or relay.closed_from is None or opened is None or self.blind(now):
            return None
        shown = after(opened, self.shown_within())
        told = seen.current_at is not None and reached(shown, seen.current_at)
        until = after(shown, UNDECIDED)
        return None if (told and self.load_absent()) or reached(until, now.instant) else until

    def blind(self, now: Moment) -> bool:
        """Say whether its meter tells nothing of what flows now."""
        speaks = self.seen.alive(now.instant) if self.charge is None else self.seen.fresh(now.instant)
        return self.frozen.dead or not speaks

    def out_of_control(self, now: Moment) -> bool:
        """Say whether only the contactor above can still open this port."""
        if any(latch.function in BEYOND_CONTROL for latch in self.latches):
            return True
        if self.station.dead_men.lapses(self.plan.relay):
            return False
        if self.relay.phase is Phase.OPEN:
            return self.shown_open is False  # Only what may be another line's board has called it open.
        if self.relay.board_lost or (self.unconfirmed(now) and self.blind(now)):
            return True
        # Below an open contactor a meter shows nothing whatever its relay does: only a read-back tells.
        cut_off = any(circuit.held for circuit in self.circuits.place(self.id).above)
        return cut_off and self.relay.told_open_at is not None

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
        fresh = self.seen.fresh(now.instant) if self.charge is not None else self.seen.alive(now.instant)
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
                moved_at=self.relay.opened_at if self.relay.phase is Phase.OPEN else self.relay.closed_from,
            ),
            latches=tuple(self.latches),
            blocked_by=self.obstacles(now),
            session=self.record(now) if self.charge is not None else None,
            queue_position=self.circuits.position(self.id),
            temperature=self.heat.known(now.instant),
            disabled=self.disabled(),
        )
