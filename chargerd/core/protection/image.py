"""A port's image in one session: it takes in what happens, and goes round its protective functions."""

from dataclasses import dataclass, field, replace

from chargerd.core.events import MeterReading
from chargerd.core.facts import PortAlarm, PowerJumped
from chargerd.core.metering.seen import Counted
from chargerd.core.metering.totals import Totals
from chargerd.core.protection.function import Function, Protected, Result
from chargerd.core.protection.table import FUNCTIONS
from chargerd.core.session import Clearing, Order, SessionRecord, StopDetail, StopReason
from chargerd.core.units import Instant, Watts

NOTHING = Counted(current=False, power=False)
"""While the relay is open no reading counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the first function that has picked up demands, and its figures."""

    result: Result
    reason: StopReason
    detail: StopDetail
    clearing: Clearing | None
    """Who may clear the latch that a trip sets now; `None`: it sets none."""


class _Round:
    """One function of each row, by what they are to be told and asked: of what it does not override, none is."""

    def __init__(self, on: Protected) -> None:
        made = [(row, row.function(on)) for row in FUNCTIONS]
        opening = [(row, one) for row, one in made if row.opens(on.plan.protection)]
        functions = [function for _, function in made]
        self.read = tuple(one.read for one in functions if _overrides(one, "read"))
        self.closed = tuple(one.closed for one in functions if _overrides(one, "closed"))
        self.opened = tuple(one.opened for one in functions if _overrides(one, "opened"))
        self.adopted = tuple(one.adopted for one in functions if _overrides(one, "adopted"))
        self.taken_up = tuple(one.taken_up for one in functions if _overrides(one, "taken_up"))
        self.timers = tuple(one.timer for _, one in opening if one.timer is not None)
        self.due = tuple(one.due for _, one in opening if _overrides(one, "due"))
        """Not of alarms, which are told with a reading: whom nobody asks must not be due for ever."""
        self.opening = tuple((one.timer, one.finding, row, one) for row, one in opening)
        self.alarms = tuple((one.timer, one.finding, row) for row, one in made if row.result is Result.ALARM)


def _overrides(function: Function, method: str) -> bool:
    return getattr(type(function), method) is not getattr(Function, method)


@dataclass(slots=True, kw_only=True)
class Image(Protected):
    """What its functions look at, and they themselves."""

    newly_stuck: bool = False
    """Whether the newest reading has shown that the meter does not measure."""
    told: set[str] = field(default_factory=set)
    """What has been told of this session once and for all."""
    _round: _Round = field(init=False)

    def __post_init__(self) -> None:
        Protected.__post_init__(self)
        self._round = _Round(self)

    # What happens

    def take_in(self, reading: MeterReading) -> None:
        """Take in a reading: totals, shape, pickups, and whether there is a load at all."""
        counted = self.seen.take_in(reading)
        self.newly_stuck = self.models.frozen.take_in(reading)
        if self.closed_at is not None and reading.at >= self.closed_at:
            self._count(reading, counted)
        else:
            counted = NOTHING
            if reading.power is not None:
                self.totals.see_open(Watts(abs(reading.power)), reading.at)
        for read in self._round.read:
            read(reading, counted)

    def _count(self, reading: MeterReading, counted: Counted) -> None:
        """Take in a reading of the closed relay."""
        seen, frozen = self.seen, self.models.frozen
        if reading.energy is not None:
            self.totals.register(reading.energy, reading.at)
        if self.newly_stuck and frozen.stuck is not None:
            self.totals.distrust("register_frozen", frozen.due)
        if counted.current and seen.current is not None:
            self.level.take_in(seen.current, reading.at)
        if reading.power is not None and seen.power is not None:
            if counted.power:
                self.shape.take_in(seen.power, reading.at)
            self.totals.hold(reading.power, reading.at)
            self.most = max(self.most, seen.power)

    def close(self, at: Instant) -> None:
        """The relay is being closed; what was picked up before does not count."""
        self.closed_at, self.contact_from = at, None
        for closed in self._round.closed:
            closed(at)

    def open(self) -> None:
        """The relay is being opened: nothing is picked up any more."""
        self.closed_at = self.contact_from = None
        self.shape.interrupt()
        self.level.interrupt()
        for opened in self._round.opened:
            opened()

    def take_up(self, record: SessionRecord, totals: Totals, at: Instant) -> None:
        """Go on after an outage with what was known at `at`, when the record was made."""
        self.totals = totals
        self.started_at = Instant(at - record.elapsed)
        self.shape.take_up(record.level, record.lately, record.energy)
        # The level, too, since what flowed back is in no bill.
        self.most = max(record.peak_power, record.level)
        for taken_up in self._round.taken_up:
            taken_up()
        if record.doubt is not None:
            self.told.add("doubt")

    def adopt(self, order: Order, now: Instant) -> None:
        """Go by other limits from now on. What was read before is judged by whichever limit lets more pass."""
        held, new, seen = self.order.limits, order.limits, self.seen
        current = held.current if seen.current_at is None else self.limits_at(seen.current_at).current
        power = held.power if seen.power_at is None else self.limits_at(seen.power_at).power
        self.lenient = replace(new, current=max(current, new.current), power=max(power, new.power))
        self.order, self.adopted_at = order, now
        for adopted in self._round.adopted:
            adopted()

    # What comes of it

    def judge(self, now: Instant) -> Verdict | None:
        """Return what the first function in order of priority has found, if any has."""
        for timer, finding, row, function in self._round.opening:
            if timer is not None and timer.since is None:
                continue
            detail = finding(now)
            if detail is not None:
                result = Result.TRIP if row.result is Result.ALARM else row.result
                clearing = row.clearing if function.by_port(now) else None
                return Verdict(result=result, reason=row.reason, detail=detail, clearing=clearing)
        return None

    def alarms(self, now: Instant) -> list[PortAlarm | PowerJumped]:
        """Return what is to be told of a port that is otherwise left alone, each once a session."""
        told = []
        for timer, finding, row in self._round.alarms:
            detail = None if timer is not None and timer.since is None else finding(now)
            if detail is not None and self.is_news(detail.function):
                told.append(row.tells(port=self.plan.id, detail=detail, session=self.order.session))
        return told

    def is_news(self, what: str) -> bool:
        """Say whether this has not been told of the session yet; from now on it has."""
        new = what not in self.told
        self.told.add(what)
        return new

    def due(self) -> Instant | None:
        """Return when a function may pick up without another reading; `None` while the relay is open."""
        if self.closed_at is None:
            return None
        first: Instant | None = None
        for timer in self._round.timers:
            at = None if timer.since is None else timer.due()
            if at is not None and (first is None or at < first):
                first = at
        for due in self._round.due:
            at = due()
            if at is not None and (first is None or at < first):
                first = at
        return first
