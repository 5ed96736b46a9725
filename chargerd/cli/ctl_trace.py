"""`chargerctl trace`: every frame of a line as it goes by, decoded and as bytes, and as a file for Wireshark."""

import json
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click

from chargerd.cli.ctl_lines import UNITS, Connect, DefaultSocket, Option, completing, paragraph, width_of_terminal
from chargerd.cli.said import echo
from chargerd.control.client import ControlClient
from chargerd.modbus.frames import EXCEPTIONS, crc

READS = {1: "coils", 2: "discrete inputs", 3: "holding registers", 4: "input registers"}
WRITES = {5: "coil", 6: "register"}
MBAP = 6
"""Bytes before the unit where an answer came over Modbus TCP."""
UPPER_PDU = 252
"""LINKTYPE_WIRESHARK_UPPER_PDU: each packet says itself what it is, and is decoded without any setting."""
_TAG_DISSECTOR, _TAG_PORT_TYPE, _TAG_FROM, _TAG_TO, _TAG_END = 12, 24, 25, 26, 0
_TCP, _MODBUS = 2, 502
"""A request goes to this port and an answer comes from it: so Wireshark tells them apart."""
SNAP = 65535
LEFT = 1.0


def command(connect: Connect, as_json: Option, default_socket: DefaultSocket) -> click.Command:
    """Return the command."""

    @click.command(
        epilog="Examples: chargerctl trace line-a --board meter-a1; chargerctl trace line-a --errors --seconds 9; "
        "chargerctl trace line-a --board 17 --pcap line-a.pcap"
    )
    @click.argument("bus", shell_complete=completing("bus", default_socket))
    @click.option(
        "--board", shell_complete=completing("board", default_socket), help="Only this board, or this address."
    )
    @click.option("--errors", is_flag=True, help="Only what was not answered well.")
    @click.option(
        "--seconds", type=click.FloatRange(0, min_open=True), help="Stop after so long.  [default: never]"
    )
    @click.option("--count", type=click.IntRange(1), help="Stop after so many frames.  [default: never]")
    @click.option("--no-hex", is_flag=True, help="Leave the bytes out.")
    @click.option("--pcap", type=click.File("wb"), help="Write a file for Wireshark instead of lines.")
    @as_json
    @click.pass_obj
    def trace(
        path: Path,
        bus: str,
        *,
        board: str | None,
        errors: bool,
        seconds: float | None,
        count: int | None,
        no_hex: bool,
        pcap: IO[bytes] | None,
        as_json: bool,
    ) -> None:
        """Show what goes over a line, frame by frame, until Ctrl-C. The line is not disturbed.

        The time is when the request began, then how long until its answer was there or given up; `!` marks an
        opening, `*` what was asked by hand.
        """
        with connect(path, as_json=as_json) as client:
            given = {} if board is None else {"unit": _unit_of(client, bus, board)}
            frames = _until(client, client.stream("trace", bus=bus, errors=errors, **given), seconds, count)
            try:
                if pcap is not None:
                    echo(f"{_write(pcap, frames)} transactions written", err=True)
                else:
                    _print(frames, as_json=as_json, with_hex=not no_hex)
            except KeyboardInterrupt:
                return

    return trace


def _unit_of(client: ControlClient, bus: str, board: str) -> int:
    if board.isascii() and board.isdecimal() and int(board) in UNITS:
        return int(board)
    line = client.call("line", bus=bus)
    known = {str(one["board"]): int(one["address"]) for one in line["boards"]}
    if board not in known:
        raise click.UsageError(f"{bus} has no board {board!r}; it has {', '.join(known)}")
    return known[board]


def _until(
    client: ControlClient, frames: Iterator[Any], seconds: float | None, count: int | None
) -> Iterator[dict[str, Any]]:
    """Yield frames until the time is over or there are enough; the first answer only says that it has begun."""
    next(frames)
    deadline = None if seconds is None else time.monotonic() + seconds
    left = count
    while left is None or left > 0:
        wait = LEFT if deadline is None else min(LEFT, deadline - time.monotonic())
        if wait <= 0:
            return
        if client.ready(wait):
            frame = next(frames, None)
            if frame is None:
                return
            yield frame
            left = None if left is None else left - 1


def _print(frames: Iterator[dict[str, Any]], *, as_json: bool, with_hex: bool) -> None:
    width = width_of_terminal()
    for frame in frames:
        if as_json:
            echo(json.dumps(frame))
            continue
        for text in lines(frame, with_hex=with_hex):
            for line in paragraph(text, width, indent=4):
                echo(line)


def lines(frame: dict[str, Any], *, with_hex: bool) -> Iterator[str]:
    """Yield a transaction as a person reads it."""
    mark = "!" if frame["urgent"] else "*" if frame["by_hand"] else " "
    who = frame["board"] or f"unit {frame['unit']}"
    request = bytes.fromhex(frame["request"])
    yield f"{_at(frame)} {frame['took_ms']:6.1f} ms {mark}{who} {question(request)}: {_answer(frame)}"
    if with_hex:
        yield f"    > {request.hex(' ')}"
        if frame["heard"]:
            yield f"    < {bytes.fromhex(frame['heard']).hex(' ')}"
    if frame["stray"]:
        yield f"    ? {bytes.fromhex(frame['stray']).hex(' ')} came by itself before"


def _at(frame: dict[str, Any]) -> str:
    if frame["wall_ms"] is None:
        return f"{frame['at_s']:10.3f} s"
    moment = datetime.fromtimestamp(frame["wall_ms"] / 1000, UTC).astimezone()
    return f"{moment:%H:%M:%S}.{frame['wall_ms'] % 1000:03d}"


def question(request: bytes) -> str:
    """Return what a request asks, in words."""
    function, address, number = struct.unpack(">BHH", request[1:6])
    if function in READS:
        return f"read {number} {READS[function]} at 0x{address:04X}"
    if function in WRITES:
        return f"write 0x{number:04X} to {WRITES[function]} 0x{address:04X}"
    return f"function {function} at 0x{address:04X}, {number}"


def _answer(frame: dict[str, Any]) -> str:
    request, heard = bytes.fromhex(frame["request"]), _rtu(frame).replace(bytes.fromhex(frame["request"]), b"", 1)
    if frame["result"] == "exception":
        code = heard[2] if len(heard) > 2 else 0  # noqa: PLR2004 - unit, function, code
        return f"exception {code}, {EXCEPTIONS.get(code, 'see its manual')}"
    if frame["result"] != "answer":
        return {"timeout": "no answer", "corrupt": "no sound answer"}.get(frame["result"], str(frame["result"]))
    if request[1] not in READS:
        return "done"
    data = heard[3 : 3 + heard[2]] if len(heard) > 2 else b""  # noqa: PLR2004 - unit, function, count
    return data.hex(" ", 2 if request[1] > 2 else 1)  # noqa: PLR2004 - reads of bits


def _rtu(frame: dict[str, Any]) -> bytes:
    """Return what came as a serial line would have brought it."""
    heard = bytes.fromhex(frame["heard"])
    unit = bytes.fromhex(frame["request"])[:1]
    if heard[2:4] == b"\0\0" and len(heard) > MBAP and heard[MBAP : MBAP + 1] == unit and heard[:1] != unit:
        return heard[MBAP:] + crc(heard[MBAP:])
    return heard


# For Wireshark


def _write(file: IO[bytes], frames: Iterator[dict[str, Any]]) -> int:
    """Write frames as they come; returns how many transactions there were."""
    file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAP, UPPER_PDU))
    count = 0
    try:
        for frame in frames:
            for packet in packets(frame):
                file.write(packet)
            file.flush()
            count += 1
    except KeyboardInterrupt:
        pass
    return count


def packets(frame: dict[str, Any]) -> Iterator[bytes]:
    """Yield what a transaction is in a capture: request, and answer if there is one."""
    wall = frame["wall_ms"]
    begin = frame["at_s"] if wall is None else wall / 1000
    request, heard = bytes.fromhex(frame["request"]), _rtu(frame)
    yield _packet(begin, request, source=0, target=_MODBUS)
    if heard:
        yield _packet(begin + frame["took_ms"] / 1000, heard.replace(request, b"", 1), source=_MODBUS, target=0)


def _packet(at: float, data: bytes, *, source: int, target: int) -> bytes:
    tags = _tag(_TAG_DISSECTOR, b"mbrtu\0\0\0")
    for tag, number in ((_TAG_PORT_TYPE, _TCP), (_TAG_FROM, source), (_TAG_TO, target)):
        tags += _tag(tag, struct.pack(">I", number))
    body = tags + _tag(_TAG_END, b"") + data
    seconds = int(at)
    return struct.pack("<IIII", seconds, int((at - seconds) * 1e6), len(body), len(body)) + body


def _tag(tag: int, data: bytes) -> bytes:
    return struct.pack(">HH", tag, len(data)) + data
