"""Writes manual pages and completions of the two commands, from what the commands say of themselves."""

import argparse
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from chargerd.cli.chargerctl import main as chargerctl
from chargerd.cli.chargerd import QUICK
from chargerd.cli.commands import group as chargerd

PAGES = {"chargerd": (8, chargerd), "chargerctl": (1, chargerctl)}
SHELLS = {
    "bash": "bash-completion/completions/{}",
    "zsh": "zsh/vendor-completions/_{}",
    "fish": "fish/vendor_completions.d/{}.fish",
}
FILES = {
    "chargerd": (
        ("/etc/chargerd/chargerd.yaml", "The configuration of the site."),
        ("/etc/chargerd/credentials/", "Secrets that the unit hands to the daemon, by name."),
        ("/var/lib/chargerd/journal.db", "Open sessions, settlements, latches; never to be deleted."),
        ("/usr/share/doc/chargerd/", "The manual."),
    ),
    "chargerctl": (
        ("/run/chargerd/chargerctl.sock", "Where the daemon listens, for members of the group chargerd."),
    ),
}
ALSO = {"chargerd": "chargerctl(1), systemctl(1), journalctl(1)", "chargerctl": "chargerd(8)"}


def man_page(name: str, version: str, date: str) -> str:
    """Return the page of a command in roff(7), its subcommands in it."""
    section, group = PAGES[name]
    context = click.Context(group, info_name=name)
    summary = _paragraphs(group)[0].rstrip(".")
    lines = [
        f'.TH {name.upper()} {section} {date} "chargerd {_roff(version)}" "chargerd"',
        ".SH NAME",
        f"{name} \\- {_roff(summary[0].lower() + summary[1:])}",
        ".SH SYNOPSIS",
        f".B {name}\n{_roff(' '.join(group.collect_usage_pieces(context)))}",
        ".SH DESCRIPTION",
        *_body(_paragraphs(group)),
        ".SH OPTIONS",
        *_options(group, context),
        ".SH COMMANDS",
        *_commands(group, context, name),
        ".SH FILES",
    ]
    for path, what in FILES[name]:
        lines += [".TP", f".I {_roff(path)}", _roff(what)]
    return "\n".join([*lines, ".SH SEE ALSO", ALSO[name], ""])


def completions(share: Path) -> None:
    """Write the completions of both commands for each shell below /usr/share."""
    for shell, place in SHELLS.items():
        kind = get_completion_class(shell)
        assert kind is not None, shell
        for name, (_section, group) in PAGES.items():
            path = share / place.format(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(kind(group, {}, name, f"_{name.upper()}_COMPLETE").source())


def _commands(group: click.Group, context: click.Context, path: str) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if command.hidden:
            continue
        under = click.Context(command, info_name=name, parent=context)
        if path == "chargerd" and name in QUICK:
            yield from _quick(name)
        elif isinstance(command, click.Group):
            yield from _commands(command, under, f"{path} {name}")
        else:
            usage = " ".join([f"{path} {name}", *command.collect_usage_pieces(under)])
            yield f".SS {_roff(usage)}"
            yield from _body(_paragraphs(command))
            yield from _options(command, under)
            if command.epilog:
                yield from (".PP", _roff(command.epilog))


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1] and "--help" not in parameter.opts:
            yield from (".TP", f".B {_roff(record[0])}", _roff(record[1]))


def _quick(name: str) -> Iterator[str]:
    """Tell of a command that reads its options without click."""
    parser: argparse.ArgumentParser = importlib.import_module(QUICK[name]).parser()
    yield f".SS {_roff(f'{parser.prog} [OPTIONS]')}"
    yield _roff(parser.description or "")
    for action in parser._actions:  # noqa: SLF001 - there is no public way to ask a parser for its options
        if action.dest == "help":
            continue
        values = action.metavar or "|".join(map(str, action.choices or ()))
        what = (action.help or "") % {"default": action.default}
        yield from (".TP", f".B {_roff(f'{action.option_strings[0]} {values}')}", _roff(what))


def _paragraphs(command: click.Command) -> list[str]:
    text = inspect.cleandoc(command.help or "")
    return [re.sub(r"\s+", " ", one.replace("\b", "")).strip() for one in re.split(r"\n\s*\n", text)]


def _body(paragraphs: list[str]) -> Iterator[str]:
    for number, paragraph in enumerate(paragraphs):
        yield from ((".PP",) if number else ())
        yield _roff(paragraph)


def _roff(text: str) -> str:
    """Escape what roff reads as its own; a line of text never begins with a dot."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)
