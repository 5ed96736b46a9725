import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chargerd.contract.ledger import Batch, LedgerSpan, Reply, RowKind
from chargerd.contract.payloads import EventBody
from chargerd.core.units import CommandId, PortId, SessionId
from chargerd.store.errors import StoreError
from chargerd.store.start import LAST_WORDS
from tests.judging import every
from tests.patience import PATIENCE_S
from tests.store.kit import (
    NOON_MS,
    HandClock,
    Opened,
    command,
    connection_of,
    entry,
    got,
    identity,
    latch,
    open_journal,
    record,
    warmth,
)

Open = Callable[..., Opened]


def reply(name: str, status: str) -> Reply:
    return Reply(command=CommandId(name), body={"status": status})


# Life


def test_a_new_journal_knows_nothing_and_is_nobodys_to_read(path: Path, opened: Opened) -> None:
    recovery = opened.journal.recovery
    assert (recovery.boot, recovery.starts, recovery.salvaged, recovery.latches_unknown) == (1, 1, None, False)
    assert (recovery.sessions, recovery.latches, recovery.unfinished, dict(recovery.known_ids)) == ((), (), (), {})
    assert opened.journal.span() == LedgerSpan(stream=recovery.stream, first=1, last=0, acked=0)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_it_is_set_up_to_survive_a_power_cut(opened: Opened) -> None:
    db = connection_of(opened.journal)
    settings = {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive", "foreign_keys": 1}
    assert {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in settings} == settings
    tables = db.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
    assert {name for name, strict in tables if not strict and not name.startswith("sqlite_")} == set()


def test_a_second_daemon_is_told_to_stay_away(path: Path, opened: Opened) -> None:
    assert opened.write(Batch())
    with pytest.raises(StoreError, match="another daemon has it open; stop that one"):
        open_journal(path)
    assert opened.write(Batch(entries=(entry(),)))


def test_starts_and_boots_are_counted(open_: Open) -> None:
    seen = []
    for boot_id in ("boot-a", "boot-a", "boot-b", "boot-a"):
        opened = open_(boot_id=boot_id)
        seen.append((opened.journal.recovery.boot, opened.journal.recovery.starts))
        opened.close()
    assert seen == [(1, 1), (1, 2), (2, 3), (1, 4)]


def test_it_says_what_to_do_where_it_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="check that its folder"):
        open_journal(tmp_path / "file" / "journal.db")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StoreError, match="check that its folder"):
        open_journal(tmp_path / "folder.db")


def test_the_thread_ticks_while_idle(opened: Opened) -> None:
    opened.clock.advance(5.0)
    opened.settle()
    assert opened.journal.last_turn == opened.clock.now()


def test_what_was_queued_before_the_start_and_before_the_end_is_written(open_: Open) -> None:
    opened = open_(start=False)
    opened.journal.append(Batch(entries=(entry(),)))
    opened.journal.start()
    for _ in range(200):
        opened.journal.append(Batch(entries=(entry(),)))
    assert opened.close()
    assert open_().journal.span().last == 201


def test_a_journal_never_started_writes_what_it_was_given_when_it_closes(open_: Open) -> None:
    opened = open_(start=False)
    opened.journal.append(Batch(latches=(latch(),)))
    assert opened.close()
    assert open_().journal.recovery.latches == (latch(),)


def test_after_the_end_nothing_is_taken_and_everybody_is_told(opened: Opened) -> None:
    opened.close()
    assert opened.write(Batch(entries=(entry(),))) is False
    assert opened.rows() == []
    assert opened.lookup("c1", "s1") == (None, True)
    with pytest.raises(StoreError, match="cannot be read"):
        opened.journal.verify_settlements()


def test_a_question_does_not_wait_for_ever(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargerd.store.journal.ASK_TIMEOUT_S", 0.01)
    leave = threading.Event()

    def linger(_done: bool) -> None:
        leave.wait()

    opened.journal.append(Batch(), linger)
    with pytest.raises(StoreError, match="cannot be read"):
        opened.journal.verify_settlements()
    leave.set()


def test_settlements_of_a_closed_journal_cannot_be_read(open_: Open) -> None:
    opened = open_(start=False)
    opened.close()
    with pytest.raises(StoreError, match="cannot be read"):
        opened.journal.verify_settlements()


def test_an_error_nobody_foresaw_ends_the_thread_and_is_reported(path: Path) -> None:
    opened = open_journal(path)
    ended = threading.Event()
    opened.journal._writer._on_crash = lambda error: (opened.crashes.append(error), ended.set())  # type: ignore[func-returns-value,assignment] # noqa: SLF001 - a fault on purpose

    def careless(_done: bool) -> None:
        raise RuntimeError("careless")

    opened.journal.append(Batch(), careless)
    assert ended.wait(PATIENCE_S)
    assert [str(error) for error in opened.crashes] == ["careless"]
    opened.close()
    assert opened.write(Batch()) is False


def test_an_error_of_the_program_is_not_taken_for_a_full_disk(path: Path) -> None:
    opened = open_journal(path)
    connection_of(opened.journal).execute("DROP TABLE acknowledgements")
    connection_of(opened.journal).execute("CREATE TABLE acknowledgements (through, wall_ms CHECK (through < 0))")
    opened.journal.append(Batch(entries=(entry(),)))
    opened.journal.acknowledge(opened.journal.span().stream, 1)
    opened.close()
    assert [type(error) for error in opened.crashes] == [sqlite3.IntegrityError]
    assert opened.health == []


# Sessions and latches


def test_sessions_are_open_until_ended_and_overwritten_by_checkpoints(open_: Open) -> None:
    opened = open_()
    assert opened.write(Batch(sessions=(record("s1"), record("s2", port="A02"))))
    assert opened.write(Batch(sessions=(record("s1", energy=7.0),)))
    assert opened.write(Batch(sessions=(record("s3"),), ended=(SessionId("s2"), SessionId("s3"))))
    opened.close()
    assert open_().journal.recovery.sessions == (record("s1", energy=7.0),)


def test_a_session_id_stays_used_after_the_session(opened: Opened) -> None:
    opened.journal.append(Batch(sessions=(record("s1"),)))
    opened.journal.append(Batch(ended=(SessionId("s1"), SessionId("never begun"))))
    used = [
        got(lambda deliver, name=name: opened.journal.has_session(SessionId(name), deliver))  # type: ignore[misc]
        for name in ("s1", "never begun", "s2")
    ]
    assert used == [True, True, False]


def test_latches_survive_and_are_cleared_by_port_before_new_ones_are_set(open_: Open) -> None:
    opened = open_()
    kept = latch("A01", "kept")
    opened.journal.append(Batch(latches=(latch("A01", "one"), latch("A01", "two"), latch("A02", "other"))))
    opened.journal.append(Batch(latches=(kept,), cleared=(PortId("A01"),)))
    opened.close()
    assert open_().journal.recovery.latches == (kept, latch("A02", "other"))


# Commands


def test_a_command_is_remembered_with_its_newest_reply(open_: Open) -> None:
    opened = open_()
    assert opened.write(Batch(commands=(command("c1"), command("c2"), command("c3"))))
    opened.journal.append(Batch(replies=((reply("c1", "accepted"), False), (reply("c2", "accepted"), False))))
    opened.journal.append(Batch(replies=((reply("c2", "done"), True), (reply("nobody's", "done"), True))))
    assert got(lambda deliver: opened.journal.reply_of(CommandId("c2"), deliver)) == reply("c2", "done")
    assert got(lambda deliver: opened.journal.reply_of(CommandId("c3"), deliver)) is None
    assert got(lambda deliver: opened.journal.reply_of(CommandId("c4"), deliver)) is None
    known, used = opened.lookup("c1")
    assert known is not None
    assert (known.reply, known.final, used) == (reply("c1", "accepted"), False, False)
    opened.close()
    recovery = open_().journal.recovery
    assert [one.command for one in recovery.unfinished] == ["c1", "c3"]
    assert recovery.unfinished[0].reply == reply("c1", "accepted")
    assert [(one.command, one.reply) for one in recovery.last_words] == [("c2", reply("c2", "done"))]
    assert recovery.known_ids == {"c1": "d1", "c2": "d1", "c3": "d1"}


def test_the_newest_last_words_are_found_and_what_cannot_be_read_is_passed_over(open_: Open, path: Path) -> None:
    opened = open_()
    names = [f"c{number}" for number in range(LAST_WORDS + 2)]
    assert opened.write(Batch(commands=tuple(map(command, names))))
    for name in names:
        assert opened.write(Batch(replies=((reply(name, "done"), True),)))
    opened.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE commands SET data = 'rubbish' WHERE command = 'c5'")
    assert [one.command for one in open_().journal.recovery.last_words] == [n for n in names[2:] if n != "c5"]


@pytest.mark.parametrize("digest", ["d1", "d2"])
def test_a_command_known_already_is_neither_overwritten_nor_carried_out_again(opened: Opened, digest: str) -> None:
    assert opened.write(Batch(commands=(command("c1"),)))
    assert not opened.write(Batch(commands=(command("c1", digest=digest),), entries=(entry(),)))
    opened.journal.append(Batch(commands=(command("c1", digest="d3"),)))
    known, _ = opened.lookup("c1")
    assert known == command("c1")
    assert opened.journal.span().last == 0
    assert opened.health == []


def test_two_starts_that_come_together_cannot_have_one_session_id(opened: Opened) -> None:
    assert opened.lookup("c1", "s1") == (None, False)
    assert opened.lookup("c2", "s1") == (None, True)
    assert opened.lookup("c1", "s1") == (None, False)
    opened.journal.append(Batch(commands=(command("c1", session="s1"),)))
    opened.journal.append(Batch(replies=((reply("c2", "rejected"), True),)))
    assert opened.lookup("c3", "s1") == (None, True)
    opened.journal.append(Batch(replies=((reply("c1", "rejected"), True),)))
    assert opened.lookup("c4", "s1") == (None, False)
    opened.journal.append(Batch(sessions=(record("s1"),)))
    assert opened.lookup("c4", "s1") == (None, True)


# Ledger


def test_rows_are_numbered_without_gaps_across_restarts(open_: Open) -> None:
    opened = open_()
    told: list[int] = []
    opened.journal.on_appended = told.append
    assert opened.write(Batch(entries=(entry({"n": 1}), entry({"n": 2}, kind=RowKind.SESSION))))
    assert opened.write(Batch(sessions=(record(),)))
    assert opened.journal.on_appended is not None
    assert told == [2]
    stream = opened.journal.span().stream
    opened.close()
    opened = open_()
    assert opened.write(Batch(entries=(entry({"n": 3}),)))
    rows = opened.rows()
    assert [(row.stream, row.seq, row.kind.value, row.body) for row in rows] == [
        (stream, 1, "event", {"n": 1}),
        (stream, 2, "session", {"n": 2}),
        (stream, 3, "event", {"n": 3}),
    ]
    assert rows[0].moment == entry().moment
    assert opened.journal.span() == LedgerSpan(stream=stream, first=1, last=3, acked=0)


def test_rows_are_read_in_pieces(opened: Opened) -> None:
    opened.journal.append(Batch(entries=tuple(entry({"n": n}) for n in range(10))))
    assert [row.seq for row in opened.rows(after=3, limit=4)] == [4, 5, 6, 7]
    assert opened.rows(after=10) == []


def test_an_acknowledgement_only_ever_goes_forward(open_: Open) -> None:
    opened = open_()
    opened.journal.append(Batch(entries=tuple(entry() for _ in range(10))))
    stream = opened.journal.recovery.stream
    refused: list[int] = []
    for through, of in ((4, stream), (2, stream), (7, "another stream"), (11, stream), (3, stream)):
        opened.journal.acknowledge(of, through, lambda through=through: refused.append(through))  # type: ignore[misc]
    opened.journal.acknowledge(stream, 12)
    opened.settle()
    assert (opened.journal.span().acked, refused) == (4, [11])
    opened.close()
    assert open_().journal.span().acked == 4


def test_settlements_are_chained_and_the_chain_shows_what_was_done_to_it(open_: Open) -> None:
    opened = open_()
    assert opened.journal.verify_settlements() == ()
    for number in range(3):
        opened.journal.append(
            Batch(entries=(entry({"event": "x"}), entry({"n": number, "big": 2**63}, settlement=True)))
        )
    opened.settle()
    assert opened.journal.verify_settlements() == ()
    history = got(lambda deliver: opened.journal.history(2, deliver))
    assert [row.body["n"] for row in history] == [2, 1]
    assert every("digest" not in row.body for row in opened.rows() if "n" not in row.body)
    opened.close()
    opened = open_(start=False)
    opened.journal.append(Batch(entries=(entry({"n": 3}, settlement=True),)))
    assert opened.journal.verify_settlements() == ()
    opened.close()
    opened = open_()
    assert opened.journal.verify_settlements() == ()
    connection_of(opened.journal).execute("DELETE FROM ledger WHERE seq = 4")
    assert opened.journal.verify_settlements() == (
        "row 6: does not follow row 2; a settlement is missing or changed",
    )


def test_the_newest_row_is_known_after_a_restart_if_it_can_be_read(path: Path, open_: Open) -> None:
    first = open_()
    assert first.journal.recovery.newest is None
    first.write(Batch(entries=(entry({"event": "one"}), entry({"event": "two"}))))
    first.journal.close(PATIENCE_S)
    second = open_()
    assert second.journal.recovery.newest == {"event": "two"}
    second.journal.close(PATIENCE_S)
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE ledger SET body = 'no JSON' WHERE seq = 2")
    db.close()
    newest = open_().journal.recovery.newest
    assert newest is not None
    assert newest["event"] == "gap"


def test_how_warm_a_port_is_survives_and_is_overwritten(open_: Open) -> None:
    first = open_()
    first.write(Batch(warmths=(warmth("A01", 0.9), warmth("A02", 0.3))))
    first.write(Batch(warmths=(warmth("A01", 0.7),)))
    first.journal.close(PATIENCE_S)
    assert open_().journal.recovery.warmths == (warmth("A01", 0.7), warmth("A02", 0.3))


def test_who_boards_are_survives_and_is_overwritten(open_: Open) -> None:
    first = open_()
    first.write(Batch(identities=(identity("meter", 1), identity("relay", 2, 3))))
    first.write(Batch(identities=(identity("meter", 4),)))
    first.journal.close(PATIENCE_S)
    assert open_().journal.recovery.identities == (identity("meter", 4), identity("relay", 2, 3))


def test_connections_are_counted_across_restarts(open_: Open) -> None:
    counts = []
    for _ in range(2):
        opened = open_(clock=HandClock(wall_ms=None))
        counts += [got(opened.journal.count_connection) for _ in range(2)]
        opened.close()
    assert counts == [1, 2, 3, 4]


def test_a_clock_that_is_set_does_not_move_the_count(open_: Open) -> None:
    clock = HandClock(wall_ms=None)
    opened = open_(clock=clock)
    assert got(opened.journal.count_connection) == 1
    clock.wall_ms = NOON_MS
    assert got(opened.journal.count_connection) == 2


@pytest.mark.parametrize(
    "damage",
    [
        "body = 'no JSON'",
        "body = '[]'",
        "body = CAST(x'7b22ff' AS TEXT)",
        "kind = 'gossip'",
        "kind = CAST(x'ff' AS TEXT)",
        "clock = 'sundial'",
    ],
)
def test_a_row_that_cannot_be_read_is_a_gap_and_those_beside_it_are_read(opened: Opened, damage: str) -> None:
    assert opened.write(Batch(entries=tuple(entry({"n": number}) for number in range(1, 4))))
    connection_of(opened.journal).execute(f"UPDATE ledger SET {damage} WHERE seq = 2")
    first, gap, last = opened.rows()
    assert (first.body, last.body) == ({"n": 1}, {"n": 3})
    assert (gap.seq, gap.kind, gap.stream) == (2, RowKind.EVENT, first.stream)
    body = EventBody.model_validate(dict(gap.body))
    assert (body.event, body.since_seq, body.to) == ("gap", 2, 2)
    assert opened.health == []


def test_a_session_is_on_disk_before_its_caller_hears_of_it(path: Path, opened: Opened) -> None:
    # Read past SQLite, as after a power cut: the log's file must hold it when `done` is called.
    found = got(
        lambda deliver: opened.journal.append(
            Batch(sessions=(record("written-ahead"),)),
            lambda _done: deliver(b"written-ahead" in path.with_name("journal.db-wal").read_bytes()),
        )
    )
    assert found


def test_clocks_without_a_wall_time_are_kept_as_such(open_: Open) -> None:
    opened = open_(clock=HandClock(wall_ms=None))
    assert opened.write(Batch(commands=(command(),), entries=(entry(),)))
    opened.journal.acknowledge(opened.journal.span().stream, 1)
    opened.settle()
    opened.close()
    assert open_(clock=HandClock(wall_ms=None)).journal.recovery.known_ids == {"c1": "d1"}
