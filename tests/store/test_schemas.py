"""A journal of every schema there ever was opens, and nothing in it is lost."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chargerd.contract.ledger import Batch
from chargerd.store import backup, schema
from tests.store.kit import Opened, disabled, entry, identity, latch, record, warmth

SINCE_DISABLED, SINCE_WARMTH, SINCE_IDENTITIES = 3, 4, 7
SCHEMAS = Path(__file__).with_name("schemas")


def test_there_is_a_journal_of_every_schema() -> None:
    written = sorted(int(file.stem) for file in SCHEMAS.glob("*.sql"))
    assert written == list(range(1, len(schema.MIGRATIONS) + 1))


@pytest.mark.parametrize("version", range(1, len(schema.MIGRATIONS) + 1))
def test_a_journal_of_an_earlier_schema_is_taken_over_whole(
    version: int, path: Path, open_: Callable[..., Opened]
) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.executescript((SCHEMAS / f"{version}.sql").read_text())
        assert db.execute("PRAGMA user_version").fetchone() == (version,)
    opened = open_(boot_id="boot-now")
    recovery = opened.journal.recovery
    assert (recovery.boot, recovery.starts, recovery.salvaged) == (2, 2, None)
    assert recovery.stream == "01J9ZSTREAMOFANEARLYONE000"
    assert recovery.sessions == (record("s1", energy=12.5),)
    assert recovery.latches == (latch(),)
    assert recovery.disabled == ((disabled("A02"),) if version >= SINCE_DISABLED else ())
    assert recovery.warmths == ((warmth(),) if version >= SINCE_WARMTH else ())
    assert recovery.identities == ((identity(),) if version >= SINCE_IDENTITIES else ())
    assert recovery.known_ids == {"c1": "d1", "c2": "d1"}
    assert [one.command for one in recovery.unfinished] == ["c1"]
    assert [row.seq for row in opened.rows()] == [1, 2, 3, 4]
    assert opened.journal.span().acked == 1
    assert opened.write(Batch(entries=(entry(settlement=True),)))
    assert opened.journal.verify_settlements() == ()


def of_schema(path: Path, version: int) -> None:
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.executescript((SCHEMAS / f"{version}.sql").read_text())


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        found: int = db.execute("PRAGMA user_version").fetchone()[0]
    return found


def kept(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.glob("journal.db.schema-*"))


def test_before_its_form_changes_a_journal_is_kept_as_it_was(path: Path, open_: Callable[..., Opened]) -> None:
    of_schema(path, 5)
    open_().close()
    assert kept(path) == ["journal.db.schema-5"]
    copy = path.with_name("journal.db.schema-5")
    assert (version_of(copy), version_of(path)) == (5, len(schema.MIGRATIONS))
    assert copy.stat().st_mode & 0o777 == 0o600
    assert backup.is_copy(copy), "put back, it is known for one: its numbers are not given out again"

    open_().close()
    assert kept(path) == ["journal.db.schema-5"], "one that is current changes nothing"


def test_only_the_newest_such_copy_is_kept(path: Path, open_: Callable[..., Opened]) -> None:
    of_schema(path, 7)
    path.with_name("journal.db.schema-3").write_bytes(b"an older one")
    open_().close()
    assert kept(path) == ["journal.db.schema-7"]


def test_one_put_back_is_taken_over_with_all_ports_waiting_for_a_reset(
    path: Path, open_: Callable[..., Opened]
) -> None:
    of_schema(path, 8)
    open_().close()
    path.with_name("journal.db.schema-8").replace(path)
    recovery = open_().journal.recovery
    assert recovery.latches_unknown
    assert recovery.stream != "01J9ZSTREAMOFANEARLYONE000"
    assert recovery.sessions == (record("s1", energy=12.5),)


@pytest.mark.parametrize("failure", ["no room", "no disk"])
def test_where_no_copy_can_be_made_the_journal_is_brought_up_all_the_same(
    path: Path, open_: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    of_schema(path, 8)
    if failure == "no room":
        monkeypatch.setattr(backup, "SPARE_BYTES", 1 << 60)
    else:

        def broken(*_arguments: object) -> Path:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(backup, "keep_before", broken)
    assert open_().journal.recovery.sessions == (record("s1", energy=12.5),)
    assert kept(path) == []
