"""Whether a session that an outage has cut short goes on: only if the outage is proved to have been short.

The outage begins with the last record the journal has of the session: nobody has watched it since.
"""

from enum import StrEnum

from chargerd.core.moment import Moment
from chargerd.core.protection import LONGEST_SESSION
from chargerd.core.session import SessionRecord
from chargerd.core.units import Seconds, between

PROOF_WITHIN = Seconds(120.0)
"""How long after a start a clock may still become one that proves something: time servers answer within it."""


class Outlook(StrEnum):
    """What becomes of an interrupted session."""

    GOES_ON = "goes_on"
    UNPROVED = "unproved"
    """Nothing says yet how long the outage was."""
    OVER = "over"


def outage_of(record: SessionRecord, now: Moment) -> Seconds | None:
    """Return how long the outage has lasted by `now`; `None` while nothing proves it.

    Within one boot the boot clock tells; one that went back is another boot's. Over a reboot only wall clocks that
    something vouches for can, on both sides; one that went back proves nothing, and no outage is shorter than this
    boot is old.
    """
    if record.at.boot == now.boot:
        outage = between(record.at.instant, now.instant)
        return outage if outage >= 0 else None
    if record.at.wall_ms is None or now.wall_ms is None:
        return None
    outage = Seconds((now.wall_ms - record.at.wall_ms) / 1000)
    return outage if outage >= now.instant else None


def outlook(record: SessionRecord, now: Moment, window: Seconds, back_for: Seconds = Seconds(0.0)) -> Outlook:
    """Say what becomes of a session, as of `now`. `window` is the longest outage it goes on after; 0: none.

    One that had not charged yet, or was ending, or has had all it was to get, is over. `back_for` is how long ago
    the outage ended.
    """
    if not window or not record.charged or record.ending is not None or _complete(record):
        return Outlook.OVER
    outage = outage_of(record, now)
    if outage is None:
        return Outlook.UNPROVED
    in_time = outage - back_for <= window and record.elapsed + outage < LONGEST_SESSION
    return Outlook.GOES_ON if in_time else Outlook.OVER


def _complete(record: SessionRecord) -> bool:
    limits = record.order.limits
    full = limits.energy is not None and record.energy >= limits.energy
    return full or record.charging >= limits.duration or record.meter_start is None
