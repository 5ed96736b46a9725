"""What a scan shows to be wrong with a line, the most likely first, each with its figure. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from chargerd.modbus.scan import Found, Known, Report

STRANGERS = 3
"""Sound frames nobody has asked for: one or two may be answers of our own boards that came late."""
DOUBTFUL = 0.25
"""A share of corrupt answers that a sound board alone at its address does not have."""
NOISY = 0.05
"""The same of a whole line."""
FEW = 3
"""So many addresses where bytes come though nobody is there are no accident, if they are that share of all."""
MOSTLY = 0.9


class ScanCause(StrEnum):
    """What is probably wrong, in the order in which it would explain all else."""

    NOT_ASKED = "not_asked"
    """The scan ended before it was through."""
    ECHO_ONLY = "echo_only"
    """The adapter hears itself, and nobody else."""
    WRONG_RATE = "wrong_rate"
    """Boards answer at another rate than the line is driven with."""
    ALL_AT_ONE = "all_at_one"
    """Several boards answer together at the address they leave the factory with, and at no other."""
    NOISE = "noise"
    """Answers are corrupt wherever they come from, or bytes come where nobody is."""
    NOTHING = "nothing"
    """Not a byte has come."""
    SECOND_MASTER = "second_master"
    """Sound frames come that nobody here has asked for."""
    TWO_AT_ONE = "two_at_one"
    """Two boards answer at one address."""
    BOARD_NOISE = "board_noise"
    """One board's answers are sometimes corrupt, and nobody else's."""
    WRONG_ADDRESS = "wrong_address"
    """A board of the configuration is silent, and one of its kind answers at an address that nobody knows."""
    OTHER_MODEL = "other_model"
    """What answers is not what the configuration says."""
    SILENT = "silent"
    """A board of the configuration does not answer."""
    UNKNOWN = "unknown"
    """A board answers that the configuration does not have."""


CAUSES = tuple(ScanCause)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFinding:
    """One thing that is probably wrong: where, and by what figure it shows."""

    cause: ScanCause
    units: tuple[int, ...] = ()
    boards: tuple[str, ...] = ()
    figure: str = ""


def findings(report: Report, known: Mapping[int, Known]) -> tuple[ScanFinding, ...]:
    """Return what is probably wrong, the most likely cause first; empty if all is as configured."""
    found = [*_of_line(report), *_of_boards(report, known)]
    return tuple(sorted(found, key=lambda one: CAUSES.index(one.cause)))


def _of_line(report: Report) -> Iterator[ScanFinding]:
    here = [one for one in report.found if one.rate is None]
    if report.why_ended is not None:
        yield ScanFinding(cause=ScanCause.NOT_ASKED, figure=report.why_ended)
    elsewhere = [one for one in report.found if one.rate is not None]
    if elsewhere:
        yield ScanFinding(
            cause=ScanCause.WRONG_RATE,
            units=tuple(one.unit for one in elsewhere),
            boards=_names(elsewhere),
            figure=_rates(elsewhere),
        )
    if not here and not elsewhere and not report.noisy and report.questions:
        echoed = report.echoes >= MOSTLY * report.questions
        cause = ScanCause.ECHO_ONLY if echoed else ScanCause.NOTHING
        yield ScanFinding(cause=cause, figure=f"{report.asked} addresses asked, no answer from any")
    if _is_noisy(report, here):
        yield ScanFinding(cause=ScanCause.NOISE, figure=_noise(report, here))
    if report.strangers >= STRANGERS:
        yield ScanFinding(cause=ScanCause.SECOND_MASTER, figure=f"{report.strangers} frames nobody had asked for")


def _of_boards(report: Report, known: Mapping[int, Known]) -> Iterator[ScanFinding]:
    here = [one for one in report.found if one.rate is None]
    noisy = _is_noisy(report, here)
    for one in here:
        if one.tally.twice or (one.tally.corrupt_share >= DOUBTFUL and not noisy):
            yield _together(one, report, known, alone=len(here) == 1)
        elif one.tally.corrupt and not noisy:
            yield ScanFinding(
                cause=ScanCause.BOARD_NOISE, units=(one.unit,), boards=_names([one]), figure=_corrupt(one)
            )
    yield from _exchanged(report, known, here)
    for one in here:
        if one.fits is False and one.tally.answered:
            yield ScanFinding(cause=ScanCause.OTHER_MODEL, units=(one.unit,), boards=_names([one]))


def _together(one: Found, report: Report, known: Mapping[int, Known], *, alone: bool) -> ScanFinding:
    """Return that several boards answer at one address: where new boards all have it, that all of them do."""
    factory = {1, *(known[unit].profile.line.address for unit, _board in report.missing)}
    together = alone and one.unit in factory and (len(report.missing) > 0 or not known)
    came = one.tally.answered + one.tally.corrupt
    figure = f"{one.tally.twice} of {came} questions answered twice" if one.tally.twice else _corrupt(one)
    cause = ScanCause.ALL_AT_ONE if together else ScanCause.TWO_AT_ONE
    return ScanFinding(cause=cause, units=(one.unit,), boards=_names([one]), figure=figure)


def _exchanged(report: Report, known: Mapping[int, Known], here: list[Found]) -> Iterator[ScanFinding]:
    """Yield who is silent and who is unknown; of a kind, they may be the same board at another address."""
    elsewhere = {one.unit for one in report.found if one.rate is not None}
    strange = [one for one in here if one.board is None]
    for unit, board in report.missing:
        if unit in elsewhere:
            continue
        like = next((one for one in strange if _is_like(one, known[unit])), None)
        if like is None:
            yield ScanFinding(cause=ScanCause.SILENT, units=(unit,), boards=(board,))
            continue
        strange.remove(like)
        yield ScanFinding(cause=ScanCause.WRONG_ADDRESS, units=(unit, like.unit), boards=(board,))
    if strange:
        yield ScanFinding(cause=ScanCause.UNKNOWN, units=tuple(one.unit for one in strange))


def _is_like(one: Found, known: Known) -> bool:
    return any(known.profile.name in guess.profiles for guess in one.guesses)


def _is_noisy(report: Report, here: list[Found]) -> bool:
    """Say whether it is the line: several boards are heard badly, or bytes come where nobody is."""
    doubtful = [one for one in here if one.tally.corrupt and not one.tally.twice]
    spread = len(doubtful) > 1 and 2 * len(doubtful) >= len(here) and _share(here) >= NOISY
    return spread or report.noisy >= max(FEW, NOISY * report.asked)


def _share(here: list[Found]) -> float:
    came = sum(one.tally.answered + one.tally.corrupt for one in here)
    return sum(one.tally.corrupt for one in here) / came if came else 0.0


def _noise(report: Report, here: list[Found]) -> str:
    parts = [f"{_share(here):.0%} of the answers are corrupt"] if here else []
    if report.noisy:
        parts.append(f"bytes came at {report.noisy} of {report.asked} addresses where nobody answers")
    return ", ".join(parts)


def _corrupt(one: Found) -> str:
    return f"{one.tally.corrupt} of {one.tally.answered + one.tally.corrupt} answers corrupt"


def _rates(found: list[Found]) -> str:
    told = (f"{one.rate.baudrate} Bd, parity {one.rate.parity}" for one in found if one.rate is not None)
    return "; ".join(dict.fromkeys(told))


def _names(found: list[Found]) -> tuple[str, ...]:
    return tuple(one.board for one in found if one.board is not None)
