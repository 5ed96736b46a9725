"""The journal's files: made whole before they get their name, and moved aside, never deleted, when damaged.

A journal consists of the file itself and the write-ahead log beside it. A log without its file must not meet a
new one: SQLite would replay it there.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Final, TypeVar

from chargerd import log
from chargerd.store import backup, salvage, schema
from chargerd.store.codec import CodecError
from chargerd.store.errors import DamagedError, StoreError

T = TypeVar("T")

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600


def log_of(path: Path) -> Path:
    """Return where SQLite keeps the write-ahead log of a file."""
    return path.with_name(f"{path.name}-wal")


def being_made(path: Path) -> Path:
    """Return where a journal is made before it gets its name."""
    return path.with_name(f"{path.name}.new")


def open_file(path: Path, load: Callable[[sqlite3.Connection], T]) -> tuple[sqlite3.Connection, T]:
    """Open a journal that is sound and current; make a new one where there is none or a damaged one.

    `load` reads what has to be known at the start; what it cannot read makes the file a damaged one. Raises
    `StoreError`.
    """
    try:
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        _finish_swap(path)
        if path.exists():
            schema.refuse_newer(path)
            if backup.is_copy(path):
                _restore(path)
        else:
            _make(path)
        try:
            return _open_sound(path, load)
        except DamagedError as error:
            log.critical("journal_damaged", path=str(path), error=str(error))
            _replace(path)
        return _open_sound(path, load)
    except OSError as error:
        raise StoreError(
            f"{path}: {error.strerror}; check that its folder may be written by this user and has free space"
        ) from error
    except DamagedError as error:
        raise StoreError(f"{error}; the disk does not keep what is written to it: replace it") from error


def _open_sound(path: Path, load: Callable[[sqlite3.Connection], T]) -> tuple[sqlite3.Connection, T]:
    with ExitStack() as on_error:
        connection = on_error.enter_context(closing(schema.connect(path)))
        try:
            schema.check(connection, path)
            _keep_before(connection, path)
            schema.migrate(connection)
            loaded = load(connection)
        except sqlite3.Error as error:
            raise schema.explain(path, error) from error
        except CodecError as error:
            raise DamagedError(f"{path}: {error}") from error
        path.chmod(FILE_MODE)
        on_error.pop_all()
    return connection, loaded


def _restore(path: Path) -> None:
    log.critical("journal_restored", path=str(path))
    # The log beside it belongs to the file it was copied over.
    _move_log(path, _aside(path))
    _replace(path, restored=True)


def _keep_before(connection: sqlite3.Connection, path: Path) -> None:
    version = schema.outdated(connection)
    if version is None:
        return
    try:
        if backup.has_room(path):
            log.info("journal_kept_before_upgrade", copy=str(backup.keep_before(connection, path, version)))
            return
        why = "no room for a copy"
    except (OSError, sqlite3.Error) as error:
        why = str(error)
    # Without a way back to the version before, but with its sessions and latches.
    log.warning("journal_not_kept_before_upgrade", why=why)


def _replace(path: Path, *, restored: bool = False) -> None:
    # What can be read goes into a new journal; the damaged one is moved aside, for whoever wants to look into it.
    found = salvage.read(path)
    # Ports may have been locked out since a copy was made.
    found.latches_unknown |= restored
    aside = _aside(path)
    _write_new(path, found, aside)
    path.rename(aside)
    _move_log(path, aside)
    _name(path)
    log.error(
        "journal_salvaged",
        moved_to=str(aside),
        latches_unknown=found.latches_unknown,
        **{table: len(rows) for table, rows in found.rows.items()},
    )


def _make(path: Path) -> None:
    if log_of(path).exists():
        # The file is gone and its log is not: there was a journal here, and nobody knows its latches.
        aside = _aside(path)
        _write_new(path, None, aside)
        _move_log(path, aside)
    else:
        _write_new(path, None, None)
    _name(path)


def _finish_swap(path: Path) -> None:
    # The file under way is complete once the damaged one has lost its name, and not to be trusted before.
    moved = any(path.parent.glob(f"{path.name}.damaged-*"))
    if moved and not path.exists() and being_made(path).exists():
        _move_log(path, _aside(path))
        _name(path)


def _write_new(path: Path, found: salvage.Salvage | None, aside: Path | None) -> None:
    new = being_made(path)
    for leftover in (new, log_of(new)):
        leftover.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
    salvage.write(new, found, aside)
    with new.open("rb") as file:
        os.fsync(file.fileno())


def _move_log(path: Path, aside: Path) -> None:
    with suppress(FileNotFoundError):
        log_of(path).rename(log_of(aside))


def _name(path: Path) -> None:
    being_made(path).rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _aside(path: Path) -> Path:
    number = 1
    while _numbered(path, number).exists() or log_of(_numbered(path, number)).exists():
        number += 1
    return _numbered(path, number)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.damaged-{number}")
