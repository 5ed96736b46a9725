"""The budget: figures worked out by hand, what it refuses, what it advises, and that more is never faster."""

import dataclasses
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.config.budget import pacing
from chargerd.config.budget.advice import faster_rate, other_meter
from chargerd.config.budget.budget import (
    CONTACT,
    Trouble,
    budget,
    faults_of,
    fits,
    most_ports,
    populations_of,
    room,
)
from chargerd.config.budget.bus_load import another_port, load_of
from chargerd.config.budget.line_time import ROUND_TRIP, LineTime
from chargerd.config.budget.population import Population
from chargerd.config.loader import load_text
from chargerd.config.problems import ConfigurationError
from chargerd.config.site import Site
from chargerd.core.units import PortId, Seconds
from tests.config.sites import shipped
from tests.judging import every

CHARACTER = 10 / 9600
SILENCE = 3.5 * CHARACTER
READ = 17 * CHARACTER + 2 * SILENCE + 0.002
"""Eight bytes out, nine back, 3.5 characters before each, 2 ms of turnaround."""
RENEW = 16 * CHARACTER + 2 * SILENCE + 0.005
COILS = 15 * CHARACTER + 2 * SILENCE + 0.005
"""Sixteen coils are two bytes."""
A01 = PortId("A01")

TEXT = """\
gateway: {{id: test}}
buses:
  relays: {{serial: /dev/relays, baudrate: 9600}}
  meters: {{serial: /dev/meters, baudrate: {baudrate}{line}}}
boards:
  relay: {{bus: {relays}, address: 1, profile: waveshare-relay-32}}
  meter1..meter{ports}: {{bus: meters, address: 11..{last}, profile: {meter}}}
circuits: {{shed: {{}}}}
{more}
ports:
  - {{id: A01..A{ports:02d}, relay: relay/1..{ports}, meter: meter1..meter{ports}, circuit: shed}}
"""


def text(
    ports: int = 12,
    *,
    baudrate: int = 9600,
    meter: str = "eastron-sdm120",
    relays: str = "meters",
    line: str = "",
    more: str = "",
) -> str:
    filled = TEXT.format(
        ports=ports, last=10 + ports, baudrate=baudrate, meter=meter, relays=relays, line=line, more=more
    )
    return (
        filled if relays == "relays" else filled.replace("  relays: {serial: /dev/relays, baudrate: 9600}\n", "")
    )


def load(source: str) -> Site:
    return load_text(source, "site.yaml", profiles=shipped())


def refused(source: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(source)
    return [str(problem) for problem in caught.value.problems]


def there(bus: str = "meters", **kinds: object) -> Population:
    return populations_of(load(text(**kinds)))[bus]  # type: ignore[arg-type] # as `text` takes them


# Figures


def test_twelve_meters_at_9600_baud_by_hand() -> None:
    found = budget(load(text())).buses["meters"]
    assert found.round == pytest.approx(12 * READ) == pytest.approx(0.324)
    slots = [32 * CHARACTER / 2 + 2 * SILENCE + 0.005 + CHARACTER, *(5 * [RENEW])]
    assert found.interval == pytest.approx(12 * READ + sum(slots))
    per_second = 12 * READ + 4 * RENEW + 6 * READ + READ / 2 + 12 * READ / 60 + slots[0] / 2
    assert found.share == pytest.approx(per_second)


def test_the_parts_of_one_port_alone_by_hand() -> None:
    source = text(1).replace("waveshare-relay-32", "waveshare-relay-16")
    found = budget(load(source)).ports[A01]
    assert found.refresh == pytest.approx(0.0)
    assert found.interval == pytest.approx(pacing.FAST_EVERY + RENEW)
    assert found.polling == pytest.approx(found.interval + SILENCE + 0.002 + 9 * CHARACTER)
    assert found.in_flight == pytest.approx(RENEW)
    assert found.write == pytest.approx(8 * CHARACTER + 2 * SILENCE + 0.005 + CONTACT)
    assert found.read_back == pytest.approx(COILS)
    assert found.worst == pytest.approx(found.polling + found.in_flight + found.write)
    lost = SILENCE + 8 * CHARACTER + 0.2 + 9 * CHARACTER + pacing.DRAIN
    assert found.polling_lost == pytest.approx(lost + 0.25 + 2 * RENEW)
    assert found.definite == pytest.approx(found.polling + 3.0 + found.in_flight + found.write)
    assert found.silent == pytest.approx(3.0 + found.in_flight + found.write)


def test_a_meter_that_refreshes_each_second_adds_that_second_and_is_not_read_too_often() -> None:
    found = budget(load(text(2, meter="pzem-016"))).ports[A01]
    assert found.refresh == 1.0
    assert 0.25 <= found.interval < 0.35
    assert found.worst > 1.25
    assert found.silent > 3.0


@pytest.mark.parametrize(
    ("line", "bits"), [("", 10), (", parity: even", 11), (", stopbits: 2", 11), (", parity: odd, stopbits: 2", 12)]
)
def test_parity_and_stop_bits_are_reckoned_with(line: str, bits: int) -> None:
    found = budget(load(text(baudrate=9600, line=line))).buses["meters"]
    assert found.round - 12 * 0.002 == pytest.approx(12 * 24 * bits / 9600)


def test_above_19200_baud_the_silence_no_longer_shrinks() -> None:
    found = budget(load(text(baudrate=38400, meter="eastron-sdm230"))).buses["meters"]
    assert found.round == pytest.approx(12 * (17 * 10 / 38400 + 2 * 0.00175 + 0.002))


def test_modbus_tcp_is_reckoned_with_the_network_instead_of_a_rate() -> None:
    site = load(text(3).replace("serial: /dev/meters", 'tcp: "10.0.0.2:502"'))
    found = budget(site)
    assert found.buses["meters"].baudrate is None
    assert found.buses["meters"].round == pytest.approx(3 * (ROUND_TRIP + 0.002))
    assert found.ports[A01].write == pytest.approx(ROUND_TRIP + 0.005 + CONTACT)


@pytest.mark.parametrize(("stale", "may"), [(3.0, 2.0), (2.0, 1.9)])
def test_a_gateway_may_wait_until_the_other_meters_would_count_as_silent(stale: float, may: float) -> None:
    whole = (
        text(3).replace("serial: /dev/meters", 'tcp: "10.0.0.2:502"') + f"protection: {{meter_stale_s: {stale}}}\n"
    )
    found = budget(load(whole)).buses
    assert found["meters"].gateway_may_wait == pytest.approx(may, abs=0.1)
    assert budget(load(text(3))).buses["meters"].gateway_may_wait is None


def test_a_serial_server_takes_both() -> None:
    site = load(text(3).replace("serial: /dev/meters", 'rtu_over_tcp: "10.0.0.2:4196"'))
    assert budget(site).buses["meters"].round == pytest.approx(3 * (READ + ROUND_TRIP))


def test_a_relay_on_another_line_waits_for_that_line_alone() -> None:
    both = budget(load(text(6, baudrate=4800, relays="relays")))
    port = both.ports[A01]
    assert port.in_flight == pytest.approx(2 * SILENCE + 17 * CHARACTER + 0.005)
    assert both.buses["relays"].interval == pytest.approx(0.0)
    assert both.buses["relays"].share < 0.2
    assert room(load(text(6, baudrate=4800, relays="relays")))["relays"] > 20


def test_a_board_that_wants_rest_and_silence_gets_them() -> None:
    profile = shipped()["eastron-sdm120"]
    timing = profile.timing.model_copy(update={"min_period_ms": 500, "pre_silence_ms": 60})
    slow = {**shipped(), "eastron-sdm120": profile.model_copy(update={"timing": timing})}
    site = load_text(text(2, more="protection: {meter_stale_s: 6}"), "site.yaml", profiles=slow)
    found = budget(site).buses["meters"]
    assert found.round == pytest.approx(2 * (READ - SILENCE + 0.06))
    assert found.interval > 0.5 * 2


def test_feeders_and_inputs_take_their_share() -> None:
    boards = "boards:\n  io: {bus: meters, address: 2, profile: waveshare-relay-8-d}\n"
    boards += "  feeder: {bus: meters, address: 3, profile: eastron-sdm120}\n"
    more = "inputs: {smoke: {input: io/1, kind: smoke, circuit: shed}}"
    source = text(more=more).replace("boards:\n", boards)
    source = source.replace("shed: {}", "shed: {meter: feeder}")
    plain, full = (budget(load(one)).buses["meters"] for one in (text(), source))
    inputs = 14 * CHARACTER + 2 * SILENCE + 0.005
    assert full.share - plain.share == pytest.approx(2 * inputs + 2 * READ)


def test_a_bus_without_ports_has_its_line_and_no_room() -> None:
    boards = "boards:\n  feeder: {bus: relays, address: 3, profile: eastron-sdm120}\n"
    source = text(3, relays="relays").replace("{bus: relays, address: 1", "{bus: meters, address: 1")
    source = source.replace("boards:\n", boards, 1).replace("shed: {}", "shed: {meter: feeder}")
    found = budget(load(source)).buses["relays"]
    assert (found.ports, room(load(source))["relays"]) == (0, 0)
    assert found.share == pytest.approx(2 * READ)


# What cannot be met

TWELVE = text(relays="relays", baudrate=2400)


def test_twelve_sdm120_at_2400_baud_are_refused_with_what_would_help() -> None:
    told = refused(TWELVE)
    assert len(told) == 1
    why = r"site\.yaml:4:43: bus meters is too slow: three polls of A01 to A12 take \d\.\d s, longer than their "
    why += (
        r"meter_stale_s of 3; set the bus and all its boards to 4800 Bd, or .*spread its 12 ports over \d buses, "
    )
    assert re.match(why + r"of which each takes \d at this rate", told[0])


def test_the_rate_it_advises_passes_and_no_slower_one() -> None:
    rate = re.search(r"boards to (\d+) Bd", refused(TWELVE)[0])
    assert rate is not None
    assert not budget(load(TWELVE.replace("2400", rate[1]))).faults


def test_the_split_it_advises_passes_and_one_port_more_does_not() -> None:
    told = re.search(r"over (\d+) buses, of which each takes (\d+)", refused(TWELVE)[0])
    assert told is not None
    buses, most = int(told[1]), int(told[2])
    assert buses * most >= 12 > (buses - 1) * most
    assert not budget(load(text(most, relays="relays", baudrate=2400))).faults
    assert refused(text(most + 1, relays="relays", baudrate=2400))


def test_another_meter_is_advised_where_one_is_fast_enough_and_then_passes() -> None:
    source = text(16, meter="pzem-016")
    told = refused(source)[0]
    meter = re.search(r"take (\d+) (\S+) as meters", told)
    assert meter is not None, told
    profile = shipped()[meter[2]]
    assert profile.meter is not None
    assert int(meter[1]) == -(-16 // profile.meter.channels)
    if profile.meter.channels == 1:
        assert not budget(load(text(16, meter=profile.name))).faults
    assert fits(there(ports=2, meter="pzem-016").with_ports(16).with_meter(profile))


def test_a_line_that_nothing_helps_says_so() -> None:
    profile = shipped()["pzem-016"]
    timing = profile.timing.model_copy(update={"turnaround_ms": 1900, "timeout_ms": 2000})
    slow = {"pzem-016": profile.model_copy(update={"timing": timing})}
    profiles = {"waveshare-relay-32": shipped()["waveshare-relay-32"], **slow}
    with pytest.raises(ConfigurationError) as caught:
        load_text(text(1, meter="pzem-016"), "site.yaml", profiles=profiles)
    assert "take faster boards" in str(caught.value)


def test_a_delay_shorter_than_the_meter_can_see_is_refused_where_it_stands() -> None:
    more = "protection: {overcurrent_definite_s: 1.2}"
    told = refused(text(4, meter="pzem-016", more=more))
    assert len(told) == 1
    what = r"site.yaml:8:38: bus meters is too slow: overcurrent_definite_s of 1.2 ends before A01 to A04 give a "
    assert told[0].startswith(what + "second value after 1.")
    delay = re.search(r"set overcurrent_definite_s to ([\d.]+) or more", told[0])
    assert delay is not None
    assert not budget(load(text(4, meter="pzem-016", more=more.replace("1.2", delay[1])))).faults


def test_also_where_it_stands_at_a_port() -> None:
    source = text(2, meter="pzem-016").replace(
        "circuit: shed}\n", "circuit: shed, protection: {overcurrent_definite_s: 1}}\n"
    )
    assert refused(source)[0].startswith("site.yaml:10:114: bus meters is too slow")


def test_an_overpower_delay_shorter_than_two_powers_is_refused_too() -> None:
    more = "protection: {overpower_s: 2}"
    told = refused(text(2, more=more))
    assert len(told) == 1
    assert "overpower_s of 2 ends before A01 to A02 give a second power after 2.6 s" in told[0]
    delay = re.search(r"set overpower_s to ([\d.]+) or more", told[0])
    assert delay is not None
    assert not budget(load(text(2, more=more.replace("2}", f"{delay[1]}}}")))).faults


def test_leases_that_cannot_all_be_renewed_in_time_are_refused() -> None:
    source = text(24, meter="pzem-016", more="protection: {meter_stale_s: 15, overcurrent_definite_s: 10}")
    told = refused(source)
    assert len(told) == 1
    assert re.search(r"renewing the leases of A01 to A24 takes 3\.\d s, longer than the 2 s", told[0])


SHORT = "protection: {meter_stale_s: 15, overcurrent_definite_s: 0.5}"
LONG = "protection: {meter_stale_s: 9, overcurrent_definite_s: 9}"


@pytest.mark.parametrize("trouble", list(Trouble))
def test_each_rule_holds_at_its_boundary_and_not_beyond(trouble: Trouble) -> None:
    """The largest population that passes has no fault; with one port more, and only that rule strict, it has."""
    kinds: dict[Trouble, Callable[[], Population]] = {
        Trouble.STALE: lambda: there(ports=1, meter="pzem-016", relays="relays"),
        Trouble.DEFINITE: lambda: there(
            ports=1, more="protection: {overcurrent_definite_s: 0.5, meter_stale_s: 15}"
        ),
        Trouble.OVERPOWER: lambda: there(ports=1, more=LONG[:-1] + ", overpower_s: 2.6}"),
        Trouble.LOST: lambda: there(
            ports=1, line=", timeout_ms: 2000", more="protection: {overcurrent_definite_s: 9}"
        ),
        Trouble.LEASES: lambda: there(
            ports=1, meter="pzem-016", more="protection: {meter_stale_s: 15, overcurrent_definite_s: 10}"
        ),
    }
    one = kinds[trouble]()
    most = most_ports(one)
    assert most > 1
    assert not faults_of(load_of(one.with_ports(most)), "meters")
    assert trouble in {fault.trouble for fault in faults_of(load_of(one.with_ports(most + 1)), "meters")}


def test_room_is_what_really_fits() -> None:
    more = room(load(text()))["meters"]
    assert more > 0
    assert not budget(load(text(12 + more))).faults
    assert refused(text(12 + more + 1))


@pytest.mark.parametrize("bus", ["meters", "relays"])
@pytest.mark.parametrize("meter", ["eastron-sdm120", "pzem-016"])
@pytest.mark.parametrize("more", [1, 5])
def test_a_port_more_adds_what_the_whole_reckoning_finds(bus: str, meter: str, more: int) -> None:
    line = populations_of(load(text(3, meter=meter, relays="relays")))[bus]
    quick, whole = load_of(line).with_more(another_port(line), more), load_of(line.with_ports(3 + more))
    assert [(one.takes, one.waits, one.refresh, one.lost) for one in quick.fast] == [
        (one.takes, one.waits, one.refresh, one.lost) for one in whole.fast
    ]
    assert sorted(map(repr, quick.slow)) == sorted(map(repr, whole.slow))
    assert (quick.longest, quick.longest_lost, len(quick.leased)) == (
        whole.longest,
        whole.longest_lost,
        len(whole.leased),
    )
    troubles = [(fault.trouble, fault.takes) for fault in faults_of(whole, bus)]
    assert [(fault.trouble, fault.takes) for fault in faults_of(quick, bus)] == troubles


# More is never faster

SECTION = load(text(1)).buses["meters"]
RATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
BASES = {meter: there(ports=1, meter=meter) for meter in ("eastron-sdm120", "pzem-016")}


def spans(population: Population) -> list[float]:
    load_ = load_of(population)
    one = load_.fast[0]
    return [load_.round, load_.interval(one), load_.interval_starting(one), load_.longest, load_.longest_lost]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(BASES)),
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from(RATES),
    st.sampled_from(RATES),
)
def test_neither_more_ports_nor_a_lower_rate_is_ever_faster(
    meter: str, few: int, more: int, rate: int, other: int
) -> None:
    few, more = sorted((few, more))
    low, high = sorted((rate, other))
    fast = BASES[meter].at(LineTime.of(SECTION, high)).with_ports(few)
    for slower in (fast.with_ports(more), fast.at(LineTime.of(SECTION, low))):
        assert every(one <= two + 1e-12 for one, two in zip(spans(fast), spans(slower), strict=True))
        assert load_of(fast).share <= load_of(slower).share + 1e-12
        assert fits(fast) or not fits(slower)


def test_nor_for_a_whole_site() -> None:
    def worst(ports: int, rate: int) -> tuple[float, float]:
        found = budget(load(text(ports, baudrate=rate))).ports[A01]
        return found.worst, found.worst_lost

    spans_ = [worst(ports, rate) for ports, rate in ((1, 9600), (2, 9600), (8, 9600), (8, 4800))]
    assert spans_ == sorted(spans_)
    assert len(set(spans_)) == 4


def test_results_cannot_be_changed() -> None:
    found = budget(load(text(1)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.ports[A01].write = Seconds(0.0)  # type: ignore[misc] # what is tried


def test_advice_alone_finds_nothing_for_a_bus_without_rate_or_meters() -> None:
    site = load(text(3, relays="relays").replace("serial: /dev/meters", 'tcp: "10.0.0.2:502"'))
    populations = populations_of(site)
    assert faster_rate(populations["meters"], "meters", site) is None
    assert other_meter(populations["relays"], "relays", site, shipped()) is None
