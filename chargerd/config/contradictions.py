"""Refuses limits that cannot all be meant: a port above its circuit, a threshold above the limit it belongs to."""

from collections.abc import Iterator

from chargerd.config.document import Document
from chargerd.config.site import Site
from chargerd.config.source import Path
from chargerd.config.work import Work
from chargerd.core.plan import ADMIT, CircuitPlan, PortPlan


def contradictions(site: Site, document: Document, work: Work) -> None:
    """Note what contradicts itself in a site whose parts are right each by itself."""
    circuits = {circuit.id: circuit for circuit in site.plan.circuits}
    plans = {port.id: port for port in site.plan.ports}
    for index, section in zip(work.ports, document.ports, strict=True):
        path: Path = ("ports", index)
        for name in work.spelled((*path, "id"), section.id):
            port = next(plan for key, plan in plans.items() if key == name)
            _limits(path, port, work)
            above = circuits.get(port.circuit)
            while above is not None:
                _circuit(path, port, above, work)
                above = None if above.parent is None else circuits.get(above.parent)


def _circuit(path: Path, port: PortPlan, circuit: CircuitPlan, work: Work) -> None:
    """Refuse a port that no start could be admitted for, were it the only one of its circuit."""
    pairs = (
        ("current_a", port.limits.current, "rating_a", circuit.rating),
        ("power_w", port.limits.power, "power_w", circuit.power),
    )
    for key, limit, theirs, rating in pairs:
        if rating is not None and limit > ADMIT * rating:
            what = f"{key} of {limit:g} of {port.id} can never be admitted: "
            what += f"{theirs} of circuit {circuit.id} is {rating:g}"
            hint = f"give at most {ADMIT * rating:g}, {ADMIT:.0%} of it"
            work.wrong(said(path, ("limits", key), work), what, hint, kind=f"{circuit.id} {key}")


def _limits(path: Path, port: PortPlan, work: Work) -> None:
    """Refuse thresholds that the port's own limits make meaningless."""
    for section, key, threshold, limit_key, limit in _pairs(port):
        if threshold >= limit:
            what = f"{key} of {threshold:g} is not below {limit_key} of {limit:g} of {port.id}"
            work.wrong(said(path, (section, key), work), what, f"lower {key} or raise {limit_key}", kind=key)


def _pairs(port: PortPlan) -> Iterator[tuple[str, str, float, str, float]]:
    limits, end = port.limits, port.charge_end
    yield "protection", "weld_current_a", port.protection.weld_current, "current_a", limits.current
    yield "charge_end", "no_load_below_w", end.no_load_below, "power_w", limits.power
    if port.protection.power_jump_trips:
        yield "protection", "power_jump_w", port.protection.power_jump, "power_w", limits.power
        yield "protection", "power_jump_after_s", port.protection.power_jump_after, "duration_s", limits.duration
    yield "charge_end", "full_below_w", end.full_below, "power_w", limits.power


def said(path: Path, key: Path, work: Work) -> Path:
    """Return where a figure of a port is written: at the port, for all ports, or nowhere, then the port itself."""
    return next((place for place in ((*path, *key), key) if place in work.source.values), path)
