"""How long a port's own functions let a constant current flow, and what the breaker behind it would do."""

import itertools
import math

from chargerd.core.events import MeterReading
from chargerd.core.moment import Moment
from chargerd.core.plan import Limits, MeterPlan, PortPlan, RelayPlan
from chargerd.core.port.charge import Charge
from chargerd.core.protection.function import Models
from chargerd.core.session import Order
from chargerd.core.units import Amps, BoardId, CircuitId, Instant, PortId, SessionId, Watts

PORT = PortId("A01")
LONGEST = 3600.0


def trip_time(amps: float, *, limit: float = 5.0, sampling: float = 0.5, phase: float = 0.0) -> float | None:
    """Return the seconds until a port trips on a current that begins some time after closing; `None`: never.

    The meter is read every `sampling` seconds, the first time `phase` times that after the current began.
    """
    plan = PortPlan(
        id=PORT,
        label="A01",
        relay=RelayPlan(board=BoardId("relay"), channel=1),
        meter=MeterPlan(board=BoardId("meter")),
        circuit=CircuitId("shed"),
        limits=Limits(current=Amps(limit), power=Watts(1e6)),
    )
    order = Order(session=SessionId("s"), port=PORT, limits=plan.limits)
    session = Charge(plan, order, Models.of(plan), Moment(instant=Instant(0.0)))
    image, began = session.image, 10.0
    image.close(Instant(0.0))
    image.contact_from = Instant(0.0)
    session.totals.close(Instant(0.0))
    _show(session, 0.0, 1.0)
    at = began + phase * sampling
    while at <= began + LONGEST:
        _show(session, amps, at)
        verdict = image.judge(Instant(at))
        if verdict is not None and verdict.clearing is not None:
            return at - began
        at += sampling
    return None


def _show(session: Charge, amps: float, at: float) -> None:
    reading = MeterReading(port=PORT, at=Instant(at), current=Amps(amps), power=Watts(amps * 138))
    session.image.models.thermal.take_in(reading.current or Amps(0.0), session.order.limits.current, reading.at)
    session.image.take_in(reading)


def closed_formula(amps: float, limit: float, *, k: float = 1.05, tau: float = 300.0) -> float | None:
    """Return what definite times and the thermal model of IEC 60255-149 say, without sampling."""
    if amps >= 1.5 * limit:
        return 0.0
    thermal = tau * math.log((amps / limit / k) ** 2 / ((amps / limit / k) ** 2 - 1)) if amps > k * limit else None
    definite = 3.0 if amps >= 1.1 * limit else None
    return min((time for time in (thermal, definite) if time is not None), default=None)


def breaker_band(times: float, kind: str) -> tuple[float, float]:
    """Return the shortest and the longest time (seconds) a breaker of IEC 60898-1 may take at this multiple of In.

    Points of table 7 of the standard, joined in straight lines on logarithmic axes: 1.13 (no trip within an hour),
    1.45 (within an hour), 2.55 (1 to 60 s), and the instantaneous range, 3 to 5 times for B and 5 to 10 for C.
    """
    holds, trips = {"B": (3.0, 5.0), "C": (5.0, 10.0)}[kind]
    fastest = [(1.13, 3600.0), (2.55, 1.0), (holds, 0.1)]
    slowest = [(1.45, 3600.0), (2.55, 60.0), (trips, 0.1)]
    return _on(fastest, times, last=holds), _on(slowest, times, last=trips)


def _on(points: list[tuple[float, float]], times: float, *, last: float) -> float:
    if times >= last:
        return 0.01 if times > last else points[-1][1]
    if times < points[0][0]:
        return math.inf
    for (left, slow), (right, fast) in itertools.pairwise(points):
        if left <= times <= right:
            share = (math.log(times) - math.log(left)) / (math.log(right) - math.log(left))
            return math.exp(math.log(slow) + share * (math.log(fast) - math.log(slow)))
    return points[-1][1]
