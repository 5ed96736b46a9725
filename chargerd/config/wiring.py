"""Checks buses, boards and the tree of circuits, and resolves what refers to them."""

import re
from collections.abc import Mapping
from typing import Literal

from chargerd.config.document import BoardSection, BusSection, CircuitSection, Document
from chargerd.config.plans import LEASE, feeder_plan, lease_fits, relay_plan
from chargerd.config.profiles.models import Profile
from chargerd.config.site import Board, Channel
from chargerd.config.source import Path
from chargerd.config.work import Work
from chargerd.core.plan import CircuitPlan, FeederPlan, Phase, RelayPlan
from chargerd.core.units import Amps, BoardId, CircuitId, Watts

HIGHEST_ADDRESS = 247
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)

TIMES = ("timeout_ms", "turnaround_ms", "pre_silence_ms")
"""What may be given in place of a profile's timing."""


def check_buses(document: Document, work: Work) -> None:
    """Refuse two buses on one line."""
    first: dict[str, str] = {}
    for name, bus in document.buses.items():
        other = first.setdefault(bus.place, name)
        if other != name:
            what = f"bus {name} uses {bus.place}, and so does bus {other}"
            work.wrong(("buses", name), what, "describe each line once", key=True)


def resolve_boards(document: Document, work: Work) -> dict[BoardId, Board]:
    """Return the boards that are described well."""
    boards: dict[BoardId, Board] = {}
    addresses: dict[tuple[str, int], str] = {}
    rates = _rates(document, work)
    for text, section in document.boards.items():
        path: Path = ("boards", text)
        names = work.spelled(path, text, key=True)
        if not names:
            work.breaks("board", "")
        profile = _profile(section, document, path, rates, work)
        if profile is not None:
            profile = _timed(profile, section, document.buses.get(section.bus), path, work)
        for name, address in _addressed(names, section.address, path, work):
            if name in boards:
                work.wrong(path, f"board {name} is described twice", "give each board a name of its own", key=True)
                continue
            taken = addresses.setdefault((section.bus, address), name)
            if taken != name:
                what = f"{name} has address {address} on bus {section.bus}, and so has {taken}"
                hint = "give one of them another address: both would answer at once, and neither be heard"
                work.wrong((*path, "address"), what, hint)
            if profile is None:
                work.breaks("board", name)
                continue
            boards[BoardId(name)] = Board(
                id=BoardId(name),
                bus=section.bus,
                address=address,
                profile=profile,
                lease=section.lease,
                timed=profile is not work.profiles[section.profile],
            )
    return boards


def _addressed(names: tuple[str, ...], text: str, path: Path, work: Work) -> list[tuple[str, int]]:
    """Return the boards of a section with their addresses; those without a valid one are broken."""
    addresses = work.spelled((*path, "address"), text, len(names)) if names else ()
    found = []
    for index, name in enumerate(names):
        number = addresses[index] if addresses else ""
        if _NUMBER.fullmatch(number) and 1 <= int(number) <= HIGHEST_ADDRESS:
            found.append((name, int(number)))
            continue
        work.breaks("board", name)
        if addresses:
            hint = f"give a number from 1 to {HIGHEST_ADDRESS}"
            work.wrong((*path, "address"), f"{number} is no Modbus address", hint)
    return found


def _rates(document: Document, work: Work) -> dict[str, list[int]]:
    """Return the rates that all boards of each bus can be set to."""
    rates: dict[str, set[int]] = {}
    for section in document.boards.values():
        profile = work.profiles.get(section.profile)
        if profile is not None:
            known = set(profile.line.baudrates)
            rates[section.bus] = rates.get(section.bus, known) & known
    return {bus: sorted(found) for bus, found in rates.items()}


def _profile(
    section: BoardSection, document: Document, path: Path, rates: Mapping[str, list[int]], work: Work
) -> Profile | None:
    """Return the profile if it is known and fits the bus."""
    profile = work.profiles.get(section.profile)
    bus = document.buses.get(section.bus)
    if bus is None:
        work.unknown((*path, "bus"), "bus", section.bus, document.buses)
    if profile is None:
        work.unknown((*path, "profile"), "profile", section.profile, work.profiles)
        return None
    if bus is not None and bus.tcp is None and bus.baudrate not in profile.line.baudrates:
        what = f"{profile.name} cannot speak the {bus.baudrate} Bd of bus {section.bus}"
        known = ", ".join(map(str, rates[section.bus]))
        own = ", ".join(map(str, profile.line.baudrates))
        hint = f"set the bus to a rate all its boards can: {known}"
        if not known:
            hint = f"it can {own}, and other boards of the bus cannot: put it on a bus of its own"
        work.wrong((*path, "bus"), what, hint)
    if not lease_fits(profile):
        what = f"{profile.name} cannot close for exactly {LEASE:g} s"
        timed = profile.relay is None or profile.relay.heartbeat is None
        hint = f"correct {'timed_on' if timed else 'heartbeat'} in the profile, or set its dead_man to none"
        work.wrong((*path, "profile"), what, hint)
    return profile


def _timed(profile: Profile, board: BoardSection, bus: BusSection | None, path: Path, work: Work) -> Profile:
    """Return a profile with the times that are given: the board's own, else at least those of its bus."""
    times: dict[str, float] = {}
    for key in TIMES:
        own, least = getattr(board, key), getattr(bus, key, None)
        if own is not None:
            times[key] = own
        elif least is not None:
            times[key] = max(least, getattr(profile.timing, key))
    if not times:
        return profile
    timing = profile.timing.with_(**times)
    if timing.turnaround_ms >= timing.timeout_ms:
        what = f"timeout_ms of {timing.timeout_ms:g} is over before the answer usually begins, after"
        hint = "raise timeout_ms to twice turnaround_ms or leave it out"
        said = [(*path, key) for key in TIMES[:2] if getattr(board, key) is not None]
        place: Path = said[0] if said else ("buses", board.bus)
        work.wrong(place, f"{what} {timing.turnaround_ms:g}", hint, key=not said)
    return profile.model_copy(update={"timing": timing})


def resolve_circuits(document: Document, boards: Mapping[BoardId, Board], work: Work) -> tuple[CircuitPlan, ...]:
    """Return the tree of circuits; notes cycles and references that do not hold."""
    return tuple(_circuit(name, section, document, boards, work) for name, section in document.circuits.items())


def _circuit(
    name: str, section: CircuitSection, document: Document, boards: Mapping[BoardId, Board], work: Work
) -> CircuitPlan:
    path: Path = ("circuits", name)
    contactor: RelayPlan | None = None
    meter: FeederPlan | None = None
    if section.parent is not None:
        _check_parent(name, section, document, work)
    if section.contactor is not None:
        channel = resolve_channel((*path, "contactor"), section.contactor, "relay", boards, work)
        contactor = None if channel is None else relay_plan(channel, boards[channel.board])
    if section.meter is not None:
        board = _feeder((*path, "meter"), section.meter, boards, work)
        meter = None if board is None else feeder_plan(board)
    return CircuitPlan(
        id=CircuitId(name),
        parent=CircuitId(section.parent) if section.parent is not None else None,
        rating=Amps(section.rating_a) if section.rating_a is not None else None,
        power=Watts(section.power_w) if section.power_w is not None else None,
        phases=section.phases,
        phase=section.phase,
        meter=meter,
        contactor=contactor,
    )


def _check_parent(name: str, section: CircuitSection, document: Document, work: Work) -> None:
    path: Path = ("circuits", name, "parent")
    assert section.parent is not None
    parent = document.circuits.get(section.parent)
    if parent is None:
        work.unknown(path, "circuit", section.parent, document.circuits)
    elif _in_cycle(name, document):
        work.wrong(path, f"circuit {name} feeds itself", "the tree needs a root: leave out one circuit's parent")
    else:
        check_phase(("circuits", name, "phase"), f"circuit {name}", section.phase, section.parent, parent, work)


def check_phase(path: Path, who: str, phase: Phase, above: str, circuit: CircuitSection, work: Work) -> None:
    """Refuse a phase other than that of the circuit above."""
    if Phase.ALL not in {phase, circuit.phase} and phase is not circuit.phase:
        what = f"{who} is on {phase.value}, and its circuit {above} on {circuit.phase.value}"
        work.wrong(path, what, "state the phase it really hangs on, once")


def _in_cycle(name: str, document: Document) -> bool:
    seen: set[str] = set()
    parent = document.circuits[name].parent
    while parent is not None and parent in document.circuits and parent not in seen:
        if parent == name:
            return True
        seen.add(parent)
        parent = document.circuits[parent].parent
    return False


def _feeder(path: Path, text: str, boards: Mapping[BoardId, Board], work: Work) -> Board | None:
    """Return a circuit's meter: a whole board, since each phase may have a channel of its own."""
    board = _board(path, text, boards, work)
    if board is not None and board.profile.meter is None:
        work.wrong(path, f"{text} ({board.profile.name}) has no meter", "name a board that has")
        return None
    return board


def _board(path: Path, name: str, boards: Mapping[BoardId, Board], work: Work) -> Board | None:
    board = boards.get(BoardId(name))
    if board is None:
        work.unknown(path, "board", name, boards)
    return board


def resolve_channel(
    path: Path,
    text: str,
    kind: Literal["relay", "meter", "input", "thermometer"],
    boards: Mapping[BoardId, Board],
    work: Work,
) -> Channel | None:
    """Return the channel of a board that `text` means, or nothing if it is wrong (and noted)."""
    name, slash, number = text.partition("/")
    board = _board(path, name, boards, work)
    if board is None:
        return None
    section = {
        "relay": board.profile.relay,
        "meter": board.profile.meter,
        "input": board.profile.inputs,
        "thermometer": board.profile.thermometers,
    }[kind]
    if section is None:
        work.wrong(path, f"{name} ({board.profile.name}) has no {kind}", "name a board that has")
        return None
    if not slash and section.channels > 1:
        work.wrong(path, f"{name} has {section.channels} channels", f"say which, such as {name}/1")
        return None
    channel = int(number) if _NUMBER.fullmatch(number) else 0 if slash else 1
    if not 1 <= channel <= section.channels:
        what = f"{text} does not exist: {board.profile.name} has channels 1 to {section.channels}"
        work.wrong(path, what, "count channels as printed on the board")
        return None
    return Channel(board=board.id, channel=channel)
