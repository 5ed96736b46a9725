"""The budget against the schedule itself, on a line without jitter: never exceeded, and hardly pessimistic."""

from typing import Any

import pytest

from chargerd.config.budget.budget import budget, populations_of
from chargerd.config.budget.bus_load import load_of
from chargerd.config.site import Site
from chargerd.core.units import PortId
from tests.config.bus_rig import Rig
from tests.config.test_budget import load, text

PESSIMISTIC = 1.2
PESSIMISTIC_STARTING = 1.25
OVERLOADED = 1.3
"""The same for a line that has not got the time for everything."""
FULL_LOAD = 0.75
"""A cycle of twelve meters at 9600 Bd with everything else there is to read."""
NAP = 0.001
"""How late the rig may wake when nothing is due."""
DISK = 0.02
"""Until a session is durable."""
STEADY = 25.0
STARTING = 12.0
SITES = [
    (12, 9600, "eastron-sdm120", ""),
    (5, 9600, "eastron-sdm230", ", parity: even"),
    (1, 9600, "eastron-sdm120", ""),
    (17, 9600, "eastron-sdm120", ""),
    (16, 38400, "eastron-sdm230", ""),
    (24, 19200, "eastron-sdm230", ", parity: even"),
    (10, 9600, "pzem-016", ""),
]


@pytest.mark.parametrize(("ports", "baudrate", "meter", "line"), SITES)
@pytest.mark.parametrize("together", [False, True])
def test_no_polling_interval_is_longer_than_foretold_nor_much_shorter(
    monkeypatch: pytest.MonkeyPatch, ports: int, baudrate: int, meter: str, line: str, together: bool
) -> None:
    site = load(text(ports, baudrate=baudrate, meter=meter, line=line))
    foretold = load_of(populations_of(site)["meters"])
    rig = Rig(monkeypatch, site, "meters")
    rig.close_all(together=together)
    rig.run(STEADY)
    steady = rig.worst()
    rig.readings.clear()
    rig.start(PortId("A01"))
    rig.run(STARTING)
    starting = rig.worst()
    one = foretold.fast[0]
    assert not rig.late
    assert steady <= foretold.interval(one) + NAP
    assert foretold.interval(one) <= PESSIMISTIC * steady
    assert starting <= foretold.interval_starting(one) + NAP
    assert foretold.interval_starting(one) <= PESSIMISTIC_STARTING * max(starting, steady)
    assert steady <= budget(site).buses["meters"].interval + NAP


def test_an_overloaded_line_keeps_its_leases_and_the_budget_knows_what_that_costs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = load(text(12, baudrate=4800, more="protection: {meter_stale_s: 9}"))
    rig = Rig(monkeypatch, site, "meters")
    rig.close_all(together=True)
    rig.run(40.0)
    load_ = load_of(populations_of(site)["meters"])
    assert load_.slow_share > 1
    assert not rig.late
    assert rig.worst() <= load_.interval(load_.fast[0]) <= OVERLOADED * rig.worst()
    assert rig.worst_power() <= load_.power_interval


def test_a_line_with_two_kinds_of_meters_is_foretold_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    source = text(8).replace(
        "meter1..meter8: {bus: meters, address: 11..18", "meter1..meter4: {bus: meters, address: 11..14"
    )
    source = source.replace(
        "circuits:", "  meter5..meter8: {bus: meters, address: 15..18, profile: pzem-016}\ncircuits:"
    ).replace("boards:\n", "boards:\n", 1)
    site = load(source)
    rig = Rig(monkeypatch, site, "meters")
    rig.close_all(together=False)
    rig.run(STEADY)
    found = budget(site)
    for port in found.ports.values():
        assert rig.worst({port.port}) <= port.interval + NAP


def test_the_rig_is_no_kinder_than_the_line(monkeypatch: Any) -> None:
    site = load(text(3))
    rig = Rig(monkeypatch, site, "meters")
    rig.close_all(together=False)
    rig.run(5.0)
    assert rig.bus.counters.timeouts == rig.bus.counters.corrupt == 0
    assert min(len(times) for times in rig.readings.values()) > 30


def full_load() -> Site:
    """Return a shed of twelve with a feeder's meter and inputs on the same line."""
    boards = "boards:\n  io: {bus: meters, address: 2, profile: waveshare-relay-8-d}\n"
    boards += "  feeder: {bus: meters, address: 3, profile: eastron-sdm630}\n"
    more = "inputs: {smoke: {input: io/1, kind: smoke, circuit: shed}}"
    source = text(12, more=more).replace("boards:\n", boards).replace("shed: {}", "shed: {meter: feeder}")
    return load(source)


@pytest.mark.parametrize(("site", "later", "takes"), [(text(12), 0.0, 0.3), (None, 0.3, 0.8), (None, 0.95, 0.8)])
def test_a_closing_waits_for_no_round_of_those_that_charge(
    monkeypatch: pytest.MonkeyPatch, site: str | None, later: float, takes: float
) -> None:
    rig = Rig(monkeypatch, full_load() if site is None else load(site), "meters")
    rig.close_all(together=False, but=PortId("A12"))
    rig.run(later)
    assert rig.closing(PortId("A12"), disk=DISK) <= takes


def test_the_full_load_of_a_shed_with_feeder_and_inputs_is_foretold_too(monkeypatch: pytest.MonkeyPatch) -> None:
    site = full_load()
    rig = Rig(monkeypatch, site, "meters")
    rig.close_all(together=False)
    rig.run(40.0)
    foretold = budget(site).buses["meters"]
    assert not rig.late
    assert rig.worst() <= foretold.interval + NAP
    assert foretold.interval <= OVERLOADED * rig.worst()
    assert rig.worst() <= FULL_LOAD
