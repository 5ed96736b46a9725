"""What is probably wrong with a line and its boards, deduced from how they do. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from chargerd.core.units import BoardId, Seconds
from chargerd.modbus.health import NOISY, BoardStatistics, LateStatistics
from chargerd.modbus.lines import Trouble

PARTLY = 0.05
"""A share of unanswered requests that a sound board on a sound line does not have."""
NEWS_FOR = Seconds(600.0)
"""How long a stranger's answer is told of."""


class Cause(StrEnum):
    """What is probably wrong."""

    NO_LINE = "no_line"
    """The adapter is gone, or the other end is not reached."""
    NO_PERMISSION = "no_permission"
    """The system does not let chargerd open the device."""
    LINE_IN_USE = "line_in_use"
    """Another program has the device open."""
    REFUSED = "refused"
    """Nothing listens at the other end, or it takes no further client."""
    NOT_MODBUS_TCP = "not_modbus_tcp"
    """The other end answers in something else: it passes RTU frames on."""
    HUNG_UP = "hung_up"
    """The other end closes the connection again and again."""
    NETWORK_SILENT = "network_silent"
    """Nothing at the other end of a connection answers: what it speaks, its line, or the boards' supply."""
    BUS_SILENT = "bus_silent"
    """Every board is silent: adapter, cable, or the boards' supply."""
    BOARD_SILENT = "board_silent"
    """One board is silent while others answer: that board, its address, or its plug."""
    PARTLY_SILENT = "partly_silent"
    """A board answers most of the time: it may want more silence before a request, or a longer timeout."""
    WANTS_SILENCE = "wants_silence"
    """A board is heard much better after a longer silence."""
    REFUSES = "refuses"
    """A board refuses what it is asked: another model or firmware than its profile's."""
    NOISE = "noise"
    """Several boards' answers are corrupt: termination, biasing, shielding, or a baud rate that is off."""
    BOARD_NOISE = "board_noise"
    """One board's answers are corrupt: its plug, or another board has its address."""
    ECHO = "echo"
    """The adapter hears itself though the configuration says that it does not, or the other way round."""
    FOREIGN = "foreign"
    """Frames come that nobody asked for: a board that answers for another address, or a second master."""
    TAINTED = "tainted"
    """Answers come that could be taken for its own: a second master, or a server that copies all to all."""
    IMPLAUSIBLE = "implausible"
    """A board answers what cannot be true: a wrong profile, or a board that is out of order."""
    LINE_CHANGED = "line_changed"
    """A board tells that it is another one than before: adapters have swapped names, or it was replaced."""
    UNPREPARED = "unprepared"
    """A board has not taken a setting it must have: nothing is known of its dead-man, nor of its inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is probably wrong, with the boards that show it and, for noise, the corrupt share.

    `silence` is what a board should be given before a request, `why` the system's own reason.
    """

    cause: Cause
    boards: tuple[BoardId, ...] = ()
    share: float | None = None
    silence: Seconds | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BusStatistics:
    """A bus and its boards."""

    bus: str
    connected: bool
    transactions: int
    boards: tuple[BoardStatistics, ...]
    late: tuple[LateStatistics, ...]
    findings: tuple[Finding, ...]
    hears_itself: bool | None = None
    """Whether the adapter hears what it sends; `None` while that is not known."""
    why: str | None = None
    """The system's own reason why the line is not there."""
    busy: Seconds = Seconds(0.0)
    """How long its boards have been asked and waited for."""


TROUBLES = {
    Trouble.ABSENT: Cause.NO_LINE,
    Trouble.NO_PERMISSION: Cause.NO_PERMISSION,
    Trouble.IN_USE: Cause.LINE_IN_USE,
    Trouble.REFUSED: Cause.REFUSED,
    Trouble.NOT_MODBUS_TCP: Cause.NOT_MODBUS_TCP,
    Trouble.HUNG_UP: Cause.HUNG_UP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LineState:
    """How the line itself does. `trouble` and `why` are what made it go last, as long as that is news."""

    connected: bool
    network: bool = False
    """Whether it goes over a network."""
    trouble: Trouble | None = None
    why: str | None = None
    echo: bool | None = None
    """Whether a write is reckoned to be answered by the adapter first."""
    heard: bool | None = None
    """Whether the adapter hears what it sends."""


def diagnose(boards: Sequence[BoardStatistics], line: LineState) -> tuple[Finding, ...]:
    """Return what is probably wrong, deduced from which boards are silent or corrupt. Empty if all is well."""
    if not line.connected:
        return (Finding(cause=TROUBLES[line.trouble or Trouble.ABSENT], why=line.why),)
    noisy = tuple(one for one in boards if one.noise >= NOISY)
    silent = _silent(boards, noisy, line)
    return (*_of_line(line), *silent, *_partly(boards), *_noise(noisy), *_strange(boards))


def _of_line(line: LineState) -> list[Finding]:
    """Return what is wrong with a line that is there: it comes and goes, or is not what the configuration says."""
    found = [] if line.trouble is None else [Finding(cause=TROUBLES[line.trouble], why=line.why)]
    if line.heard is not None and line.echo is not line.heard:
        found.append(Finding(cause=Cause.ECHO))
    return found


def _silent(boards: Sequence[BoardStatistics], noisy: Sequence[BoardStatistics], line: LineState) -> list[Finding]:
    lost = [one for one in boards if one.lost]
    if lost and len(lost) == len(boards) and (len(boards) > 1 or line.network):
        cause = Cause.NETWORK_SILENT if line.network else Cause.BUS_SILENT
        return [Finding(cause=cause, boards=tuple(one.board for one in lost))]
    return [Finding(cause=Cause.BOARD_SILENT, boards=(one.board,)) for one in lost if one not in noisy]


def _partly(boards: Sequence[BoardStatistics]) -> list[Finding]:
    """Return the boards that answer, and not always: what would help is said where it is known."""
    found = []
    for one in boards:
        if one.silence_wanted is not None:
            found.append(Finding(cause=Cause.WANTS_SILENCE, boards=(one.board,), silence=one.silence_wanted))
        elif one.silent >= PARTLY and not one.lost:
            found.append(Finding(cause=Cause.PARTLY_SILENT, boards=(one.board,), share=one.silent))
        if one.refused >= NOISY:
            found.append(Finding(cause=Cause.REFUSES, boards=(one.board,), share=one.refused))
    return found


def _strange(boards: Sequence[BoardStatistics]) -> list[Finding]:
    """Return what sound frames give away: those of strangers, and those that cannot be true."""
    tainted = [one.board for one in boards if one.tainted_age is not None and one.tainted_age < NEWS_FOR]
    found = [Finding(cause=Cause.TAINTED, boards=tuple(tainted))] if tainted else []
    shares = [(Cause.FOREIGN, one.foreign, one) for one in boards]
    shares += [(Cause.IMPLAUSIBLE, one.untrue, one) for one in boards]
    return found + [
        Finding(cause=cause, boards=(one.board,), share=share) for cause, share, one in shares if share >= NOISY
    ]


def _noise(noisy: Sequence[BoardStatistics]) -> list[Finding]:
    if not noisy:
        return []
    cause = Cause.NOISE if len(noisy) > 1 else Cause.BOARD_NOISE
    share = sum(one.noise for one in noisy) / len(noisy)
    return [Finding(cause=cause, boards=tuple(one.board for one in noisy), share=share)]
