"""What the commands print: nothing in it does anything to the terminal, whoever it comes from."""

import click

from chargerd.core.text import visible, visible_lines


def echo(text: object, *, err: bool = False) -> None:
    """Print one line, on stderr if `err`."""
    click.echo(visible(str(text)), err=err)


def echo_lines(text: str) -> None:
    """Print lines that were made here."""
    click.echo(visible_lines(text))
