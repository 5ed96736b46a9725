"""What a port's meter has shown: the newest values, their age, and which of them count.

Readings count once per refresh: a meter that renews its values each second and is read four times a second gives
one reading a second. A missing value is never a zero, it only grows older. Magnitudes protect, signs bill.
"""

from dataclasses import dataclass

from chargerd.core.events import MeterReading
from chargerd.core.plan import MeterPlan, Protection
from chargerd.core.units import Amps, Instant, Seconds, Volts, WattHours, Watts, after, between

POLLS = 3
"""A meter is not called stale before it has missed this many of its own readings."""
VOLTAGE_SHOWN = Seconds(10.0)
"""How long a port's own voltage is shown: five of its readings, which end when the port opens."""
IDLE_STALE_AFTER = Seconds(15.0)
"""Three readings of an idle port, which is read each 5 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Which values of a reading count as new ones."""

    current: bool
    power: bool


COUNTED = tuple(
    tuple(Counted(current=current, power=power) for power in (False, True)) for current in (False, True)
)
"""Each that there is, by whether the current counts and whether the power does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The newest value of each quantity and when it was read; `None` where none was read yet.

    Current and power are `None` until they have been read since the relay opened or closed. The voltage is the
    meter's own, or that of the nearest meter upstream; `None` if neither has shown one for 10 s.
    `fresh` says whether the port counts as seen by the rule that opens it otherwise; `frozen` that the meter
    answers, but seems not to measure.
    """

    current: Amps | None = None
    power: Watts | None = None
    voltage: Volts | None = None
    energy: WattHours | None = None
    at: Instant | None = None
    energy_at: Instant | None = None
    """When the register was read, which is done far more seldom than all else."""
    fresh: bool = False
    frozen: bool = False


class MeterState:
    """The newest values of one port's meter."""

    def __init__(self, meter: MeterPlan, protection: Protection) -> None:
        self._refresh = meter.refresh
        self._stale_after = Seconds(max(protection.stale_after, POLLS * meter.refresh))
        self._power_stale_after = Seconds(max(self._stale_after, POLLS * meter.power_every))
        self._agree_within = protection.weld_current
        self.current: Amps | None = None
        """How much flows, whichever way: a meter may be wired the wrong way round."""
        self.current_at: Instant | None = None
        self.power: Watts | None = None
        """As current. Every threshold and every sum goes by it; only bills go by `signed_power`."""
        self.signed_power: Watts | None = None
        """As the meter shows it: below zero what flows back."""
        self.power_at: Instant | None = None
        self.voltage: Volts | None = None
        self.voltage_at: Instant | None = None
        self.energy: WattHours | None = None
        self.energy_at: Instant | None = None
        self._counted_current_at: Instant | None = None
        self._counted_power_at: Instant | None = None
        self._pair: list[tuple[Instant, Amps]] = []
        self._fresh_until: Instant | None = None

    def take_in(self, reading: MeterReading) -> Counted:
        """Take in a reading and say what of it is new."""
        current = power = False
        if reading.current is not None:
            self.current, self.current_at = Amps(abs(reading.current)), reading.at
            current = self._is_new(self._counted_current_at, reading.at)
            if current:
                self._counted_current_at = reading.at
                self._pair = [*self._pair[-1:], (reading.at, self.current)]
        if reading.power is not None:
            self.power, self.power_at = Watts(abs(reading.power)), reading.at
            self.signed_power = reading.power
            power = self._is_new(self._counted_power_at, reading.at)
            if power:
                self._counted_power_at = reading.at
        if reading.voltage is not None:
            self.voltage, self.voltage_at = Volts(abs(reading.voltage)), reading.at
        if reading.energy is not None:
            self.energy, self.energy_at = reading.energy, reading.at
        self._fresh_until = self._stale_at()
        return COUNTED[current][power]

    def _is_new(self, counted: Instant | None, at: Instant) -> bool:
        return counted is None or between(counted, at) >= self._refresh

    def fresh_until(self) -> Instant | None:
        """Return the instant from which the meter of a closed port counts as stale; `None`: it already does.

        Both current and power must be known; each may miss three of its own readings, and never less than the
        configured `meter_stale`.
        """
        return self._fresh_until

    def _stale_at(self) -> Instant | None:
        if self.current_at is None or self.power_at is None:
            return None
        return min(after(self.current_at, self._stale_after), after(self.power_at, self._power_stale_after))

    def fresh(self, now: Instant) -> bool:
        """Say whether a closed port may stay closed as far as its meter goes."""
        return self._fresh_until is not None and now < self._fresh_until

    def current_fresh(self, now: Instant) -> bool:
        """Say whether the newest current is one of now."""
        return self.current_at is not None and now < after(self.current_at, self._stale_after)

    def alive(self, now: Instant) -> bool:
        """Say whether the meter of an idle port has answered lately."""
        return self.current_at is not None and between(self.current_at, now) < IDLE_STALE_AFTER

    def agreed_since(self, since: Instant) -> bool:
        """Say whether two readings taken after `since` agree on the current; good news needs two."""
        if len(self._pair) < 2 or self._pair[0][0] <= since:  # noqa: PLR2004 - a pair
            return False
        return abs(self._pair[0][1] - self._pair[1][1]) <= self._agree_within

    def quiet_since(self, since: Instant) -> bool:
        """Say whether they agree that nothing flows: both of them, since the second alone would be one reading."""
        return self.agreed_since(since) and all(current < self._agree_within for _, current in self._pair)

    def voltage_by(self, now: Instant) -> Volts | None:
        """Return the voltage the meter itself has shown lately."""
        keeps = max(VOLTAGE_SHOWN, POLLS * self._refresh)
        old = self.voltage_at is None or between(self.voltage_at, now) > keeps
        return None if old else self.voltage

    def measured(self, *, fresh: bool, frozen: bool, voltage: Volts | None, moved_at: Instant | None) -> Measured:
        """Return the values as onlookers get them, as old as the older of current and power.

        `moved_at` is when the relay opened or closed: what flowed before is not what flows.
        """
        known = [at for at in (self.current_at, self.power_at) if at is not None]
        return Measured(
            current=None if _before(self.current_at, moved_at) else self.current,
            power=None if _before(self.power_at, moved_at) else self.signed_power,
            voltage=voltage,
            energy=self.energy,
            energy_at=self.energy_at,
            at=min(known, default=None),
            fresh=fresh,
            frozen=frozen,
        )


def _before(at: Instant | None, moved_at: Instant | None) -> bool:
    return at is not None and moved_at is not None and at < moved_at
