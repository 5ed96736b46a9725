"""`chargerctl read` and `write`: what a board's registers hold, through the running daemon."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from chargerd.cli.ctl_lines import (
    Connect,
    DefaultSocket,
    Option,
    completing,
    paragraph,
    place_of,
    width_of_terminal,
)
from chargerd.cli.register_values import (
    MOST_AT_ONCE,
    NAMES,
    TYPES,
    Where,
    as_hex,
    plain,
    registers,
    switch,
    value,
    where,
    words_of,
)
from chargerd.cli.said import echo
from chargerd.control.client import ControlClient, ControlFailure

WRONG = 1
READ_BACK = {5: 1, 6: 3, 16: 3}
"""Where what was written is read."""
UNITS = {"current": "A", "power": "W", "voltage": "V", "energy": "Wh"}
ALL = "all"


def read_command(connect: Connect, as_json: Option, default_socket: DefaultSocket) -> click.Command:
    """Return `chargerctl read`."""

    @click.command(
        epilog="Examples: chargerctl read meter-a1 current voltage; chargerctl read meter-a1 0x48..0x49 --as f32; "
        "chargerctl read line-a:17 h:0..7"
    )
    @click.argument("board", shell_complete=completing("board", default_socket))
    @click.argument("register", nargs=-1, required=True)
    @click.option(
        "--as", "type_", type=click.Choice([*TYPES, ALL]), help="What the registers hold.  [default: u16]"
    )
    @click.option(
        "--word-order", type=click.Choice(["big", "little"]), default="big", help="Which word comes first."
    )
    @click.option("--function", type=click.IntRange(1, 4), help="Read with it.  [default: as the board's profile]")
    @click.option("--raw", is_flag=True, help="Show the frames, too.")
    @as_json
    @click.pass_obj
    def read(
        path: Path,
        board: str,
        register: tuple[str, ...],
        *,
        type_: str | None,
        word_order: str,
        function: int | None,
        raw: bool,
        as_json: bool,
    ) -> None:
        """Read registers of a board, or of any address of a line (BUS:ADDRESS). Charging goes on.

        REGISTER is an address (6, 0x0006, 0x00..0x0F), one with its kind before it (c: coil, d: discrete input, h:
        holding, i: input register), or a quantity that the board's profile knows (current, power/2).
        """
        place, places = place_of(board), [where(text) for text in register]
        width = width_of_terminal()
        with connect(path, as_json=as_json) as client:
            for one in places:
                for told in _read(client, place, one, function, type_):
                    if as_json:
                        echo(json.dumps(_with_values(told, type_, word_order)))
                        continue
                    for text in _shown(told, type_, word_order, raw=raw):
                        for line in paragraph(text, width):
                            echo(line)

    return read


def _read(
    client: ControlClient, place: dict[str, Any], one: Where, function: int | None, type_: str | None
) -> Iterator[dict[str, Any]]:
    if one.quantity is not None:
        yield client.call("read", **place, quantity=one.quantity, channel=one.channel)
        return
    each = 1 if type_ in {None, ALL} else words_of(str(type_))
    count = max(one.count, each)
    at_once = MOST_AT_ONCE // each * each
    asked = one.function or function
    kind = {} if asked is None else {"function": asked}
    for begin in range(0, count, at_once):
        rest = min(at_once, count - begin)
        yield client.call("read", **place, address=one.first + begin, count=rest, **kind)


def _with_values(told: dict[str, Any], type_: str | None, order: str) -> dict[str, Any]:
    if type_ in {None, ALL} or "quantity" in told:
        return told
    typed = [one for _place, one in _typed(told["values"], str(type_), order)]
    return {**told, "type": type_, "typed": typed}


def _typed(found: Sequence[int], type_: str, order: str) -> Iterator[tuple[int, int | float]]:
    each = words_of(type_)
    for begin in range(0, len(found) - each + 1, each):
        yield begin, value(found[begin : begin + each], type_, order)


def _shown(told: dict[str, Any], type_: str | None, order: str, *, raw: bool) -> Iterator[str]:
    if "quantity" in told:
        yield _quantity(told)
    elif told["function"] in {1, 2}:
        for place, bit in enumerate(told["values"]):
            yield f"{NAMES[told['function']]} 0x{told['address'] + place:04X}: {'on' if bit else 'off'}"
    else:
        yield from _words(told, type_, order)
    if raw:
        yield f"sent {told['request']}"
        yield f"came {told['heard']} in {told['took_ms']:g} ms"


def _quantity(told: dict[str, Any]) -> str:
    name = told["quantity"]
    channel = f"/{told['channel']}" if told["channel"] > 1 else ""
    at = f"{NAMES[told['function']]} 0x{told['address']:04X}, {told['type']}"
    if told["value"] is None:
        return f"{name}{channel}: not known ({at}): {'; '.join(told['untrue'])}"
    return f"{name}{channel}: {plain(told['value'])} {UNITS[name]} ({at})"


def _words(told: dict[str, Any], type_: str | None, order: str) -> Iterator[str]:
    kind, found, first = NAMES[told["function"]], told["values"], told["address"]
    if type_ == ALL:
        yield f"{kind} 0x{first:04X}: {as_hex(found)}"
        for name in TYPES:
            if words_of(name) <= len(found):
                told_as = [plain(one) for _place, one in _typed(found, name, order)]
                yield f"  as {name}: {', '.join(told_as)}"
        return
    name = type_ or "u16"
    each = words_of(name)
    for place, one in _typed(found, name, order):
        yield f"{kind} 0x{first + place:04X}: {plain(one)} ({as_hex(found[place : place + each])})"


def write_command(connect: Connect, as_json: Option, default_socket: DefaultSocket) -> click.Command:
    """Return `chargerctl write`."""

    @click.command(
        epilog="Examples: chargerctl write meter-a1 0x12 1; chargerctl write meter-a1 0x14 2.0 --as f32; "
        "chargerctl write relay-a c:9 off"
    )
    @click.argument("board", shell_complete=completing("board", default_socket))
    @click.argument("register")
    @click.argument("new", metavar="VALUE")
    @click.option("--as", "type_", type=click.Choice(list(TYPES)), default="u16", help="What the registers hold.")
    @click.option(
        "--word-order", type=click.Choice(["big", "little"]), default="big", help="Which word comes first."
    )
    @click.option("--several", is_flag=True, help="Write with function 16, also a single register.")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @as_json
    @click.pass_obj
    def write(
        path: Path,
        board: str,
        register: str,
        new: str,
        *,
        type_: str,
        word_order: str,
        several: bool,
        yes: bool,
        as_json: bool,
    ) -> None:
        """Write a register or coil of a board, after asking; what it holds is read before and after.

        Refused are boards that serve a port in use, relays of ports that are held open, contactors, and what the
        daemon sets itself because a board's dead-man rests on it. Who has written what is in the ledger.
        """
        place, at = place_of(board), where(register)
        given = _given(at, new, type_, word_order, several=several)
        if not yes and (as_json or not somebody_is_there()):
            raise click.UsageError("nobody is there to be asked; say --yes if it is to be written")
        with connect(path, as_json=as_json) as client:
            before = _held(client, place, given)
            if not yes:
                _ask(board, before, given)
            told = client.call("write", **place, **given)
            after = _held(client, place, given)
        wanted = [int(one > 0) if given["function"] == 5 else one for one in given["values"]]  # noqa: PLR2004 - a coil
        if as_json:
            echo(json.dumps({**told, "before": before, "after": after}))
        else:
            for line in paragraph(_written(board, given, after, wanted), width_of_terminal()):
                echo(line)
        if after is not None and after != wanted:
            sys.exit(WRONG)

    return write


def somebody_is_there() -> bool:
    """Say whether there is somebody to be asked."""
    return sys.stdin.isatty()


def _given(at: Where, new: str, type_: str, order: str, *, several: bool) -> dict[str, Any]:
    """Return function, address and values of a write. Raises `click.UsageError`."""
    if at.quantity is not None or at.count > 1 or at.function in {2, 4}:
        raise click.UsageError("name one coil or holding register by its address, such as c:0 or 0x0012")
    if at.function == 1:
        return {"function": 5, "address": at.first, "values": [switch(new)]}
    found = registers(new, type_, order)
    return {"function": 16 if several or len(found) > 1 else 6, "address": at.first, "values": found}


def _held(client: ControlClient, place: dict[str, Any], given: dict[str, Any]) -> list[int] | None:
    """Return what is there now; `None` if the board does not tell."""
    asked = {"function": READ_BACK[given["function"]], "address": given["address"], "count": len(given["values"])}
    try:
        return [int(one) for one in client.call("read", **place, **asked)["values"]]
    except ControlFailure as error:
        if error.code in {"unknown_board", "unknown_bus", "not_sent", "no_answer"}:
            raise
        return None


def _ask(board: str, before: list[int] | None, given: dict[str, Any]) -> None:
    kind = "coil" if given["function"] == 5 else "register"  # noqa: PLR2004 - function 5 writes a coil
    now = "it does not tell what it holds now" if before is None else f"it holds {_numbers(before)} now"
    question = f"Write {_numbers(given['values'])} to {kind} 0x{given['address']:04X} of {board}? ({now})"
    if not click.confirm(question, err=True):
        echo("chargerctl: nothing is written", err=True)
        sys.exit(WRONG)


def _numbers(found: Sequence[int]) -> str:
    return ", ".join(f"{one} (0x{one:04X})" for one in found)


def _written(board: str, given: dict[str, Any], after: list[int] | None, wanted: list[int]) -> str:
    at = f"{board}: 0x{given['address']:04X}"
    if after is None:
        return f"{at} is written; the board does not tell what it holds"
    if after == wanted:
        return f"{at} holds {_numbers(after)} now"
    return f"{at} was written, and holds {_numbers(after)} all the same: look in the board's list of registers"
