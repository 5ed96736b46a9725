"""`python -m tests.mutants`: bends every protective rule, one at a time; a survivor is an error (exit code 1)."""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.core.bend import Bend
from tests.core.bending import notices, play
from tests.core.bends import BENDS
from tests.core.test_shape import SHAPE_BENDS
from tests.mutants.outer import MUTANTS, survives


def inner() -> Iterator[tuple[str, str, bool]]:
    """Yield room, rule and whether it survives, for those of the core."""
    green: set[Bend] = set()
    for bend in (*BENDS, *SHAPE_BENDS):
        said = f"{_line(bend.old)}  ->  {_line(bend.new)}"
        yield f"core/{bend.module}", said, _inner_survives(bend, green)


def _line(source: str) -> str:
    return " ".join(source.split())[:60]


def _inner_survives(bend: Bend, green: set[Bend]) -> bool:
    """Say whether nobody notices. A scenario that is red without the bend raises: it would notice nothing."""
    unbent = replace(bend, module="", old="", new="")
    if unbent not in green:
        play(bend)
        green.add(unbent)
    return not notices(bend)


def outer() -> Iterator[tuple[str, str, bool]]:
    """Yield the same for the other rooms."""
    for mutant in MUTANTS:
        with tempfile.TemporaryDirectory() as folder:
            yield mutant.module, mutant.rule, survives(mutant, Path(folder))


def main() -> int:
    """Print them all."""
    console = Console()
    table = Table("where", "bent rule", "the tests", title="Bent rules")
    survivors = count = 0
    for place, rule, alive in (*inner(), *outer()):
        table.add_row(place, rule, "[red]stay green[/]" if alive else "go red")
        survivors += alive
        count += 1
    console.print(table)
    console.print(f"{count} rules bent, {survivors} not noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
