"""Each bend still finds its rule, in one place, and its tests: a line that moved is noticed when it moves."""

import ast
import builtins
import symtable
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
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


PREDEFINED = {*dir(builtins), "__file__"}
Names = tuple[frozenset[str], frozenset[str]]
"""Which names some source binds for its module, and which it takes from there."""


@cache
def statements(path: str) -> tuple[str, ...]:
    """Return the statements of a module, each with what stands before it, as they follow each other."""
    lines = source(path).splitlines(keepends=True)
    ends = [node.end_lineno or node.lineno for node in ast.parse(source(path)).body]
    starts = [0, *ends[:-1], len(lines)]
    return tuple("".join(lines[start:end]) for start, end in pairwise(starts))


@cache
def names(code: str) -> Names:
    """Look for the names in one statement, whatever scopes are in it."""
    bound, taken = set[str](), set[str]()
    top = symtable.symtable(code, "a module", "exec")
    scopes = [top]
    for scope in scopes:
        scopes += scope.get_children()
        for symbol in scope.get_symbols():
            if scope is not top and not symbol.is_global():
                continue
            if symbol.is_assigned() or symbol.is_imported():
                bound.add(symbol.get_name())
            if symbol.is_referenced():
                taken.add(symbol.get_name())
    return frozenset(bound), frozenset(taken)


def unknown(code: Sequence[str]) -> set[str]:
    """Return the names that these statements together take from their module, and that are not in it."""
    both = [names(one) for one in code]
    return set().union(*(taken for _, taken in both)) - set().union(*(bound for bound, _ in both)) - PREDEFINED


def with_bend(path: str, old: str, new: str) -> list[str]:
    """Return a module's statements with a bend in it: those it lies in as one, the others as they are."""
    at = source(path).index(old)
    before, within, after, place = list[str](), "", list[str](), 0
    for one in statements(path):
        if place + len(one) <= at:
            before.append(one)
        elif place >= at + len(old):
            after.append(one)
        else:
            within += one
        place += len(one)
    return [*before, within.replace(old, new), *after]


def test_no_bend_has_a_name_that_its_module_does_not_know() -> None:
    """Else the program is broken, not the rule, and whatever runs it seems to notice."""
    broken = {
        (path, old, new): strange
        for path, old, new in bent()
        if path.endswith(".py") and (strange := unknown(with_bend(path, old, new)))
    }
    assert not broken, f"bends, and the names in them that their file does not know: {broken}"


def test_a_name_nobody_knows_is_seen_in_whatever_scope() -> None:
    assert unknown(["from x import y as z\n", "def f(a):\n    return [a + b + z for b in len(c)]\n"]) == {"c"}
    assert unknown(["class A:\n    d: E = 1\n    def f(self) -> A:\n        return d\n"]) == {"E", "d"}
    assert unknown(["def f():\n    global g\n    g = h\n", "h = __name__\n"]) == set()


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
