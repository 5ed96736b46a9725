"""Plays a scenario over a bent core: what knows the bent module is loaded anew with it, and the rest stays.

Most of what a bend costs is loading: some hundred frozen dataclasses write their own methods. A module that does
not import the bent one, through whatever chain, is the same with the bend as without it.
"""

import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType

from tests.core.bend import Bend

CORE = Path(__file__).parents[2] / "chargerd" / "core"
NOTICED = {"AssertionError", "InvariantViolated", "UnlistedTransition"}
"""How a scenario goes red; anything else says that the bend is broken."""
AFFECTED = ("chargerd.core.", "tests.core.", "tests.scenarios.")


class _BentLoader(importlib.machinery.SourceFileLoader):
    """Loads a module from changed source."""

    def __init__(self, name: str, path: str, bend: Bend) -> None:
        super().__init__(name, path)
        self._bend = bend

    def get_code(self, fullname: str) -> CodeType | None:
        source = Path(self.get_filename(fullname)).read_text(encoding="utf-8")
        if source.count(self._bend.old) != 1:  # No AssertionError: that would look as if the bend was noticed.
            raise ValueError(f"{source.count(self._bend.old)} places for {self._bend}")
        return self.source_to_code(source.replace(self._bend.old, self._bend.new).encode(), self.path)


class _BentFinder(importlib.abc.MetaPathFinder):
    def __init__(self, bend: Bend) -> None:
        self._bend = bend
        self._name = f"chargerd.core.{bend.module}"

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        path = str(CORE / f"{self._bend.module.replace('.', '/')}.py")
        loader = _BentLoader(fullname, path, self._bend)
        return importlib.util.spec_from_file_location(fullname, path, loader=loader)


@cache
def _imports(name: str, path: str) -> frozenset[str]:
    """What the source of the module `name` imports anywhere in it; of `from a import b`, both `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise ValueError(f"{name}: a bend follows absolute imports only")
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return frozenset(found)


def _knowing(bent_one: str) -> set[str]:
    """Return the loaded modules that know the bent one, itself among them."""
    loaded = {
        name: _imports(name, module.__file__)
        for name, module in sys.modules.items()
        if name.startswith(AFFECTED) and module.__file__ is not None
    }
    known = {bent_one}
    while more := {name for name, imported in loaded.items() if name not in known and imported & known}:
        known |= more
    return known


@contextmanager
def bent(bend: Bend) -> Iterator[None]:
    """Within this context the core is imported with the bend in it."""
    name = f"chargerd.core.{bend.module}"
    before = {one: sys.modules[one] for one in _knowing(name) if one in sys.modules}
    for one in before:
        _forget(one)
    finder = _BentFinder(bend)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for one in _knowing(name) & set(sys.modules):
            _forget(one)
        for one, module in before.items():
            package, _, own = one.rpartition(".")
            sys.modules[one] = module
            setattr(sys.modules[package], own, module)


def _forget(name: str) -> None:
    """Take a module away, also from its package, where `from package import module` looks first."""
    del sys.modules[name]
    package, _, own = name.rpartition(".")
    if hasattr(sys.modules[package], own):
        delattr(sys.modules[package], own)


def play(bend: Bend) -> None:
    """Import the bend's scenario anew and run it; keywords that name something in its module mean that thing."""
    name, function = bend.scenario.split(":")
    module = importlib.import_module(f"tests.{name}")
    keywords = {
        key: getattr(module, value, value) if isinstance(value, str) else value for key, value in bend.keywords
    }
    getattr(module, function)(*bend.arguments, **keywords)


def notices(bend: Bend) -> bool:
    """Say whether the bend's scenario goes red. Raises whatever says that the bend itself is broken."""
    with bent(bend):
        try:
            play(bend)
        except Exception as error:
            if type(error).__name__ not in NOTICED:
                raise  # Its place is gone, or it makes no program.
            return True
    return False
