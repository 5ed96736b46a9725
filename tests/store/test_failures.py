"""A disk that takes no writes: who is told, what is kept, and in which order it is written when it does again."""

import ctypes
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chargerd.contract.ledger import Batch, Reply
from chargerd.core.units import CommandId, SessionId
from tests.patience import PATIENCE_S
from tests.store.kit import (
    HandClock,
    Opened,
    batches_kept,
    command,
    connection_of,
    entry,
    got,
    latch,
    open_journal,
    record,
)

Open = Callable[..., Opened]


def test_a_session_that_could_not_be_written_ahead_is_never_written_later(opened: Opened) -> None:
    opened.break_disk()
    assert not opened.write(Batch(sessions=(record("s1"),)))
    opened.wait_for_health(False)
    opened.mend_disk()
    opened.wait_for_health(False, True)
    assert not got(lambda deliver: opened.journal.has_session(SessionId("s1"), deliver))


def test_a_command_that_could_not_be_written_is_never_written_later(opened: Opened) -> None:
    opened.break_disk()
    assert not opened.write(Batch(commands=(command("c1"),)))
    opened.mend_disk()
    opened.wait_for_health(False, True)
    assert opened.lookup("c1") == (None, False)
    assert opened.write(Batch(commands=(command("c1"),)))


def test_health_is_told_before_the_batch_that_failed(opened: Opened) -> None:
    opened.break_disk()
    order = got(
        lambda deliver: opened.journal.append(Batch(entries=(entry(),)), lambda _: deliver(list(opened.health)))
    )
    assert order == [False]


def test_facts_are_kept_in_order_and_written_before_anything_newer(open_: Open) -> None:
    opened = open_()
    opened.break_disk()
    opened.journal.append(Batch(latches=(latch(),), entries=(entry({"n": 1}),)))
    for number in (2, 3):
        opened.journal.append(Batch(entries=(entry({"n": number}, settlement=True),), ended=(SessionId("s1"),)))
    opened.wait_for_health(False)
    opened.settle()
    assert opened.journal.span().last == 0
    opened.mend_disk()
    assert opened.write(Batch(entries=(entry({"n": 4}),)))
    assert [row.body["n"] for row in opened.rows()] == [1, 2, 3, 4]
    assert opened.health == [False, True]
    assert opened.journal.verify_settlements() == ()
    opened.close()
    assert open_().journal.recovery.latches == (latch(),)


def test_more_than_one_transaction_of_facts_is_written_completely(opened: Opened) -> None:
    opened.break_disk()
    for number in range(300):
        opened.journal.append(Batch(entries=(entry({"n": number}),)))
    opened.settle()
    told: list[int] = []
    opened.journal.on_appended = told.append
    opened.mend_disk()
    opened.wait_for_health(False, True)
    assert [row.body["n"] for row in opened.rows()] == list(range(300))
    assert told[-1] == 300


def test_totals_do_not_pile_up_while_the_disk_is_gone(opened: Opened) -> None:
    opened.break_disk()
    for energy in range(50):
        opened.journal.append(Batch(sessions=(record("s1", energy=float(energy)), record("s2"))))
    opened.settle()
    assert batches_kept(opened.journal) == [Batch(sessions=(record("s1", energy=49.0), record("s2")))]


def test_replies_are_told_as_failed_and_kept_all_the_same(opened: Opened) -> None:
    assert opened.write(Batch(commands=(command("c1"),)))
    opened.break_disk()
    done = Reply(command=CommandId("c1"), body={"status": "done"})
    assert not opened.write(Batch(replies=((done, True),)))
    opened.mend_disk()
    opened.wait_for_health(False, True)
    assert got(lambda deliver: opened.journal.reply_of(CommandId("c1"), deliver)) == done


def test_it_is_not_tried_again_before_the_pause_is_over_and_pauses_grow(opened: Opened) -> None:
    opened.break_disk()
    assert not opened.write(Batch())
    connection_of(opened.journal).execute("PRAGMA query_only = OFF")
    assert not opened.write(Batch(entries=(entry(),)))
    opened.clock.advance(0.49)
    assert not opened.write(Batch(entries=(entry(),)))
    opened.clock.advance(0.02)
    assert opened.write(Batch(entries=(entry(),)))
    opened.break_disk()
    assert not opened.write(Batch())
    opened.clock.advance(0.51)
    assert not opened.write(Batch())
    connection_of(opened.journal).execute("PRAGMA query_only = OFF")
    opened.clock.advance(0.51)
    assert not opened.write(Batch())
    opened.clock.advance(0.51)
    assert opened.write(Batch())


def test_it_comes_back_by_itself_with_nothing_to_write(opened: Opened) -> None:
    opened.break_disk()
    assert not opened.write(Batch(sessions=(record(),)))
    opened.mend_disk()
    opened.wait_for_health(False, True)


def test_what_is_read_is_read_all_the_same(opened: Opened) -> None:
    assert opened.write(Batch(entries=(entry({"n": 1}),)))
    opened.break_disk()
    assert not opened.write(Batch())
    assert [row.body["n"] for row in opened.rows()] == [1]
    counted = got(opened.journal.count_connection)
    opened.journal.acknowledge(opened.journal.span().stream, 1)
    opened.settle()
    assert opened.journal.span().acked == 0
    opened.mend_disk()
    opened.wait_for_health(False, True)
    assert got(opened.journal.count_connection) == counted + 1


def test_what_cannot_be_read_is_answered_on_the_safe_side(opened: Opened) -> None:
    assert opened.write(Batch(commands=(command("c1"),), entries=(entry(settlement=True),)))
    db = connection_of(opened.journal)
    assert len(opened.rows()) == 1
    db.execute("ALTER TABLE session_ids RENAME TO gone")
    db.execute("ALTER TABLE ledger RENAME TO gone_too")
    assert opened.rows() == []
    assert opened.lookup("c1", "new") == (None, True)
    assert got(lambda deliver: opened.journal.has_session(SessionId("new"), deliver)) is True
    assert opened.crashes == []
    db.execute("ALTER TABLE gone RENAME TO session_ids")
    db.execute("ALTER TABLE gone_too RENAME TO ledger")


def test_what_is_still_owed_at_the_end_is_tried_a_last_time(open_: Open) -> None:
    opened = open_()
    opened.break_disk()
    opened.journal.append(Batch(entries=(entry(),)))
    opened.settle()
    connection_of(opened.journal).execute("PRAGMA query_only = OFF")
    assert opened.close()
    assert open_().journal.span().last == 1


def test_the_end_says_if_something_was_not_written(opened: Opened) -> None:
    opened.break_disk()
    opened.journal.append(Batch(entries=(entry(),)))
    opened.settle()
    assert not opened.close()


def test_the_end_does_not_wait_longer_than_it_was_told(opened: Opened) -> None:
    entered, leave = threading.Event(), threading.Event()

    def linger(_done: bool) -> None:
        entered.set()
        leave.wait()

    opened.journal.append(Batch(), linger)
    assert entered.wait(PATIENCE_S)
    assert not opened.journal.close(0.01)
    leave.set()
    assert opened.close()


def test_a_full_file_is_told_and_survived(opened: Opened) -> None:
    db = connection_of(opened.journal)
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")
    big = Batch(entries=(entry({"text": "x" * 100_000}, settlement=True),))
    assert not opened.write(big)
    opened.journal.append(big)
    opened.wait_for_health(False)
    opened.settle()
    db.execute("PRAGMA max_page_count = 1000000")
    opened.clock.advance(60.0)
    opened.wait_for_health(False, True)
    assert [row.seq for row in opened.rows()] == [1]
    assert opened.journal.verify_settlements() == ()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 600 KiB; only root may."""
    yield from mounted(tmp_path / "small", b"size=600k")


def mounted(folder: Path, options: bytes) -> Iterator[Path]:
    """Mount a file system of its own at `folder`, for as long as the generator lives."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder.mkdir()
    if libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, options) != 0:
        pytest.skip(f"no file system may be mounted here: {os.strerror(ctypes.get_errno())}")
    yield folder
    libc.umount2(os.fsencode(folder), 2)


def fill(ballast: Path) -> None:
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass


def test_a_full_disk_is_told_and_survived(small_disk: Path) -> None:
    opened = open_journal(small_disk / "journal.db", HandClock())
    assert opened.write(Batch(sessions=(record("s1"),)))
    ballast = small_disk / "ballast"
    fill(ballast)
    number = 0
    while opened.write(Batch(entries=(entry({"n": number}),))):
        number += 1
    opened.journal.append(Batch(ended=(SessionId("s1"),), entries=(entry({"n": number}, settlement=True),)))
    opened.settle()
    ballast.unlink()
    opened.clock.advance(60.0)
    opened.wait_for_health(False, True)
    assert [row.body["n"] for row in opened.rows()] == list(range(number + 1))
    assert opened.close()
    assert opened.crashes == []
    again = open_journal(small_disk / "journal.db", HandClock())
    assert again.journal.recovery.sessions == ()
    assert again.journal.verify_settlements() == ()
    again.close()


def test_a_file_that_cannot_be_closed_cleanly_ends_nothing(path: Path) -> None:
    opened = open_journal(path, start=False)

    class Stubborn:
        def close(self) -> None:
            raise sqlite3.OperationalError("disk I/O error")

    real = opened.journal._writer._db  # noqa: SLF001 - a fault on purpose
    opened.journal._writer._db = Stubborn()  # type: ignore[assignment] # noqa: SLF001 - a fault on purpose
    assert opened.close()
    real.close()
