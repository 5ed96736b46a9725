"""Turns what pydantic says of a document into problems with a place, and cuts out what is wrong."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from types import UnionType
from typing import Any, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from chargerd.config.document import Document
from chargerd.config.problems import Problem
from chargerd.config.ranges import RangeError, spell_out
from chargerd.config.source import Path, Source
from chargerd.config.work import Work, near, near_key

KINDS = {"buses": "bus", "boards": "board", "circuits": "circuit"}
"""Sections whose entries others refer to."""
_ENTRIES = {*KINDS, "inputs"}
LONGEST_SHOWN = 40
_PREDICATES = ("is ", "cannot ", "has ")


def path_of(detail: ErrorDetails) -> Path:
    """Return where an error is: without what pydantic adds for keys."""
    return tuple(part for part in detail["loc"] if part != "[key]")


def explain(details: Iterable[ErrorDetails], source: Source, root: type[BaseModel] = Document) -> list[Problem]:
    """Return the problems behind validation errors of a document, or of another `root`."""
    details = list(details)
    misspelt = {
        (*path[:-1], guess)
        for detail in details
        if detail["type"] == "extra_forbidden"
        for path in [path_of(detail)]
        for guess in _guesses(path, root)
    }
    return [
        _problem(detail, source, root)
        for detail in details
        # What is missing because it is misspelt is said once.
        if detail["type"] != "missing" or path_of(detail) not in misspelt
    ]


def _guesses(path: Path, root: type[BaseModel]) -> list[str]:
    hint = near(str(path[-1]), keys_at(path[:-1], root), "key")
    return hint.removeprefix("did you mean ").removesuffix("?").split(", ") if hint.startswith("did") else []


def _problem(detail: ErrorDetails, source: Source, root: type[BaseModel]) -> Problem:
    path = path_of(detail)
    name = shown_path(path)
    if detail["type"] == "extra_forbidden":
        hint = near_key(str(path[-1]), keys_at(path[:-1], root))
        return source.problem(path, f"unknown key {path[-1]!r}", hint, key=True)
    if detail["type"] == "missing":
        return source.problem(path[:-1], f"{name} is missing", f"add {path[-1]}", key=True)
    what, hint = said(detail)
    about_key = "[key]" in detail["loc"] or isinstance(detail["input"], dict)
    return source.problem(path, what, hint, key=about_key)


def shown_path(path: Path) -> str:
    """Return a path as people say it: members of a list count from 1."""
    return ".".join(str(part + 1) if isinstance(part, int) else part for part in path)


def _shown(value: object) -> str:
    """Return a value as the file may have it, cut short; the kind alone for a mapping or a list."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


_BOUNDS = {
    "less_than_equal": ("le", "is {value}, above the fixed ceiling of {bound}", "give at most {bound}"),
    "less_than": ("lt", "is {value}, not below {bound}", "give less than {bound}"),
    "greater_than_equal": ("ge", "is {value}, below the fixed floor of {bound}", "give at least {bound}"),
    "greater_than": ("gt", "is {value}, not above {bound}", "give more than {bound}"),
}
_SHAPES = {
    "finite_number": ("is {value}, which is no amount", "give a finite number"),
    "float_type": ("is {value}, not a number", "write a number, without quotes and without a unit"),
    "int_type": ("is {value}, not a whole number", "write a whole number, without quotes and without a unit"),
    "string_type": ("is {value}, not text", "write text, in quotes if it looks like something else"),
    "string_too_short": ("is empty", "give it, or leave the key out"),
    "string_too_long": ("is too long", "shorten it"),
    "model_type": ("is {value}, not a mapping", "write keys and values below it, or leave it out"),
    "dict_type": ("is {value}, not a mapping", "write names and what they stand for below it"),
    "tuple_type": ("is {value}, not a list", "begin each entry with a dash, or write [...]"),
    "too_long": ("has too many entries", "give fewer"),
}


def said(detail: ErrorDetails) -> tuple[str, str]:
    """Return what is wrong with what, and what to do."""
    what, hint = _predicate(detail)
    name = shown_path(path_of(detail))
    return f"{name} {what}" if what.startswith(_PREDICATES) else f"{name}: {what}".removeprefix(": "), hint


def _predicate(detail: ErrorDetails) -> tuple[str, str]:
    """Return what is wrong with a value, without its name, and what to do."""
    kind, context, value = detail["type"], detail.get("ctx", {}), _shown(detail["input"])
    if kind in _BOUNDS:
        name, what, hint = _BOUNDS[kind]
        bound = f"{context[name]:g}"
        return what.format(value=value, bound=bound), hint.format(bound=bound)
    if kind == "model_type" and detail["loc"][-1] == "tls":
        return (
            f"is {value}, not a mapping",
            "write {} for TLS with the system's authorities, or keys below it",
        )
    if kind in _SHAPES:
        what, hint = _SHAPES[kind]
        quoted = f"'{value}'" if isinstance(detail["input"], str) else value
        return what.format(value=quoted), hint
    if kind in {"literal_error", "enum"}:
        return f"cannot be {value}", f"give {context['expected']}"
    if kind == "value_error":
        what, _, hint = str(context["error"]).partition("; ")
        return what, hint or "correct it"
    return f"is {value}: {detail['msg']}", "correct it"


def keys_at(path: Path, root: type[BaseModel] = Document) -> list[str]:
    """Return the keys that are known at a place of the document, or of `root`; none where keys are names."""
    annotation: object = root
    for part in path:
        annotation = _below(annotation, part)
    return sorted(annotation.model_fields) if _is_model(annotation) else []


def _is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _below(annotation: object, part: str | int) -> object:
    """Return what stands at `part` of something annotated so."""
    if _is_model(annotation):
        inner = annotation.model_fields[str(part)].annotation
    else:
        # A mapping's values come last, a list's items first.
        inner = get_args(annotation)[1 if get_origin(annotation) is dict else 0]
    return next((member for member in get_args(inner) if _is_model(member)), inner) if _is_union(inner) else inner


def _is_union(annotation: object) -> bool:
    return get_origin(annotation) in {Union, UnionType}


def empties(source: Source, problems: Iterable[Problem]) -> list[Problem]:
    """Return a problem for each key with nothing behind it: it would count as left out, and look like set.

    Those that `problems` tells of already are not told of twice.
    """
    told = {(problem.line, problem.column) for problem in problems}
    found = [
        source.problem(path, f"{shown_path(path)} is empty", "give it a value, or leave the key out")
        for path in source.empty
    ]
    return [problem for problem in found if (problem.line, problem.column) not in told]


def cut(data: Mapping[str, Any], details: Iterable[ErrorDetails], work: Work) -> dict[str, Any]:
    """Return the document without what is wrong, so that the rest can be checked; tells `work` what is missing.

    Unknown keys go by themselves, a wrong bus, board, circuit, input or port as a whole, any other section too.
    """
    rest = deepcopy(dict(data))
    ports: set[int] = set()
    for detail in details:
        path = path_of(detail)
        if detail["type"] == "extra_forbidden":
            _remove(rest, path)
        elif path[0] == "ports" and len(path) > 1:
            ports.add(int(path[1]))
        elif path[0] in _ENTRIES and len(path) > 1:
            rest[str(path[0])].pop(path[1], None)
            _mark(str(path[0]), str(path[1]), work)
        else:
            rest.pop(str(path[0]), None)
            work.breaks("section", str(path[0]))
            work.breaks(KINDS.get(str(path[0]), ""), "")
    if ports:
        work.breaks("section", "ports")
        work.ports = [index for place, index in enumerate(work.ports) if place not in ports]
        rest["ports"] = [port for place, port in enumerate(rest["ports"]) if place not in ports]
    return {"gateway": {"id": "unknown"}, "buses": {}, "boards": {}, "circuits": {}, "ports": [], **rest}


def _remove(data: dict[str, Any], path: Path) -> None:
    holder: Any = data
    for part in path[:-1]:
        if isinstance(holder, dict) and part not in holder:
            return  # gone already, for another reason
        holder = holder[part]
    holder.pop(path[-1], None)


def _mark(section: str, text: str, work: Work) -> None:
    """Remember a wrong entry, and each member of a wrong range of boards."""
    work.breaks("section", section)
    try:
        names = spell_out(text)
    except RangeError:
        names = ("",)
    for name in names:
        work.breaks(KINDS.get(section, ""), name)
