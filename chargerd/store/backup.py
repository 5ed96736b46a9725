"""Copies of the journal beside it, for the day its disk sector dies. Made by the journal's own thread in slices.

A copy is marked in its header (`application_id`). A journal that bears the mark was restored: it gets a new
stream, since numbers that were given out after the copy was made must not be given out again.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from chargerd.store.ballast import free
from chargerd.store.schema import opened

PAGES: Final = 32
"""128 KiB in one slice: read, written and on the disk before the next one."""
SPARE_BYTES: Final = 32 * 1024 * 1024
"""What must stay free beside a copy."""
MARK: Final = b"chbk"
MARK_AT: Final = 68
"""Where a file of SQLite has its application id (sqlite.org/fileformat.html, section 1.3)."""


class AbandonedError(Exception):
    """There is something better to do than to copy."""


def copy_of(path: Path, number: int) -> Path:
    """Return where the copies are; number 1 is the newest."""
    return path.with_name(f"{path.name}.backup-{number}")


def is_copy(path: Path) -> bool:
    """Say whether this file is a copy somebody has put in the journal's place. Raises `OSError`."""
    with path.open("rb") as file:
        file.seek(MARK_AT)
        return file.read(len(MARK)) == MARK


def has_room(path: Path) -> bool:
    """Say whether one more copy fits beside the journal. Raises `OSError`."""
    return free(path.parent) > path.stat().st_size + SPARE_BYTES


def make(source: sqlite3.Connection, path: Path, keep: int, between: Callable[[], None]) -> None:
    """Copy the journal and forget the oldest of more than `keep` copies.

    `between` is called between two slices, with the source free to be written by its own connection; it may raise
    `AbandonedError`. Raises that, `OSError` and `sqlite3.Error`; then no copy is made and the older ones stay.
    """
    new = _made(source, path, between)
    for number in range(keep, 1, -1):
        with suppress(FileNotFoundError):
            copy_of(path, number - 1).rename(copy_of(path, number))
    new.rename(copy_of(path, 1))
    _sync(path.parent, os.O_DIRECTORY)


def keep_before(source: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy the journal as it is before its form changes from `version` on; return where the copy is.

    Only the newest such copy is kept. Raises `OSError` and `sqlite3.Error`; then an older one stays.
    """
    kept = path.with_name(f"{path.name}.schema-{version}")
    _made(source, path, lambda: None).rename(kept)
    for other in path.parent.glob(f"{path.name}.schema-*"):
        if other != kept:
            other.unlink()
    _sync(path.parent, os.O_DIRECTORY)
    return kept


def _made(source: sqlite3.Connection, path: Path, between: Callable[[], None]) -> Path:
    new = path.with_name(f"{path.name}.backup-new")
    try:
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _copy(source, new, between)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    return new


def _copy(source: sqlite3.Connection, new: Path, between: Callable[[], None]) -> None:
    def progress(_status: int, _left: int, _all: int) -> None:
        # Slice by slice on the disk: one flush of everything at the end would hold up whoever commits then.
        os.fdatasync(file)
        between()

    file = os.open(new, os.O_RDWR)
    try:
        with closing(opened(new)) as target:
            target.execute("PRAGMA journal_mode = OFF")
            target.execute("PRAGMA synchronous = OFF")
            target.execute(f"PRAGMA cache_size = {PAGES}")
            source.backup(target, pages=PAGES, progress=progress, sleep=0)
        os.pwrite(file, MARK, MARK_AT)
        os.fsync(file)
    finally:
        os.close(file)


def _sync(path: Path, flags: int) -> None:
    file = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(file)
    finally:
        os.close(file)
