"""`chargerd self-test`: would this version run here? Asked by an upgrade, while the one before still runs."""

import importlib
import pkgutil
import shutil
import sys
import tempfile
import threading
from pathlib import Path

import click

import chargerd
from chargerd.cli.folders import state_folder
from chargerd.cli.said import echo
from chargerd.runtime.process.clock import SystemClock, boot_id
from chargerd.store.errors import StoreError
from chargerd.store.files import log_of
from chargerd.store.journal import Journal

TRIES, PAUSE_S = 25, 0.2
"""How often, and how far apart, it is looked for a moment in which nobody writes the journal."""
NOT_HERE = ("chargerd.operator", "chargerd.cli.report_pdf", "chargerd.__main__")
"""What needs libraries that a gateway has not, and what begins to run when it is loaded."""
SPARE_BYTES = 64 * 1024 * 1024


@click.command(name="self-test")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=state_folder,
    metavar="FOLDER",
    help="Where the journal lives.  [default: $STATE_DIRECTORY or /var/lib/chargerd]",
)
def command(state_dir: Path) -> None:
    """Load every part of this version, and open a copy of the journal with it. Exit code 1 if it cannot.

    Nothing is sent to any board, and the journal itself is not touched: the daemon may run.
    """
    journal = state_dir / "journal.db"
    try:
        parts = load_everything()
        said = open_copy(journal) if journal.exists() else "there is no journal yet"
    except (ImportError, OSError, StoreError) as error:
        echo(f"chargerd {chargerd.__version__} cannot run here: {error}", err=True)
        sys.exit(1)
    echo(f"chargerd {chargerd.__version__}: {parts} parts load; {said}")


def load_everything() -> int:
    """Import every module a gateway runs; return how many. Raises `ImportError`."""
    names = [one.name for one in pkgutil.walk_packages(chargerd.__path__, "chargerd.")]
    loaded = [importlib.import_module(name) for name in names if not name.startswith(NOT_HERE)]
    return len(loaded)


def open_copy(path: Path) -> str:
    """Open a copy of the journal as the daemon would; return what is in it. Raises `OSError`, `StoreError`."""
    if shutil.disk_usage(path.parent).free < path.stat().st_size + SPARE_BYTES:
        return "no room for a copy of the journal, which was not tried"
    with tempfile.TemporaryDirectory(prefix="self-test-", dir=path.parent) as name:
        copy = Path(name) / path.name
        if not _copied(path, copy):
            return "the journal is written all the time, and was not tried"
        journal = Journal.open(
            copy,
            clock=SystemClock(),
            boot_id=boot_id(),
            on_health=lambda _well: None,
            on_crash=lambda _error: None,
        )
        found = journal.recovery
        journal.abandon()
        if any(copy.parent.glob(f"{copy.name}.damaged-*")):
            raise StoreError(f"a copy of {path} reads as damaged")
        return f"the journal opens, with {len(found.sessions)} open sessions and {len(found.latches)} latches"


def _copied(path: Path, copy: Path) -> bool:
    """Copy the file and its log between two writes; say whether there was such a moment."""
    pause = threading.Event()
    for _ in range(TRIES):
        before = _stamps(path)
        for source, target in ((path, copy), (log_of(path), log_of(copy))):
            target.unlink(missing_ok=True)
            if source.exists():
                shutil.copyfile(source, target)
        if _stamps(path) == before:
            return True
        pause.wait(PAUSE_S)
    return False


def _stamps(path: Path) -> tuple[tuple[int, int] | None, ...]:
    found: list[tuple[int, int] | None] = []
    for one in (path, log_of(path)):
        try:
            stat = one.stat()
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((stat.st_size, stat.st_mtime_ns))
    return tuple(found)
