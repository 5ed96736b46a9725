"""What people plug in: chargers and worse, as power over the time they were energised.

A load is a pure function. It knows neither the clock nor whether its socket is alive: the socket counts the
seconds it was energised and asks what is drawn then, so that a battery does not fill while its relay is open.
Shapes follow measured e-bike chargers: plateaus that rise by 1 to 18 %, 43 to 117 minutes from the knee to 25 W,
0 to 6 W afterwards, power factors of 0.5 to 0.65 for small ones.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from chargerd.core.units import Amps, Seconds, Volts, Watts

NOMINAL = Volts(230.0)
KNEE_FLOOR = Watts(25.0)
"""The power at which the length of a taper is measured."""
OVER_NOMINAL = 1.14
"""Voltage of a full lithium or lead-acid pack over its nominal voltage."""
EFFICIENCY = 0.88


class Phase(StrEnum):
    """What a load is doing."""

    CHARGING = "charging"
    TAPERING = "tapering"
    RESTING = "resting"
    DONE = "done"
    RUNNING = "running"
    """Not a charger: it just draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What is drawn at one moment. Current is not power over voltage: chargers have a power factor."""

    power: Watts = Watts(0.0)
    current: Amps = Amps(0.0)
    phase: Phase = Phase.DONE


Shape: TypeAlias = Callable[[Seconds], tuple[Watts, Phase]]
"""From the seconds a load was energised to its power and phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Something with a plug.

    `noise` is the standard deviation of the power. For `inrush_for` seconds after each closing the current is
    `inrush` times its usual value. `beside` is a second thing on the same socket, energised `beside_after` later.
    """

    name: str
    shape: Shape
    power_factor: float = 0.97
    noise: Watts = Watts(0.3)
    inrush: float = 1.0
    inrush_for: Seconds = Seconds(0.0)
    beside: "Load | None" = None
    beside_after: Seconds = Seconds(0.0)

    def draw(self, energised: Seconds, since: Seconds, voltage: Volts, jitter: float) -> Draw:
        """Return what is drawn.

        `energised` counts all seconds with power since plugging in, `since` those since the last closing;
        `jitter` is a standard normal deviate.
        """
        power, phase = self.shape(energised)
        power = Watts(max(0.0, power + jitter * min(self.noise, power / 4)))
        current = power / (voltage * self.power_factor)
        if since < self.inrush_for:
            current *= self.inrush
        if self.beside is not None and energised >= self.beside_after:
            more = self.beside.draw(
                Seconds(energised - self.beside_after),
                Seconds(min(since, energised - self.beside_after)),
                voltage,
                jitter,
            )
            power, current, phase = Watts(power + more.power), current + more.current, more.phase
        return Draw(power=power, current=Amps(current), phase=phase)

    def with_timer(self, other: "Load", after: Seconds) -> "Load":
        """Return this load with another one that a timer switches on, `after` seconds into the charge."""
        return replace(self, name=f"{self.name} and a {other.name}", beside=other, beside_after=after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A charge: a rising plateau, a taper, and what is left afterwards. Lengths are seconds."""

    peak: Watts
    rise: float
    """How far below the peak the plateau begins, as a fraction."""
    plateau_for: Seconds
    taper_for: Seconds
    """From the knee to 25 W."""
    end_below: Watts
    """The charger ends the charge, in one step, when the taper has come down to this."""
    idle: Watts

    def __call__(self, energised: Seconds) -> tuple[Watts, Phase]:
        """Return power and phase."""
        if energised < self.plateau_for:
            missing = 1 - energised / self.plateau_for
            return Watts(self.peak * (1 - self.rise * missing)), Phase.CHARGING
        fall = math.log(max(self.peak, KNEE_FLOOR * 1.1) / KNEE_FLOOR) / self.taper_for
        power = self.peak * math.exp(-fall * (energised - self.plateau_for))
        if power > self.end_below:
            return Watts(power), Phase.TAPERING
        return self.idle, Phase.DONE


class End(StrEnum):
    """How a lithium charger ends."""

    STEP = "step"
    TAPER = "taper"


def _rng(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a simulation has no secrets


def lithium(
    volts: float = 48,
    amps: float = 2,
    *,
    seed: int = 0,
    ampere_hours: float | None = None,
    end: End | None = None,
    capacity_scale: float = 1.0,
) -> Load:
    """Return a constant-current, constant-voltage charger, 48 V 2 A to 72 V 5 A, with a pack of 8 to 20 Ah."""
    rng = _rng(seed)
    capacity = volts * (ampere_hours if ampere_hours is not None else rng.uniform(8, 20))
    missing = capacity * rng.uniform(0.4, 0.95) if ampere_hours is None else capacity
    peak = OVER_NOMINAL * volts * amps / EFFICIENCY
    rise = rng.uniform(0.01, 0.18)
    end = end or rng.choice(list(End))
    below = rng.uniform(0.1, 0.14) * peak if end is End.STEP else rng.uniform(4.5, 6.5)
    curve = Curve(
        peak=Watts(peak),
        rise=rise,
        plateau_for=Seconds(3600 * 0.85 * missing / EFFICIENCY / (peak * (1 - rise / 2)) / capacity_scale),
        taper_for=Seconds(60 * rng.uniform(43, 117) / capacity_scale),
        end_below=Watts(below),
        idle=Watts(rng.uniform(0, min(6.0, below))),
    )
    return Load(
        name=f"lithium {volts:g} V {amps:g} A",
        shape=curve,
        power_factor=rng.uniform(0.9, 0.98) if peak > 75 else rng.uniform(0.5, 0.65),  # noqa: PLR2004 - EN 61000-3-2
        noise=Watts(rng.uniform(0.2, 0.5)),
        inrush=rng.uniform(1.5, 2.5),
        inrush_for=Seconds(0.1),
    )


def lead_acid(volts: float = 48, *, seed: int = 0, capacity_scale: float = 1.0) -> Load:
    """Return a charger for 48 V or 60 V lead-acid packs: up by 18 %, then a long tail, then a float of 2 W."""
    rng = _rng(seed)
    amps = rng.uniform(1.8, 2.7)
    peak = OVER_NOMINAL * volts * amps / EFFICIENCY
    missing = volts * rng.uniform(12, 20) * rng.uniform(0.4, 0.9)
    curve = Curve(
        peak=Watts(peak),
        rise=0.18,
        plateau_for=Seconds(3600 * 0.75 * missing / EFFICIENCY / (peak * 0.91) / capacity_scale),
        taper_for=Seconds(60 * rng.uniform(117, 180) / capacity_scale),
        end_below=Watts(rng.uniform(6, 10)),
        idle=Watts(2.0),
    )
    return Load(
        name=f"lead-acid {volts:g} V",
        shape=curve,
        power_factor=rng.uniform(0.58, 0.65),
        noise=Watts(0.5),
        inrush=2.0,
        inrush_for=Seconds(0.1),
    )


def dual_battery(*, seed: int = 0, capacity_scale: float = 1.0) -> Load:
    """Return a charger with two packs: it rests at 1 W, for up to 60 s, when it changes from one to the other."""
    rng = _rng(seed)
    first_for = Seconds(rng.uniform(2.0, 3.0) * 3600 / capacity_scale)
    rest_for = Seconds(rng.uniform(20, 60) / min(capacity_scale, 4.0))
    second = Curve(
        peak=Watts(190.0),
        rise=0.05,
        plateau_for=Seconds(2.0 * 3600 / capacity_scale),
        taper_for=Seconds(60 * rng.uniform(43, 90) / capacity_scale),
        end_below=Watts(26.0),
        idle=Watts(0.5),
    )

    def shape(energised: Seconds) -> tuple[Watts, Phase]:
        if energised < first_for:
            return Watts(212.0 * (1 - 0.12 * (1 - energised / first_for))), Phase.CHARGING
        if energised < first_for + rest_for:
            return Watts(1.0), Phase.RESTING
        return second(Seconds(energised - first_for - rest_for))

    return Load(name="dual battery", shape=shape, power_factor=0.95)


def balancing(*, seed: int = 0, capacity_scale: float = 1.0) -> Load:
    """Return a two-wheeler that pauses at 1 to 3 W to balance its cells, then tops up, each time with less."""
    rng = _rng(seed)
    peak, idle = rng.uniform(100, 200), rng.uniform(1, 3)
    charge_for = Seconds(rng.uniform(1.0, 2.0) * 3600 / capacity_scale)
    taper = Curve(
        peak=Watts(peak),
        rise=0.05,
        plateau_for=charge_for,
        taper_for=Seconds(60 * rng.uniform(43, 60) / capacity_scale),
        end_below=Watts(0.2 * peak),
        idle=Watts(idle),
    )
    done_after = charge_for + math.log(5.0) * taper.taper_for / math.log(peak / KNEE_FLOOR)
    pauses, tops = rng.randint(2, 4), Seconds(200.0)
    pause = Seconds(1000.0 / capacity_scale)

    def shape(energised: Seconds) -> tuple[Watts, Phase]:
        if energised < done_after:
            return taper(energised)
        turn, into = divmod(energised - done_after, pause + tops)
        if turn >= pauses:
            return Watts(idle), Phase.DONE
        return (Watts(idle), Phase.RESTING) if into < pause else (Watts(0.2 * peak * 0.8**turn), Phase.TAPERING)

    return Load(name="balancing charger", shape=shape, power_factor=0.95)


def ending_at(idle: Watts, *, seed: int = 0, capacity_scale: float = 1.0) -> Load:
    """Return a lithium charger that draws exactly this once its charge is over: 0 W, or a float of 20 W."""
    rng = _rng(seed)
    curve = Curve(
        peak=Watts(rng.uniform(120, 240)),
        rise=rng.uniform(0.01, 0.18),
        plateau_for=Seconds(3600 * rng.uniform(1, 3) / capacity_scale),
        taper_for=Seconds(60 * rng.uniform(43, 117) / capacity_scale),
        end_below=Watts(max(idle, rng.uniform(21, 26))),
        idle=idle,
    )
    return Load(name=f"charger that ends at {idle:g} W", shape=curve, power_factor=0.95, noise=Watts(0.0))


def jumping(*, seed: int = 0, capacity_scale: float = 1.0) -> Load:
    """Return a charge that a second one joins on the same socket, 35 minutes later or more: power jumps."""
    rng = _rng(seed)
    first = lithium(48, 2, seed=rng.getrandbits(30), ampere_hours=20, capacity_scale=capacity_scale)
    second = lithium(48, 3, seed=rng.getrandbits(30), ampere_hours=20, capacity_scale=capacity_scale)
    return first.with_timer(second, Seconds(rng.uniform(2100, 2700)))


def small_charger(*, seed: int = 0, capacity_scale: float = 1.0) -> Load:
    """Return a scooter's charger: 30 to 60 W with a power factor of 0.5 to 0.65."""
    rng = _rng(seed)
    peak = rng.uniform(30, 60)
    curve = Curve(
        peak=Watts(peak),
        rise=0.05,
        plateau_for=Seconds(3600 * rng.uniform(2, 4) / capacity_scale),
        taper_for=Seconds(60 * rng.uniform(43, 60) / capacity_scale),
        end_below=Watts(4.0),
        idle=Watts(0.7),
    )
    return Load(name="scooter charger", shape=curve, power_factor=rng.uniform(0.5, 0.65), noise=Watts(0.2))


def resistive(name: str, amps: float) -> Load:
    """Return something that draws this current at 230 V and nothing else happens."""
    return Load(
        name=name,
        shape=lambda _energised: (Watts(amps * NOMINAL), Phase.RUNNING),
        power_factor=1.0,
        noise=Watts(2.0),
    )


def heater(amps: float = 4.6) -> Load:
    """Return a fan heater: within the current limit of a port, above its power limit."""
    return resistive("heater", amps)


def kettle() -> Load:
    """Return a kettle: 8 A, beyond the instantaneous threshold of a 5 A port."""
    return resistive("kettle", 8.0)


def compressor() -> Load:
    """Return a stalled compressor: a motor that draws 8.5 A and, at a power factor of 0.55, less power."""
    return Load(
        name="compressor",
        shape=lambda _energised: (Watts(8.5 * NOMINAL * 0.55), Phase.RUNNING),
        power_factor=0.55,
        noise=Watts(2.0),
    )


def growing_overload(*, start: float = 2.0, per_second: float = 0.15, most: float = 7.0) -> Load:
    """Return a failing charger: its current grows from `start` amperes by so much a second, up to `most`."""

    def shape(energised: Seconds) -> tuple[Watts, Phase]:
        return Watts(min(most, start + per_second * energised) * NOMINAL * 0.6), Phase.RUNNING

    return Load(name="failing charger", shape=shape, power_factor=0.6, noise=Watts(1.0))
