"""What a correct file switches off, or leaves without a second line of defence: silence about it is dangerous."""

from collections.abc import Mapping, Sequence

from chargerd.config.adapters import by_path, goes_by_order
from chargerd.config.document import CircuitSection, Document
from chargerd.config.plans import is_leased
from chargerd.config.site import Board, PortWiring
from chargerd.config.source import Path
from chargerd.config.work import Work
from chargerd.core.plan import LEASES, DeadMan, Phase
from chargerd.core.units import BoardId

OF_SERIAL_LINES = ("baudrate", "parity", "stopbits", "echo", "pre_silence_ms")


def note_all(document: Document, boards: Mapping[BoardId, Board], ports: Sequence[PortWiring], work: Work) -> None:
    """Note everything an installer must know of a file without mistakes."""
    _circuits(document, ports, work)
    _dead_man(document, boards, ports, work)
    _phases(document, work)
    _alike(document, boards, work)
    _metrics(document, work)


def note_lines(document: Document, work: Work) -> None:
    """Note what an installer must know of the lines, whatever mistakes there are elsewhere in the file."""
    _adapters(document, work)
    _lines(document, work)


def _alike(document: Document, boards: Mapping[BoardId, Board], work: Work) -> None:
    """Note lines that nobody can tell from another one: the same addresses, and no serial number on either."""
    seen: dict[frozenset[int], str] = {}
    for name in document.buses:
        mine = [board for board in boards.values() if board.bus == name]
        unique = any(one.unique for board in mine for one in board.profile.identity)
        if not mine or unique:
            continue
        other = seen.setdefault(frozenset(board.address for board in mine), name)
        if other != name:
            what = f"lines {other} and {name} have boards at the same addresses, and none tells a serial number"
            hint = "give the boards of one other addresses: exchanged lines would exchange the sockets unnoticed"
            work.note(("buses", name), what, hint, key=True)


def _lines(document: Document, work: Work) -> None:
    """Note what is said of a line that has none of it: Modbus TCP is bytes on a network."""
    for name, section in document.buses.items():
        said = [key for key in OF_SERIAL_LINES if ("buses", name, key) in work.source.values]
        if section.tcp is not None and said:
            what = f"nobody acts on {', '.join(said)} of bus {name}: Modbus TCP has no serial line"
            hint = "leave it out, or write rtu_over_tcp instead of tcp if a serial server passes RTU frames on"
            work.note(("buses", name, said[0]), what, hint, key=True)


def _metrics(document: Document, work: Work) -> None:
    """Note that figures can be read from elsewhere: in plain text, and nobody is asked who he is."""
    if (
        document.metrics is None
        or document.metrics.address.startswith("127.")
        or document.metrics.address == "::1"
    ):
        return
    what = f"whoever reaches {document.metrics.address} can read this gateway's metrics, without a password"
    hint = "let a firewall or a tunnel see to who does, or leave address out and scrape on this machine"
    work.note(("metrics", "address"), what, hint)


def _adapters(document: Document, work: Work) -> None:
    for name, section in document.buses.items():
        if section.serial is None or not goes_by_order(section.serial):
            continue
        device = section.serial
        what = f"{device} is whichever adapter is found first: two that swap names swap the sockets behind them"
        stable = by_path(device)
        hint = "write its name in /dev/serial/by-path" if stable is None else f"write {stable}"
        work.note(("buses", name, "serial"), what, hint)


def _phases(document: Document, work: Work) -> None:
    for index, section in zip(work.ports, document.ports, strict=True):
        circuit = document.circuits.get(section.circuit)  # None: named as a mistake already.
        if circuit is None:
            continue
        if section.phase is Phase.ALL and circuit.phase is Phase.ALL and circuit.phases > 1:
            phases = f"the {circuit.phases} phases of circuit {section.circuit}"
            what = f"nobody says on which of {phases} {section.id} hangs"
            hint = "give its phase: else it counts on each of them, and no other meter can tell its voltage"
            work.note(("ports", index), what, hint)


def _circuits(document: Document, ports: Sequence[PortWiring], work: Work) -> None:
    for name, section in document.circuits.items():
        if section.contactor is not None:
            _contactor(document, name, section, ports, work)


def _contactor(
    document: Document, name: str, section: CircuitSection, ports: Sequence[PortWiring], work: Work
) -> None:
    assert section.contactor is not None
    path: Path = ("circuits", name, "contactor")
    board = section.contactor.partition("/")[0]
    backed = [port.id for port in ports if port.relay.board == board and name in _above(port.circuit, document)]
    if backed:
        what = f"the contactor of circuit {name} sits on {board}, as do relays it backs up, such as {backed[0]}'s"
        work.note(path, what, "move it to a board of its own: one that fails takes both along")


def _above(circuit: str, document: Document) -> list[str]:
    """Return a circuit and those that feed it. The tree has no cycle."""
    found = [circuit]
    while (parent := document.circuits[found[-1]].parent) is not None:
        found.append(parent)
    return found


def _dead_man(
    document: Document, boards: Mapping[BoardId, Board], ports: Sequence[PortWiring], work: Work
) -> None:
    used = {port.relay.board for port in ports}
    without = [board for name, board in boards.items() if name in used and not _opens_by_itself(board)]
    for board in without:
        text, path = _section_of(board, document, work)
        relay = board.profile.relay
        assert relay is not None
        what = f"{board.id} closes its relays without a time limit: a gateway that dies leaves them closed"
        hint = "rely on a contactor or a time switch behind it"
        if relay.dead_man in LEASES:
            path, hint = (*path, "lease"), "leave lease: off out unless this board is known to need it"
        work.note(path, what, hint, key=path[-1] == text)


def _opens_by_itself(board: Board) -> bool:
    """Say whether the board's relays open without the gateway: by a lease, or by a poll timeout it is given."""
    relay = board.profile.relay
    return is_leased(board) or (relay is not None and relay.dead_man is DeadMan.POLL_TIMEOUT)


def _section_of(board: Board, document: Document, work: Work) -> tuple[str, Path]:
    text = next(text for text in document.boards if board.id in work.spelled(("boards", text), text, key=True))
    return text, ("boards", text)
