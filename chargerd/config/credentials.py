"""Where the broker's secrets are: files anywhere, or handed over by systemd (systemd.exec(5), LoadCredential=).

A name without a slash is a credential: a file in `/etc/chargerd/credentials`, which root alone may read. The unit
has systemd give the daemon a copy that nobody else sees.
"""

import os
from pathlib import Path
from typing import Final

from chargerd.config.document import MqttSection

FOLDER: Final = Path("/etc/chargerd/credentials")
"""Where root puts them; the unit names it."""
PREFIX: Final = "chargerd_"
"""What systemd puts before the name of a file when it hands over a folder: the id in the unit."""
HANDED: Final = "CREDENTIALS_DIRECTORY"


def place(name: str) -> str:
    """Return the path of a file that a configuration names: a path as it is, a credential where it lies."""
    if "/" in name:
        return name
    handed = os.environ.get(HANDED)
    return str(FOLDER / name) if handed is None else f"{handed}/{PREFIX}{name}"


def is_roots(path: Path) -> bool:
    """Say whether this is a credential as root has it: the daemon does not read this file, but its copy."""
    return path.parent == FOLDER


def origin(path: str) -> Path | None:
    """Return where root puts the file whose copy from systemd this is; `None` for any other file."""
    handed = os.environ.get(HANDED)
    copy = Path(path)
    if handed is None or copy.parent != Path(handed) or not copy.name.startswith(PREFIX):
        return None
    return FOLDER / copy.name.removeprefix(PREFIX)


def with_places(mqtt: MqttSection | None) -> MqttSection | None:
    """Return the broker's section with paths for all its files."""
    if mqtt is None:
        return None
    tls = mqtt.tls
    if tls is not None:
        files = ((key, getattr(tls, key)) for key in ("ca", "certificate", "key"))
        tls = tls.model_copy(update={key: place(name) for key, name in files if name is not None})
    password = None if mqtt.password_file is None else place(mqtt.password_file)
    return mqtt.model_copy(update={"tls": tls, "password_file": password})
