"""Shows the reaction times of a site: one row for ports that are alike, one line for each bus."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chargerd.config.budget.budget import Budget, BusBudget, PortBudget
from chargerd.config.ranges import RangeError, spell_out

MILLISECONDS = 1000
_DIGITS = 4
"""Of a second, in JSON: tenths of a millisecond."""
_STEM = re.compile(r"(.*?)\d+", re.ASCII)


def span(items: Sequence[str]) -> str:
    """Return a run of names or numbers as the configuration may have it: `A01..A12`, `relay-a/1..12`."""
    if len(items) == 1:
        return items[0]
    stem = _STEM.fullmatch(items[0])
    last = items[-1]
    if stem is not None and last.startswith(stem[1]) and items[0][len(stem[1])] != "0":
        last = last[len(stem[1]) :]
    return f"{items[0]}..{last}"


def follows(first: str, second: str) -> bool:
    """Say whether two names belong to one range, next to each other."""
    try:
        return spell_out(f"{first}..{second}") == (first, second)
    except RangeError:
        return False


def show_budget(console: Console, times: Budget, more: Mapping[str, int]) -> None:
    """Print the reaction time of each port and what the buses have left; `more` ports would fit on each."""
    console.print(_port_table(times))
    console.print(
        "From too much current at the clamp to an open contact, at worst: until the meter\n"
        "shows it, until it is read, until the line is free, until the contact is open.\n"
        "lost: worst with one frame lost in each part. back: read back open, after that.\n"
    )
    console.print(_bus_table(times, more))
    for bus in times.buses.values():
        if bus.gateway_may_wait is not None:
            may = f"{bus.gateway_may_wait:.1f} s"
            console.print(
                f"bus {bus.bus}: let a gateway that serves one request at a time wait {may}\n"
                "at most for a silent board; else the meters of the others are not read in time."
            )


def _bus_table(times: Budget, more: Mapping[str, int]) -> Table:
    table = Table(title="Buses", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("bus", overflow="fold")
    for column in ("Bd", "ports", "read every (ms)", "time needed", "room for"):
        table.add_column(column, justify="right")
    for bus in times.buses.values():
        table.add_row(
            Text(bus.bus),
            "TCP" if bus.baudrate is None else str(bus.baudrate),
            str(bus.ports),
            f"{bus.interval * MILLISECONDS:.0f}" if bus.ports else "",
            f"{bus.share:.0%}",
            f"{more[bus.bus]} more" if bus.ports else "",
        )
    return table


def _port_table(times: Budget) -> Table:
    table = Table(title="Reaction times (ms)", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("port", overflow="fold")
    for column in ("refresh", "polling", "in flight", "write", "worst", "lost", "back"):
        table.add_column(column, justify="right")
    for ports in _runs(list(times.ports.values())):
        first = ports[0]
        parts = (first.refresh, first.polling, first.in_flight, first.write, first.worst, first.worst_lost)
        cells = [f"{part * MILLISECONDS:.0f}" for part in (*parts, first.read_back)]
        table.add_row(Text(span([port.port for port in ports])), *cells)
    return table


def _runs(ports: list[PortBudget]) -> list[list[PortBudget]]:
    runs: list[list[PortBudget]] = []
    for port in ports:
        last = runs[-1][-1] if runs else None
        if last is not None and _spans(last) == _spans(port) and follows(last.port, port.port):
            runs[-1].append(port)
        else:
            runs.append([port])
    return runs


def _spans(port: PortBudget) -> dict[str, float]:
    """Return the parts of a port's reaction time by their names for programs."""
    parts = {f"{key}_s": round(value, _DIGITS) for key, value in asdict(port).items() if key != "port"}
    return {**parts, "worst_s": round(port.worst, _DIGITS), "worst_lost_s": round(port.worst_lost, _DIGITS)}


def as_plain(times: Budget, more: Mapping[str, int]) -> dict[str, object]:
    """Return all of a budget for programs; spans are seconds. `more` ports would fit on each bus."""
    return {
        "buses": [_bus(bus, more[bus.bus]) for bus in times.buses.values()],
        "ports": [{"id": port.port, **_spans(port)} for port in times.ports.values()],
    }


def _bus(bus: BusBudget, more: int) -> dict[str, object]:
    return {
        "id": bus.bus,
        "baudrate": bus.baudrate,
        "ports": bus.ports,
        "share": round(bus.share, _DIGITS),
        "more_ports": more,
        "round_s": round(bus.round, _DIGITS),
        "interval_s": round(bus.interval, _DIGITS),
        "gateway_may_wait_s": None if bus.gateway_may_wait is None else round(bus.gateway_may_wait, _DIGITS),
    }
