"""What is out of service stays so: over a restart, over another disk, and out of a damaged file."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from chargerd.contract.ledger import Batch
from chargerd.core.units import PortId
from chargerd.store import schema
from chargerd.store.place import Mirror
from tests.store.kit import Opened, disabled

Open = Callable[..., Opened]


def filled(open_: Open, *batches: Batch) -> None:
    opened = open_()
    for batch in batches:
        assert opened.write(batch)
    opened.close()


def test_it_survives_a_restart_until_it_is_enabled(open_: Open) -> None:
    filled(open_, Batch(disabled=(disabled("A01"), disabled("circuit/shed"))))
    opened = open_()
    assert opened.journal.recovery.disabled == (disabled("A01"), disabled("circuit/shed"))
    assert opened.write(Batch(disabled=(disabled("A01", "another reason"),)))
    assert opened.write(Batch(enabled=(PortId("circuit/shed"), PortId("A07"))))
    opened.close()
    assert open_().journal.recovery.disabled == (disabled("A01", "another reason"),)


def test_a_disk_that_was_replaced_is_told() -> None:
    mirror = Mirror()
    mirror.take(Batch(disabled=(disabled("A01"), disabled("A02"))))
    mirror.take(Batch(enabled=(PortId("A02"), PortId("A09"))))
    assert mirror.whole() == Batch(disabled=(disabled("A01"),))


def damage(path: Path, *statements: str) -> None:
    """Make the file one that is not believed: its row of state is gone."""
    with closing(sqlite3.connect(path)) as db, db:
        for statement in ("DELETE FROM state", *statements):
            db.execute(statement)


def test_it_is_taken_out_of_a_damaged_file(path: Path, open_: Open) -> None:
    filled(open_, Batch(disabled=(disabled("A01"),)))
    damage(path, "UPDATE state SET latches_unknown = 0")
    recovery = open_().journal.recovery
    assert recovery.salvaged is not None
    assert recovery.disabled == (disabled("A01"),)


def test_what_cannot_be_read_locks_the_ports_out(path: Path, open_: Open) -> None:
    filled(open_, Batch(disabled=(disabled("A01"),)))
    damage(path, "UPDATE disabled SET record = 'nonsense'")
    recovery = open_().journal.recovery
    assert recovery.disabled == ()
    assert recovery.latches_unknown


def test_a_damaged_file_of_a_version_without_it_locks_nothing_out(path: Path, open_: Open) -> None:
    assert any("CREATE TABLE disabled" in statement for step in schema.MIGRATIONS for statement in step)
    filled(open_)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TABLE disabled")
        db.execute("PRAGMA user_version = 2")
        db.execute("INSERT INTO sessions (session, record) VALUES ('s', 'nonsense')")
    recovery = open_().journal.recovery
    assert recovery.salvaged is not None
    assert not recovery.latches_unknown
