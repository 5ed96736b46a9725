"""What is done for the file beside writing it: limits, gaps, copies, ballast, and a new file for a lost one."""

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from chargerd.contract.ledger import Batch, LedgerRow
from chargerd.contract.payloads import EventBody
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import Instant, PortId, SessionId
from chargerd.store import backup, ballast, retention, schema
from chargerd.store.errors import RefusedError, StoreError
from chargerd.store.journal import Journal
from chargerd.store.place import Upkeep
from chargerd.store.tables import Tables
from tests.judging import every
from tests.patience import PATIENCE_S
from tests.store.kit import (
    HandClock,
    Opened,
    batches_kept,
    command,
    connection_of,
    disabled,
    entry,
    got,
    latch,
    mirrored,
    open_journal,
    record,
)
from tests.store.test_failures import mounted
from tests.store.test_files import overwrite, page_of

DAY_S = 86_400.0
LENIENT = Upkeep(lenient=True)


def open_with(path: Path, upkeep: Upkeep, clock: HandClock | None = None, *, start: bool = True) -> Opened:
    return open_journal(path, clock, start=start, upkeep=upkeep)


def stated(rows: list[LedgerRow]) -> set[int]:
    """Return every number a row stands for, gaps included."""
    told: set[int] = set()
    for row in rows:
        body = row.body
        if body["event"] == "gap":
            assert isinstance(body["from"], int)
            assert isinstance(body["to"], int)
            assert row.seq == body["from"]
            assert str(body["reason"])
            told |= set(range(body["from"], body["to"] + 1))
        else:
            told.add(row.seq)
    return told


def at_rest(opened: Opened) -> None:
    """Let the thread do all it has to do at this moment."""
    opened.settle()
    opened.settle()


# Limits


def test_facts_make_room_before_the_file_outgrows_its_limit_and_settlements_never(path: Path) -> None:
    limit = 2 * 1024 * 1024
    opened = open_with(path, Upkeep(limit_bytes=limit))
    settled: list[str] = []
    for number in range(1, 1501):
        is_settlement = number % 10 == 0
        body = {"event": "ended" if is_settlement else "x", "n": f"s{number}", "text": "y" * 3000}
        opened.journal.append(Batch(entries=(entry(body, settlement=is_settlement),)))
        settled += [f"s{number}"] if is_settlement else []
        if number % 50 == 0:
            opened.clock.advance(61.0)
            opened.settle()
    for _ in range(20):
        opened.clock.advance(61.0)
        opened.settle()
    assert opened.journal._writer.tables.used_bytes() <= limit  # noqa: SLF001 - the file as it is
    rows = opened.rows()
    assert stated(rows) == set(range(1, 1501))
    assert [row.body["n"] for row in rows if row.body["event"] == "ended"] == settled
    assert any(row.body["event"] == "gap" for row in rows)
    assert rows[-1].body["n"] == "s1500", "the oldest go first"
    assert opened.journal.verify_settlements() == ()
    opened.close()


def test_rows_the_backend_has_go_before_any_it_has_not(path: Path) -> None:
    opened = open_with(path, Upkeep(limit_bytes=400 * 1024))
    for _ in range(100):
        opened.journal.append(Batch(entries=(entry({"event": "x", "text": "y" * 3000}),)))
    opened.settle()
    opened.journal.acknowledge(opened.journal.span().stream, 60)
    opened.settle()
    opened.clock.advance(61.0)
    for _ in range(5):
        opened.settle()
    rows = opened.rows()
    assert [row.seq for row in rows] == list(range(61, 101))
    assert every(row.body["event"] == "x" for row in rows)
    opened.close()


def test_what_was_written_in_this_boot_is_as_old_as_the_boot_says(opened: Opened) -> None:
    lying = replace(opened.clock.moment(), wall_ms=946_684_800_000)
    opened.journal.append(Batch(entries=(replace(entry(), moment=lying),)))
    opened.settle()
    for days, what in ((89.9, "x"), (0.2, "gap")):
        opened.clock.advance(days * DAY_S)
        at_rest(opened)
        assert [row.body["event"] for row in opened.rows()] == [what]


def test_facts_nobody_asked_for_in_ninety_days_leave_a_gap_and_settlements_stay(opened: Opened) -> None:
    opened.journal.append(Batch(entries=tuple(entry({"event": "x"}) for _ in range(3))))
    opened.journal.append(Batch(entries=(entry({"event": "ended"}, settlement=True), entry({"event": "x"}))))
    opened.settle()
    for days in (89.9, 0.2):
        opened.clock.advance(days * DAY_S)
        opened.settle()
        opened.settle()
    rows = opened.rows()
    assert [(row.seq, row.body["event"]) for row in rows] == [(1, "gap"), (4, "ended"), (5, "gap")]
    assert stated(rows) == {1, 2, 3, 4, 5}


def test_only_the_networks_time_makes_a_fact_old(opened: Opened) -> None:
    # In the boot before, a clock with a flat battery said 2000; half an hour later the network's time is there.
    long_ago = Moment(instant=Instant(1.0), boot=0, wall_ms=946_684_800_000, clock=ClockQuality.RTC)
    stamped = replace(entry(), moment=long_ago)
    opened.journal.append(Batch(entries=(stamped, stamped)))
    opened.clock.advance(3601.0)
    opened.settle()
    opened.settle()
    assert [row.body["event"] for row in opened.rows()] == ["x", "x"]
    opened.clock.advance(2 * DAY_S)
    at_rest(opened)
    assert [row.body["event"] for row in opened.rows()] == ["x", "x"], "nor does a day of it"
    known = replace(entry(), moment=opened.clock.moment())
    opened.journal.append(Batch(entries=(known, stamped)))
    opened.clock.advance(90.1 * DAY_S)
    opened.settle()
    opened.settle()
    rows = opened.rows()
    assert [(row.seq, row.body["event"]) for row in rows] == [(1, "gap"), (4, "x")], "as old as what came after"
    assert stated(rows) == {1, 2, 3, 4}


def test_a_gap_acknowledged_in_part_goes_on_to_stand_for_the_rest(opened: Opened) -> None:
    # The backend's word for row 2 was on its way when the line went; then nobody came for ninety days.
    opened.journal.append(Batch(entries=tuple(entry({"event": "x"}) for _ in range(6))))
    opened.settle()
    opened.clock.advance(91 * DAY_S)
    at_rest(opened)
    assert [(row.seq, row.body["to"]) for row in opened.rows()] == [(1, 6)]
    opened.journal.acknowledge(opened.journal.span().stream, 2)
    at_rest(opened)
    assert opened.journal.span().acked == 2
    gaps = [(gap.seq, gap.body["from"], gap.body["to"], gap.body["event"]) for gap in opened.rows()]
    assert gaps == [(1, 1, 2, "gap"), (3, 3, 6, "gap")], "whoever asks for the first ones again is told too"
    opened.clock.advance(8 * DAY_S)
    at_rest(opened)
    assert [row.seq for row in opened.rows()] == [3], "nor does it leave with the acknowledged ones"
    opened.journal.acknowledge(opened.journal.span().stream, 6)
    opened.settle()
    opened.clock.advance(8 * DAY_S)
    at_rest(opened)
    assert not opened.rows()


def test_what_cannot_be_read_can_be_acknowledged(opened: Opened) -> None:
    opened.journal.append(Batch(entries=(entry(), entry())))
    opened.settle()
    connection_of(opened.journal).execute("UPDATE ledger SET body = CAST(x'ff' AS TEXT) WHERE seq = 1")
    opened.journal.acknowledge(opened.journal.span().stream, 1)
    at_rest(opened)
    assert opened.journal.span().acked == 1


def test_a_year_of_rows_to_let_go_holds_up_no_commit(opened: Opened) -> None:
    opened.settle()
    rows = 20_000
    assert opened.write(Batch(entries=tuple(entry({"event": "x"}) for _ in range(rows))))
    opened.journal.acknowledge(opened.journal.span().stream, rows)
    opened.settle()
    opened.clock.advance(8 * DAY_S)
    waited = []
    for _ in range(20):
        began = time.process_time()
        assert opened.write(Batch(sessions=(record("s1"),)))
        waited.append(time.process_time() - began)
    assert max(waited) < 0.25
    while opened.journal.span().first <= rows:
        opened.settle()


# Copies


def fill(opened: Opened, rows: int = 50) -> None:
    for number in range(rows):
        opened.journal.append(Batch(entries=(entry({"n": number, "text": "x" * 2000}, settlement=True),)))
    assert opened.write(Batch(sessions=(record("s1"),), latches=(latch(),), commands=(command("c1"),)))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.01)


def copied(opened: Opened) -> int | None:
    found: int | None = got(lambda deliver: opened.journal._ask(Tables.copied_ms, deliver, None))  # noqa: SLF001 - shows nowhere else
    return found


def test_a_copy_is_made_each_day_and_so_many_are_kept(path: Path) -> None:
    opened = open_with(path, Upkeep(copies=2))
    fill(opened)
    for day in range(4):
        opened.clock.advance(DAY_S + 700.0)
        wait_for(lambda: copied(opened) == opened.clock.wall_ms)
        assert opened.write(Batch(entries=(entry({"day": day}),)))
        opened.clock.advance(700.0)
        opened.settle()
    assert opened.close()
    assert sorted(one.name for one in path.parent.glob("*.backup-*")) == [
        "journal.db.backup-1",
        "journal.db.backup-2",
    ]
    for number, last in ((1, 53), (2, 52)):
        one = backup.copy_of(path, number)
        assert one.stat().st_mode & 0o777 == 0o600
        assert backup.is_copy(one)
        with closing(sqlite3.connect(one)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert db.execute("SELECT last FROM state").fetchone() == (last,)


def test_a_restored_journal_has_a_new_stream_and_locks_out_what_it_cannot_know(path: Path) -> None:
    opened = open_with(path, Upkeep(copies=1))
    fill(opened)
    opened.clock.advance(700.0)
    wait_for(lambda: copied(opened) is not None)
    opened.journal.acknowledge(opened.journal.span().stream, 20)
    opened.settle()
    stream = opened.journal.span().stream
    # As after a kill: the log of the journal it is copied over is still there.
    path, before = path.parent / "restored" / path.name, path
    path.parent.mkdir()
    shutil.copy(backup.copy_of(before, 1), path)
    shutil.copy(before.with_name("journal.db-wal"), path.with_name("journal.db-wal"))
    opened.close()
    again = open_with(path, Upkeep())
    recovery = again.journal.recovery
    assert recovery.stream != stream
    assert recovery.salvaged is not None
    assert recovery.latches_unknown
    assert [one.order.session for one in recovery.sessions] == ["s1"]
    assert [row.body["n"] for row in again.rows()] == list(range(50))
    assert again.journal.verify_settlements() == ()
    again.close()
    assert not backup.is_copy(path)
    last = open_with(path, Upkeep())
    assert last.journal.recovery.stream == recovery.stream
    last.close()


def test_a_commit_waits_for_one_slice_of_a_copy_at_most(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_with(path, Upkeep(copies=1))
    fill(opened, 3000)
    slices: list[bool] = []
    between = type(opened.journal._writer)._between_slices  # noqa: SLF001 - to be watched at work

    def watched(writer: object) -> None:
        slices.append(True)
        between(writer)  # type: ignore[arg-type] # it is the writer

    monkeypatch.setattr(type(opened.journal._writer), "_between_slices", watched)  # noqa: SLF001 - as above
    opened.clock.advance(700.0)
    waited = []
    while copied(opened) is None:
        began = time.process_time()
        assert opened.write(Batch(entries=(entry({"n": 1}),)))
        waited.append(time.process_time() - began)
    assert len(slices) > 40
    # How many depends on how often a busy machine lets this thread run; without slices it would be one.
    assert len(waited) > 2, "commits came through while the copy was made"
    assert max(waited) < 0.25
    opened.close()
    with closing(sqlite3.connect(backup.copy_of(path, 1))) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_no_copy_is_made_where_it_would_fill_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "has_room", lambda _path: False)
    opened = open_with(path, Upkeep(copies=1))
    opened.clock.advance(700.0)
    opened.settle()
    opened.settle()
    assert copied(opened) is None
    opened.close()
    assert not list(path.parent.glob("*backup*"))


def test_a_copy_that_is_interrupted_leaves_the_older_ones(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_with(path, Upkeep(copies=1))
    fill(opened)
    opened.clock.advance(700.0)
    wait_for(lambda: copied(opened) is not None)
    before = backup.copy_of(path, 1).read_bytes()

    def abandoned(_writer: object) -> None:
        raise backup.AbandonedError("closed")

    monkeypatch.setattr(type(opened.journal._writer), "_between_slices", abandoned)  # noqa: SLF001 - a fault on purpose
    opened.clock.advance(DAY_S + 700.0)
    opened.settle()
    opened.settle()
    assert opened.close()
    assert backup.copy_of(path, 1).read_bytes() == before
    assert [one.name for one in path.parent.glob("*backup*")] == ["journal.db.backup-1"]


# Ballast and full disks


def test_ballast_is_let_go_when_the_disk_is_full_and_taken_again_later(path: Path) -> None:
    opened = open_with(path, Upkeep(ballast_bytes=65_536))
    held = path.with_name("journal.db.ballast")
    assert held.stat().st_size == 65_536
    db = connection_of(opened.journal)
    at_rest(opened)
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")

    def room() -> bool:
        if held.exists():
            return False
        db.execute("PRAGMA max_page_count = 1000000")
        return True

    release = ballast.Ballast.release
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ballast.Ballast, "release", lambda one: release(one) and room())
        assert opened.write(Batch(entries=(entry({"text": "x" * 100_000}),)))
    assert not held.exists()
    assert opened.health == []
    opened.clock.advance(3700.0)
    opened.settle()
    opened.settle()
    assert held.exists()
    opened.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 1 MiB; only root may."""
    yield from mounted(tmp_path / "small", b"size=1m")


def fill_up(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 512):
                pass
        except OSError:
            pass
    return filler


def prepare(path: Path) -> None:
    opened = open_journal(path)
    assert opened.write(Batch(sessions=(record("s1"),), latches=(latch(),), commands=(command("c1"),)))
    opened.close()


def test_a_full_disk_at_the_start_keeps_nobody_from_watching(small_disk: Path) -> None:
    path = small_disk / "journal.db"
    prepare(path)
    filler = fill_up(small_disk)
    with pytest.raises(StoreError):
        open_journal(path)
    opened = open_with(path, LENIENT)
    recovery = opened.journal.recovery
    assert "full" in (opened.journal.why_not or "")
    assert recovery.sessions == (record("s1"),), "what is there can be read"
    assert recovery.latches == (latch(),)
    assert not opened.write(Batch(sessions=(record("s2"),))), "nothing may be begun"
    opened.journal.append(Batch(ended=(SessionId("s1"),), entries=(entry({"event": "ended"}, settlement=True),)))
    opened.settle()
    filler.unlink()
    opened.clock.advance(60.0)
    opened.wait_for_health(True)
    assert opened.journal.why_not is None
    assert not opened.journal.restart_wanted
    assert opened.close()
    again = open_journal(path)
    assert again.journal.recovery.sessions == ()
    assert again.journal.recovery.starts == 3
    assert [row.body["event"] for row in again.rows()] == ["ended"]
    again.close()


def test_the_ballast_lets_a_daemon_start_on_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "journal.db"
    opened = open_with(path, Upkeep(ballast_bytes=150_000))
    assert opened.write(Batch(sessions=(record("s1"),)))
    opened.close()
    assert path.with_name("journal.db.ballast").exists()
    fill_up(small_disk)
    again = open_with(path, Upkeep(ballast_bytes=150_000, lenient=True))
    assert again.journal.why_not is None
    assert not path.with_name("journal.db.ballast").exists()
    assert again.write(Batch(ended=(SessionId("s1"),), entries=(entry(settlement=True),)))
    again.close()


def test_a_place_that_cannot_be_used_is_stood_in_for_until_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.write_text("in the way")
    opened = open_with(folder / "journal.db", LENIENT)
    assert opened.journal.why_not is not None
    assert opened.journal.recovery.sessions == ()
    assert not opened.journal.recovery.latches_unknown
    assert not opened.write(Batch(sessions=(record("s1"),)))
    assert opened.lookup("c1", "s1") == (None, False), "so that a start is refused for want of a store"
    unread: list[object] = []
    opened.journal.verify(lambda _count, _last, problems: unread.append(problems))
    opened.journal.history(1, unread.append)
    opened.settle()
    assert unread == [None, None], "an empty stand-in is not taken for an empty history"
    assert opened.journal.recovery.boot == 0
    unnumbered = replace(entry({"n": 1}), moment=replace(opened.clock.moment(), boot=0))
    opened.journal.append(Batch(entries=(unnumbered,)))
    opened.settle()
    folder.unlink()
    opened.clock.advance(60.0)
    wait_for(lambda: opened.journal.restart_wanted)
    assert opened.health == [], "no relay closes before the process has begun anew"
    assert opened.close()
    again = open_journal(folder / "journal.db")
    assert [(row.body["n"], row.moment.boot) for row in again.rows()] == [(1, 1)]
    assert (again.journal.recovery.boot, again.journal.recovery.starts) == (1, 2)
    again.close()


def test_nobody_starts_beside_another_daemon_whatever_it_is_told(path: Path, opened: Opened) -> None:
    with pytest.raises(RefusedError, match="another daemon"):
        open_with(path, LENIENT)
    assert opened.health == []


# Lost and replaced while running


def test_a_journal_that_was_replaced_gets_sessions_and_latches_from_memory(path: Path) -> None:
    for boot in ("boot-1", "boot-2"):
        open_journal(path, boot_id=boot).close()
    opened = open_journal(path, boot_id="boot-3")
    assert opened.write(
        Batch(sessions=(record("s1"), record("s2")), latches=(latch(),), entries=(entry({"n": 1}),))
    )
    span = opened.journal.span()
    opened.break_disk()
    path.rename(path.with_name("gone.db"))
    path.with_name("journal.db-wal").rename(path.with_name("gone.db-wal"))
    opened.journal.append(Batch(sessions=(record("s1", energy=9.0),)))
    opened.journal.append(Batch(ended=(SessionId("s2"),), entries=(entry({"n": 2}, settlement=True),)))
    opened.wait_for_health(False)
    opened.settle()
    opened.clock.advance(60.0)
    wait_for(lambda: opened.journal.restart_wanted)
    assert opened.health == [False], "no new session before the process has begun anew"
    assert opened.journal.span() == span, "nothing of the new stream is sent before that"
    assert opened.close()
    again = open_journal(path, boot_id="boot-4")
    assert again.journal.recovery.boot == 4, "numbers of boots go on"
    assert again.journal.recovery.stream != span.stream
    assert again.journal.recovery.sessions == (record("s1", energy=9.0),)
    assert again.journal.recovery.latches == (latch(),)
    assert [row.body["n"] for row in again.rows()] == [2]
    assert again.journal.verify_settlements() == ()
    again.close()


def test_a_journal_damaged_while_it_is_open_is_salvaged(path: Path, opened: Opened) -> None:
    assert opened.write(Batch(sessions=(record("s1"),), latches=(latch(),), entries=(entry({"n": 1}),)))
    stream = opened.journal.span().stream
    writer = opened.journal._writer  # noqa: SLF001 - a fault on purpose
    at_rest(opened)
    connection_of(opened.journal).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_CORRUPT, "SQLITE_CORRUPT"
    with path.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(b"\xff" * 4096)
    with writer._changed:  # noqa: SLF001 - the thread is at rest
        writer._failed(error)  # noqa: SLF001 - as a commit would
    opened.journal.append(Batch(entries=(entry({"n": 2}),)))
    opened.settle()
    opened.clock.advance(60.0)
    wait_for(lambda: opened.journal.restart_wanted)
    assert opened.close()
    again = open_journal(path)
    assert again.journal.recovery.stream != stream
    assert again.journal.recovery.sessions == (record("s1"),)
    assert again.journal.recovery.latches == (latch(),)
    assert not again.journal.recovery.latches_unknown
    assert {row.body["n"] for row in again.rows()} >= {2}
    assert path.with_name("journal.db.damaged-1").exists()
    again.close()


def spoil(opened: Opened, path: Path, table: str) -> None:
    """Let a table's page be unreadable, and the journal notice that something is."""
    at_rest(opened)
    connection = connection_of(opened.journal)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()[0]
    overwrite(path, (page - 1) * 4096, b"\xff" * 4096)
    notice(opened)


def notice(opened: Opened) -> None:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_CORRUPT, "SQLITE_CORRUPT"
    writer = opened.journal._writer  # noqa: SLF001 - a fault on purpose
    with writer._changed:  # noqa: SLF001 - the thread is at rest
        writer._failed(error)  # noqa: SLF001 - as a commit would
    opened.journal.append(Batch(entries=(entry({"n": 2}),)))
    opened.settle()
    opened.clock.advance(60.0)
    wait_for(lambda: opened.journal.restart_wanted)


@pytest.mark.parametrize("table", ["latches", "disabled"])
@pytest.mark.parametrize("held", [False, True])
def test_latches_lost_while_it_is_open_are_those_the_process_knows_of_also_if_it_knows_of_none(
    path: Path, opened: Opened, table: str, *, held: bool
) -> None:
    assert opened.write(Batch(sessions=(record("s1"),), latches=(latch(),)))
    if not held:
        assert opened.write(Batch(cleared=(latch().port,)))
    spoil(opened, path, table)
    assert opened.close()
    again = open_journal(path)
    assert not again.journal.recovery.latches_unknown, "else every port would be locked out"
    assert again.journal.recovery.latches == ((latch(),) if held else ())
    assert again.journal.recovery.sessions == (record("s1"),)
    again.close()


def test_an_older_file_put_in_its_place_brings_nothing_back_that_is_over(path: Path, opened: Opened) -> None:
    old = path.with_name("old.db")
    assert opened.write(Batch(sessions=(record("s1"), record("s2")), latches=(latch(),), disabled=(disabled(),)))
    at_rest(opened)
    connection_of(opened.journal).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(path, old)
    over = Batch(ended=(SessionId("s1"),), cleared=(latch().port,), enabled=(disabled().holder,))
    assert opened.write(over)
    path.unlink()
    path.with_name("journal.db-wal").unlink()
    old.rename(path)
    notice(opened)
    assert opened.close()
    again = open_journal(path)
    assert (again.journal.recovery.latches, again.journal.recovery.disabled) == ((), ())
    assert again.journal.recovery.sessions == (record("s2"),), "no relay closes for what has ended"
    again.close()


def test_what_is_over_when_a_new_disk_comes_does_not_return_with_it(path: Path, opened: Opened) -> None:
    kept = latch(function="relay_welded")
    assert opened.write(Batch(sessions=(record("s1"), record("s2")), latches=(latch(), latch("A02"))))
    assert opened.write(Batch(disabled=(disabled("A01"), disabled("A02"))))
    # A reset may clear one latch of a port and leave the others.
    assert opened.write(Batch(ended=(SessionId("s1"),), cleared=(latch().port,), latches=(kept,)))
    assert opened.write(Batch(enabled=(PortId("A01"),)))
    at_rest(opened)
    for gone in (path, path.with_name("journal.db-wal")):
        gone.unlink()
    notice(opened)
    assert opened.close()
    found = open_journal(path)
    recovery = found.journal.recovery
    assert recovery.sessions == (record("s2"),)
    assert recovery.latches == (kept, latch("A02"))
    assert recovery.disabled == (disabled("A02"),)
    found.close()


def test_what_ends_while_the_disk_is_broken_is_carried_over_to_no_other(opened: Opened) -> None:
    # What is owed is written after what is carried over: a crash in between must find nothing that is over.
    assert opened.write(Batch(sessions=(record("s1"),), latches=(latch(),), disabled=(disabled(),)))
    opened.break_disk()
    ended = Batch(ended=(SessionId("s1"),), cleared=(latch().port,), enabled=(disabled().holder,))
    opened.journal.append(ended)
    opened.wait_for_health(False)
    opened.settle()
    assert mirrored(opened.journal) == Batch(settled_all=True)
    assert batches_kept(opened.journal) == [ended]


def test_what_nobody_may_act_upon_is_not_carried_over(opened: Opened) -> None:
    opened.break_disk()
    assert not opened.write(Batch(sessions=(record("s1"),)))
    assert mirrored(opened.journal) == Batch(settled_all=True), "its relay never closed"


def test_what_was_lost_before_anybody_had_read_it_stays_unknown(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    path = folder / "journal.db"
    before = open_journal(path)
    assert before.write(Batch(latches=(latch(),)))
    before.close()
    overwrite(path, (page_of(path, "latches") - 1) * 4096, b"\xff" * 4096)
    folder.rename(tmp_path / "away")
    folder.write_text("in the way")
    opened = open_with(path, LENIENT)
    opened.journal.append(Batch(latches=(replace(latch(), port=PortId("A07")),)))
    opened.settle()
    folder.unlink()
    (tmp_path / "away").rename(folder)
    opened.clock.advance(60.0)
    wait_for(lambda: opened.journal.restart_wanted)
    opened.journal.append(Batch(latches=(replace(latch(), port=PortId("A08")),)))
    opened.settle()
    assert opened.close()
    again = open_journal(path)
    assert again.journal.recovery.latches_unknown, "what trips meanwhile says nothing of what was held before"
    again.close()


def test_a_damaged_page_found_by_reading_is_salvaged_like_one_found_by_writing(path: Path, opened: Opened) -> None:
    rows = tuple(entry({"n": number, "text": "x" * 500}) for number in range(100))
    assert opened.write(Batch(sessions=(record("s1"),), entries=rows))
    at_rest(opened)
    connection_of(opened.journal).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:
        file.seek(4096 * (pages - 3))
        file.write(b"\xff" * 4096)
    connection_of(opened.journal).execute("PRAGMA shrink_memory")
    connection_of(opened.journal).execute("PRAGMA cache_size = 0")
    assert opened.rows() == []
    opened.wait_for_health(False)
    opened.clock.advance(60.0)
    wait_for(lambda: opened.journal.restart_wanted)
    assert opened.close()
    again = open_journal(path)
    assert again.journal.recovery.sessions == (record("s1"),)
    assert len(again.rows()) > 80, "what lies on other pages is sent"
    again.close()


def test_retention_is_what_is_promised() -> None:
    assert retention.LIMIT_BYTES == 256 * 1024 * 1024
    assert retention.ACKNOWLEDGED_MS == 7 * retention.DAY_MS
    assert (schema.SHORT_HOURS - 1, schema.LONG_HOURS - 1) == (1, 7 * 24)
    assert isinstance(Journal.restart_wanted, property)


def test_a_gap_is_an_event_of_the_contract_and_a_salvaged_one_speaks_of_the_stream_before(
    path: Path, opened: Opened
) -> None:
    opened.journal.append(Batch(entries=tuple(entry({"event": "x"}) for _ in range(3))))
    opened.journal.append(Batch(entries=(entry({"event": "ended"}, settlement=True),)))
    opened.settle()
    opened.clock.advance(91 * DAY_S)
    at_rest(opened)
    gap = EventBody.model_validate(dict(opened.rows()[0].body))
    assert (gap.event, gap.since_seq, gap.to) == ("gap", 1, 3)
    assert opened.close()
    with path.open("r+b") as file:
        file.seek(backup.MARK_AT)
        file.write(backup.MARK)
    again = open_journal(path)
    first, last = again.rows()
    assert (first.seq, first.body["from"], first.body["to"], last.seq) == (1, 1, 1, 2)
    assert "rows 1 to 3 of the stream before" in str(first.body["reason"])
    again.close()


def test_a_disk_that_gives_no_room_has_no_ballast(tmp_path: Path) -> None:
    nowhere = ballast.Ballast(tmp_path / "missing" / "ballast", 4096)
    nowhere.take()
    assert not nowhere.release()
    assert not ballast.is_full(tmp_path / "missing")
