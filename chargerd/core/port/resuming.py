"""Whether a session that an outage has cut short goes on: only if the outage is proved to have been short.

The outage begins with the last record the journal has of the session: nobody has watched it since.
"""

from enum import StrEnum

from chargerd.core.moment import Moment, passed
from chargerd.core.port.charge import AWAY
from chargerd.core.protection.session_limits import LONGEST_SESSION
from chargerd.core.session import SessionRecord
from chargerd.core.units import Seconds

PROOF_WITHIN = Seconds(120.0)
"""How long after a start a clock may still become one that proves something: time servers answer within it."""

MOST_OUTAGES = 10
"""How often one session goes on, after outages and restarts. What cuts it short again and again may be itself; ten
is more than a night of flickering mains brings, and ends a circle of closing, failing and starting anew."""


class Outlook(StrEnum):
    """What becomes of an interrupted session."""

    GOES_ON = "goes_on"
    UNPROVED = "unproved"
    """Nothing says yet how long the outage was."""
    OVER = "over"


def outlook(record: SessionRecord, now: Moment, window: Seconds, back_for: Seconds = Seconds(0.0)) -> Outlook:
    """Say what becomes of a session, as of `now`. `window` is the longest outage it goes on after; 0: none.

    One that had not charged yet, or was ending, or has had all it was to get, is over, and so is one that has gone
    on `MOST_OUTAGES` times. `back_for` is how long ago the outage ended.
    """
    if not window or not record.charged or record.ending is not None or _complete(record) or _worn_out(record):
        return Outlook.OVER
    outage = passed(record.at, now)
    if outage is None:
        return Outlook.UNPROVED
    in_time = outage - back_for <= window and record.elapsed + outage < LONGEST_SESSION
    return Outlook.GOES_ON if in_time else Outlook.OVER


def _complete(record: SessionRecord) -> bool:
    limits = record.order.limits
    full = limits.energy is not None and record.energy >= limits.energy
    return full or record.charging >= limits.duration or record.meter_start is None


def _worn_out(record: SessionRecord) -> bool:
    before = record.interruptions if record.waits is None else record.interruptions[:-1]
    return max(sum(one.reason in AWAY for one in before), record.returns) >= MOST_OUTAGES
