"""Where a relay stands, and how that is known: read back a moment ago, or only believed."""

from dataclasses import dataclass
from enum import StrEnum

from chargerd.core.units import Instant


class Known(StrEnum):
    """How it is known where a relay stands (the contract's `source`)."""

    READ_BACK = "read_back"
    """Its board has shown it a moment ago."""
    BELIEVED = "believed"
    """By what it was told and by its lease: nobody has been shown it lately."""
    UNKNOWN = "unknown"
    """Not even that tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stance:
    """Where a relay or a contactor stands."""

    closed: bool | None = None
    """`None` exactly while it is `UNKNOWN`."""
    known: Known = Known.UNKNOWN
    read_at: Instant | None = None
    """When it was last read back, whatever that showed; `None`: never since the process began."""


NOWHERE = Stance()
