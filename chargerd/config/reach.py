"""Refuses limits whose thresholds lie above what a meter can show: there the function would never pick up.

A meter that stops at 10 A shows 10 A whatever flows, so a threshold above that is none. What is looked at closing
only is noted: the port is protected again as soon as an inrush is over.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from chargerd.config.contradictions import said
from chargerd.config.document import Document
from chargerd.config.profiles.models import Profile
from chargerd.config.profiles.register_map import Quantity
from chargerd.config.site import Site
from chargerd.config.source import Path
from chargerd.config.work import Work
from chargerd.core.plan import OVERLOAD, CircuitPlan, PortPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class _Threshold:
    """A threshold as a multiple of what a configuration says under `section` and `key`."""

    section: str
    key: str
    given: float
    factor: float
    quantity: Quantity
    unit: str
    share: float = 1.0
    """What part of it one channel of the meter has to show."""
    second: bool = False
    """Whether another threshold, lower and slower, stands behind it."""

    @property
    def at(self) -> float:
        """Where it lies for a channel of the meter."""
        return self.factor * self.given * self.share


def reach(site: Site, document: Document, work: Work) -> None:
    """Note what no meter of this site can show."""
    plans = {port.id: port for port in site.plan.ports}
    for index, section in zip(work.ports, document.ports, strict=True):
        path: Path = ("ports", index)
        for name in work.spelled((*path, "id"), section.id):
            port = next(plan for key, plan in plans.items() if key == name)
            for threshold in _of_port(port):
                _look(
                    path, f"meter {port.meter.board} of {name}", threshold, _profile(site, port.meter.board), work
                )
    for circuit in site.plan.circuits:
        if circuit.meter is not None:
            meter, where = (
                _profile(site, circuit.meter.board),
                f"meter {circuit.meter.board} of circuit {circuit.id}",
            )
            for threshold in _of_circuit(circuit):
                _look(("circuits", circuit.id), where, threshold, meter, work)


def _of_port(port: PortPlan) -> Iterator[_Threshold]:
    limits, protection = port.limits, port.protection
    current = (max(protection.definite_factor, protection.instant_factor), protection.inrush_factor)
    power = (protection.overpower_factor, protection.overpower_instant_factor)
    pairs = (
        (Quantity.CURRENT, "current_a", limits.current, "A", current),
        (Quantity.POWER, "power_w", limits.power, "W", power),
    )
    for quantity, key, given, unit, factors in pairs:
        for factor, second in zip(factors, (False, True), strict=True):
            yield _Threshold(
                section="limits",
                key=key,
                given=given,
                factor=factor,
                quantity=quantity,
                unit=unit,
                second=second,
            )
    yield _Threshold(
        section="protection",
        key="overvoltage_v",
        given=protection.overvoltage,
        factor=1.0,
        quantity=Quantity.VOLTAGE,
        unit="V",
    )


def _of_circuit(circuit: CircuitPlan) -> Iterator[_Threshold]:
    assert circuit.meter is not None
    each = 1 / circuit.meter.phases
    pairs = (
        (Quantity.CURRENT, "rating_a", circuit.rating, "A", 1.0),
        (Quantity.POWER, "power_w", circuit.power, "W", each),
    )
    for quantity, key, given, unit, share in pairs:
        if given is not None:
            yield _Threshold(
                section="", key=key, given=given, factor=OVERLOAD, quantity=quantity, unit=unit, share=share
            )


def _look(path: Path, whose: str, threshold: _Threshold, meter: Profile, work: Work) -> None:
    assert meter.meter is not None
    register = meter.meter.registers.get(threshold.quantity)
    if register is None or threshold.at <= register.shows:
        return
    key = threshold.key
    place = said(path, (threshold.section, key) if threshold.section else (key,), work)
    factor = "" if threshold.factor == 1 else f"{threshold.factor:g} times "
    what = f"{factor}{key} of {threshold.given:g} lies above what {whose} can show, "
    what += f"which ends at {register.shows:g} {threshold.unit}"
    if not threshold.second:
        most = math.floor(100 * register.shows / threshold.factor / threshold.share) / 100
        work.wrong(place, what, f"give at most {most:g}, or take a meter with a wider range", kind=f"reach {key}")
    elif threshold.quantity is Quantity.CURRENT:
        work.note(place, what, "an inrush cannot be told from a short: for its 2 s only the breaker trips on it")
    else:
        work.note(place, what, "power far above the limit opens after overpower_s instead of at once")


def _profile(site: Site, board: object) -> Profile:
    return next(known.profile for name, known in site.boards.items() if name == board)
