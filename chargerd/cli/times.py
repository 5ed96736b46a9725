"""Points in time as people write them: a span back from now, a time of today, a date."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
TIME: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
EXAMPLES: Final = "write 90s, 30m, 2h, 1d12h, 14:30, 2026-11-29 or '2026-11-29 14:30'"


@dataclass(frozen=True, slots=True)
class Since:
    """From when on: so long ago, which needs no clock at the gateway, or at an instant."""

    within_s: float | None = None
    at: datetime | None = None

    @property
    def params(self) -> dict[str, float]:
        """Return it as the daemon is asked."""
        if self.within_s is not None:
            return {"within_s": self.within_s}
        assert self.at is not None
        return {"since_ms": round(self.at.timestamp() * 1000)}


def read_span(text: str) -> float:
    """Return how many seconds are meant. Raises `ValueError`, with examples."""
    seconds = _span(text.strip())
    if seconds is None or seconds <= 0:
        raise ValueError(f"{text!r} is no span of time; write 90s, 30m, 2h or 1d12h")
    return seconds


def _span(text: str) -> float | None:
    """Return the seconds of a span as 1h30m; `None` if it is none."""
    spans = SPAN.findall(text)
    if not spans or SPAN.sub("", text).strip():
        return None
    return sum(float(figure) * SECONDS[unit] for figure, unit in spans)


def read_since(text: str, now: datetime) -> Since:
    """Return what is meant; a time without a zone is this machine's. Raises `ValueError`, with examples."""
    text = text.strip()
    seconds = _span(text)
    if seconds is not None and seconds > 0:
        return Since(within_s=seconds)
    of_today = TIME.fullmatch(text)
    try:
        if of_today is not None:
            hours, minutes, rest = (int(one or 0) for one in of_today.groups())
            at = now.replace(hour=hours, minute=minutes, second=rest, microsecond=0)
            return Since(at=at if at <= now else at - timedelta(days=1))
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time; {EXAMPLES}") from error
    return Since(at=at.astimezone())
