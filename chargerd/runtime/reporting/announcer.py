"""Keeps the retained announcements in step with the configuration: what is announced no more is withdrawn.

What a broker has kept outlives the configuration that had it said. So the topics are written down before the first
is published; those that are not wanted any more are emptied, and forgotten once the broker has taken that.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from chargerd import log
from chargerd.contract.ledger import Body


class Announcer:
    """The announcements of this gateway; `path` is where it keeps which there are."""

    def __init__(self, path: Path, wanted: Mapping[str, Body]) -> None:
        self._path = path
        self._wanted = wanted

    def messages(self) -> dict[str, Body | None]:
        """Return what is to be published, by topic; `None` withdraws what was announced before."""
        before = self._known()
        gone = sorted(before - self._wanted.keys())
        if before != self._wanted.keys():
            self._keep(sorted(before | self._wanted.keys()))
        return {**self._wanted, **dict.fromkeys(gone)}

    def withdrawn(self) -> None:
        """The broker has taken every withdrawal."""
        self._keep(sorted(self._wanted))

    def _known(self) -> set[str]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return set()
        except (OSError, ValueError) as error:
            log.warning("announcements_unknown", file=str(self._path), why=str(error))
            return set()
        return {topic for topic in found if isinstance(topic, str)} if isinstance(found, list) else set()

    def _keep(self, topics: list[str]) -> None:
        try:
            if topics:
                self._path.write_text(json.dumps(topics), encoding="utf-8")
            else:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            # They are published all the same: only a later withdrawal would miss some.
            log.warning("announcements_not_kept", file=str(self._path), why=str(error))
