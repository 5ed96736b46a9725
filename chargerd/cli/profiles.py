"""`chargerd profiles`: which boards are known, what each speaks, where that is from, and what of it was tried."""

import json
import sys
from pathlib import Path
from typing import NoReturn

import click
from rich import box
from rich.table import Table

from chargerd.cli.paper import Paper
from chargerd.cli.said import echo, echo_lines
from chargerd.config.loader import DEFAULT_PATH
from chargerd.config.problems import ConfigurationError
from chargerd.config.profiles.library import Library, folders_for, load_library, whereabouts
from chargerd.config.profiles.models import (
    Heartbeat,
    IdentityRegister,
    Inputs,
    LineDefaults,
    Profile,
    ReadBack,
    RelaySection,
    Setting,
    Thermometers,
    TimedOn,
    Timing,
)
from chargerd.config.profiles.register_map import Register
from chargerd.config.rows import Row
from chargerd.config.work import near


@click.command(name="profiles")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=DEFAULT_PATH,
    help="The configuration next to whose profiles.d to look, too.",
)
def command(name: str | None, path: Path, *, as_json: bool) -> None:
    """List the profiles of boards, or show all of the one called NAME.

    Exit code 1 if there is no such profile, or if a file of profiles cannot be read.
    """
    try:
        _tell(load_library(folders_for(path)), name, as_json=as_json)
    except ConfigurationError as error:  # Of the program's own files, one that is wrong shows when it is read.
        _refuse([str(problem) for problem in error.problems], as_json=as_json)


def _tell(library: Library, name: str | None, *, as_json: bool) -> None:
    for note in library.overrides:
        echo(f"note: {note}", err=True)
    if name is None:
        _list(library, as_json=as_json)
    elif name in library.profiles:
        _show(library.profiles[name], library.files[name], as_json=as_json)
    else:
        hint = near(name, library.profiles, "profile")
        _refuse([f"there is no profile {name!r}; {hint}"], as_json=as_json)


def _refuse(problems: list[str], *, as_json: bool) -> NoReturn:
    if as_json:
        echo_lines(json.dumps({"ok": False, "problems": problems}, indent=2))
    else:
        for problem in problems:
            echo(problem, err=True)
    sys.exit(1)


def _summary(profile: Profile, file: str) -> dict[str, object]:
    rows = [{"row": name, "basis": row.basis.value, "tried": row.tried or None} for name, row in profile.rows()]
    return {
        "name": profile.name,
        "title": profile.title,
        "kind": profile.kind,
        "file": file,
        "path": str(whereabouts(file)),
        "source": profile.source,
        "verified": profile.verified,
        "rows": rows,
    }


def _list(library: Library, *, as_json: bool) -> None:
    entries = sorted(library.profiles.items())
    if as_json:
        found = [_summary(profile, library.files[name]) for name, profile in entries]
        echo_lines(json.dumps({"ok": True, "profiles": found}, indent=2))
        return
    table = _table("profile", "has", "board", "tried on hardware", "file")
    for name, profile in entries:
        table.add_row(name, profile.kind, profile.title, _tried(profile), library.files[name])
    console = Paper()
    console.print(table)
    for short, folder in sorted(
        {(Path(file).parent, whereabouts(file).parent) for file in library.files.values()}
    ):
        if short != folder:
            console.print(f"{short}/ in column file is {folder}/", soft_wrap=True)
    console.print("chargerd profiles NAME shows where a profile is from and each of its rows.")


def _tried(profile: Profile) -> str:
    rows = [row for _name, row in profile.rows()]
    tried = sum(bool(row.tried) for row in rows)
    return f"{tried} of {len(rows)} rows"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for place, column in enumerate(columns):
        # The first is a name, to be typed as it stands: it is not broken over lines.
        table.add_column(column, overflow="fold", no_wrap=not place)
    return table


def _show(profile: Profile, file: str, *, as_json: bool) -> None:
    if as_json:
        whole = {**_summary(profile, file), "profile": profile.model_dump(mode="json")}
        echo_lines(json.dumps({"ok": True, **whole}, indent=2))
        return
    console = Paper()
    for line in (
        f"{profile.name}: {profile.title}",
        f"file: {whereabouts(file)}",
        f"source: {profile.source}",
        f"verified: {profile.verified}",
    ):
        console.print(line, soft_wrap=True)
    table = _table("row", "what it says", "from", "tried on hardware")
    for name, row in profile.rows():
        table.add_row(name, _said(row), row.basis.value, row.tried or "no")
    console.print(table)


def _said(row: Row) -> str:
    """Return a row in short: addresses as on the wire."""
    match row:
        case LineDefaults():
            return f"address {row.address}, {row.baudrate} Bd, parity {row.parity.value}, {row.stopbits} stop"
        case Timing():
            times = (row.refresh_ms, row.timeout_ms, row.pre_silence_ms, row.min_period_ms)
            return "refresh {:g}, timeout {:g}, silence {:g}, period {:g} ms".format(*times)
        case Register():
            order = ", low word first" if row.little else ""
            return f"at 0x{row.address:04X}: {row.type.value}{order}, times {row.scale:g}"
        case ReadBack() | Inputs():
            return f"at 0x{row.first:04X}, function {row.function}"
        case _:
            return _said_of_relays(row)


def _said_of_relays(row: Row) -> str:
    match row:
        case RelaySection():
            values = f"0x{row.open_value:04X} opens, 0x{row.close_value:04X} closes"
            place = f"{row.channels} at 0x{row.first:04X}, function {row.write}"
            return f"{place}: {values}, dead-man {row.dead_man.value}"
        case Heartbeat():
            value = f"0x{row.value:04X}, at least every {row.within_ms / 1000:g} s"
            return f"at 0x{row.address:04X}, function {row.write}: {value}"
        case TimedOn():
            span = f"0x{row.base_value:04X} + time, {row.unit_ms} ms each, up to {row.max_value}"
            return f"at 0x{row.first:04X}: {span}"
        case Thermometers():
            return f"{row.channels} at 0x{row.first:04X}, function {row.function}: times {row.scale:g}"
        case IdentityRegister():
            whose = "its own" if row.unique else "its kind's"
            return f"{row.count} from 0x{row.address:04X} on, function {row.function}: {whose}"
        case Setting():
            return f"{row.count} from 0x{row.address:04X} on: {row.value}"
        case _:
            raise TypeError(row)
