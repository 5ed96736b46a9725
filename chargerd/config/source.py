"""YAML 1.2 as plain data, with the position of every key and value."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from chargerd.config.problems import ConfigurationError, Problem

Path: TypeAlias = tuple[str | int, ...]
MOST_NODES = 100_000
"""More than any site has: a few lines of nested aliases can stand for billions of values."""
_OPENING, _CLOSING = "\u201c\u201e\u201d\u2018\u201a\u2019\u00ab\u00bb", "\u201d\u201c\u2019\u2018\u00bb\u00ab"
"""Quotation marks of English, German and French texts: at either end, since each language has its own."""
_TAG = "tag:yaml.org,2002:"
_TEXT = {_TAG + "str", _TAG + "timestamp"}
_RESOLVED = {_TAG + "null", _TAG + "bool", _TAG + "int", _TAG + "float"}


@dataclass(slots=True)
class Source:
    """A parsed file: plain data, and where each part of it stands (lines and columns from 0).

    `problems` are mistakes that do not keep the rest from being read: doubled keys, unknown tags.
    """

    name: str
    data: object = None
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    """Keys with nothing behind the colon."""
    doubled: list[str] = field(default_factory=list)
    """Sections that stand in the file twice; `data` has the first."""

    def problem(self, path: Path, what: str, hint: str, *, key: bool = False) -> Problem:
        """Return a problem at this path, or at its nearest parent that stands in the file."""
        for length in range(len(path), 0, -1):
            first, second = (self.keys, self.values) if key and length == len(path) else (self.values, self.keys)
            place = first.get(path[:length], second.get(path[:length]))
            if place is not None:
                return self.at(place, what, hint)
        return self.at((0, 0), what, hint)

    def at(self, place: tuple[int, int], what: str, hint: str) -> Problem:
        """Return a problem at a line and column counted from 0."""
        return Problem(file=self.name, line=place[0] + 1, column=place[1] + 1, what=what, hint=hint)


def parse(text: str, name: str) -> Source:
    """Parse YAML. Raises `ConfigurationError` if its syntax is wrong, with the place."""
    source = Source(name)
    yaml = YAML(typ="safe", pure=True)
    # An anchor may be given anew (YAML 1.2, 7.1); a warning on stderr would be no problem with a place.
    yaml.composer.warn_double_anchors = False
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line, mark.column) if mark is not None else (0, 0)
        what = (error.problem or error.context or "not YAML").splitlines()[0]
        tab = "'\\t'" in what
        hint = "indent with spaces, YAML takes no tabs" if tab else "correct the YAML here or just above"
        raise ConfigurationError([source.at(place, what, hint)]) from error
    except (YAMLError, ValueError) as error:
        what = str(error).splitlines()[0]
        raise ConfigurationError([source.at((0, 0), what, "write UTF-8 YAML 1.2")]) from error
    except RecursionError as error:
        raise ConfigurationError([source.at((0, 0), "nested too deeply", "see the examples")]) from error
    if root is not None:
        source.data = _Reader(source, yaml).plain(root, ())
    return source


class _Reader:
    def __init__(self, source: Source, yaml: YAML) -> None:
        self._source = source
        self._yaml = yaml
        self._left = MOST_NODES
        self._within: set[int] = set()

    def plain(self, node: Node, path: Path) -> object:
        """Return what a node holds; notes its place and those of all below it."""
        self._left -= 1
        if self._left < 0 or id(node) in self._within:
            problem = self._source.at(_place(node), "an alias stands for too much", "write the values out")
            raise ConfigurationError([problem])
        # Nothing after a colon has no place of its own: its mark is wherever the next token stands.
        nothing = isinstance(node, ScalarNode) and not node.value and not node.style
        self._source.values[path] = self._source.keys.get(path, _place(node)) if nothing else _place(node)
        if nothing and path and isinstance(path[-1], str):
            self._source.empty.append(path)
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        self._within.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return {key: self.plain(value, (*path, key)) for key, value in self._pairs(node, path)}
            assert isinstance(node, SequenceNode)
            return [self.plain(item, (*path, index)) for index, item in enumerate(node.value)]
        finally:
            self._within.discard(id(node))

    def _pairs(self, node: MappingNode, path: Path) -> Iterator[tuple[str, Node]]:
        """Yield keys, always as they are written, and values; a doubled key counts the first time only."""
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or key.tag == _TAG + "merge":
                what, hint = "this cannot be a key", "write the keys out; a range stands for equal entries"
                self._source.problems.append(self._source.at(_place(key), what, hint))
                continue
            here = (*path, key.value)
            if here in self._source.keys:
                line = self._source.keys[here][0] + 1
                what = f"key {key.value!r} stands in line {line} already"
                self._source.problems.append(self._source.at(_place(key), what, "give each key once"))
                self._source.doubled += [key.value] if not path else []
                continue
            self._source.keys[here] = _place(key)
            self._look_at_quotes(key, key.value)
            yield key.value, value

    def _look_at_quotes(self, node: ScalarNode, text: str) -> None:
        """Tell of quotes as word processors set them: they are part of the text, which nobody means."""
        if not node.style and text[:1] in _OPENING and text[-1:] in _CLOSING and len(text) > 1:
            what = f"{text[:40]} stands in typographic quotes, which are part of the text here"
            hint = f'write "{text.strip(_OPENING + _CLOSING)[:40]}"; switch smart quotes off in the editor'
            self._source.problems.append(self._source.at(_place(node), what, hint))

    def _scalar(self, node: ScalarNode) -> object:
        if node.tag in _TEXT:
            self._look_at_quotes(node, node.value)
            return node.value
        if node.tag in _RESOLVED:
            try:
                return self._yaml.constructor.construct_object(node)
            except ValueError:
                what, hint = f"{node.value[:20]}... cannot be read as a number", "correct the number"
        else:
            what, hint = f"unknown tag {str(node.tag).removeprefix(_TAG)!r}", "leave the tag out"
        self._source.problems.append(self._source.at(_place(node), what, hint))
        return None


def _place(node: Node) -> tuple[int, int]:
    return node.start_mark.line, node.start_mark.column
