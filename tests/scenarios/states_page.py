"""The page on states and its picture, made of the state table and of the moves that scenarios have shown."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from chargerd.core.port import table
from chargerd.core.port.rules import Trigger, always
from chargerd.core.port.table import HANDLERS, TABLE
from chargerd.core.view import PortState
from tests.scenarios.moves import BESIDE, Move, kept
from tests.scenarios.states_drawing import AT_REST, drawing, place

DOCS = Path(__file__).parents[2] / "docs"
PAGE, PICTURE = DOCS / "states.md", DOCS / "states.svg"
NO_TRIGGER = "no trigger"
TRIGGERS = [*(trigger.value for trigger in Trigger), *(request.name for request in HANDLERS)]
"""What happens to a port first, then what somebody asks of it."""
ORDER = [state.value for state in PortState]
HEAD = """\
# States of a port

<!-- Written by `python -m tests.scenarios --write`. -->

One table, `TABLE` in [`{table}`](../{table}), says what a port does: for each state and
trigger it lists rules, and the first whose guard holds acts. This page shows where that leads. That often depends
on what else holds the port, so it is declared nowhere but observed: every scenario in `tests/scenarios` is
listened to, each move it shows must stand here, and each move that stands here is shown by the scenario named.

![A session goes from at rest over queued, starting, charging, suspended and stopping back to rest](states.svg)

In yellow boxes the relay may be closed. At each arrow stand the triggers; the rules follow in the tables.
*{none}* means that no rule made the move: what holds the port has changed elsewhere (exchanged wires were found, a
circuit's latch was cleared, a session was taken up after an outage).

## At rest

A port without a session is in the first of these states that fits: `locked_out` while a latch wants a person on
site with a reason, `tripped` while another latch of the port or of a circuit above holds it, `unknown` until its
relay has been read back open, `disabled` while somebody has said so, else `available`. What moves it from row to
column:

"""


def write() -> None:
    """Write page and picture."""
    PAGE.write_text(page(), encoding="utf-8")
    PICTURE.write_text(picture(), encoding="utf-8")


def picture() -> str:
    """Return the picture: states without a session are one box, and moves between them are left to the page."""
    edges: dict[tuple[str, str], list[str]] = {}
    for move in sorted(kept(), key=_in_order):
        ends = place(move.state), place(move.to)
        if ends[0] != ends[1]:
            edges.setdefault(ends, []).append(move.trigger or NO_TRIGGER)
    order = [*TRIGGERS, NO_TRIGGER]
    return drawing({ends: sorted(set(triggers), key=order.index) for ends, triggers in edges.items()})


def page() -> str:
    """Return the page."""
    moves = sorted(kept(), key=_in_order)
    source = "/".join(table.__name__.split(".")) + ".py"
    parts = [HEAD.format(table=source, none=NO_TRIGGER), *_matrix(moves), *_moves(moves), *_table()]
    return "".join(parts)


def _in_order(move: Move) -> tuple[int, int, int, str]:
    triggers = [BESIDE, *TRIGGERS]
    return ORDER.index(move.state), ORDER.index(move.to), triggers.index(move.trigger), move.rule


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _matrix(moves: Sequence[Move]) -> Iterator[str]:
    yield _row("from", *(state.value for state in AT_REST))
    yield _row(*["---"] * (1 + len(AT_REST)))
    for state in AT_REST:
        cells = []
        for to in AT_REST:
            triggers = (_trigger(move) for move in moves if (move.state, move.to) == (state.value, to.value))
            cells.append("·" if to is state else ", ".join(dict.fromkeys(triggers)))
        yield _row(f"**{state.value}**", *cells)


def _trigger(move: Move) -> str:
    return f"*{NO_TRIGGER}*" if move.trigger == BESIDE else f"`{move.trigger}`"


def _moves(moves: Iterable[Move]) -> Iterator[str]:
    yield "\n## Every move, and a scenario that shows it\n\n"
    yield "The scenario's module comes first; all of them stand in `tests/scenarios`.\n\n"
    yield _row("from", "to", "trigger", "rule", "shown by")
    yield _row(*["---"] * 5)
    shown = kept()
    for move in moves:
        rule = f"`{move.rule}`" if move.rule else ""
        yield _row(move.state, move.to, _trigger(move), rule, f"`{shown[move]}`")


def _table() -> Iterator[str]:
    yield "\n## What each state does\n\n"
    yield "The rules in the order in which they are asked. What is not listed cannot happen in that state; what\n"
    yield "somebody asks of a port stands last, and has an answer in every state.\n"
    for state, row in TABLE.items():
        yield f"\n### {state.value}\n\n" + _row("trigger", "rules") + _row("---", "---")
        for trigger in sorted(row, key=list(Trigger).index):
            yield _row(f"`{trigger.value}`", ", ".join(f"`{rule.name}`" for rule in row[trigger]))
        for request, handler in HANDLERS.items():
            replies = handler.by_state.get(state, ())
            if not any(reply.when is always for reply in replies):
                replies = (*replies, handler.otherwise)
            yield _row(f"`{request.name}`", ", ".join(f"`{reply.name}`" for reply in replies))
