"""A site of one's own in the demo: its configuration as it is, on simulated lines and with the demo's broker."""

import json
from pathlib import Path
from typing import Any

from chargerd.cli.demo_parts import DemoError
from chargerd.config.loader import load
from chargerd.config.problems import ConfigurationError
from chargerd.config.profiles.library import folders_for
from chargerd.config.source import parse
from chargerd.fleet.site import Address, broker_section, patience

OVER_NETWORK = 115200
"""Bauds of a line that stands for a network: the fastest a simulated line has."""
NOT_SIMULATED = ("serial", "tcp", "rtu_over_tcp", "parity", "echo")
"""Of a bus: where it is, and what a pseudo-terminal knows one form of."""
CONFIGURATION = "chargerd.yaml"


def simulated(path: Path, folder: Path, *, gateway: str, broker: Address, prefix: str, rate: float) -> Path:
    """Write the site at `path` into `folder`, with each of its buses a line there. Returns the file.

    Limits, circuits, boards and ports stay what they are. Raises `DemoError` if it is no good configuration.
    """
    try:
        load(path)
        data = parse(path.read_text(encoding="utf-8"), str(path)).data
    except ConfigurationError as error:
        raise DemoError(f"{path} cannot be shown; see: chargerd check {path}\n{error}") from error
    assert isinstance(data, dict), "it has just been loaded"
    for own in folders_for(path, ()):
        _link(folder, own)
    here: dict[str, Any] = dict(data)
    here["gateway"] = {**data["gateway"], "id": gateway}
    here["mqtt"] = {**broker_section(broker, folder), "prefix": prefix, "reading_interval_s": 1}
    here["buses"] = {name: _line(folder / name, bus) for name, bus in data["buses"].items()}
    here["charge_end"] = {**(data.get("charge_end") or {}), **patience(rate)}
    target = folder / CONFIGURATION
    target.write_text(json.dumps(here, indent=1), encoding="utf-8")  # Which is YAML as well.
    return target


def _line(link: Path, bus: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in bus.items() if key not in NOT_SIMULATED}
    baudrate = OVER_NETWORK if "tcp" in bus else kept.get("baudrate", 9600)
    return {**kept, "serial": str(link), "baudrate": baudrate}


def _link(folder: Path, own: Path) -> None:
    """Let the copy find the profiles that lie beside the site's file."""
    if own.is_dir():
        (folder / own.name).symlink_to(own.resolve())
