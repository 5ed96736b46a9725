"""A journal of every schema there ever was opens, and nothing in it is lost."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chargerd.core.ledger import Batch
from chargerd.store import schema
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
