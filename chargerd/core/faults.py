"""Why something asked of a board did not come about. By itself, since a start needs it before all else."""

from enum import StrEnum


class FaultKind(StrEnum):
    """Why a reading did not come about."""

    TIMEOUT = "timeout"
    CORRUPT = "corrupt"
    EXCEPTION = "exception"
    IMPLAUSIBLE = "implausible"
    OFFLINE = "offline"
    """The line itself is not there (adapter unplugged, connection refused)."""
