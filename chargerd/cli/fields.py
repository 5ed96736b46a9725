"""What stands in the daemon's answers, in plain words. Loads nothing: a line of JSON is not to wait for tables."""

from collections.abc import Mapping, Sequence

from chargerd.text import Json

Fields = Mapping[str, Json]
GONE_AFTER = 30.0
"""Seconds after which a figure that is none of now is not shown any more, not even with its age."""


def table(fields: Json) -> Fields:
    """Return a JSON object as a mapping; an empty one for anything else."""
    return fields if isinstance(fields, dict) else {}


def entries(value: Json) -> list[Fields]:
    """Return a JSON array's objects; none for anything else."""
    return [table(item) for item in value] if isinstance(value, list) else []


def words(value: Json) -> list[str]:
    """Return a JSON array's strings; none for anything else."""
    return [str(item) for item in value] if isinstance(value, list) else []


def number(value: Json, digits: int) -> str:
    """Return a figure, or a dash for what is not known; what is nothing has no sign."""
    return f"{value:z.{digits}f}" if isinstance(value, int | float) else "-"


def is_stale(reading: Fields) -> bool:
    """Say whether power and current are none of now; a daemon that does not say so tells their quality."""
    return reading.get("stale", reading.get("quality") != "good") is not False


def is_gone(reading: Fields) -> bool:
    """Say whether they are so old that they say nothing any more."""
    age = reading.get("age_s")
    return is_stale(reading) and not (isinstance(age, int | float) and age <= GONE_AFTER)


def measured(reading: Fields, name: str, digits: int) -> str:
    """Return power or current as far as they still tell something."""
    return "-" if is_gone(reading) else number(reading.get(name), digits)


def age_of(reading: Fields) -> str:
    """Return what stands beside figures that are none of now: how old they are; nothing beside others."""
    return "" if is_gone(reading) or not is_stale(reading) else f"{number(reading.get('age_s'), 0)} s"


def relay_of(port: Fields, part: str = "relay") -> str:
    """Return where a relay, or a circuit's `contactor`, stands: as it was read back, or as is only believed."""
    known = table(port.get(part))
    closed = known.get("closed") if known else port.get("relay_closed" if part == "relay" else "contactor_closed")
    if not isinstance(closed, bool):
        return "?"
    where = "closed" if closed else "open"
    return f"{where}, believed" if known.get("source") == "believed" else where


def shown_state(port: Fields) -> str:
    """Return a port's state; one that is available and would refuse a start is blocked."""
    state = str(port["state"])
    return "blocked" if state == "available" and obstacles(port) else state


def clock(seconds: Json) -> str:
    """Return a span as 1:02:03."""
    if not isinstance(seconds, int | float):
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def why_not(port: Fields, circuits: Sequence[Fields] = ()) -> str:
    """Return what holds a port open, in the contract's words: latches, its circuits' too, else what blocks it.

    Whoever has locked it comes first, by name.
    """
    by = table(port.get("lock")).get("by")
    lock = [] if by is None else [f"locked by {by}"]
    held = [port, *(above(port, circuits) if held_from_above(port) else ())]
    latches = [str(latch.get("function")) for one in held for latch in entries(one.get("latches"))]
    waits = table(port.get("session")).get("suspended_by")
    blocked = [_hold(port, code) for code in obstacles(port) if not (lock and code == "locked")]
    return ", ".join([*lock, *(latches or list(filter(None, blocked)) or ([str(waits)] if waits else []))])


def _hold(port: Fields, code: str) -> str:
    """Return a code as it is shown: a daemon that drains has disabled no port, and sessions under way go on."""
    if code != "disabled" or port.get("disabled"):
        return code
    return "" if port.get("session") else "draining"


def obstacles(port: Fields) -> list[str]:
    """Return the codes for which a start would be refused, but for the session that is under way."""
    return [code for code in words(port.get("blocked_by")) if code != "busy" or not port.get("session")]


def above(port: Fields, circuits: Sequence[Fields]) -> list[Fields]:
    """Return the circuits that feed a port, the nearest first."""
    by_name = {circuit.get("circuit"): circuit for circuit in circuits}
    found: list[Fields] = []
    name = port.get("circuit")
    while name in by_name and by_name[name] not in found:
        found.append(by_name[name])
        name = by_name[name].get("parent")
    return found


def held_from_above(port: Fields) -> bool:
    """Say whether a circuit holds a port open that has no latch of its own for it."""
    own = {str(latch.get("clearing")) == "lock_out" for latch in entries(port.get("latches"))}
    codes = words(port.get("blocked_by"))
    return ("latched" in codes and False not in own) or ("locked_out" in codes and True not in own)
