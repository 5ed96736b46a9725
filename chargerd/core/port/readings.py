"""What a port takes in of its meter and its sensor, and what an operator is told of it: once, not each time.

Nothing is judged here: what a reading opens, the state table says. Bad input is never dropped in silence: it
becomes no measurement, it is counted, and somebody hears of it.
"""

from collections.abc import Iterable, Iterator
from math import isfinite

from chargerd.core.boards.relay import RelayPhase
from chargerd.core.events import MeterFault, MeterReading, TemperatureReading
from chargerd.core.facts import (
    EnergyEstimated,
    Fact,
    MeterFrozen,
    PortTemperatureHigh,
    PowerNegative,
    ReadingImplausible,
)
from chargerd.core.faults import FaultKind
from chargerd.core.metering.frozen import Frozen
from chargerd.core.port.port import Port
from chargerd.core.protection.image import Image
from chargerd.core.session import StopDetail
from chargerd.core.units import Amps, SessionId, Watts

NEGATIVE_FROM = Watts(-5.0)
"""Meters of an empty socket show as little as -1 W; no charger feeds back."""


def is_known(reading: MeterReading) -> bool:
    """Say whether all that was read are numbers; what is none is above no threshold, and would look fresh."""
    return all(map(isfinite, filter(None, (reading.current, reading.power, reading.voltage, reading.energy))))


def take_in(port: Port, reading: MeterReading, others: Iterable[Frozen]) -> None:
    """Take in a reading: what is judged, what is told, and what it says of the wire, session or not.

    `others` are the meters that see the same mains.
    """
    port.meter_known = port.meter_known or reading.current is not None
    if port.charge is None:
        port.seen.take_in(reading)
        port.frozen.take_in(reading)
    else:
        port.charge.image.take_in(reading)
    _notice(port, reading, others)


def take_in_contact(port: Port, reading: MeterReading, others: tuple[Port, ...], *, explained: bool) -> None:
    """Take in what a reading tells of the wire and the contact, session or not.

    `others` are the ports on its meter's board. `explained`: what flows may flow through another one, whose meter
    or relay is exchanged with this one's.
    """
    if reading.current is not None:
        current = Amps(abs(reading.current))
        port.thermal.take_in(current, port.plan.limits.current, reading.at)
    opened = port.relay.opened_at if port.relay.phase is RelayPhase.OPEN else None
    beside = sum(other.seen.power or 0.0 for other in others) if others else 0.0
    # A frozen meter goes on showing what flowed before its relay opened: no weld, nor is what is explained.
    blind = port.frozen.dead or explained
    port.weld.take_in(port.seen, None if blind else opened, beside)


def take_in_fault(port: Port, event: MeterReading | MeterFault) -> None:
    """Take in that its meter was asked in vain, or has answered what cannot be true."""
    port.meter_known = True
    for fact in _implausible(port, event):
        port.out.tell(fact)


def take_in_temperature(port: Port, reading: TemperatureReading) -> list[Port]:
    """Take in a temperature; return the port, which is woken when it is to trip."""
    if port.heat.take_in(reading.celsius, reading.at):
        detail = StopDetail(
            function="port_temperature",
            measured=reading.celsius,
            limit=port.plan.protection.temperature_warn,
            unit="c",
        )
        port.out.tell(PortTemperatureHigh(port=port.id, detail=detail, session=_session(port)))
    return [port]


def _implausible(port: Port, event: MeterReading | MeterFault) -> Iterator[Fact]:
    """Yield what is told of an answer that cannot be true: the first, and the first after some quiet."""
    if isinstance(event, MeterFault) and event.kind is not FaultKind.IMPLAUSIBLE:
        return  # A reading that is missing is told by its age.
    if port.implausible.take_in(event.at):
        kind = "no_number" if isinstance(event, MeterReading) else event.kind.value
        detail = StopDetail(function="reading_implausible", measured=port.implausible.count)
        yield ReadingImplausible(port=port.id, kind=kind, detail=detail, session=_session(port))


def _notice(port: Port, reading: MeterReading, others: Iterable[Frozen]) -> None:
    """Tell what is new about a port by a reading its image has taken in."""
    if port.frozen.compare(others, reading.at) and port.frozen.finding is None:
        _tell_frozen(port, port.frozen.still)
    if reading.power is not None and reading.power <= NEGATIVE_FROM and port.negative.take_in(reading.at):
        detail = StopDetail(function="power_negative", measured=reading.power, limit=0.0, unit="w")
        port.out.tell(PowerNegative(port=port.id, detail=detail, session=_session(port)))
    if port.charge is not None:
        _notice_in_session(port, port.charge.image, reading)


def _notice_in_session(port: Port, image: Image, reading: MeterReading) -> None:
    if image.newly_stuck and port.frozen.still is None:
        _tell_frozen(port, port.frozen.finding)
    for alarm in image.alarms(reading.at):
        port.out.tell(alarm)
    doubt = image.totals.doubt
    if doubt is not None and image.is_news("doubt"):
        port.out.tell(EnergyEstimated(port=port.id, kind=doubt, session=image.order.session))


def _tell_frozen(port: Port, detail: StopDetail | None) -> None:
    assert detail is not None
    port.out.tell(MeterFrozen(port=port.id, detail=detail, session=_session(port)))


def _session(port: Port) -> SessionId | None:
    return None if port.charge is None else port.charge.order.session
