"""How fast the journal is on this disk: `python -m tests.store.bench [FOLDER]`. Figures, no verdict."""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chargerd.contract.ledger import Batch
from tests.store.kit import Opened, entry, open_journal, record

ONE_BY_ONE = 300
QUEUED = 20_000
BODY = {"event": "ended", "port": "A01", "energy_wh": 512, "note": "x" * 400}


def one_by_one(opened: Opened) -> int:
    for number in range(ONE_BY_ONE):
        assert opened.write(Batch(sessions=(record(f"s{number}"),)))
    return ONE_BY_ONE


def queued(opened: Opened) -> int:
    for _ in range(QUEUED):
        opened.journal.append(Batch(entries=(entry(BODY),)))  # type: ignore[arg-type] # JSON
    assert opened.write(Batch())
    return QUEUED


def settlements(opened: Opened) -> int:
    for _ in range(QUEUED // 10):
        opened.journal.append(Batch(entries=(entry(BODY, settlement=True),)))  # type: ignore[arg-type] # JSON
    assert opened.write(Batch())
    return QUEUED // 10


def verify(opened: Opened) -> int:
    assert opened.journal.verify_settlements() == ()
    return QUEUED // 10


def read(opened: Opened) -> int:
    after = 0
    while rows := opened.rows(after, 500):
        after = rows[-1].seq
    return after


STEPS: dict[str, Callable[[Opened], int]] = {
    "sessions written ahead, each awaited": one_by_one,
    "ledger rows appended, group commit": queued,
    "settlements chained, group commit": settlements,
    "settlements verified": verify,
    "ledger rows read, 500 at a time": read,
}


def main() -> None:
    table = Table("step", "count", "a second")
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        opened = open_journal(Path(folder) / "journal.db")
        for name, step in STEPS.items():
            began = time.perf_counter()
            count = step(opened)
            table.add_row(name, str(count), f"{count / (time.perf_counter() - began):,.0f}")
        opened.close()
        began = time.perf_counter()
        open_journal(Path(folder) / "journal.db", start=False).close()
        table.add_row("file opened and checked, 22,000 rows", "1", f"{1 / (time.perf_counter() - began):,.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
