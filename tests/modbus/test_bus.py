"""The bus on a virtual line with boards written by hand: turned by hand, no thread, the same every time."""

import struct
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargerd.core.commands import (
    BusCommand,
    CloseRelay,
    OpenRelay,
    Pace,
    ReadEnergy,
    ReadRelay,
    RenewLease,
    SetPace,
)
from chargerd.core.events import (
    BoardBack,
    BoardLost,
    BusEvent,
    MeterFault,
    MeterReading,
    RelayAction,
    RelayNotReadBack,
    RelayNotWritten,
    RelayReadBack,
    RelayWritten,
)
from chargerd.core.faults import FaultKind
from chargerd.core.units import Instant, PortId, Seconds
from chargerd.modbus.board import BoardOnBus, RelayBoard
from chargerd.modbus.lines import LineGone
from chargerd.modbus.wire import RtuWire
from chargerd.modbus.worker import REPEATS
from tests.judging import every
from tests.modbus.kit import CHARACTER, SILENCE, TURNAROUND, Bench, crc, frame, names, site

A01, A02 = names(2)
OPEN_A01 = frame("01 05 00 00 00 00")
LAPSE_A01 = frame("01 05 02 00 00 01")
COILS = frame("01 01 00 00 00 10")
READ = 8 * CHARACTER + SILENCE + TURNAROUND + 9 * CHARACTER + SILENCE
"""How long reading two registers occupies the line."""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch, site(2))


def close(bench: Bench, port: PortId, within: float = 3.0, lease: float = 6.0) -> None:
    not_after = Instant(bench.clock.time + within)
    bench.bus.execute(CloseRelay(port=port, lease=Seconds(lease), not_after=not_after))


def renew(bench: Bench, port: PortId, within: float = 2.0) -> None:
    not_after = Instant(bench.clock.time + within)
    bench.bus.execute(RenewLease(port=port, lease=Seconds(6.0), not_after=not_after))


def is_coil_write(sent: bytes) -> bool:
    return sent[1] == 5


# Readings


def test_readings_come_with_values_and_times(small: Bench) -> None:
    small.boards.amps[11] = 2.5
    small.run(1.0)
    readings = [event for event in small.told(MeterReading) if event.port == A01]
    assert {(reading.current, reading.power) for reading in readings} == {(2.5, None), (None, 350.0)}
    assert every(reading.energy is None and reading.voltage is None for reading in readings)
    assert every(reading.at <= at for at, reading in small.events if isinstance(reading, MeterReading))


def test_energy_is_told_when_asked_for(small: Bench) -> None:
    small.run(1.0)
    small.bus.execute(ReadEnergy(port=A01))
    small.run(0.2)
    assert [event.energy for event in small.told(MeterReading) if event.energy is not None] == [
        pytest.approx(12_340.0)
    ]


def test_energy_is_asked_for_until_it_is_there(small: Bench) -> None:
    small.run(2.0)
    small.boards.silent = {11}
    small.bus.execute(ReadEnergy(port=A01))
    small.run(0.6)
    assert small.told(MeterFault)
    small.boards.silent = set()
    small.run(3.0)
    assert len([event for event in small.told(MeterReading) if event.energy is not None]) == 1


@pytest.mark.parametrize("amps", [float("nan"), float("inf"), -0.0])
def test_what_cannot_be_is_a_fault_and_no_reading(small: Bench, amps: float) -> None:
    small.boards.amps[11] = amps
    small.run(1.0)
    assert not [event for event in small.told(MeterReading) if event.port == A01 and event.current is not None]
    faults = [event for event in small.told(MeterFault) if event.port == A01]
    assert {fault.kind for fault in faults} == {FaultKind.IMPLAUSIBLE}


@pytest.mark.parametrize(("shown", "amps"), [(-7.5, 7.5), (1e9, 200.0)])
def test_what_flows_backwards_or_beyond_the_range_is_a_reading(small: Bench, shown: float, amps: float) -> None:
    small.boards.amps[11] = shown
    small.run(1.0)
    told = {event.current for event in small.told(MeterReading) if event.port == A01} - {None}
    assert told == {amps}, "an overload is not thrown away"


def test_a_meter_that_talks_nonsense_does_not_keep_the_line_to_itself(bench: Bench) -> None:
    for port in names(12):
        bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
    bench.boards.amps[11] = float("nan")
    bench.run(10.0)
    asked = Counter(sent[0] for sent in bench.line.requests if sent[3] == 6)
    assert asked[11] <= asked[12] + 1


def test_a_refused_reading_is_a_fault_and_the_board_is_there(small: Bench) -> None:
    small.run(1.0)
    small.forget()
    small.line.script = lambda request: [(SILENCE, refusal(request))]
    small.run(6.0)
    assert {fault.kind for fault in small.told(MeterFault)} == {FaultKind.EXCEPTION}
    assert {fault.kind for fault in small.told(RelayNotReadBack)} == {FaultKind.EXCEPTION}
    assert not small.told(BoardLost)


def refusal(request: bytes) -> bytes:
    reply = bytes([request[0], request[1] | 0x80, 4])
    return reply + crc(reply)


def test_a_meter_that_tells_everything_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, site(1, meter="pzem-016"))
    answer = frame("0B 04 14 08FD 07D0 0000 0FA0 0000 E240 0001 01F4 0064 0000")
    own = bench.boards.script
    bench.line.script = lambda request: [(SILENCE, answer)] if request[0] == 11 else own(request)
    bench.run(1.0)
    reading = bench.told(MeterReading)[0]
    assert (reading.current, reading.power, reading.energy) == (
        pytest.approx(2.0),
        pytest.approx(400.0),
        pytest.approx(123_456.0),
    )


# Relays


def test_a_closing_is_timed_confirmed_and_read_back(small: Bench) -> None:
    small.run(1.0)
    small.forget()
    close(small, A01)
    small.bus.execute(ReadRelay(port=A01))
    small.run(0.2)
    assert frame("01 05 02 00 00 3C") in small.line.requests
    (written,) = small.told(RelayWritten)
    assert (written.port, written.action) == (A01, RelayAction.CLOSE)
    write = next(sent for sent in small.line.sent if is_coil_write(sent.data))
    assert written.sent_at == write.at
    assert written.at >= write.until
    small.bus.execute(ReadRelay(port=A01))
    small.forget()
    small.run(0.1)
    assert {event.port: event.closed for event in small.told(RelayReadBack)} == {A01: True, A02: False}


def test_a_lease_that_is_renewed_holds_and_one_that_is_not_lapses(small: Bench) -> None:
    small.run(1.0)
    close(small, A01)
    close(small, A02)
    small.run(3.0)
    renew(small, A01)
    small.run(4.0)
    assert small.boards.closed(0)
    assert not small.boards.closed(1)
    assert [event.action for event in small.told(RelayWritten)].count(RelayAction.RENEW) == 1


def test_a_renewal_that_has_become_late_never_goes_out(small: Bench) -> None:
    small.run(1.0)
    small.forget()
    renew(small, A01, within=8 * CHARACTER - 0.0001)
    small.run(1.0)
    (event,) = small.told(RelayNotWritten)
    assert (event.action, event.late, event.sent) == (RelayAction.RENEW, True, False)
    assert not [sent for sent in small.line.requests if is_coil_write(sent)]


def test_nor_does_one_that_waited_for_its_silent_board(small: Bench) -> None:
    small.run(1.0)
    small.boards.silent = {1}
    close(small, A01)
    small.run(0.3)
    renew(small, A02, within=0.05)
    small.boards.silent = set()
    small.forget()
    small.run(3.0)
    (event,) = small.told(RelayNotWritten)
    assert (event.port, event.late, event.sent) == (A02, True, False)
    assert not [sent for sent in small.line.requests if is_coil_write(sent)]


@pytest.mark.parametrize(("opens", "writes"), [(False, ["0200"]), (True, [])])
def test_a_renewal_that_waits_is_forgotten_once_its_relay_reads_open(
    small: Bench, *, opens: bool, writes: list[str]
) -> None:
    small.run(1.0)
    close(small, A01)
    small.run(0.5)
    small.forget()
    if opens:
        small.boards.lapses.clear()  # The board has lost its supply for a moment.
    renew(small, A01, within=4.0)
    small.bus.execute(ReadRelay(port=A01))
    small.run(1.0)
    assert [sent[2:4].hex() for sent in small.line.requests if is_coil_write(sent)] == writes
    assert [(one.action, one.sent) for one in small.told(RelayNotWritten)] == [(RelayAction.RENEW, False)] * opens


def test_an_opening_forgets_what_was_queued_and_says_so_of_a_closing(small: Bench) -> None:
    small.run(1.0)
    small.forget()
    close(small, A01)
    renew(small, A02)
    small.bus.execute(OpenRelay(port=A01))
    small.bus.execute(OpenRelay(port=A02))
    small.run(1.0)
    assert [sent[2:6] for sent in small.line.requests if is_coil_write(sent)] == [
        bytes.fromhex("0000 0000"),
        bytes.fromhex("0001 0000"),
    ]
    (event,) = small.told(RelayNotWritten)
    assert (event.port, event.action, event.sent, event.late) == (A01, RelayAction.CLOSE, False, False)


def test_what_comes_of_a_command_is_never_told_inside_execute(small: Bench) -> None:
    small.bus.execute(OpenRelay(port=A01))
    close(small, A01)
    assert not small.events
    small.run(0.5)
    assert [type(event) for event in small.told(RelayNotWritten) + small.told(RelayWritten)] == [
        RelayNotWritten,
        RelayWritten,
    ]


@pytest.mark.parametrize("gone", [False, True])
def test_a_closing_that_may_have_reached_its_board_is_told_as_sent(small: Bench, gone: bool) -> None:
    """Else its relay would count as open for want of an echo."""
    small.run(1.0)
    small.forget()
    close(small, A01)
    if gone:
        small.unplug()
        small.turns(1)
    else:
        small.boards.silent = {1}
        small.run(1.0)
    (event,) = [one for one in small.told(RelayNotWritten) if one.port == A01]
    kind = FaultKind.OFFLINE if gone else FaultKind.TIMEOUT
    assert (event.action, event.kind, event.sent) == (RelayAction.CLOSE, kind, True)


def test_an_unconfirmed_opening_is_reported_and_left_to_whoever_decides(small: Bench) -> None:
    small.run(1.0)
    small.boards.silent = {1}
    small.forget()
    small.bus.execute(OpenRelay(port=A01))
    small.run(2.0)
    events = [event for event in small.told(RelayNotWritten) if event.action is RelayAction.OPEN]
    assert [(event.kind, event.sent) for event in events] == [(FaultKind.TIMEOUT, True)]
    assert small.line.requests.count(OPEN_A01) == 1 + REPEATS


def test_an_opening_that_nothing_answers_is_repeated_after_a_longer_silence_each_time(bench: Bench) -> None:
    bench.run(1.0)
    bench.boards.silent = {1}
    bench.forget()
    bench.bus.execute(OpenRelay(port=A01))
    bench.run(1.0)
    gaps = [sent.gap for sent in bench.line.sent if sent.data == OPEN_A01]
    assert [round(gap, 3) >= wanted for gap, wanted in zip(gaps, (SILENCE, 0.02, 0.06), strict=True)] == [True] * 3


@pytest.mark.parametrize("deaf", [0.02, 0.05])
@pytest.mark.parametrize("moment", [0.0, 0.011, 0.023, 0.037])
def test_a_board_that_is_deaf_after_every_frame_opens_within_a_second(
    bench: Bench, deaf: float, moment: float
) -> None:
    bench.run(1.0)
    for port in names(12):
        close(bench, port)
    bench.run(2.0)
    assert bench.boards.closed(0)
    for port in names(12):
        bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
    bench.boards.deaf = {1: deaf}
    bench.run(0.5 + moment)
    bench.bus.execute(OpenRelay(port=A01))
    decided = bench.clock.time
    while bench.boards.closed(0):
        bench.turns(1)
        assert bench.clock.time - decided < 1.0
    bench.bus.execute(ReadRelay(port=A01))
    bench.run(1.0)
    assert not [event for event in bench.told(RelayReadBack) if event.port == A01][-1].closed


# An adapter that hears what it sends


def test_the_adapters_own_echo_opens_no_relay_of_a_dead_board(small: Bench) -> None:
    small.line.hears_itself = True
    small.boards.silent = {1}
    small.bus.execute(OpenRelay(port=A01))
    small.run(3.0)
    assert OPEN_A01 in small.line.requests
    assert not small.told(RelayWritten)
    assert not small.told(RelayReadBack)
    assert [event.board for event in small.told(BoardLost)] == ["relay"]
    assert small.bus.statistics().hears_itself


def test_before_the_first_write_over_a_new_line_something_is_read_once(small: Bench) -> None:
    small.boards.silent = {1}
    for _line in range(2):
        small.bus.execute(OpenRelay(port=A01))
        small.run(1.5)
        writes = [is_coil_write(sent) for sent in small.line.requests]
        assert writes.index(True) >= 1
        small.unplug()
        small.run(2.0)
        small.forget()
        small.plug()


def pace(bench: Bench) -> tuple[float, float]:
    """Return the longest interval between two readings of one current, and the longest any opening takes."""
    bench.run(1.0)
    for port in names(12):
        close(bench, port)
    bench.run(2.0)
    for port in names(12):
        bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
    bench.run(2.0)
    bench.forget()
    bench.run(5.0)
    reads = [sent.until for sent in bench.line.sent if sent.data[0] == 11 and sent.data[3] == 6]
    took = []
    for place, port in enumerate(names(12)):
        decided = bench.clock.time
        bench.bus.execute(OpenRelay(port=port))
        while bench.boards.closed(place):
            bench.turns(1)
        took.append(bench.clock.time - decided)
    counts = bench.bus.counters
    assert (counts.timeouts, counts.corrupt, counts.foreign_bytes) == (0, 0, 0)
    return max(later - sooner for sooner, later in pairwise(reads)), max(took)


def test_behind_such_an_adapter_nothing_takes_longer_than_behind_another(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = pace(Bench(monkeypatch))
    bench = Bench(monkeypatch)
    bench.line.hears_itself = True
    assert pace(bench) == pytest.approx(usual, rel=0.1)


def test_an_opening_keeps_the_silence_its_board_is_said_to_want(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoardOnBus, "silence", Seconds(0.05))
    bench = Bench(monkeypatch)
    bench.boards.deaf = {1: 0.05}
    bench.run(1.0)
    close(bench, A01)
    bench.run(1.0)
    bench.forget()
    bench.bus.execute(OpenRelay(port=A01))
    bench.run(0.5)
    assert bench.line.requests.count(OPEN_A01) == 1
    assert not bench.boards.closed(0)


def test_the_third_opening_makes_the_board_lapse_and_reads_back_after_that(small: Bench) -> None:
    small.run(1.0)
    small.forget()
    own = small.boards.script

    def deaf_to_off(request: bytes) -> Any:
        """Echoes a plain off and ignores it, as some boards do while a timer runs."""
        if request == OPEN_A01:
            return [(SILENCE + TURNAROUND, request)]
        return own(request)

    small.boards.lapses[0] = 1e12
    small.line.script = deaf_to_off
    for attempt in (1, 2):
        small.bus.execute(OpenRelay(port=A01, attempt=attempt))
        small.run(0.1)
    assert LAPSE_A01 not in small.line.requests
    small.bus.execute(OpenRelay(port=A01, attempt=3))
    small.bus.execute(ReadRelay(port=A01))
    small.forget()
    small.run(0.5)
    assert small.line.requests[:3] == [OPEN_A01, COILS, LAPSE_A01]
    coils = next(sent for sent in small.line.sent[3:] if sent.data == COILS)
    assert coils.at - small.line.sent[2].until >= 0.1
    assert next(event.closed for event in small.told(RelayReadBack) if event.port == A01) is False


def test_a_relay_that_reads_open_after_its_third_opening_is_not_closed_for_a_moment(small: Bench) -> None:
    small.run(1.0)
    small.boards.lapses[0] = 1e12
    small.bus.execute(OpenRelay(port=A01, attempt=3))
    small.run(0.5)
    assert OPEN_A01 in small.line.requests
    assert LAPSE_A01 not in small.line.requests
    assert small.told(RelayWritten)


def test_a_relay_that_is_not_read_after_its_third_opening_is_not_closed_for_a_moment(small: Bench) -> None:
    small.run(1.0)
    small.forget()
    own = small.boards.script

    def mute(request: bytes) -> Any:
        """Carries out what it is told, and is not heard."""
        own(request)
        return []

    small.line.script = mute
    small.bus.execute(OpenRelay(port=A01, attempt=3))
    small.run(0.5)
    assert OPEN_A01 in small.line.requests
    assert LAPSE_A01 not in small.line.requests


def test_a_board_without_a_timer_is_not_told_to_lapse(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, site(1))
    monkeypatch.setattr(RelayBoard, "timed", False)
    bench.run(0.5)
    bench.bus.execute(OpenRelay(port=A01, attempt=3))
    bench.run(0.5)
    assert OPEN_A01 in bench.line.requests
    assert LAPSE_A01 not in bench.line.requests


@pytest.mark.parametrize("moment", [0.0, 0.004, 0.011, 0.019, 0.026])
def test_an_opening_waits_for_the_transaction_in_flight_and_no_more(bench: Bench, moment: float) -> None:
    for port in names(12):
        bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
    bench.run(2.0)
    bench.forget()
    asked = bench.clock.time + moment
    real_wait, done = bench.line.wait, list[bool]()

    def wait(timeout: Seconds) -> bool:
        """Ask for the opening at its moment, from outside, while a transaction is under way."""
        if bench.clock.time >= asked and not done:
            done.append(True)
            bench.bus.execute(OpenRelay(port=A01))
        return real_wait(timeout)

    bench.line.wait = wait  # type: ignore[method-assign] # the moment lies within a wait of the line
    bench.run(0.2)
    index = bench.line.requests.index(OPEN_A01)
    assert bench.line.sent[index].until - asked < 2 * READ + 8 * CHARACTER


def test_an_opening_decided_on_a_reading_is_the_next_thing_on_the_wire(bench: Bench) -> None:
    for port in names(12):
        bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
    bench.run(2.0)
    bench.boards.amps[15] = 9.0
    bench.forget()

    def decide(event: BusEvent) -> None:
        if isinstance(event, MeterReading) and (event.current or 0.0) > 7.5:
            bench.bus.execute(OpenRelay(port=event.port))

    bench.heard = decide
    bench.run(1.0)
    place = next(place for place, sent in enumerate(bench.line.requests) if is_coil_write(sent))
    assert bench.line.requests[place - 1][:4] == bytes.fromhex("0F 04 00 06")
    assert bench.line.sent[place].gap < SILENCE + 0.0005


def test_an_opening_does_not_wait_for_the_line_to_be_drained_after_a_timeout(small: Bench) -> None:
    small.run(1.0)
    small.boards.silent = {11}
    small.forget()

    def decide(event: BusEvent) -> None:
        if isinstance(event, MeterFault):
            small.bus.execute(OpenRelay(port=A01))

    small.heard = decide
    while not small.told(RelayWritten):
        small.bus.turn()
        small.clock.sleep(Seconds(0.0005))
    gave_up = small.told(MeterFault)[0].at
    assert next(sent for sent in small.line.sent if sent.data == OPEN_A01).at - gave_up < SILENCE


# The budget, computed on a line without jitter


def charge_twelve(bench: Bench, seconds: float) -> None:
    """Close twelve ports and hold them closed as the core does; what is kept is of the last so many seconds."""
    due: dict[PortId, float] = {}

    def decide(event: BusEvent) -> None:
        if isinstance(event, RelayWritten):
            due[event.port] = event.sent_at + 3.0

    bench.heard = decide
    for port in names(12):
        bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
    bench.run(1.0)
    for port in names(12):
        close(bench, port)
        bench.run(0.25)
    bench.forget()
    end = bench.clock.time + seconds
    while bench.clock.time < end:
        for port in [port for port, at in due.items() if at <= bench.clock.time]:
            due.pop(port)
            renew(bench, port)
        bench.run(0.01)


def test_the_budget_at_9600_baud_holds(bench: Bench) -> None:
    charge_twelve(bench, 30.0)
    assert min(sent.gap for sent in bench.line.sent[1:]) >= SILENCE - 1e-9
    busy = sum(floor(sent.data) for sent in bench.line.sent)
    assert busy / (bench.clock.time - bench.line.sent[0].at) >= 0.95
    current: dict[PortId, list[float]] = {port: [] for port in names(12)}
    for event in bench.told(MeterReading):
        if event.current is not None:
            current[event.port].append(event.at)
    assert max(later - earlier for times in current.values() for earlier, later in pairwise(times)) <= 0.5
    assert len(bench.told(RelayWritten)) >= 108
    assert not bench.told(RelayNotWritten)


def floor(request: bytes) -> float:
    reply = {1: 7, 3: 9, 4: 9, 5: 8}[request[1]]
    return (len(request) + reply) * CHARACTER + 2 * SILENCE + TURNAROUND


def test_one_silent_meter_of_twelve_slows_the_others_by_a_tenth_at_most(bench: Bench) -> None:
    for port in names(12):
        bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
    bench.run(3.0)

    def cycle() -> float:
        bench.forget()
        bench.run(20.0)
        times = [at for at, event in bench.events if isinstance(event, MeterReading) and event.port == A01]
        return 20.0 / len(times)

    whole = cycle()
    bench.boards.silent = {22}
    assert cycle() < 1.1 * whole
    faults = [at for at, event in bench.events if isinstance(event, MeterFault)]
    assert len(faults) >= 4
    assert faults[2] - faults[0] < 2.0


# Boards and lines that come and go


def test_a_silent_board_is_reported_lost_once_and_back_at_its_first_answer(small: Bench) -> None:
    small.run(6.0)
    small.forget()
    small.boards.silent = {11}
    small.run(30.0)
    assert [(event.board, event.kind) for event in small.told(BoardLost)] == [("meter1", FaultKind.TIMEOUT)]
    assert small.told(BoardLost)[0].at - small.told(MeterFault)[0].at < 2.0
    assert small.bus.lost_boards() == ("meter1",)
    small.boards.silent = set()
    small.run(11.0)
    assert [event.board for event in small.told(BoardBack)] == ["meter1"]
    assert not small.bus.lost_boards()


def test_a_relay_board_that_is_back_is_read_back_first(small: Bench) -> None:
    small.run(1.0)
    small.boards.silent = {1}
    small.run(20.0)
    assert small.told(RelayNotReadBack)
    small.boards.silent = set()
    small.forget()
    small.bus.execute(OpenRelay(port=A01))
    while not small.told(BoardBack):
        small.bus.turn()
    place = len(small.line.requests)
    small.run(0.1)
    assert small.line.requests[place] == COILS


def test_also_one_that_only_openings_have_missed(small: Bench) -> None:
    while len(small.told(RelayReadBack)) < 4:
        small.run(0.01)
    small.boards.silent = {1}
    for _ in range(3):
        small.bus.execute(OpenRelay(port=A01))
        small.bus.turn()
    assert [event.board for event in small.told(BoardLost)] == ["relay"]
    assert not small.told(RelayNotReadBack)
    small.boards.silent = set()
    small.run(0.9)
    small.forget()
    small.bus.execute(OpenRelay(port=A01))
    small.run(0.3)
    assert small.told(BoardBack)
    assert small.line.requests[small.line.requests.index(OPEN_A01) + 1] == COILS


def test_a_line_missing_at_the_start_comes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, site(2))
    bench.present = False
    bench.bus.execute(OpenRelay(port=A01))
    bench.run(3.0)
    assert {event.board for event in bench.told(BoardLost)} == {"relay", "meter1", "meter2"}
    assert {event.kind for event in bench.told(BoardLost)} == {FaultKind.OFFLINE}
    connected = [bench.bus.connected]
    bench.plug()
    bench.run(2.0)
    assert [*connected, bench.bus.connected] == [False, True]
    assert {event.board for event in bench.told(BoardBack)} == {"relay", "meter1", "meter2"}
    assert bench.line.requests[:3] == [COILS, OPEN_A01, COILS]


def test_a_line_that_vanishes_is_reported_and_openings_wait_for_it(small: Bench) -> None:
    small.run(6.0)
    small.forget()
    small.unplug()
    small.run(0.1)
    assert {event.board for event in small.told(BoardLost)} == {"relay", "meter1", "meter2"}
    assert small.line.closed
    small.bus.execute(OpenRelay(port=A01))
    small.run(5.0)
    assert not small.told(RelayNotWritten)
    small.plug()
    small.line.sent.clear()
    small.run(1.5)
    assert small.line.requests[:3] == [COILS, OPEN_A01, COILS]
    assert [event.port for event in small.told(RelayWritten)] == [A01]


def test_an_opening_under_which_the_line_vanishes_goes_out_first_when_it_returns(small: Bench) -> None:
    small.run(6.0)
    small.bus.execute(OpenRelay(port=A01))
    small.unplug()
    small.run(0.5)
    small.forget()
    small.plug()
    small.run(1.5)
    assert small.line.requests[:2] == [COILS, OPEN_A01]
    assert [event.port for event in small.told(RelayWritten)] == [A01]


@pytest.mark.parametrize("times", [1, 2, 5])
def test_openings_outlive_a_line_that_opens_and_goes_with_its_first_request(small: Bench, times: int) -> None:
    """A loose adapter, or a serial server that hangs up: each time what goes is the read-back before a write."""
    for port in (A01, A02):
        small.bus.execute(OpenRelay(port=port))
    write, goes = small.line.write, iter(range(times))

    def hang_up(data: bytes) -> None:
        if next(goes, None) is not None:
            raise LineGone("hung up")
        write(data)

    small.line.write = hang_up  # type: ignore[method-assign]
    small.run(times + 1.5)
    assert [event.port for event in small.told(RelayWritten)] == [A01, A02]


def test_closings_and_renewals_do_not_wait_for_a_missing_line(small: Bench) -> None:
    small.run(1.0)
    small.unplug()
    small.run(6.0)
    small.forget()
    close(small, A01)
    renew(small, A02)
    small.run(0.01)
    assert {(event.port, event.kind, event.sent) for event in small.told(RelayNotWritten)} == {
        (A01, FaultKind.OFFLINE, False),
        (A02, FaultKind.OFFLINE, False),
    }
    small.plug()
    small.run(3.0)
    assert not [sent for sent in small.line.requests if is_coil_write(sent)]


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (CloseRelay(port=A01, lease=Seconds(6.0), not_after=Instant(1e6)), RelayNotWritten),
        (ReadRelay(port=A01), RelayNotReadBack),
        (ReadEnergy(port=A01), MeterFault),
    ],
)
def test_whatever_the_line_vanishes_under_is_told(small: Bench, command: BusCommand, event: type[Any]) -> None:
    small.run(3.0)
    small.forget()
    small.bus.execute(command)
    small.unplug()
    small.turns(1)
    assert [one.kind for one in small.told(event) if one.port == A01] == [FaultKind.OFFLINE]


@pytest.mark.parametrize("held", [False, True])
def test_what_vanishes_while_others_wait_tells_all_of_them(small: Bench, held: bool) -> None:
    small.run(1.0)
    small.forget()
    if held:
        close(small, A02)
    small.bus.execute(ReadRelay(port=A01))
    small.unplug()
    small.run(0.1)
    assert len(small.told(RelayNotWritten)) == held


# Every command ends in one event

COMMANDS = st.one_of(
    st.builds(lambda port, attempt: ("open", port, attempt), st.sampled_from([A01, A02]), st.integers(1, 3)),
    st.builds(lambda port, within: ("close", port, within), st.sampled_from([A01, A02]), st.floats(0.0, 3.0)),
    st.builds(lambda port, within: ("renew", port, within), st.sampled_from([A01, A02]), st.floats(0.0, 3.0)),
    st.builds(lambda line: ("line", line, 0), st.booleans()),
    st.builds(lambda silent: ("board", silent, 0), st.booleans()),
    st.builds(lambda seconds: ("wait", seconds, 0), st.floats(0.0, 2.0)),
)


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(steps=st.lists(COMMANDS, max_size=16))
def test_every_closing_ends_in_one_event_and_no_relay_is_closed_after_its_opening(
    monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, Any, Any]]
) -> None:
    bench = Bench(monkeypatch, site(2))
    bench.run(0.5)
    asked: Counter[RelayAction] = Counter()
    last: dict[PortId, str] = {}
    for what, argument, figure in steps:
        obey(bench, what, argument, figure)
        if what in {"open", "close", "renew"}:
            asked[RelayAction(what)] += 1
            last[argument] = what
    bench.plug()
    bench.boards.silent = set()
    bench.run(6.0)
    told: Counter[RelayAction] = Counter(
        event.action for event in bench.told(RelayWritten) + bench.told(RelayNotWritten)
    )
    assert told[RelayAction.CLOSE] == asked[RelayAction.CLOSE]
    assert told[RelayAction.RENEW] <= asked[RelayAction.RENEW]
    assert told[RelayAction.OPEN] <= asked[RelayAction.OPEN]
    assert bool(told[RelayAction.OPEN]) == bool(asked[RelayAction.OPEN])
    writes = [sent for sent in bench.line.requests if is_coil_write(sent)]
    for channel, port in enumerate([A01, A02]):
        own = [sent for sent in writes if sent[3] == channel]
        if last.get(port) == "open" and own:
            assert struct.unpack(">H", own[-1][4:6])[0] <= 1


def obey(bench: Bench, what: str, argument: Any, figure: Any) -> None:
    does: dict[str, Callable[[], Any]] = {
        "open": lambda: bench.bus.execute(OpenRelay(port=argument, attempt=figure)),
        "close": lambda: close(bench, argument, within=figure),
        "renew": lambda: renew(bench, argument, within=figure),
        "line": lambda: bench.plug() if argument else bench.unplug(),
        "board": lambda: bench.boards.silent.update([1]) if argument else bench.boards.silent.clear(),
        "wait": lambda: bench.run(argument),
    }
    does[what]()


# Opening everything, with nobody else there


def test_all_relays_are_opened_without_a_thread(bench: Bench) -> None:
    for channel in range(12):
        bench.boards.lapses[channel] = 1e12
    assert bench.bus.open_all(Seconds(3.0)) == ()
    assert not [channel for channel in range(12) if bench.boards.closed(channel)]


def test_openings_whose_frames_get_lost_are_sent_again(bench: Bench) -> None:
    for channel in range(12):
        bench.boards.lapses[channel] = 1e12
    own, count = bench.boards.script, iter(range(10_000))
    bench.line.script = lambda request: [] if next(count) % 3 == 0 else own(request)
    assert bench.bus.open_all(Seconds(5.0)) == ()


def test_a_relay_that_does_not_open_is_named_after_the_last_resort(small: Bench) -> None:
    small.boards.welded = {1}
    assert small.bus.open_all(Seconds(3.0)) == (A02,)
    assert frame("01 05 02 01 00 01") in small.line.requests
    assert LAPSE_A01 not in small.line.requests
    assert small.line.requests.count(OPEN_A01) == 1


def test_on_a_line_that_is_not_there_all_of_them_are_named(small: Bench) -> None:
    small.unplug()
    began = small.clock.time
    assert small.bus.open_all(Seconds(3.0)) == (A01, A02)
    assert small.clock.time - began < 3.2


def test_a_listener_that_is_broken_does_not_keep_relays_closed(bench: Bench) -> None:
    for channel in range(12):
        bench.boards.lapses[channel] = 1e12

    def broken(_event: BusEvent) -> None:
        raise RuntimeError("nobody is listening any more")

    bench.heard = broken
    assert bench.bus.open_all(Seconds(3.0)) == ()


def test_nor_does_an_exception_nobody_foresaw(small: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    small.boards.lapses[0] = 1e12
    real, failures = small.bus.turn, iter([True, True])

    def turn() -> bool:
        if next(failures, False):
            raise RuntimeError("unforeseen")
        return real()

    monkeypatch.setattr(small.bus, "turn", turn)
    assert small.bus.open_all(Seconds(3.0)) == ()


def test_ports_are_told_apart_by_what_hangs_on_the_bus(bench: Bench) -> None:
    assert bench.bus.ports == bench.bus.relay_ports == bench.bus.meter_ports == frozenset(names(12))


def test_a_closing_that_stays_unanswered_on_a_network_takes_its_connection_with_it(small: Bench) -> None:
    small.run(6.0)
    discarded: list[float] = []
    wire = small.bus._connection.wire  # noqa: SLF001 - what a connection over a network brings along
    assert isinstance(wire, RtuWire)
    wire.discard = lambda: discarded.append(small.clock.time)
    small.boards.silent = {1}
    close(small, A01)
    small.run(1.0)
    assert len(discarded) == 1
    assert [event.kind for event in small.told(RelayNotWritten)] == [FaultKind.TIMEOUT]
    assert small.bus.connected
    assert not small.told(BoardLost)
