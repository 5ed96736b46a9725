"""What is wrong with a file, where, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass

from chargerd.text import visible


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Problem:
    """One thing wrong with a file. `line` and `column` count from 1; 0 where the whole file is meant."""

    file: str
    line: int
    column: int
    what: str
    hint: str

    def __str__(self) -> str:
        """Return `file:line:column: what is wrong; what to do`, in one line that does nothing to a terminal.

        Of a problem with the whole file only the file is named.
        """
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        text = f"{place}: {self.what}; {self.hint}"
        return visible(text)


class ConfigurationError(Exception):
    """The configuration cannot be used; `problems` has every reason once, in the order of the file.

    `notes` has what else could be told of it in spite of them.
    """

    def __init__(self, problems: Iterable[Problem], notes: Iterable[Problem] = ()) -> None:
        self.problems = tuple(sorted(set(problems)))
        self.notes = tuple(sorted(set(notes)))
        super().__init__("\n".join(str(problem) for problem in self.problems))
