"""Names of serial adapters: the kernel's own go by the order of discovery, those by path by the socket."""

import re
from pathlib import Path
from typing import Final

BY_PATH: Final = Path("/dev/serial/by-path")
IN_ORDER: Final = re.compile(r"/dev/tty(USB|ACM)\d+")


def goes_by_order(device: str) -> bool:
    """Say whether a name is given in the order adapters are found: two of them may swap theirs at any start."""
    return IN_ORDER.fullmatch(device) is not None


def by_path(device: str, folder: Path = BY_PATH) -> str | None:
    """Return the name of a device that goes by the socket it sits in; `None` if it has none on this machine."""
    try:
        links = sorted(folder.iterdir())
        there = Path(device).resolve(strict=True)
        return next((str(link) for link in links if link.resolve() == there), None)
    except OSError:
        return None
