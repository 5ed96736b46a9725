"""What the demo shows: a live table on a terminal, or a line for each happening."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from chargerd.cli.demo_stage import Happening, PortRow, Stage
from chargerd.cli.fields import GONE_AFTER
from chargerd.cli.paper import Paper
from chargerd.cli.said import echo
from chargerd.core.units import Instant, Seconds, between

STATE_STYLES: Mapping[str, str] = {
    "available": "dim",
    "starting": "cyan",
    "charging": "green",
    "suspended": "yellow",
    "stopping": "cyan",
    "tripped": "bold red",
    "locked_out": "bold white on red",
    "unknown": "magenta",
}
LOG_LINES = 12
LIVE = Seconds(5.0)
"""How long a figure is taken for one of now: the demo's gateway tells a closed port's each second."""


class View(Protocol):
    """Where the demo is seen."""

    def happened(self, happening: Happening) -> None:
        """Take note of one happening."""

    def draw(self, stage: Stage, now: Instant) -> None:
        """Show how things stand."""

    def close(self) -> None:
        """Give the terminal back."""


class Lines:
    """One line a happening, for people or, as JSON, for machines."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def happened(self, happening: Happening) -> None:
        """Print it."""
        echo(happening.as_json() if self._as_json else _line(happening))

    def draw(self, stage: Stage, now: Instant) -> None:
        """Lines say all there is."""

    def close(self) -> None:
        """There is nothing to give back."""


class Screen:
    """The live view."""

    def __init__(self, footer: str) -> None:
        self._footer = footer
        self._live = Live(console=Paper(), refresh_per_second=4, screen=False, transient=False)
        self._live.start()

    def happened(self, happening: Happening) -> None:
        """The next drawing shows it."""

    def draw(self, stage: Stage, now: Instant) -> None:
        """Show ports, the last happenings and where to look further."""
        self._live.update(Group(ports_table(stage, now), log_panel(stage), Text(self._footer, style="dim")))

    def close(self) -> None:
        """Give the terminal back."""
        self._live.stop()


def ports_table(stage: Stage, now: Instant) -> Table:
    """Return the table of ports."""
    totals = stage.totals
    caption = (
        f"{totals.arrived} riders   {len(stage.settled)} sessions settled   {totals.energy_wh:.0f} Wh   "
        f"{len(totals.trips)} trips   gateway {'online' if stage.online else 'offline'}"
    )
    table = Table(title="chargerd demo", caption=caption, expand=True, box=None, header_style="bold")
    for name in ("port", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("W", "A", "Wh", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("rider", ratio=1, no_wrap=True)
    table.add_column("latched", style="red", no_wrap=True)
    for port, row in sorted(stage.rows.items()):
        table.add_row(port, *_cells(row, now))
    return table


def _cells(row: PortRow, now: Instant) -> tuple[Text | str, ...]:
    time = "" if row.charging_since is None else f"{between(row.charging_since, now):.0f} s"
    return (
        Text(row.state, style=STATE_STYLES.get(row.state, "")),
        _measured(row, row.power_w, 0, now),
        _measured(row, row.current_a, 2, now),
        _figure(row.energy_wh, 0) if row.session is not None else "",
        time,
        row.doing,
        ", ".join(row.latches),
    )


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:z.{digits}f}"


def _measured(row: PortRow, value: float | None, digits: int, now: Instant) -> Text | str:
    """Return a figure as of now; one that is not, with its age; and none that says nothing any more."""
    age = None if row.read_at is None else between(row.read_at, now)
    if value is None or age is None or age > GONE_AFTER:
        return "-"
    if row.stale or age > LIVE:
        return Text(f"{_figure(value, digits)} ({age:.0f} s old)", style="dim")
    return _figure(value, digits)


def log_panel(stage: Stage) -> Panel:
    """Return the last happenings."""
    lines = [Text(_line(one), style=_style(one), no_wrap=True) for one in list(stage.recent)[-LOG_LINES:]]
    return Panel(Group(*lines), title="what happens", title_align="left", height=LOG_LINES + 2)


def _style(happening: Happening) -> str:
    if happening.kind in {"tripped", "contact_open", "port_locked_out"}:
        return "bold red"
    return "green" if happening.kind == "ended" else ""


def _line(happening: Happening) -> str:
    return f"{happening.at_s:7.1f} s  {happening.port or '':4} {happening.text}"


def print_summary(summary: Mapping[str, Any], echo: Callable[[str], None], *, as_json: bool) -> None:
    """Print what the demo came to."""
    if as_json:
        echo(json.dumps(summary))
        return
    reasons = ", ".join(f"{count} {reason}" for reason, count in summary["reasons"].items()) or "none"
    away, refused = summary["turned_away"], summary["refused"]
    echo(f"\n{summary['riders']} riders in {summary['seconds']:.0f} s; {away} more found no socket free")
    echo(f"{refused} starts refused")
    echo(f"{summary['sessions']} sessions settled ({reasons}), {summary['unsettled']} not")
    echo(f"{summary['energy_wh']} Wh settled, {summary['energy_flowed_wh']:.1f} Wh flowed")
    for trip in summary["trips"]:
        after = trip["opened_after_ms"]
        when = "" if after is None else f": contact open {after} ms after the overload began"
        echo(f"{trip['port']} {trip['function']}{when}")
