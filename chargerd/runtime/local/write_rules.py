"""What must not be written to a board by hand. Pure.

A register that nobody here knows may be anything: one that moves all relays, or that scales what is measured. So
nothing at all is written to a board of a port in use. Of what the profile knows, relays of ports that are held
open stay open, no relay is closed without its dead-man, and what makes a board open by itself is never changed.
Where relays are switched, what the profile does not name stays untouched: boards have a coil or a register that
closes or toggles all of them (Waveshare: 0x00FF and 0x01FF), past every rule for a single one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from chargerd.config.profiles.models import RelaySection
from chargerd.config.rows import HIGHEST
from chargerd.config.site import Board, Site
from chargerd.core.plan import DeadMan
from chargerd.core.units import BoardId, CircuitId, PortId
from chargerd.core.view import PortState, PortView
from chargerd.modbus.frames import WRITE_COIL

COILS, REGISTERS = "coil", "register"


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """What is to be written: to coils with function 5, to registers with 6 and 16."""

    function: int
    address: int
    values: tuple[int, ...]

    @property
    def space(self) -> str:
        """Coils and registers are counted apart."""
        return COILS if self.function == WRITE_COIL else REGISTERS

    def meets(self, first: int, count: int) -> range:
        """Return which of `count` addresses from `first` on it writes to."""
        return range(max(first, self.address), min(first + count, self.address + len(self.values)))


def refusal(site: Site, board: Board | None, write: Write, views: Mapping[PortId, PortView]) -> str | None:
    """Return why this must not be written to a board; `None` if it may. What no board of the site has, may be."""
    if board is None:
        return None
    used = _in_use(site, board.id, views)
    if used is not None:
        what = (
            f"{used.id} is {used.state.value}"
            if used.relay_closed is not None
            else f"{used.id}'s relay is not read"
        )
        return f"{board.id} serves {used.id}, and {what}: nothing is written to a board of a port in use"
    relay = board.profile.relay
    if relay is None:
        return None
    return (
        _of_dead_man(board, relay, write)
        or _of_relays(site, board, relay, write, views)
        or _of_the_unnamed(site, board, relay, write)
    )


def _in_use(site: Site, board: BoardId, views: Mapping[PortId, PortView]) -> PortView | None:
    """Return a port of the board that has a session, or whose relay is not read back open."""
    served = (views[port] for port in served_by(site, board))
    return next((view for view in served if view.session is not None or view.relay_closed is not False), None)


def served_by(site: Site, board: BoardId) -> Iterator[PortId]:
    """Yield the ports that a board switches, measures or watches, itself or for a circuit above them."""
    circuits = {
        circuit.id
        for circuit in site.plan.circuits
        if board in {part.board for part in (circuit.meter, circuit.contactor) if part is not None}
    }
    circuits |= {plan.circuit for plan in site.plan.inputs if plan.board == board}
    for port in site.ports:
        own = {channel.board for channel in (port.relay, port.meter, port.temperature) if channel is not None}
        if board in own or circuits & above(site, port.circuit):
            yield port.id


def above(site: Site, circuit: CircuitId) -> set[CircuitId]:
    """Return a circuit and all that feed it."""
    parents = {one.id: one.parent for one in site.plan.circuits}
    found: set[CircuitId] = set()
    name: CircuitId | None = circuit
    while name is not None:
        found.add(name)
        name = parents[name]
    return found


def _of_dead_man(board: Board, relay: RelaySection, write: Write) -> str | None:
    for setting in relay.prepare:
        space = COILS if setting.write == WRITE_COIL else REGISTERS
        if space == write.space and write.meets(setting.address, setting.count):
            return f"{setting.name!r} of {board.id} is set and kept by the daemon: its dead-man rests on it"
    beat = relay.heartbeat
    if beat is not None:
        space = COILS if beat.write == WRITE_COIL else REGISTERS
        if space == write.space and write.meets(beat.address, 1):
            return f"the heartbeat of {board.id} is written by the daemon alone: it keeps its relays closed"
    return None


def _of_relays(
    site: Site, board: Board, relay: RelaySection, write: Write, views: Mapping[PortId, PortView]
) -> str | None:
    if set(write.values) & set(relay.deceptive_values):
        return f"{board.id} takes that for an opening, and does not open while a timer runs"
    owners = _owners(site, board.id)
    for channel, timed in _channels(relay, write):
        owner = owners.get(channel)
        view = None if owner is None else views.get(PortId(owner))
        if owner is not None and view is None:
            return f"relay {channel} of {board.id} is the contactor of {owner}: it is switched by the daemon only"
        if view is not None and view.state is not PortState.AVAILABLE:
            return f"relay {channel} of {board.id} is {view.id}'s, which is {view.state.value} and stays open"
        closes = any(value != relay.open_value for value in write.values)
        if view is not None and closes and not timed and relay.dead_man is not DeadMan.NONE:
            return f"that would close the relay of {view.id} without its dead-man"
    return None


def _of_the_unnamed(site: Site, board: Board, relay: RelaySection, write: Write) -> str | None:
    """Refuse what may move all relays at once, if any is wired: an address beside them that no profile names."""
    switched = COILS if relay.write == WRITE_COIL else REGISTERS
    if write.space != switched or not _owners(site, board.id):
        return None
    named = {address for _, first, _ in _places(relay, write) for address in write.meets(first, relay.channels)}
    unnamed = next((address for address in write.meets(0, HIGHEST + 1) if address not in named), None)
    if unnamed is None:
        return None
    return f"{board.id} switches relays by {switched}s, and nobody knows which {switched} {unnamed:#06x} moves"


def _owners(site: Site, board: BoardId) -> dict[int, str]:
    """Return whose each wired relay of a board is: a port's, or a circuit's contactor."""
    owners = {port.relay.channel: str(port.id) for port in site.ports if port.relay.board == board}
    for circuit in site.plan.circuits:
        if circuit.contactor is not None and circuit.contactor.board == board:
            owners[circuit.contactor.channel] = str(circuit.id)
    return owners


def _channels(relay: RelaySection, write: Write) -> Iterator[tuple[int, bool]]:
    """Yield the relays, counted from 1, that it writes to, and whether it closes them for a time only."""
    for _, first, timed in _places(relay, write):
        for address in write.meets(first, relay.channels):
            yield address - first + 1, timed


def _places(relay: RelaySection, write: Write) -> Iterator[tuple[int, int, bool]]:
    """Yield where relays are in the space written to: function, first address, whether for a time only."""
    places: Sequence[tuple[int, int, bool]] = (
        (relay.write, relay.first, False),
        *(((relay.write, relay.timed_on.first, True),) if relay.timed_on is not None else ()),
        *(((WRITE_COIL if relay.read_back.function == 1 else 6, relay.read_back.first, False),)),
    )
    for function, first, timed in places:
        if (function == WRITE_COIL) == (write.function == WRITE_COIL):
            yield function, first, timed
