"""Which configuration a start goes by: the file, or the one that last started well while the file is wrong."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chargerd.config.credentials import is_roots, origin
from chargerd.config.kept import Kept, KeptError, check_kept, read_kept, whole_file, with_lowered
from chargerd.config.loader import Checked, check, read
from chargerd.config.problems import ConfigurationError, Problem
from chargerd.config.site import Site
from chargerd.config.source import Path as Place

SECRETS = ("password_file",)
OF_TLS = ("ca", "certificate", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a start goes by. `refused`: why the file is not used; empty if it is."""

    checked: Checked
    site: Site
    """What it means; of a kept one, with what a later file had lowered."""
    kept: Kept | None
    """What is kept at the start, used or not."""
    refused: tuple[Problem, ...] = ()


class NoneUsable(ConfigurationError):  # noqa: N818 - named for what it says
    """The file is wrong, and nothing that is kept stands in for it; `why_not_kept` says what is with that."""

    def __init__(self, error: ConfigurationError, why_not_kept: str) -> None:
        super().__init__(error.problems, error.notes)
        self.why_not_kept = why_not_kept


def choose(path: Path, kept_file: Path) -> Chosen:
    """Return what a start goes by. Raises `NoneUsable`.

    A secret that is missing keeps nobody from charging: a file is refused for it only if there is one kept that
    names other ones.
    """
    kept, why_not = _kept(kept_file)
    try:
        checked = read_and_check(path)
    except ConfigurationError as error:
        if kept is None:
            raise NoneUsable(error, why_not) from error
        try:
            return _by(kept, check_kept(kept), error.problems)
        except KeptError as kept_error:
            raise NoneUsable(error, str(kept_error)) from error
    lacks = () if kept is None or kept.files == checked.files else tuple(unreadable_files(checked))
    if kept is not None and lacks:
        with suppress(KeptError):
            before = check_kept(kept)
            if before.site.mqtt != checked.site.mqtt:
                return _by(kept, before, lacks)
    return Chosen(checked=checked, site=checked.site, kept=kept)


def _by(kept: Kept, checked: Checked, refused: tuple[Problem, ...]) -> Chosen:
    return Chosen(checked=checked, site=with_lowered(checked.site, kept.lowered), kept=kept, refused=refused)


def read_and_check(path: Path) -> Checked:
    """Read and check a file, whatever is in it. Raises `ConfigurationError`, and nothing else."""
    try:
        return check(read(path))
    except ConfigurationError:
        raise
    except Exception as error:
        # A mistake of the program's own, met by what stands in this file: no reason either to leave a site dark.
        what = f"it cannot be checked: {type(error).__name__}: {error}"
        raise ConfigurationError([whole_file(str(path), what, "tell whoever maintains chargerd")]) from error


def unreadable_files(checked: Checked, *, before: str | None = None) -> Iterator[Problem]:
    """Say which files the link to the broker needs and cannot have, each with the place that names it.

    `before`: a folder of what systemd has handed over at the start: what is new there will be with the next one.
    """
    mqtt = checked.site.mqtt
    if mqtt is None:
        return
    wanted: dict[Place, str | None] = {("mqtt", key): getattr(mqtt, key) for key in SECRETS}
    if mqtt.tls is not None:
        wanted |= {("mqtt", "tls", key): getattr(mqtt.tls, key) for key in OF_TLS}
    for place, name in wanted.items():
        if name is None or (before is not None and name.startswith(f"{before}/")):
            continue
        why = _why_unreadable(Path(name))
        if why is not None:
            by_root = Path(name) if is_roots(Path(name)) else origin(name)
            what = f"{name if by_root is None else by_root}: {why}"
            hint = "put it there, readable for the user chargerd, or nothing reaches the broker"
            if by_root is not None:
                hint = "put it there, then: systemctl restart chargerd, which alone hands it over"
            yield checked.source.problem(place, what, hint)


def _why_unreadable(path: Path) -> str | None:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    except OSError as error:
        return error.strerror or str(error)
    return None


def _kept(path: Path) -> tuple[Kept | None, str]:
    try:
        return read_kept(path), ""
    except KeptError as error:
        return None, str(error)
