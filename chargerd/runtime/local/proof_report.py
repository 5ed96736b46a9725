"""What a wiring proof is handed over as: everything a report says, for whoever draws it, and complete in itself.

Figures and stable words only; sentences are those of whoever shows them. Reaction times are those of `check`.
"""

import platform
from collections.abc import Iterator
from dataclasses import asdict

from chargerd import __version__
from chargerd.config.budget.budget import budget
from chargerd.config.site import Board, Channel, PortWiring, Site
from chargerd.contract.ledger import Json
from chargerd.core.moment import Moment
from chargerd.core.plan import DeadMan, Phase, PortPlan
from chargerd.core.proof import Closing, Finding, LeaseTest, Verdicts, moved, of_lease, proved
from chargerd.core.units import BoardId, Seconds
from chargerd.runtime.local.proofs_kept import Kept

VERSION = 1
DIGITS = 3


def report(site: Site, kept: Kept, now: Moment) -> dict[str, Json]:
    """Return the report of a proof, as of now."""
    verdicts = Verdicts(site.plan, kept.evidence, kept.load)
    proof = verdicts.conclude(kept.ports)
    plans = {port.id: port for port in site.plan.ports}
    wiring = {port.id: port for port in site.ports}
    times = budget(site).ports
    ports: list[Json] = []
    for port in kept.ports:
        plan = plans[port]
        spans = times.get(port)
        ports.append(
            {
                **_wiring(site, wiring[port], plan),
                "result": proof.ports[port].value,
                "closings": [
                    _closing(one) for one in kept.evidence.closings if port in {one.relay, *one.loads[:1]}
                ],
                "limits": _rounded(asdict(plan.limits)),
                "functions": list(
                    _functions(
                        plan,
                        worst=None if spans is None else spans.worst,
                        definite=None if spans is None else spans.definite,
                        silent=None if spans is None else spans.silent,
                        sensor=wiring[port].temperature is not None,
                    )
                ),
            }
        )
    return {
        "report": VERSION,
        "proof": kept.proof,
        "result": proof.result.value,
        "gateway": site.gateway.id,
        "began_at": kept.began_ms,
        "ended_at": kept.ended_ms,
        "made_at": now.wall_ms,
        "by": kept.by,
        "uid": kept.uid,
        "load_w": kept.load,
        "mode": "moved" if kept.moving else "each",
        "configuration": {"digest": site.digest},
        "versions": {
            "chargerd": __version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        },
        "findings": [finding_of(one) for one in proof.findings],
        "ports": ports,
        "boards": [_board(site, board, kept) for board in _boards(site, kept)],
        "circuits": [_circuit(site, circuit) for circuit in _circuits(site, kept)],
        "not_tested": list(_not_tested(site, kept, verdicts)),
    }


def _wiring(site: Site, wiring: PortWiring, plan: PortPlan) -> dict[str, Json]:
    return {
        "port": wiring.id,
        "label": plan.label,
        "circuit": wiring.circuit,
        "phase": plan.phase.value,
        "relay": _channel(site, wiring.relay),
        "meter": _channel(site, wiring.meter),
        "sensor": None if wiring.temperature is None else _channel(site, wiring.temperature),
    }


def _channel(site: Site, channel: Channel) -> dict[str, Json]:
    board = site.boards[channel.board]
    return {
        "board": board.id,
        "channel": channel.channel,
        "bus": board.bus,
        "address": board.address,
        "profile": board.profile.name,
    }


def _closing(closing: Closing) -> dict[str, Json]:
    own = closing.of(closing.relay)
    return {
        "relay": closing.relay,
        "loads": list(closing.loads),
        "at": closing.at_ms,
        "closed": closing.closed,
        "lasted_s": round(closing.lasted, 1),
        "moved": [
            {"port": port, "power_w": None if shown is None else shown.during}
            for port in moved(closing)
            for shown in [closing.of(port)]
        ],
        "power_w": None if own is None else own.during,
        "current_a": None if own is None else own.current,
        "voltage_v": None if own is None or own.voltage is None else round(own.voltage, 1),
        "refused": closing.refused,
        "ended": closing.ended,
        "after_w": closing.still,
    }


def finding_of(finding: Finding) -> dict[str, Json]:
    """Return a finding as programs get it."""
    return {
        "kind": finding.kind.value,
        "port": finding.port,
        "board": finding.board,
        "other": finding.other,
        "mutual": finding.mutual,
        "quantity": finding.quantity,
        "measured": finding.measured,
        "expected": finding.expected,
        "code": finding.code,
    }


def _functions(
    plan: PortPlan,
    *,
    worst: Seconds | None,
    definite: Seconds | None,
    silent: Seconds | None,
    sensor: bool,
) -> Iterator[Json]:
    """Yield what may open a port: its limit, how long that may last, and how soon the contact is open then."""
    limits, guard, relay = plan.limits, plan.protection, plan.relay
    rows: list[tuple[str, float | None, str | None, float, float | None, str]] = [
        ("overcurrent_instant", guard.instant_factor * limits.current, "a", 0.0, worst, "latched"),
        (
            "overcurrent_definite",
            guard.definite_factor * limits.current,
            "a",
            guard.definite_delay,
            definite,
            "latched",
        ),
        ("overcurrent_thermal", limits.current, "a", 0.0, None, "latched"),
        ("overpower", guard.overpower_factor * limits.power, "w", guard.overpower_delay, None, "ends"),
        ("overpower_instant", guard.overpower_instant_factor * limits.power, "w", 0.0, None, "ends"),
        ("overvoltage", guard.overvoltage, "v", guard.voltage_delay, None, "waits"),
        ("undervoltage", guard.undervoltage, "v", guard.voltage_delay, None, "waits"),
        ("meter_stale", None, None, guard.stale_after, silent, "waits"),
        ("relay_board_lost", None, None, relay.lease or 0.0, relay.lease, "waits"),
        ("relay_will_not_open", guard.open_tries, None, 0.0, None, "locked_out"),
        ("relay_welded", guard.weld_current, "a", 0.0, None, "locked_out"),
        ("wiring_suspect", guard.weld_power, "w", 0.0, None, "latched"),
        ("duration_limit", None, None, limits.duration, None, "ends"),
        ("power_jump", guard.power_jump, "w", guard.power_jump_delay, None, _alarm(trips=guard.power_jump_trips)),
        (
            "reverse_power",
            guard.reverse_power,
            "w",
            guard.reverse_power_delay,
            None,
            _alarm(trips=guard.reverse_power_trips),
        ),
    ]
    if sensor:
        rows.append(("port_temperature", guard.temperature_trip, "c", guard.temperature_delay, None, "latched"))
    for function, limit, unit, delay, reaction, then in rows:
        yield {
            "function": function,
            "limit": limit if limit is None else round(limit, DIGITS),
            "unit": unit,
            "delay_s": round(delay, DIGITS),
            "reaction_s": None if reaction is None else round(reaction, DIGITS),
            "then": then,
        }


def _alarm(*, trips: bool) -> str:
    return "ends" if trips else "told"


def _boards(site: Site, kept: Kept) -> list[BoardId]:
    wiring = {port.id: port for port in site.ports}
    return list(dict.fromkeys(wiring[port].relay.board for port in kept.ports))


def _board(site: Site, name: BoardId, kept: Kept) -> dict[str, Json]:
    board = site.boards[name]
    test = kept.evidence.lease(name)
    return {
        "board": name,
        "bus": board.bus,
        "address": board.address,
        "profile": board.profile.name,
        "verified": board.profile.verified,
        "dead_man": _dead_man(board),
        "proved": proved(test),
        "test": None if test is None else _test(test),
    }


def _dead_man(board: Board) -> str:
    relay = board.profile.relay
    return "none" if relay is None or not board.lease else relay.dead_man.value


def _test(test: LeaseTest) -> dict[str, Json]:
    plain: dict[str, Json] = _rounded(asdict(test))
    return {**plain, "failed": [one.kind.value for one in of_lease(test)]}


def _rounded(plain: dict[str, Json]) -> dict[str, Json]:
    return {name: round(value, DIGITS) if isinstance(value, float) else value for name, value in plain.items()}


def _circuits(site: Site, kept: Kept) -> list[str]:
    """Return the circuits above the ports of a proof, each once."""
    parents = {circuit.id: circuit.parent for circuit in site.plan.circuits}
    found: dict[str, None] = {}
    wiring = {port.id: port for port in site.ports}
    for port in kept.ports:
        at = wiring[port].circuit if wiring[port].circuit in parents else None
        while at is not None:
            found[at] = None
            at = parents[at]
    return list(found)


def _circuit(site: Site, name: str) -> dict[str, Json]:
    circuit = next(one for one in site.plan.circuits if one.id == name)
    inputs: list[Json] = [
        {"input": one.id, "kind": one.kind.value} for one in site.plan.inputs if one.circuit == name
    ]
    contactor = circuit.contactor
    return {
        "circuit": name,
        "parent": circuit.parent,
        "phases": circuit.phases,
        "rating_a": circuit.rating,
        "rating_w": circuit.power,
        "metered": circuit.meter is not None,
        "contactor": None if contactor is None else f"{contactor.board}/{contactor.channel}",
        "inputs": inputs,
    }


def _not_tested(site: Site, kept: Kept, verdicts: Verdicts) -> Iterator[Json]:
    """Yield what the proof says nothing of; whoever relies on it has to know."""
    wiring = {port.id: port for port in site.ports}
    for port in kept.ports:
        if kept.evidence.own(port) is None:
            yield {"what": "port", "about": port}
    yield from _boards_not_tested(site, kept, verdicts)
    yield from _circuits_not_tested(site, kept)
    sensors = [port for port in kept.ports if wiring[port].temperature is not None]
    others = [port.id for port in site.plan.ports if port.id not in kept.ports]
    whole = [] if kept.moving else list(kept.ports)
    for what, names in (("sockets", whole), ("sensors", sensors), ("other_ports", others)):
        if names:
            yield {"what": what, "about": ", ".join(names)}
    yield {"what": "trips", "about": ""}
    yield {"what": "installation", "about": ""}


def _boards_not_tested(site: Site, kept: Kept, verdicts: Verdicts) -> Iterator[Json]:
    leased = verdicts.leased(kept.ports)
    for board in _boards(site, kept):
        if board in leased:
            tested = proved(kept.evidence.lease(board)) is not None
            yield {"what": "other_relays" if tested else "dead_man", "about": board}
        else:
            without = _dead_man(site.boards[board]) == DeadMan.NONE
            yield {"what": "no_dead_man" if without else "dead_man", "about": board}


def _circuits_not_tested(site: Site, kept: Kept) -> Iterator[Json]:
    phases = {port.id: port.phase for port in site.plan.ports}
    metered = any(len(one.rise) > 1 for closing in kept.evidence.closings for one in closing.phases)
    unphased = [port for port in kept.ports if phases[port] is not Phase.ALL and not metered]
    if unphased:
        yield {"what": "phase", "about": ", ".join(unphased)}
    for name in _circuits(site, kept):
        circuit = next(one for one in site.plan.circuits if one.id == name)
        if circuit.contactor is not None:
            yield {"what": "contactor", "about": name}
        inputs = [one.id for one in site.plan.inputs if one.circuit == name]
        if inputs:
            yield {"what": "inputs", "about": ", ".join(inputs)}
