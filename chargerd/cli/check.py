"""`chargerd check`: is this configuration one the daemon would run with?"""

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from chargerd.config.loader import DEFAULT_PATH, load
from chargerd.config.problems import ConfigurationError, Problem
from chargerd.config.site import Site
from chargerd.core.plan import PortPlan


@click.command(name="check")
@click.argument("path", type=click.Path(path_type=Path), default=DEFAULT_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def command(path: Path, *, as_json: bool) -> None:
    """Check a configuration and show what it describes. Exit code 1 if it cannot be used."""
    try:
        site = load(path)
    except ConfigurationError as error:
        _refuse(error, as_json=as_json)
        sys.exit(1)
    if as_json:
        notes = [_plain(note) for note in site.notes]
        click.echo(json.dumps({"ok": True, "problems": [], "notes": notes, "summary": _summary(site)}, indent=2))
    else:
        _show(site, path)


def _refuse(error: ConfigurationError, *, as_json: bool) -> None:
    if as_json:
        problems = [_plain(problem) for problem in error.problems]
        click.echo(json.dumps({"ok": False, "problems": problems, "notes": [], "summary": None}, indent=2))
        return
    for problem in error.problems:
        click.echo(str(problem), err=True)
    count = len(error.problems)
    click.echo(f"{count} problem{'s' if count > 1 else ''}; the daemon would not start with this file.", err=True)


def _plain(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "what": problem.what,
        "hint": problem.hint,
    }


def _summary(site: Site) -> dict[str, object]:
    return {
        "gateway": site.gateway.id,
        "mqtt": None if site.mqtt is None else f"{site.mqtt.host}:{site.mqtt.broker_port}",
        "buses": {name: bus.place for name, bus in site.buses.items()},
        "boards": [
            {
                "id": board.id,
                "bus": board.bus,
                "address": board.address,
                "profile": board.profile.name,
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
                "dead_man": port.relay.dead_man.value,
                "current_a": port.limits.current,
                "power_w": port.limits.power,
                "duration_s": port.limits.duration,
            }
            for port in site.plan.ports
        ],
        "digest": site.digest,
    }


def _show(site: Site, path: Path) -> None:
    console = Console(highlight=False)
    broker = "none, stand-alone" if site.mqtt is None else f"{site.mqtt.host}:{site.mqtt.broker_port}"
    console.print(f"[bold]{path}[/]: gateway [bold]{site.gateway.id}[/], broker {broker}")
    console.print(_bus_table(site))
    console.print(_port_table(site.plan.ports))
    for note in site.notes:
        click.echo(f"note: {note}", err=True)
    without = [port.id for port in site.plan.ports if port.relay.lease is None]
    if without:
        click.echo(
            f"note: no dead-man on the relays of {', '.join(without)}: a dead daemon leaves them closed", err=True
        )
    console.print(f"[green]Good.[/] {len(site.ports)} ports on {len(site.boards)} boards.")


def _bus_table(site: Site) -> Table:
    table = Table("bus", "line", "board", "address", "profile", title="Boards", title_justify="left")
    rows: dict[tuple[str, str], list[int]] = {}
    names: dict[tuple[str, str], list[str]] = {}
    for board in site.boards.values():
        key = (board.bus, board.profile.name)
        rows.setdefault(key, []).append(board.address)
        names.setdefault(key, []).append(board.id)
    for (bus, profile), addresses in rows.items():
        table.add_row(bus, site.buses[bus].place, _span(names[bus, profile]), _span(addresses), profile)
    return table


def _span(items: list[str] | list[int]) -> str:
    return str(items[0]) if len(items) == 1 else f"{items[0]} .. {items[-1]}"


def _port_table(ports: tuple[PortPlan, ...]) -> Table:
    table = Table("port", "relay", "meter", "circuit", "limit", "dead-man", title="Ports", title_justify="left")
    for port in ports:
        lease = f"lease {port.relay.lease:g} s" if port.relay.lease is not None else "[yellow]none[/]"
        table.add_row(
            port.id,
            f"{port.relay.board}/{port.relay.channel}",
            f"{port.meter.board}/{port.meter.channel}",
            port.circuit,
            f"{port.limits.current:g} A, {port.limits.power:g} W, {port.limits.duration / 3600:g} h",
            lease,
        )
    return table
