"""What tells one machine from another: a card may have been cloned, or moved."""

import hashlib
from pathlib import Path

BOARD_SERIAL = Path("/proc/device-tree/serial-number")
"""Of boards with a device tree, as a Raspberry Pi is; it does not come along with a card."""
MACHINE_ID = Path("/etc/machine-id")
DIGITS = 16


def machine() -> str | None:
    """Return what this machine is known by: the board's serial number, else the installation's; `None` if neither.

    As a digest, since neither is meant to leave the machine (machine-id(5)).
    """
    for path in (BOARD_SERIAL, MACHINE_ID):
        try:
            found = path.read_text(encoding="utf-8").strip("\0 \n")
        except (OSError, UnicodeDecodeError):
            continue
        if found:
            return hashlib.sha256(f"chargerd {found}".encode()).hexdigest()[:DIGITS]
    return None
