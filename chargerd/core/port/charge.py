"""One session under way: what was ordered, what was drawn, what interrupted it, and what has been said of it."""

from dataclasses import dataclass, replace

from chargerd.core.events import UpdateRequested
from chargerd.core.metering.totals import Totals
from chargerd.core.moment import Moment, passed
from chargerd.core.plan import Limits, PortPlan
from chargerd.core.protection.function import Models
from chargerd.core.protection.image import Image
from chargerd.core.session import (
    EnergyQuality,
    Interruption,
    Order,
    SessionRecord,
    Settlement,
    StopDetail,
    StopReason,
    Waits,
)
from chargerd.core.units import CommandId, Instant, Seconds, WattHours, Watts, after, between

OUTAGE = StopReason.POWER_LOSS.value
"""The reason of an interruption that was an outage of the gateway."""
RESTARTED = StopReason.RESTART.value
"""The reason of one that was a restart of the daemon, in order."""
AWAY = frozenset({OUTAGE, RESTARTED})
"""The gateway was away: nobody's fault at the socket."""
SHED = StopReason.CIRCUIT_OVERLOAD.value
"""The reason of an interruption by a circuit that carried too much."""
NOT_CLOSED = "relay_not_closed"
"""Why the energy of a session whose relay was never told to close is not `exact`: nobody read a register."""
LATELY = Seconds(3540.0)
"""Suspensions are counted over an hour, less a minute: what comes every twenty minutes comes three times in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise:
    """Higher limits that hold once the journal has them, and the token it says so with."""

    event: UpdateRequested
    token: int


class Charge:
    """A session from its accepted start to its settlement."""

    def __init__(self, plan: PortPlan, order: Order, models: Models, now: Moment) -> None:
        self.order = order
        self.started = now
        self.durable = False
        """Whether the journal has confirmed this session; no relay closes for it before."""
        self.announced = False
        """Whether `SessionStarted` has been told."""
        self.charged = False
        """Whether a start sequence of it was ever completed: only then can it be suspended."""
        self.touched = False
        """Whether its relay was told to close, so that something may have flowed."""
        self.pending_start: CommandId | None = order.command
        """The start command that still waits for its last word."""
        self.pending_stops: list[CommandId] = []
        self.raising: CommandId | None = None
        """The newest command to raise its limits whose id is not durable yet."""
        self.pending_raise: Raise | None = None
        self.image = Image(
            plan=plan,
            order=order,
            models=models,
            totals=Totals(order.tiers, plan.meter.energy_resolution, plan.meter.refresh),
            started_at=now.instant,
        )
        self._plan = plan
        self._interruptions: list[Interruption] = []
        self._suspended_from: Moment | None = None
        self._counting_from: Instant | None = None
        """From when on time counts as suspended; `None` while it counts as charging."""
        self._suspended = Seconds(0.0)
        self._outages = Seconds(0.0)
        self._shed_for = Seconds(0.0)
        self._returns = 0
        self._taken_up: Moment | None = None
        self.kept: SessionRecord | None = None
        """What the journal has kept of it, while nothing proves that it may go on after an outage."""
        self.at_once = False
        """Whether it comes back at once: the machine ran on, so the mains had not gone, and what comes back flowed
        until the daemon ended."""
        self.waits: Waits | None = None
        """What it waits for since the daemon was told to leave."""

    @classmethod
    def taken_up(
        cls, plan: PortPlan, record: SessionRecord, models: Models, now: Moment, *, unanswered: bool
    ) -> "Charge":
        """Return a session as an outage or a restart has left it: suspended, and not proved to go on yet.

        What it was waiting for when a restart came, it waits for still; else the outage begins with its record.
        `unanswered`: whether its start still waits for its last word.
        """
        charge = cls(plan, record.order, models, now)
        charge.kept, charge.started = record, record.started
        charge.announced = charge.charged = charge.touched = True
        if not unanswered:
            charge.pending_start = None
        charge._interruptions = [*record.interruptions]
        last = charge._interruptions[-1] if charge._interruptions else None
        going_on = last is not None and last.until is None
        if last is None or not going_on or (record.waits is None and last.reason not in AWAY):
            if last is not None and going_on:
                charge._interruptions[-1] = replace(last, until=record.at)
            charge._interruptions.append(Interruption(since=record.at, until=None, reason=OUTAGE))
        charge._suspended, charge._outages, charge._shed_for = record.suspended, record.outages, record.sheds
        charge._returns = record.returns
        charge.at_once = record.at.boot == now.boot
        charge._suspended_from = charge._taken_up = now
        charge._counting_from = now.instant
        return charge

    def prove(self, outage: Seconds, now: Moment) -> None:
        """Go on from where the record was: `outage` is how long ago it was made."""
        record, taken_up = self.kept, self._taken_up
        assert record is not None
        assert taken_up is not None
        made = Instant(now.instant - outage)
        unwatched = between(made, taken_up.instant)
        self._suspended = Seconds(self._suspended + unwatched)
        self._outages = Seconds(self._outages + unwatched)
        meter = self._plan.meter
        self.image.take_up(record, Totals.taken_up(record, meter.energy_resolution, made, meter.refresh), made)
        self.kept = None

    @property
    def totals(self) -> Totals:
        """What was drawn so far."""
        return self.image.totals

    def adopt(self, limits: Limits, now: Moment) -> None:
        """Go by other limits from now on."""
        self.order = replace(self.order, limits=limits)
        self.image.adopt(self.order, now.instant)
        if self.kept is not None:
            self.kept = replace(self.kept, order=self.order)

    @property
    def peak(self) -> Watts:
        """Return the highest power so far, whichever way it flowed, before an outage or after it."""
        return self.image.most if self.kept is None else max(self.kept.peak_power, self.kept.level)

    # Suspension

    @property
    def suspended_by(self) -> str:
        """What has suspended it last; empty: nothing yet."""
        return self._interruptions[-1].reason if self._interruptions else ""

    def faults(self, now: Moment) -> int:
        """Return how often it was suspended within the hour; no outage of the gateway and no circuit counts."""
        return sum(one.reason not in {*AWAY, SHED} and _lately(one, now) for one in self._interruptions)

    def sheds(self, now: Moment | None = None) -> int:
        """Return how often its circuits had too little room for it, within the hour up to `now` or in all."""
        sheds = [one for one in self._interruptions if one.reason == SHED]
        return len(sheds) if now is None else sum(_lately(one, now) for one in sheds)

    def suspend(self, reason: str, now: Moment) -> None:
        """Begin a suspension; one under way, whose start sequence has come to nothing, ends in the new one."""
        self.resume(now)
        self.at_once = False
        self._suspended_from = now
        self._counting_from = None if self.totals.closed else now.instant
        self._interruptions.append(Interruption(since=now, until=None, reason=reason))

    def return_ahead(self) -> None:
        """It is about to be written ahead of a closing: count that, if the gateway was away."""
        if self._suspended_from is not None and self._interruptions[-1].reason in AWAY:
            self._returns += 1

    def resume(self, now: Moment) -> None:
        """End the suspension under way, if any."""
        if self._suspended_from is None:
            return
        self.contact_closed(now.instant)
        self._suspended_from = None
        last = self._interruptions[-1]
        self._interruptions[-1] = Interruption(since=last.since, until=now, reason=last.reason)

    def contact_opened(self, at: Instant) -> None:
        """The relay of a suspended session is open: charging time has ended, suspended time begins."""
        if self._suspended_from is not None and self._counting_from is None:
            self._counting_from = max(at, self._suspended_from.instant)

    def contact_closed(self, at: Instant) -> None:
        """Suspended time ends: charging time runs from the same instant on."""
        if self._counting_from is not None:
            span = between(self._counting_from, at)
            self._suspended = Seconds(self._suspended + span)
            if self._shed:
                self._shed_for = Seconds(self._shed_for + span)
            self._counting_from = None

    def suspended_at(self, now: Instant, contact_until: Instant | None = None) -> Seconds:
        """Return how long the session has been suspended in all, as of `now`.

        No instant counts twice: a relay not seen to be open yet counts as charging up to `contact_until`.
        """
        begin = self._counting_from
        if begin is None and self._suspended_from is not None and contact_until is not None and self.totals.closed:
            begin = max(contact_until, self._suspended_from.instant)
        return self._suspended if begin is None else Seconds(self._suspended + between(begin, now))

    @property
    def _shed(self) -> bool:
        """Whether the newest suspension is one by a circuit."""
        return bool(self._interruptions) and self._interruptions[-1].reason == SHED

    def suspended_too_long_at(self) -> Instant:
        """Return when the suspension under way will have taken all the time a session has for it.

        As much time as it has for faults it has for circuits as well; neither uses up the other's.
        """
        assert self._suspended_from is not None
        spent = self._shed_for if self._shed else self._suspended - self._outages - self._shed_for
        return after(self._suspended_from.instant, Seconds(self._plan.protection.suspend_total - spent))

    # Records

    def record(self, now: Moment, contact_until: Instant) -> SessionRecord:
        """Return the session as the journal keeps it; its relay was closed no longer than `contact_until`."""
        if self.kept is not None:
            return self.kept
        totals = self.totals.as_of(contact_until)
        suspended = self.suspended_at(now.instant, contact_until)
        shed = suspended - self._suspended if self._shed else 0.0
        return SessionRecord(
            order=self.order,
            started=self.started,
            at=now,
            meter_start=totals.register_start,
            last_register=totals.register_last,
            energy=totals.energy,
            charging=totals.charging,
            suspended=suspended,
            peak_power=totals.peak,
            peak_power_first_5_min=totals.peak_first_5_min,
            tiers=totals.tiers(),
            interruptions=tuple(self._interruptions),
            theta=self.image.models.thermal.theta(now.instant),
            charged=self.charged,
            elapsed=between(self.image.started_at, now.instant),
            outages=self._outages,
            sheds=Seconds(self._shed_for + shed),
            level=self.image.shape.peak,
            lately=self.image.shape.lately,
            doubt=totals.doubt,
            waits=self.waits,
            returns=self._returns,
            wired=self._plan.wired,
        )

    def settle(
        self, reason: StopReason, detail: StopDetail | None, stop: WattHours | None, now: Moment
    ) -> Settlement:
        """Return the settlement. `stop` is the register after opening, `None` if it could not be read."""
        if self.kept is not None:
            return settle_interrupted(self.kept, self._plan.meter.energy_resolution, reason)
        doubt = self.totals.doubt
        if not self.touched:
            doubt = NOT_CLOSED
        elif doubt is None and stop is None:
            doubt = "register_not_read"
        return Settlement(
            record=self.record(now, now.instant),
            ended=now,
            reason=reason,
            detail=detail,
            quality=EnergyQuality.EXACT if doubt is None else EnergyQuality.ESTIMATED,
            quality_reason=doubt,
            resolution=self._plan.meter.energy_resolution,
            meter_stop=stop,
            confidence=self._confidence(reason),
        )

    def _confidence(self, reason: StopReason) -> float | None:
        end = self.image.shape.end
        return end.confidence if end is not None and end.reason is reason else None


def _lately(one: Interruption, now: Moment) -> bool:
    """Say whether it began within the hour, as far as is known: over a reboot without a clock, it did."""
    span = passed(one.since, now)
    return span is None or span < LATELY


def interrupted_by(record: SessionRecord) -> StopReason:
    """Return what has interrupted it: a restart if the daemon was stopped in order, else an outage."""
    return StopReason.POWER_LOSS if record.waits is None else StopReason.RESTART


def settle_interrupted(
    record: SessionRecord, resolution: WattHours, reason: StopReason | None = None
) -> Settlement:
    """Close the books of a session that a power cut, a crash or a restart has interrupted: at its last record.

    One that was being ended then has ended for that reason.

    A session without a register was never written ahead of a closing relay: nothing can have flowed. With one, its
    relay may have closed right after the record was written, whatever the record's totals say.
    """
    untouched = record.meter_start is None
    return Settlement(
        record=record,
        ended=record.at,
        reason=record.ending or reason or interrupted_by(record),
        detail=StopDetail(function="interrupted"),
        quality=EnergyQuality.ESTIMATED,
        quality_reason=NOT_CLOSED if untouched else "interrupted",
        resolution=resolution,
        meter_stop=None,
    )
