"""`chargerd report`: makes HTML or PDF of a wiring proof's JSON, on any computer; no daemon is asked."""

import sys
from pathlib import Path
from typing import NoReturn

import click

from chargerd.cli.report_files import ReportError, read, written
from chargerd.cli.said import echo


@click.command(
    name="report",
    epilog="Example: chargerd report proof.json --to proof.pdf. Exit code 1 if it cannot be read or written.",
)
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.json")
@click.option(
    "--to",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to: the name ends in .html or .pdf.  [default: FILE.html]",
)
def command(path: Path, to: Path | None) -> None:
    """Make the report of a wiring proof, as HTML or PDF, from what `chargerctl prove` has written as JSON."""
    to = path.with_suffix(".html") if to is None else to
    if to.absolute() == path.absolute():
        raise click.UsageError("--to is the file itself; name another one")
    try:
        report = read(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ReportError) as error:
        _refuse(path, error)
    try:
        to.write_bytes(written(report, to.suffix))
    except (OSError, ReportError) as error:
        _refuse(to, error)
    echo(f"written: {to}")


def _refuse(path: Path, error: Exception) -> NoReturn:
    """Say what is wrong with a file, and leave."""
    what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    echo(f"chargerd report: {path}: {what}", err=True)
    sys.exit(1)
