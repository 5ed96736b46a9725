"""Draws how a session goes through the states of its port, as SVG; only the places are set by hand."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from chargerd.core.view import PortState

S = PortState
AT_REST = (S.LOCKED_OUT, S.TRIPPED, S.UNKNOWN, S.DISABLED, S.AVAILABLE)
"""States without a session, in the order in which `Port.rest` asks for them."""
REST = "at rest"
WIDTH, HEIGHT = 1160, 760
LINE = 14


@dataclass(frozen=True, slots=True)
class Box:
    """Where a state stands: its middle, and its size."""

    x: int
    y: int
    width: int = 130
    height: int = 46


@dataclass(frozen=True, slots=True)
class Arrow:
    """The way of an arrow, and where its triggers stand beside it: `columns` characters in a line."""

    path: str
    x: int
    y: int
    columns: int
    anchor: str = "start"


BOXES: Mapping[str, Box] = {
    S.QUEUED: Box(100, 450),
    S.STARTING: Box(370, 230),
    S.CHARGING: Box(690, 230),
    S.SUSPENDED: Box(1010, 230),
    S.STOPPING: Box(690, 450),
    REST: Box(WIDTH // 2, 690, WIDTH - 40, 90),
}
ARROWS: Mapping[tuple[str, str], Arrow] = {
    (REST, S.QUEUED): Arrow("M70 645 V477", 62, 565, 12, "end"),
    (S.QUEUED, REST): Arrow("M130 473 V641", 138, 515, 20),
    (S.QUEUED, S.STARTING): Arrow("M130 427 L315 256", 205, 330, 12, "end"),
    (REST, S.STARTING): Arrow("M325 645 V257", 317, 480, 12, "end"),
    (S.STARTING, S.QUEUED): Arrow("M305 235 Q90 240 85 423", 150, 262, 12, "end"),
    (S.STARTING, REST): Arrow("M365 253 V641", 373, 480, 24),
    (S.STARTING, S.CHARGING): Arrow("M435 230 H621", 528, 222, 20, "middle"),
    (S.STARTING, S.SUSPENDED): Arrow("M390 207 C420 90 960 90 990 203", 690, 110, 40, "middle"),
    (S.SUSPENDED, S.STARTING): Arrow("M1015 207 C1000 20 380 20 360 203", 690, 60, 40, "middle"),
    (S.STARTING, S.STOPPING): Arrow("M410 253 L638 424", 684, 266, 25, "end"),
    (S.CHARGING, S.SUSPENDED): Arrow("M755 225 H941", 848, 247, 24, "middle"),
    (S.CHARGING, S.STOPPING): Arrow("M690 253 V423", 698, 275, 15),
    (S.SUSPENDED, S.STOPPING): Arrow("M970 253 L748 425", 895, 345, 16),
    (S.SUSPENDED, REST): Arrow("M1030 253 V641", 1022, 500, 24, "end"),
    (S.STOPPING, REST): Arrow("M690 473 V641", 698, 540, 28),
    (REST, S.SUSPENDED): Arrow("M1060 645 V257", 1068, 420, 16),
}
STYLE = (
    "text{font:12px sans-serif;fill:#222}.state{font-weight:bold;font-size:15px}.small{font-size:12px}"
    ".box{fill:#eef3fa;stroke:#33507a;stroke-width:1.5}.closed{fill:#fbeecb}.rest{fill:#f3f3f3}"
    ".way{fill:none;stroke:#555;stroke-width:1.3;marker-end:url(#head)}"
)
CLOSED = {S.STARTING, S.CHARGING, S.STOPPING}
"""States in which the relay may be closed."""


def place(state: str) -> str:
    """Return the box a state is drawn in."""
    return REST if state in AT_REST else state


def drawing(edges: Mapping[tuple[str, str], Sequence[str]]) -> str:
    """Return the picture of these edges and their triggers. Raises `KeyError` for one without a place."""
    if unused := ARROWS.keys() - edges.keys():
        raise KeyError(f"no port goes there any more: {sorted(unused)}")
    parts = [part for ends, triggers in edges.items() for part in _arrow(ARROWS[ends], triggers)]
    parts += [part for name, box in BOXES.items() for part in _box(name, box)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}">\n'
        f"<style>{STYLE}</style>\n"
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'orient="auto">'
        '<path d="M0 0L10 5L0 10z" fill="#555"/></marker></defs>\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _arrow(arrow: Arrow, triggers: Sequence[str]) -> Iterable[str]:
    yield f'<path class="way" d="{arrow.path}"/>'
    lines = textwrap.wrap(", ".join(triggers), arrow.columns, break_long_words=False)
    for number, line in enumerate(lines):
        y = arrow.y + number * LINE
        yield f'<text x="{arrow.x}" y="{y}" text-anchor="{arrow.anchor}">{escape(line)}</text>'


def _box(name: str, box: Box) -> Iterable[str]:
    kind = "rest" if name == REST else "closed" if name in CLOSED else ""
    left, top = box.x - box.width // 2, box.y - box.height // 2
    yield f'<rect class="box {kind}" x="{left}" y="{top}" width="{box.width}" height="{box.height}" rx="8"/>'
    if name != REST:
        yield f'<text class="state" x="{box.x}" y="{box.y + 5}" text-anchor="middle">{name}</text>'
        return
    said = f"{REST}: the first of these that fits"
    yield f'<text class="state" x="{box.x}" y="{top + 20}" text-anchor="middle">{said}</text>'
    step = box.width // len(AT_REST)
    for number, state in enumerate(AT_REST):
        middle = left + step * number + step // 2
        yield f'<rect class="box" x="{middle - 75}" y="{top + 36}" width="150" height="40" rx="8"/>'
        yield f'<text class="state" x="{middle}" y="{top + 61}" text-anchor="middle">{state.value}</text>'
