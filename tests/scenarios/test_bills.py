"""What is billed: `exact` has a register at both ends, and no session bills less for when its power was read."""

import random
from dataclasses import replace
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.core.session import EnergyQuality, Settlement
from chargerd.core.units import PortId, Seconds, WattHours
from tests.core.plant import port_plan
from tests.core.world import World

A01 = PortId("A01")


def charged(watts: float, span: float, poll: float, refresh: float = 0.0) -> tuple[Settlement, float]:
    """A charge of `span` seconds by a register with steps of 10 Wh, which shows little, and what flowed in it."""
    plan = port_plan()
    meter = replace(plan.meter, energy_resolution=WattHours(10.0), refresh=Seconds(refresh))
    world = World(replace(plan, meter=meter), poll=poll)
    world.loads[A01].watts = watts
    world.run(span % 1.0)
    before = world.loads[A01].energy_at(world.now)
    session = world.charging()
    world.run(span)
    world.stop(session=session)
    world.run(5)
    return world.settlement(), world.loads[A01].energy_at(world.now) - before


@pytest.mark.parametrize("refresh", [0.0, 1.0])
def test_no_session_bills_two_seconds_less(refresh: float) -> None:
    chance = random.Random(13)
    spans = [(chance.uniform(5.0, 10.0), chance.uniform(0.3, 0.6)) for _ in range(8)]
    found = [charged(900.0, span, poll, refresh) for span, poll in spans]
    missing_s = [(flowed - settled.record.energy) * 3600 / 900 for settled, flowed in found]
    assert abs(mean(missing_s)) < 0.3, missing_s
    assert max(map(abs, missing_s)) < 1.0, missing_s


@settings(max_examples=8)
@given(watts=st.floats(0.0, 900.0), span=st.floats(0.0, 20.0), poll=st.floats(0.3, 0.6), refresh=st.floats(0, 1))
def test_exact_has_a_register_at_both_ends(watts: float, span: float, poll: float, refresh: float) -> None:
    settled, flowed = charged(watts, span, poll, refresh)
    if settled.quality is EnergyQuality.EXACT:
        assert None not in {settled.record.meter_start, settled.meter_stop}
        assert abs(settled.record.energy - flowed) <= 1.0


def test_a_session_that_never_closed_is_not_exact() -> None:
    world = World()
    world.ready()
    world.journal.stuck = True
    session = world.start()
    world.run(1)
    world.stop(session=session)
    world.run(5)
    settled = world.settlement()
    assert (settled.quality, settled.quality_reason) == (EnergyQuality.ESTIMATED, "relay_not_closed")
    assert (settled.record.energy, settled.meter_stop) == (0.0, None)
