"""Modules named as text, imported only when they are called: they exist, and stand on no higher floor.

No import contract sees such a name. So each is looked up, and counted as an import of the module it stands in.
"""

import ast
import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"chargerd(\.[A-Za-z_]\w*)+")
FILES = frozenset({"chargerd.yaml", "chargerd.log", "chargerd.service"})
"""What is written like a module and names a file."""
FLOORS: list[str] = next(
    one["layers"]
    for one in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    if one["name"] == "Dependencies point at the core"
)


def floor_of(module: str) -> int:
    part = module.split(".")[1]
    return next((level for level, floor in enumerate(FLOORS) if part in floor.split(" | ")), -1)


def texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
            yield node.value


NAMED = sorted(
    {
        (".".join(path.relative_to(ROOT).with_suffix("").parts), name)
        for path in (ROOT / "chargerd").rglob("*.py")
        for name in texts(path)
        if name not in FILES
    }
)


def test_there_are_some() -> None:
    assert ("chargerd.cli.commands", "chargerd.cli.check") in NAMED
    assert ("chargerd.cli.chargerd", "chargerd.cli.run") in NAMED


@pytest.mark.parametrize(("module", "name"), NAMED)
def test_a_module_named_as_text_is_there_and_on_no_higher_floor(module: str, name: str) -> None:
    assert importlib.util.find_spec(name) is not None, f"{module} names {name}, which is nowhere"
    assert floor_of(module) <= floor_of(name) or name == "chargerd.__main__", f"{module} stands below {name}"
