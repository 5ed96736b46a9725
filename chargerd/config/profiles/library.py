"""Board profiles, read from files: the package's own, and those a site adds or overrides."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chargerd.config.explain import keys_at, said, shown_path
from chargerd.config.problems import ConfigurationError, Problem
from chargerd.config.profiles.models import Profile
from chargerd.config.source import Path as Place
from chargerd.config.source import Source, parse
from chargerd.config.work import near_key

SITE_PROFILES = (Path("/etc/chargerd/profiles.d"),)
"""Where a site puts profiles of its own."""
_SHIPPED = "chargerd"
"""Stands for the folder of the profiles that come with the program."""
_NAME = re.compile(r"^  ([\w.-]+):", re.MULTILINE)
"""A profile's name in a file of the program's own, after the line `profiles:`; these are written alike."""
_KEYS = {"family", "source", "verified", "common", "profiles"}
_HINT = "write it like the profiles that come with chargerd"


def read_text(path: Path, missing_hint: str) -> str:
    """Return a file's text. Raises `ConfigurationError` about the whole file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise _whole(path, "no such file", missing_hint) from error
    except IsADirectoryError as error:
        raise _whole(path, "this is a folder", "name the file itself") from error
    except UnicodeDecodeError as error:
        raise _whole(path, "not UTF-8", "save it as UTF-8") from error
    except PermissionError as error:
        raise _whole(path, "may not be read", "make it readable for the user chargerd") from error
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise _whole(path, what, "look after the disk and the path") from error


def _whole(path: Path, what: str, hint: str) -> ConfigurationError:
    return ConfigurationError([Problem(file=str(path), line=0, column=0, what=what, hint=hint)])


@cache
def _shipped_files() -> Mapping[str, str]:
    """Return the names of the program's profiles, each with its file, without reading what they say."""
    found: dict[str, str] = {}
    for entry in sorted(files(__package__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".yaml"):
            _head, _line, profiles = entry.read_text(encoding="utf-8").partition("\nprofiles:\n")
            found |= dict.fromkeys(_NAME.findall(profiles), f"{_SHIPPED}/{entry.name}")
    return found


@dataclass(slots=True, kw_only=True)
class Library:
    """All profiles by name, the file each comes from, and notes on which of them replace others."""

    own: dict[str, Profile] = field(default_factory=dict)
    """Those of the site."""
    files: dict[str, str] = field(default_factory=lambda: dict(_shipped_files()))
    overrides: list[Problem] = field(default_factory=list)

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """All profiles by name; those of the program are read when they are asked for."""
        return _Profiles(self.own)

    def add(self, found: Mapping[str, Profile], source: Source) -> None:
        """Take the profiles of one file; they replace those of the same name."""
        for name, profile in found.items():
            if name in self.files:
                what = f"profile {name} here replaces the one of {self.files[name]}"
                hint = f"give it another name unless that is meant; chargerd profiles {name} shows what holds"
                self.overrides.append(source.problem(("profiles", name), what, hint, key=True))
            self.own[name], self.files[name] = profile, source.name


def whereabouts(file: str) -> Path:
    """Return where a file of `Library.files` is on this machine."""
    if file not in _shipped_files().values():
        return Path(file).absolute()
    return Path(str(files(__package__).joinpath(file.removeprefix(f"{_SHIPPED}/"))))


def folders_for(path: Path, folders: Sequence[Path] = SITE_PROFILES) -> tuple[Path, ...]:
    """Return where the profiles for a configuration lie: `folders`, then `profiles.d` next to it, each once."""
    return tuple(dict.fromkeys((*folders, path.parent / "profiles.d")))


def load_profiles(folders: Sequence[Path] = SITE_PROFILES) -> Mapping[str, Profile]:
    """Return all profiles by name; later folders override earlier ones. Raises `ConfigurationError`."""
    return load_library(folders).profiles


def load_library(folders: Sequence[Path] = SITE_PROFILES) -> Library:
    """Return all profiles and where they come from; later folders override. Raises `ConfigurationError`."""
    problems: list[Problem] = []
    library = library_of(read_families(folders, problems), problems)
    if problems:
        raise ConfigurationError(problems)
    return library


def read_families(folders: Sequence[Path], problems: list[Problem]) -> tuple[tuple[str, str], ...]:
    """Return the names and the texts of a site's own files of profiles, in the order in which they override."""
    texts: list[tuple[str, str]] = []
    for path in [path for folder in folders for path in sorted(folder.glob("*.yaml"))]:
        try:
            texts.append((str(path), read_text(path, "it has just gone")))
        except ConfigurationError as error:
            problems += error.problems
    return tuple(texts)


def library_of(texts: Sequence[tuple[str, str]], problems: list[Problem]) -> Library:
    """Return the program's profiles and those of a site's files; what is wrong with these goes to `problems`."""
    library = Library()
    for name, text in texts:
        try:
            source = parse(text, name)
        except ConfigurationError as error:
            problems += error.problems
            continue
        library.add(_family(source, problems), source)
    return library


class _Profiles(Mapping[str, Profile]):
    """A site's own profiles before those of the program, of which only the files are read that are wanted.

    A site has boards of two or three families; to read all of them costs a start a tenth of a second.
    """

    def __init__(self, own: Mapping[str, Profile]) -> None:
        self._own = own

    def __getitem__(self, name: str) -> Profile:
        """Return a profile. Raises `KeyError`; `ConfigurationError` if the program's own file is damaged."""
        own = self._own.get(name)
        return shipped_family(_shipped_files()[name])[name] if own is None else own

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names; nothing is read for that."""
        return iter(dict.fromkeys((*_shipped_files(), *self._own)))

    def __len__(self) -> int:
        """Return how many there are."""
        return len({*_shipped_files(), *self._own})


@cache
def shipped_family(name: str) -> Mapping[str, Profile]:
    """Return the profiles of one of the program's files, read once: these do not change while it runs."""
    text = files(__package__).joinpath(name.removeprefix(f"{_SHIPPED}/")).read_text(encoding="utf-8")
    problems: list[Problem] = []
    found = _family(parse(text, name), problems)
    if problems:
        raise ConfigurationError(problems)
    return found


def _family(source: Source, problems: list[Problem]) -> dict[str, Profile]:
    problems += source.problems
    data = source.data
    if not isinstance(data, dict) or not isinstance(data.get("profiles"), dict):
        problems.append(source.problem((), "a file of profiles needs a mapping `profiles`", _HINT))
        return {}
    unknown = sorted(set(data) - _KEYS)
    problems += [source.problem((key,), f"unknown key {key!r}", _HINT, key=True) for key in unknown]
    common = data.get("common", {})
    if not isinstance(common, dict):
        problems.append(source.problem(("common",), "common is not a mapping", _HINT))
        return {}
    shared = {key: data[key] for key in ("source", "verified") if key in data}
    found: dict[str, Profile] = {}
    for name, own in data["profiles"].items():
        path: Place = ("profiles", name)
        if not isinstance(own, dict):
            problems.append(source.problem(path, f"profile {name} is not a mapping", _HINT, key=True))
            continue
        try:
            found[name] = Profile.model_validate({**merge(merge(shared, common), own), "name": name})
        except ValidationError as error:
            problems += _explain(error, name, source)
    return found


def _explain(error: ValidationError, name: str, source: Source) -> list[Problem]:
    """Return what is wrong with a profile, at its own line or at the common one it inherits."""
    problems = []
    for detail in error.errors():
        loc: Place = tuple(detail["loc"])
        own: Place = ("profiles", name, *loc)
        shared: Place = ("common", *loc)
        place = shared if own not in source.values and shared in source.values else own
        about_key = detail["type"] == "extra_forbidden"
        if about_key:
            what, hint = f"unknown key {loc[-1]!r}", near_key(str(loc[-1]), keys_at(loc[:-1], Profile))
        elif detail["type"] == "missing":
            what, hint = f"{shown_path(loc)} is missing", f"add {loc[-1]}"
        else:
            what, hint = said(detail)
        problems.append(source.problem(place, f"profile {name}: {what}", hint, key=about_key))
    return problems


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return two mappings as one; where both have a mapping these are merged too, else `over` wins."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result
