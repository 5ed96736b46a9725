"""The command `chargerd`: runs the daemon, checks a configuration, shows the demo."""

import importlib

import click

from chargerd import __version__

COMMANDS = {
    "run": "chargerd.cli.run",
    "simulate": "chargerd.cli.simulate",
    "check": "chargerd.cli.check",
    "contract": "chargerd.cli.contract",
    "demo": "chargerd.cli.demo",
    "open-relays": "chargerd.cli.open_relays",
    "profiles": "chargerd.cli.profiles",
}
"""Where each command lives; imported only when called, so that the daemon carries nothing it does not use."""


class Lazy(click.Group):
    """A group whose commands are modules with a click command named `command`."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command


@click.command(cls=Lazy)
@click.version_option(__version__, prog_name="chargerd")
def main() -> None:
    """Charging station controller for e-bikes."""
