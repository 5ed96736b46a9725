"""From a site to its buses."""

import os

import pytest

from chargerd.config.document import BusSection
from chargerd.config.loader import load_text
from chargerd.config.profiles.library import load_profiles
from chargerd.config.profiles.models import Profile
from chargerd.config.profiles.register_map import Quantity
from chargerd.core.units import PortId, Seconds
from chargerd.modbus.build import build
from chargerd.modbus.bus import Bus
from chargerd.modbus.connector import connector
from chargerd.modbus.lines import LineGone
from chargerd.modbus.wire import Counters, RtuWire
from tests.modbus.kit import VirtualClock
from tests.modbus.live import raw_pty

A01, B01 = PortId("A01"), PortId("B01")

SITE = """\
gateway: {id: test}
buses:
  one: {serial: /dev/ttyX1}
  two: {tcp: "127.0.0.1:1"}
  three: {serial: /dev/ttyX3}
  spare: {serial: /dev/ttyX4}
boards:
  relay-a: {bus: one, address: 1, profile: waveshare-relay-8}
  relay-b: {bus: one, address: 2, profile: waveshare-relay-8}
  meter-a: {bus: one, address: 11, profile: eastron-sdm120}
  meter-b: {bus: three, address: 11, profile: plain}
  unused: {bus: spare, address: 3, profile: waveshare-relay-8}
circuits: {shed: {}}
ports:
  - {id: A01, relay: relay-a/1, meter: meter-a, circuit: shed}
  - {id: B01, relay: relay-b/8, meter: meter-b, circuit: shed}
"""


def built() -> dict[str, Bus]:
    profiles = load_profiles()
    meter = profiles["eastron-sdm120"].model_dump()
    del meter["meter"]["registers"][Quantity.VOLTAGE]
    plain = Profile.model_validate({**meter, "name": "plain", "timing": {"min_period_ms": 500}})
    site = load_text(SITE, "test", profiles={**profiles, "plain": plain})
    buses = build(site, clock=VirtualClock(), emit=lambda _event: None, on_crash=lambda _error: None)
    return {bus.name: bus for bus in buses}


def test_a_port_whose_relay_and_meter_hang_apart_is_on_both_buses() -> None:
    buses = built()
    assert {name: (set(bus.relay_ports), set(bus.meter_ports), set(bus.ports)) for name, bus in buses.items()} == {
        "one": ({A01, B01}, {A01}, {A01, B01}),
        "three": (set(), {B01}, {B01}),
    }


def test_a_line_nobody_needs_is_left_alone() -> None:
    assert not {"two", "spare"} & built().keys()


def test_opening_all_relays_of_a_bus_without_relays_is_done_at_once() -> None:
    buses = built()
    assert buses["three"].open_all(Seconds(1.0)) == ()


def test_a_second_stop_bit_makes_characters_and_silences_longer() -> None:
    ends = raw_pty()
    section = BusSection(serial=os.ttyname(ends[1]), baudrate=9600, stopbits=2)
    wire = connector(section, VirtualClock())(Counters())
    assert isinstance(wire, RtuWire)
    assert round(9600 * wire.silence / 3.5) == 11
    wire.close()
    for end in ends:
        os.close(end)


def test_a_line_that_is_not_there_is_gone_and_no_crash() -> None:
    for section in (BusSection(tcp="127.0.0.1:1"), BusSection(rtu_over_tcp="127.0.0.1:1")):
        with pytest.raises(LineGone):
            connector(section, VirtualClock())(Counters())
