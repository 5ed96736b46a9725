"""What is known while a document is checked: its places, the problems and notes so far, and what is broken."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from chargerd.config.problems import Problem
from chargerd.config.profiles.models import Profile
from chargerd.config.ranges import RangeError, run_along, spell_out
from chargerd.config.source import Path, Source

Broken: TypeAlias = set[tuple[str, str]]
"""Kind (`bus`, `board`, `circuit`) and name of what is described, but wrongly: what refers to it is not to blame.

The name `""` stands for any name: it could not be read what is described at all.
"""
RANGE_HINT = "write a range as A01..A12, and give what stands beside it as many members"


def near(name: str, known: Iterable[str], kind: str) -> str:
    """Return a hint with the names that come near."""
    choices = sorted(known)
    found = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    if found:
        return f"did you mean {', '.join(found)}?"
    return f"known here: {', '.join(choices[:8])}" if choices else f"describe a {kind} first"


def near_key(name: str, known: Iterable[str]) -> str:
    """Return a hint with the keys that come near, and with all there are."""
    keys = sorted(known)
    if not keys:
        return "leave it out"
    found = difflib.get_close_matches(name, keys, n=3, cutoff=0.5)
    meant = f"did you mean {', '.join(found)}? " if found else ""
    return f"{meant}known here: {', '.join(keys)}"


@dataclass(slots=True)
class Work:
    """The state of one check."""

    source: Source
    profiles: Mapping[str, Profile]
    broken: Broken = field(default_factory=set)
    notes: list[Problem] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    """Where in the file's list each port of the document stands."""
    _found: dict[tuple[Path, str], tuple[Problem, int]] = field(default_factory=dict)

    def wrong(self, path: Path, what: str, hint: str, *, key: bool = False, kind: str = "") -> None:
        """Note a problem. Of those of one kind at one place (a range's members) the first stands for all."""
        slot = (path, kind or hint)
        first, count = self._found.get(slot, (self.source.problem(path, what, hint, key=key), 0))
        self._found[slot] = (first, count + 1)

    @property
    def problems(self) -> list[Problem]:
        return [_counted(problem, count) for problem, count in self._found.values()]

    def note(self, path: Path, what: str, hint: str, *, key: bool = False) -> None:
        """Note something that is no mistake and must not go unheard."""
        self.notes.append(self.source.problem(path, what, hint, key=key))

    def unknown(self, path: Path, kind: str, name: str, known: Iterable[str]) -> None:
        """Note that nothing of this kind has this name, unless it has and is broken."""
        if not self.is_broken(kind, name):
            self.wrong(path, f"unknown {kind} {name!r}", near(name, known, kind), kind=f"unknown {kind}")

    def breaks(self, kind: str, name: str) -> None:
        """Remember that this is described wrongly."""
        self.broken.add((kind, name))

    def is_broken(self, kind: str, name: str) -> bool:
        """Say whether this is, or may be, described wrongly."""
        return (kind, name) in self.broken or (kind, "") in self.broken

    def spelled(self, path: Path, text: str, beside: int | None = None, *, key: bool = False) -> tuple[str, ...]:
        """Return the members of a range, or nothing if it is wrong (and noted)."""
        try:
            return spell_out(text) if beside is None else run_along(text, beside)
        except RangeError as error:
            self.wrong(path, str(error), RANGE_HINT, key=key)
            return ()


def _counted(problem: Problem, count: int) -> Problem:
    if count == 1:
        return problem
    what = f"{problem.what} (and {count - 1} more like it)"
    return Problem(file=problem.file, line=problem.line, column=problem.column, what=what, hint=problem.hint)
