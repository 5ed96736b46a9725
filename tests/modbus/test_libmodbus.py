"""Served by libmodbus: that both sides are wrong in the same way would take two programs' agreement."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from chargerd.config.loader import load_text
from chargerd.config.profiles.library import load_profiles
from chargerd.config.profiles.models import Profile
from chargerd.config.site import Site
from chargerd.core.commands import CloseRelay, OpenRelay, Pace, ReadEnergy, ReadRelay, SetPace
from chargerd.core.events import (
    BoardBack,
    BoardIdentified,
    BoardLost,
    MeterFault,
    MeterReading,
    RelayReadBack,
    RelayWritten,
)
from chargerd.core.faults import FaultKind
from chargerd.core.units import Instant, PortId, Seconds
from tests.logs import capture_logs
from tests.modbus.live import CLOCK, Bridge, LiveBus

SOURCE = Path(__file__).parents[1] / "native" / "libmodbus_slave.c"
A01, A02 = PortId("A01"), PortId("A02")
LONGEST_ANSWER = 13
"""Bytes of the longest answer asked for here: a float of two registers under a TCP header."""
Run = Callable[..., AbstractContextManager["subprocess.Popen[str]"]]

SITE = """\
gateway: {{id: test}}
buses: {{line: {{{line}}}}}
boards: {{both: {{bus: line, address: 7, profile: both}}}}
circuits: {{shed: {{}}}}
ports:
  - {{id: A01, relay: both/1, meter: both, circuit: shed}}
"""


def both() -> Profile:
    """A board that is relays and meter at one address: a libmodbus slave has just one on a serial line."""
    profiles = load_profiles()
    relay = profiles["waveshare-relay-8"].relay
    assert relay is not None
    plain = {**relay.model_dump(), "timed_on": None, "dead_man": "none"}
    line = {"baudrates": [9600, 115200]}
    whole = {**profiles["eastron-sdm120"].model_dump(), "name": "both", "relay": plain, "line": line}
    return Profile.model_validate(whole)


def site(line: str) -> Site:
    return load_text(SITE.format(line=line), "test", profiles={"both": both()})


@pytest.fixture(scope="module")
def slave(tmp_path_factory: pytest.TempPathFactory) -> Run:
    compiler = shutil.which("gcc")
    assert compiler is not None, "apt-get install gcc libc6-dev libmodbus-dev"
    program = tmp_path_factory.mktemp("native") / "libmodbus_slave"
    command = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-I/usr/include/modbus", "-o", str(program)]
    subprocess.run([*command, str(SOURCE), "-lmodbus"], check=True)

    @contextmanager
    def run(*arguments: object) -> Iterator["subprocess.Popen[str]"]:
        command = [str(program), *(str(argument) for argument in arguments)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            try:
                yield process
            finally:
                process.kill()

    return run


def charge(live: LiveBus) -> None:
    """Close a relay, see it in what the meter says, and open it again."""
    live.bus.execute(SetPace(port=A01, pace=Pace.CLOSED))
    live.wait(MeterReading, current=0.0)
    live.bus.execute(CloseRelay(port=A01, lease=None, not_after=Instant(CLOCK.now() + 3.0)))
    live.wait(RelayWritten)
    live.bus.execute(ReadRelay(port=A01))
    live.wait(RelayReadBack, closed=True)
    live.wait(MeterReading, current=2.0)
    live.wait(MeterReading, power=300.0)
    live.wait(MeterReading, voltage=230.0)
    live.bus.execute(ReadEnergy(port=A01))
    live.wait(MeterReading, energy=12_500.0)
    live.events.clear()
    live.bus.execute(OpenRelay(port=A01))
    live.bus.execute(ReadRelay(port=A01))
    live.wait(RelayReadBack, closed=False)
    live.wait(MeterReading, current=0.0)
    # On a loaded machine an answer may come too late, and on a pty sooner than any line would allow.
    late = live.told(MeterFault, kind=FaultKind.TIMEOUT)
    counters = live.bus.counters
    assert len(live.told(MeterFault)) - len(late) <= counters.corrupt <= counters.transactions / 4
    assert counters.foreign_bytes <= LONGEST_ANSWER * counters.timeouts


@pytest.mark.parametrize("baudrate", [9600, 115200])
def test_on_a_serial_line(slave: Run, baudrate: int) -> None:
    with Bridge() as modem, slave("rtu", modem.far, baudrate, 7):
        with LiveBus(site(f"serial: {modem.near}, baudrate: {baudrate}")) as live:
            live.wait(BoardIdentified, words=(0x1234, 0x5678))
            charge(live)
        assert live.bus.counters.exceptions == 0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_over_modbus_tcp_and_again_after_the_board_was_away(slave: Run) -> None:
    port = free_port()
    with capture_logs(), LiveBus(site(f'tcp: "127.0.0.1:{port}"')) as live:
        live.wait(BoardLost, board="both")
        with slave("tcp", port):
            live.wait(BoardBack, board="both")
            charge(live)
        live.wait(BoardLost, board="both")
        live.events.clear()
        with slave("tcp", port):
            live.wait(BoardBack, board="both")
            charge(live)


def test_what_it_refuses_is_an_exception_with_its_code(slave: Run) -> None:
    with Bridge() as modem, slave("rtu", modem.far, 115200, 7):
        wide = both()
        assert wide.relay is not None
        channels = {**wide.relay.model_dump(), "channels": 16, "read_back": {"min_count": 16}}
        wide = Profile.model_validate({**wide.model_dump(), "relay": channels})
        text = SITE.format(line=f"serial: {modem.near}, baudrate: 115200")
        with LiveBus(load_text(text, "test", profiles={"both": wide})) as live:
            live.wait(MeterReading)
            assert live.bus.counters.exceptions >= 1
            assert not live.told(RelayReadBack)
            assert not live.told(BoardLost)
            assert live.bus.open_all(Seconds(0.5)) == (A01,)
