"""Spells out a document's ranges and checks what belongs together: all mistakes at once, with their places."""

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chargerd.config.document import (
    BoardSection,
    ChargeEndSection,
    Document,
    LimitsSection,
    PortSection,
    ProtectionSection,
)
from chargerd.config.problems import ConfigurationError, Problem
from chargerd.config.profiles import Profile, Quantity
from chargerd.config.ranges import RangeError, run_along, spell_out
from chargerd.config.site import Board, Channel, PortWiring, Site
from chargerd.config.source import Path, Source
from chargerd.core.plan import (
    ChargeEnd,
    CircuitPlan,
    DeadMan,
    Limits,
    MeterPlan,
    PortPlan,
    Protection,
    RelayPlan,
    StationPlan,
)
from chargerd.core.units import Amps, BoardId, CircuitId, PortId, Seconds, WattHours, Watts

LEASE = Seconds(6.0)
RENEW_EVERY = Seconds(3.0)
POLLS = 3
HIGHEST_ADDRESS = 247


@dataclass(slots=True)
class _Work:
    source: Source
    profiles: Mapping[str, Profile]
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    """Boards that are described, but wrongly: what refers to them is not to blame."""

    def wrong(self, path: Path, what: str, hint: str, *, key: bool = False) -> None:
        self.problems.append(self.source.problem(path, what, hint, key=key))

    def unknown(self, path: Path, kind: str, name: str, known: Iterable[str]) -> None:
        choices = sorted(known)
        near = difflib.get_close_matches(name, choices, n=3, cutoff=0.5) or choices[:6]
        hint = f"did you mean {', '.join(near)}?" if near else f"there is no {kind} yet"
        self.wrong(path, f"unknown {kind} {name!r}", hint)

    def spelled(
        self, path: Path, text: str | int, beside: int | None = None, *, key: bool = False
    ) -> tuple[str, ...]:
        try:
            return spell_out(text) if beside is None else run_along(text, beside)
        except RangeError as error:
            hint = "write a range as A01..A12, and give what stands beside it as many members"
            self.wrong(path, str(error), hint, key=key)
            return ()


def expand(document: Document, source: Source, profiles: Mapping[str, Profile]) -> Site:
    """Return the checked site. Raises `ConfigurationError` with every mistake found."""
    work = _Work(source, profiles)
    _buses(document, work)
    boards = _boards(document, work)
    circuits = _circuits(document, boards, work)
    wirings, plans = _ports(document, boards, work)
    _inputs(document, boards, work)
    _not_yet(document, work)
    if work.problems:
        raise ConfigurationError(work.problems)
    plan = StationPlan(
        ports=tuple(plans),
        circuits=circuits,
        tariff_tiers=tuple(Watts(tier) for tier in document.tariff_tiers_w),
    )
    digest = hashlib.sha256(document.model_dump_json().encode()).hexdigest()
    return Site(
        gateway=document.gateway,
        mqtt=document.mqtt,
        buses=document.buses,
        boards=boards,
        ports=tuple(wirings),
        plan=plan,
        digest=digest,
        notes=tuple(sorted(work.notes)),
    )


def _buses(document: Document, work: _Work) -> None:
    first: dict[str, str] = {}
    for name, bus in document.buses.items():
        if bus.place in first:
            what = f"bus {name} uses {bus.place}, which is bus {first[bus.place]} already"
            work.wrong(("buses", name), what, "give each line one bus, and hang all its boards on that", key=True)
        first.setdefault(bus.place, name)


def _boards(document: Document, work: _Work) -> dict[BoardId, Board]:
    boards: dict[BoardId, Board] = {}
    for text, section in document.boards.items():
        path: Path = ("boards", text)
        names = work.spelled(path, text, key=True)
        addresses = work.spelled((*path, "address"), section.address, len(names)) if names else ()
        profile = work.profiles.get(section.profile)
        if profile is None:
            work.unknown((*path, "profile"), "profile", section.profile, work.profiles)
        if section.bus not in document.buses:
            work.unknown((*path, "bus"), "bus", section.bus, document.buses)
        for name, address in zip(names, addresses, strict=bool(addresses)) if addresses else ():
            board = _board(BoardId(name), address, section, profile, path, work)
            if name in boards:
                work.wrong(path, f"board {name} is described twice", "give each board its own name", key=True)
            elif board is not None:
                boards[board.id] = board
            else:
                work.broken.add(name)
    _addresses(document, boards, work)
    return boards


def _board(
    name: BoardId, address: str, section: BoardSection, profile: Profile | None, path: Path, work: _Work
) -> Board | None:
    if not address.isdigit() or not 1 <= int(address) <= HIGHEST_ADDRESS:
        what = f"{address} is no Modbus address"
        work.wrong((*path, "address"), what, f"give a number from 1 to {HIGHEST_ADDRESS}")
        return None
    if profile is None:
        return None
    return Board(id=name, bus=section.bus, address=int(address), profile=profile, lease=section.lease)


def _addresses(document: Document, boards: Mapping[BoardId, Board], work: _Work) -> None:
    sections = {name: text for text in document.boards for name in _quietly(text)}
    first: dict[tuple[str, int], BoardId] = {}
    for board in boards.values():
        other = first.setdefault((board.bus, board.address), board.id)
        if other != board.id:
            what = f"{board.id} has address {board.address} on bus {board.bus}, and so has {other}"
            work.wrong(("boards", sections[board.id], "address"), what, "give one of them another address")


def _quietly(text: str) -> tuple[str, ...]:
    try:
        return spell_out(text)
    except RangeError:
        return ()


def _circuits(document: Document, boards: Mapping[BoardId, Board], work: _Work) -> tuple[CircuitPlan, ...]:
    for name, section in document.circuits.items():
        path: Path = ("circuits", name)
        if section.parent is not None and section.parent not in document.circuits:
            work.unknown((*path, "parent"), "circuit", section.parent, document.circuits)
        elif _in_cycle(name, document):
            hint = "the tree needs a root: leave out one circuit's parent"
            work.wrong((*path, "parent"), f"circuit {name} feeds itself", hint)
        if section.contactor is not None:
            _channel((*path, "contactor"), section.contactor, "relay", boards, work)
        if section.meter is not None and section.meter not in {*boards, *work.broken}:
            work.unknown((*path, "meter"), "board", section.meter, boards)
    return tuple(
        CircuitPlan(
            id=CircuitId(name),
            parent=CircuitId(section.parent) if section.parent else None,
            rating=Amps(section.rating_a) if section.rating_a else None,
            power=Watts(section.power_w) if section.power_w else None,
            phases=section.phases,
            phase=section.phase,
        )
        for name, section in document.circuits.items()
    )


def _in_cycle(name: str, document: Document) -> bool:
    seen: set[str] = set()
    parent = document.circuits[name].parent
    while parent is not None and parent in document.circuits and parent not in seen:
        if parent == name:
            return True
        seen.add(parent)
        parent = document.circuits[parent].parent
    return False


def _channel(path: Path, text: str, kind: str, boards: Mapping[BoardId, Board], work: _Work) -> Channel | None:
    name, slash, number = text.partition("/")
    board = boards.get(BoardId(name))
    if board is None:
        if name not in work.broken:
            work.unknown(path, "board", name, boards)
        return None
    section = {"relay": board.profile.relay, "meter": board.profile.meter, "input": board.profile.inputs}[kind]
    if section is None:
        what = f"{name} is a {board.profile.name}, which has no {kind}"
        work.wrong(path, what, f"name a board with a {kind}")
        return None
    if not slash and section.channels > 1:
        work.wrong(path, f"{name} has {section.channels} channels", f"say which: {name}/1")
        return None
    channel = int(number) if number.isdigit() else 0 if slash else 1
    if not 1 <= channel <= section.channels:
        what = f"{text}: a {board.profile.name} has channels 1 to {section.channels}"
        work.wrong(path, what, "count channels as printed on the board")
        return None
    return Channel(board=board.id, channel=channel)


def _ports(
    document: Document, boards: Mapping[BoardId, Board], work: _Work
) -> tuple[list[PortWiring], list[PortPlan]]:
    wirings: list[PortWiring] = []
    plans: list[PortPlan] = []
    taken: dict[object, str] = {}
    for index, section in enumerate(document.ports):
        path: Path = ("ports", index)
        names = work.spelled((*path, "id"), section.id)
        if section.circuit not in document.circuits:
            work.unknown((*path, "circuit"), "circuit", section.circuit, document.circuits)
        relays = work.spelled((*path, "relay"), section.relay, len(names)) if names else ()
        meters = work.spelled((*path, "meter"), section.meter, len(names)) if names else ()
        for name, relay_text, meter_text in zip(names, relays, meters, strict=False):
            relay = _channel((*path, "relay"), relay_text, "relay", boards, work)
            meter = _channel((*path, "meter"), meter_text, "meter", boards, work)
            _claim(work, (*path, "id"), taken, ("port", name), f"port {name}", name)
            if relay is not None:
                _claim(work, (*path, "relay"), taken, ("relay", relay), f"relay {relay_text}", name)
            if meter is not None:
                _claim(work, (*path, "meter"), taken, ("meter", meter), f"meter {meter_text}", name)
            if relay is None or meter is None:
                continue
            wiring = PortWiring(id=PortId(name), relay=relay, meter=meter, circuit=CircuitId(section.circuit))
            wirings.append(wiring)
            plans.append(_plan(wiring, section, document, boards, path, work))
    return wirings, plans


def _claim(work: _Work, path: Path, taken: dict[object, str], thing: object, label: str, port: str) -> None:
    other = taken.setdefault(thing, port)
    if other is not port:
        work.wrong(path, f"{label} belongs to {other} already", "give each port a relay and a meter of its own")


def _plan(
    wiring: PortWiring,
    section: PortSection,
    document: Document,
    boards: Mapping[BoardId, Board],
    path: Path,
    work: _Work,
) -> PortPlan:
    relay_board, meter_board = boards[wiring.relay.board], boards[wiring.meter.board]
    relay, meter = relay_board.profile.relay, meter_board.profile.meter
    assert relay is not None
    assert meter is not None
    leased = relay.dead_man is DeadMan.TIMED_ON and relay_board.lease
    refresh = Seconds(meter_board.profile.timing.refresh_ms / 1000)
    protection = _protection(document.protection, section.protection)
    if protection.stale_after < POLLS * refresh:
        what = f"meter_stale_s of {protection.stale_after:g} s is shorter than three refreshes of {refresh:g} s"
        work.wrong((*path, "meter"), what, f"raise meter_stale_s to {POLLS * refresh:g}, or use a faster meter")
    together = meter.block_of(Quantity.CURRENT) == meter.block_of(Quantity.POWER)
    return PortPlan(
        id=wiring.id,
        label=section.label if section.label and section.id == wiring.id else str(wiring.id),
        relay=RelayPlan(
            board=wiring.relay.board,
            channel=wiring.relay.channel,
            dead_man=relay.dead_man if leased or relay.dead_man is not DeadMan.TIMED_ON else DeadMan.NONE,
            lease=LEASE if leased else None,
            renew_every=RENEW_EVERY,
        ),
        meter=MeterPlan(
            board=wiring.meter.board,
            channel=wiring.meter.channel,
            refresh=refresh,
            power_every=Seconds(0.0) if together else Seconds(2.0),
            energy_resolution=WattHours(meter.energy_resolution_wh),
        ),
        circuit=wiring.circuit,
        phase=section.phase,
        limits=_limits(document.limits, section.limits),
        protection=protection,
        charge_end=_charge_end(document.charge_end, section.charge_end),
    )


def _pick(name: str, default: float, *sections: object) -> float:
    """Return the last section's own figure, or the default."""
    said = [value for section in sections if (value := getattr(section, name)) is not None]
    return float(said[-1]) if said else default


def _limits(site: LimitsSection, port: LimitsSection) -> Limits:
    default = Limits()
    energy = port.energy_wh if port.energy_wh is not None else site.energy_wh
    return Limits(
        current=Amps(_pick("current_a", default.current, site, port)),
        power=Watts(_pick("power_w", default.power, site, port)),
        duration=Seconds(_pick("duration_s", default.duration, site, port)),
        energy=WattHours(energy) if energy is not None else None,
    )


def _protection(site: ProtectionSection, port: ProtectionSection) -> Protection:
    default = Protection()
    return Protection(
        instant_factor=_pick("overcurrent_instant_factor", default.instant_factor, site, port),
        inrush_factor=_pick("overcurrent_inrush_factor", default.inrush_factor, site, port),
        inrush_for=Seconds(_pick("overcurrent_inrush_s", default.inrush_for, site, port)),
        definite_factor=_pick("overcurrent_definite_factor", default.definite_factor, site, port),
        definite_delay=Seconds(_pick("overcurrent_definite_s", default.definite_delay, site, port)),
        overpower_factor=_pick("overpower_factor", default.overpower_factor, site, port),
        overpower_delay=Seconds(_pick("overpower_s", default.overpower_delay, site, port)),
        overpower_instant_factor=_pick("overpower_instant_factor", default.overpower_instant_factor, site, port),
        stale_after=Seconds(_pick("meter_stale_s", default.stale_after, site, port)),
        recover_within=Seconds(_pick("recover_s", default.recover_within, site, port)),
        weld_current=Amps(_pick("weld_current_a", default.weld_current, site, port)),
    )


def _charge_end(site: ChargeEndSection, port: ChargeEndSection) -> ChargeEnd:
    default = ChargeEnd()
    return ChargeEnd(
        full_below=Watts(_pick("full_below_w", default.full_below, site, port)),
        full_after=Seconds(_pick("full_after_s", default.full_after, site, port)),
        unplugged_below=Watts(_pick("unplugged_below_w", default.unplugged_below, site, port)),
        unplugged_after=Seconds(_pick("unplugged_after_s", default.unplugged_after, site, port)),
        no_load_below=Watts(_pick("no_load_below_w", default.no_load_below, site, port)),
        no_load_after=Seconds(_pick("no_load_after_s", default.no_load_after, site, port)),
        float_for=Seconds(_pick("float_s", default.float_for, site, port)),
    )


def _inputs(document: Document, boards: Mapping[BoardId, Board], work: _Work) -> None:
    for name, section in document.inputs.items():
        _channel(("inputs", name, "input"), section.input, "input", boards, work)
        if section.circuit not in document.circuits:
            work.unknown(("inputs", name, "circuit"), "circuit", section.circuit, document.circuits)


def _not_yet(document: Document, work: _Work) -> None:
    """Note what the file asks for and this release does not do: silence about it would be dangerous."""
    hint = "this release does not act on it; do not rely on it"
    for name in document.inputs:
        work.notes.append(
            work.source.problem(("inputs", name), f"input {name} is not watched yet", hint, key=True)
        )
    for name, section in document.circuits.items():
        for key, label in (("contactor", "contactor"), ("meter", "feeder meter")):
            if getattr(section, key) is not None:
                what = f"the {label} of circuit {name} is not used yet"
                work.notes.append(work.source.problem(("circuits", name, key), what, hint))
        if section.rating_a is not None or section.power_w is not None:
            what = f"the rating of circuit {name} is not enforced yet"
            work.notes.append(work.source.problem(("circuits", name), what, hint, key=True))
