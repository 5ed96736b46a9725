"""What several payloads have in common: stamps, limits, figures, latches."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from chargerd.contract.ledger import Body, Json
from chargerd.contract.payloads import DetailBody, LatchBody, LimitsBody, RelayBody
from chargerd.core.moment import Moment
from chargerd.core.plan import Limits
from chargerd.core.session import Latch, StopDetail
from chargerd.core.stance import Stance
from chargerd.core.units import Instant, between

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stamp(moment: Moment) -> str | None:
    """Return RFC 3339 in UTC with milliseconds; `None` exactly while nothing vouches for the clock."""
    if moment.wall_ms is None:
        return None
    at = EPOCH + timedelta(milliseconds=moment.wall_ms)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.wall_ms % 1000:03d}Z"


def up_ms(instant: Instant) -> int:
    """Return the boot clock in milliseconds."""
    return round(instant * 1000)


def limits_body(limits: Limits) -> LimitsBody:
    """Return limits."""
    return LimitsBody(
        current_a=limits.current,
        power_w=limits.power,
        duration_s=limits.duration,
        energy_wh=limits.energy,
    )


def detail_body(detail: StopDetail | None) -> DetailBody | None:
    """Return the figures behind a trip or a stop, rounded."""
    if detail is None:
        return None
    measured = None if detail.measured is None else rounded(detail.measured, 3)
    limit = None if detail.limit is None else rounded(detail.limit, 3)
    return DetailBody(function=detail.function, measured=measured, limit=limit, unit=detail.unit)


def latch_body(latch: Latch) -> LatchBody:
    """Return what holds a port open."""
    return LatchBody(
        function=latch.function,
        clearing=latch.clearing.value,
        detail=detail_body(latch.detail),
        since=None if latch.since is None else stamp(latch.since),
    )


def rounded(value: float, digits: int) -> float:
    """Return a figure rounded; what is nothing then has no sign."""
    return round(value, digits) + 0.0


def relay_body(stance: Stance, now: Moment) -> RelayBody:
    """Return where a relay stands."""
    age = None if stance.read_at is None else rounded(max(0.0, between(stance.read_at, now.instant)), 2)
    return RelayBody(closed=stance.closed, source=stance.known, age_s=age)


def whole(value: float | None) -> int | None:
    """Return the nearest whole number; `None` stays unknown."""
    return None if value is None else round(value)


def json_of(payload: Body) -> bytes:
    """Return a payload as it is sent."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def fitting(info: Mapping[str, Json], room: int) -> dict[str, Json]:
    """Return `state/info` as `room` bytes can carry it: lists that are too long are left empty."""
    body = dict(info)
    for lengthy in ("boards", "ports"):
        if len(json_of(body)) > room:
            body[lengthy] = []
    return body
