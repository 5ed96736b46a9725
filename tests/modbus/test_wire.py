"""One transaction on a virtual line: what counts as an answer, and what silence is kept."""

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.config.budget.pacing import DRAIN
from chargerd.core.faults import FaultKind
from chargerd.core.units import Instant, Seconds
from chargerd.modbus.frames import Request, read_bits, read_registers, registers_of, write_coil
from chargerd.modbus.lines import LineGone
from chargerd.modbus.strangers import KEEPS_PACE, WARY_FOR
from chargerd.modbus.wire import BABBLE, Answered, Failed, RtuWire
from tests.modbus.kit import CHARACTER, SILENCE, TURNAROUND, Reply, VirtualClock, VirtualLine, frame, rtu

CURRENT = read_registers(11, 4, 0x0006, 2)
POWER = read_registers(11, 4, 0x000C, 2)
OPEN = write_coil(1, 0, 0)
COILS = read_bits(1, 1, 0, 16)
ONE = frame("0B 04 04 3F 80 00 00")
TWO = frame("0B 04 04 40 00 00 00")
TIMEOUT = Seconds(0.2)
SOON = SILENCE + TURNAROUND
MARGIN = 1e-9
OPENED = (SOON, OPEN.rtu)


class Bench:
    """A wire; each request is answered with the next of the replies."""

    def __init__(self, *replies: Reply) -> None:
        self.clock = VirtualClock()
        left = iter(replies)
        self.line = VirtualLine(self.clock, lambda _request: next(left, []))
        self.wire: RtuWire = rtu(self.line, self.clock)

    def ask(self, request: Request = CURRENT, **how: float) -> Answered | Failed:
        urgent = bool(how.pop("urgent", False))
        silence = Seconds(how.pop("silence", 0.0))
        not_after = Instant(how.pop("not_after", float("inf")))
        return self.wire.transact(request, TIMEOUT, urgent=urgent, silence=silence, not_after=not_after)


def answered(result: Answered | Failed) -> list[int]:
    assert isinstance(result, Answered), result
    return registers_of(result.pdu)


def failed(result: Answered | Failed) -> FaultKind:
    assert isinstance(result, Failed), result
    return result.kind


def test_an_answer_comes_with_its_times() -> None:
    bench = Bench([(SOON, ONE)])
    began = bench.clock.time
    result = bench.ask()
    assert answered(result) == [0x3F80, 0]
    assert result.sent_at == pytest.approx(began + SILENCE)
    assert result.at == pytest.approx(result.sent_at + (8 + 9) * CHARACTER + SOON)
    assert bench.clock.time == result.at


@pytest.mark.parametrize("delay", [0.0015, 0.0041, 0.02])
def test_an_answer_that_comes_character_by_character_is_noticed_at_its_end_and_not_at_each(delay: float) -> None:
    bench = Bench([(delay, ONE)])
    result = bench.ask()
    assert answered(result) == [0x3F80, 0]
    assert result.at == pytest.approx(result.sent_at + (8 + 9) * CHARACTER + delay)
    assert bench.line.waits <= 4
    assert bench.line.reads_of_nothing == 0


# What counts as an answer


def test_a_late_answer_of_one_board_is_not_taken_for_anothers() -> None:
    other = frame("0C 04 04 41 10 00 00")
    bench = Bench([(TIMEOUT + 9 * CHARACTER + DRAIN + 8 * CHARACTER, ONE)], [(0.1, other)])
    assert failed(bench.ask()) is FaultKind.TIMEOUT
    assert answered(bench.ask(read_registers(12, 4, 0x0006, 2))) == [0x4110, 0]
    assert bench.wire.counters.foreign_bytes == len(ONE)


def test_a_late_answer_that_comes_while_the_line_is_drained_answers_nothing() -> None:
    bench = Bench([(TIMEOUT + 9 * CHARACTER + DRAIN / 2, ONE)], [(SOON, TWO)])
    assert failed(bench.ask(CURRENT)) is FaultKind.TIMEOUT
    assert answered(bench.ask(POWER)) == [0x4000, 0]


def test_a_reads_late_answer_is_not_taken_for_the_echo_of_an_opening() -> None:
    late = frame("01 01 02 00 00")
    bench = Bench([(TIMEOUT + 7 * CHARACTER + 0.01, late)], [])
    assert failed(bench.ask(COILS)) is FaultKind.TIMEOUT
    assert failed(bench.ask(OPEN, urgent=True)) is FaultKind.CORRUPT


def test_a_late_echo_of_a_closing_is_not_taken_for_the_echo_of_an_opening() -> None:
    late = frame("01 05 02 00 00 3C")
    bench = Bench([(TIMEOUT + 8 * CHARACTER + 0.001, late)], [])
    assert failed(bench.ask(write_coil(1, 0x0200, 60))) is FaultKind.TIMEOUT
    assert isinstance(bench.ask(OPEN, urgent=True), Failed)


@pytest.mark.parametrize(
    "echo", ["01 05 00 01 00 00", "01 05 00 00 FF 00", "02 05 00 00 00 00", "01 04 04 00 00 00 00"]
)
def test_a_wrong_echo_confirms_nothing(echo: str) -> None:
    bench = Bench([(SOON, frame(echo))])
    assert failed(bench.ask(OPEN)) is FaultKind.CORRUPT
    assert bench.wire.counters.corrupt == 1


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param([(SOON, b"\x00" + ONE)], id="noise before"),
        pytest.param([(SOON, b"\x0b" + ONE)], id="noise like our unit before"),
        pytest.param([(SOON, frame("0C 04 04 41 10 00 00")[:-1]), (SOON + 0.05, ONE)], id="a spoilt frame before"),
        pytest.param([(SOON, ONE[:4]), (SOON + 0.015, ONE[4:])], id="in two pieces"),
        pytest.param([(SOON, ONE[:5]), (SOON + 0.03, ONE)], id="cut short, then whole"),
        pytest.param([(TIMEOUT - 0.001, ONE)], id="just in time"),
    ],
)
def test_our_answer_is_found(reply: Reply) -> None:
    assert answered(Bench(reply).ask()) == [0x3F80, 0]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        pytest.param([], FaultKind.TIMEOUT, id="nothing"),
        pytest.param([(SOON, ONE[:-1])], FaultKind.CORRUPT, id="cut short"),
        pytest.param([(SOON, ONE[:-1] + b"\x00")], FaultKind.CORRUPT, id="corrupted"),
        pytest.param([(SOON, frame("0C 04 04 41 10 00 00"))], FaultKind.CORRUPT, id="only a foreign frame"),
        pytest.param([(SOON, frame("0B 84 02"))], FaultKind.EXCEPTION, id="an exception"),
        pytest.param([(SOON, frame("0B 83 02"))], FaultKind.CORRUPT, id="an exception to something else"),
    ],
)
def test_anything_else_is_none(reply: Reply, kind: FaultKind) -> None:
    bench = Bench(reply)
    began = bench.clock.time
    assert failed(bench.ask()) is kind
    assert bench.clock.time - began < TIMEOUT + 0.05


def test_an_exception_ends_the_wait_at_once_and_brings_its_code() -> None:
    bench = Bench([(SOON, frame("0B 84 02"))])
    result = bench.ask()
    assert isinstance(result, Failed)
    assert result.code == 2
    assert result.at - result.sent_at < 0.05


@given(st.lists(st.tuples(st.floats(0, 0.4), st.binary(min_size=1, max_size=20)), max_size=6))
def test_no_noise_is_ever_an_answer_and_none_holds_the_line_for_long(noise: list[tuple[float, bytes]]) -> None:
    bench = Bench(noise)
    began = bench.clock.time
    assert isinstance(bench.ask(OPEN), Failed)
    assert bench.clock.time - began < 0.3


# Strangers' answers

FIFTY = frame("0B 04 04 42 48 00 00")
"""50.0, as another quantity of the same board would be told to somebody else."""
STRANGER = frame("0C 04 04 41 10 00 00")
NEXT = SOON + len(ONE) * CHARACTER


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param([(-4 * CHARACTER, FIFTY), (SOON + 0.02, ONE)], id="begun while the request was going out"),
        pytest.param([(0.0, FIFTY), (SOON + 0.02, ONE)], id="without a turnaround"),
        pytest.param([(SOON, FIFTY + ONE)], id="two answers"),
        pytest.param([(SOON, ONE + ONE)], id="twice the same"),
        pytest.param([(SOON, STRANGER), (SOON + 0.02, ONE)], id="another board's before"),
        pytest.param([(SOON, ONE + STRANGER)], id="another board's behind"),
    ],
)
def test_nothing_is_taken_from_a_moment_in_which_a_stranger_answers(reply: Reply) -> None:
    bench = Bench(*[[(SOON, ONE)]] * KEEPS_PACE, reply)
    for _ in range(KEEPS_PACE):
        bench.ask()
    bench.line.in_blocks = True
    assert failed(bench.ask()) is FaultKind.CORRUPT
    assert bench.wire.counters.tainted == 1


def test_a_line_that_is_faster_than_its_rate_says_is_believed_in_the_end() -> None:
    sooner = [(-9 * CHARACTER, ONE)]
    bench = Bench(*[sooner] * 10)
    found = [isinstance(bench.ask(), Answered) for _ in range(10)]
    assert found == [False] * 2 + [True] * 8
    assert bench.wire.counters.tainted == 0


def test_but_not_if_a_second_answer_follows_each_of_those() -> None:
    bench = Bench(*[[(-9 * CHARACTER, FIFTY), (SOON, ONE)]] * 10)
    assert {failed(bench.ask()) for _ in range(10)} == {FaultKind.CORRUPT}
    assert bench.wire.counters.tainted == 10


def test_an_answer_to_nothing_makes_the_line_wary_and_a_second_answer_is_waited_for() -> None:
    second = [(SOON, FIFTY), (NEXT + 0.02, ONE)]
    bench = Bench(second, second, [(SOON, ONE)], [(SOON, ONE)])
    assert answered(bench.ask()) == [0x4248, 0], "a first one cannot be told"
    bench.clock.sleep(Seconds(0.1))
    assert failed(bench.ask()) is FaultKind.CORRUPT
    assert bench.wire.counters.tainted == 2
    began = bench.clock.time
    assert answered(bench.ask()) == [0x3F80, 0]
    assert bench.clock.time - began > 0.06
    bench.clock.sleep(WARY_FOR)
    began = bench.clock.time
    assert answered(bench.ask()) == [0x3F80, 0]
    assert bench.clock.time - began < 0.03


def test_a_late_answer_of_a_board_is_no_strangers() -> None:
    bench = Bench([(TIMEOUT + 0.05, ONE)], [], [(SOON, TWO)])
    bench.ask()
    bench.clock.sleep(Seconds(0.1))
    assert failed(bench.ask()) is FaultKind.TIMEOUT
    assert answered(bench.ask()) == [0x4000, 0]
    assert bench.wire.counters.tainted == 0


def test_one_that_comes_while_the_board_is_asked_again_is_not_taken_and_makes_nobody_wary() -> None:
    bench = Bench([(SOON, ONE)], [], [(-9 * CHARACTER, ONE)], [(SOON, TWO)])
    bench.ask()
    bench.ask()
    assert failed(bench.ask()) is FaultKind.CORRUPT
    assert answered(bench.ask()) == [0x4000, 0]
    assert bench.wire.counters.tainted == 0


def test_a_wary_line_holds_up_no_opening_and_no_closing() -> None:
    bench = Bench([(SOON, ONE + STRANGER)], [OPENED])
    bench.ask()
    bench.clock.sleep(Seconds(0.1))
    began = bench.clock.time
    assert isinstance(bench.ask(OPEN, urgent=True), Answered)
    assert bench.clock.time - began < 0.03


def test_noise_makes_nobody_wary() -> None:
    bench = Bench([(SOON, ONE + b"\x00\x55\xaa\xff\x01\x04\x04")], [(SOON, ONE)])
    assert answered(bench.ask()) == [0x3F80, 0]
    began = bench.clock.time
    assert answered(bench.ask()) == [0x3F80, 0]
    assert bench.clock.time - began < 0.04


# An adapter that hears what it sends

ECHO = -8 * CHARACTER
"""When the first byte of a request of 8 comes back, counted from its end."""


def test_a_read_shows_whether_the_adapter_hears_itself() -> None:
    bench = Bench([(ECHO, CURRENT.rtu), (SOON, ONE)], [(SOON, TWO)])
    heard = [bench.wire.echo]
    for expected in ([0x3F80, 0], [0x4000, 0]):
        assert answered(bench.ask()) == expected
        heard.append(bench.wire.echo)
    assert heard == [None, True, False]
    assert bench.wire.counters.foreign_bytes == 0


@pytest.mark.parametrize(("reply", "heard"), [([(ECHO, CURRENT.rtu)], True), ([], False)])
def test_a_board_that_is_silent_shows_it_too(reply: Reply, heard: bool) -> None:
    bench = Bench(reply)
    assert failed(bench.ask()) is FaultKind.TIMEOUT
    assert bench.wire.echo is heard
    assert bench.wire.counters.foreign_bytes == 0


def test_an_answer_that_came_with_an_echo_took_no_longer() -> None:
    bench = Bench([(ECHO, CURRENT.rtu), (SOON, ONE)], [(SOON, ONE)])
    took = [result.took for result in (bench.ask(), bench.ask()) if isinstance(result, Answered)]
    assert took == [pytest.approx(SOON)] * 2


def test_a_write_is_not_answered_by_the_adapter_that_sends_it() -> None:
    bench = Bench([(ECHO, CURRENT.rtu), (SOON, ONE)], [(ECHO, OPEN.rtu)], [(ECHO, OPEN.rtu), OPENED])
    bench.ask()
    assert failed(bench.ask(OPEN)) is FaultKind.TIMEOUT
    began = bench.clock.time
    result = bench.ask(OPEN)
    assert isinstance(result, Answered)
    assert result.at - began > 16 * CHARACTER + SOON


def test_what_is_said_of_the_adapter_holds_from_the_first_write_on() -> None:
    bench = Bench([(ECHO, OPEN.rtu)], [(ECHO, OPEN.rtu), OPENED])
    bench.wire = rtu(bench.line, bench.clock, echo=True)
    assert failed(bench.ask(OPEN)) is FaultKind.TIMEOUT
    assert isinstance(bench.ask(OPEN), Answered)
    bench = Bench([(ECHO, CURRENT.rtu), (SOON, ONE)])
    bench.wire = rtu(bench.line, bench.clock, echo=False)
    bench.ask()
    assert (bench.wire.echo, bench.wire.heard) == (False, True)


def test_an_echo_that_was_spoilt_is_not_made_up_for_by_the_answer() -> None:
    spoilt = OPEN.rtu[:3] + b"\xff" + OPEN.rtu[4:]
    bench = Bench([(ECHO, spoilt), OPENED])
    bench.wire = rtu(bench.line, bench.clock, echo=True)
    assert failed(bench.ask(OPEN)) is FaultKind.CORRUPT


def test_a_read_that_looks_like_its_own_answer_is_not_taken_for_it() -> None:
    request = read_bits(1, 1, 0x0300, 24)
    bench = Bench([(ECHO, request.rtu)], [(ECHO, request.rtu), (SOON, frame("01 01 03 01 02 03"))])
    assert failed(bench.ask(request)) is FaultKind.TIMEOUT
    result = bench.ask(request)
    assert isinstance(result, Answered)
    assert result.pdu.hex() == "0103010203"


# Silence


def test_every_request_waits_for_3_5_characters_after_the_reply() -> None:
    bench = Bench(*[[(SOON, ONE)]] * 50)
    for _ in range(50):
        assert answered(bench.ask()) == [0x3F80, 0]
    gaps = [sent.gap for sent in bench.line.sent[1:]]
    assert min(gaps) >= SILENCE - MARGIN
    assert max(gaps) < SILENCE + 0.0005


def test_and_after_the_tail_that_follows_a_reply() -> None:
    bench = Bench([(SOON, ONE + b"\x00\x00\x00\x00")], [(SOON, ONE)])
    bench.ask()
    assert answered(bench.ask()) == [0x3F80, 0]
    assert bench.line.sent[1].gap >= SILENCE - MARGIN


def test_and_after_its_own_request_whose_last_bit_goes_out_later_than_it_was_written() -> None:
    bench = Bench([(-8 * CHARACTER, frame("0B 84 02"))], [(SOON, ONE)])
    bench.ask()
    assert answered(bench.ask()) == [0x3F80, 0]
    assert bench.line.sent[1].at - bench.line.sent[0].until >= SILENCE - MARGIN


def test_foreign_bytes_make_the_silence_begin_anew() -> None:
    bench = Bench([(SOON, ONE)], [(SOON, TWO)])
    bench.ask()
    bench.line.deliver(bench.clock.time + SILENCE / 2, b"\xaa\xbb")
    assert answered(bench.ask()) == [0x4000, 0]
    assert bench.line.sent[1].gap >= SILENCE - MARGIN
    assert bench.wire.counters.foreign_bytes == 2


def test_bytes_found_waiting_make_it_begin_anew_too() -> None:
    bench = Bench([(SOON, ONE)])
    bench.line.deliver(bench.clock.time, b"\xaa")
    bench.clock.sleep(Seconds(1.0))
    began = bench.clock.time
    bench.ask()
    assert bench.line.sent[0].at >= began + SILENCE - MARGIN


def test_a_boards_own_silence_is_kept() -> None:
    bench = Bench([(SOON, ONE)], [(SOON, ONE)])
    bench.ask()
    bench.ask(silence=0.06)
    assert bench.line.sent[1].gap >= 0.06 - MARGIN


def test_above_19200_baud_the_silence_is_fixed() -> None:
    line = VirtualLine(VirtualClock(), lambda _request: [])
    wires = {
        baudrate: RtuWire(
            line, VirtualClock(), baudrate=baudrate, character_bits=11, counters=Bench().wire.counters
        )
        for baudrate in (9600, 19200, 38400, 115200)
    }
    assert [round(1000 * wire.silence, 3) for wire in wires.values()] == [4.010, 2.005, 1.75, 1.75]


# Drain and cut-off


def test_after_a_timeout_the_line_is_drained() -> None:
    bench = Bench([], [(SOON, ONE)])
    assert failed(bench.ask()) is FaultKind.TIMEOUT
    late = bench.clock.time + 0.010
    bench.line.deliver(late, b"\x00")
    assert answered(bench.ask()) == [0x3F80, 0]
    assert bench.line.sent[1].at >= late + DRAIN


def test_a_cut_off_waits_for_idle_not_for_the_drain() -> None:
    bench = Bench([], [(SOON, OPEN.rtu)])
    assert failed(bench.ask()) is FaultKind.TIMEOUT
    gave_up = bench.clock.time
    bench.line.deliver(gave_up - CHARACTER, b"\x00\x00")
    assert isinstance(bench.ask(OPEN, urgent=True), Answered)
    assert SILENCE - MARGIN <= bench.line.sent[1].at - (gave_up + CHARACTER) < SILENCE + 0.0005


def test_a_cut_off_on_a_line_that_was_silent_for_long_goes_at_once_whatever_silence_its_board_wants() -> None:
    bench = Bench([], [(SOON, OPEN.rtu)])
    bench.ask()
    gave_up = bench.clock.time
    assert isinstance(bench.ask(OPEN, urgent=True, silence=0.06), Answered)
    assert bench.line.sent[1].at == gave_up


def test_a_cut_off_keeps_the_silence_its_board_wants() -> None:
    bench = Bench([(SOON, ONE)], [(SOON, OPEN.rtu)])
    bench.ask()
    assert isinstance(bench.ask(OPEN, urgent=True, silence=0.06), Answered)
    assert 0.06 - MARGIN <= bench.line.sent[1].gap < 0.06 + 0.0005


def test_what_was_not_drained_for_a_cut_off_is_drained_after_it() -> None:
    bench = Bench([], [(SOON, OPEN.rtu)], [(SOON, ONE)])
    bench.ask()
    bench.ask(OPEN, urgent=True)
    opened = bench.clock.time
    bench.ask()
    assert bench.line.sent[2].at >= opened + DRAIN - MARGIN


# A line that never falls silent


def babble(bench: Bench, seconds: float) -> None:
    bench.line.deliver(bench.clock.time, bytes(int(seconds / CHARACTER)))


def test_an_ordinary_request_is_withheld_on_a_babbling_line() -> None:
    bench = Bench()
    babble(bench, 5.0)
    began = bench.clock.time
    result = bench.ask()
    assert isinstance(result, Failed)
    assert (result.kind, result.sent) == (FaultKind.CORRUPT, False)
    assert not bench.line.sent
    assert bench.clock.time - began < BABBLE + 0.02


def test_a_cut_off_is_not_kept_waiting_for_ever_by_a_babbling_line() -> None:
    bench = Bench()
    babble(bench, 5.0)
    began = bench.clock.time
    assert failed(bench.ask(OPEN, urgent=True)) is FaultKind.CORRUPT
    assert bench.line.requests == [OPEN.rtu]
    assert bench.line.sent[0].at - began < BABBLE + 0.02


# Too late


def test_a_request_is_withheld_if_its_last_bit_would_come_too_late() -> None:
    bench = Bench([(SOON, ONE)], [(SOON, ONE)])
    result = bench.ask(not_after=bench.clock.time + SILENCE + 8 * CHARACTER - 0.0001)
    assert isinstance(result, Failed)
    assert (result.kind, result.sent, result.late) == (FaultKind.TIMEOUT, False, True)
    assert not bench.line.sent
    assert bench.wire.counters.transactions == 0
    assert answered(bench.ask(not_after=bench.clock.time + 8 * CHARACTER + 0.0001)) == [0x3F80, 0]


def test_what_the_line_made_it_wait_counts() -> None:
    bench = Bench([(SOON, ONE)])
    bench.line.deliver(bench.clock.time, bytes(20))
    result = bench.ask(not_after=bench.clock.time + 0.02)
    assert isinstance(result, Failed)
    assert result.late


# A line that goes


def test_a_line_that_goes_is_said_to_be_gone() -> None:
    bench = Bench()
    bench.line.gone = True
    with pytest.raises(LineGone):
        bench.ask()
    bench.wire.close()
    assert bench.line.closed


@pytest.mark.parametrize("when", ["while falling silent", "while listening"])
def test_something_to_read_that_is_nothing_means_hung_up(when: str) -> None:
    bench = Bench([], [])
    real_wait: Callable[[Seconds], bool] = bench.line.wait

    def hung_up(timeout: Seconds) -> bool:
        return real_wait(timeout) or when == "while falling silent" or bool(bench.line.sent)

    bench.line.wait = hung_up  # type: ignore[method-assign] # the line plays a device whose end has gone
    with pytest.raises(LineGone, match="hung up"):
        bench.ask()
    assert len(bench.line.sent) == (when == "while listening")


def test_counters_tell_what_happened() -> None:
    replies: Iterable[Reply] = [[(SOON, ONE)], [], [(SOON, b"\x01\x02")], [(SOON, frame("0B 84 02"))]]
    bench = Bench(*replies)
    for _ in range(4):
        bench.ask()
    counters = bench.wire.counters
    assert (counters.transactions, counters.timeouts, counters.corrupt, counters.exceptions) == (4, 1, 1, 1)
    assert counters.foreign_bytes == 2
