"""Notes stay here, beside the ledger's rows: read as one, in the order of their writing, and only the newest."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from chargerd.contract.ledger import Batch, KeptEvent, Mark
from chargerd.store import notes
from tests.store.kit import Opened, connection_of, entry, got

Open = Callable[..., Opened]


def note(name: str) -> Batch:
    return Batch(notes=(entry({"event": name}),))


def row(name: str) -> Batch:
    return Batch(entries=(entry({"event": name}),))


def events(opened: Opened, limit: int = 100, **where: Mark) -> list[KeptEvent]:
    found: Sequence[KeptEvent] = got(lambda deliver: opened.journal.events(limit, deliver, **where))
    return list(found)


def names(found: Sequence[KeptEvent]) -> list[Any]:
    return [one.body["event"] for one in found]


def told(opened: Opened, *steps: str) -> None:
    """Write rows (capital letters) and notes."""
    for step in steps:
        assert opened.write(row(step) if step.isupper() else note(step))


def test_rows_and_notes_are_read_as_one_over_a_restart(open_: Open) -> None:
    opened = open_()
    told(opened, "a", "B", "c", "d", "E", "f")
    opened.close()
    again = open_()
    found = events(again)
    assert names(found) == ["f", "E", "d", "c", "B", "a"]
    assert [str(one.mark) for one in found] == ["2.4", "2.0", "1.3", "1.2", "1.0", "0.1"]
    assert [one.kind is None for one in found] == [True, False, True, True, False, True]
    assert again.journal.span().last == 2, "no note has a number of the ledger"
    assert [one.body["event"] for one in again.rows()] == ["B", "E"], "and none goes to the backend"


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_page_by_page_nothing_is_missing_and_nothing_comes_twice(opened: Opened, limit: int) -> None:
    told(opened, "a", "B", "C", "d", "e", "F")
    found: list[KeptEvent] = []
    while page := events(opened, limit, **({"before": found[-1].mark} if found else {})):
        found += page
    assert names(found) == ["F", "e", "d", "C", "B", "a"]
    forwards: list[KeptEvent] = []
    while page := events(opened, limit, after=forwards[-1].mark if forwards else Mark(0, 0)):
        forwards += page
    assert forwards == found[::-1]


def test_only_the_newest_are_kept(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "MOST", 3)
    told(opened, "a", "B", "c", "d", "e", "f")
    assert names(events(opened)) == ["f", "e", "d", "B"], "rows have their own time to go"


def test_a_note_that_cannot_be_read_hides_no_other(opened: Opened) -> None:
    told(opened, "a", "b")
    opened.settle()
    connection_of(opened.journal).execute("UPDATE notes SET body = 'nonsense' WHERE id = 1")
    assert names(events(opened)) == ["b", "unreadable"]


def test_what_a_disk_did_not_take_is_kept_until_it_does(opened: Opened) -> None:
    opened.break_disk()
    opened.journal.append(note("a"))
    opened.settle()
    opened.mend_disk()
    assert opened.write(row("B"))
    assert sorted(names(events(opened))) == ["B", "a"]


def test_a_mark_is_text_and_back() -> None:
    assert Mark.of(str(Mark(7, 12))) == Mark(7, 12)
    for wrong in ("7", "7.x", "1.2.3"):
        with pytest.raises(ValueError, match=r".*"):
            Mark.of(wrong)
