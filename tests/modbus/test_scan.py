"""A scan of a whole line on the virtual bench: how long it takes, whom it delays, and what it finds."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from chargerd.core.commands import OpenRelay
from chargerd.core.units import PortId
from chargerd.modbus.manual import Rate
from chargerd.modbus.scan import LAST, Report
from chargerd.modbus.scan_findings import ScanCause, ScanFinding, findings
from chargerd.modbus.wire import SECOND
from tests.config.bus_rig import Rig
from tests.judging import every
from tests.modbus.kit import CHARACTER, FIRST_METER, SILENCE, TURNAROUND, Bench, Boards, Reply, crc, frame, site
from tests.modbus.scanning import ALL, WINDOW, Scanner, known_of, until_done

DELAY = SILENCE + TURNAROUND
PORTS = 12
UNITS = {1, *range(FIRST_METER, FIRST_METER + PORTS)}


def answer(boards: Boards, request: bytes) -> list[tuple[float, bytes]]:
    """What a board of its unit answers, be it that there is no such register; nothing from where nobody is."""
    if request[0] not in UNITS or request[0] in boards.silent:
        return []
    refusal = [(DELAY, frame(bytes([request[0], request[1] | 0x80, 2]).hex()))]
    suits = request[1] in {1, 5} if request[0] == 1 else request[1] in {3, 4} and request[4:6] == b"\x00\x02"
    if not suits:
        return refusal
    try:
        return list(boards.script(request))
    except KeyError:
        return refusal


def bench(monkeypatch: Any, script: Callable[[Bench, bytes], Reply] | None = None) -> Bench:
    one = Bench(monkeypatch, site(PORTS))
    one.line.script = lambda request: answer(one.boards, request) if script is None else script(one, request)
    one.run(10.0)
    return one


def scanned(one: Bench, *, rates: tuple[Rate, ...] = (), within: float = 300.0) -> Report:
    scanner = Scanner(one.bus, known_of(site(PORTS)), rates=rates)
    until_done(scanner, one.bus, one.clock, within)
    assert scanner.report is not None
    return scanner.report


def judged(one: Bench, **how: Any) -> tuple[ScanFinding, ...]:
    return findings(scanned(one, **how), known_of(site(PORTS)))


def test_an_idle_line_at_9600_is_scanned_in_a_minute_and_a_half_and_named_board_by_board(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = bench(monkeypatch)
    began = one.clock.time
    report = scanned(one)
    assert 60.0 < one.clock.time - began <= 90.0
    assert report.asked == LAST
    assert {found.unit for found in report.found} == UNITS
    assert every(found.fits is True for found in report.found)
    assert {found.serial for found in report.found if found.unit == FIRST_METER} == {f"{20_000 + FIRST_METER:08x}"}
    assert findings(report, known_of(site(PORTS))) == ()


def test_a_scan_with_twelve_closed_ports_delays_no_cut_off_by_more_than_one_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(monkeypatch, site(PORTS), "line")
    boards = Boards(rig.clock)
    closed = rig.script
    rig.script = lambda request: (
        closed(request) if request[1] == 1 and request[0] == 1 else answer(boards, request)
    )
    rig.close_all(together=True)
    with_openings(rig, lambda: rig.clock.time > 1060.0)
    before, power_before = rig.worst(), rig.worst_power()
    rig.forget()
    began = rig.clock.time
    scanner = Scanner(rig.bus, known_of(site(PORTS)), thorough=False)
    waits = with_openings(rig, lambda: scanner.report is not None)
    assert rig.clock.time - began <= 300.0
    longest = max(outcome.at - outcome.sent_at for outcome in scanner.outcomes)
    assert longest < WINDOW + SECOND
    drained = 0.03 + 13 * CHARACTER
    assert longest / 2 < max(waits) <= drained + longest + DELAY + 16 * CHARACTER + SILENCE
    assert rig.worst() <= before + longest + drained
    assert rig.worst_power() <= max(power_before, 2.5) + longest + drained
    assert not rig.late, "a lease was not renewed in time"
    assert scanner.report is not None
    assert {found.unit for found in scanner.report.found} == UNITS


def with_openings(rig: Rig, until: Callable[[], bool]) -> list[float]:
    """Run, and open a relay now and then; returns how long each opening took until it was confirmed."""
    chance = random.Random(15)
    waits = []
    while not until():
        assert rig.clock.time < 2000.0
        rig.run(1.0)
        waits.append(rig.opening(PortId("A01"), chance.uniform(0.0, 1.0)))
    return waits


def test_two_boards_at_one_address_are_told_by_what_comes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(one: Bench, request: bytes) -> Reply:
        first = answer(one.boards, request)
        if request[0] != 13:
            return first
        return [*first, *((delay + len(reply) * CHARACTER + 0.01, reply) for delay, reply in first)]

    (found, *others) = judged(bench(monkeypatch, script))
    assert (found.cause, found.units, found.boards) == (ScanCause.TWO_AT_ONE, (13,), ("meter3",))
    assert "answered twice" in found.figure
    assert not others


def garbled(reply: bytes) -> bytes:
    """Two answers at once: where they differ, nothing sound is left."""
    return bytes([*reply[:3], *(byte | 0x5A for byte in reply[3:])])


def test_new_boards_that_all_have_address_one_are_told_from_two_at_one_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def script(_one: Bench, request: bytes) -> Reply:
        if request[0] != 1 or request[1] == 5:
            return []
        return [(DELAY, garbled(frame("0183020000")))]

    (found, *others) = judged(bench(monkeypatch, script))
    assert (found.cause, found.units) == (ScanCause.ALL_AT_ONE, (1,))
    assert "answers corrupt" in found.figure
    assert {other.cause for other in others} == {ScanCause.SILENT}


def test_noise_is_told_by_answers_that_are_corrupt_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(3)

    def script(one: Bench, request: bytes) -> Reply:
        replies = answer(one.boards, request)
        if not replies and chance.random() < 0.05:
            return [(0.01, b"\x00\xf3")]
        return [(at, garbled(reply) if chance.random() < 0.3 else reply) for at, reply in replies]

    found = judged(bench(monkeypatch, script))
    assert found[0].cause is ScanCause.NOISE
    assert "% of the answers are corrupt" in found[0].figure


def test_a_line_on_which_only_the_adapter_is_heard_is_told_from_a_silent_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = bench(monkeypatch, lambda _one, _request: [])
    assert judged(one)[0].cause is ScanCause.NOTHING
    one.line.hears_itself = True
    assert judged(one)[0].cause is ScanCause.ECHO_ONLY


def test_boards_at_another_rate_are_found_there_while_no_port_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    one = bench(monkeypatch)
    one.line.script = lambda request: answer(one.boards, request) if one.tuned == 19200 else []
    rates = (Rate(baudrate=4800), Rate(baudrate=19200, parity="even"), Rate(baudrate=38400))
    report = scanned(one, rates=rates)
    (found, *_others) = findings(report, known_of(site(PORTS)))
    assert (found.cause, found.figure) == (ScanCause.WRONG_RATE, "19200 Bd, parity even")
    assert set(found.units) == UNITS
    assert report.rates_tried == list(rates[:2]), "all that was missed had been found"
    assert one.tuned is None, "the line is driven at its own rate again"


def test_a_strange_second_master_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    one = bench(monkeypatch)

    def script(request: bytes) -> Reply:
        stray = [(0.15, frame("2304020001"))] if request[0] in range(60, 80) else []
        return [*answer(one.boards, request), *stray]

    one.line.script = script
    assert ScanCause.SECOND_MASTER in {found.cause for found in judged(one)}


@pytest.mark.parametrize("unit", [40, 247])
def test_a_board_at_another_address_than_configured_is_recognised(
    monkeypatch: pytest.MonkeyPatch, unit: int
) -> None:
    def script(one: Bench, request: bytes) -> Reply:
        if request[0] == FIRST_METER:
            return []
        asked = bytes([FIRST_METER, *request[1:-2]]) if request[0] == unit else request[:-2]
        for delay, reply in answer(one.boards, asked + crc(asked)):
            data = request[:1] + reply[1:-2]
            return [(delay, data + crc(data))]
        return []

    (found,) = judged(bench(monkeypatch, script))
    assert (found.cause, found.units, found.boards) == (
        ScanCause.WRONG_ADDRESS,
        (FIRST_METER, unit),
        ("meter1",),
    )


def test_an_opening_waits_for_the_one_question_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    one = bench(monkeypatch)
    scanner = Scanner(one.bus, {}, units=ALL[40:44])
    one.bus.execute(OpenRelay(port=PortId("A03")))
    one.turns(1)
    assert not scanner.outcomes
    assert one.line.requests[-1][:2] == b"\x01\x05"
