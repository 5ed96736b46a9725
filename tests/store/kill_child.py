"""A process that appends until it is killed, and says on stdout what it was told is durable.

`python -m tests.store.kill_child` takes jobs from stdin, `PATH FIRST MODE` a line, forks a process for each, and
says `pid N` before and `ended STATUS` after it: only the first pays for the imports. Batches are numbered from
FIRST. MODE `honest` runs the journal as it is, `bent` calls `done` before the commit; with `-stop` appended, the
process says `stopped` within its 20th transaction, just before the commit, and waits there to be killed.
"""

import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from chargerd.contract.ledger import Batch
from chargerd.store.tables import Tables
from chargerd.store.work import Append
from tests.store.kit import entry, open_journal, record

STOP_AT = 20


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def bend() -> None:
    write = Append.write

    def write_and_tell(self: Append, tables: Tables) -> None:
        write(self, tables)
        if self.done is not None:
            self.done(True)
            self.done = None

    Append.write = write_and_tell  # type: ignore[method-assign] # the fault the test must be able to see


def stop_before_commit() -> None:
    transaction = Tables.transaction
    count = itertools.count()

    @contextmanager
    def stopping(self: Tables) -> Iterator[None]:
        with transaction(self):
            yield
            if next(count) == STOP_AT:
                say("stopped")
                signal.pause()

    Tables.transaction = stopping  # type: ignore[method-assign] # a place to be killed in


def main() -> None:
    for line in sys.stdin:
        path, first, mode = line.split()
        child = os.fork()
        if not child:
            work(Path(path), int(first), mode)
        _, status = os.waitpid(child, 0)
        say(f"ended {os.waitstatus_to_exitcode(status)}")


def work(path: Path, first: int, mode: str) -> None:
    """Append until killed."""
    say(f"pid {os.getpid()}")
    if mode.startswith("bent"):
        bend()
    opened = open_journal(path, start=False)
    if mode.endswith("stop"):
        stop_before_commit()
    opened.journal.start()
    for number in itertools.count(first):
        batch = Batch(
            sessions=(record(f"s{number}"),), entries=(entry({"n": number}, settlement=True), entry({"m": number}))
        )
        said = threading.Event()
        opened.journal.append(batch, partial(tell, number, said))
        if number % 3:  # Else transactions of several batches are killed, too.
            said.wait()


def tell(number: int, said: threading.Event, durable: bool) -> None:
    """Say so in the thread that writes: another one might be killed before it comes to it."""
    if durable:
        say(str(number))
    said.set()


if __name__ == "__main__":
    main()
