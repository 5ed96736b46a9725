"""From a file to a checked site, or to every reason why not."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chargerd.config.document import Document
from chargerd.config.expand import expand
from chargerd.config.library import SITE_PROFILES, load_profiles
from chargerd.config.problems import ConfigurationError, Problem
from chargerd.config.profiles import Profile
from chargerd.config.site import Site
from chargerd.config.source import Path as Place
from chargerd.config.source import Source, parse

DEFAULT_PATH = Path("/etc/chargerd/chargerd.yaml")


def load(path: Path, *, profile_folders: Sequence[Path] = SITE_PROFILES) -> Site:
    """Read and check a configuration. Raises `ConfigurationError` with every problem found."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        hint = "copy one of the examples beside the documentation there and adapt it"
        raise _whole(path, "no such file", hint) from error
    except UnicodeDecodeError as error:
        raise _whole(path, "not UTF-8", "save it as UTF-8") from error
    except OSError as error:
        raise _whole(path, error.strerror or str(error), "make it readable for the user chargerd") from error
    return load_text(text, str(path), profiles=load_profiles(profile_folders))


def load_text(text: str, name: str, *, profiles: Mapping[str, Profile] | None = None) -> Site:
    """Check a configuration given as text. Raises `ConfigurationError` with every problem found."""
    source = parse(text, name)
    if not isinstance(source.data, dict):
        problem = source.problem((), "this is no configuration", "start from one of the examples")
        raise ConfigurationError([problem])
    try:
        document = Document.model_validate(source.data)
    except ValidationError as error:
        raise ConfigurationError([_explain(detail, source) for detail in error.errors()]) from error
    return expand(document, source, load_profiles() if profiles is None else profiles)


def _whole(path: Path, what: str, hint: str) -> ConfigurationError:
    return ConfigurationError([Problem(file=str(path), line=0, column=0, what=what, hint=hint)])


def _explain(detail: ErrorDetails, source: Source) -> Problem:
    place = tuple(part for part in detail["loc"] if part != "[key]")
    name = ".".join(str(part) for part in place)
    match detail["type"]:
        case "extra_forbidden":
            choices = _keys_at(place[:-1])
            near = difflib.get_close_matches(str(place[-1]), choices, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(choices)}"
            return source.problem(place, f"unknown key {place[-1]!r}", hint, key=True)
        case "missing":
            return source.problem(place[:-1], f"{place[-1]} is missing", f"add {place[-1]}: ...", key=True)
        case _:
            what = detail["msg"].removeprefix("Value error, ")
            return source.problem(place, f"{name}: {what[:1].lower()}{what[1:]}", f"it is {detail['input']!r} now")


def _keys_at(place: Place) -> list[str]:
    """Return the keys the model at this place knows."""
    model: object = Document
    for part in place:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(str(part))
            if field is None:
                return []
            model = field.annotation
        model = _inner(model)
    return sorted(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _inner(annotation: object) -> object:
    """Return the model within an annotation such as `dict[str, Model]`, or the annotation if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _inner(argument)
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return annotation
