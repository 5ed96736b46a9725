"""Whether a serial device is there, and whether the daemon may use it: as its own user, not as whoever asks."""

import grp
import os
import pwd
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DAEMON_USER: Final = "chargerd"
UNITS: Final = (Path("/etc/systemd/system/chargerd.service"), Path("/lib/systemd/system/chargerd.service"))
"""Where the service may be described; it may be given groups that its user has not."""
_GROUPS = re.compile(r"^SupplementaryGroups=(.*)$", re.MULTILINE)
READ_WRITE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who is to use a device."""

    name: str
    uid: int
    groups: frozenset[int]


def this_user() -> User:
    """Return whoever runs this process."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return User(name=name, uid=uid, groups=frozenset((os.getegid(), *os.getgroups())))


def daemon_user(name: str = DAEMON_USER, units: Sequence[Path] = UNITS) -> User | None:
    """Return the daemon's user, with the groups its service is given; `None` if this machine has no such user."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = {found.pw_gid, *os.getgrouplist(name, found.pw_gid), *_of_service(units)}
    return User(name=name, uid=found.pw_uid, groups=frozenset(groups))


def _of_service(units: Sequence[Path]) -> set[int]:
    found: set[int] = set()
    for unit in units:
        try:
            text = unit.read_text(encoding="utf-8")
        except OSError:
            continue
        for names in _GROUPS.findall(text):
            for name in names.split():
                try:
                    found.add(grp.getgrnam(name).gr_gid)
                except KeyError:
                    continue
    return found


def trouble_with(device: str, user: User | None) -> tuple[str, str] | None:
    """Return what is wrong with a device and what to do, as far as this machine tells; `None` if nothing is.

    `user`: whoever is to use it; `None`: only whether it is there is looked at.
    """
    try:
        found = Path(device).stat()
    except FileNotFoundError:
        return (
            f"{device} is not on this machine",
            "plug the adapter in, or write the name it has: ls /dev/serial/by-path",
        )
    except OSError as error:
        return f"{device} cannot be looked at: {error.strerror}", "look at the folders above it"
    if not stat.S_ISCHR(found.st_mode):
        return f"{device} is no serial device", "write the name the adapter has: ls /dev/serial/by-path"
    if user is None or user.uid == 0 or _bits(found, user) & READ_WRITE == READ_WRITE:
        return None
    group = _group(found.st_gid)
    what = f"{device} may not be used by {user.name}: it is {stat.filemode(found.st_mode)[1:]}, of group {group}"
    return what, f"sudo usermod -aG {group} {user.name}, and restart the daemon"


def may_read(path: Path, user: User) -> bool:
    """Say whether a user may read a file, folders above it aside. Raises `OSError` if it is not there."""
    return user.uid == 0 or bool(_bits(path.stat(), user) & 4)


def _bits(found: os.stat_result, user: User) -> int:
    """Return what the mode lets a user do: the owner's bits, else the group's, else everybody's."""
    if found.st_uid == user.uid:
        return found.st_mode >> 6 & 7
    if found.st_gid in user.groups:
        return found.st_mode >> 3 & 7
    return found.st_mode & 7


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
