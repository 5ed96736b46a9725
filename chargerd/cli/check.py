"""`chargerd check`: is this configuration one the daemon would run with?"""

import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from chargerd.cli.check_budget import as_plain, follows, show_budget, span
from chargerd.cli.check_running import compared
from chargerd.cli.check_since import differences, read_summary
from chargerd.cli.check_supply import missing_files, show_supply, supply_as_plain, unusable_devices, unusable_files
from chargerd.cli.ctl_reload import lines_of
from chargerd.cli.paper import Paper
from chargerd.cli.said import echo, echo_lines
from chargerd.config.budget.budget import budget, room
from chargerd.config.document import MetricsSection
from chargerd.config.loader import DEFAULT_PATH, load
from chargerd.config.plans import LEASE, lease_scope
from chargerd.config.problems import ConfigurationError, Problem
from chargerd.config.site import Board, Site
from chargerd.config.values import Echo
from chargerd.core.plan import DeadMan, LeaseScope, PortPlan

SECONDS_PER_HOUR = 3600
ECHOES = {
    Echo.AUTO: "whether the adapter hears itself is found out",
    Echo.YES: "the adapter hears itself",
    Echo.NO: "the adapter does not hear itself",
}


@click.command(name="check")
@click.argument("path", type=click.Path(path_type=Path), default=DEFAULT_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option(
    "--since",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Print only what differs from what another version's --json had said of it.",
)
def command(path: Path, *, as_json: bool, since: Path | None) -> None:
    """Check a configuration and show what it describes. Exit code 1 if it cannot be used."""
    try:
        site = load(path)
    except ConfigurationError as error:
        _refuse(error, as_json=as_json)
        sys.exit(1)
    lacks = [*missing_files(site, path), *unusable_files(site, path), *unusable_devices(site, path)]
    notes = [*site.notes, *lacks]
    summary = {**_summary(site), **supply_as_plain(site), "budget": as_plain(budget(site), room(site))}
    if since is not None:
        _tell_since(read_summary(since), summary, path, since)
    elif as_json:
        told = {
            "ok": True,
            "problems": [],
            "notes": [_plain(note) for note in notes],
            "summary": summary,
            "running": compared(path),
        }
        echo_lines(json.dumps(told, indent=2))
    else:
        _show(site, path, lacks=bool(lacks))
        for note in notes:
            echo(f"note: {note}", err=True)
        _tell_running(path)


def _tell_running(path: Path) -> None:
    """Say what the daemon would make of its own file; nothing if none runs, or if it may not be asked."""
    told = compared(path)
    if told is not None:
        echo("The daemon that runs:")
        for line in lines_of(told, only_look=True):
            echo(f"  {line}")


def _tell_since(before: dict[str, Any] | None, now: dict[str, object], path: Path, since: Path) -> None:
    if before is None:
        echo(f"{path}: good; {since} had refused it")
        return
    # As it would be read back: a tuple is a list there.
    found = list(differences(before, json.loads(json.dumps(now))))
    echo(
        f"{path}: good, and means the same as before" if not found else f"{path}: good; what means something else:"
    )
    for line in found:
        echo(f"  {line}")


def _refuse(error: ConfigurationError, *, as_json: bool) -> None:
    if as_json:
        problems, notes = ([_plain(one) for one in told] for told in (error.problems, error.notes))
        echo_lines(json.dumps({"ok": False, "problems": problems, "notes": notes, "summary": None}, indent=2))
        return
    for note in error.notes:
        echo(f"note: {note}", err=True)
    for problem in error.problems:
        echo(str(problem), err=True)
    if os.geteuid() != 0 and all(problem.what == "may not be read" for problem in error.problems):
        echo("nobody has looked whether it is good, since you may not read it: sudo chargerd check", err=True)
        return
    count = len(error.problems)
    echo(f"{count} problem{'s' if count > 1 else ''}; the daemon would not start with this file.", err=True)


def _plain(problem: Problem) -> dict[str, object]:
    return asdict(problem)


def _endpoint(metrics: MetricsSection) -> str:
    host = f"[{metrics.address}]" if ":" in metrics.address else metrics.address
    return f"{host}:{metrics.port}"


def _summary(site: Site) -> dict[str, object]:
    return {
        "gateway": site.gateway.id,
        "mqtt": None if site.mqtt is None else f"{site.mqtt.host}:{site.mqtt.broker_port}",
        "metrics": None if site.metrics is None else f"http://{_endpoint(site.metrics)}/metrics",
        "buses": {name: bus.place for name, bus in site.buses.items()},
        "boards": [
            {
                "id": board.id,
                "bus": board.bus,
                "address": board.address,
                "profile": board.profile.name,
                "dead_man": _dead_man(board) or None,
                "verified": board.profile.verified,
            }
            for board in site.boards.values()
        ],
        "ports": [
            {
                "id": port.id,
                "relay": f"{port.relay.board}/{port.relay.channel}",
                "meter": f"{port.meter.board}/{port.meter.channel}",
                "circuit": port.circuit,
                "label": port.label,
                "dead_man": port.relay.dead_man.value,
                "lease_s": port.relay.lease,
                "current_a": port.limits.current,
                "power_w": port.limits.power,
                "duration_s": port.limits.duration,
            }
            for port in site.plan.ports
        ],
        "digest": site.digest,
    }


def _show(site: Site, path: Path, *, lacks: bool) -> None:
    console = Paper()
    broker = "none, stand-alone" if site.mqtt is None else f"{site.mqtt.host}:{site.mqtt.broker_port}"
    console.print(f"{path}: gateway {site.gateway.id}, broker {broker}", soft_wrap=True)
    if site.metrics is not None:
        console.print(f"metrics: http://{_endpoint(site.metrics)}/metrics", soft_wrap=True)
    for name, bus in site.buses.items():
        rate = "" if bus.tcp is not None else f", {bus.baudrate} Bd, parity {bus.parity.value}, {ECHOES[bus.echo]}"
        console.print(f"bus {name}: {bus.place}{rate}", soft_wrap=True)
    for profile in sorted({board.profile.name: board.profile for board in site.boards.values()}.items()):
        console.print(f"profile {profile[0]}, tried: {profile[1].verified}", soft_wrap=True)
    console.print(_board_table(site))
    console.print(_port_table(site))
    show_supply(console, site)
    show_budget(console, budget(site), room(site))
    judged = "Usable, but this machine lacks what the notes say." if lacks else "Good."
    console.print(f"{judged} {len(site.ports)} ports on {len(site.boards)} boards.")


def _table(title: str, *columns: str) -> Table:
    # Folded, never cut off: a device or a name of which the end is missing tells nothing.
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _board_table(site: Site) -> Table:
    table = _table("Boards", "bus", "board", "address", "profile", "dead-man")
    for boards in _runs(site):
        ids, addresses = [board.id for board in boards], [str(board.address) for board in boards]
        first = boards[0]
        table.add_row(*map(Text, (first.bus, span(ids), span(addresses), first.profile.name, _dead_man(first))))
    return table


def _runs(site: Site) -> list[list[Board]]:
    """Return boards that follow each other in the file and in address, and are alike in all else."""
    runs: list[list[Board]] = []
    for board in site.boards.values():
        last = runs[-1][-1] if runs else None
        if last is not None and replace(last, id=board.id, address=last.address + 1) == board:
            runs[-1].append(board)
        else:
            runs.append([board])
    return runs


def _dead_man(board: Board) -> str:
    if board.profile.relay is None:
        return ""
    if board.profile.relay.dead_man is DeadMan.POLL_TIMEOUT:
        return "its own poll timeout, set at each start"
    scope = lease_scope(board)
    if scope is LeaseScope.BOARD:
        return f"lease {LEASE:g} s, of all its relays together"
    return "none" if scope is None else f"lease {LEASE:g} s"


def _port_table(site: Site) -> Table:
    table = _table("Ports", "port", "relay", "meter", "circuit", "A", "W", "h", "lease")
    for ports in _port_runs(site):
        first, limits = ports[0], ports[0].limits
        cells = (
            span([_name(port) for port in ports]),
            span([f"{port.relay.board}/{port.relay.channel}" for port in ports]),
            span([_meter(port, site) for port in ports]),
            first.circuit,
            f"{limits.current:g}",
            f"{limits.power:g}",
            f"{limits.duration / SECONDS_PER_HOUR:.3g}",
            f"{first.relay.lease:g} s" if first.relay.lease is not None else "none",
        )
        table.add_row(*map(Text, cells))
    return table


def _name(port: PortPlan) -> str:
    """Return a port's id and label; many labels begin with the id."""
    return port.label if port.label.startswith(port.id) else f"{port.id} ({port.label})"


def _meter(port: PortPlan, site: Site) -> str:
    meter = site.boards[port.meter.board].profile.meter
    single = meter is not None and meter.channels == 1
    return port.meter.board if single else f"{port.meter.board}/{port.meter.channel}"


def _port_runs(site: Site) -> list[list[PortPlan]]:
    """Return ports that follow each other, with names and channels counting along, and are alike in all else."""
    runs: list[list[PortPlan]] = []
    for port in site.plan.ports:
        if runs and _alike(runs[-1][-1], port, site):
            runs[-1].append(port)
        else:
            runs.append([port])
    return runs


def _alike(last: PortPlan, port: PortPlan, site: Site) -> bool:
    if port.label != port.id or last.label != last.id:
        return False
    if (last.circuit, last.limits, last.relay.lease) != (port.circuit, port.limits, port.relay.lease):
        return False
    pairs = (
        (last.id, port.id),
        (f"{last.relay.board}/{last.relay.channel}", f"{port.relay.board}/{port.relay.channel}"),
        (_meter(last, site), _meter(port, site)),
    )
    return all(follows(*pair) for pair in pairs)
