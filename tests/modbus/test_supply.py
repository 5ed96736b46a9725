"""Inputs, circuits' meters and contactors on the virtual line, and the cycle with everything on it."""

import json
import struct
from itertools import pairwise
from pathlib import Path

import pytest

from chargerd.config import loader
from chargerd.config.budget.budget import budget
from chargerd.config.site import Site
from chargerd.core.commands import CloseRelay, OpenRelay, Pace, RenewLease, SetPace
from chargerd.core.events import (
    BoardIdentified,
    BoardLost,
    BusEvent,
    CircuitFault,
    CircuitReading,
    InputsNotRead,
    InputsRead,
    MeterReading,
    RelayNotWritten,
    RelayReadBack,
    RelayWritten,
    TemperatureReading,
)
from chargerd.core.faults import FaultKind
from chargerd.core.plan import contactor_of
from chargerd.core.units import CircuitId, Instant, PortId, Seconds
from chargerd.modbus import relay_list
from tests.modbus.kit import CHARACTER, SILENCE, TURNAROUND, Bench, Reply, crc, names, site

IO, FEEDER = 2, 3
SHED = CircuitId("shed")
SITE = """\
gateway: {id: test}
buses: {line: {serial: /dev/null, baudrate: 9600}}
boards:
  relay: {bus: line, address: 1, profile: waveshare-relay-16}
  io: {bus: line, address: 2, profile: waveshare-relay-8-d}
  feeder: {bus: line, address: 3, profile: eastron-sdm630}
  meter1..meter12: {bus: line, address: 11..22, profile: eastron-sdm120}
circuits: {shed: {rating_a: 40, phases: 3, meter: feeder, contactor: io/1}}
inputs: {smoke: {input: io/1, kind: smoke, circuit: shed, active: open}}
ports:
  - {id: A01..A04, relay: relay/1..4, meter: meter1..meter4, circuit: shed, phase: L1}
  - {id: A05..A08, relay: relay/5..8, meter: meter5..meter8, circuit: shed, phase: L2}
  - {id: A09..A12, relay: relay/9..12, meter: meter9..meter12, circuit: shed, phase: L3}
"""


def full_site() -> Site:
    # More than the budget lets a site have: what the schedule makes of it is the question here.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "refuse", lambda *_args: None)
        return loader.load_text(SITE, "test")


class Full(Bench):
    """The bench with an input board and a three-phase meter beside the rest."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, site_: Site | None = None) -> None:
        super().__init__(monkeypatch, site_ or full_site())
        self.inputs = 0b01
        self.phases = (10.0, 20.0, 30.0)
        self.contactor = False
        self.line.script = self.answer

    def answer(self, request: bytes) -> Reply:
        if request[0] in self.boards.silent or request[0] not in {IO, FEEDER}:
            return self.boards.script(request)
        reply = self._io(request) if request[0] == IO else self._feeder(request)
        return [(SILENCE + TURNAROUND, reply + crc(reply))]

    def _io(self, request: bytes) -> bytes:
        function, address, value = struct.unpack(">BHH", request[1:6])
        if function == 5:
            self.contactor = value != 0
            return request[:6]
        if function == 3:
            assert (address, value) == (0x1000, 8), "whether its inputs are linked to its relays"
            return request[:2] + bytes([16]) + bytes(16)
        bits = self.inputs if function == 2 else int(self.contactor)
        assert address == 0, address
        return request[:2] + bytes([1, bits])

    def _feeder(self, request: bytes) -> bytes:
        address, count = struct.unpack(">HH", request[2:6])
        values = {6 + 2 * phase: amps for phase, amps in enumerate(self.phases)}
        values |= {12 + 2 * phase: amps * 230.0 for phase, amps in enumerate(self.phases)}
        values |= {0: 230.0, 2: 231.0, 4: 232.0}
        floats = [values.get(place, 0.0) for place in range(address, address + count, 2)]
        return request[:2] + bytes([2 * count]) + struct.pack(f">{len(floats)}f", *floats)

    def charge(self, settle: float, seconds: float) -> None:
        """Hold twelve ports closed as the core does; what is kept is of the last so many seconds."""
        due: dict[PortId, float] = {}

        def decide(event: BusEvent) -> None:
            if isinstance(event, RelayWritten):
                due[event.port] = event.sent_at + 3.0

        self.heard = decide
        for port in names(12):
            self.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
        for port in names(12):
            by = Instant(self.clock.time + 3.0)
            self.bus.execute(CloseRelay(port=port, lease=Seconds(6.0), not_after=by))
            self.run(0.25)
        for span in (settle, seconds):
            self.forget()
            end = self.clock.time + span
            while self.clock.time < end:
                for port in [port for port, at in due.items() if at <= self.clock.time]:
                    by = Instant(due.pop(port) + 2.0)
                    self.bus.execute(RenewLease(port=port, lease=Seconds(6.0), not_after=by))
                self.run(0.01)

    def gaps(self, quantity: str = "current", *, only: set[PortId] | None = None) -> list[float]:
        times: dict[PortId, list[float]] = {}
        for event in self.told(MeterReading):
            if getattr(event, quantity) is not None and (only is None or event.port in only):
                times.setdefault(event.port, []).append(event.at)
        return [later - earlier for one in times.values() for earlier, later in pairwise(one)]


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Full:
    return Full(monkeypatch)


def test_inputs_are_told_each_half_second(full: Full) -> None:
    full.run(5.0)
    told = full.told(InputsRead)
    assert {(event.board, event.closed) for event in told} == {("io", (True,) + (False,) * 7)}
    assert max(later.at - earlier.at for earlier, later in pairwise(told)) <= 0.5


def test_an_input_board_that_is_silent_is_no_open_contact(full: Full) -> None:
    full.run(2.0)
    full.forget()
    full.boards.silent = {IO}
    full.run(2.0)
    assert [event.board for event in full.told(BoardLost)] == ["io"]
    assert not full.told(InputsRead)


def test_a_feeder_is_told_with_all_its_phases(full: Full) -> None:
    full.run(6.0)
    reading = full.told(CircuitReading)[-1]
    assert reading.circuit == SHED
    assert reading.currents == (10.0, 20.0, 30.0)
    assert reading.power == pytest.approx(60.0 * 230.0)
    assert reading.voltages == (230.0, 231.0, 232.0)


def test_a_phase_the_wrong_way_round_hides_none_of_the_others(full: Full) -> None:
    full.phases = (10.0, -20.0, 30.0)
    full.run(6.0)
    reading = full.told(CircuitReading)[-1]
    assert reading.currents == (10.0, 20.0, 30.0)
    assert reading.power == pytest.approx(60.0 * 230.0)


def test_a_feeder_that_cannot_be_right_is_a_fault(full: Full) -> None:
    full.phases = (10.0, float("nan"), 30.0)
    full.run(3.0)
    assert {event.kind for event in full.told(CircuitFault)} == {FaultKind.IMPLAUSIBLE}
    assert not full.told(CircuitReading)


@pytest.mark.parametrize(("board", "fault"), [(IO, InputsNotRead), (FEEDER, CircuitFault)])
def test_a_line_that_vanishes_is_told_of_feeders_and_inputs(full: Full, board: int, fault: type[BusEvent]) -> None:
    full.run(2.0)
    full.forget()

    def vanish(request: bytes) -> Reply:
        if request[0] == board and request[1] in {2, 4}:
            full.unplug()
            return []
        return full.answer(request)

    full.line.script = vanish
    full.run(2.0)
    faults = [*full.told(CircuitFault), *full.told(InputsNotRead)]
    assert [(type(one), one.kind) for one in faults] == [(fault, FaultKind.OFFLINE)]
    lost = {event.board: event.kind for event in full.told(BoardLost)}
    assert (lost["io"], lost["feeder"]) == (FaultKind.OFFLINE, FaultKind.OFFLINE)
    full.forget()
    full.run(2.0)
    assert not [*full.told(InputsRead), *full.told(CircuitReading)]


def test_a_contactor_is_a_relay(full: Full) -> None:
    name = contactor_of(SHED)
    assert name in full.bus.relay_ports
    full.run(1.0)
    by = Instant(full.clock.time + 2.0)
    full.bus.execute(CloseRelay(port=name, lease=Seconds(6.0), not_after=by))
    full.run(3.0)
    assert [event.port for event in full.told(RelayWritten)] == [name]
    assert full.contactor
    assert [event.closed for event in full.told(RelayReadBack) if event.port == name][-1]
    full.bus.execute(OpenRelay(port=name))
    full.run(0.2)
    assert not full.contactor


@pytest.mark.parametrize("first", ["A", "p"])
def test_giving_up_opens_the_contactor_too_and_after_the_relays(
    monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    # By their names alone some ports come before contactors, and others behind.
    renamed = SITE.replace("id: A", f"id: {first}").replace("..A", f"..{first}")
    with monkeypatch.context() as patch:
        patch.setattr(loader, "refuse", lambda *_args: None)
        full = Full(monkeypatch, loader.load_text(renamed, "test"))
    full.contactor = True
    for channel in range(12):
        full.boards.lapses[channel] = 1e12
    assert full.bus.open_all(Seconds(3.0)) == ()
    assert not full.contactor
    assert not [channel for channel in range(12) if full.boards.closed(channel)]
    opened = [event.port for event in full.told(RelayWritten)]
    assert opened[:13] == [*(f"{first}{number:02d}" for number in range(1, 13)), contactor_of(SHED)]


def test_a_contactor_that_is_not_read_back_open_is_named_when_giving_up(full: Full) -> None:
    full.run(1.0)
    full.boards.silent = {IO}
    assert full.bus.open_all(Seconds(3.0)) == (contactor_of(SHED),)


def test_the_last_resort_opens_contactors_after_the_relays(tmp_path: Path) -> None:
    relay_list.write_relays_file(full_site(), tmp_path / "relays.json")
    written = json.loads((tmp_path / "relays.json").read_text(encoding="utf-8"))
    opened = [relay["port"] for relay in written["lines"][0]["relays"]]
    assert opened == [*names(12), contactor_of(SHED)]


# The cycle at 9600 Bd with 2 ms of turnaround


def test_everything_at_once_keeps_each_current_within_three_quarters_of_a_second(full: Full) -> None:
    full.charge(10.0, 30.0)
    gaps = full.gaps()
    assert max(gaps) <= 0.75
    assert sum(gaps) / len(gaps) <= 0.6
    assert max(full.gaps("power")) <= 3.6
    inputs = [later.at - earlier.at for earlier, later in pairwise(full.told(InputsRead))]
    assert sum(inputs) / len(inputs) <= 0.5
    assert max(inputs) <= 0.75
    feeder = [later.at - earlier.at for earlier, later in pairwise(full.told(CircuitReading))]
    assert max(feeder) <= 1.5
    assert not full.told(RelayNotWritten)
    assert min(sent.gap for sent in full.line.sent[1:]) >= SILENCE - 1e-9


def test_who_the_boards_are_costs_no_trip_its_time(full: Full) -> None:
    """Asked at last though the line has no time to spare: one at a time, and far from each other."""
    polling = {port: one.polling for port, one in budget(full_site()).ports.items()}
    full.charge(50.0, 45.0)
    assert len({event.board for event in full.told(BoardIdentified)}) == len(names(12)) + 1
    for port in names(12):
        assert max(full.gaps(only={port})) <= polling[port]
    assert max(full.gaps()) <= 0.7
    feeder = [later.at - earlier.at for earlier, later in pairwise(full.told(CircuitReading))]
    assert max(feeder) <= 1.6
    assert not full.told(RelayNotWritten)


def test_currents_and_leases_alone_take_four_tenths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargerd.config.plans.POWER_EVERY", 1e9)
    monkeypatch.setattr("chargerd.modbus.identity.AFTER", 1e9)
    full = Full(monkeypatch, site())
    full.charge(10.0, 30.0)
    gaps = full.gaps()
    read = 17 * CHARACTER + 2 * SILENCE + TURNAROUND
    write = 16 * CHARACTER + 2 * SILENCE + TURNAROUND
    floor = 12 * read / (1 - 12 * write / 3.0)
    assert floor < 0.365
    assert sum(gaps) / len(gaps) <= 1.06 * floor
    assert sum(gaps) / len(gaps) <= 0.4
    assert max(gaps) <= 0.42
    assert len(full.told(RelayWritten)) >= 108
    assert not full.told(RelayNotWritten)


def test_one_silent_meter_does_not_slow_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Full(monkeypatch)
    whole.charge(10.0, 20.0)
    others = set(names(11))
    before = whole.gaps(only=others)
    whole.boards.silent = {22}
    whole.run(1.5)
    whole.forget()
    full = Full(monkeypatch)
    full.charge(10.0, 2.0)
    full.boards.silent = {22}
    full.charge(1.5, 20.0)
    after = full.gaps(only=others)
    assert sum(after) / len(after) <= 1.05 * sum(before) / len(before)


HOT = """\
gateway: {id: test}
buses: {line: {serial: /dev/null, baudrate: 9600}}
boards:
  relay: {bus: line, address: 1, profile: waveshare-relay-16}
  heat: {bus: line, address: 9, profile: eletechsup-r4dcb08}
  meter1..meter4: {bus: line, address: 11..14, profile: eastron-sdm120}
circuits: {shed: {rating_a: 40}}
ports:
  - {id: A01..A03, relay: relay/1..3, meter: meter1..meter3, circuit: shed, temperature: heat/1..3}
  - {id: A04, relay: relay/4, meter: meter4, circuit: shed}
"""


class Warm(Bench):
    """The bench with a board that reads temperatures."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch, loader.load_text(HOT, "test"))
        self.words = [215, 0x8000, 0xFFCE, 0, 0, 0, 0, 0]
        self.line.script = self.answer
        self.asked: list[bytes] = []

    def answer(self, request: bytes) -> Reply:
        if request[0] != 9 or 9 in self.boards.silent:
            return self.boards.script(request)
        self.asked.append(request[1:6])
        reply = request[:2] + bytes([16]) + struct.pack(">8H", *self.words)
        return [(SILENCE + TURNAROUND, reply + crc(reply))]


def test_sockets_temperatures_are_told_each_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    warm = Warm(monkeypatch)
    warm.run(21.0)
    told = warm.told(TemperatureReading)
    assert {(event.port, event.celsius) for event in told} == {("A01", 21.5), ("A02", None), ("A03", -5.0)}
    times = [event.at for event in told if event.port == "A01"]
    assert max(later - earlier for earlier, later in pairwise(times)) <= 5.0
    assert len(times) <= 10, "no more often than twice in that time"
    assert set(warm.asked) == {bytes.fromhex("03 00 00 00 08")}


def test_a_temperature_that_cannot_be_true_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    warm = Warm(monkeypatch)
    warm.words[0] = 1251
    warm.run(6.0)
    assert {event.celsius for event in warm.told(TemperatureReading) if event.port == "A01"} == {None}


def test_thermometers_that_are_silent_are_a_lost_board_and_no_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    warm = Warm(monkeypatch)
    warm.run(6.0)
    warm.forget()
    warm.boards.silent = {9}
    warm.run(20.0)
    assert [event.board for event in warm.told(BoardLost)] == ["heat"]
    assert not warm.told(InputsNotRead)
    assert not warm.told(TemperatureReading)
