"""How the daemon ended last, in a small file for whoever asks `chargerctl` while it does not run.

It is written when the daemon begins and when it ends, for good or ill; one that is killed leaves what it wrote
when it began. A disk that takes nothing keeps nobody from ending: it is tried beside, and not waited for.
"""

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from chargerd import __version__
from chargerd.contract.ledger import Json
from chargerd.contract.parts import stamp
from chargerd.core.clock import Clock

LAST_EXIT = "last-exit.json"
WITHIN = 0.5
"""Seconds a disk may take for it."""
READABLE = 0o640


class LastExit:
    """Writes that file, into each of some folders."""

    def __init__(self, folders: Sequence[Path], clock: Clock) -> None:
        self._folders = tuple(dict.fromkeys(folders))
        self._clock = clock

    def note(self, state: str, **more: Json) -> None:
        """Write down `running`, `stopped`, `failed` or `refused`, and what belongs to it."""
        at = stamp(self._clock.moment())
        told = {"state": state, "at": at, "pid": os.getpid(), "version": __version__, **more}
        text = json.dumps(told)
        writing = threading.Thread(target=self._write, args=(text,), name="last exit", daemon=True)
        writing.start()
        writing.join(WITHIN)

    def _write(self, text: str) -> None:
        for folder in self._folders:
            beside = folder / f".{LAST_EXIT}"
            try:
                beside.write_text(text, encoding="utf-8")
                beside.chmod(READABLE)
                beside.replace(folder / LAST_EXIT)
            except OSError:
                continue  # It tells nothing then; the log does.
