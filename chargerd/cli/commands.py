"""All commands of `chargerd`, each imported only when it is called."""

import importlib
import sys

import click

from chargerd import __version__
from chargerd.cli.chargerd import QUICK
from chargerd.cli.groups import Group

COMMANDS = {
    "simulate": "chargerd.cli.simulate",
    "check": "chargerd.cli.check",
    "contract": "chargerd.cli.contract",
    "demo": "chargerd.cli.demo",
    "operator": "chargerd.cli.operator",
    "profiles": "chargerd.cli.profiles",
    "report": "chargerd.cli.report",
    "self-test": "chargerd.cli.self_test",
    "shutdown": "chargerd.cli.shutdown",
    "stop": "chargerd.cli.stop",
}
"""Modules with a click command named `command`."""


class Lazy(Group):
    """A group of the commands above, and of the quick ones, which read their options themselves."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*COMMANDS, *QUICK])

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name in QUICK:
            return _quick(cmd_name)
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command


def _quick(name: str) -> click.Command:
    module = importlib.import_module(QUICK[name])

    @click.command(
        name,
        help=module.PURPOSE,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    @click.pass_context
    def command(ctx: click.Context) -> None:
        sys.exit(module.main(ctx.args))

    return command


@click.command(cls=Lazy)
@click.version_option(__version__, prog_name="chargerd")
def group() -> None:
    """Charging station controller for e-bikes."""
