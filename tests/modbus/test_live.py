"""The bus with its thread on real ptys: far ends that misbehave, that go and come, that are simulated."""

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chargerd.config.site import Site
from chargerd.core.commands import CloseRelay, OpenRelay, Pace, ReadEnergy, ReadRelay, RenewLease, SetPace
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
from chargerd.sim.line import LineFaults, PtyLine
from chargerd.sim.loads import resistive
from chargerd.sim.world import World
from tests.judging import every
from tests.logs import capture_logs
from tests.modbus.kit import Boards, VirtualClock, frame, names, site
from tests.modbus.live import CLOCK, LiveBus, PtySlave, wait

A01, A02 = names(2)
OPEN_A01 = frame("01 05 00 00 00 00")
Steps = list[tuple[float, bytes]]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
def tty(tmp_path: Path) -> Path:
    return tmp_path / "tty"


@pytest.fixture
def boards() -> Callable[[bytes], Steps]:
    """Well-behaved boards; a script falls back on them."""
    own = Boards(VirtualClock())
    return lambda request: [(0.004, data) for _wait, data in own.script(request)]


def close(live: LiveBus, port: PortId) -> None:
    not_after = Instant(CLOCK.now() + 3.0)
    live.bus.execute(CloseRelay(port=port, lease=Seconds(6.0), not_after=not_after))


# A far end that misbehaves


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([(0.004, b"\x00" + OPEN_A01)], id="noise before"),
        pytest.param([(0.004, frame("0C 04 04 41 10 00 00")), (0.02, OPEN_A01)], id="a foreign frame before"),
        pytest.param([(0.004, OPEN_A01[:3]), (0.01, OPEN_A01[3:])], id="in two pieces"),
        pytest.param([(0.004, OPEN_A01 * 2)], id="doubled"),
    ],
)
def test_an_echo_is_found_whatever_stands_around_it(
    tty: Path, boards: Callable[[bytes], Steps], answer: Steps
) -> None:
    far = PtySlave(tty, lambda request: answer if request == OPEN_A01 else boards(request))
    with far, LiveBus(site(2, tty=tty)) as live:
        live.wait(MeterReading)
        live.bus.execute(OpenRelay(port=A01))
        live.wait(RelayWritten, port=A01, action=RelayAction.OPEN)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param([(0.004, frame("01 05 00 01 00 00"))], FaultKind.CORRUPT, id="another relay's echo"),
        pytest.param([(0.004, frame("01 05 00 00 FF 00"))], FaultKind.CORRUPT, id="another value's echo"),
        pytest.param([(0.004, frame("01 01 02 00 00"))], FaultKind.CORRUPT, id="a read's late answer"),
        pytest.param([(0.004, OPEN_A01[:-1] + b"\x00")], FaultKind.CORRUPT, id="corrupted"),
        pytest.param([(0.004, OPEN_A01[:-2])], FaultKind.CORRUPT, id="cut short"),
        pytest.param([(0.004, frame("01 85 04"))], FaultKind.EXCEPTION, id="an exception"),
        pytest.param([], FaultKind.TIMEOUT, id="nothing"),
    ],
)
def test_nothing_else_is_taken_for_one(
    tty: Path, boards: Callable[[bytes], Steps], answer: Steps, kind: FaultKind
) -> None:
    far = PtySlave(tty, lambda request: answer if request == OPEN_A01 else boards(request))
    with far, LiveBus(site(2, tty=tty)) as live:
        live.wait(MeterReading)
        live.bus.execute(OpenRelay(port=A01))
        event = live.wait(RelayNotWritten, port=A01)
        assert (event.action, event.kind, event.sent) == (RelayAction.OPEN, kind, True)
        assert not live.told(RelayWritten)


def test_a_late_current_is_not_taken_for_a_power(tty: Path, boards: Callable[[bytes], Steps]) -> None:
    """Both are two registers of the same board: only time can tell them apart."""
    late = iter([True])

    def script(request: bytes) -> Steps:
        if request[:4] == bytes.fromhex("0B 04 00 06") and next(late, False):
            return [(0.6, frame("0B 04 04 40 E0 00 00"))]  # 7 A
        return boards(request)

    with PtySlave(tty, script), LiveBus(site(1, tty=tty)) as live:
        live.bus.execute(SetPace(port=A01, pace=Pace.ARMED))
        live.wait(MeterFault, kind=FaultKind.TIMEOUT)
        live.wait(MeterReading, 3, current=1.0)
        live.wait(MeterReading, 3, power=140.0)
        assert {reading.current for reading in live.told(MeterReading)} == {1.0, None}
        assert {reading.power for reading in live.told(MeterReading)} == {140.0, None}
        assert live.bus.counters.foreign_bytes >= 9


# One that goes and comes


class Plant:
    """Three ports on a simulated line, closed loads on them, and the bus."""

    def __init__(self, tty: Path, *, seed: int = 1) -> None:
        self.site: Site = site(3, tty=tty)
        self.world = World(self.site, seed=seed)
        self.line = PtyLine(self.world, "line", clock=CLOCK, link=tty, baudrate=9600)
        for port in names(3):
            self.world.socket(port).plug(resistive("heater", 2.0))


@pytest.fixture
def plant(tty: Path) -> Plant:
    return Plant(tty)


def test_a_port_charges_on_the_simulated_line_and_its_lease_holds(plant: Plant) -> None:
    def decide(event: BusEvent) -> None:
        if isinstance(event, RelayWritten) and event.action is not RelayAction.OPEN:
            due = Instant(event.sent_at + 2.0)
            threading.Timer(
                0.3, live.bus.execute, [RenewLease(port=A01, lease=Seconds(1.0), not_after=due)]
            ).start()

    with plant.line, LiveBus(plant.site) as live:
        live.heard = decide
        live.bus.execute(SetPace(port=A01, pace=Pace.CLOSED))
        not_after = Instant(CLOCK.now() + 3.0)
        live.bus.execute(CloseRelay(port=A01, lease=Seconds(1.0), not_after=not_after))
        live.wait(RelayWritten, 6, port=A01)
        live.bus.execute(ReadRelay(port=A01))
        live.wait(RelayReadBack, port=A01, closed=True)
        assert 1.5 < live.told(MeterReading, port=A01, power=None)[-1].current < 2.5
        assert not live.told(RelayReadBack, port=A02, closed=True)
        live.heard = lambda _event: None
        live.bus.execute(OpenRelay(port=A01))
        live.wait(RelayWritten, action=RelayAction.OPEN)
        live.bus.execute(ReadRelay(port=A01))
        live.wait(RelayReadBack, port=A01, closed=False)
    assert plant.line.broken_silences == 0
    assert plant.line.failure is None


def test_a_device_missing_at_the_start_is_found_when_it_comes(plant: Plant, tty: Path) -> None:
    with LiveBus(plant.site) as live:
        for board in ("relay", "meter1"):
            live.wait(BoardLost, board=board, kind=FaultKind.OFFLINE)
        live.bus.execute(OpenRelay(port=A01))
        turn = live.bus.last_turn
        wait(lambda: live.bus.last_turn > turn)
        with plant.line:
            live.wait(BoardBack, board="relay")
            live.wait(RelayWritten, port=A01)
            live.wait(RelayReadBack, port=A01, closed=False)
            live.wait(MeterReading, port=A01)
        assert tty.parent.exists()


def test_a_device_that_is_pulled_out_and_put_back(plant: Plant) -> None:
    with plant.line, LiveBus(plant.site) as live:
        live.wait(MeterReading, port=A01)
        live.bus.execute(SetPace(port=A01, pace=Pace.CLOSED))
        for _ in range(2):
            live.events.clear()
            plant.line.unplug()
            live.wait(BoardLost, board="relay", kind=FaultKind.OFFLINE)
            close(live, A02)
            live.bus.execute(OpenRelay(port=A01))
            live.wait(RelayNotWritten, port=A02, kind=FaultKind.OFFLINE, sent=False)
            plant.line.plug()
            live.wait(BoardBack, board="relay")
            live.wait(RelayWritten, port=A01, action=RelayAction.OPEN)
            live.wait(RelayReadBack, port=A02, closed=False)
            live.wait(MeterReading, port=A01)
    assert not plant.line.failure


def test_on_a_bad_line_everything_is_told_and_the_silence_kept(plant: Plant) -> None:
    plant.line.faults = LineFaults(drop=0.1, corrupt=0.1)
    with plant.line, LiveBus(plant.site) as live:
        for port in names(3):
            live.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
        for asked in range(3, 25, 3):
            for port in names(3):
                close(live, port)
            wait(partial(lambda asked: closings(live) == asked, asked))
            live.bus.execute(ReadEnergy(port=A01))
    assert closings(live) == 24
    assert plant.line.broken_silences == 0
    assert every(
        0.0 <= reading.current < 2.5 for reading in live.told(MeterReading) if reading.current is not None
    )


def closings(live: LiveBus) -> int:
    told: list[Any] = live.told(RelayWritten) + live.told(RelayNotWritten)
    return sum(event.action is RelayAction.CLOSE for event in told)


# Ends


def test_all_relays_are_opened_beside_the_running_thread(plant: Plant) -> None:
    with plant.line, LiveBus(plant.site) as live:
        for port in names(3):
            close(live, port)
        wait(lambda: closings(live) == 3)
        assert live.bus.open_all(Seconds(3.0)) == ()
        assert not live.told(RelayNotReadBack)


def test_a_thread_that_dies_says_so_and_the_relays_are_opened_all_the_same(plant: Plant) -> None:
    """The opening begins in the dying thread's last word: it must not wait for that thread."""
    opened: list[tuple[PortId, ...]] = []
    with plant.line:
        live = LiveBus(plant.site)
        opener = threading.Thread(target=lambda: opened.append(live.bus.open_all(Seconds(5.0))))

        def broken(event: BusEvent) -> None:
            if isinstance(event, RelayWritten):
                raise RuntimeError("a mistake")  # noqa: TRY004 - nothing to do with types

        live.heard = broken
        real = live.crashes.append

        def crashed(error: BaseException) -> None:
            real(error)
            opener.start()

        live.bus._on_crash = crashed  # noqa: SLF001 - to be there at the thread's last word
        live.bus.start()
        for port in names(3):
            close(live, port)
        wait(lambda: opener.ident is not None)
        opener.join(6.0)
        assert opened == [()]
        assert [str(error) for error in live.crashes] == ["a mistake"]
        live.bus.stop(Seconds(1.0))


def test_a_bus_that_was_never_started_can_be_stopped(tty: Path) -> None:
    LiveBus(site(1, tty=tty)).bus.stop(Seconds(1.0))


def test_stopping_gives_the_line_back(tty: Path, boards: Callable[[bytes], Steps]) -> None:
    with PtySlave(tty, boards):
        for _ in range(2):
            with LiveBus(site(1, tty=tty)) as live:
                live.wait(MeterReading)
                assert live.bus.connected
    assert not os.path.lexists(tty)
