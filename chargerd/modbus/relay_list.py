"""Writes the list of a site's relays for `chargerd.modbus.emergency`: what to send and what to read."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chargerd.config.site import Board, Site
from chargerd.core.plan import contactor_of
from chargerd.modbus.board import RelayBoard
from chargerd.modbus.emergency import read_list


def write_relays_file(site: Site, path: Path, *, beside: Sequence[Any] = ()) -> None:
    """Write the list of a site's relays, replacing an older one in one step. Raises `OSError`.

    `beside`: lines of an older list that are to stay on it.
    """
    lines: list[dict[str, Any]] = []
    for name, section in site.buses.items():
        relays = list(_openings(site, name))
        if relays:
            bus = section.model_dump(
                mode="json", include={"serial", "tcp", "rtu_over_tcp", "baudrate", "parity", "stopbits", "echo"}
            )
            lines.append({"bus": bus, "relays": relays})
    lines += _others(lines, beside)
    new = path.with_suffix(".new")
    with new.open("w", encoding="utf-8") as file:
        json.dump({"lines": lines}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def listed(path: Path) -> Sequence[Any]:
    """Return the lines of a list as they stand there; none if it is not there, or no list."""
    try:
        read_list(path)
        lines: Sequence[Any] = json.loads(path.read_text(encoding="utf-8"))["lines"]
    except (OSError, ValueError):
        return ()
    return lines


def _others(lines: Sequence[Mapping[str, Any]], beside: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Yield lines that are listed otherwise, each with what the new list does not open there in the same way."""
    known = {(_key(line["bus"]), relay["unit"], relay["pdu"]) for line in lines for relay in line["relays"]}
    for line in beside:
        bus = _key(line["bus"])
        relays = [relay for relay in line["relays"] if (bus, relay["unit"], relay["pdu"]) not in known]
        if relays:
            yield {"bus": line["bus"], "relays": relays}


def _key(bus: Mapping[str, Any]) -> str:
    return json.dumps(bus, sort_keys=True)


def _openings(site: Site, bus: str) -> Iterator[dict[str, object]]:
    relays = [(port.id, port.relay.board, port.relay.channel) for port in site.ports]
    # Contactors last: relays open the smaller currents.
    relays += [
        (contactor_of(circuit.id), circuit.contactor.board, circuit.contactor.channel)
        for circuit in site.plan.circuits
        if circuit.contactor is not None
    ]
    for port, name, channel in relays:
        board = site.boards[name]
        if board.bus == bus:
            yield {"port": port, **_opening(board, channel)}


def _opening(board: Board, channel: int) -> dict[str, object]:
    """Return the board's own cut-off of a channel, and where to read whether it is open."""
    section, timing = board.profile.relay, board.profile.timing
    assert section is not None, "a relay on a board without relays"
    relays = RelayBoard(board.address, section)
    write, read = relays.open(channel), relays.read()
    return {
        "unit": board.address,
        "pdu": write.pdu.hex(),
        "timeout_s": timing.timeout_ms / 1000,
        "silence_s": timing.pre_silence_ms / 1000,
        "read_back": {"pdu": read.pdu.hex(), "reply_size": read.reply_size, "place": channel - 1},
    }
