import os
import re
import select
import shutil
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial

from chargerd.config.profiles.register_map import Quantity
from chargerd.core.units import Seconds
from chargerd.runtime.process.clock import SystemClock
from chargerd.sim.boards import Codec
from chargerd.sim.line import LineFaults, PtyLine
from chargerd.sim.loads import resistive
from chargerd.sim.world import World
from tests.patience import PATIENCE_S
from tests.sim.shed import shed

READ_CURRENT = bytes.fromhex("0B 04 00 06 00 02 91 60")
CLOSE_3_S = bytes.fromhex("01 05 02 00 00 1E 4C 7A")
CHARACTER = 10 / 9600


@pytest.fixture
def tty(tmp_path: Path) -> Path:
    return tmp_path / "tty"


@pytest.fixture
def world(tty: Path) -> World:
    return World(shed(tty), seed=1)


@pytest.fixture
def line(world: World, tty: Path) -> Iterator[PtyLine]:
    with PtyLine(world, "line-a", clock=SystemClock(), link=tty) as plugged:
        yield plugged
    assert plugged.failure is None


def wait(holds: Callable[[], bool], timeout: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        select.select([], [], [], 0.005)


def talk(tty: Path, frame: bytes, size: int, timeout: float = PATIENCE_S) -> bytes:
    with serial.Serial(str(tty), 9600, timeout=timeout) as port:
        port.write(frame)
        return port.read(size)


@pytest.mark.usefixtures("line")
def test_a_request_is_answered_behind_the_link(tty: Path, world: World) -> None:
    assert talk(tty, CLOSE_3_S, 8) == CLOSE_3_S
    assert world.relay("A01").contact_closed


def test_an_answer_takes_the_time_it_takes_on_a_wire(line: PtyLine, tty: Path) -> None:
    floor = (8 + 3.5 + 9) * CHARACTER + 0.002
    for count in range(1, 4):
        began = time.monotonic()
        assert len(talk(tty, READ_CURRENT, 9)) == 9
        assert time.monotonic() - began >= floor
        wait(lambda: len(line.exchanges) == count)  # noqa: B023 - waited for within the turn
        select.select([], [], [], 0.01)
    exchange = line.exchanges[-1]
    assert exchange.ended - exchange.began == pytest.approx(floor, abs=1e-6)
    assert exchange.request == READ_CURRENT
    assert len(exchange.reply) == 9
    assert line.broken_silences == 0


def test_the_world_follows_real_time_while_nobody_asks(line: PtyLine, tty: Path, world: World) -> None:
    assert line.path
    assert talk(tty, CLOSE_3_S, 8) == CLOSE_3_S
    wait(lambda: not world.relay("A01").contact_closed)
    closed, opened = world.edges("A01")
    assert opened.at - closed.at == pytest.approx(3.0)
    wait(lambda: abs(SystemClock().now() - world.now) < 0.5)


def test_a_master_in_a_hurry_is_counted(line: PtyLine, tty: Path) -> None:
    with serial.Serial(str(tty), 9600, timeout=PATIENCE_S) as port:

        def hurried() -> bool:
            port.write(READ_CURRENT)
            assert len(port.read(1)) == 1
            port.write(READ_CURRENT)  # It lies there when the reply ends; 3.5 characters more are 3.6 ms.
            assert len(port.read(17)) == 17
            return line.broken_silences > 0

        wait(hurried)  # Once is enough, but for a machine that is busy in those 3.6 ms.


def test_other_units_and_garbage_get_no_answer_and_do_not_disturb_the_next(line: PtyLine, tty: Path) -> None:
    with serial.Serial(str(tty), 9600, timeout=0.1) as port:
        port.write(Codec().pack(99, READ_CURRENT[1:-2]))
        assert port.read(1) == b""
        port.write(b"\x01\x05\x02")
        assert port.read(1) == b""
        port.timeout = PATIENCE_S
        port.write(READ_CURRENT)
        assert len(port.read(9)) == 9
    wait(lambda: len(line.exchanges) == 2)
    assert [bool(exchange.reply) for exchange in line.exchanges] == [False, True]


def test_a_request_in_pieces_is_one_request(line: PtyLine, tty: Path) -> None:
    with serial.Serial(str(tty), 9600, timeout=PATIENCE_S) as port:
        port.write(READ_CURRENT[:3])
        select.select([], [], [], 0.005)
        port.write(READ_CURRENT[3:])
        assert len(port.read(9)) == 9
    wait(lambda: bool(line.exchanges))
    assert [exchange.request for exchange in line.exchanges] == [READ_CURRENT]


def test_dropped_corrupt_and_late_answers(line: PtyLine, tty: Path) -> None:
    line.faults = LineFaults(drop=1.0, unit=11)
    assert talk(tty, READ_CURRENT, 9, timeout=0.1) == b""
    assert talk(tty, CLOSE_3_S, 8) == CLOSE_3_S, "another board's answers are left alone"
    line.faults = LineFaults(corrupt=1.0)
    assert talk(tty, CLOSE_3_S, 8) != CLOSE_3_S
    line.faults = LineFaults(late=1.0, late_by=Seconds(1.0))
    with serial.Serial(str(tty), 9600, timeout=0.1) as port:
        port.write(CLOSE_3_S)
        assert port.read(8) == b""
        port.timeout = PATIENCE_S
        assert port.read(8) == CLOSE_3_S


def test_an_adapter_that_hears_itself_hands_over_what_is_sent_and_then_the_answer(
    line: PtyLine, tty: Path
) -> None:
    line.faults = LineFaults(echo=True)
    assert talk(tty, CLOSE_3_S, 16) == CLOSE_3_S + CLOSE_3_S
    told = talk(tty, READ_CURRENT, 17)
    assert told[:8] == READ_CURRENT
    assert len(told) == 17


def test_a_board_that_is_deaf_after_every_frame_hears_what_comes_later(line: PtyLine, tty: Path) -> None:
    line.faults = LineFaults(deaf=Seconds(0.15), unit=11)
    with serial.Serial(str(tty), 9600, timeout=0.1) as port:
        port.write(CLOSE_3_S)
        assert port.read(8) == CLOSE_3_S
        port.write(READ_CURRENT)
        assert port.read(9) == b""
        select.select([], [], [], 0.3)
        port.write(READ_CURRENT)
        assert len(port.read(9)) == 9


def test_a_strangers_answer_comes_sooner_than_the_boards_own(line: PtyLine, tty: Path) -> None:
    line.faults = LineFaults(strange=1.0)
    told = talk(tty, READ_CURRENT, 18)
    assert told[:7] == READ_CURRENT[:2] + bytes([4, 0, 0, 0, 0])
    assert len(told) == 18


def test_an_unplugged_line_hangs_up_and_comes_back_behind_the_same_link(
    line: PtyLine, tty: Path, world: World
) -> None:
    with serial.Serial(str(tty), 9600, timeout=0.5) as port:
        line.unplug()
        line.unplug()
        assert not tty.is_symlink()
        assert line.path == ""
        with pytest.raises((OSError, termios.error)):
            # A program that has it open learns of it: an error, or the end of file.
            _until_hung_up(port.fileno())
    before = world.now
    wait(lambda: world.now > before)
    line.plug()
    line.plug()
    assert tty.resolve() == Path(line.path)
    assert talk(tty, CLOSE_3_S, 8) == CLOSE_3_S


def _until_hung_up(end: int) -> None:
    ready, _, _ = select.select([end], [], [], PATIENCE_S)
    if ready and os.read(end, 16) == b"":
        raise OSError("end of file")


def test_a_stopped_line_leaves_no_device_and_no_link(world: World, tty: Path) -> None:
    line = PtyLine(world, "line-a", clock=SystemClock(), link=tty)
    with line:
        device = Path(line.path)
        assert device.exists()
    assert not tty.is_symlink()
    assert line.path == ""


def test_without_a_link_the_device_itself_is_the_way_in(world: World) -> None:
    with PtyLine(world, "line-a", clock=SystemClock()) as line:
        assert talk(Path(line.path), CLOSE_3_S, 8) == CLOSE_3_S


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_line_that_fails_says_so(world: World, tty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise RuntimeError("no more time")

    monkeypatch.setattr(world, "advance", broken)
    with PtyLine(world, "line-a", clock=SystemClock(), link=tty) as line:
        wait(lambda: line.failure is not None)
    assert str(line.failure) == "no more time"


# Somebody else's master


MBPOLL = shutil.which("mbpoll") or "mbpoll"


def mbpoll(tty: Path, *arguments: str) -> str:
    command = [MBPOLL, "-m", "rtu", "-b", "9600", "-P", "none", "-0", "-1", "-q", *arguments, str(tty)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("register", "quantity", "scale"),
    [(0, Quantity.VOLTAGE, 1), (6, Quantity.CURRENT, 1), (12, Quantity.POWER, 1), (72, Quantity.ENERGY, 1000)],
)
@pytest.mark.usefixtures("line")
def test_mbpoll_reads_what_the_world_says(
    tty: Path, world: World, register: int, quantity: Quantity, scale: float
) -> None:
    world.socket("A02").plug(resistive("lamp", 3.0))
    with world.lock:
        world.relay("A02").write(world.now, closed=True)
    wait(lambda: world.socket("A02").power > 0)
    told = mbpoll(tty, "-a", "12", "-t", "3:float", "-B", "-r", str(register), "-c", "1")
    value = re.search(r"\[\d+\]:\s+([-\d.]+)", told)
    assert value is not None, told
    # The lamp's noise is 2 W, the mains' some tenths of a volt.
    assert float(value[1]) * scale == pytest.approx(world.meter("A02").values[quantity], rel=0.03)


@pytest.mark.usefixtures("line")
def test_mbpoll_reads_and_writes_coils(tty: Path, world: World) -> None:
    mbpoll_write = [MBPOLL, "-m", "rtu", "-b", "9600", "-P", "none", "-a", "1", "-t", "0", "-0", "-r", "2"]
    done = subprocess.run(
        [*mbpoll_write, str(tty), "1"], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert world.relay("A03").contact_closed
    told = mbpoll(tty, "-a", "1", "-t", "0", "-r", "0", "-c", "8")
    assert re.findall(r"\[\d\]:\s+(\d)", told) == list("00100000")
