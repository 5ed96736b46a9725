"""The queue, with instants made up: what goes first, what waits, and what is never said again."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from chargerd.config.budget.pacing import BACK_OFF, COILS_EVERY, FAST_EVERY, IDLE_EVERY
from chargerd.config.profiles.register_map import Block
from chargerd.core.commands import CloseRelay, Pace, RenewLease
from chargerd.core.units import BoardId, Instant, PortId, Seconds, after
from chargerd.modbus.back_off import CUT_OFF_BACK_OFF
from chargerd.modbus.jobs import Job, Kind, Open, ReadBack, Reading, Renew
from chargerd.modbus.port_on_bus import PortOnBus
from chargerd.modbus.schedule import PassedOverError, Schedule

T = Instant(1000.0)
RELAY = BoardId("relay")
SHED = ("shed", "all")
BLOCKS = {
    Kind.CURRENT: Block(address=6, count=2),
    Kind.POWER: Block(address=12, count=2),
    Kind.VOLTAGE: Block(address=0, count=2),
    Kind.ENERGY: Block(address=72, count=2),
}
ONE_BLOCK = dict.fromkeys(Kind, Block(address=0, count=10))


def port(number: int) -> PortId:
    return PortId(f"A{number:02d}")


def meter(number: int) -> BoardId:
    return BoardId(f"meter{number}")


def on_bus(number: int, blocks: dict[Kind, Block], refresh: float, mains: tuple[str, str]) -> PortOnBus:
    readings = {
        kind: Reading(
            port=port(number),
            board=meter(number),
            channel=1,
            kind=kind,
            block=block,
            refresh=Seconds(refresh),
        )
        for kind, block in blocks.items()
    }
    return PortOnBus(mains=mains, readings=readings)


class Bench:
    """A schedule whose every job takes `takes` seconds; a silent board's takes `timeout`."""

    def __init__(
        self,
        ports: int = 3,
        *,
        pace: Pace | None = None,
        blocks: dict[Kind, Block] | None = None,
        refresh: float = 0.0,
        mains: Callable[[int], tuple[str, str]] = lambda _number: SHED,
        min_period: dict[BoardId, Seconds] | None = None,
    ) -> None:
        self.now = T
        self.silent: set[BoardId] = set()
        self.done: list[tuple[Instant, Job]] = []
        numbers = range(1, ports + 1)
        self.schedule = Schedule(
            {port(number): on_bus(number, blocks or BLOCKS, refresh, mains(number)) for number in numbers},
            [RELAY, *(meter(number) for number in numbers)],
            [RELAY],
            min_period,
        )
        if pace is not None:
            for number in numbers:
                self.schedule.set_pace(port(number), pace, self.now)

    def step(self, takes: float = 0.027, timeout: float = 0.24) -> Job | None:
        job = self.schedule.next(self.now)
        if job is None:
            due = self.schedule.due_at(self.now)
            assert due is None or due > self.now
            self.now = after(self.now, Seconds(0.001)) if due is None else due
            return None
        self.schedule.begin(job, self.now)
        self.done.append((self.now, job))
        if job.board is not None and job.board in self.silent:
            self.now = after(self.now, Seconds(timeout))
            self.schedule.back_offs.missed(job.board, self.now)
            if isinstance(job, ReadBack | Reading):
                self.schedule.unanswered(job)
        else:
            self.now = after(self.now, Seconds(takes))
            if job.board is not None:
                self.schedule.back_offs.answered(job.board)
        return job

    def run(self, seconds: float) -> None:
        end = after(self.now, Seconds(seconds))
        while self.now < end:
            self.step()

    def settle(self, seconds: float = 6.0) -> None:
        """Let everything have had its first turn."""
        self.run(seconds)
        self.done.clear()

    def times(self, holds: Callable[[Job], bool]) -> list[Instant]:
        return [at for at, job in self.done if holds(job)]

    def currents(self, number: int) -> list[Instant]:
        return self.times(lambda job: is_current(job) and job.board == meter(number))

    def close(self, number: int, within: float = 3.0) -> Renew | None:
        command = CloseRelay(port=port(number), lease=Seconds(6.0), not_after=after(self.now, Seconds(within)))
        return self.schedule.hold(Renew(board=RELAY, command=command))

    def renew(self, number: int, within: float = 2.0) -> Renew | None:
        command = RenewLease(port=port(number), lease=Seconds(6.0), not_after=after(self.now, Seconds(within)))
        return self.schedule.hold(Renew(board=RELAY, command=command))

    def cut(self, number: int, attempt: int = 1) -> Renew | None:
        return self.schedule.cut(Open(port=port(number), board=RELAY, attempt=attempt))


def is_current(job: Job) -> bool:
    return isinstance(job, Reading) and job.kind is Kind.CURRENT


def gaps(times: list[Instant]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


# Order


def test_an_opening_goes_before_everything() -> None:
    bench = Bench(pace=Pace.CLOSED)
    bench.close(1)
    bench.renew(2, within=0.01)
    bench.schedule.ask_coils(RELAY)
    bench.schedule.ask_energy(port(1), bench.now)
    bench.cut(3)
    assert bench.step() == Open(port=port(3), board=RELAY, attempt=1)


def test_then_a_read_back_then_a_closing_then_readings() -> None:
    bench = Bench(pace=Pace.CLOSED)
    bench.close(1)
    bench.schedule.ask_coils(RELAY)
    assert isinstance(bench.step(), ReadBack)
    assert isinstance(bench.step(), Renew)
    assert isinstance(bench.step(), Reading)


def test_of_closings_and_renewals_the_one_that_is_late_first_goes_first() -> None:
    bench = Bench()
    bench.renew(1, within=0.9)
    bench.close(2, within=0.5)
    bench.renew(3, within=0.7)
    ports = [bench.step() for _ in range(3)]
    assert [job.command.port for job in ports if isinstance(job, Renew)] == [port(2), port(3), port(1)]


def test_a_renewal_in_no_hurry_hides_no_closing() -> None:
    bench = Bench(12, pace=Pace.CLOSED)
    bench.settle()
    for number in range(2, 13):
        bench.renew(number, within=2.0)
    bench.close(1, within=3.0)
    first = bench.step()
    assert isinstance(first, Renew)
    assert first.command.port == port(1)


def test_openings_go_in_the_order_in_which_they_were_asked_for() -> None:
    bench = Bench()
    for number in (2, 1, 3):
        bench.cut(number)
    assert [job.port for job in (bench.step() for _ in range(3)) if isinstance(job, Open)] == [
        port(2),
        port(1),
        port(3),
    ]


def test_two_openings_of_a_port_become_one_with_the_higher_attempt() -> None:
    bench = Bench()
    bench.cut(1, attempt=3)
    bench.cut(1)
    assert bench.step() == Open(port=port(1), board=RELAY, attempt=3)
    bench.run(1.0)
    assert not bench.times(lambda job: isinstance(job, Open))[1:]


# What an opening forgets


@pytest.mark.parametrize("how", ["close", "renew"])
def test_nothing_queued_before_an_opening_closes_the_relay_after_it(how: str) -> None:
    bench = Bench(pace=Pace.CLOSED)
    getattr(bench, how)(1)
    purged = bench.cut(1)
    assert purged is not None
    assert purged.command.port == port(1)
    bench.run(10.0)
    assert not bench.times(lambda job: isinstance(job, Renew))


def test_it_leaves_other_channels_alone() -> None:
    bench = Bench()
    bench.close(2)
    assert bench.cut(1) is None
    assert isinstance(bench.step(), Open)
    bench.run(1.0)
    assert bench.times(lambda job: isinstance(job, Renew) and job.command.port == port(2))


def test_nothing_is_closed_while_its_opening_is_queued() -> None:
    bench = Bench()
    bench.cut(1)
    refused = bench.renew(1)
    assert refused is not None
    assert refused.command.port == port(1)
    bench.run(1.0)
    assert not bench.times(lambda job: isinstance(job, Renew))


def test_a_closing_replaces_an_older_one_which_is_given_back() -> None:
    bench = Bench()
    assert bench.renew(1, within=0.5) is None
    older = bench.close(1)
    assert older is not None
    assert isinstance(older.command, RenewLease)
    bench.run(1.0)
    assert len(bench.times(lambda job: isinstance(job, Renew))) == 1


def test_what_has_become_too_late_is_taken_off() -> None:
    bench = Bench()
    bench.renew(1, within=1.0)
    bench.close(2, within=2.0)
    assert not bench.schedule.overdue(after(bench.now, Seconds(1.0)))
    late = bench.schedule.overdue(after(bench.now, Seconds(1.5)))
    assert [hold.command.port for hold in late] == [port(1)]
    assert [hold.command.port for hold in bench.schedule.drop_holds()] == [port(2)]
    assert not bench.schedule.holding


# Readings


def test_an_idle_port_is_read_every_five_seconds_current_and_power() -> None:
    bench = Bench(1)
    bench.run(60.0)
    kinds = Counter(job.kind for _at, job in bench.done if isinstance(job, Reading))
    assert set(kinds) == {Kind.CURRENT, Kind.POWER}
    assert kinds[Kind.CURRENT] == pytest.approx(60 / IDLE_EVERY, abs=1)
    assert kinds[Kind.POWER] == pytest.approx(60 / IDLE_EVERY, abs=1)


def test_a_port_never_read_is_due_at_once() -> None:
    bench = Bench(12)
    bench.run(12 * 2 * 0.027 + 0.1)
    assert len({job.board for _at, job in bench.done if is_current(job)}) == 12


def test_coils_are_read_at_least_every_two_seconds_and_a_bit() -> None:
    bench = Bench(12, pace=Pace.CLOSED)
    bench.settle()
    bench.run(60.0)
    apart = gaps(bench.times(lambda job: isinstance(job, ReadBack)))
    assert max(apart) < COILS_EVERY + 0.5


def test_closed_ports_are_read_round_and_round_and_slow_readings_spread_between() -> None:
    bench = Bench(12, pace=Pace.CLOSED)
    bench.settle()
    for _ in range(10):
        for number in range(1, 13):
            bench.renew(number, within=3.0)
            bench.run(0.25)
    apart = [gap for number in range(1, 13) for gap in gaps(bench.currents(number))]
    assert max(apart) <= 0.5
    power = [
        gaps(bench.times(lambda job, n=number: is_power(job) and job.board == meter(n)))  # type: ignore[misc] # a default binds the loop's variable
        for number in range(1, 13)
    ]
    assert max(gap for one in power for gap in one) < 2.6


def is_power(job: Job) -> bool:
    return isinstance(job, Reading) and job.kind is Kind.POWER


def test_one_slow_reading_at_most_stands_between_fast_ones() -> None:
    bench = Bench(12, pace=Pace.CLOSED)
    bench.run(30.0)
    slow = [not is_current(job) for _at, job in bench.done if not isinstance(job, Renew)]
    assert not any(one and other for one, other in pairwise(slow[2:]))


@pytest.mark.parametrize("pace", [Pace.ARMED, Pace.CLOSED])
def test_boards_that_answer_at_once_are_not_asked_without_a_pause(pace: Pace) -> None:
    bench = Bench(ports=4, pace=pace)
    end = after(bench.now, Seconds(2.0))
    while bench.now < end:
        bench.step(takes=0.001)
    for number in range(1, 5):
        times = bench.currents(number)
        assert len(times) > 30
        assert min(gaps(times)) >= FAST_EVERY - 1e-9


def test_renewals_that_are_in_no_hurry_let_readings_pass_between_them() -> None:
    bench = Bench(12, pace=Pace.CLOSED)
    bench.settle()
    for number in range(1, 13):
        bench.renew(number, within=3.0)
    bench.run(3.0)
    assert max(gap for number in range(1, 13) for gap in gaps(bench.currents(number))) <= 0.5
    places = [place for place, (_at, job) in enumerate(bench.done) if isinstance(job, Renew)]
    assert len(places) == 12
    assert min(later - earlier for earlier, later in pairwise(places)) >= 3


def test_a_renewal_in_a_hurry_lets_nothing_pass() -> None:
    bench = Bench(12, pace=Pace.CLOSED)
    bench.settle()
    for number in range(1, 4):
        bench.renew(number, within=0.5)
    assert [isinstance(bench.step(), Renew) for _ in range(4)] == [True, True, True, False]


def voltages(bench: Bench) -> list[BoardId]:
    return [job.board for _at, job in bench.done if isinstance(job, Reading) and job.kind is Kind.VOLTAGE]


def test_voltage_is_read_at_one_closed_port_of_each_phase_of_a_circuit() -> None:
    phases = ("L1", "L2", "L3")
    bench = Bench(6, pace=Pace.CLOSED, mains=lambda number: ("shed", phases[number % 3]))
    bench.settle()
    bench.run(20.0)
    assert set(voltages(bench)) == {meter(1), meter(2), meter(3)}
    assert len(voltages(bench)) == pytest.approx(30, abs=4)


@pytest.mark.parametrize("how", ["silent", "refuses"])
def test_another_meter_takes_over_at_once(how: str) -> None:
    bench = Bench(4, pace=Pace.CLOSED)
    bench.settle()
    bench.run(10.0)
    assert set(voltages(bench)) == {meter(1)}
    bench.done.clear()
    if how == "silent":
        bench.silent.add(meter(1))
    else:
        asked = bench.schedule._ports[port(1)].readings[Kind.VOLTAGE]  # noqa: SLF001 - as the worker does
        bench.schedule.voltages.told(asked, voltage=False)
    began = bench.now
    bench.run(10.0)
    first = bench.times(
        lambda job: isinstance(job, Reading) and job.kind is Kind.VOLTAGE and job.board != meter(1)
    )
    assert first[0] - began < 0.75, "as soon as it is known"
    assert len(set(voltages(bench)) - {meter(1)}) == 1
    bench.silent.clear()
    bench.run(30.0)
    bench.done.clear()
    bench.run(10.0)
    assert len(set(voltages(bench))) == 1, "who tells goes on telling"


def test_where_none_tells_its_voltage_all_are_tried_again() -> None:
    bench = Bench(2, pace=Pace.CLOSED)
    bench.settle()
    for number in (1, 2, 1, 2):
        reading = bench.schedule._ports[port(number)].readings[Kind.VOLTAGE]  # noqa: SLF001 - as the worker does
        bench.schedule.voltages.told(reading, voltage=False)
    bench.run(6.0)
    assert voltages(bench)
    bench.schedule.voltages.told(bench.schedule._ports[port(1)].readings[Kind.CURRENT], voltage=False)  # noqa: SLF001
    bench.schedule.voltages.told(bench.schedule._ports[port(1)].readings[Kind.VOLTAGE], voltage=True)  # noqa: SLF001
    assert not bench.schedule._ports[port(1)].untold  # noqa: SLF001


def test_voltage_is_read_at_one_closed_port_per_circuit() -> None:
    bench = Bench(4, mains=lambda number: ("ab"[number % 2], "all"))
    bench.schedule.set_pace(port(2), Pace.CLOSED, bench.now)
    bench.schedule.set_pace(port(4), Pace.CLOSED, bench.now)
    bench.settle()
    bench.run(20.0)
    times = bench.times(lambda job: isinstance(job, Reading) and job.kind is Kind.VOLTAGE)
    boards = {job.board for _at, job in bench.done if isinstance(job, Reading) and job.kind is Kind.VOLTAGE}
    assert len(boards) == 1
    assert len(times) == pytest.approx(10, abs=2)
    bench.schedule.set_pace(port(2), Pace.IDLE, bench.now)
    bench.schedule.set_pace(port(4), Pace.IDLE, bench.now)
    bench.done.clear()
    bench.run(10.0)
    assert not bench.times(lambda job: isinstance(job, Reading) and job.kind is Kind.VOLTAGE)


def test_a_voltage_that_nobody_wanted_for_long_is_not_late() -> None:
    bench = Bench(1)
    bench.schedule.set_pace(port(1), Pace.CLOSED, bench.now)
    bench.settle()
    bench.schedule.set_pace(port(1), Pace.IDLE, bench.now)
    bench.run(60.0)
    bench.done.clear()
    bench.schedule.set_pace(port(1), Pace.CLOSED, bench.now)
    began = bench.now
    bench.run(5.0)
    times = bench.times(lambda job: isinstance(job, Reading) and job.kind is Kind.VOLTAGE)
    assert times[0] - began < 0.5, "at once"
    assert "voltage" not in bench.schedule.lateness.known


def test_a_starting_port_is_asked_at_once_and_often_even_among_closed_ones() -> None:
    bench = Bench(12, pace=Pace.CLOSED)
    bench.schedule.set_pace(port(1), Pace.IDLE, bench.now)
    bench.settle()
    bench.schedule.set_pace(port(1), Pace.ARMED, bench.now)
    bench.schedule.ask_energy(port(1), bench.now)
    began = bench.now
    bench.run(2.0)
    energy = bench.times(lambda job: isinstance(job, Reading) and job.kind is Kind.ENERGY)
    power = bench.times(lambda job: is_power(job) and job.board == meter(1))
    assert power[0] - began < 0.15
    assert power[1] - began < 0.5
    assert bench.currents(1)[1] - began < 0.25, "not once in a round of all the others"
    assert energy[0] - began < 0.25


def test_a_start_takes_no_turn_of_those_that_are_closed() -> None:
    bench = Bench(12, pace=Pace.CLOSED)
    bench.schedule.set_pace(port(1), Pace.IDLE, bench.now)
    bench.settle()
    bench.schedule.set_pace(port(1), Pace.ARMED, bench.now)
    bench.run(3.0)
    assert max(gaps(bench.currents(7))) < 24 * 0.027 + 0.06, "every other turn is theirs"


def test_energy_is_read_when_asked_for_and_once() -> None:
    bench = Bench(12, pace=Pace.CLOSED)
    bench.settle()
    began = bench.now
    bench.schedule.ask_energy(port(5), began)
    bench.run(5.0)
    times = bench.times(lambda job: isinstance(job, Reading) and job.kind is Kind.ENERGY)
    assert len(times) == 1
    assert times[0] - began < 0.5


def test_energy_nobody_wants_any_more_is_not_asked_for() -> None:
    bench = Bench(1, pace=Pace.CLOSED)
    bench.settle()
    bench.schedule.ask_energy(port(1), bench.now)
    bench.schedule.set_pace(port(1), Pace.IDLE, bench.now)
    bench.run(5.0)
    assert not bench.times(lambda job: isinstance(job, Reading) and job.kind is Kind.ENERGY)


def test_asking_a_meter_that_has_no_register_for_energy_does_nothing() -> None:
    bench = Bench(1, blocks={Kind.CURRENT: BLOCKS[Kind.CURRENT]})
    bench.schedule.ask_energy(port(1), bench.now)
    bench.schedule.set_pace(port(1), Pace.ARMED, bench.now)
    bench.run(2.0)
    assert {job.kind for _at, job in bench.done if isinstance(job, Reading)} == {Kind.CURRENT}


def test_where_one_frame_holds_everything_one_frame_serves_everything() -> None:
    bench = Bench(1, blocks=ONE_BLOCK, pace=Pace.CLOSED, refresh=1.0)
    bench.settle()
    bench.run(20.0)
    kinds = Counter(job.kind for _at, job in bench.done if isinstance(job, Reading))
    assert set(kinds) == {Kind.CURRENT}


def test_a_meter_is_not_read_more_than_four_times_within_its_refresh() -> None:
    bench = Bench(1, blocks=ONE_BLOCK, pace=Pace.CLOSED, refresh=1.0)
    bench.settle()
    bench.run(20.0)
    assert min(gaps(bench.currents(1))) >= 0.25 - 1e-6
    assert max(gaps(bench.currents(1))) < 0.35


def test_a_board_that_wants_rest_gets_it_and_the_others_go_on() -> None:
    bench = Bench(3, pace=Pace.CLOSED, min_period={meter(1): Seconds(0.5)})
    bench.settle()
    bench.run(20.0)
    own = bench.times(lambda job: job.board == meter(1))
    assert min(gaps(own)) >= 0.5 - 1e-6
    assert max(gaps(bench.currents(2))) < 0.2


# Boards that do not answer


def test_a_silent_board_is_asked_again_soon_and_then_more_and_more_seldom() -> None:
    bench = Bench(1)
    bench.settle()
    bench.silent = {meter(1)}
    bench.run(60.0)
    apart = [gap - 0.24 for gap in gaps(bench.times(lambda job: job.board == meter(1)))]
    assert apart[: len(BACK_OFF)] == pytest.approx(list(BACK_OFF), abs=0.03)
    assert apart[len(BACK_OFF) :] == pytest.approx([BACK_OFF[-1]] * len(apart[len(BACK_OFF) :]), abs=0.03)


def test_two_lost_frames_in_a_row_cost_a_closed_port_less_than_it_takes_to_be_stale() -> None:
    bench = Bench(12, pace=Pace.CLOSED)
    bench.settle()
    bench.silent = {meter(1)}
    while len(bench.times(lambda job: job.board == meter(1))) < 2:
        bench.step()
    began, heard_from = bench.times(lambda job: job.board == meter(1))[0], bench.now
    bench.silent = set()
    bench.run(3.0)
    assert next(at for at in bench.currents(1) if at >= heard_from) - began < 1.5


def test_one_dead_board_of_twelve_slows_the_others_by_a_tenth_at_most() -> None:
    bench = Bench(12, pace=Pace.CLOSED)
    bench.settle()
    bench.run(30.0)
    whole = [gap for number in range(1, 12) for gap in gaps(bench.currents(number))]
    bench.done.clear()
    bench.silent = {meter(12)}
    bench.run(30.0)
    early = [gap for number in range(1, 12) for gap in gaps(bench.currents(number))]
    assert sum(early) / len(early) < 1.1 * sum(whole) / len(whole)


def test_an_opening_does_not_wait_for_a_boards_back_off() -> None:
    bench = Bench(1)
    bench.schedule.back_offs.missed(RELAY, bench.now)
    bench.cut(1)
    assert isinstance(bench.step(), Open)


def test_nor_long_for_that_of_a_lost_one() -> None:
    bench = Bench(1)
    for _ in range(9):
        bench.schedule.back_offs.missed(RELAY, bench.now)
    began = bench.now
    bench.cut(1)
    while not bench.times(lambda job: isinstance(job, Open)):
        bench.step()
    assert bench.done[-1][0] - began == pytest.approx(CUT_OFF_BACK_OFF, abs=0.03)


def test_a_closing_waits_for_the_back_off_and_is_then_too_late() -> None:
    bench = Bench(1)
    for _ in range(9):
        bench.schedule.back_offs.missed(RELAY, bench.now)
    bench.close(1, within=3.0)
    bench.run(2.9)
    assert not bench.times(lambda job: isinstance(job, Renew))
    assert bench.schedule.due_at(bench.now) == pytest.approx(after(T, Seconds(3.0)))
    assert bench.schedule.overdue(after(T, Seconds(3.1)))


def test_a_line_that_is_back_reads_relays_back_before_anything_but_an_opening() -> None:
    bench = Bench(2, pace=Pace.CLOSED)
    bench.settle()
    bench.schedule.back_offs.lose_all()
    bench.schedule.forgive()
    bench.close(1)
    bench.cut(2)
    assert [type(bench.step()) for _ in range(3)] == [Open, ReadBack, Renew]
    assert bench.step() is not None


def test_a_relay_told_to_lapse_is_not_read_back_before_it_has() -> None:
    bench = Bench(1)
    bench.settle()
    settled = after(bench.now, Seconds(0.2))
    bench.schedule.settle(RELAY, settled)
    bench.schedule.ask_coils(RELAY)
    while not bench.times(lambda job: isinstance(job, ReadBack)):
        bench.step()
    assert bench.times(lambda job: isinstance(job, ReadBack))[0] == pytest.approx(settled, abs=0.03)


def test_it_says_whether_an_opening_is_under_way() -> None:
    bench = Bench(2)
    assert not bench.schedule.opening(port(1), RELAY)
    bench.cut(1)
    assert bench.schedule.opening(port(1), RELAY)
    assert not bench.schedule.opening(port(2), RELAY)
    bench.step()
    bench.schedule.ask_coils(RELAY)
    assert bench.schedule.opening(port(2), RELAY)


def test_a_schedule_of_nothing_has_nothing_to_do() -> None:
    schedule = Schedule({}, [], [])
    assert schedule.next(T) is None
    assert schedule.due_at(T) is None


def passed_over() -> tuple[Bench, Reading]:
    """A reading has begun though an opening waits; no other may."""
    bench = Bench(2)
    bench.settle()
    bench.run(6.0)
    reading = next(job for _, job in bench.done if isinstance(job, Reading))
    bench.cut(1)
    bench.schedule.begin(reading, bench.now)
    return bench, reading


def test_nothing_passes_over_an_opening_but_what_was_under_way() -> None:
    bench, reading = passed_over()
    with pytest.raises(PassedOverError, match="S2: openings of"):
        bench.schedule.begin(reading, bench.now)


def test_what_passed_an_opening_over_on_a_line_that_is_gone_counts_no_more() -> None:
    bench, reading = passed_over()
    bench.schedule.forgive()
    bench.schedule.begin(reading, bench.now)
    with pytest.raises(PassedOverError, match="S2: openings of"):
        bench.schedule.begin(reading, bench.now)


def test_an_opening_whose_board_is_left_alone_is_passed_over_by_all() -> None:
    bench = Bench(2)
    bench.settle()
    bench.silent.add(RELAY)
    bench.run(20.0)
    bench.cut(1)
    bench.run(20.0)
    assert any(isinstance(job, Reading) for _, job in bench.done[-10:])
