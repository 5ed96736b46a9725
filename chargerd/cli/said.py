"""What the commands print: nothing in it does anything to the terminal, whoever it comes from."""

import sys

import click

from chargerd.text import visible, visible_lines


def echo(text: object, *, err: bool = False) -> None:
    """Print one line, on stderr if `err`."""
    click.echo(visible(str(text)), err=err)


def echo_lines(text: str, *, err: bool = False) -> None:
    """Print lines that were made here, on stderr if `err`."""
    click.echo(visible_lines(text), err=err)


def echo_prompt(text: str) -> None:
    """Print what somebody is to answer on the same line."""
    click.echo(visible(text), nl=False)


def echo_progress(text: str) -> None:
    """Print how far something is, over what was printed so before, on stderr; an empty text wipes it out."""
    click.echo("\r\x1b[K" + visible(text), nl=False, err=True)


def echo_over(text: str, *, last: bool) -> None:
    """Print a line over the one before where there is a terminal, else below it."""
    live = sys.stdout.isatty()
    click.echo(("\r" if live else "") + visible(text), nl=last or not live)
