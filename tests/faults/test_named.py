"""Prepared faulty sites: each has a command whose first line names what is wrong with it.

They are told to a technician in `docs/symptoms.md`. Whoever adds a fault adds its row here and there.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from chargerd.cli.ctl_absent import LAST_EXIT, absence
from chargerd.core.events import BoardIdentified, BoardLost
from chargerd.core.faults import FaultKind
from chargerd.core.units import BoardId, Instant, PortId
from chargerd.modbus.diagnosis import Cause, Finding
from tests.control.test_ctl_explain import Asked, charging, shed, types
from tests.core.sheds import SMOKE, SWITCH
from tests.core.sheds import shed as guarded
from tests.scenarios.test_lines import METER, Site, kept
from tests.scenarios.test_meters import stuck
from tests.scenarios.test_wiring import crossed

A01 = PortId("A01")
PAGE = Path(__file__).parents[2] / "docs" / "symptoms.md"


@dataclass(frozen=True)
class Faulty:
    """A site in which something is wrong, the command to type there, and what its first line must say."""

    name: str
    prepare: Callable[[], Asked]
    command: tuple[str, ...]
    says: str


def on_line(cause: Cause, why: str | None, *boards: str) -> Callable[[], Asked]:
    def prepare() -> Asked:
        world = shed("A01", "A02", rating=100.0)
        world.board.silent = True
        world.run(30.0)
        asked = Asked(world)
        named = tuple(map(BoardId, boards))
        concerned = named or (BoardId("relay-a"),)
        asked.findings = [("line-a", Finding(cause=cause, why=why, boards=named), concerned)]
        return asked

    return prepare


def looked(about: str, what: str, then: str) -> Callable[[], Asked]:
    def prepare() -> Asked:
        asked = Asked(shed("A01"))
        asked.checks = [{"about": about, "verdict": "fault", "what": what, "then": then}]
        return asked

    return prepare


def silent_meter() -> Asked:
    world = shed("A01", "A02", rating=100.0)
    charging(world)
    world.meters[A01].silent = True
    world.run(44.0)
    return Asked(world)


def idle_silent_meter() -> Asked:
    world = shed("A01")
    world.meters[A01].silent = True
    world.run(60.0)
    return Asked(world)


def frozen_meter() -> Asked:
    world = stuck()
    world.run_until("suspended meter_frozen", within=200)
    return Asked(world)


def tripped() -> Asked:
    world = shed("A01", rating=100.0)
    world.draw(8.0)
    world.start()
    world.run_until("state tripped")
    return Asked(world)


def jammed() -> Asked:
    world = shed("A01", rating=100.0)
    world.contacts[A01].jammed = True
    world.start()
    world.run(15.0)
    return Asked(world)


def welded() -> Asked:
    world = shed("A01", rating=100.0)
    charging(world, amps=2.0)
    world.contacts[A01].welded = world.contacts[A01].hidden = True
    world.stop(force=True)
    world.run_until("locked out relay_welded", within=60)
    return Asked(world)


def voltage(volts: float) -> Callable[[], Asked]:
    def prepare() -> Asked:
        world = shed("A01", rating=100.0)
        charging(world)
        world.meters[A01].volts = volts
        world.run(20.0)
        return Asked(world)

    return prepare


def smoke() -> Asked:
    world = guarded(inputs=(SMOKE,), contactor=SWITCH)
    world.danger.add("smoke-1")
    world.run(5.0)
    return Asked(world)


def no_inputs() -> Asked:
    world = guarded(inputs=(SMOKE,))
    world.io.silent = True
    world.run(10.0)
    return Asked(world)


def no_contactor_board() -> Asked:
    world = guarded(contactor=SWITCH)
    world.tell(BoardLost(board=SWITCH.board, kind=FaultKind.TIMEOUT, at=Instant(world.now)))
    return Asked(world)


def no_room() -> Asked:
    world = shed("A01", "A02")
    charging(world, amps=4.0)
    world.start("A02")
    world.run(5.0)
    return Asked(world)


def disabled() -> Asked:
    world = shed("A01")
    world.disable(reason="lid broken")
    return Asked(world)


def no_store() -> Asked:
    world = shed("A01", "A02")
    world.store(writable=False)
    return Asked(world)


def crossed_meters() -> Asked:
    world = crossed()
    world.start("A01")
    world.run(30.0)
    return Asked(world)


def another_line() -> Asked:
    world = Site(kept())
    world.run(5.0)
    world.tell(BoardIdentified(board=METER, at=Instant(world.now), words=(9, 9)))
    return Asked(world)


def no_clock() -> Asked:
    asked = Asked(shed("A01"))
    asked.more = [{"rank": 8, "kind": "clock"}]
    return asked


EXPLAIN, WHY = ("explain", "A01"), ("why",)
SITES = [
    Faulty("dead adapter", on_line(Cause.NO_LINE, "No such device"), WHY, "line line-a: the line is not there"),
    Faulty("permission", on_line(Cause.NO_PERMISSION, "[Errno 13]"), WHY, "does not let chargerd open the device"),
    Faulty("adapter in use", on_line(Cause.LINE_IN_USE, None), WHY, "another program has the device open"),
    Faulty("dead board", on_line(Cause.BOARD_SILENT, None, "relay-a"), WHY, "relay-a on line-a: does not answer"),
    Faulty("silent line", on_line(Cause.BUS_SILENT, None, "relay-a"), WHY, "no board answers"),
    Faulty("noise", on_line(Cause.NOISE, None, "relay-a"), WHY, "answers are corrupt"),
    Faulty("stale meter", silent_meter, EXPLAIN, "the meter meter-A01 does not answer (44 s"),
    Faulty("meter silent at rest", idle_silent_meter, EXPLAIN, "A01 blocked: the meter meter-A01 does not answer"),
    Faulty("frozen meter", frozen_meter, EXPLAIN, "answers, and does not measure"),
    Faulty("tripped latch", tripped, EXPLAIN, "overcurrent_instant: the current was far above the limit"),
    Faulty("stuck coil", jammed, EXPLAIN, "relay_stuck_open: the relay did not close"),
    Faulty("weld", welded, EXPLAIN, "relay_welded: current flowed though the relay was read back open: DANGER"),
    Faulty("undervoltage", voltage(150.0), EXPLAIN, "the voltage is outside the band"),
    Faulty("overvoltage", voltage(280.0), EXPLAIN, "the voltage is outside the band"),
    Faulty("smoke", smoke, ("circuit", "shed"), "circuit shed is held open: smoke"),
    Faulty("unread inputs", no_inputs, ("circuit", "shed"), "nobody reads the inputs that guard circuit shed"),
    Faulty("contactor's board", no_contactor_board, ("circuit", "shed"), "of the contactor of circuit shed"),
    Faulty("full circuit", no_room, ("explain", "A02"), "circuit shed has no room for it (10.00 A, limit 5.40 A)"),
    Faulty("disabled", disabled, EXPLAIN, "port A01 is out of service by the backend: lid broken"),
    Faulty("journal", no_store, WHY, "A01, A02: the journal cannot be written"),
    Faulty("crossed wires", crossed_meters, EXPLAIN, "wiring_suspect"),
    Faulty("exchanged adapters", another_line, WHY, "is another board than before"),
    Faulty("wrong clock", no_clock, WHY, "clock: nothing vouches for the time of day"),
    Faulty("clock of long ago", looked("clock", "it shows 1970", "set it"), WHY, "clock: it shows 1970"),
    Faulty(
        "broker", looked("broker", "the password is refused, for 60 s", "look"), WHY, "broker: the password is"
    ),
    Faulty("full disk", looked("disk", "12 MiB free", "look what fills it"), WHY, "disk: 12 MiB free"),
]


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_the_first_line_names_the_fault_and_the_next_step_is_told(site: Faulty) -> None:
    name, *words = site.command
    result = types(site.prepare(), name, *words)
    assert result.exit_code == 1, result.output
    assert site.says in result.stdout.splitlines()[0], result.stdout
    assert "next: " in result.stdout


@pytest.mark.parametrize(
    ("last", "says"),
    [
        (
            {"state": "refused", "problems": ["/etc/chargerd/chargerd.yaml:12:3: no such circuit"]},
            "chargerd.yaml:12:3",
        ),
        ({"state": "failed", "reason": "hung: bus line-a"}, "it gave up: hung: bus line-a"),
        ({"state": "running", "pid": 2**22 + 1}, "it was killed, or the power was cut"),
    ],
    ids=["wrong configuration", "gave up", "killed"],
)
def test_a_daemon_that_does_not_run_is_named_as_well(tmp_path: Path, last: dict[str, object], says: str) -> None:
    (tmp_path / LAST_EXIT).write_text(json.dumps(last))
    assert says in absence(tmp_path / "chargerctl.sock").why


def test_the_page_of_symptoms_names_commands_there_are() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    commands = {found for row in rows for found in re.findall(r"`chargerctl (\w+)", row)}
    assert {"why", "explain", "circuit", "status", "doctor"} <= commands
