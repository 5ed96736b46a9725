"""What only the log would tell is kept; none of it without end, and nothing grave is left to the log alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from chargerd import log
from chargerd.cli.event_words import SENTENCES
from chargerd.contract.ledger import Batch, Json
from chargerd.core.units import Seconds
from chargerd.runtime.reporting import notes
from chargerd.runtime.reporting.notes import KEPT, MOST_AN_HOUR, SAME_AGAIN_AFTER, Notes
from tests.logs import tell_all
from tests.store.kit import HandClock

CHARGERD = Path(__file__).parents[2] / "chargerd"
DAEMON = ("runtime", "modbus", "mqtt", "store", "control", "daemon.py")
ELSEWHERE = {
    "board_not_prepared": "an event of the ledger",
    "broker_falls_short": "an event of the ledger",
    "dead_letter": "an alarm of the ledger, and a gap",
    "foreign_answers": "an event of the ledger",
    "giving_up": "gateway_failed of the ledger",
    "journal_closed_early": "there is no journal any more",
    "journal_damaged": "the journal is not there yet: journal_was_damaged follows",
    "journal_is_closed": "there is no journal any more",
    "journal_crashed": "thread_died follows",
    "journal_not_closed_cleanly": "there is no journal any more",
    "journal_not_kept_before_upgrade": "the journal is not there yet",
    "journal_not_to_be_had": "store_unavailable of the ledger",
    "journal_restored": "the journal is not there yet",
    "journal_row_unreadable": "the journal is not there yet: journal_was_damaged follows",
    "journal_rows_refused": "the journal is not there yet: journal_was_damaged follows",
    "journal_salvaged": "the journal is not there yet: journal_was_damaged follows",
    "journal_table_damaged": "the journal is not there yet: journal_was_damaged follows",
    "latches_were_lost": "a lock-out of every port",
    "main_thread_failed": "gateway_failed of the ledger",
    "no_ballast": "each time the journal is tidied: doctor tells of the disk",
    "proof_failed": "told to whoever proves the wiring",
    "proof_not_kept": "told to whoever proves the wiring",
    "proof_not_readable": "told to whoever goes on with it: it begins anew",
    "relays_not_listed": "before there is a journal",
    "client_failed": "thread_died follows",
}
"""What is grave enough for a person to see, and stands elsewhere."""


class Ear:
    """A log, and the journal that is to keep what is worth it."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.kept: list[dict[str, Json]] = []
        log.listen(Notes(self._append, self.clock, online=lambda: True))

    def _append(self, batch: Batch) -> None:
        assert batch == Batch(notes=batch.notes)
        self.kept += [dict(one.body) for one in batch.notes]


@pytest.fixture
def ear() -> Iterator[Ear]:
    log.configure(log.Level.SILENCE)
    yield Ear()
    log.listen(None)
    tell_all()


def test_a_line_that_is_gone_says_why_though_the_log_is_silent(ear: Ear) -> None:
    log.warning("line_gone", bus="line-a", why="unplugged")
    log.info("line_open", bus="line-a")
    log.info("session_started", port="A01")
    log.debug("line_missing", bus="line-a", why="still")
    assert ear.kept == [
        {"event": "line_gone", "severity": "warning", "bus": "line-a", "reason": "unplugged"},
        {"event": "line_open", "severity": "info", "bus": "line-a"},
    ]


def test_a_broker_s_reason_has_its_code_and_its_remedy(ear: Ear) -> None:
    log.warning("not_connected", broker="b:8883", reason="no_such_name", why="no such name", then="mend it")
    (kept,) = ear.kept
    assert kept == {
        "event": "not_connected",
        "severity": "warning",
        "reason": "no such name",
        "broker": "b:8883",
        "code": "no_such_name",
        "then": "mend it",
    }


def test_the_same_again_is_counted_and_another_is_told(ear: Ear) -> None:
    for _ in range(5):
        log.warning("line_gone", bus="line-a", why="unplugged")
    log.warning("line_gone", bus="line-b", why="unplugged")
    ear.clock.advance(SAME_AGAIN_AFTER)
    log.warning("line_gone", bus="line-a", why="unplugged")
    assert [(one["bus"], one.get("times_before")) for one in ear.kept] == [
        ("line-a", None),
        ("line-b", None),
        ("line-a", 4),
    ]


def test_no_kind_takes_the_room_of_others(ear: Ear) -> None:
    for number in range(MOST_AN_HOUR + 20):
        log.warning("command_refused", command=f"c{number}", name=f"n{number}", code="malformed")
    log.warning("line_gone", bus="line-a", why="unplugged")
    assert len(ear.kept) == MOST_AN_HOUR + 1
    ear.clock.advance(Seconds(3600.0))
    log.warning("command_refused", command="c", name="start", code="locked_out")
    assert ear.kept[-1]["times_before"] == 20


def test_what_is_remembered_of_them_has_an_end(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "MOST_REMEMBERED", 2)
    for bus in ("a", "b", "c", "a"):
        log.warning("line_gone", bus=bus, why="unplugged")
    assert [one["bus"] for one in ear.kept] == ["a", "b", "c", "a"]


def test_an_exception_is_named_and_a_text_is_cut(ear: Ear) -> None:
    log.critical("thread_died", exc_info=ValueError("nonsense"))
    log.critical("decision_failed", event_type="MeterReading", exc_info=True)  # noqa: LOG014 - what is told then
    log.warning("line_missing", bus="b", why="x" * 1000)
    assert [one["reason"] for one in ear.kept[:2]] == ["ValueError: nonsense", "see the log"]
    assert len(str(ear.kept[2]["reason"])) == notes.LONGEST


def grave(path: Path) -> Iterator[str]:
    """Yield the names of what a file tells the log as a warning, or graver."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {
            "log.warning", "log.error", "log.exception", "log.critical",
        }:  # fmt: skip
            name = node.args[0]
            if isinstance(name, ast.Constant):
                yield str(name.value)


def test_nothing_grave_is_told_to_the_log_alone() -> None:
    files = [
        file
        for part in DAEMON
        for file in ([CHARGERD / part] if part.endswith(".py") else (CHARGERD / part).rglob("*.py"))
    ]
    told = {name for file in files for name in grave(file)}
    missing = sorted(told - set(KEPT) - set(ELSEWHERE))
    assert not missing, f"{missing}: in KEPT of chargerd/runtime/reporting/notes.py, or here with where it stands"
    assert not set(ELSEWHERE) - told, "and nothing stands here that is not told any more"


def test_each_kind_of_note_has_words() -> None:
    assert not set(KEPT) - set(SENTENCES)
