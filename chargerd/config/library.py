"""Board profiles, read from files: the package's own, and those a site adds or overrides."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from chargerd.config.problems import ConfigurationError, Problem
from chargerd.config.profiles import Profile
from chargerd.config.source import Source, parse

SITE_PROFILES = (Path("/etc/chargerd/profiles.d"),)
"""Where a site puts profiles of its own."""
_PACKAGE = "chargerd.modbus.profiles"


def load_profiles(folders: Sequence[Path] = SITE_PROFILES) -> Mapping[str, Profile]:
    """Return all profiles by name; later folders override earlier ones. Raises `ConfigurationError`."""
    texts = [
        (entry.name, entry.read_text(encoding="utf-8"))
        for entry in sorted(files(_PACKAGE).iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    ]
    for folder in folders:
        texts += [(str(path), path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yaml"))]
    profiles: dict[str, Profile] = {}
    problems: list[Problem] = []
    for name, text in texts:
        profiles |= _family(parse(text, name), problems)
    if problems:
        raise ConfigurationError(problems)
    return profiles


def _family(source: Source, problems: list[Problem]) -> dict[str, Profile]:
    data = source.data
    if not isinstance(data, dict) or not isinstance(data.get("profiles"), dict):
        hint = "see docs/configuration.md for the shape of a profile"
        problems.append(source.problem((), "a file of profiles needs a mapping `profiles`", hint))
        return {}
    shared = {key: data[key] for key in ("source", "verified") if key in data}
    found: dict[str, Profile] = {}
    for name, own in data["profiles"].items():
        merged = merge(merge(shared, data.get("common") or {}), own or {})
        try:
            found[str(name)] = Profile.model_validate({"name": str(name), **merged})
        except ValidationError as error:
            for detail in error.errors():
                place = ("profiles", str(name), *detail["loc"])
                what = f"profile {name}: {'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}"
                problems.append(source.problem(place, what, "correct the profile"))
    return found


def merge(base: object, over: object) -> dict[str, object]:
    """Return two mappings as one; where both have a mapping these are merged too, else `over` wins."""
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in (over if isinstance(over, dict) else {}).items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result
