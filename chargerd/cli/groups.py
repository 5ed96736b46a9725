"""Groups of commands, and what is often typed in the wrong place."""

import click


class Group(click.Group):
    """A group that says where `--json` belongs: each command has its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before the command. Raises `click.UsageError`."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name != "--json":
                raise
            rest = " ".join(one for one in given if one != "--json") or "COMMAND"
            hint = f"put --json after the command: {ctx.command_path} {rest} --json"
            raise click.UsageError(hint, ctx) from error
