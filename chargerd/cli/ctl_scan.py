"""`chargerctl scan`: who is on a line, what it is and why that is believed, and what is wrong with the line.

The daemon slots one question after the other between its own; which ones, and what the answers mean, is decided
here, in a process that keeps no bus waiting.
"""

import json
import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from chargerd.cli.ctl_lines import (
    Connect,
    DefaultSocket,
    Option,
    completing,
    on_terminal,
    paragraph,
    spans,
    width_of_terminal,
)
from chargerd.cli.fields import Fields, clock, entries, words
from chargerd.cli.said import echo, echo_progress
from chargerd.config.profiles.library import load_profiles
from chargerd.config.profiles.models import Profile
from chargerd.config.ranges import RangeError, spell_out
from chargerd.control.client import ControlClient, ControlFailure
from chargerd.core.units import Instant
from chargerd.modbus.manual import Outcome, Rate
from chargerd.modbus.scan import FIRST, LAST, OTHERS, Found, Known, Question, Report, scan
from chargerd.modbus.scan_findings import ScanCause, ScanFinding, findings

WINDOW_MS = 80.0
NETWORK_MS = 250.0
"""Of a serial server: there and back, beside the board."""
CAUSES: Mapping[ScanCause, tuple[str, str]] = {
    ScanCause.NOT_ASKED: ("the scan ended before it was through", "mend that, and scan again"),
    ScanCause.ECHO_ONLY: (
        "the adapter hears itself, and no board answers",
        "look at the line's plug and the boards' supply; exchange A and B",
    ),
    ScanCause.WRONG_RATE: (
        "boards answer at another rate than the configuration says",
        "set baudrate and parity of the bus to that, and restart the daemon",
    ),
    ScanCause.ALL_AT_ONE: (
        "several new boards answer together, at the address they all leave the factory with",
        "connect one at a time, and give each its own address",
    ),
    ScanCause.NOISE: (
        "the line is noisy",
        "end it with 120 ohms at both ends, look at its shield, its ground and loose clamps; try a lower rate",
    ),
    ScanCause.NOTHING: (
        "nothing is heard at all",
        "look at the boards' supply and the adapter's plug; exchange A and B",
    ),
    ScanCause.SECOND_MASTER: (
        "somebody else asks boards on this line",
        "look for a second gateway, a meter's display unit, or another client of the serial server",
    ),
    ScanCause.TWO_AT_ONE: (
        "two boards answer at one address",
        "disconnect one of them, and give the other an address of its own",
    ),
    ScanCause.BOARD_NOISE: (
        "its answers are corrupt now and then, and nobody else's",
        "look at its clamps and its supply; if that changes nothing, another board may have its address",
    ),
    ScanCause.WRONG_ADDRESS: (
        "it is silent at its address, and a board of its kind answers at another one",
        "give the board the address of the configuration, or write the one it has there",
    ),
    ScanCause.OTHER_MODEL: (
        "what answers there is not what the configuration says",
        "compare the board's type with its profile",
    ),
    ScanCause.SILENT: ("it does not answer", "look at its supply, its clamps and its address"),
    ScanCause.UNKNOWN: ("a board answers that the configuration does not have", "describe it, or take it off"),
}
"""What is probably wrong, in a technician's words, and what to do."""
HARMLESS = frozenset({ScanCause.UNKNOWN})
"""What is no reason to leave with an exit code of 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a scan is to look for."""

    units: tuple[int, ...]
    timeout_ms: float
    thorough: bool
    rates: tuple[Rate, ...]
    why_no_rates: str | None


def command(connect: Connect, as_json: Option, default_socket: DefaultSocket) -> click.Command:
    """Return the command."""

    @click.command(
        epilog="Example: chargerctl scan line-a --units 1..30. Exit code 1 if something is wrong with the line."
    )
    @click.argument("bus", shell_complete=completing("bus", default_socket))
    @click.option("--units", default=f"{FIRST}..{LAST}", help="Which addresses.  [default: 1..247]")
    @click.option(
        "--thorough/--quick",
        default=None,
        help="Ask silent addresses a second thing.  [default: while no port of the line is in use]",
    )
    @click.option(
        "--other-rates/--no-other-rates",
        default=None,
        help="Look for what is missing at other rates; never while a port is in use.  [default: if possible]",
    )
    @click.option("--timeout-ms", type=click.FloatRange(10, 500), help="How long a board has for its answer.")
    @as_json
    @click.pass_obj
    def scan_(
        path: Path,
        bus: str,
        units: str,
        *,
        thorough: bool | None,
        other_rates: bool | None,
        timeout_ms: float | None,
        as_json: bool,
    ) -> None:
        """Find who is on a line, and what is wrong with it. Charging goes on; nothing on any board is changed.

        A line at 9600 Bd takes a minute and a half, and four minutes while ports charge.
        """
        addresses = _units(units)
        with connect(path, as_json=as_json) as client:
            line = client.call("line", bus=bus)
            wanted = _wanted(line, addresses, thorough, other_rates, timeout_ms)
            began = time.monotonic()
            known, profiles = _known(line)
            report = _Scanning(client, line, wanted, known, profiles).run()
        if report.why_no_rates is None:
            report.why_no_rates = wanted.why_no_rates
        found = findings(report, known)
        if as_json:
            echo(json.dumps(as_plain(line, report, found, time.monotonic() - began)))
        else:
            for text in shown(line, report, found, time.monotonic() - began, width_of_terminal()):
                echo(text)
        if any(one.cause not in HARMLESS for one in found):
            sys.exit(1)

    scan_.name = "scan"
    return scan_


def _units(text: str) -> tuple[int, ...]:
    try:
        units = [int(number) for part in text.split(",") for number in spell_out(part.strip())]
    except (RangeError, ValueError):
        units = [0]
    if not all(FIRST <= unit <= LAST for unit in units):
        raise click.BadParameter(f"write addresses from {FIRST} to {LAST}, such as 1..30 or 1,5,11..22")
    return tuple(dict.fromkeys(units))


def _wanted(
    line: Fields,
    units: tuple[int, ...],
    thorough: bool | None,
    other_rates: bool | None,
    timeout_ms: float | None,
) -> Wanted:
    """Return what is possible on this line now. Raises `ControlFailure` if nothing is."""
    used = words(line["in_use"])
    network = line["kind"] != "serial"
    if line["kind"] == "tcp" and used:
        what = (
            f"{used[0]} is in use, and each silent address keeps the gateway at {line['line']} busy for a second"
        )
        raise ControlFailure(
            what, "a cut-off would wait for that; scan when no port of this line is in use", "busy"
        )
    if not line["connected"]:
        raise ControlFailure(f"the line {line['line']} is not there", "see why with: chargerctl boards", "no_line")
    why = None
    if network:
        why = "the rate of a line behind a network is set at the server there"
    elif used:
        why = f"{', '.join(used)} in use: another rate is tried only while no port of the line is"
    elif other_rates is False:
        why = "not asked for"
    if other_rates and why is not None:
        raise ControlFailure(f"other rates cannot be tried: {why}", "leave --other-rates out", "not_allowed")
    own = (line["baudrate"], line["parity"])
    rates = tuple(Rate(baudrate=one[0], parity=one[1]) for one in OTHERS if one != own)
    return Wanted(
        units=units,
        timeout_ms=timeout_ms or (NETWORK_MS if network else WINDOW_MS),
        thorough=(not used) if thorough is None else thorough,
        rates=() if why is not None else rates,
        why_no_rates=why,
    )


def _known(line: Fields) -> tuple[dict[int, Known], list[Profile]]:
    library = load_profiles()
    boards = entries(line["boards"])
    known = {
        int(str(board["address"])): Known(board=str(board["board"]), profile=library[str(board["profile"])])
        for board in boards
        if board["profile"] in library
    }
    return known, list(library.values())


class _Scanning:
    """Asks the daemon one question after the other, and shows how far it is."""

    def __init__(
        self,
        client: ControlClient,
        line: Fields,
        wanted: Wanted,
        known: Mapping[int, Known],
        profiles: Sequence[Profile],
    ) -> None:
        self._client = client
        self._line = line
        self._wanted = wanted
        self._steps = scan(
            units=wanted.units,
            known=known,
            profiles=profiles,
            other_rates=wanted.rates,
            thorough=wanted.thorough,
        )
        self._began = time.monotonic()
        self._live = on_terminal()

    def run(self) -> Report:
        """Return what the scan has come to; Ctrl-C ends it with what was found so far."""
        try:
            question = next(self._steps)
            while True:
                self._show(question)
                question = self._steps.send(self._asked(question))
        except StopIteration as end:
            if self._live:
                echo_progress("")
            report: Report = end.value
            return report

    def _asked(self, question: Question) -> Outcome:
        request = question.request
        function, address, count = struct.unpack(">BHH", request.pdu)
        words_each = (request.reply_size - 2) // (2 * count) if function > 2 else 1  # noqa: PLR2004 - reads of bits
        rate = (
            {} if question.rate is None else {"baudrate": question.rate.baudrate, "parity": question.rate.parity}
        )
        try:
            told = self._client.call(
                "probe",
                bus=self._line["bus"],
                unit=request.unit,
                function=function,
                address=address,
                count=count,
                words=words_each,
                timeout_ms=self._wanted.timeout_ms,
                **rate,
            )
        except KeyboardInterrupt:
            return Outcome(request=request, sent_at=Instant(0), at=Instant(0), why_not="it was ended by hand")
        return Outcome(
            request=request,
            sent_at=Instant(0.0),
            at=Instant(told["took_ms"] / 1000),
            pdu=None if told["pdu"] is None else bytes.fromhex(told["pdu"]),
            code=told["code"],
            stray=bytes.fromhex(told["stray"]),
            heard=bytes.fromhex(told["heard"]),
            why_not=told["why_not"],
        )

    def _show(self, question: Question) -> None:
        if not self._live:
            return
        done, spent = question.done, time.monotonic() - self._began
        left = "" if not done else f", {clock(spent / done * (question.total - done))} left"
        at = "" if question.rate is None else f" at {question.rate.baudrate} Bd"
        echo_progress(f"{done} of {question.total}{at}{left}")


# What is shown


def shown(line: Fields, report: Report, found: Sequence[ScanFinding], took: float, width: int) -> Iterator[str]:
    """Yield lines: what is wrong first, the most likely cause on top, then everybody who answers."""
    for one in found:
        yield from paragraph(_sentence(line, one), width)
    here = [one for one in report.found if one.board is not None]
    if not found:
        yield from paragraph(f"{line['bus']}: all {len(here)} boards answer as configured, and nobody else", width)
    elif report.why_no_rates is not None and _asks_for_rates(report):
        yield from paragraph(f"other rates were not tried: {report.why_no_rates}", width)
    rate = f"{line['baudrate']} Bd, parity {line['parity']}" if line["kind"] != "tcp" else str(line["line"])
    yield ""
    yield from paragraph(f"{report.asked} addresses asked at {rate}, in {clock(took)}", width)
    for answering in sorted(report.found, key=lambda one: one.unit):
        yield from paragraph(_who(answering), width, indent=4)


def _asks_for_rates(report: Report) -> bool:
    return bool(report.missing) or not report.found


def _sentence(line: Fields, finding: ScanFinding) -> str:
    what, then = CAUSES[finding.cause]
    units = f"address {spans(finding.units)}" if finding.units else ""
    who = ", ".join(finding.boards)
    about = f"{who} ({units})" if who and units else who or units
    place = f"{line['bus']}: {about}: " if about else f"{line['bus']}: "
    figure = f" ({finding.figure})" if finding.figure else ""
    return f"{place}{what}{figure}; {then}"


def _who(found: Found) -> str:
    rate = "" if found.rate is None else f" at {found.rate.baudrate} Bd, parity {found.rate.parity}"
    name = found.board or "not configured"
    serial = "" if found.serial is None else f", serial {found.serial}"
    if found.fits:
        guess = found.guesses[0]
        return f"{found.unit:>3} {name}{rate}: as configured, {guess.profiles[0]}: {guess.why}{serial}"
    told = "; or ".join(
        f"{guess.strength.value} {', '.join(guess.profiles)}: {guess.why}" for guess in found.guesses[:2]
    )
    refused = ", and refuses what it was asked" if found.tally.refused else ""
    return f"{found.unit:>3} {name}{rate}: {told or f'answers{refused}: no profile fits'}{serial}"


def as_plain(line: Fields, report: Report, found: Sequence[ScanFinding], took: float) -> dict[str, Any]:
    """Return a scan as a program reads it."""
    return {
        "bus": line["bus"],
        "line": line["line"],
        "baudrate": line["baudrate"],
        "parity": line["parity"],
        "asked": report.asked,
        "took_s": round(took, 1),
        "findings": [
            {
                "cause": one.cause.value,
                "units": list(one.units),
                "boards": list(one.boards),
                "figure": one.figure,
                "what": CAUSES[one.cause][0],
                "then": CAUSES[one.cause][1],
            }
            for one in found
        ],
        "found": [_found_as_plain(one) for one in report.found],
        "missing": [{"unit": unit, "board": board} for unit, board in report.missing],
        "rates_tried": [{"baudrate": one.baudrate, "parity": one.parity} for one in report.rates_tried],
        "why_no_rates": report.why_no_rates,
        "why_ended": report.why_ended,
    }


def _found_as_plain(found: Found) -> dict[str, Any]:
    rate = found.rate
    return {
        "unit": found.unit,
        "board": found.board,
        "as_configured": found.fits,
        "guesses": [
            {"profiles": list(guess.profiles), "strength": guess.strength.value, "why": guess.why}
            for guess in found.guesses
        ],
        "serial": found.serial,
        "rate": None if rate is None else {"baudrate": rate.baudrate, "parity": rate.parity},
        "asked": found.tally.asked,
        "answered": found.tally.answered,
        "corrupt": found.tally.corrupt,
        "answered_twice": found.tally.twice,
    }
