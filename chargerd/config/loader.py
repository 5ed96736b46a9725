"""From a file to a checked site, or to every reason why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chargerd.config.budget.advice import refuse
from chargerd.config.contradictions import contradictions
from chargerd.config.document import Document
from chargerd.config.expand import expand
from chargerd.config.explain import KINDS, cut, empties, explain
from chargerd.config.problems import ConfigurationError, Problem
from chargerd.config.profiles.library import (
    SITE_PROFILES,
    folders_for,
    library_of,
    load_profiles,
    read_families,
    read_text,
)
from chargerd.config.profiles.models import Profile
from chargerd.config.reach import reach
from chargerd.config.site import Site
from chargerd.config.source import Source, parse
from chargerd.config.work import Work

DEFAULT_PATH = Path("/etc/chargerd/chargerd.yaml")
MISSING_HINT = (
    "copy an example there, and adapt it: /etc/chargerd/chargerd.example.yaml, or config/ of the source tree"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """A configuration as it is written: its file, and the site's own files of profiles, each by name."""

    name: str
    text: str
    profiles: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A configuration that can be used: what it means, and where in its file each part of it stands."""

    site: Site
    document: Document
    source: Source
    files: Files


def load(path: Path, *, profile_folders: Sequence[Path] = SITE_PROFILES) -> Site:
    """Read and check a configuration. Raises `ConfigurationError` with every problem found.

    Profiles come from the package, then from `profile_folders`, then from `profiles.d` next to the configuration.
    """
    return check(read(path, profile_folders=profile_folders)).site


def read(path: Path, *, profile_folders: Sequence[Path] = SITE_PROFILES) -> Files:
    """Read a configuration and all that belongs to it, unchecked. Raises `ConfigurationError`."""
    text = read_text(path, MISSING_HINT)
    problems: list[Problem] = []
    profiles = read_families(folders_for(path, profile_folders), problems)
    if problems:
        library_of(profiles, problems)  # All mistakes at once.
        raise ConfigurationError(problems)
    return Files(name=str(path), text=text, profiles=profiles)


def check(files: Files) -> Checked:
    """Check a configuration that was read. Raises `ConfigurationError` with every problem found."""
    problems: list[Problem] = []
    library = library_of(files.profiles, problems)
    if problems:
        raise ConfigurationError(problems)
    try:
        site, document, source = _check_text(files.text, files.name, library.profiles)
    except ConfigurationError as error:
        raise ConfigurationError(error.problems, (*error.notes, *library.overrides)) from error
    site = replace(site, notes=(*site.notes, *library.overrides))
    return Checked(site=site, document=document, source=source, files=files)


def load_text(text: str, name: str, *, profiles: Mapping[str, Profile] | None = None) -> Site:
    """Check a configuration given as text. Raises `ConfigurationError` with every problem found."""
    return _check_text(text, name, load_profiles() if profiles is None else profiles)[0]


def _check_text(text: str, name: str, profiles: Mapping[str, Profile]) -> tuple[Site, Document, Source]:
    source = parse(text, name)
    if not isinstance(source.data, dict):
        what = "the file is empty" if source.data is None else "this is no configuration"
        raise ConfigurationError([source.problem((), what, "start from one of the examples"), *source.problems])
    work = Work(source, profiles)
    for section in source.doubled:
        work.breaks("section", section)
        work.breaks(KINDS.get(section, ""), "")  # What is missing may be described in the other one.
    problems = list(source.problems)
    document = _read(source.data, work, problems)
    problems += empties(source, problems)
    site = expand(document, work)
    if site is None or problems:
        raise ConfigurationError([*problems, *work.problems], work.notes)
    contradictions(site, document, work)
    reach(site, document, work)
    refuse(site, document, work)
    if work.problems:
        raise ConfigurationError(work.problems, work.notes)
    return replace(site, notes=tuple(sorted(work.notes))), document, source


def _read(data: dict[str, Any], work: Work, problems: list[Problem]) -> Document:
    """Return the document as far as it can be read; what is wrong by itself goes to `problems`."""
    ports = data.get("ports")
    work.ports = list(range(len(ports))) if isinstance(ports, list) else []
    first = True
    while True:
        try:
            return Document.model_validate(data)
        except ValidationError as error:
            details = error.errors()
        if first:
            # A value that could not be read was reported as that.
            told = {(problem.line, problem.column) for problem in problems}
            found = explain(details, work.source)
            problems += [problem for problem in found if (problem.line, problem.column) not in told]
        # Later rounds meet only what earlier cuts have left incomplete: nobody's mistake.
        first = False
        data = cut(data, details, work)
