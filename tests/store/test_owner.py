"""A journal on another gateway than the one that wrote it: a cloned card, a moved one, a renamed gateway."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chargerd.contract.ledger import Batch, Owner
from chargerd.runtime.process import machine
from chargerd.store.backup import MARK, MARK_AT
from chargerd.store.place import Upkeep
from chargerd.store.tables import Tables
from tests.patience import PATIENCE_S
from tests.store.kit import Opened, entry, got, record
from tests.store.test_upkeep import notice

Open = Callable[..., Opened]
FIRST = Owner(gateway="shed-1", machine="one")


def written(open_: Open) -> str:
    """Leave five rows, two of them acknowledged, and an open session; return the stream."""
    opened = open_(owner=FIRST)
    opened.write(Batch(sessions=(record(),), entries=tuple(entry({"event": f"e{n}"}) for n in range(5))))
    stream = opened.journal.span().stream
    opened.journal.acknowledge(stream, 2)
    opened.settle()
    opened.close()
    return stream


def spoil(path: Path) -> None:
    """Have the file taken for a damaged one: the mark of a backup does."""
    with path.open("r+b") as file:
        file.seek(MARK_AT)
        file.write(MARK)


def refuse(*_: object) -> None:
    """Fail as a full disk does."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


@pytest.mark.parametrize(
    "owner",
    [FIRST, Owner(), Owner(gateway="shed-1"), Owner(machine="one")],
    ids=["same", "unknown", "no machine", "no id"],
)
def test_the_same_gateway_goes_on_with_its_stream(open_: Open, owner: Owner) -> None:
    stream = written(open_)
    opened = open_(owner=owner)
    assert opened.journal.span().stream == stream
    assert opened.journal.recovery.moved is None
    opened.close()
    assert open_(owner=FIRST).journal.recovery.moved is None, "what was not known for once is not forgotten"


@pytest.mark.parametrize(
    ("owner", "why"),
    [
        (replace(FIRST, gateway="shed-2"), "another gateway than before"),
        (replace(FIRST, machine="two"), "another machine than before"),
    ],
)
def test_a_renamed_gateway_or_a_moved_card_hands_in_what_is_owed_under_a_new_stream(
    open_: Open, owner: Owner, why: str
) -> None:
    stream = written(open_)
    opened = open_(owner=owner)
    span = opened.journal.span()
    assert span.stream != stream
    assert (span.first, span.last, span.acked) == (3, 5, 2)
    assert opened.journal.recovery.moved == why
    assert [one.order.session for one in opened.journal.recovery.sessions] == ["s1"]
    assert [(row.stream, row.seq) for row in opened.rows(after=2)] == [(span.stream, seq) for seq in (3, 4, 5)]
    opened.write(Batch(settled_all=True))
    opened.close()
    again = open_(owner=owner).journal
    assert (again.span(), again.recovery.moved) == (span, None)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_start_that_ends_before_it_has_settled_leaves_that_to_the_next_one(
    open_: Open, path: Path, damaged: bool
) -> None:
    written(open_)
    owner = Owner(gateway="shed-2", machine="two")
    first = open_(owner=owner)
    why, span = first.journal.recovery.moved, first.journal.span()
    first.close()
    if damaged:
        spoil(path)
    second = open_(owner=owner)
    assert second.journal.recovery.moved == why is not None
    assert [one.order.session for one in second.journal.recovery.sessions] == ["s1"]
    assert damaged or second.journal.span() == span, "it is the same copy, and no other one once more"
    second.break_disk()
    second.journal.append(Batch(ended=(record().order.session,), entries=(entry(settlement=True),)))
    second.journal.append(Batch(settled_all=True))
    second.settle()
    second.mend_disk()
    second.wait_for_health(False, True)
    second.close()
    third = open_(owner=owner).journal.recovery
    assert (third.moved, third.sessions) == (None, ())


@pytest.mark.parametrize("settled", [False, True])
def test_what_is_to_be_settled_is_so_in_a_file_that_takes_the_place_of_the_one_that_was_found(
    open_: Open, path: Path, settled: bool
) -> None:
    written(open_)
    image = path.read_bytes()
    owner = replace(FIRST, machine="two")
    opened = open_(owner=owner)
    opened.write(Batch(settled_all=settled))
    path.rename(path.with_name("gone.db"))
    path.with_name("journal.db-wal").unlink()
    path.write_bytes(image)
    opened.journal.append(Batch())
    notice(opened)
    opened.close()
    assert (open_(owner=owner).journal.recovery.moved is None) == settled


def test_a_journal_that_takes_nothing_yet_hands_in_nothing_under_its_original_s_stream(
    open_: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card that was moved to another machine, or cloned, and is full."""
    stream = written(open_)
    for owner, first in ((replace(FIRST, machine="two"), 3), (Owner(gateway="shed-2", machine="three"), 7)):
        with monkeypatch.context() as full:
            full.setattr(Tables, "count_start", refuse)
            opened = open_(owner=owner, upkeep=Upkeep(lenient=True))
        journal = opened.journal
        assert journal.why_not is not None
        assert journal.recovery.moved is not None
        assert journal.recovery.begun
        span = journal.span()
        assert span.stream == journal.recovery.stream != stream
        assert span.first == first, "what is owed is told as it will be"
        assert {row.stream for row in opened.rows()} == {stream}, "which the link takes for rows not to be had"
        journal.append(Batch(ended=(record().order.session,), entries=(entry(settlement=True),)))
        opened.clock.advance(60.0)
        opened.wait_for_health(True)
        assert (journal.span().stream, journal.span().first) == (span.stream, first), "and so it goes on"
        assert not journal.restart_wanted
        assert {row.stream for row in opened.rows()} == {span.stream}
        assert journal.verify_settlements() == ()
        opened.close()
        again = open_(owner=owner).journal
        assert again.span() == journal.span()
        assert not again.recovery.begun
        assert again.recovery.starts == 1 + 2 * (1 if first == 3 else 2)
        stream = span.stream
        again.close(PATIENCE_S)


def test_a_copy_does_not_hand_in_what_its_original_owes(open_: Open) -> None:
    stream = written(open_)
    opened = open_(owner=Owner(gateway="shed-2", machine="two"))
    assert opened.journal.recovery.moved == "another gateway and another machine than before"
    opened.write(Batch(entries=(entry({"event": "own"}),)))
    span = opened.journal.span()
    assert span.stream != stream
    assert (span.first, span.last, span.acked) == (6, 6, 5)


def test_a_copy_that_runs_under_the_old_name_first_hands_in_under_its_own_only_what_it_has_made(
    open_: Open,
) -> None:
    """A card is flashed, the gateway begins by itself, and only then somebody gives it its own name."""
    written(open_)
    opened = open_(owner=replace(FIRST, machine="two"))
    assert opened.journal.span().first == 3
    opened.write(Batch(entries=(entry({"event": "own"}),)))
    opened.close()
    opened = open_(owner=Owner(gateway="shed-2", machine="two"))
    assert (opened.journal.span().first, opened.journal.span().last) == (6, 6)
    opened.journal.acknowledge(opened.journal.span().stream, 6)
    opened.write(Batch(entries=(entry({"event": "later"}),)))
    opened.close()
    opened = open_(owner=Owner(gateway="shed-3", machine="two"))
    assert (opened.journal.span().first, opened.journal.span().last) == (7, 7), (
        "its own it hands in after a renaming"
    )


@pytest.mark.parametrize("at_once", [True, False])
def test_a_copy_whose_journal_is_damaged_is_a_copy_all_the_same(open_: Open, path: Path, at_once: bool) -> None:
    """A card was copied while the gateway ran. The mark of a backup stands for damage: both are taken over."""
    written(open_)
    if not at_once:
        open_(owner=replace(FIRST, machine="two")).close()
    spoil(path)
    opened = open_(owner=Owner(gateway="shed-2", machine="two"))
    assert opened.journal.recovery.salvaged is not None
    assert opened.journal.recovery.moved is not None
    span = opened.journal.span()
    assert (span.first, span.last, span.acked) == (4, 3, 3), "what its original owes is not its own"


def test_a_stream_is_renewed_while_the_journal_is_open(open_: Open) -> None:
    stream = written(open_)
    opened = open_(owner=FIRST)
    assert opened.journal.found_last == 5
    opened.write(Batch(entries=(entry({"event": "new"}),)))
    opened.break_disk()
    assert not got(opened.journal.renew_stream)
    assert opened.journal.span().stream == stream, "a disk that takes nothing leaves the stream as it is"
    opened.mend_disk()
    assert got(opened.journal.renew_stream)
    span = opened.journal.span()
    assert span.stream != stream
    assert (span.first, span.last, span.acked) == (3, 6, 2)
    opened.journal.acknowledge(stream, 6)
    opened.journal.acknowledge(span.stream, 4)
    opened.settle()
    assert opened.journal.span().acked == 4, "a word about the old stream says nothing of this one"
    opened.close()
    assert open_(owner=FIRST).journal.span() == replace(span, acked=4)


def test_a_machine_is_known_by_its_board_and_else_by_its_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serial, installed = tmp_path / "serial-number", tmp_path / "machine-id"
    monkeypatch.setattr(machine, "BOARD_SERIAL", serial)
    monkeypatch.setattr(machine, "MACHINE_ID", installed)
    assert machine.machine() is None
    installed.write_text("4f1a\n")
    by_installation = machine.machine()
    serial.write_bytes(b"10000000abcdef01\0")
    by_board = machine.machine()
    assert by_installation is not None
    assert by_board not in {None, by_installation}
    installed.write_text("another")
    assert machine.machine() == by_board
    assert "abcdef01" not in str(by_board), "it is published by nobody, and could not be used if it were"
