"""What `chargerctl status` tells of what is around the daemon: clock, disk, and why a line is not there."""

import os
from collections.abc import Iterable
from pathlib import Path

from chargerd.contract.ledger import Json
from chargerd.contract.parts import rounded, stamp
from chargerd.core.moment import Moment
from chargerd.core.units import Instant, between
from chargerd.modbus.diagnosis import Finding
from chargerd.runtime.local.lines import finding_as_json


def surroundings(
    now: Moment, folder: Path, clock_since: Instant, findings: Iterable[tuple[str, Finding]]
) -> dict[str, Json]:
    """Return them; `clock_since`: since when the time of day comes from where it comes from now."""
    by_bus: dict[str, list[Json]] = {}
    for bus, finding in findings:
        by_bus.setdefault(bus, []).append(finding_as_json(finding))
    found: dict[str, Json] = {**by_bus}
    lasts = rounded(max(0.0, between(clock_since, now.instant)), 1)
    return {
        "clock": {"at": stamp(now), "source": now.clock.value, "for_s": lasts},
        "disk": disk(folder),
        "findings": found,
    }


def disk(folder: Path) -> dict[str, Json]:
    """Return how much room there is where the journal lies, or why the disk does not say."""
    try:
        found = os.statvfs(folder)
    except OSError as error:
        return {"folder": str(folder), "free_bytes": None, "read_only": None, "why_not": error.strerror}
    free, read_only = found.f_bavail * found.f_frsize, bool(found.f_flag & os.ST_RDONLY)
    return {"folder": str(folder), "free_bytes": free, "read_only": read_only, "why_not": None}
