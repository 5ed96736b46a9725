"""Damaged, half-made, foreign and older files: nothing vanishes without being said so."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from chargerd.contract.ledger import Batch, Body
from chargerd.store import files, salvage, schema
from chargerd.store.backup import MARK, MARK_AT
from chargerd.store.codec import SESSION
from chargerd.store.errors import DamagedError, RefusedError, StoreError
from chargerd.store.place import Upkeep
from chargerd.store.tables import Tables
from tests.judging import every
from tests.store.kit import Opened, command, entry, latch, open_journal, record

Open = Callable[..., Opened]
PAGE = 4096


@pytest.fixture
def filled(path: Path) -> str:
    """A closed journal with something in every table; returns its stream."""
    opened = open_journal(path)
    for number in range(60):
        body: Body = {"n": number, "text": "x" * 300}
        opened.journal.append(Batch(entries=(entry(body, settlement=number % 2 == 0),)))
    opened.journal.append(Batch(sessions=(record("s1"),), latches=(latch(),), commands=(command("c1"),)))
    opened.settle()
    opened.journal.acknowledge(opened.journal.span().stream, 10)
    opened.settle()
    opened.close()
    return opened.journal.recovery.stream


def run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def page_of(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()[0])


def aside(path: Path, number: int = 1) -> Path:
    return path.with_name(f"journal.db.damaged-{number}")


def test_a_file_that_is_no_database_is_moved_aside_and_nobody_claims_to_know_its_latches(
    path: Path, filled: str, open_: Open
) -> None:
    path.write_bytes(b"not a database at all" * 1000)
    opened = open_()
    recovery = opened.journal.recovery
    assert recovery.salvaged == str(aside(path))
    assert aside(path).read_bytes().startswith(b"not a database")
    assert recovery.latches_unknown
    assert recovery.stream != filled
    assert (recovery.latches, recovery.sessions) == ((), ())
    assert opened.journal.span().last == 0


def test_a_file_cut_to_nothing_is_not_taken_for_a_new_one(path: Path, filled: str, open_: Open) -> None:
    path.write_bytes(b"")
    recovery = open_().journal.recovery
    assert (recovery.salvaged, recovery.latches_unknown) == (str(aside(path)), True)
    assert recovery.stream != filled


def test_a_damaged_ledger_costs_no_latch_no_session_and_no_command(path: Path, filled: str, open_: Open) -> None:
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT pageno FROM dbstat WHERE name = 'ledger' AND pagetype = 'leaf' ORDER BY pageno"
        try:
            pages = [number for (number,) in db.execute(query)]
        except sqlite3.OperationalError:
            pytest.skip("this SQLite does not tell where its pages are")
    overwrite(path, (pages[len(pages) // 2] - 1) * PAGE, b"\xff" * PAGE)
    opened = open_()
    recovery = opened.journal.recovery
    assert recovery.salvaged == str(aside(path))
    assert not recovery.latches_unknown
    assert (recovery.latches, recovery.sessions) == ((latch(),), (record("s1"),))
    assert [one.command for one in recovery.unfinished] == ["c1"]
    assert recovery.boot == 1
    assert recovery.stream != filled
    rows = opened.rows()
    numbers = [row.body["n"] for row in rows]
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert numbers[0] == 10, "acknowledged rows are left behind"
    assert numbers[-1] == 59, "rows behind the damage are read from the other end"
    assert len(numbers) < 50
    assert opened.lookup("c9", "s1") == (None, True)
    problems = opened.journal.verify_settlements()
    assert problems
    assert every("is missing or changed" in problem for problem in problems)
    assert opened.write(Batch(entries=(entry(settlement=True),)))
    assert opened.journal.verify_settlements() == problems


def leaves(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT pageno FROM dbstat WHERE name = 'ledger' AND pagetype = 'leaf' ORDER BY path"
        try:
            return [number for (number,) in db.execute(query)]
        except sqlite3.OperationalError:
            pytest.skip("this SQLite does not tell where its pages are")


@pytest.mark.parametrize("damaged", [{1, 4}, {0, 3}, {0, 2, 5}, {1, 3, -1}, {0, -1}])
def test_what_lies_between_damaged_pages_is_read(path: Path, filled: str, open_: Open, damaged: set[int]) -> None:
    run(path, "UPDATE state SET acked = 0")
    pages = leaves(path)
    assert len(pages) >= 7
    lost = {number % len(pages) for number in damaged}
    with closing(sqlite3.connect(path)) as db:
        before = [number for (number,) in db.execute("SELECT count(*) FROM ledger")]
    for number in lost:
        overwrite(path, (pages[number] - 1) * PAGE, b"\xff" * PAGE)
    opened = open_()
    numbers = [row.body["n"] for row in opened.rows()]
    assert before == [60]
    assert opened.journal.recovery.stream != filled
    each = -(-60 // len(pages)) + 1
    assert 60 - len(numbers) <= len(lost) * each, f"{numbers} of {len(pages)} pages, {lost} of them damaged"
    assert numbers == sorted(map(int, map(str, numbers)))


def test_damaged_latches_are_called_unknown_until_latches_are_written(
    path: Path, filled: str, open_: Open
) -> None:
    overwrite(path, (page_of(path, "latches") - 1) * PAGE, b"\xff" * PAGE)
    opened = open_()
    assert opened.journal.recovery.latches_unknown
    assert opened.journal.recovery.sessions == (record("s1"),)
    assert opened.journal.recovery.stream != filled
    opened.close()
    opened = open_()
    assert opened.journal.recovery.latches_unknown, "a restart does not make them known"
    assert opened.journal.recovery.salvaged is None, "said once"
    assert opened.write(Batch(sessions=(record("s2"),), cleared=(latch().port,)))
    opened.close()
    opened = open_()
    assert opened.journal.recovery.latches_unknown, "nor does anything but latches"
    assert opened.write(Batch(latches=(latch(),)))
    opened.close()
    assert not open_().journal.recovery.latches_unknown


def test_unknown_latches_stay_unknown_when_the_next_file_is_damaged_too(
    path: Path, filled: str, open_: Open
) -> None:
    overwrite(path, (page_of(path, "latches") - 1) * PAGE, b"\xff" * PAGE)
    open_().close()
    run(path, "UPDATE sessions SET record = 'nonsense'")
    recovery = open_().journal.recovery
    assert (recovery.salvaged, recovery.latches_unknown) == (str(aside(path, 2)), True)
    assert recovery.stream != filled


@pytest.mark.parametrize(
    ("statement", "latches_unknown"),
    [
        ("UPDATE latches SET latch = 'nonsense'", True),
        ("UPDATE sessions SET record = 'nonsense'", False),
        ("UPDATE commands SET data = 'nonsense'", False),
        ("DELETE FROM state", True),
        ("DROP TABLE latches", True),
        ("DROP TABLE commands", False),
    ],
)
def test_what_does_not_read_as_it_should_makes_a_damaged_file(
    path: Path, filled: str, open_: Open, statement: str, *, latches_unknown: bool
) -> None:
    run(path, statement)
    opened = open_()
    assert opened.journal.recovery.salvaged == str(aside(path))
    assert opened.journal.recovery.latches_unknown is latches_unknown
    assert opened.journal.recovery.stream != filled
    assert [row.body["n"] for row in opened.rows()][-1] == 59
    assert opened.journal.verify_settlements() == ()


def test_rows_that_fit_no_table_are_left_out_one_by_one(path: Path) -> None:
    path.parent.mkdir()
    found = salvage.Salvage(latches_unknown=False)
    good = (7, "event", "{}", 1.0, 1, None, "none", 0, 0, None)
    found.rows = {
        "ledger": [good, (8, "event", "{}", "late", 1, None, "none", 0, 0, None), (9, *good[1:])],
        "latches": [("A01", "f", None)],
    }
    salvage.write(path, found, aside(path))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT seq FROM ledger").fetchall() == [(1,), (2,)]
        assert db.execute("SELECT last, latches_unknown, settled FROM state").fetchone() == (2, 1, None)


@pytest.mark.parametrize(("body", "digest"), [('{"digest": "ab"}', "ab"), ('{"digest": 5}', None), ("{}", None)])
def test_the_chain_goes_on_from_the_last_settlement_that_can_be_read(
    path: Path, body: str, digest: str | None
) -> None:
    path.parent.mkdir()
    found = salvage.Salvage(rows={"ledger": [(7, "session", body, 1.0, 1, None, "none", 0, 1, None)]})
    salvage.write(path, found, aside(path))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT settled FROM state").fetchone() == (digest,)


def test_a_new_boot_gets_no_number_that_a_session_speaks_of(path: Path, open_: Open) -> None:
    path.parent.mkdir()
    kept = replace(record("s1"), at=replace(record("s1").at, boot=7))
    found = salvage.Salvage(rows={"sessions": [("s1", SESSION.dump(kept))]}, latches_unknown=False)
    salvage.write(path, found, aside(path))
    recovery = open_().journal.recovery
    assert (recovery.boot, recovery.sessions) == (8, (kept,))


def test_what_is_settled_is_not_open_and_was_begun(path: Path, open_: Open) -> None:
    # One page of the file is older than the others: it still has a session that its settlement has closed.
    path.parent.mkdir()
    rows: dict[str, list[salvage.Row]] = {
        "sessions": [(name, SESSION.dump(record(name))) for name in ("s1", "s2")],
        "ledger": [
            (7, "session", '{"event": "ended", "session_id": "s1"}', 1.0, 1, None, "none", 0, 1, None),
            (8, "session", '{"event": "ended", "session_id": "s0"}', 1.0, 1, None, "none", 0, 1, None),
            (9, "session", '{"event": "started", "session_id": "s2"}', 1.0, 1, None, "none", 0, 0, None),
        ],
    }
    salvage.write(path, salvage.Salvage(rows=rows, acked=8, latches_unknown=False), aside(path))
    opened = open_()
    assert opened.journal.recovery.sessions == (record("s2"),)
    for name, used in (("s0", True), ("s1", True), ("s2", True), ("s3", False)):
        assert opened.lookup("c9", name) == (None, used)


def test_a_log_without_its_file_is_not_played_into_a_new_one(path: Path, filled: str, open_: Open) -> None:
    opened = open_()
    assert opened.write(Batch(latches=(latch("A05"),)))
    log = files.log_of(path)
    copy = log.read_bytes()
    opened.close()
    path.unlink()
    log.write_bytes(copy)
    recovery = open_().journal.recovery
    assert (recovery.salvaged, recovery.latches_unknown) == (str(aside(path)), True)
    assert files.log_of(aside(path)).read_bytes() == copy
    assert recovery.stream != filled
    assert recovery.latches == ()


# Power cuts in the middle of salvaging


class PowerCutError(Exception):
    """Nothing after this happens."""


@pytest.mark.parametrize("step", range(1, 4))
def test_a_power_cut_while_salvaging_loses_no_latch(
    path: Path, filled: str, open_: Open, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    run(path, "UPDATE sessions SET record = 'nonsense'")
    steps = 0
    rename = Path.rename

    def cut(source: Path, target: Path) -> Path:
        nonlocal steps
        steps += 1
        if steps == step:
            raise PowerCutError
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", cut)
    with pytest.raises(PowerCutError):
        open_journal(path)
    monkeypatch.undo()
    recovery = open_().journal.recovery
    assert recovery.latches == (latch(),)
    assert recovery.salvaged == str(aside(path))
    assert recovery.stream != filled
    assert not files.being_made(path).exists()


def test_a_power_cut_while_salvaging_leaves_no_log_to_be_played_into_the_new_file(
    path: Path, filled: str, open_: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(path, "UPDATE sessions SET record = 'nonsense'")

    def cut(*_paths: Path) -> None:
        files.log_of(path).write_bytes(b"the damaged file's own log")
        raise PowerCutError

    monkeypatch.setattr(files, "_move_log", cut)
    with pytest.raises(PowerCutError):
        open_journal(path)
    monkeypatch.undo()
    opened = open_()
    assert opened.journal.recovery.latches == (latch(),)
    assert [log.read_bytes() for log in path.parent.glob("*.damaged-*-wal")] == [b"the damaged file's own log"]
    assert filled


def test_a_power_cut_while_making_the_first_journal_leaves_room_for_it(path: Path, open_: Open) -> None:
    path.parent.mkdir()
    files.being_made(path).write_bytes(b"half")
    recovery = open_().journal.recovery
    assert (recovery.salvaged, recovery.latches_unknown) == (None, False)


def test_a_disk_that_keeps_nothing_is_called_by_its_name(
    path: Path, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(path, "UPDATE sessions SET record = 'nonsense'")

    def forgetful(new: Path, _found: object, _moved_to: object) -> None:
        new.write_bytes(b"something else")

    monkeypatch.setattr(salvage, "write", forgetful)
    with pytest.raises(StoreError, match="replace it"):
        open_journal(path)
    assert filled


def test_a_full_disk_while_salvaging_leaves_the_damaged_file_where_it_is(
    path: Path, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(path, "UPDATE sessions SET record = 'nonsense'")

    def full(*_arguments: object, **_options: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(Tables, "found", full)
    with pytest.raises(StoreError, match="disk is full; check that its folder"):
        open_journal(path)
    assert path.exists()
    assert not aside(path).exists()
    assert filled


# Versions


def test_an_older_file_is_brought_up_to_date_step_by_step(
    path: Path, filled: str, open_: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = (
        ("ALTER TABLE sessions ADD COLUMN colour TEXT", "UPDATE sessions SET colour = 'red'"),
        ("UPDATE sessions SET colour = colour || '-green'",),
    )
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS + steps)
    opened = open_()
    assert (opened.journal.recovery.stream, opened.journal.recovery.sessions) == (filled, (record("s1"),))
    opened.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
        assert db.execute("SELECT colour FROM sessions").fetchone() == ("red-green",)
    open_().close()


def test_a_step_that_fails_leaves_the_version_before_it(
    path: Path, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = (("CREATE TABLE extra (a TEXT)",), ("DROP TABLE extra", "INSERT INTO sessions VALUES ('x', 'y')"))
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS + steps)
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        open_journal(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS) - 1,)
        assert db.execute("SELECT count(*) FROM extra").fetchone() == (0,)
    assert filled


def test_a_file_of_a_newer_program_is_left_alone(path: Path, filled: str) -> None:
    run(path, "PRAGMA user_version = 99")
    with pytest.raises(
        StoreError, match=rf"newer chargerd \(schema 99, this one knows {len(schema.MIGRATIONS)}\); install"
    ):
        open_journal(path)
    assert not aside(path).exists()
    assert filled


@pytest.mark.parametrize(("at", "spoilt"), [(MARK_AT, MARK), (100, b"\xff" * 1000)], ids=["a copy", "damaged"])
def test_a_newer_program_s_copy_or_damaged_file_is_left_alone_with_the_log_beside_it(
    path: Path, filled: str, at: int, spoilt: bytes
) -> None:
    run(path, "PRAGMA user_version = 99")
    overwrite(path, at, spoilt)
    files.log_of(path).write_bytes(b"the log of the file it was copied over")
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(RefusedError, match="newer chargerd"):
            open_journal(path, upkeep=Upkeep(lenient=True))
    assert path.read_bytes() == before
    assert files.log_of(path).read_bytes() == b"the log of the file it was copied over"
    assert sorted(one.name for one in path.parent.iterdir()) == ["journal.db", "journal.db-wal"]
    assert filled


def test_latches_whose_index_does_not_fit_are_unknown(path: Path, filled: str, open_: Open) -> None:
    # The rows read well, and still one may be missing.
    index = page_of(path, "sqlite_autoindex_latches_1")
    overwrite(path, (index - 1) * PAGE, b"\xff" * PAGE)
    recovery = open_().journal.recovery
    assert (recovery.latches, recovery.latches_unknown) == ((latch(),), True)
    assert recovery.stream != filled


def test_a_file_that_cannot_be_checked_is_damaged(path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
        with pytest.raises((DamagedError, StoreError)):
            schema.check(db, path)


def test_a_table_that_cannot_be_checked_is_not_called_sound(path: Path) -> None:
    def forbid(action: int, *_names: object) -> int:
        return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_PRAGMA else sqlite3.SQLITE_OK

    with closing(sqlite3.connect(":memory:")) as db:
        db.set_authorizer(forbid)
        assert not salvage.is_sound(db, "latches")
    assert not path.exists()


def test_a_damaged_file_another_daemon_works_with_is_left_to_it(path: Path, filled: str) -> None:
    run(path, "UPDATE sessions SET record = 'nonsense'")
    with closing(schema.connect(path)), pytest.raises(StoreError, match="another daemon"):
        open_journal(path)
    assert filled
