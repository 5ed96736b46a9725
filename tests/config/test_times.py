"""Times of boards that the configuration gives in place of their profiles'."""

import pytest

from chargerd.config.budget.budget import budget
from chargerd.config.loader import load_text
from chargerd.config.problems import ConfigurationError
from chargerd.config.profiles.models import Timing
from chargerd.config.site import Site
from tests.judging import every

SITE = """\
gateway: {{id: test}}
buses: {{line: {{serial: /dev/null{bus}}}}}
boards:
  relay: {{bus: line, address: 1, profile: waveshare-relay-16}}
  meter1..meter3: {{bus: line, address: 11..13, profile: eastron-sdm120{board}}}
circuits: {{shed: {{}}}}
ports: [{{id: A01..A03, relay: relay/1..3, meter: meter1..meter3, circuit: shed}}]
"""


def load(bus: str = "", board: str = "") -> Site:
    return load_text(SITE.format(bus=bus, board=board), "test")


def timing(site: Site, name: str) -> Timing:
    return next(board.profile.timing for board in site.boards.values() if board.id == name)


def refused(bus: str = "", board: str = "") -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(bus, board)
    return "\n".join(map(str, caught.value.problems))


def test_without_any_a_profiles_own_hold() -> None:
    site = load()
    assert timing(site, "meter1").timeout_ms == 200
    assert not site.boards[next(iter(site.boards))].timed


def test_a_bus_gives_them_to_all_its_boards_and_a_board_to_itself() -> None:
    site = load(", pre_silence_ms: 5, timeout_ms: 300", ", timeout_ms: 250, pre_silence_ms: 2")
    assert (timing(site, "relay").timeout_ms, timing(site, "relay").pre_silence_ms) == (300, 5)
    assert (timing(site, "meter2").timeout_ms, timing(site, "meter2").pre_silence_ms) == (250, 2)


def test_a_bus_takes_nothing_from_what_a_profile_wants() -> None:
    site = load_text(
        SITE.format(bus=", pre_silence_ms: 5", board="")
        .replace("eastron-sdm120", "eastron-sdm630")
        .replace("meter: meter1..meter3", "meter: meter1/1..3"),
        "test",
    )
    assert timing(site, "meter1").pre_silence_ms == 60


def test_a_slow_link_makes_room_for_itself_and_is_counted() -> None:
    site = load(", turnaround_ms: 105")
    assert timing(site, "meter1").timeout_ms == 210
    times = budget(site).ports
    usual = budget(load()).ports
    assert every(times[port].worst > usual[port].worst + 0.09 for port in times)


@pytest.mark.parametrize(
    ("bus", "board", "said"),
    [
        (", turnaround_ms: 400", "", "three polls"),
        (
            "",
            ", timeout_ms: 100, turnaround_ms: 100",
            "timeout_ms of 100 is over before the answer usually begins",
        ),
        (", turnaround_ms: 300", "", "lower turnaround_ms of bus line, or take"),
        (", timeout_ms: 3000", "", "2000"),
        (", pre_silence_ms: -1", "", "0"),
        ("", ", turnaround_ms: soon", "number"),
    ],
)
def test_what_the_trip_times_do_not_allow_is_refused(bus: str, board: str, said: str) -> None:
    assert said in refused(bus, board)


@pytest.mark.parametrize(
    ("bus", "board", "help_"),
    [
        ("", ", timeout_ms: 2000", "lower timeout_ms of board "),
        (", timeout_ms: 2000", "", "lower timeout_ms of bus line"),
    ],
)
def test_nor_is_a_timeout_with_which_one_lost_answer_would_suspend(bus: str, board: str, help_: str) -> None:
    text = SITE.format(bus=bus, board=board)
    load_text(text, "test")
    with pytest.raises(ConfigurationError) as caught:
        load_text(f"{text}protection: {{meter_stale_s: 2}}\n", "test")
    assert "one lost answer leaves A01 to A03 unread for" in str(caught.value.problems[0])
    assert help_ in str(caught.value.problems[0])


def test_boards_of_one_profile_with_times_of_their_own_are_each_counted() -> None:
    text = SITE.format(bus="", board="").replace(
        "  meter1", "  slow: {bus: line, address: 2, profile: waveshare-relay-16, turnaround_ms: 90}\n  meter1"
    )
    text = text.replace("relay: relay/1..3", "relay: relay/1..3").replace(
        "ports: [", "ports: [{id: B01, relay: slow/1, meter: other, circuit: shed}, "
    )
    text = text.replace("  slow:", "  other: {bus: line, address: 20, profile: eastron-sdm120}\n  slow:")
    assert budget(load_text(text, "test")).ports[next(iter(load().plan.ports)).id].in_flight > 0.09
