"""Generated charges with the truth beside them, as a meter would have shown them.

Shapes and figures follow four measured e-bike charges and the figures of forty more: plateaus that rise by 1 to
18 %, 43 to 117 minutes from the knee to 25 W (lead-acid up to four hours), 0 to 6 W when full, ends by a step from
14 to 45 % of the peak, chargers left alone at 0 to 15 W, rests of a two-battery charger of up to 60 s, empty
sockets that flicker between 0 and 2 W, crosstalk of about 1 W.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

HOUR = 3600.0
INTEGRATED = 2000
MOST_OF_NOTHING = 2.0
"""Watts an empty socket may show."""


class Truth(StrEnum):
    """What really happened at the end."""

    FULL = "full"
    UNPLUGGED = "unplugged"
    NO_LOAD = "no_load"
    CHARGING = "charging"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """How a meter shows a power: its values change each `refresh` seconds, in steps of `step` watts.

    `flicker` is the share of an empty socket's readings that are not what they should be.
    """

    refresh: float
    step: float
    noise: float
    crosstalk: float
    flicker: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One labelled charge.

    `power` gives the true watts at a second since closing; up to `drawing_until` it draws what a charge needs.
    `knowable` is false where two causes leave the same shape. Observed for `length` seconds.
    """

    kind: str
    truth: Truth
    power: Callable[[float], float]
    drawing_until: float
    length: float
    meter: Meter
    knowable: bool = True
    seed: int = 0

    def energy(self, until: float) -> float:
        """Return the watt-hours drawn up to then."""
        width = until / INTEGRATED
        return sum(self.power((turn + 0.5) * width) for turn in range(INTEGRATED)) * width / HOUR

    def readings(self) -> Iterator[tuple[float, float]]:
        """Yield seconds and watts, polled each 2 s, or as often as the meter has news; one in 200 is missing."""
        rng = random.Random(self.seed)
        every = max(2.0, self.meter.refresh)
        at = rng.uniform(0.1, every)
        neighbour = rng.uniform(0, self.meter.crosstalk)
        while at < self.length:
            if rng.random() < 0.01:
                neighbour = rng.uniform(0, self.meter.crosstalk)
            shown = self.power(at) + neighbour
            if shown > MOST_OF_NOTHING:
                shown += rng.gauss(0, self.meter.noise)
            elif rng.random() < self.meter.flicker:
                shown = rng.uniform(shown, MOST_OF_NOTHING)
            if rng.random() > 0.005:
                yield at, max(0.0, round(shown / self.meter.step) * self.meter.step)
            at += every


def a_meter(rng: random.Random) -> Meter:
    """Return one of the meters in use: refreshes of 0.3 to 20 s, steps of 0.01 to 1 W."""
    return Meter(
        refresh=rng.choice((0.0, 0.3, 1.0, 1.0, 2.0, 5.0, 20.0)),
        step=rng.choice((0.01, 0.1, 0.1, 1.0)),
        noise=rng.choice((0.2, 0.5, 0.5, 1.0, 3.0)),
        crosstalk=rng.choice((0.0, 0.0, 0.5, 1.0)),
        flicker=rng.choice((0.0, 0.02, 0.1, 0.5)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A plateau that rises, an exponential taper, and what is left. Times are seconds, powers watts."""

    peak: float
    rise: float
    plateau: float
    taper: float
    end_at: float
    idle: float

    def __call__(self, at: float) -> float:
        """Return the power."""
        if at < self.plateau:
            return self.peak * (1 - self.rise * (1 - at / max(self.plateau, 1.0)))
        fall = math.log(max(self.peak, 30.0) / 25.0) / self.taper
        power = self.peak * math.exp(-fall * (at - self.plateau))
        return power if power > self.end_at else self.idle

    def ends(self) -> float:
        """Return when the taper is over."""
        fall = math.log(max(self.peak, 30.0) / 25.0) / self.taper
        return self.plateau + max(0.0, math.log(self.peak / self.end_at) / fall)


def lithium(rng: random.Random, start: float | None = None) -> Curve:
    """Return a lithium charger's curve; `start` is the state of charge it begins at."""
    peak = rng.uniform(60, 420)
    left = 1 - (rng.uniform(0.05, 0.9) if start is None else start)
    return Curve(
        peak=peak,
        rise=rng.uniform(0.01, 0.18),
        plateau=max(0.0, left * rng.uniform(2.0, 4.5) * HOUR),
        taper=rng.uniform(43, 117) * 60,
        end_at=peak * rng.uniform(0.03, 0.16),
        idle=rng.uniform(0, 6),
    )


def lead_acid(rng: random.Random, end_at: float) -> Curve:
    """Return a lead-acid charger's curve, tapering to `end_at` watts."""
    return Curve(
        peak=rng.uniform(90, 260),
        rise=rng.uniform(0.05, 0.18),
        plateau=rng.uniform(0.5, 4) * HOUR,
        taper=rng.uniform(80, 150) * 60,
        end_at=end_at,
        idle=rng.choice((2.0, 5.0, 12.0, rng.uniform(2, 20))),
    )


def full_lithium(rng: random.Random) -> Charge:
    """48 to 72 V lithium, ended by taper and the charger's own cut-off."""
    curve = lithium(rng)
    return _charge(rng, "lithium", Truth.FULL, curve, curve.ends(), after=2 * HOUR)


def full_lead_acid(rng: random.Random) -> Charge:
    """48 or 60 V lead-acid, with a long taper and a float of 2 to 20 W."""
    curve = lead_acid(rng, rng.uniform(20, 24))
    return _charge(rng, "lead_acid", Truth.FULL, curve, curve.ends(), after=2 * HOUR)


def full_slow_taper(rng: random.Random) -> Charge:
    """Lead-acid whose taper takes up to four hours to 25 W, and goes on below."""
    peak, low = rng.uniform(90, 260), rng.uniform(3, 20)
    curve = Curve(
        peak=peak,
        rise=rng.uniform(0.05, 0.18),
        plateau=rng.uniform(0.5, 5) * HOUR,
        taper=rng.uniform(80, 240) * 60,
        end_at=low,
        idle=rng.uniform(0, 1) * low,
    )
    return _charge(rng, "slow_taper", Truth.FULL, curve, curve.ends(), after=2 * HOUR)


def full_by_step(rng: random.Random) -> Charge:
    """The charger cuts off at 14 to 45 % of its peak."""
    peak = rng.uniform(80, 400)
    curve = Curve(
        peak=peak,
        rise=rng.uniform(0.01, 0.18),
        plateau=rng.uniform(0.2, 3) * HOUR,
        taper=rng.uniform(43, 117) * 60,
        end_at=peak * rng.uniform(0.14, 0.45),
        idle=rng.uniform(0, 6),
    )
    return _charge(rng, "ends_by_step", Truth.FULL, curve, curve.ends(), after=2 * HOUR)


def full_after_recovery(rng: random.Random) -> Charge:
    """The taper recovers once, to 90 % and more of the peak, before it becomes the end."""
    curve = lithium(rng, rng.uniform(0.2, 0.8))
    dips = rng.uniform(0.2, 0.6) * curve.plateau
    deep, spell = rng.uniform(0.2, 0.9), rng.uniform(120, 900)

    def power(at: float) -> float:
        return curve(at) * (deep if dips <= at < dips + spell else 1.0)

    return _charge(rng, "taper_recovers", Truth.FULL, power, curve.ends(), after=2 * HOUR)


def full_dual(rng: random.Random) -> Charge:
    """A charger for two packs rests up to 60 s when it changes packs."""
    curve = lithium(rng, rng.uniform(0.05, 0.5))
    rests = [(rng.uniform(0.1, 0.95) * curve.ends(), rng.uniform(15, 60)) for _ in range(rng.randint(1, 4))]

    def power(at: float) -> float:
        return 1.0 if any(since <= at < since + span for since, span in rests) else curve(at)

    return _charge(rng, "dual_battery", Truth.FULL, power, curve.ends(), after=2 * HOUR)


def full_balancing(rng: random.Random) -> Charge:
    """After the taper the charger pauses and tops up again, each time with less."""
    curve = lithium(rng, rng.uniform(0.3, 0.8))
    ends = curve.ends()
    tops = rng.randint(1, 4)

    def power(at: float) -> float:
        if at < ends:
            return curve(at)
        turn, into = divmod(at - ends, 1200.0)
        return 0.2 * curve.peak * 0.8**turn if turn < tops and into > 1000 else curve.idle

    return _charge(rng, "cell_balancing", Truth.FULL, power, ends, after=4 * HOUR)


def full_precharged(rng: random.Random) -> Charge:
    """A deeply discharged pack draws 10 to 20 W for up to an hour before it charges."""
    curve, begins, low = lithium(rng, 0.1), rng.uniform(0.1, 1) * HOUR, rng.uniform(10, 20)

    def power(at: float) -> float:
        return low if at < begins else curve(at - begins)

    return _charge(rng, "precharge", Truth.FULL, power, begins + curve.ends(), after=2 * HOUR)


def full_nearly(rng: random.Random) -> Charge:
    """Plugged in when nearly full: little plateau, or none."""
    curve = lithium(rng, rng.uniform(0.93, 1.0))
    return _charge(rng, "nearly_full", Truth.FULL, curve, curve.ends(), after=2 * HOUR)


def unplugged(rng: random.Random) -> Charge:
    """Pulled on the plateau."""
    curve = lithium(rng, rng.uniform(0.05, 0.7))
    pulled = rng.uniform(0.02, 0.98) * max(curve.plateau, 300)
    return _pulled(rng, "pulled_on_plateau", curve, pulled)


def unplugged_small(rng: random.Random) -> Charge:
    """A charger under 25 W, pulled within its first two hours."""
    watts = rng.uniform(10, 24)
    return _pulled(rng, "small_pulled", lambda _at: watts, rng.uniform(0.05, 1.8) * HOUR)


def unplugged_in_taper(rng: random.Random) -> Charge:
    """Pulled when the taper has come to 60 to 85 % of the peak."""
    curve = lithium(rng, rng.uniform(0.1, 0.7))
    fall = math.log(max(curve.peak, 30.0) / 25.0) / curve.taper
    pulled = curve.plateau - math.log(rng.uniform(0.6, 0.85)) / fall
    return _pulled(rng, "pulled_in_taper", curve, pulled)


def unplugged_late(rng: random.Random) -> Charge:
    """Pulled when the taper has come to 15 to 45 %: leaves the shape of an end by step."""
    curve = lithium(rng, rng.uniform(0.1, 0.7))
    fall = math.log(max(curve.peak, 30.0) / 25.0) / curve.taper
    pulled = curve.plateau - math.log(rng.uniform(0.2, 0.45)) / fall
    return _pulled(rng, "pulled_when_nearly_full", curve, pulled, knowable=False)


def battery_taken(rng: random.Random) -> Charge:
    """The bike is taken on the plateau; its charger stays in the socket and idles at up to 15 W."""
    curve = lithium(rng, rng.uniform(0.05, 0.7))
    return _pulled(
        rng, "battery_taken", curve, rng.uniform(0.02, 0.98) * max(curve.plateau, 300), rng.uniform(0, 15)
    )


def taken_one_by_one(rng: random.Random) -> Charge:
    """The same, and within ten minutes the charger is taken as well."""
    curve = lithium(rng, rng.uniform(0.05, 0.7))
    pulled, idle = rng.uniform(0.02, 0.98) * max(curve.plateau, 300), rng.uniform(5, 15)
    taken = pulled + rng.uniform(60, 600)

    def power(at: float) -> float:
        return curve(at) if at < pulled else idle * (at < taken)

    return _charge(rng, "taken_one_by_one", Truth.UNPLUGGED, power, pulled, after=HOUR)


def pulled_anytime(rng: random.Random) -> Charge:
    """Pulled at any moment of a charge, which leaves an empty socket or a charger that idles at up to 15 W.

    Below half of the peak it leaves the shape of an end of the charger's own; with 99 % of the charge it was full.
    """
    curve = lithium(rng) if rng.random() < LITHIUM_SHARE else lead_acid(rng, rng.uniform(3, 24))
    pulled = rng.uniform(0.02, 1) * curve.ends()
    idle = min(curve(pulled), rng.choice((0.0, 0.4, rng.uniform(0, 15), rng.uniform(0, 15))))
    knowable = curve(pulled) >= curve.peak / 2
    charge = _pulled(rng, "pulled_anytime", curve, pulled, idle, knowable=knowable)
    full = charge.energy(pulled) >= FULL_SHARE * whole_of(curve)
    return replace(charge, truth=Truth.FULL) if full else charge


def whole_of(curve: Curve) -> float:
    """Return the watt-hours of a charge that nobody disturbs."""
    width = curve.ends() / INTEGRATED
    return sum(curve((turn + 0.5) * width) for turn in range(INTEGRATED)) * width / HOUR


FULL_SHARE = 0.99


LITHIUM_SHARE = 0.67


def full_from_plateau(rng: random.Random) -> Charge:
    """A charger that ends its charge on the plateau: leaves the shape of a pulled plug."""
    curve = lithium(rng, rng.uniform(0.1, 0.8))
    ends = max(600.0, curve.plateau)

    def power(at: float) -> float:
        return curve(at) if at < ends else 0.5

    return _charge(rng, "ends_on_plateau", Truth.FULL, power, ends, after=HOUR, knowable=False)


def small_charger(rng: random.Random) -> Charge:
    """A charger of 10 to 24 W that charges for hours: leaves the shape of storage mode."""
    watts = rng.uniform(10, 24)
    return _charge(rng, "small_charger", Truth.CHARGING, lambda _at: watts, 5 * HOUR, after=0.0, knowable=False)


def storage(rng: random.Random) -> Charge:
    """A pack in storage mode draws 12 to 20 W for ever."""
    watts = rng.uniform(12, 20)
    return _charge(rng, "storage_mode", Truth.FULL, lambda _at: watts, 0.0, after=3 * HOUR, knowable=False)


def nothing(rng: random.Random) -> Charge:
    """Nothing plugged in, a charger without a pack, or a pack that is full."""
    watts = rng.choice((0.0, 0.7, rng.uniform(0, 6)))
    return _charge(rng, "nothing", Truth.NO_LOAD, lambda _at: watts, 0.0, after=0.3 * HOUR)


def still_charging(rng: random.Random) -> Charge:
    """Looked away from on the plateau, or early in the taper."""
    curve = lithium(rng, rng.uniform(0.0, 0.3))
    jumps = rng.uniform(0, curve.plateau), rng.choice((0, 20, 64))

    def power(at: float) -> float:
        return curve(at) + (jumps[1] if jumps[0] < at < jumps[0] + 600 else 0)

    seen = rng.uniform(0.5, 1.0) * max(curve.plateau, 600)
    return _charge(rng, "still_charging", Truth.CHARGING, power, seen, after=0.0)


KINDS: tuple[Callable[[random.Random], Charge], ...] = (
    full_lithium,
    full_lead_acid,
    full_by_step,
    full_after_recovery,
    full_dual,
    full_balancing,
    full_precharged,
    full_nearly,
    unplugged,
    unplugged,
    unplugged_small,
    unplugged_in_taper,
    unplugged_late,
    full_from_plateau,
    small_charger,
    storage,
    nothing,
    still_charging,
    still_charging,
    full_slow_taper,
    battery_taken,
    taken_one_by_one,
    pulled_anytime,
    pulled_anytime,
    pulled_anytime,
)


def charges(seed: int, of_each: int) -> Iterator[Charge]:
    """Yield `of_each` charges of each kind."""
    for number in range(of_each):
        for place, kind in enumerate(KINDS):
            yield kind(random.Random(f"{seed}/{number}/{place}"))


def _charge(
    rng: random.Random,
    kind: str,
    truth: Truth,
    power: Callable[[float], float],
    until: float,
    *,
    after: float,
    knowable: bool = True,
) -> Charge:
    return Charge(
        kind=kind,
        truth=truth,
        power=power,
        drawing_until=until,
        length=until + after,
        meter=a_meter(rng),
        knowable=knowable,
        seed=rng.getrandbits(32),
    )


def _pulled(
    rng: random.Random,
    kind: str,
    power: Callable[[float], float],
    pulled: float,
    idle: float | None = None,
    *,
    knowable: bool = True,
) -> Charge:
    left = rng.choice((0.0, 0.0, 0.4)) if idle is None else idle

    def with_pull(at: float) -> float:
        return power(at) if at < pulled else left

    return _charge(rng, kind, Truth.UNPLUGGED, with_pull, pulled, after=1.0 * HOUR, knowable=knowable)
