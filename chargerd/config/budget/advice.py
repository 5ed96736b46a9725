"""Refuses a site whose buses cannot meet its own times, and works out what would help."""

import math
from collections.abc import Mapping, Sequence

from chargerd.config.budget.budget import Budget, Fault, Trouble, budget, fits, most_ports, populations_of
from chargerd.config.budget.bus_load import load_of
from chargerd.config.budget.line_time import LineTime
from chargerd.config.budget.population import Population
from chargerd.config.document import Document
from chargerd.config.profiles.models import Profile
from chargerd.config.site import Site
from chargerd.config.source import Path
from chargerd.config.work import Work
from chargerd.core.units import PortId, Seconds

DELAYS = {
    Trouble.DEFINITE: ("overcurrent_definite_s", Seconds(10.0)),
    Trouble.OVERPOWER: ("overpower_s", Seconds(30.0)),
}
"""The delays that are at fault, by their keys, and what each may be set to at most."""
_SAID = {
    Trouble.STALE: "three polls of {ports} take {takes} s, longer than their meter_stale_s of {may}",
    Trouble.DEFINITE: "overcurrent_definite_s of {may} ends before {ports} give a second value after {takes} s",
    Trouble.OVERPOWER: "overpower_s of {may} ends before {ports} give a second power after {takes} s",
    Trouble.LOST: "one lost answer leaves {ports} unread for {takes} s, longer than their meter_stale_s of {may}",
    Trouble.LEASES: "renewing the leases of {ports} takes {takes} s, longer than the {may} s there are for it",
}


def refuse(site: Site, document: Document, work: Work) -> Budget:
    """Return the site's budget; notes what cannot be met, each with what would help."""
    found = budget(site)
    for name in found.buses:
        faults = [fault for fault in found.faults if fault.bus == name]
        if faults:
            _refuse_bus(name, faults, site, document, work)
    return found


def _refuse_bus(name: str, faults: Sequence[Fault], site: Site, document: Document, work: Work) -> None:
    there = populations_of(site)[name]
    helps = advice(there, name, site, work.profiles)
    if any(fault.trouble is Trouble.LOST for fault in faults):
        helps = (_wait_less(name, document, work), *helps)
    slow = [fault for fault in faults if fault.trouble not in DELAYS]
    if slow:
        rate: Path = ("buses", name, "baudrate")
        path = rate if rate in work.source.values else rate[:2]
        work.wrong(path, _what(name, slow), ", or ".join(helps), key=path != rate, kind="slow bus")
        return  # Delays that are too short for a line this slow may be right on one that is not.
    for fault in faults:
        key, most = DELAYS[fault.trouble]
        delay = math.ceil(fault.takes * 10) / 10
        hints = (f"set {key} to {delay:g} or more", *helps) if delay <= most else helps
        place = _place(fault, name, document, work)
        work.wrong(place, _what(name, [fault]), ", or ".join(hints), key=place == ("buses", name), kind=key)


def _wait_less(bus: str, document: Document, work: Work) -> str:
    """Return which key makes a lost answer be waited for so long: a timeout follows a turnaround that is given."""
    boards = [text for text, section in document.boards.items() if section.bus == bus]
    places: list[Path] = [("buses", bus), *(("boards", text) for text in boards)]
    for key in ("timeout_ms", "turnaround_ms"):
        said = [place for place in places if (*place, key) in work.source.values]
        if said:
            names = ", ".join(f"{'bus' if kind == 'buses' else 'board'} {name}" for kind, name in said)
            return f"lower {key} of {names}"
    return "give its boards a lower timeout_ms"


def _what(bus: str, faults: Sequence[Fault]) -> str:
    said = (
        _SAID[fault.trouble].format(
            ports=shown_ports(fault.ports), takes=f"{fault.takes:.1f}", may=f"{fault.may:g}"
        )
        for fault in faults
    )
    return f"bus {bus} is too slow: {', and '.join(said)}"


def _place(fault: Fault, bus: str, document: Document, work: Work) -> Path:
    """Return where a delay that is too short is written: at a port, for all ports; else the bus."""
    key = ("protection", DELAYS[fault.trouble][0])
    places: list[Path] = [("ports", _section_of(fault.ports[0], document, work), *key), key]
    return next((path for path in places if path in work.source.values), ("buses", bus))


def _section_of(port: PortId, document: Document, work: Work) -> int:
    """Return which section of the file's ports describes this one."""
    for index, section in zip(work.ports, document.ports, strict=True):
        if port in work.spelled(("ports", index, "id"), section.id):
            return index
    raise KeyError(port)


def shown_ports(ports: Sequence[PortId]) -> str:
    """Return a few ports as people say them."""
    return ports[0] if len(ports) == 1 else f"{ports[0]} to {ports[-1]}"


def advice(there: Population, bus: str, site: Site, profiles: Mapping[str, Profile]) -> tuple[str, ...]:
    """Return what each by itself would make a bus meet its times, worked out: rate, meter, more buses."""
    found = (_faster(there, bus, site), _other_meter(there, bus, site, profiles), _more_buses(there))
    hints = tuple(hint for hint in found if hint)
    return hints or (
        "nothing on this line is fast enough: take faster boards, or longer times where these may be",
    )


def _rates(site: Site, bus: str) -> list[int]:
    """Return the rates all boards of a bus can be set to, slowest first."""
    boards = [board.profile.line.baudrates for board in site.boards.values() if board.bus == bus]
    return sorted(set(boards[0]).intersection(*boards[1:]))


def faster_rate(there: Population, bus: str, site: Site) -> int | None:
    """Return the lowest rate above that of a bus at which it meets its times, if its boards know one."""
    section = site.buses[bus]
    if section.tcp is not None:
        return None
    rates = (rate for rate in _rates(site, bus) if rate > section.baudrate)
    return next((rate for rate in rates if fits(there.at(LineTime.of(section, rate)))), None)


def _faster(there: Population, bus: str, site: Site) -> str:
    rate = faster_rate(there, bus, site)
    return "" if rate is None else f"set the bus and all its boards to {rate} Bd"


def other_meter(there: Population, bus: str, site: Site, profiles: Mapping[str, Profile]) -> Profile | None:
    """Return the meter with which the ports of a bus would be seen soonest, if its times can be met with it."""
    section = site.buses[bus]
    here = {hung.meter.name for hung in there.ports if hung.meter is not None}
    if not here:
        return None
    known = [
        profile
        for name, profile in sorted(profiles.items())
        if profile.meter is not None
        and not profile.meter.shares_energy
        and name not in here
        and (section.tcp is not None or section.baudrate in profile.line.baudrates)
        and fits(there.with_meter(profile))
    ]
    return min(known, key=lambda profile: _seen(there.with_meter(profile)), default=None)


def _seen(there: Population) -> float:
    load = load_of(there)
    return max(fast.refresh + load.interval(fast) for fast in load.fast)


def _other_meter(there: Population, bus: str, site: Site, profiles: Mapping[str, Profile]) -> str:
    profile = other_meter(there, bus, site, profiles)
    if profile is None:
        return ""
    assert profile.meter is not None
    count = math.ceil(sum(hung.meter is not None for hung in there.ports) / profile.meter.channels)
    return f"take {count} {profile.name} as meter{'s' if count > 1 else ''}"


def _more_buses(there: Population) -> str:
    most = most_ports(there)
    if not 0 < most < len(there.ports):
        return ""
    buses = math.ceil(len(there.ports) / most)
    return f"spread its {len(there.ports)} ports over {buses} buses, of which each takes {most} at this rate"
