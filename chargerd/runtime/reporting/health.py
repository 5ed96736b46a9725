"""How boards, buses and the gateway itself are doing, told to the backend: `state/board` and `up/health`."""

import os
import shutil
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from chargerd.config.site import Board
from chargerd.contract import bodies
from chargerd.contract.ledger import Body, LedgerSpan
from chargerd.contract.payloads import BoardHealth, BoardStateBody, BusHealthBody, HealthBody
from chargerd.core.clock import Clock
from chargerd.core.units import BoardId, Seconds
from chargerd.core.view import PortView
from chargerd.runtime.reporting.watcher import Every

HEALTH_EVERY = Seconds(60.0)
TEMPERATURE = Path("/sys/class/thermal/thermal_zone0/temp")
"""Of a Raspberry Pi's processor, in thousandths of a degree."""


class Tally(Protocol):
    """What a bus has seen since the start."""

    transactions: int
    timeouts: int
    corrupt: int
    exceptions: int
    foreign_bytes: int


class Watched(Protocol):
    """What is looked at of a bus."""

    name: str

    @property
    def connected(self) -> bool:
        """Whether its line is there."""

    @property
    def counters(self) -> Tally:
        """What it has seen since the start."""

    def lost_boards(self) -> tuple[BoardId, ...]:
        """Return the boards that do not answer."""

    def unheard_boards(self) -> tuple[BoardId, ...]:
        """Return the boards that have never answered since the process began, and are not lost yet."""

    def unprepared_boards(self) -> tuple[BoardId, ...]:
        """Return the boards that are not known to have the settings their dead-man needs."""


class LinkForHealth(Protocol):
    """Where it is told."""

    def board_state(self, board: str, body: Body) -> None:
        """Publish a board's state if it has changed."""

    def publish_health(self, body: Body) -> None:
        """Publish the gateway's health."""


class HealthReporter:
    """A listener of the onlooker: boards whenever they change, the gateway's health once a minute."""

    def __init__(
        self,
        *,
        link: LinkForHealth,
        boards: Mapping[BoardId, Board],
        buses: Sequence[Watched],
        folder: Path,
        span: Callable[[], LedgerSpan],
        clock: Clock,
        proved: Callable[[], Container[BoardId]] = frozenset,
    ) -> None:
        """`proved`: the boards whose dead-man a wiring proof has tested, and found working."""
        self._proved = proved
        self._link = link
        self._boards = boards
        self._buses = buses
        self._folder = folder
        self._span = span
        self._due = Every(HEALTH_EVERY, clock)
        self._told: dict[BoardId, BoardStateBody] = {}

    def looked(self, _views: Sequence[PortView], _changed: frozenset[object]) -> None:
        """Tell what has changed, and the health if its time has come."""
        for bus in self._buses:
            lost, unprepared = frozenset(bus.lost_boards()), frozenset(bus.unprepared_boards())
            unheard = frozenset(bus.unheard_boards())
            for board in self._boards.values():
                if board.bus == bus.name:
                    prepared = board.id not in unprepared
                    known = bus.connected and board.id not in unheard
                    proved = board.id in self._proved()
                    self._tell(board_state(board, lost, known=known, prepared=prepared, proved=proved))
        if self._due.passed():
            self._link.publish_health(bodies.plain(self.health()))

    def _tell(self, body: BoardStateBody) -> None:
        board = BoardId(body.board)
        if self._told.get(board) != body:
            self._told[board] = body
            self._link.board_state(body.board, bodies.plain(body))

    def health(self) -> HealthBody:
        """Return the gateway's health; what this machine does not tell is `None`."""
        span = self._span()
        return HealthBody(
            load=round(os.getloadavg()[0], 2),
            temperature_c=processor_temperature(),
            memory_free_bytes=os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            disk_free_bytes=_unless_lost(lambda: shutil.disk_usage(self._folder).free),
            journal_bytes=_unless_lost(lambda: (self._folder / "journal.db").stat().st_size),
            ledger_waiting=max(0, span.last - span.acked),
            buses=tuple(_bus(bus) for bus in self._buses),
        )


def board_state(
    board: Board, lost: frozenset[BoardId], *, known: bool, prepared: bool = True, proved: bool = False
) -> BoardStateBody:
    """Return `state/board`. `proved`: its dead-man was tested at its load, and has opened by itself."""
    relay = board.profile.relay
    dead_man = None if relay is None else relay.dead_man.value if board.lease and prepared else "none"
    health = BoardHealth.LOST if board.id in lost else BoardHealth.GOOD if known else BoardHealth.UNKNOWN
    return BoardStateBody(
        board=board.id,
        bus=board.bus,
        address=board.address,
        profile=board.profile.name,
        firmware=None,
        health=health,
        dead_man=dead_man,
        dead_man_proved=None if relay is None else proved and prepared,
    )


def _bus(bus: Watched) -> BusHealthBody:
    counters = bus.counters
    return BusHealthBody(
        bus=bus.name,
        connected=bus.connected,
        transactions=counters.transactions,
        timeouts=counters.timeouts,
        corrupt=counters.corrupt,
        exceptions=counters.exceptions,
        foreign_bytes=counters.foreign_bytes,
        boards_lost=tuple(bus.lost_boards()),
    )


def _unless_lost(look: Callable[[], int]) -> int | None:
    """Return what a look at the disk tells; a disk that is broken or gone must not end who looks."""
    try:
        return look()
    except OSError:
        return None


def processor_temperature() -> float | None:
    """Return the processor's temperature in degrees Celsius; `None` where this machine does not tell."""
    try:
        return int(TEMPERATURE.read_text(encoding="ascii")) / 1000
    except (OSError, ValueError):
        return None
