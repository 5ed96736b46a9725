"""Text from afar does nothing to a terminal: not in tables, not in sentences, not in the log of a daemon."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.table import Table

from chargerd import log
from chargerd.cli.check import command as check
from chargerd.cli.paper import Paper
from chargerd.cli.said import echo, echo_lines, echo_over
from chargerd.cli.sessions import detailed, listed
from chargerd.contract.ledger import Json
from tests.control.test_chargerctl import PORTS, Daemon, daemon, reply, run

__all__ = ["daemon"]  # the fixture
CLI = Path(__file__).parents[2] / "chargerd" / "cli"
EXAMPLE = Path(__file__).parents[2] / "config"
EVIL = "\x1b]0;owned\x07\x1b[2J\r\n\u202e123\u2066\x9b5m[red]x[/nowhere]"
DOES_SOMETHING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800]")


def harmless(text: str) -> bool:
    return "owned" in text and DOES_SOMETHING.search(text) is None


@pytest.mark.parametrize("arguments", [("status",), ("watch", "--seconds", "1"), ("port", "A02")])
def test_no_view_of_chargerctl_lets_text_act(daemon: Daemon, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    detail: Json = {"function": EVIL, "measured": 1.0, "limit": 2.0, "unit": EVIL}
    more: dict[str, Json] = {
        "label": EVIL,
        "order_id": EVIL,
        "session_id": EVIL,
        "circuit": EVIL,
        "disabled": {"source": "remote", "reason": EVIL, "since": None, "circuit": None},
        "latches": [{"function": EVIL, "clearing": "remote", "detail": detail}],
        "blocked_by": ["disabled", "latched", EVIL],
    }
    daemon.ports = [{**one, **more} for one in PORTS]
    daemon.mqtt = {"broker": EVIL, "connected": False, "why": EVIL, "error": EVIL}
    result = run(tmp_path, *arguments, COLUMNS="200")
    assert result.exit_code == 0, result.output
    assert harmless(result.output), result.output


def test_no_reply_and_no_refusal_lets_text_act(daemon: Daemon, tmp_path: Path) -> None:
    daemon.replies = [reply("rejected", "failed", EVIL)]
    said = run(tmp_path, "start", "A01").output
    assert harmless(said), said
    assert said.count("\n") == 1, "and no line is forged"
    unknown = run(tmp_path, "port", f"Z{EVIL}").output
    assert DOES_SOMETHING.search(unknown) is None
    machine = run(tmp_path, "start", "A01", "--json").output
    assert json.loads(machine)["message"] == EVIL, "machines get it as it is, in JSON's own escapes"
    assert DOES_SOMETHING.search(machine) is None


def test_no_settlement_lets_text_act(capsys: pytest.CaptureFixture[str]) -> None:
    settled: dict[str, Any] = {
        "session_id": EVIL, "port": "A01", "ended_at": None, "stop_reason": EVIL, "energy_wh": 1, "charging_s": 2,
        "energy_quality": "exact", "order_id": EVIL,
    }  # fmt: skip
    table = Table(title=EVIL)
    table.add_column(EVIL)
    for one in (listed([settled]), detailed(settled), table, EVIL):
        Paper().print(one)
        assert harmless(capsys.readouterr().out)


@pytest.mark.parametrize("colours", [False, True])
def test_no_line_of_the_log_lets_text_act(colours: bool, capsys: pytest.CaptureFixture[str]) -> None:
    lines = io.StringIO()
    columns = log.as_columns(lines.write, colours=colours)
    for sink in (columns, log.in_words):
        error = ValueError(EVIL)
        sink(log.Level.ERROR, "ack_not_understood", {"why": EVIL, "about": {"order": EVIL}, "exc_info": error})
    own = re.compile(r"\x1b\[[0-9;]*m")
    for text in (own.sub("", lines.getvalue()) if colours else lines.getvalue(), capsys.readouterr().err):
        assert harmless(text), text
        assert "ValueError" in text


def test_check_lets_no_label_act(tmp_path: Path) -> None:
    example = next(iter(sorted(EXAMPLE.glob("*.yaml"))))
    label = json.dumps(EVIL)
    text = re.sub(
        r"^( *)label: .*$",
        rf"\1label: {label.replace(chr(92), chr(92) * 2)}",
        example.read_text(),
        flags=re.MULTILINE,
    )
    (tmp_path / "site.yaml").write_text(text)
    result = CliRunner().invoke(check, [str(tmp_path / "site.yaml")], env={"COLUMNS": "200"})
    assert DOES_SOMETHING.search(result.output) is None


def test_what_is_printed_goes_through_one_place(capsys: pytest.CaptureFixture[str]) -> None:
    echo(EVIL)
    echo(EVIL, err=True)
    echo_lines(f"one\n{EVIL}")
    echo_over(EVIL, last=True)
    told = capsys.readouterr()
    assert harmless(told.out)
    assert harmless(told.err)
    own = {"said.py", "paper.py"}
    others = {path.name: path.read_text("utf-8") for path in CLI.glob("*.py") if path.name not in own}
    direct = re.compile(r"(?<!\w)Console\(|click\.s?echo\(")
    assert {name: direct.findall(text) for name, text in others.items() if direct.search(text)} == {}
