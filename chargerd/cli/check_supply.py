"""Shows what feeds and guards the ports of a site: circuits, inputs, sensors; and which files it lacks."""

from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chargerd.cli.check_budget import follows, span
from chargerd.config.devices import daemon_user, trouble_with
from chargerd.config.problems import Problem
from chargerd.config.site import PortWiring, Site
from chargerd.core.plan import CircuitPlan

USUAL_RATES = frozenset(
    {1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 500000, 921600}
)
"""Rates that termios(3) knows by name; others depend on the adapter's driver."""


def show_supply(console: Console, site: Site) -> None:
    """Print the circuits, and the inputs and temperature sensors where there are any."""
    console.print(_circuit_table(site))
    if site.plan.inputs:
        console.print(_input_table(site))
    if any(port.temperature is not None for port in site.ports):
        console.print(_sensor_table(site))


def supply_as_plain(site: Site) -> dict[str, object]:
    """Return the same for programs; what is not there is `None`."""
    return {
        "circuits": [
            {
                "id": circuit.id,
                "parent": circuit.parent,
                "phases": circuit.phases,
                "phase": circuit.phase.value,
                "rating_a": circuit.rating,
                "power_w": circuit.power,
                "meter": None if circuit.meter is None else circuit.meter.board,
                "contactor": _contactor(circuit) or None,
            }
            for circuit in site.plan.circuits
        ],
        "inputs": [
            {
                "id": one.id,
                "input": f"{one.board}/{one.channel}",
                "kind": one.kind.value,
                "circuit": one.circuit,
                "active": one.active,
            }
            for one in site.plan.inputs
        ],
        "temperatures": {port.id: _sensor(port) for port in site.ports if port.temperature is not None},
    }


def missing_files(site: Site, path: Path) -> Iterator[Problem]:
    """Say which files the link to the broker needs and are not there, as far as this machine goes."""
    mqtt = site.mqtt
    if mqtt is None:
        return
    wanted = {"password_file": mqtt.password_file}
    if mqtt.tls is not None:
        wanted |= {f"tls.{key}": getattr(mqtt.tls, key) for key in ("ca", "certificate", "key")}
    for key, name in wanted.items():
        if name is not None and _is_missing(Path(name)):
            what = f"mqtt.{key}: {name} is not on this machine"
            hint = "put it there before the daemon starts, or nothing reaches the broker"
            yield Problem(file=str(path), line=0, column=0, what=what, hint=hint)


def unusable_files(site: Site, path: Path) -> Iterator[Problem]:
    """Say which files of TLS are there and are not what they are to be, as far as whoever asks may read them."""
    tls = None if site.mqtt is None else site.mqtt.tls
    if tls is None:
        return
    from chargerd.mqtt.certificates import unusable  # noqa: PLC0415 - loads OpenSSL, which few have need of

    for one in unusable(tls):
        hint = "put the right file there, or nothing reaches the broker"
        yield Problem(file=str(path), line=0, column=0, what=f"{one.key}: {one.path} {one.why}", hint=hint)


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:
        return False  # Whoever may look will see.
    except OSError:
        return True
    return False


def unusable_devices(site: Site, path: Path) -> Iterator[Problem]:
    """Say which adapters are not there, or not for the daemon's user, as far as this machine goes."""
    user = daemon_user()
    for name, bus in site.buses.items():
        trouble = None if bus.serial is None else trouble_with(bus.serial, user)
        if trouble is not None:
            what, hint = trouble
            yield Problem(file=str(path), line=0, column=0, what=f"buses.{name}.serial: {what}", hint=hint)
        if bus.serial is not None and bus.baudrate not in USUAL_RATES:
            what = f"buses.{name}.baudrate: {bus.baudrate} Bd is none of the system's own rates"
            hint = "many adapters take it all the same; see chargerctl doctor and chargerctl boards once it runs"
            yield Problem(file=str(path), line=0, column=0, what=what, hint=hint)


def _circuit_table(site: Site) -> Table:
    table = _table("Circuits", "circuit", "fed by", "phase", "A", "W", "meter", "contactor")
    for circuit in site.plan.circuits:
        cells = (
            circuit.id,
            circuit.parent or "",
            circuit.phase.value if circuit.phases == 1 else "three",
            "no limit" if circuit.rating is None else f"{circuit.rating:g}",
            "no limit" if circuit.power is None else f"{circuit.power:g}",
            "" if circuit.meter is None else circuit.meter.board,
            _contactor(circuit),
        )
        table.add_row(*map(Text, cells))
    return table


def _input_table(site: Site) -> Table:
    table = _table("Inputs", "input", "channel", "reports", "when it is", "and opens")
    for one in site.plan.inputs:
        cells = (one.id, f"{one.board}/{one.channel}", one.kind.value, one.active, one.circuit)
        table.add_row(*map(Text, cells))
    return table


def _sensor_table(site: Site) -> Table:
    table = _table("Temperature sensors", "port", "channel")
    runs: list[list[PortWiring]] = []
    for port in (port for port in site.ports if port.temperature is not None):
        last = runs[-1][-1] if runs else None
        if last is not None and follows(last.id, port.id) and follows(_sensor(last), _sensor(port)):
            runs[-1].append(port)
        else:
            runs.append([port])
    for ports in runs:
        table.add_row(Text(span([port.id for port in ports])), Text(span([_sensor(port) for port in ports])))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _sensor(port: PortWiring) -> str:
    return "" if port.temperature is None else f"{port.temperature.board}/{port.temperature.channel}"


def _contactor(circuit: CircuitPlan) -> str:
    return "" if circuit.contactor is None else f"{circuit.contactor.board}/{circuit.contactor.channel}"
