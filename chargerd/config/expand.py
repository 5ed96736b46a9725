"""Spells out a document's ranges and checks what belongs together: all mistakes at once, with their places."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from chargerd.config import plans
from chargerd.config.credentials import with_places
from chargerd.config.document import ChargeEndSection, Document, PortSection, ProtectionSection
from chargerd.config.notes import note_all, note_lines
from chargerd.config.site import Board, Channel, PortWiring, Site
from chargerd.config.source import Path
from chargerd.config.wiring import check_buses, check_phase, resolve_boards, resolve_channel, resolve_circuits
from chargerd.config.work import Work
from chargerd.core.plan import ChargeEnd, InputKind, InputPlan, LinePlan, PortPlan, Protection, StationPlan
from chargerd.core.units import BoardId, CircuitId, PortId, Seconds, Watts

JUMP_READINGS = 2
POLLS = 3
"""A meter counts as silent after this many refreshes, never earlier."""


@dataclass(slots=True)
class _Ports:
    """The ports so far, and who holds which id, relay and meter."""

    wirings: list[PortWiring] = field(default_factory=list)
    plans: list[PortPlan] = field(default_factory=list)
    taken: dict[object, str] = field(default_factory=dict)

    def claim(self, work: Work, path: Path, thing: object, owner: str, what: str, hint: str) -> None:
        """Refuse what is taken already; `what` is completed by its holder."""
        holder = self.taken.get(thing)
        if holder is not None:
            work.wrong(path, what.format(holder=holder), hint)
        self.taken.setdefault(thing, owner)


def expand(document: Document, work: Work) -> Site | None:
    """Return the checked site, or nothing if `work` has problems then."""
    check_buses(document, work)
    note_lines(document, work)
    boards = resolve_boards(document, work)
    circuits = resolve_circuits(document, boards, work)
    _site_contradictions(document, work)
    ports = _ports(document, boards, work)
    _contactors(document, boards, ports, work)
    inputs = _inputs(document, boards, work)
    _nothing_there(document, work)
    if work.problems:
        return None
    note_all(document, boards, ports.wirings, work)
    return Site(
        gateway=document.gateway,
        mqtt=with_places(document.mqtt),
        metrics=document.metrics,
        buses=document.buses,
        boards=boards,
        ports=tuple(ports.wirings),
        plan=StationPlan(
            ports=tuple(ports.plans),
            circuits=circuits,
            inputs=inputs,
            lines=tuple(_line(name, boards) for name in document.buses),
            queue_for=Seconds(document.queue.queue_s),
            resume_window=Seconds(document.resume.window_s),
            tariff_tiers=tuple(Watts(tier) for tier in document.tariff_tiers_w),
        ),
        digest=_digest(document, boards),
        notes=tuple(sorted(work.notes)),
    )


def _line(name: str, boards: Mapping[BoardId, Board]) -> LinePlan:
    mine = [board for board in boards.values() if board.bus == name]
    return LinePlan(
        id=name,
        boards=tuple(board.id for board in mine),
        telling=frozenset(board.id for board in mine if board.profile.identity),
        unique=frozenset(board.id for board in mine if any(one.unique for one in board.profile.identity)),
    )


def _digest(document: Document, boards: Mapping[BoardId, Board]) -> str:
    """Return SHA-256 over everything that was configured, profiles included, in an order of its own."""
    profiles = {board.profile.name: board.profile.model_dump(mode="json") for board in boards.values()}
    everything = {"document": document.model_dump(mode="json"), "profiles": profiles}
    return hashlib.sha256(json.dumps(everything, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _nothing_there(document: Document, work: Work) -> None:
    for name in ("buses", "boards", "circuits", "ports"):
        if not getattr(document, name) and not work.is_broken("section", name):
            work.wrong((name,), f"{name} is empty", "describe at least one", key=True)


def _ports(document: Document, boards: Mapping[BoardId, Board], work: Work) -> _Ports:
    ports = _Ports()
    for index, section in zip(work.ports, document.ports, strict=True):
        path: Path = ("ports", index)
        circuit = document.circuits.get(section.circuit)
        if circuit is None:
            work.unknown((*path, "circuit"), "circuit", section.circuit, document.circuits)
        else:
            who = f"port {section.id}"
            check_phase((*path, "phase"), who, section.phase, section.circuit, circuit, work)
        protection = plans.protection(document.protection, section.protection)
        end = plans.charge_end(document.charge_end, section.charge_end)
        _contradictions(path, section, protection, end, work)
        for wiring, label in _members(path, section, boards, ports, work):
            relay, meter = wiring.relay, wiring.meter
            _check_stale((*path, "meter"), boards[meter.board], protection, work)
            ports.wirings.append(wiring)
            ports.plans.append(
                PortPlan(
                    id=wiring.id,
                    label=label,
                    relay=plans.relay_plan(relay, boards[relay.board]),
                    meter=plans.meter_plan(meter, boards[meter.board]),
                    circuit=wiring.circuit,
                    phase=section.phase,
                    limits=plans.limits(document.limits, section.limits),
                    protection=protection,
                    charge_end=end,
                    wired=plans.wired(wiring, boards, document.buses),
                )
            )
    return ports


def _members(
    path: Path, section: PortSection, boards: Mapping[BoardId, Board], ports: _Ports, work: Work
) -> list[tuple[PortWiring, str]]:
    """Return wiring and label of the ports of a section whose wiring holds."""
    names = work.spelled((*path, "id"), section.id)
    relays = work.spelled((*path, "relay"), section.relay, len(names)) if names else ()
    meters = work.spelled((*path, "meter"), section.meter, len(names)) if names else ()
    labels = _labels(path, section, names, work)
    sensors = _thermometers(path, section, names, boards, work)
    hint = "give each port a relay and a meter of its own"
    found = []
    for index, name in enumerate(names):
        twice = "port " + name.replace("{", "{{").replace("}", "}}") + " is described twice"
        ports.claim(work, (*path, "id"), ("port", name), name, twice, "give each port an id of its own")
        relay = resolve_channel((*path, "relay"), relays[index], "relay", boards, work) if relays else None
        meter = resolve_channel((*path, "meter"), meters[index], "meter", boards, work) if meters else None
        if relay is not None:
            ports.claim(work, (*path, "relay"), ("relay", relay), name, _taken("relay", relay), hint)
        if meter is not None:
            ports.claim(work, (*path, "meter"), ("meter", meter), name, _taken("meter", meter), hint)
            _claim_counter(work, (*path, "meter"), boards[meter.board], name, ports)
        if relay is not None and meter is not None and labels and sensors:
            circuit = CircuitId(section.circuit)
            wiring = PortWiring(
                id=PortId(name), relay=relay, meter=meter, circuit=circuit, temperature=sensors[index]
            )
            found.append((wiring, labels[index]))
    return found


def _thermometers(
    path: Path, section: PortSection, names: tuple[str, ...], boards: Mapping[BoardId, Board], work: Work
) -> tuple[Channel | None, ...]:
    """Return the sensor of each port of a section; nothing if they are described wrongly (and that is noted)."""
    if section.temperature is None:
        return (None,) * len(names)
    place: Path = (*path, "temperature")
    texts = work.spelled(place, section.temperature, len(names)) if names else ()
    return tuple(resolve_channel(place, text, "thermometer", boards, work) for text in texts)


def _claim_counter(work: Work, path: Path, board: Board, port: str, ports: _Ports) -> None:
    """Refuse a second port on a meter whose channels all count into one register of energy."""
    meter = board.profile.meter
    if meter is None or not meter.shares_energy:
        return
    holder = ports.taken.setdefault(("counter", board.id), port)
    if holder != port:
        what = f"{board.id} ({board.profile.name}) counts the energy of all its channels together, {holder}'s too"
        work.wrong(path, what, "give each port a meter that counts by itself")


def _taken(kind: str, channel: Channel) -> str:
    board = channel.board.replace("{", "{{").replace("}", "}}")
    return f"{kind} {board}/{channel.channel} belongs to {{holder}} already"


def _labels(path: Path, section: PortSection, names: tuple[str, ...], work: Work) -> tuple[str, ...]:
    if not section.label:
        return names
    return (section.label,) if len(names) == 1 else work.spelled((*path, "label"), section.label, len(names))


def _site_contradictions(document: Document, work: Work) -> None:
    plan = plans.protection(document.protection, ProtectionSection())
    _contradictions((), document, plan, plans.charge_end(document.charge_end, ChargeEndSection()), work)


def _contradictions(
    path: Path, section: Document | PortSection, plan: Protection, end: ChargeEnd, work: Work
) -> None:
    """Refuse figures of this section that contradict each other, or what it inherits."""
    for name, lower, upper, what in plans.contradictions(plan, end):
        said = [key for key in (lower, upper) if key in getattr(section, name).model_fields_set]
        if said:
            work.wrong((*path, name, said[0]), what, f"lower {lower} or raise {upper}")


def _check_stale(path: Path, board: Board, protection: Protection, work: Work) -> None:
    refresh = Seconds(board.profile.timing.refresh_ms / 1000)
    if protection.stale_after < POLLS * refresh:
        span = f"meter_stale_s of {protection.stale_after:g}"
        what = f"{span} is shorter than three refreshes of {board.profile.name}"
        work.wrong(path, what, f"set meter_stale_s to {POLLS * refresh:g} or more, or use a faster meter")
    if protection.power_jump_delay < JUMP_READINGS * refresh:
        span = f"power_jump_s of {protection.power_jump_delay:g}"
        what = f"{span} ends before {board.profile.name} shows a second value"
        hint = f"set power_jump_s to {JUMP_READINGS * refresh:g} or more, or use a faster meter"
        work.wrong(path, what, hint, kind="power_jump_s")


def _contactors(document: Document, boards: Mapping[BoardId, Board], ports: _Ports, work: Work) -> None:
    """Refuse a contactor on the relay of a port or of another circuit."""
    for name, section in document.circuits.items():
        text = section.contactor or ""
        board, _, number = text.partition("/")
        if BoardId(board) in boards and number.isdecimal():
            relay = Channel(board=BoardId(board), channel=int(number))
            hint = "give each contactor a relay of its own"
            path: Path = ("circuits", name, "contactor")
            ports.claim(work, path, ("relay", relay), f"circuit {name}", _taken("relay", relay), hint)


def _inputs(document: Document, boards: Mapping[BoardId, Board], work: Work) -> tuple[InputPlan, ...]:
    """Return the inputs whose wiring holds."""
    found = []
    for name, section in document.inputs.items():
        channel = resolve_channel(("inputs", name, "input"), section.input, "input", boards, work)
        if section.circuit not in document.circuits:
            work.unknown(("inputs", name, "circuit"), "circuit", section.circuit, document.circuits)
        elif channel is not None:
            found.append(
                InputPlan(
                    id=name,
                    board=channel.board,
                    channel=channel.channel,
                    kind=InputKind(section.kind),
                    circuit=CircuitId(section.circuit),
                    active=section.active,
                )
            )
    return tuple(found)
