"""YAML 1.2 with the position of every key and value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from chargerd.config.problems import ConfigurationError, Problem

Path: TypeAlias = tuple[str | int, ...]
START = (0, 0)


@dataclass(slots=True)
class Source:
    """A parsed file: plain data, and where each part of it stands (lines and columns from 0)."""

    name: str
    data: object = None
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def problem(self, path: Path, what: str, hint: str, *, key: bool = False) -> Problem:
        """Return a problem at this path, or at its nearest parent that stands in the file."""
        for length in range(len(path), -1, -1):
            places = self.keys if key and length == len(path) else self.values
            place = places.get(path[:length], self.keys.get(path[:length]))
            if place is not None:
                return Problem(file=self.name, line=place[0] + 1, column=place[1] + 1, what=what, hint=hint)
        return Problem(file=self.name, line=1, column=1, what=what, hint=hint)


def parse(text: str, name: str) -> Source:
    """Parse YAML. Raises `ConfigurationError` with the place of a mistake in the syntax, or of a doubled key."""
    source = Source(name)
    try:
        loaded = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        what = (error.problem or error.context or "not YAML").splitlines()[0]
        hint = "give each key once" if "duplicate key" in what else "correct the YAML here or just above"
        problem = Problem(file=name, line=line, column=column, what=what, hint=hint)
        raise ConfigurationError([problem]) from error
    except (YAMLError, ValueError) as error:
        problem = Problem(
            file=name, line=1, column=1, what=str(error).splitlines()[0], hint="write UTF-8 YAML 1.2"
        )
        raise ConfigurationError([problem]) from error
    source.values[()] = START
    source.data = _plain(loaded, (), source)
    return source


def _plain(node: object, path: Path, source: Source) -> object:
    if isinstance(node, CommentedMap):
        return _mapping(node, path, source)
    if isinstance(node, CommentedSeq):
        items = []
        for index, item in enumerate(node):
            source.values[(*path, index)] = node.lc.item(index)
            items.append(_plain(item, (*path, index), source))
        return items
    return _scalar(node)


def _mapping(node: CommentedMap, path: Path, source: Source) -> dict[object, object]:
    plain: dict[object, object] = {}
    for key, value in node.items():
        name = key if isinstance(key, str | int) else str(key)
        here = (*path, name)
        if key in node.lc.data:
            source.keys[here] = node.lc.key(key)
            source.values[here] = node.lc.value(key)
        plain[name] = _plain(value, here, source)
    return plain


def _scalar(node: object) -> object:
    # ruamel's round-trip scalars are subclasses that remember their form; models want the plain ones.
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node if isinstance(node, Mapping | Sequence) or node is None else str(node)
