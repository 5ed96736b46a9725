"""The configuration that last started well, kept beside the journal: a site runs on it while its file is wrong.

It is kept as it was written, with the site's own files of profiles, in one file that is replaced in one step: a
power cut leaves the old one or the new one. A checksum keeps what a bad card makes of it from driving relays.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from chargerd.config.loader import Checked, Files, check
from chargerd.config.problems import ConfigurationError, Problem
from chargerd.config.site import Site
from chargerd.core.plan import Limits, lower_of
from chargerd.core.units import Amps, PortId, Seconds, WattHours, Watts

KEPT_FILE: Final = "kept.json"
MODE: Final = 0o600
"""Secrets are in files of their own; what somebody has written into the configuration itself stays unread, too."""
FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept: the files, what they meant and to which version, and when that was (`None`: no clock)."""

    files: Files
    digest: str
    version: str
    wall_ms: int | None
    lowered: Mapping[PortId, Limits]
    """What a later file has lowered while the site ran; the rest of that file was waiting for a restart."""


class KeptError(Exception):
    """There is nothing kept that can be used; the message says why."""


def read_kept(path: Path) -> Kept:
    """Return what is kept. Raises `KeptError`."""
    try:
        envelope = json.loads(path.read_text(encoding="utf-8"))
        body, checksum = envelope["kept"], envelope["sha256"]
        if checksum != _checksum(body) or body["format"] != FORMAT:
            raise KeptError(f"{path} is damaged, or of another version")
        return Kept(
            files=Files(
                name=body["path"],
                text=body["text"],
                profiles=tuple((name, text) for name, text in body["profiles"]),
            ),
            digest=body["digest"],
            version=body["version"],
            wall_ms=body["wall_ms"],
            lowered={PortId(port): _limits(limits) for port, limits in body["lowered"].items()},
        )
    except FileNotFoundError as error:
        raise KeptError("no configuration has started well here yet, so none is kept") from error
    except OSError as error:
        raise KeptError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise KeptError(f"{path} is damaged: {type(error).__name__}") from error


def write_kept(path: Path, kept: Kept) -> None:
    """Keep this from now on, in one step and for good. Raises `OSError`."""
    body = {
        "format": FORMAT,
        "path": kept.files.name,
        "text": kept.files.text,
        "profiles": [list(one) for one in kept.files.profiles],
        "digest": kept.digest,
        "version": kept.version,
        "wall_ms": kept.wall_ms,
        "lowered": {port: _plain(limits) for port, limits in kept.lowered.items()},
    }
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"sha256": _checksum(body), "kept": body}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def check_kept(kept: Kept) -> Checked:
    """Return what is kept, checked by this version, without what was lowered since. Raises `KeptError`."""
    try:
        return check(kept.files)
    except ConfigurationError as error:
        raise KeptError(f"this version refuses the one that is kept: {error.problems[0]}") from error


def with_lowered(site: Site, lowered: Mapping[PortId, Limits]) -> Site:
    """Return a site whose ports have the lower of their limits and of these."""
    ports = tuple(
        replace(port, limits=lower_of(port.limits, lowered[port.id])) if port.id in lowered else port
        for port in site.plan.ports
    )
    return replace(site, plan=replace(site.plan, ports=ports))


def whole_file(name: str, what: str, hint: str) -> Problem:
    """Return a problem with a file of which no line is to blame."""
    return Problem(file=name, line=0, column=0, what=what, hint=hint)


def _checksum(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _plain(limits: Limits) -> dict[str, float | None]:
    return {
        "current_a": limits.current,
        "power_w": limits.power,
        "duration_s": limits.duration,
        "energy_wh": limits.energy,
    }


def _limits(said: Mapping[str, Any]) -> Limits:
    energy = said["energy_wh"]
    return Limits(
        current=Amps(float(said["current_a"])),
        power=Watts(float(said["power_w"])),
        duration=Seconds(float(said["duration_s"])),
        energy=None if energy is None else WattHours(float(energy)),
    )
