"""`chargerd run`: the daemon."""

import os
import sys
from pathlib import Path

import click

from chargerd import log
from chargerd.config.loader import DEFAULT_PATH, load
from chargerd.config.problems import ConfigurationError
from chargerd.runtime.logqueue import LogQueue


def _folder(variable: str, default: str) -> Path:
    """Return the folder systemd made for us, or the usual place."""
    # systemd separates several folders by colons; the unit asks for one.
    return Path(os.environ.get(variable, default).split(":")[0])


def state_folder() -> Path:
    """Return where the journal lives."""
    return _folder("STATE_DIRECTORY", "/var/lib/chargerd")


@click.command(name="run")
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=DEFAULT_PATH,
    show_default=True,
    help="Configuration.",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=state_folder,
    show_default="$STATE_DIRECTORY or /var/lib/chargerd",
    help="Where the journal lives.",
)
@click.option(
    "--runtime-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: _folder("RUNTIME_DIRECTORY", "/run/chargerd"),
    show_default="$RUNTIME_DIRECTORY or /run/chargerd",
    help="Where the control socket appears.",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
def command(path: Path, state_dir: Path, runtime_dir: Path, log_level: str) -> None:
    """Run the daemon until it is told to stop. Exit code 1 if it cannot, 70 if it had to give up."""
    lines = LogQueue(sys.stdout)
    _configure_logging(log_level, lines)
    try:
        site = load(path)
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(1)
    from chargerd.daemon import Daemon, StartError  # noqa: PLC0415 - a bad configuration is told without the rest

    try:
        daemon = Daemon(site, state_dir=state_dir, runtime_dir=runtime_dir)
    except StartError as error:
        click.echo(f"chargerd: {error}", err=True)
        sys.exit(1)
    code = daemon.run()
    lines.close(1.0)
    sys.exit(code)


def _configure_logging(level: str, lines: LogQueue) -> None:
    """One event a line on stdout: JSON for machines, columns on a terminal."""
    sink = log.as_columns if sys.stdout.isatty() else log.as_json
    log.configure(log.Level[level.upper()], sink(lines.write))
