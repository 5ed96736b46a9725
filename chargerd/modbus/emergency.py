"""The first thing and the last resort: open every relay from a list of ready-made requests, and nothing else.

The daemon writes the list at every good start. The next start sends it before it reads its configuration, and
systemd has it sent after the daemon has ended, whatever it died of. It may be older than the configuration: it
names the relays this gateway drove last. Nothing is loaded here that takes time: no models, no YAML, no broker.

All lines are opened at once, each in a thread of its own. On a line all relays are told first, then each board is
read: an opening counts once the board shows it, since what comes back of a write may be the adapter's own. Whether
it is shows in a read, so one goes before the first write.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from chargerd import log
from chargerd.core.clock import Clock
from chargerd.core.faults import FaultKind
from chargerd.core.units import PortId, Seconds, after, between
from chargerd.modbus.connector import connector
from chargerd.modbus.frames import READS_OF_BITS, Request, bits_of, registers_of
from chargerd.modbus.lines import LineGone
from chargerd.modbus.silence import LONGER
from chargerd.modbus.wire import Answered, Counters, Failed, Wire

RELAYS_FILE = "relays.json"
TRIES = 3
SILENT_AFTER = 2
"""Timeouts in a row after which a board's other relays wait for the next try."""
RETRY_AFTER = Seconds(0.5)
"""How long to wait before the next try: a line just given up by its last user may take a moment to be free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """What to read to see whether a relay is open: its place among the values of the answer, from 0."""

    pdu: bytes
    reply_size: int
    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One relay and its board's own cut-off."""

    port: PortId
    unit: int
    pdu: bytes
    timeout: Seconds
    silence: Seconds
    read_back: ReadBack | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a line is reached and driven; see `chargerd.modbus.lines.LineSettings`."""

    serial: str | None
    tcp: str | None
    rtu_over_tcp: str | None
    baudrate: int
    parity: str
    stopbits: int
    echo: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedLine:
    """One line and its relays, those of contactors last."""

    settings: Settings
    relays: tuple[Opening, ...]


def read_list(path: Path) -> tuple[ListedLine, ...]:
    """Return the list of relays. Raises `OSError`; `ValueError` if the file is none."""
    text = path.read_text(encoding="utf-8")
    try:
        return tuple(_line(line) for line in json.loads(text)["lines"] if line["relays"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is no list of relays: {type(error).__name__}: {error}") from error


def _line(line: Mapping[str, Any]) -> ListedLine:
    bus = line["bus"]
    settings = Settings(
        serial=bus["serial"],
        tcp=bus["tcp"],
        rtu_over_tcp=bus["rtu_over_tcp"],
        baudrate=int(bus["baudrate"]),
        parity=str(bus["parity"]),
        stopbits=int(bus["stopbits"]),
        echo=str(bus.get("echo", "auto")),
    )
    return ListedLine(settings=settings, relays=tuple(_opening(relay) for relay in line["relays"]))


def _opening(relay: Mapping[str, Any]) -> Opening:
    # A list of before an update may have neither silence nor read-back: then nothing confirms its openings.
    back = relay.get("read_back")
    return Opening(
        port=PortId(str(relay["port"])),
        unit=int(relay["unit"]),
        pdu=bytes.fromhex(relay["pdu"]),
        timeout=Seconds(float(relay["timeout_s"])),
        silence=Seconds(float(relay.get("silence_s", 0.0))),
        read_back=None if back is None else _read_back(back),
    )


def _read_back(back: Mapping[str, Any]) -> ReadBack:
    return ReadBack(pdu=bytes.fromhex(back["pdu"]), reply_size=int(back["reply_size"]), place=int(back["place"]))


def open_relays(path: Path, clock: Clock, *, in_vain: int = TRIES) -> tuple[PortId, ...]:
    """Open every relay in the list; returns ports whose board did not confirm. Raises `OSError`, `ValueError`.

    `in_vain`: how often a line is tried on which nobody confirms anything.
    """
    openings = Openings(read_list(path), clock, tries=TRIES, in_vain=in_vain)
    openings.start()
    return openings.finish()


class Openings:
    """Opens the relays of some lines, each line in its own thread: a dead one keeps no other waiting."""

    def __init__(
        self,
        lines: Sequence[ListedLine],
        clock: Clock,
        *,
        tries: int | None = None,
        in_vain: int | None = None,
    ) -> None:
        """`tries`: how often what is not confirmed is tried on a line; `None`: until the lines are handed over.

        `in_vain`: the same where nothing at all is confirmed; `None`: as often.
        """
        self._clock = clock
        self._over = threading.Event()
        # Two configurations may describe one line, each in its own way: it can be open once only.
        turns: dict[str, threading.Lock] = {}
        self._lines = [
            _LineOpening(line, clock, (tries, in_vain), self._over, _turn_at(_place(line), turns))
            for line in lines
        ]

    def start(self) -> None:
        """Begin with all lines at once."""
        for line in self._lines:
            line.start()

    def wait(self, within: Seconds) -> bool:
        """Wait until every line has been gone through once, at most so long; say whether it has come to that."""
        deadline = after(self._clock.now(), within)
        return all(line.gone_through.wait(max(0.0, between(self._clock.now(), deadline))) for line in self._lines)

    def finish(self) -> tuple[PortId, ...]:
        """Wait until nothing is to be tried any more; returns the ports whose board did not confirm."""
        for line in self._lines:
            line.join()
        return self._left()

    def hand_over(self, within: Seconds) -> tuple[PortId, ...]:
        """Give up the lines, each after its transaction under way; returns the ports not confirmed by then.

        A line that takes longer than `within` gives itself up later.
        """
        self._over.set()
        deadline = after(self._clock.now(), within)
        for line in self._lines:
            line.join(max(0.0, between(self._clock.now(), deadline)))
        return self._left()

    def _left(self) -> tuple[PortId, ...]:
        return tuple(opening.port for line in self._lines for opening in line.left)


class _LineOpening(threading.Thread):
    """Opens the relays of one line."""

    def __init__(
        self,
        line: ListedLine,
        clock: Clock,
        tries: tuple[int | None, int | None],
        over: threading.Event,
        turn: threading.Lock,
    ) -> None:
        """`tries`: those of `Openings`, in all and in vain.

        `turn` is held while the line is open; others that mean the same line have the same one.
        """
        super().__init__(name="first opening", daemon=True)
        self._turn = turn
        self._connect = connector(line.settings, clock)
        self._place = _place(line)
        self._why = ""
        most, self._in_vain = tries
        self._numbers = count() if most is None else range(most)
        self._all = len(line.relays)
        self._over = over
        self.gone_through = threading.Event()
        self.left: Sequence[Opening] = line.relays

    def run(self) -> None:
        """Try what is left until nothing is."""
        try:
            for number in self._numbers:
                if number and self._over.wait(RETRY_AFTER):
                    return
                if not self._try_in_turn(number):
                    return
                self.gone_through.set()
                if not self.left or self._over.is_set() or self._dead(number + 1):
                    return
        finally:
            self.gone_through.set()  # Whatever ended it, nobody is to wait for it.

    def _dead(self, tried: int) -> bool:
        return self._in_vain is not None and tried >= self._in_vain and len(self.left) == self._all

    def _try_in_turn(self, number: int) -> bool:
        """Try once, after whoever has the line; say whether it is still ours to try."""
        waited = not self._turn.acquire(blocking=False)
        if waited:
            self._turn.acquire()
        try:
            if waited and self._over.is_set():
                return False  # It was given up meanwhile, and belongs to its bus.
            self._try(number)
        finally:
            self._turn.release()
        return True

    def _try(self, number: int) -> None:
        try:
            wire = self._connect(Counters())
        except LineGone as error:
            self._missing(error)
            return
        try:
            self.left = _open_once(wire, _patient(self.left, number), self._over)
        except LineGone as error:
            self._missing(error)
        finally:
            wire.close()

    def _missing(self, error: LineGone) -> None:
        """Say why a line cannot be used, in the system's own words, once for each reason."""
        if str(error) != self._why:
            self._why = str(error)
            log.warning("line_missing", line=self._place, why=self._why)


def _turn_at(place: str, turns: dict[str, threading.Lock]) -> threading.Lock:
    return turns.setdefault(place, threading.Lock())


def _place(line: ListedLine) -> str:
    return line.settings.serial or line.settings.tcp or line.settings.rtu_over_tcp or ""


def _patient(relays: Sequence[Opening], number: int) -> Sequence[Opening]:
    """Return the same relays, to be told after a longer silence at each further try: their board may be deaf."""
    longer = LONGER[min(number, len(LONGER)) - 1] if number else Seconds(0.0)
    return [replace(opening, silence=max(opening.silence, longer)) for opening in relays]


def _open_once(wire: Wire, relays: Sequence[Opening], over: threading.Event) -> list[Opening]:
    """Tell all relays once, then read those back that were told. Returns what is left, the untried first.

    Of a board that is silent no further relays are tried, but those come first the next time: one relay a board
    says nothing to must not keep the others closed. A wrong or refusing answer is no silence, nor is a single lost
    frame.
    """
    failed: list[Opening] = []
    untried: list[Opening] = []
    told: list[Opening] = []
    silences: Counter[int] = Counter()
    if wire.echo is None and relays[0].read_back is not None:
        _closed(wire, relays[0], relays[0].read_back)
    for opening in relays:
        if over.is_set() or silences[opening.unit] >= SILENT_AFTER:
            untried.append(opening)
            continue
        result = _open(wire, opening)
        timed_out = isinstance(result, Failed) and result.kind is FaultKind.TIMEOUT
        silences[opening.unit] = silences[opening.unit] + 1 if timed_out else 0
        (failed if isinstance(result, Failed) else told).append(opening)
    return untried + failed + list(_not_seen_open(wire, told, over))


def _open(wire: Wire, opening: Opening) -> Answered | Failed:
    request = Request(unit=opening.unit, pdu=opening.pdu, reply_size=len(opening.pdu), echo=opening.pdu)
    return wire.transact(request, opening.timeout, silence=opening.silence, urgent=True)


def _not_seen_open(wire: Wire, told: Sequence[Opening], over: threading.Event) -> Iterator[Opening]:
    """Read each board once; yield the relays it does not show open."""
    seen: dict[tuple[int, bytes], Sequence[bool] | None] = {}
    for opening in told:
        back = opening.read_back
        if back is None:
            yield opening
            continue
        board = (opening.unit, back.pdu)
        if board not in seen:
            seen[board] = None if over.is_set() else _closed(wire, opening, back)
        closed = seen[board]
        if closed is None or back.place >= len(closed) or closed[back.place]:
            yield opening


def _closed(wire: Wire, opening: Opening, back: ReadBack) -> Sequence[bool] | None:
    """Return which relays of a board are closed; `None` if it does not say."""
    request = Request(unit=opening.unit, pdu=back.pdu, reply_size=back.reply_size)
    result = wire.transact(request, opening.timeout, silence=opening.silence, urgent=True)
    if isinstance(result, Failed):
        return None
    values = bits_of(result.pdu) if back.pdu[0] in READS_OF_BITS else registers_of(result.pdu)
    return [bool(value) for value in values]
