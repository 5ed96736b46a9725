"""What a running daemon goes by, beside what a file says: asked of the daemon itself, which knows what holds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chargerd.cli.folders import runtime_folder
from chargerd.control.client import ControlClient, ControlFailure
from chargerd.control.protocol import SOCKET_NAME

PATIENCE_S = 10.0


def compared(path: Path) -> Mapping[str, Any] | None:
    """Return what a reload would do, if a daemon runs by this very file; else `None`."""
    try:
        with ControlClient(runtime_folder() / SOCKET_NAME, timeout=PATIENCE_S) as client:
            configuration = client.call("status").get("configuration")
            if configuration is None or not path.samefile(configuration["path"]):
                return None
            told: Mapping[str, Any] = client.call("compare")
    except (ControlFailure, OSError):
        return None
    return told
