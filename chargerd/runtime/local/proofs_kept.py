"""The file in which a wiring proof is kept: it is gone on with after Ctrl-C, and after a power cut.

It is written whole beside the old one and put in its place, so that there is always one that can be read. One that
cannot, or is of another configuration, is not gone on with; what it said of boards then counts for nothing.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from chargerd import log
from chargerd.core.proof import Evidence
from chargerd.core.units import BoardId, PortId, Watts

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One proof as it stands on the disk. `began_ms` and `ended_ms` are wall time, if that was known."""

    proof: str
    digest: str
    """Of the configuration it was begun with."""
    ports: tuple[PortId, ...]
    load: Watts | None
    moving: bool
    by: str
    uid: int
    began_ms: int | None
    ended_ms: int | None = None
    whole: bool = False
    """Whether each of its ports was closed: it is not gone on with any more."""
    settled: bool = False
    """Whether what it found exchanged is latched; until then whoever begins has to see to it."""
    crossed: tuple[PortId, ...] = ()
    boards: Mapping[BoardId, bool] = field(default_factory=dict)
    """Whether the dead-man of a board is proved, or was seen not to work."""
    evidence: Evidence = field(default_factory=Evidence)


class ProofFile:
    """The newest proof of a site."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._whole: TypeAdapter[Kept] | None = None

    def load(self) -> Kept | None:
        """Return it; `None` if there is none that can be read."""
        try:
            told = json.loads(self._path.read_text(encoding="utf-8"))
            if told["v"] != VERSION:
                raise ValueError(f"version {told['v']}")  # noqa: TRY301 - said with the others below
            return self._adapter().validate_python(told["data"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, ValidationError) as error:
            log.warning("proof_not_readable", path=str(self._path), why=str(error))
            return None

    def save(self, kept: Kept) -> bool:
        """Keep it in place of the one before, durably; say whether that was possible."""
        text = json.dumps({"v": VERSION, "data": asdict(kept)}, ensure_ascii=False)
        beside = self._path.with_suffix(".new")
        try:
            with beside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            _sync(self._path.parent)
        except OSError as error:
            log.error("proof_not_kept", path=str(self._path), why=str(error))  # noqa: TRY400 - a cause, no mistake
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            return False
        return True

    def _adapter(self) -> TypeAdapter[Kept]:
        if self._whole is None:
            self._whole = TypeAdapter(Kept)
        return self._whole


def _sync(folder: Path) -> None:
    """Make a name in a folder durable."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
