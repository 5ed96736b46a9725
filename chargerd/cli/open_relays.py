"""`chargerd open-relays`: open every relay with nothing of the daemon alive. systemd calls it after a crash."""

import sys
from pathlib import Path

import click

from chargerd.cli.run import state_folder
from chargerd.modbus.emergency import RELAYS_FILE, open_relays
from chargerd.runtime.clock import SystemClock


@click.command(name="open-relays")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=state_folder,
    show_default="$STATE_DIRECTORY or /var/lib/chargerd",
    help="Where the daemon keeps its list of relays.",
)
def command(state_dir: Path) -> None:
    """Open every relay the daemon last knew of.

    Not while the daemon runs: it holds the lines. Exit code 1 if any board did not confirm.
    """
    path = state_dir / RELAYS_FILE
    if not path.exists():
        click.echo(f"{path} is not there: no daemon has run yet, so nothing is to be opened", err=True)
        return
    try:
        left = open_relays(path, SystemClock())
    except (OSError, ValueError) as error:
        click.echo(f"chargerd open-relays: {error}", err=True)
        sys.exit(1)
    if left:
        who = f"no answer from the relays of {', '.join(left)}"
        then = "if chargerd runs, it holds the lines: stop it and try again; else switch the circuit off by hand"
        click.echo(f"{who}; {then}", err=True)
        sys.exit(1)
    click.echo("every relay has confirmed that it is open")
