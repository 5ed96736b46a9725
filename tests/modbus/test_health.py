"""What is counted of boards, the timeouts that suit them, and what is deduced."""

import random
from dataclasses import replace

import pytest

from chargerd.core.commands import Pace, SetPace
from chargerd.core.faults import FaultKind
from chargerd.core.units import BoardId, Instant, Seconds
from chargerd.log import Level
from chargerd.modbus.diagnosis import Cause, Finding, LineState, diagnose
from chargerd.modbus.health import (
    BUCKETS,
    ENOUGH,
    BoardHealth,
    BoardStatistics,
    Bounds,
)
from chargerd.modbus.lines import Trouble
from tests.logs import capture_logs
from tests.modbus.kit import SILENCE, TURNAROUND, Bench, Reply, crc, names, site

T = Instant(100.0)
BOUNDS = Bounds(usual=Seconds(0.2), least=Seconds(0.05), most=Seconds(1.0))
LONG_AGO = Instant(float("-inf"))


def board(
    name: str = "one", *, lost: bool = False, noise: float = 0.0, foreign: float = 0.0, untrue: float = 0.0
) -> BoardStatistics:
    health = BoardHealth(bounds=BOUNDS)
    one = health.statistics(BoardId(name), T, misses=3 if lost else 0, lost=lost, not_before=LONG_AGO)
    return replace(one, noise=noise, foreign=foreign, untrue=untrue)


def steady(latency: float) -> BoardHealth:
    health = BoardHealth(bounds=BOUNDS)
    for _ in range(10 * ENOUGH):
        health.answered(Seconds(latency), T)
    return health


def test_before_enough_answers_a_board_is_waited_for_patiently() -> None:
    health = BoardHealth(bounds=BOUNDS)
    for _ in range(ENOUGH):
        assert health.timeout() == pytest.approx(0.5)
        health.answered(Seconds(0.001), T)
    assert health.timeout() < BOUNDS.usual


def test_but_an_opening_is_rather_sent_again() -> None:
    assert BoardHealth(bounds=BOUNDS).timeout(urgent=True) == BOUNDS.usual


@pytest.mark.parametrize("known", [0, 10 * ENOUGH])
def test_every_fourth_try_of_a_silent_board_is_a_patient_one(known: int) -> None:
    health = steady(0.001) if known else BoardHealth(bounds=BOUNDS)
    timeouts = []
    for _ in range(12):
        timeouts.append(health.timeout())
        health.failed(FaultKind.TIMEOUT, T)
    expected = [0.5 if number % 4 == 0 else 0.2 for number in range(12)]
    assert timeouts[1:] == pytest.approx(expected[1:])


@pytest.mark.parametrize(("latency", "timeout"), [(0.001, 0.05), (0.1, 0.12), (3.0, 1.0)])
def test_then_what_was_measured_within_the_profiles_bounds(latency: float, timeout: float) -> None:
    assert steady(latency).timeout() == pytest.approx(timeout, abs=0.002)


def test_a_board_that_varies_is_given_more_time() -> None:
    health = BoardHealth(bounds=BOUNDS)
    for number in range(200):
        health.answered(Seconds(0.02 if number % 2 else 0.12), T)
    assert health.timeout() > 0.2


def test_after_a_silence_it_gets_at_least_what_its_profile_says_and_then_more_than_before() -> None:
    health = steady(0.001)
    before = health.timeout()
    assert health.shortened(before) == pytest.approx(0.15)
    health.failed(FaultKind.TIMEOUT, T)
    assert health.timeout() >= BOUNDS.usual
    assert not health.shortened(health.timeout())
    health.answered(Seconds(0.001), T)
    assert health.timeout() > before


def test_strangers_are_news_when_they_come_often_and_not_again_before_they_have_gone() -> None:
    health = BoardHealth(bounds=BOUNDS)
    assert [health.foreign(3) for _ in range(20)] == [number == 3 for number in range(20)]
    for _ in range(50):
        assert not health.foreign(0)
    assert not any(health.foreign(3) for _ in range(20)), "they have not been away"
    for _ in range(400):
        health.foreign(0)
    assert any(health.foreign(3) for _ in range(20))


def test_everything_is_counted() -> None:
    health = BoardHealth(bounds=BOUNDS)
    health.answered(Seconds(0.004), T)
    health.answered(Seconds(9.0), T)
    health.failed(FaultKind.TIMEOUT, T)
    health.failed(FaultKind.CORRUPT, T)
    health.foreign(7)
    health.deceived(untrue=False)
    health.deceived(untrue=True)
    health.failed(FaultKind.EXCEPTION, Instant(T + 1))
    found = health.statistics(BoardId("one"), Instant(T + 3), misses=1, lost=False, not_before=Instant(T + 3.5))
    counted = (found.transactions, found.answers, found.timeouts, found.corrupt, found.exceptions)
    assert counted == (5, 2, 1, 1, 1)
    assert found.latency == (0, 1, *[0] * (len(BUCKETS) - 2), 1)
    assert (found.foreign_bytes, found.stale_age, found.retry_in) == (7, 2.0, 0.5)
    assert (found.implausible, found.untrue, found.foreign) == (1, 1 / 64, 1 / 64)


def test_a_board_never_heard_has_no_age() -> None:
    assert board().stale_age is None
    assert board().latency_mean is None


ONE, TWO, THREE = BoardId("one"), BoardId("two"), BoardId("three")


@pytest.mark.parametrize(
    ("boards", "found"),
    [
        ([], []),
        ([board("one"), board("two")], []),
        ([board("one", lost=True)], [Finding(cause=Cause.BOARD_SILENT, boards=(ONE,))]),
        (
            [board("one", lost=True), board("two", lost=True)],
            [Finding(cause=Cause.BUS_SILENT, boards=(ONE, TWO))],
        ),
        ([board("one", lost=True), board("two")], [Finding(cause=Cause.BOARD_SILENT, boards=(ONE,))]),
        (
            [board("one", foreign=0.02), board("two", foreign=0.01, untrue=0.5)],
            [
                Finding(cause=Cause.FOREIGN, boards=(ONE,), share=0.02),
                Finding(cause=Cause.IMPLAUSIBLE, boards=(TWO,), share=0.5),
            ],
        ),
        (
            [board("one", noise=0.1), board("two", noise=0.3), board("three", noise=0.001)],
            [Finding(cause=Cause.NOISE, boards=(ONE, TWO), share=0.2)],
        ),
        (
            [board("one", noise=0.5), board("two")],
            [Finding(cause=Cause.BOARD_NOISE, boards=(ONE,), share=0.5)],
        ),
        (
            [board("one", noise=0.9, lost=True), board("two")],
            [Finding(cause=Cause.BOARD_NOISE, boards=(ONE,), share=0.9)],
        ),
        (
            [board("one", lost=True), board("two", noise=0.1), board("three", noise=0.1)],
            [
                Finding(cause=Cause.BOARD_SILENT, boards=(ONE,)),
                Finding(cause=Cause.NOISE, boards=(TWO, THREE), share=0.1),
            ],
        ),
    ],
)
def test_what_is_wrong_is_deduced(boards: list[BoardStatistics], found: list[Finding]) -> None:
    assert list(diagnose(boards, LineState(connected=True))) == found


def test_without_a_line_nothing_is_said_of_boards() -> None:
    assert diagnose([board(lost=True)], LineState(connected=False)) == (Finding(cause=Cause.NO_LINE),)


@pytest.mark.parametrize("trouble", list(Trouble))
def test_a_line_that_is_not_there_tells_the_systems_reason(trouble: Trouble) -> None:
    (found,) = diagnose([], LineState(connected=False, trouble=trouble, why="said the system"))
    assert found.why == "said the system"
    assert found.cause.value == {"absent": "no_line", "in_use": "line_in_use"}.get(trouble.value, trouble.value)


def test_a_line_that_goes_as_soon_as_it_is_used_tells_it_too() -> None:
    line = LineState(connected=True, network=True, trouble=Trouble.NOT_MODBUS_TCP, why="so")
    assert diagnose([board()], line) == (Finding(cause=Cause.NOT_MODBUS_TCP, why="so"),)


def test_where_everybody_is_silent_on_a_network_other_things_are_to_be_looked_at() -> None:
    line = LineState(connected=True, network=True)
    assert [one.cause for one in diagnose([board(lost=True)], line)] == [Cause.NETWORK_SILENT]


@pytest.mark.parametrize(
    ("echo", "heard", "told"), [(True, True, False), (False, True, True), (True, False, True), (None, None, False)]
)
def test_an_echo_that_is_not_as_configured_is_told(echo: bool | None, heard: bool | None, *, told: bool) -> None:
    found = diagnose([board()], LineState(connected=True, echo=echo, heard=heard))
    assert [one.cause for one in found] == [Cause.ECHO] * told


def test_a_board_that_answers_not_always_is_told_and_what_would_help() -> None:
    line = LineState(connected=True)
    assert diagnose([replace(board(), silent=0.04)], line) == ()
    partly = Finding(cause=Cause.PARTLY_SILENT, boards=(ONE,), share=0.37)
    assert diagnose([replace(board(), silent=0.37)], line) == (partly,)
    wants = Finding(cause=Cause.WANTS_SILENCE, boards=(ONE,), silence=Seconds(0.02))
    assert diagnose([replace(board(), silent=0.37, silence_wanted=Seconds(0.02))], line) == (wants,)
    refuses = Finding(cause=Cause.REFUSES, boards=(ONE,), share=0.5)
    assert diagnose([replace(board(), refused=0.5)], line) == (refuses,)


# On a bus


@pytest.mark.parametrize("unit", [11, 1])
def test_a_board_that_wants_more_silence_is_named_with_what_it_wants(
    monkeypatch: pytest.MonkeyPatch, unit: int
) -> None:
    bench = Bench(monkeypatch)
    for port in names(12):
        bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
    bench.run(10.0)
    bench.boards.deaf = {unit: 0.006}
    bench.run(60.0)
    wants = [one for one in bench.bus.statistics().findings if one.cause is Cause.WANTS_SILENCE]
    assert [(one.boards, one.silence) for one in wants] == [(("meter1" if unit == 11 else "relay",), 0.02)]
    missed = next(one for one in bench.bus.statistics().boards if one.board in wants[0].boards)
    assert missed.silent < 0.1, "and it is given that meanwhile"


def test_a_board_that_refuses_or_loses_some_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, site(2))
    honest, noise = bench.boards.script, random.Random(1)

    def script(request: bytes) -> Reply:
        if request[0] == 11 and noise.random() < 0.15:
            return []
        if request[0] == 12:
            refusal = bytes([request[0], request[1] | 0x80, 2])
            return [(SILENCE + TURNAROUND, refusal + crc(refusal))]
        return honest(request)

    bench.line.script = script
    for port in names(2):
        bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
    bench.run(40.0)
    told: set[tuple[Cause, tuple[BoardId, ...]]] = set()
    for _ in range(20):
        bench.run(1.0)
        told |= {(one.cause, one.boards) for one in bench.bus.statistics().findings}
    assert (Cause.REFUSES, ("meter2",)) in told
    assert (Cause.PARTLY_SILENT, ("meter1",)) in told


def test_the_reason_of_a_missing_line_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, site(2))
    bench.present = False
    with capture_logs() as told:
        bench.run(5.0)
    warned = [one for one in told if one["event"] == "line_missing" and one["level"] is Level.WARNING]
    assert [one["why"] for one in warned] == ["no such device"]
    found = bench.bus.statistics()
    assert (found.why, found.findings[0].why) == ("no such device", "no such device")
    bench.plug()
    bench.run(20.0)
    assert bench.bus.statistics().why is None


def test_a_bus_tells_how_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.run(10.0)
    found = bench.bus.statistics()
    assert (found.bus, found.connected, found.findings, found.late) == ("line", True, (), ())
    assert {one.board for one in found.boards} == {"relay", *(f"meter{number}" for number in range(1, 13))}
    one = next(each for each in found.boards if each.board == "meter1")
    assert one.answers == one.transactions > 2
    assert one.latency_mean == pytest.approx(TURNAROUND + 3.5 * 10 / 9600, abs=0.0005)
    assert one.stale_age is not None
    assert one.stale_age < 6


def test_one_silent_board_is_named_and_a_silent_bus_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.run(6.0)
    bench.boards.silent = {22}
    bench.run(8.0)
    assert bench.bus.statistics().findings == (Finding(cause=Cause.BOARD_SILENT, boards=(BoardId("meter12"),)),)
    bench.boards.silent = {1, *range(11, 23)}
    bench.run(30.0)
    assert [one.cause for one in bench.bus.statistics().findings] == [Cause.BUS_SILENT]
    bench.unplug()
    bench.run(2.0)
    assert [one.cause for one in bench.bus.statistics().findings] == [Cause.NO_LINE]


@pytest.mark.parametrize("from_", [0.0, 8.0])
def test_a_board_slower_than_its_profile_says_is_heard(monkeypatch: pytest.MonkeyPatch, from_: float) -> None:
    bench = Bench(monkeypatch, site(2))
    bench.run(from_)
    bench.boards.slow = {11: 0.26}
    bench.run(60.0)
    slow = next(one for one in bench.bus.statistics().boards if one.board == "meter1")
    assert not slow.lost
    assert slow.latency_mean == pytest.approx(0.26, abs=0.02)
    assert slow.timeout > 0.26


def test_a_silent_bus_is_probed_one_board_at_a_time_and_is_back_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.run(6.0)
    bench.boards.silent = {1, *range(11, 23)}
    bench.run(60.0)
    bench.forget()
    bench.run(30.0)
    assert (
        min(later.at - sooner.at for sooner, later in zip(bench.line.sent, bench.line.sent[1:], strict=False)) > 1
    )
    bench.boards.silent = set()
    bench.run(4.0)
    assert not bench.bus.lost_boards()


def test_a_line_that_is_short_of_time_says_what_was_late(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, site(12))
    monkeypatch.setattr("tests.modbus.kit.TURNAROUND", 0.06)
    for port in names(12):
        bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
    bench.run(61.0)
    late = {one.what: one for one in bench.bus.statistics().late}
    assert late["current"].count > 10
    assert late["current"].worst > 0.25
