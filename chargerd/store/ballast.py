"""A file that holds nothing, to be let go when the disk is full: settlements still have to be written then."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chargerd import log

BYTES: Final = 8 * 1024 * 1024
"""Room for 20,000 rows: a day of settlements of a busy gateway, and the log's longest length."""
ROOMY: Final = 4
"""How many times its size has to be free before it is taken (again)."""
HARDLY_ANY: Final = 1024 * 1024
"""Free bytes below which an error of the disk is taken for one of a full disk."""


@dataclass(frozen=True, slots=True)
class Ballast:
    """The file `path` of `size` bytes; none is kept if that is 0."""

    path: Path
    size: int

    def take(self) -> None:
        """Take the room, if there is plenty. A disk that does not give it is not asked again for now."""
        try:
            if not self.size or self.path.exists() or free(self.path.parent) < ROOMY * self.size:
                return
            file = os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                os.posix_fallocate(file, 0, self.size)
            finally:
                os.close(file)
        except OSError as error:
            log.warning("no_ballast", path=str(self.path), why=error.strerror)

    def release(self) -> bool:
        """Give the room back; say whether there was any to give."""
        try:
            self.path.unlink()
        except OSError:
            return False
        log.error("ballast_released", path=str(self.path), bytes=self.size)
        return True


def free(folder: Path) -> int:
    """Return how many bytes are free where `folder` is. Raises `OSError`."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def is_full(folder: Path) -> bool:
    """Say whether there is hardly any room; a disk that does not answer has another trouble."""
    try:
        return free(folder) < HARDLY_ANY
    except OSError:
        return False
