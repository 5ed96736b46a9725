"""Each bend still finds its rule, in one place, and its tests: a line that moved is noticed when it moves."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.core.bends import BENDS
from tests.core.test_shape import SHAPE_BENDS
from tests.mutants.outer import MUTANTS

ROOT = Path(__file__).parents[2]


@cache
def source(path: str) -> str:
    """Return what is in a file; nothing if there is none."""
    file = ROOT / path
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def bent() -> Iterator[tuple[str, str, str]]:
    """Yield file, old and new text of each bend of all lists."""
    for bend in (*BENDS, *SHAPE_BENDS):
        yield f"chargerd/core/{bend.module.replace('.', '/')}.py", bend.old, bend.new
    for mutant in MUTANTS:
        yield f"chargerd/{mutant.module}", mutant.old, mutant.new


def test_each_bend_changes_one_place() -> None:
    places = [(path, old, source(path).count(old)) for path, old, _ in bent()]
    assert len(places) > len(BENDS)
    assert [place for place in places if place[2] != 1] == []
    assert [old for _, old, new in bent() if old == new] == []


def test_each_bend_has_the_tests_that_are_to_notice() -> None:
    scenarios = [one.scenario.split(":") for one in (*BENDS, *SHAPE_BENDS)]
    gone = {
        f"{module}:{function}"
        for module, function in scenarios
        if f"\ndef {function}(" not in source(f"tests/{module.replace('.', '/')}.py")
    }
    named = {word.partition("::")[0] for mutant in MUTANTS for word in mutant.tests.split()}
    gone |= {path for path in named if path.startswith("tests/") and not (ROOT / path).exists()}
    assert gone == set()
