"""What is told of a line that was asked by hand: the frames, why there is no answer, and what goes over it."""

from chargerd.config.site import Board
from chargerd.contract.ledger import Json
from chargerd.control.server import Responder
from chargerd.core.clock import Clock
from chargerd.core.units import Instant, between
from chargerd.modbus.bus import Bus
from chargerd.modbus.frames import EXCEPTIONS
from chargerd.modbus.manual import Outcome
from chargerd.modbus.trace import Traced


def name_of(bus: Bus, unit: int, board: Board | None) -> str:
    """Return how whoever asks calls it."""
    return f"unit {unit} of {bus.name}" if board is None else str(board.id)


def place_of(bus: Bus, unit: int, board: Board | None) -> dict[str, Json]:
    """Return where it stands."""
    return {
        "bus": bus.name,
        "unit": unit,
        "board": None if board is None else board.id,
        "profile": None if board is None else board.profile.name,
    }


def frames_of(outcome: Outcome) -> dict[str, Json]:
    """Return what was sent and heard, in hex, and how long it took."""
    return {
        "request": outcome.request.rtu.hex(),
        "heard": outcome.heard.hex(),
        "took_ms": in_ms(outcome.sent_at, outcome.at),
    }


def say_why_not(outcome: Outcome, name: str, respond: Responder) -> None:
    """Say why there is no answer."""
    if outcome.why_not is not None:
        respond.fail("not_sent", f"{name} was not asked: {outcome.why_not}", "see chargerctl boards")
    elif outcome.code is not None:
        why = EXCEPTIONS.get(outcome.code, "see its manual")
        respond.fail(
            "refused", f"{name} refuses: {why} (exception {outcome.code})", "compare with its list of registers"
        )
    elif outcome.heard:
        heard = outcome.heard.hex(" ")
        respond.fail("corrupt", f"{name} answers, and it is none: {heard}", "see chargerctl scan for the cause")
    else:
        respond.fail("no_answer", f"{name} does not answer", "see chargerctl boards, and chargerctl scan")


def is_well(traced: Traced) -> bool:
    """Say whether a transaction went as it should."""
    return traced.result == "answer" and not traced.stray


def traced_as_plain(traced: Traced, began: Instant, clock: Clock) -> dict[str, Json]:
    """Return a transaction that somebody looks on at; `began` is when they began to."""
    moment = clock.moment()
    wall = (
        None if moment.wall_ms is None else moment.wall_ms - round(1000 * between(traced.sent_at, moment.instant))
    )
    return {
        "at_s": round(max(0.0, between(began, traced.sent_at)), 4),
        "wall_ms": wall,
        "board": traced.board,
        "unit": traced.request[0],
        "request": traced.request.hex(),
        "heard": traced.heard.hex(),
        "stray": traced.stray.hex(),
        "result": traced.result,
        "took_ms": in_ms(traced.sent_at, traced.at),
        "urgent": traced.urgent,
        "by_hand": traced.by_hand,
    }


def in_ms(begin: Instant, end: Instant) -> float:
    """Return a span in milliseconds."""
    return round(1000 * between(begin, end), 1)
