"""A file system that notes what the journal does to it, and what a power cut may leave of that.

The journal's own code runs on it through a thin connection that speaks `sqlite3` and is served by apsw, since only
apsw lets a file system be put underneath. What a cut leaves is opened again by the `sqlite3` of the standard
library, as in production.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import apsw

SECTORS = (512, 4096)
"""What a disk writes at once: old disks, and cards and new disks."""


CODES: dict[type[apsw.Error], int] = {
    apsw.BusyError: sqlite3.SQLITE_BUSY,
    apsw.ReadOnlyError: sqlite3.SQLITE_READONLY,
    apsw.IOError: sqlite3.SQLITE_IOERR,
    apsw.CorruptError: sqlite3.SQLITE_CORRUPT,
    apsw.FullError: sqlite3.SQLITE_FULL,
    apsw.CantOpenError: sqlite3.SQLITE_CANTOPEN,
    apsw.NotADBError: sqlite3.SQLITE_NOTADB,
}


@dataclass(slots=True)
class Op:
    """One call on a file: `write` (`data` at `offset`), `truncate` (to `offset`), `sync`, `delete`, or `mark`."""

    what: str
    file: str = ""
    offset: int = 0
    data: bytes = b""


class Faults:
    """What the disk refuses from now on: any of `write`, `sync`."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.full = False
        self.read_only = False

    def meet(self, what: str) -> None:
        """Raise what SQLite is told by the operating system."""
        if self.full and what == "write":
            raise apsw.FullError("no space left")
        if self.read_only and what == "write":
            raise apsw.ReadOnlyError("a file system that was mounted read-only")
        if what in self.refused:
            raise apsw.IOError("input/output error")


class RecordingFile(apsw.VFSFile):
    """A real file whose changes are noted."""

    def __init__(self, base: str, name: Any, flags: list[int], vfs: "RecordingVfs") -> None:
        self._vfs = vfs
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else str(name)).name
        super().__init__(base, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._vfs.faults.meet("write")
        super().xWrite(data, offset)
        self._vfs.note(Op("write", self._name, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        self._vfs.faults.meet("write")
        super().xTruncate(newsize)
        self._vfs.note(Op("truncate", self._name, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._vfs.faults.meet("sync")
        super().xSync(flags)
        self._vfs.note(Op("sync", self._name))


class RecordingVfs(apsw.VFS):
    """The file system of the operating system, with a notebook."""

    def __init__(self, name: str) -> None:
        self.ops: list[Op] = []
        self.faults = Faults()
        self.recording = True
        self.name = name
        super().__init__(name, "")

    def note(self, op: Op) -> None:
        """Note a call."""
        if self.recording:
            self.ops.append(op)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        return RecordingFile("", name, flags, self)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        super().xDelete(filename, syncdir)
        self.note(Op("delete", Path(filename).name))


class Rows:
    """The answer to a statement."""

    def __init__(self, rows: list[tuple[Any, ...]], changes: int) -> None:
        self._rows = iter(rows)
        self.rowcount = changes

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return next(self._rows, None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self._rows)


@contextmanager
def _as_sqlite3() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        kind = sqlite3.IntegrityError if isinstance(error, apsw.ConstraintError) else sqlite3.OperationalError
        said = kind(str(error))
        said.sqlite_errorcode = CODES.get(type(error), sqlite3.SQLITE_ERROR)
        said.sqlite_errorname = type(error).__name__
        raise said from error


class Connection:
    """As much of `sqlite3.Connection` as the journal uses. `instead` puts statements in the place of others."""

    def __init__(self, path: Path, vfs: RecordingVfs, instead: dict[str, str], after: Iterable[str] = ()) -> None:
        self._instead = instead
        with _as_sqlite3():
            self._db = apsw.Connection(str(path), vfs=vfs.name)
        for statement in after:
            self.execute(statement)

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction

    def execute(self, statement: str, values: Any = ()) -> Rows:
        with _as_sqlite3():
            rows = list(self._db.execute(self._instead.get(statement, statement), values or None))
            return Rows(rows, self._db.changes())

    def executemany(self, statement: str, values: Iterable[Any]) -> None:
        with _as_sqlite3():
            for _ in self._db.executemany(statement, values):
                pass

    def close(self) -> None:
        with _as_sqlite3():
            self._db.close()


@dataclass(slots=True)
class Disk:
    """What a disk holds for certain, and what it has been given since without a sync."""

    certain: dict[str, bytes | None] = field(default_factory=dict)
    pending: dict[str, list[Op]] = field(default_factory=dict)

    def take(self, op: Op) -> None:
        """Go one call further."""
        if op.what == "mark":
            return
        self.pending.setdefault(op.file, []).append(op)
        if op.what == "sync":
            self.certain[op.file] = _played(self.certain.get(op.file), self.pending.pop(op.file))

    def left(self, chance: Random, mode: str) -> dict[str, bytes]:
        """Return files after a power cut: `none` or `all` of what was pending arrived, or any of it (`some`)."""
        sector, share = chance.choice(SECTORS), chance.choice((0.1, 0.5, 0.9))
        files: dict[str, bytes] = {}
        for name in self.certain.keys() | self.pending.keys():
            pending = self.pending.get(name, []) if mode != "none" else []
            if mode == "some":
                pending = list(_arrived(pending, chance, sector, share))
            content = _played(self.certain.get(name), pending)
            if content is not None:
                files[name] = content
        return files


def _arrived(pending: Iterable[Op], chance: Random, sector: int, share: float) -> Iterator[Op]:
    for op in pending:
        if op.what == "write":
            end = op.offset + len(op.data)
            start = op.offset
            while start < end:
                stop = min(end, (start // sector + 1) * sector)
                if chance.random() < share:
                    yield Op("write", op.file, start, op.data[start - op.offset : stop - op.offset])
                start = stop
        elif chance.random() < share:
            yield op
        elif op.what == "delete":
            return  # The old file is still there, and what came later went into another one.


def _played(content: bytes | None, ops: Iterable[Op]) -> bytes | None:
    data = None if content is None else bytearray(content)
    for op in ops:
        if op.what == "delete":
            data = None
            continue
        if op.what == "sync":
            data = bytearray() if data is None else data
            continue
        data = bytearray() if data is None else data
        if op.what == "truncate":
            del data[op.offset :]
            data.extend(bytes(max(0, op.offset - len(data))))
        else:
            data.extend(bytes(max(0, op.offset - len(data))))
            data[op.offset : op.offset + len(op.data)] = op.data
    return None if data is None else bytes(data)
