"""What `chargerctl boards` shows of a board whose answers cannot be true."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from chargerd.cli.boards import CAUSES, command
from chargerd.core.events import Event, LineAccepted
from chargerd.core.units import BoardId, Instant, Seconds
from chargerd.modbus.diagnosis import BusStatistics, Cause, Finding, LineState, diagnose
from chargerd.modbus.health import BUCKETS, BoardHealth, Bounds
from chargerd.runtime.local.lines import Lines, bus_as_json, finding_as_json

BOUNDS = Bounds(usual=Seconds(0.2), least=Seconds(0.05), most=Seconds(1.0))


def told(untrue: int) -> dict[str, Any]:
    now = Instant(10.0)
    health = BoardHealth(bounds=BOUNDS)
    health.answered(Seconds(0.004), now)
    one = health.statistics(BoardId("meter-a1"), now, misses=0, lost=False, not_before=now)
    boards = (replace(one, implausible=untrue, untrue=0.5 if untrue else 0.0),)
    findings = diagnose(boards, LineState(connected=True))
    bus = BusStatistics(bus="shed-a", connected=True, transactions=1, boards=boards, late=(), findings=findings)
    return {"buses": [bus_as_json(bus)], "latency_up_to_ms": [*(edge * 1000 for edge in BUCKETS), None]}


class Client:
    def __init__(self, untrue: int) -> None:
        self.untrue = untrue

    def call(self, _method: str) -> dict[str, Any]:
        return told(self.untrue)


def shown(untrue: int) -> str:
    @contextmanager
    def connect(_path: Path, **_how: object) -> Iterator[Any]:
        yield Client(untrue)

    option = click.option("--json", "as_json", is_flag=True)
    result = CliRunner().invoke(command(connect, option), obj=Path("socket"))
    assert result.exit_code == 0, result.output
    return result.stdout


class Told:
    """Whoever has asked."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def send(self, result: Any, *, more: bool = False) -> None:
        assert not more
        self.said.append(result)

    def fail(self, code: str, message: str, hint: str = "") -> None:
        self.said.append((code, message, hint))


def test_a_line_that_has_changed_is_named_and_accepted() -> None:
    bus = BusStatistics(bus="shed-a", connected=True, transactions=1, boards=(), late=(), findings=())
    changed = {"shed-a": (BoardId("meter-a1"),)}
    events: list[Event] = []
    lines, told = Lines(lambda: [bus, replace(bus, bus="shed-b")], lambda: changed, events.append), Told()
    lines.methods["boards"]({}, told)  # type: ignore[arg-type]  # all that is used of a responder
    found = [[(one["cause"], one["boards"]) for one in each["findings"]] for each in told.said[0]["buses"]]
    assert found == [[("line_changed", ["meter-a1"])], []]
    for name in ("shed-b", "shed-a"):
        lines.methods["accept-line"]({"bus": name}, told)  # type: ignore[arg-type]  # see above
    assert told.said[1] == ("unchanged", "there is nothing to accept on 'shed-b'", "changed are shed-a")
    assert told.said[2] == {"bus": "shed-a", "boards": ["meter-a1"]}
    assert events == [LineAccepted(line="shed-a")]
    changed.clear()
    lines.methods["accept-line"]({"bus": "shed-a"}, told)  # type: ignore[arg-type]  # see above
    assert told.said[3][2] == "no line has changed"


@pytest.mark.parametrize("untrue", [0, 7])
def test_answers_that_cannot_be_true_are_counted_where_there_are_any(untrue: int) -> None:
    said = shown(untrue)
    assert ("UNTRUE" in said) is bool(untrue)
    assert ("meter-a1: it answers what cannot be true (50%)" in said) is bool(untrue)
    row = next(line for line in said.splitlines() if line.startswith("meter-a1"))
    assert row.split()[1:6] == (["1", "0", "0", "0", "7"] if untrue else ["1", "0", "0", "0", "<5"])


def test_an_adapter_that_hears_itself_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hears itself" not in shown(0)
    found = told(0)
    found["buses"][0]["hears_itself"] = True
    monkeypatch.setattr(Client, "call", lambda _self, _method: found)
    assert "shed-a: connected, 1 transactions, the adapter hears itself" in shown(0)


def test_every_cause_is_told_in_a_technicians_words_with_what_to_do() -> None:
    assert {cause.value for cause in Cause} == set(CAUSES)


def test_the_systems_reason_and_a_suggestion_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(0)
    gone = Finding(cause=Cause.NO_PERMISSION, why="Permission denied: '/dev/ttyS1'")
    wants = Finding(cause=Cause.WANTS_SILENCE, boards=(BoardId("meter-a1"),), silence=Seconds(0.02))
    found["buses"][0]["findings"] = [finding_as_json(one) for one in (gone, wants)]
    monkeypatch.setattr(Client, "call", lambda _self, _method: found)
    said = " ".join(shown(0).split())
    assert (
        "shed-a: the system does not let chargerd open the device (Permission denied: '/dev/ttyS1'); put" in said
    )
    assert "meter-a1: is heard much better after a longer silence; set pre_silence_ms: 20 for it" in said
