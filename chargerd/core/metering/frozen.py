"""A meter that answers and does not measure: its register stands still under load, or its values do for minutes.

Steady figures alone prove nothing. A finished lithium charger draws exactly 0 W for hours, a standby load shows
one figure at a coarse resolution, and a meter may renew its values each 20 s. A register that stands still though
five of its steps have been drawn opens the port, and so does one that counts what values that stand still do not
show. Values that stand still while neighbours' move only flag the meter, and two steps of the register are then
enough.
"""

from collections import deque
from collections.abc import Iterable

from chargerd.core.events import MeterReading
from chargerd.core.plan import CEILING, PortPlan
from chargerd.core.session import StopDetail
from chargerd.core.units import Instant, Seconds, Volts, WattHours, Watts, between

SECONDS_AN_HOUR = 3600.0
COUNTED_FROM = Watts(10.0)
"""What a meter must count: it may start at 0.4 % of its rated current (IEC 62053-21), 9 W for one of 10 A."""
STANDS_FOR = Seconds(60.0)
"""A register is not stuck sooner, however much is drawn: some are renewed less often than the power."""
LONGEST_HOLD = Seconds(60.0)
"""For how long a power counts as drawn after it was read."""
FLAGGED_STEPS = 2
"""Steps of the register that are enough where the values stand still, too."""
READINGS = 10
"""New readings without a change; fewer prove nothing, however long they took."""
FINE = 1000.0
"""A value of so many of its meter's smallest steps does not stand still for minutes on live mains."""
STANDBY = Watts(25.0)
"""Below it a load may draw the very same for hours."""
MOVES = 3
"""A neighbour moves if its values have changed so often meanwhile."""
VOLTAGE_STEPS = 5
"""And its voltage, if it has changed by so many steps of this meter's."""
MOST_POWER = 1.5 * CEILING.power
"""A register that counts more than this is wrong itself."""
SAMPLE_EVERY = Seconds(20.0)
SAMPLES = 60


class _Value:
    """One quantity of a meter: since when it has been the same, and the smallest step it was seen to make."""

    def __init__(self, refresh: Seconds) -> None:
        self._refresh = refresh
        self._counted_at: Instant | None = None
        self.value: float | None = None
        self.since: Instant | None = None
        self.readings = 0
        self.step: float | None = None

    def take_in(self, value: float | None, at: Instant) -> bool:
        """Take in a reading; say whether the value has changed."""
        if value is None:
            return False
        before, self.value = self.value, value
        if before is None or value != before:
            if before is not None:
                size = abs(value - before)
                self.step = size if self.step is None else min(self.step, size)
            self.restart(at)
            return before is not None
        if self._counted_at is None or between(self._counted_at, at) >= self._refresh:
            self._counted_at = at
            self.readings += 1
        return False

    def restart(self, at: Instant) -> None:
        """The meter lives: what stood still so far is forgotten."""
        self.since = self._counted_at = at
        self.readings = 1

    def tells(self, least: float) -> bool:
        """Say whether a value that has not changed is worth a thought."""
        fine = self.step is not None and self.value is not None and abs(self.value) >= FINE * self.step
        return fine and self.readings >= READINGS and abs(self.value or 0.0) >= least


class Frozen:
    """Watches one port's meter.

    `stuck` (the register stands still), `blind` (it counts what the values do not show) and `still` (the values
    stand still while neighbours' move) hold the figures while that is the case.
    """

    def __init__(self, plan: PortPlan) -> None:
        self._plan = plan
        refresh = plan.meter.refresh
        self._current, self._power, self._voltage = _Value(refresh), _Value(refresh), _Value(refresh)
        self._moves: deque[Instant] = deque(maxlen=MOVES)
        self._volts: deque[tuple[Instant, Volts]] = deque(maxlen=SAMPLES)
        self._register: WattHours | None = None
        self._register_since = Instant(0.0)
        self._held: tuple[Watts, Instant] | None = None
        self._flagged_at: Instant | None = None
        self.due = WattHours(0.0)
        """What was drawn since the register was first read as it stands now."""
        self.stuck: StopDetail | None = None
        self.blind: StopDetail | None = None
        self.still: StopDetail | None = None
        self._base: tuple[WattHours, Instant] | None = None
        self._shown = WattHours(0.0)

    # Taking in

    def take_in(self, reading: MeterReading) -> bool:
        """Take in a reading; say whether it shows that the meter does not measure.

        Whether the relay is meant to be closed does not matter: an open one may be welded.
        """
        at = reading.at
        current, power = self._current.take_in(reading.current, at), self._power.take_in(reading.power, at)
        voltage = self._voltage.take_in(reading.voltage, at)
        if current or power:
            self._moves.append(at)
            self._base = self.blind = None
        if self.flagged and (current or power or voltage):
            self._set(None)
        if reading.voltage is not None and (not self._volts or between(self._volts[-1][0], at) >= SAMPLE_EVERY):
            self._volts.append((at, reading.voltage))
        self._draw(at)
        if reading.power is not None:
            self._held = (reading.power, at)
        if reading.energy is None:
            return False
        return self._note_counted(reading.energy, at) or self._note_register(reading.energy, at)

    def _draw(self, at: Instant) -> None:
        if self._held is None:
            return
        power, since = self._held
        span = min(LONGEST_HOLD, max(0.0, between(since, at)))
        drawn = power * span / SECONDS_AN_HOUR
        if power >= COUNTED_FROM:  # What flows back need not be counted: it may have a register of its own.
            self.due = WattHours(self.due + drawn)
        self._shown = WattHours(self._shown + abs(drawn))
        self._held = (power, max(since, at))

    def _note_counted(self, value: WattHours, at: Instant) -> bool:
        """Say whether the register has counted what the values, the same ever since, do not show at all."""
        if self._base is None:
            self._base, self._shown = (value, at), WattHours(0.0)
            return False
        counted, hours = value - self._base[0], between(self._base[1], at) / SECONDS_AN_HOUR
        more = counted - self._shown
        least = max(self._plan.protection.frozen_steps * self._plan.meter.energy_resolution, self._shown)
        if self.blind is not None or more < max(least, COUNTED_FROM * hours) or counted > MOST_POWER * hours:
            return False
        limit = self._shown + least
        self.blind = StopDetail(function="meter_frozen", measured=counted, limit=limit, unit="wh")
        self._flag(at)
        return True

    def _note_register(self, value: WattHours, at: Instant) -> bool:
        if value != self._register:
            if self._register is not None:
                for one in (self._current, self._power, self._voltage):
                    one.restart(at)
            self._register, self._register_since = value, at
            self.due, self.stuck = WattHours(0.0), None
            self._set(None)
            return False
        limit = self._limit()
        stands = between(self._register_since, at) >= max(STANDS_FOR, 3 * self._plan.meter.refresh)
        if self.stuck is not None or not stands or self.due < limit:
            return False
        self.stuck = StopDetail(function="meter_frozen", measured=self.due, limit=limit, unit="wh")
        self._flag(at)
        return True

    def _limit(self) -> float:
        plan = self._plan
        steps = plan.protection.frozen_steps if self.still is None else FLAGGED_STEPS
        return steps * plan.meter.energy_resolution

    def _set(self, still: StopDetail | None) -> None:
        self.still = still
        if self.still is None and self.finding is None:
            self._flagged_at = None

    def _flag(self, at: Instant) -> None:
        if self._flagged_at is None:
            self._flagged_at = at

    # Comparing

    def compare(self, others: Iterable["Frozen"], at: Instant) -> bool:
        """Say whether the values have stood still for minutes as of now, while those of `others` moved.

        Says so once, until they move. Identical zeros are no evidence; a voltage is, where the others' moved.
        """
        since = self._same_since()
        span = self._plan.protection.frozen_for
        if self.still is not None or since is None or between(since, at) < span:
            return False
        by_power = self._power.tells(STANDBY)
        by_voltage = self._voltage.tells(0.0)
        if not (by_power or by_voltage):
            return False
        least = VOLTAGE_STEPS * (self._voltage.step or 0.0)
        if not any(
            (by_power and one.moved_since(since)) or (by_voltage and one.swung_since(since) >= least)
            for one in others
        ):
            return False
        self._set(StopDetail(function="meter_frozen", measured=between(since, at), limit=span, unit="s"))
        self._flag(at)
        return True

    def _same_since(self) -> Instant | None:
        """Return since when no value has changed; `None` before both current and power are known."""
        if self._current.since is None or self._power.since is None:
            return None
        since = max(self._current.since, self._power.since)
        return since if self._voltage.since is None else max(since, self._voltage.since)

    def moved_since(self, since: Instant) -> bool:
        """Say whether current and power have changed a few times since then."""
        return len(self._moves) == MOVES and self._moves[0] > since

    def swung_since(self, since: Instant) -> float:
        """Return by how many volts the voltage has changed since then, as far as is remembered."""
        volts = [value for at, value in self._volts if at >= since]
        return max(volts) - min(volts) if volts else 0.0

    # What others ask

    @property
    def finding(self) -> StopDetail | None:
        """The figures that open a port."""
        return self.stuck or self.blind

    @property
    def flagged(self) -> bool:
        """Whether readings must not be taken for measurements without a second thought."""
        return self._flagged_at is not None

    @property
    def dead(self) -> bool:
        """Whether neither current nor power has changed since it was flagged: then they prove nothing at all."""
        return self._flagged_at is not None and (not self._moves or self._moves[-1] <= self._flagged_at)

    def pause(self) -> None:
        """The relay opens: nothing is drawn any more."""
        self._held = None

    def try_again(self) -> None:
        """A start sequence begins: the register gets another chance."""
        self.due, self.stuck = WattHours(0.0), None
        self._base = self.blind = None
        self._set(self.still)
