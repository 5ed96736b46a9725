"""What a session has drawn so far: time, energy, peaks and tariff tiers.

Power is held from one reading to the next and integrated, the first one after a closing back to that closing: it
may be read each two seconds only. Whenever the meter's register is read, the integral is pulled to within one step
of the register's difference, so that an error of the integral never grows.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

from chargerd.core.plan import CEILING
from chargerd.core.session import SessionRecord, Tier
from chargerd.core.units import Instant, Seconds, WattHours, Watts, after, between

SECONDS_AN_HOUR = 3600.0
MOST_POWER = 1.5 * CEILING.power
"""More than any limit lets through: a register that rises faster is not believed."""
UNCOUNTED = Seconds(60.0)
"""For how long something may flow while the relay counts as open, and a slow meter lag behind, without a word."""
FLOWS = Watts(10.0)
"""An empty socket beside others shows a watt or two."""
FIRST_MINUTES = Seconds(300.0)
"""The span whose peak is recorded by itself: tariffs of this market bill by it."""


@dataclass(slots=True)
class _Tier:
    up_to: Watts | None
    charging: float = 0.0
    energy: float = 0.0


class Totals:
    """Running totals of one session. Only spans in which the relay is closed count as charging."""

    def __init__(self, bounds: Sequence[Watts], resolution: WattHours, refresh: Seconds = Seconds(0.0)) -> None:
        self._resolution = resolution
        self._refresh = refresh
        """How old a value is at most that the meter shows."""
        self._tiers = [_Tier(bound) for bound in bounds] + [_Tier(None)]
        self._closed_from: Instant | None = None
        self._held = Watts(0.0)
        self._unseen: Seconds | None = None
        """How long nobody has read the power since the relay closed; `None` once somebody has."""
        self.charging = Seconds(0.0)
        self.energy = WattHours(0.0)
        self.peak = Watts(0.0)
        self.peak_first_5_min = Watts(0.0)
        self.register_start: WattHours | None = None
        self.register_last: WattHours | None = None
        self._register_at = Instant(0.0)
        self._charged_then = Seconds(0.0)
        """The charging time when the register was read."""
        self._opened_at = Instant(0.0)
        self._unwatched = False
        """Whether something may have flowed since `register_last` that no reading of power has shown."""
        self._away = False
        """Whether a restart lies between, before which the relay was read back open."""
        self.doubt: str | None = None
        """Why the energy is only an estimate, if it is."""

    @classmethod
    def taken_up(
        cls, record: SessionRecord, resolution: WattHours, at: Instant, refresh: Seconds = Seconds(0.0)
    ) -> "Totals":
        """Return the totals of a record, made at `at` of this boot's clock; its relay is open.

        What has flowed since, the register alone knows; nothing, if the relay was read back open by then.
        """
        totals = cls(record.order.tiers, resolution, refresh)
        for own, kept in zip(totals._tiers, record.tiers, strict=False):
            own.charging, own.energy = kept.charging, kept.energy
        totals.charging, totals.energy = record.charging, record.energy
        totals.peak, totals.peak_first_5_min = record.peak_power, record.peak_power_first_5_min
        totals.register_start, totals.register_last = record.meter_start, record.last_register
        totals.doubt = record.doubt
        totals._register_at, totals._charged_then = at, totals.charging
        totals._unwatched = record.waits is None or not record.waits.opened
        totals._away = not totals._unwatched
        return totals

    @property
    def closed(self) -> bool:
        """Say whether the relay counts as closed."""
        return self._closed_from is not None

    def as_of(self, now: Instant) -> "Totals":
        """Return a copy counted up to `now`; these books stay as they are, so that looking changes nothing."""
        copied = copy(self)
        copied._tiers = [copy(tier) for tier in self._tiers]  # noqa: SLF001 - of the same class
        copied.advance(now)
        return copied

    def close(self, at: Instant) -> None:
        """Charging time runs from here."""
        self._closed_from = at
        self._held, self._unseen = Watts(0.0), Seconds(0.0)

    def open(self, at: Instant) -> None:
        """Charging time ends here."""
        if self.closed:
            self._opened_at = at
        self.advance(at)
        self._closed_from = None
        self._held, self._unseen = Watts(0.0), None

    def see_open(self, power: Watts, at: Instant) -> None:
        """Take in a reading of power while the relay counts as open: what flows then, the register alone knows."""
        if not self.closed and power >= FLOWS and between(self._opened_at, at) > UNCOUNTED / 2:
            self._unwatched = True

    def advance(self, to: Instant) -> None:
        """Count time and energy up to `to`; an instant already counted changes nothing."""
        if self._closed_from is None or to <= self._closed_from:
            return
        span = between(self._closed_from, to)
        tier = self._tier_of(self._held)
        tier.charging += span
        self.charging = Seconds(self.charging + span)
        if self._unseen is None:
            self._draw(tier, self._held, span)
        else:
            self._unseen = Seconds(self._unseen + span)
        self._closed_from = to

    def _draw(self, tier: _Tier, power: Watts, span: Seconds) -> None:
        energy = power * span / SECONDS_AN_HOUR
        tier.energy += energy
        self.energy = WattHours(self.energy + energy)

    def _see(self, power: Watts) -> None:
        """The first reading since the closing holds back to that, or each session would bill two seconds less."""
        if self._unseen is not None:
            span, self._unseen = self._unseen, None
            self._tier_of(Watts(0.0)).charging -= span
            tier = self._tier_of(power)
            tier.charging += span
            self._draw(tier, power, span)

    def charged_at(self, now: Instant) -> Seconds:
        """Return the charging time as of `now`."""
        span = 0.0 if self._closed_from is None else max(0.0, between(self._closed_from, now))
        return Seconds(self.charging + span)

    def charged_for(self, span: Seconds) -> Instant | None:
        """Return when the charging time will have reached `span`; `None` while the relay is open."""
        return None if self._closed_from is None else after(self._closed_from, Seconds(span - self.charging))

    def hold(self, power: Watts, at: Instant) -> None:
        """Take in a reading of power: it holds from `at` on."""
        if not self.closed:
            return
        self.advance(at)
        if self._unseen is not None and self._unseen < self._refresh and power < FLOWS:
            return  # The meter may show what was before the closing.
        self._held = Watts(max(0.0, power))
        self._see(self._held)
        self.peak = max(self.peak, self._held)
        if self.charging <= FIRST_MINUTES:
            self.peak_first_5_min = max(self.peak_first_5_min, self._held)

    def register(self, value: WattHours, at: Instant) -> None:
        """Take in a reading of the meter's register. The first one is where the session starts."""
        self.advance(at)
        if self.register_start is None:
            self.register_start = value
        elif self.register_last is not None and value < self.register_last:
            self.doubt = self.doubt or "register_went_back"
        elif self.register_last is not None and value - self.register_last > self._most_since(at):
            # One wrong answer must not become the bill; the integral stands instead.
            self.doubt = self.doubt or "register_jumped"
            return
        self._register_at, self._charged_then = at, self.charging
        if self.doubt is None:
            drawn = value - self.register_start
            least, most = max(0.0, drawn - self._resolution), drawn + self._resolution
            if self._unwatched:
                least = drawn  # The integral lacks what flowed unseen: the register alone knows.
            self.energy = WattHours(min(max(self.energy, least), most))
        self.register_last, self._unwatched, self._away = value, False, False

    def distrust(self, reason: str, missed: WattHours) -> None:
        """The register does not count: `missed` was drawn since it last moved; the integral stands from here."""
        if self.doubt is None and self.register_start is not None and self.register_last is not None:
            self.doubt = reason
            counted = self.register_last - self.register_start
            self.energy = WattHours(max(self.energy, counted + missed))

    def _most_since(self, at: Instant) -> float:
        """Return what can have flowed at most since the register was last read, in watt-hours.

        While somebody has watched, an open relay lets nothing through: so a meter replaced meanwhile is noticed.
        Over a restart a slow meter may make up for a minute of what the session drew, and nothing else is its own.
        """
        if self._away:
            return self.peak * UNCOUNTED / SECONDS_AN_HOUR + 2 * self._resolution
        span = max(0.0, between(self._register_at, at))
        if not self._unwatched:
            span = min(span, self.charging - self._charged_then + UNCOUNTED)
        return MOST_POWER * span / SECONDS_AN_HOUR + 2 * self._resolution

    def tiers(self) -> tuple[Tier, ...]:
        """Return time and energy by tier; both sum to the totals, up to rounding of floats."""
        integral = sum(tier.energy for tier in self._tiers)
        if integral > 0:
            shares = [self.energy * (tier.energy / integral) for tier in self._tiers]
        else:
            shares = [float(self.energy), *(0.0 for _ in self._tiers[1:])]
        return tuple(
            Tier(up_to=tier.up_to, charging=Seconds(tier.charging), energy=WattHours(share))
            for tier, share in zip(self._tiers, shares, strict=True)
        )

    def _tier_of(self, power: Watts) -> _Tier:
        for tier in self._tiers[:-1]:
            if tier.up_to is not None and power <= tier.up_to:
                return tier
        return self._tiers[-1]
