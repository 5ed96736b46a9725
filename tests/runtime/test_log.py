"""The log: one event a line, for machines or for people."""

import json

import pytest

from chargerd import log
from chargerd.log import Level


@pytest.fixture
def lines() -> list[str]:
    return []


def test_an_event_is_one_line_of_json(lines: list[str]) -> None:
    log.configure(Level.INFO, log.as_json(lines.append))
    log.warning("line_gone", bus="shed", ports=("A01", "A02"), why=OSError("unplugged"))
    assert lines[0].count("\n") == 1
    told = json.loads(lines[0])
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "event": "line_gone",
        "level": "warning",
        "bus": "shed",
        "ports": ["A01", "A02"],
        "why": "unplugged",
    }


def test_or_one_of_columns(lines: list[str]) -> None:
    log.configure(Level.INFO, log.as_columns(lines.append))
    log.info("started", ports=3)
    (line,) = lines
    assert line.split()[1:] == ["[info", "]", "started", "ports=3"]


def test_what_is_less_grave_than_asked_for_is_not_told(lines: list[str]) -> None:
    log.configure(Level.WARNING, log.as_json(lines.append))
    for tell in (log.debug, log.info, log.warning, log.error, log.critical):
        tell("it")
    assert [json.loads(line)["level"] for line in lines] == ["warning", "error", "critical"]


@pytest.mark.parametrize("sink", [log.as_json, log.as_columns])
def test_an_exception_is_told_with_where_it_came_from(sink: object, lines: list[str]) -> None:
    assert callable(sink)
    log.configure(Level.INFO, sink(lines.append))
    kept: list[ValueError] = []
    try:
        float("odd")
    except ValueError as error:
        log.exception("failed")
        kept.append(error)
    log.critical("failed", exc_info=kept[0])
    for line in lines:
        assert "could not convert string to float" in line
        assert "test_log.py" in line


def test_without_a_sink_it_goes_to_whatever_stderr_is_now(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Level.INFO)
    log.error("failed")
    assert "failed" in capsys.readouterr().err


def test_and_says_where_an_exception_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Level.INFO)
    try:
        float("odd")
    except ValueError:
        log.exception("failed", why="odd")
    said = capsys.readouterr().err
    assert said.startswith("error: failed why=odd\n")
    assert "could not convert string to float" in said
