"""`explain`, `circuit` and `why` as a technician reads them, from what a station in a simulated world tells."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest
from click.testing import CliRunner, Result

from chargerd.cli import chargerctl, ctl_explain
from chargerd.cli.boards import CAUSES
from chargerd.cli.wording import LATCHES, OBSTACLES
from chargerd.cli.wording_claims import CLAIMS, told
from chargerd.config.loader import load_text
from chargerd.config.problems import Problem
from chargerd.contract import bodies
from chargerd.control.client import ControlFailure
from chargerd.control.server import Responder
from chargerd.core import station
from chargerd.core.clock import Clock
from chargerd.core.moment import ClockQuality
from chargerd.core.plan import CircuitPlan, StationPlan
from chargerd.core.port.port import Step
from chargerd.core.port.suspending import WAITS
from chargerd.core.units import Amps, BoardId, CircuitId, PortId, Seconds
from chargerd.core.view import CircuitExplained, PortExplained
from chargerd.modbus.diagnosis import Cause, Finding
from chargerd.runtime.local.explaining import circuit_as_json, explained_as_json
from chargerd.runtime.local.why import Why, wrong
from tests.config.sites import BASE
from tests.core.plant import port_plan
from tests.core.world import World
from tests.judging import every

SHED = CircuitId("shed")
AS_JSON = click.option("--json", "as_json", is_flag=True)
AT_WIDTHS = pytest.mark.parametrize("columns", [40, 80, 120])
SESSION = {
    "session_id": "S-7",
    "stop_reason": "overcurrent",
    "stop_detail": {"function": "overcurrent_instant", "measured": 9.1, "limit": 7.5, "unit": "a"},
    "energy_wh": 155,
    "charging_s": 3723,
    "ended_at": "2026-11-29T20:00:00.000Z",
}
EVENT = {
    "event": "port_tripped",
    "function": "overcurrent_instant",
    "detail": None,
    "at": "2026-11-29T20:00:00.000Z",
}


class Asked:
    """Stands where the socket's client is: asks a station in virtual time."""

    def __init__(self, world: World, *, journal: bool = True) -> None:
        self.world = world
        self.journal = journal
        self.findings: list[tuple[str, Finding, tuple[BoardId, ...]]] = []
        self.checks: list[dict[str, str]] = []
        self.more: list[dict[str, Any]] = []

    def stream(self, method: str, **params: Any) -> Iterator[Any]:
        yield self.call(method, **params)
        if method == "why":
            yield {"checks": self.checks}
        elif self.journal:
            yield {"last_session": SESSION, "last_event": EVENT}

    def ready(self, _seconds: float) -> bool:
        return self.journal

    def call(self, method: str, **params: Any) -> Any:
        now = self.world.moment()
        try:
            if method == "explain":
                found: PortExplained = self.world.station.explain(PortId(params["port"]), now)
                state = bodies.plain(bodies.port_state(found.port, now=now))
                return {"port": state, **explained_as_json(found, now)}
            if method == "circuit":
                one: CircuitExplained = self.world.station.explain_circuit(CircuitId(params["circuit"]), now)
                return circuit_as_json(one, now)
        except KeyError:
            raise ControlFailure("there is no such one", "look again", "unknown") from None
        ports, circuits = self.world.station.explain_all(now)
        counts = {"available": len(ports)}
        return {"wrong": [*wrong(ports, circuits, self.findings, now), *self.more], "ports": counts}


def types(asked: Asked, name: str, *words: str, columns: int = 300) -> Result:
    @contextmanager
    def connect(_path: Path, **_how: object) -> Iterator[Any]:
        try:
            yield asked
        except ControlFailure as error:
            click.echo(f"chargerctl: {error}; {error.hint}", err=True)
            raise click.exceptions.Exit(1) from error

    def near(_client: object, _name: str, error: ControlFailure) -> ControlFailure:
        return error

    commands: Mapping[str, Callable[[], click.Command]] = {
        "explain": lambda: ctl_explain.explain_command(connect, AS_JSON, _nothing, near),
        "circuit": lambda: ctl_explain.circuit_command(connect, AS_JSON, _nothing),
        "why": lambda: ctl_explain.why_command(connect, AS_JSON),
    }
    return CliRunner().invoke(commands[name](), list(words), obj=Path("s"), env={"COLUMNS": str(columns)})


def _nothing(*_given: object) -> list[Any]:
    return []


def shed(*names: str, rating: float = 6.0) -> World:
    circuit = CircuitPlan(id=SHED, rating=Amps(rating))
    ports = tuple(replace(port_plan(name, place), circuit=SHED) for place, name in enumerate(names, 1))
    world = World(site=StationPlan(ports=ports, circuits=(circuit,), queue_for=Seconds(600.0)))
    world.run(7.0)
    return world


def charging(world: World, port: str = "A01", amps: float = 1.0) -> None:
    world.draw(amps, port=port)
    world.start(port)
    world.run(10.0)


def flat(text: str) -> str:
    return " ".join(text.split())


@AT_WIDTHS
def test_a_silent_meter_is_named_first_with_its_age_what_clears_it_and_what_to_do(
    columns: int,
) -> None:
    world = shed("A01", "A02")
    charging(world)
    world.meters[PortId("A01")].silent = True
    world.run(44.0)
    result = types(Asked(world), "explain", "A01", columns=columns)
    assert result.exit_code == 1
    assert every(len(line) <= columns for line in result.stdout.splitlines())
    shown = flat(result.stdout)
    assert shown.startswith("A01 suspended: the meter meter-A01 does not answer (44 s; at most 15 s), for 44 s")
    assert "clears: by itself, when it answers again next: check the meter's supply" in shown
    assert "two new readings of meter-A01 have to agree" in shown
    assert "suspended by meter_stale for 41 s, the 1st of 3 times in an hour; the session ends in 79 s" in shown
    assert "last session S-7: overcurrent (9.10 A, limit 7.50 A), 155 Wh in 1:02:03" in shown
    assert "last event port_tripped (overcurrent_instant), 2026-11-29T20:00:00.000Z" in shown


def test_json_has_each_figure_and_what_follows_from_the_journal() -> None:
    world = shed("A01", rating=100.0)
    world.draw(8.0)
    world.start()
    world.run_until("state tripped")
    found = json.loads(types(Asked(world), "explain", "A01", "--json").stdout)
    (claim,) = found["claims"]
    assert (claim["what"], claim["code"], claim["clearing"]) == ("overcurrent_instant", "latched", "remote")
    assert (claim["measured"], claim["limit"], claim["unit"]) == (8.0, 7.5, "a")
    assert claim["since"].endswith("Z")
    assert found["port"]["state"] == "tripped"
    assert found["last_session"]["session_id"] == "S-7"


def test_a_journal_that_does_not_tell_keeps_nobody_from_the_reasons() -> None:
    world = shed("A01")
    result = types(Asked(world, journal=False), "explain", "A01")
    assert result.exit_code == 0
    assert "A01 available: free; nothing holds it, and a start would be accepted" in result.stdout
    assert "the journal has not told yet" in result.stdout
    charging(world)
    assert "A01 charging: nothing holds it. Charging." in types(Asked(world), "explain", "A01").stdout


@AT_WIDTHS
def test_a_circuit_says_what_it_carries_for_whom_it_keeps_room_and_who_waits_for_what(columns: int) -> None:
    world = shed("A01", "A02")
    charging(world, amps=4.0)
    world.start("A02")
    world.run(5.0)
    result = types(Asked(world), "circuit", "shed", columns=columns)
    assert result.exit_code == 0
    assert every(len(line) <= columns for line in result.stdout.splitlines())
    shown = flat(result.stdout)
    assert shown.startswith("shed: nothing holds it")
    assert "load 4.0 A, 552 W as the sum of its ports; rated 6.0 A, - W" in shown
    assert "room for 0.4 A, - W more" in shown
    assert "A01 charging: draws 4.00 A, 552 W; kept free 5.00 A, 1000 W" in shown
    assert "waits 1. A02 for room in shed: wants 5.0 A, 1000 W, 9:55 more at most" in shown
    assert types(Asked(world), "circuit", "barn").exit_code == 1
    assert json.loads(types(Asked(world), "circuit", "shed", "--json").stdout)["waiters"][0]["port"] == "A02"


@AT_WIDTHS
def test_all_that_is_wrong_is_told_once_and_the_worst_first(columns: int) -> None:
    world = shed("A01", "A02", "A03", rating=100.0)
    charging(world)
    world.draw(8.0, port="A02")
    world.start("A02")
    world.run(10.0)
    world.board.silent = True
    world.run(30.0)
    asked = Asked(world)
    asked.checks = [
        {"about": "disk", "verdict": "fault", "what": "12 MiB free", "then": "look what fills it"},
        {"about": "watchdog", "verdict": "warning", "what": "a machine that hangs stays so", "then": "set it"},
        {"about": "clock", "verdict": "ok", "what": "kept by the network", "then": ""},
    ]
    result = types(asked, "why", columns=columns)
    assert result.exit_code == 1
    assert every(len(line) <= columns for line in result.stdout.splitlines())
    shown = flat(result.stdout)
    assert shown.startswith("1. A01, A02, A03: the relay board relay-a does not answer, for ")
    assert shown.count("does not answer") == 1
    assert shown.index("overcurrent_instant") < shown.index("disk: 12 MiB free")
    assert "next: look what fills it" in shown
    assert "one thing is worth a look: chargerctl doctor" in shown


def test_what_is_wrong_with_a_line_is_told_instead_of_what_follows_from_it() -> None:
    world = shed("A01", "A02", rating=100.0)
    world.board.silent = True
    world.run(30.0)
    asked = Asked(world)
    asked.findings = [("line-a", Finding(cause=Cause.NO_LINE, why="No such file"), (BoardId("relay-a"),))]
    asked.checks = [{"about": "board relay-a", "verdict": "fault", "what": "it does not answer", "then": "look"}]
    shown = types(asked, "why").stdout
    first = "1. line line-a: the line is not there (No such file); it concerns A01, A02"
    assert shown.splitlines()[0] == first
    assert "does not answer" not in shown
    assert "2." not in shown


def test_where_nothing_is_wrong_that_is_said() -> None:
    asked = Asked(shed("A01", "A02"))
    result = types(asked, "why")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "nothing is wrong (2 free)"
    assert json.loads(types(asked, "why", "--json").stdout)["ok"] is True
    asked.journal = False
    assert "has not been looked at" in types(asked, "why").stdout


def test_a_board_that_would_be_heard_better_is_worth_a_look_and_hides_no_fault() -> None:
    world = shed("A01", rating=100.0)
    asked = Asked(world)
    advice = Finding(cause=Cause.WANTS_SILENCE, boards=(BoardId("relay-a"),), silence=Seconds(0.06))
    asked.findings = [("line-a", advice, advice.boards)]
    result = types(asked, "why")
    told = "worth a look: relay-a on line-a: is heard much better after a longer silence; set pre_silence_ms: 60"
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "nothing is wrong (1 free)")
    assert told in result.stdout.splitlines()[-1]
    assert json.loads(types(asked, "why", "--json").stdout)["ok"] is True
    world.board.silent = True
    world.run(30.0)
    asked.checks = [{"about": "board meter-a", "verdict": "fault", "what": "it does not answer", "then": "look"}]
    result = types(asked, "why")
    shown = result.stdout
    assert result.exit_code == 1
    assert shown.index("the relay board relay-a does not answer") < shown.index("board meter-a: it does not")
    assert shown.index("board meter-a: it does not") < shown.index("worth a look: relay-a")


def test_a_clock_that_nothing_vouches_for_is_told() -> None:
    asked = Asked(shed("A01"))
    asked.more = [{"rank": 8, "kind": "clock"}]
    assert "clock: nothing vouches for the time of day" in types(asked, "why").stdout.splitlines()[0]
    assert ClockQuality.NONE.value == "none"


def test_everything_that_can_hold_has_words() -> None:
    core = Path(station.__file__).parent
    text = "".join(path.read_text("utf-8") for path in core.rglob("*.py"))
    named = set(re.findall(r'what="(\w+)"', text)) | (WAITS.keys() - {"circuit_held"})
    named |= {f"step_{step.value}" for step in Step if step.value not in {"none", "queue", "open", "energy"}}
    assert {"relay_out_of_control", "meter_stale", "turn"} <= named
    missing = sorted(named - set(CLAIMS) - set(LATCHES))
    assert not missing, f"give {missing} their words in CLAIMS of chargerd/cli/wording_claims.py"
    assert not sorted(set(CLAIMS) - named), "words for what there is not"


def test_what_a_later_version_claims_is_shown_all_the_same() -> None:
    said = told({"what": "solar_flare", "code": None, "for_s": 7300.0, "since": "then"}, "A01")
    assert said == ("solar flare, since then", "unknown to this version", "see: journalctl -u chargerd")


def test_what_is_told_to_type_can_be_typed() -> None:
    group = chargerctl.main
    told_to_type = " ".join(str(one) for table in (CLAIMS, LATCHES, OBSTACLES, CAUSES) for one in table.values())
    named = set(re.findall(r"chargerctl ([a-z][a-z-]+)", told_to_type)) - {"tells"}
    assert {"drain", "boards", "unlock"} <= named
    assert named <= set(group.list_commands(click.Context(group)))


def test_a_drain_is_told_once_for_all_its_ports() -> None:
    world = shed("A01", "A02", "A03")
    world.disable(reason="lid broken")
    world.drain()
    faults = types(Asked(world), "why").stdout
    assert faults.count("the daemon waits for the sessions under way") == 1, faults


def test_a_file_that_is_refused_is_wrong_too() -> None:
    world = shed("A01")
    told_why: list[Any] = []
    clock = SimpleNamespace(moment=world.moment)
    refused = Problem(file="site.yaml", line=36, column=14, what="unknown circuit 'b'", hint="did you mean a?")
    Why(
        explain=lambda: world.station.explain_all(world.moment()),
        findings=tuple,
        site=load_text(BASE, "site.yaml"),
        clock=cast("Clock", clock),
        look=lambda _respond: None,
        refused=refused,
    ).serve(cast("Responder", SimpleNamespace(send=lambda told, **_how: told_why.append(told))))
    asked = Asked(world)
    asked.more = [one for one in told_why[0]["wrong"] if one["kind"] == "configuration"]
    result = types(asked, "why")
    assert result.exit_code == 1
    assert "site.yaml:36:14: unknown circuit 'b'" in result.stdout.splitlines()[0]
    assert "next: did you mean a?; then: chargerctl reload" in result.stdout
