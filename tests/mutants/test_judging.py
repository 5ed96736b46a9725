"""Asserts that judge many things judge one at least."""

import ast
from pathlib import Path

import pytest

from tests.judging import every

FOLDER = Path(__file__).parents[1]


def test_of_nothing_nothing_is_shown() -> None:
    assert every(number > 0 for number in (1, 2))
    assert not every(number > 1 for number in (1, 2))
    with pytest.raises(AssertionError, match="nothing to judge"):
        every(())


def test_no_assert_goes_by_all() -> None:
    """It is green where its list has become empty, whatever the code does."""
    empty = [
        f"{path.relative_to(FOLDER)}:{node.lineno}"
        for path in sorted(FOLDER.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert)
        and isinstance(node.test, ast.Call)
        and isinstance(node.test.func, ast.Name)
        and node.test.func.id == "all"
    ]
    assert not empty
