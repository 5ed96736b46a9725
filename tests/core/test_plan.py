"""Figures and names of the plan that the core hands to others."""

from chargerd.core.plan import contactor_of, contactors_last
from chargerd.core.units import CircuitId, PortId


def test_contactors_are_opened_after_the_relays_below_them() -> None:
    contactor = contactor_of(CircuitId("shed"))
    relays = [contactor, PortId("Z99"), PortId("A01")]
    assert sorted(relays, key=contactors_last) == ["A01", "Z99", contactor]
