"""`chargerctl prove`: the wiring proof, step by step, with somebody who carries a load from socket to socket."""

import getpass
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from chargerd.cli.ctl_lines import Connect, Option, paragraph, width_of_terminal
from chargerd.cli.fields import entries
from chargerd.cli.proof_words import RESULTS, Told, distinct, figure, not_tested, remedy, sentence, subject
from chargerd.cli.said import echo, echo_prompt
from chargerd.control.client import ControlClient

FINDINGS, INCOMPLETE = 4, 5
CODES = {"proved": 0, "findings": FINDINGS, "incomplete": INCOMPLETE}
EPILOG = (
    "Example: chargerctl prove --load 100 --ports A01,A02 --report proof.pdf. "
    "Exit codes: 0 proved, 1 refused, 3 the daemon does not run, 4 something is wrong, 5 not all was tested."
)
WORDS = {
    "": "ready", "r": "ready", "ready": "ready", "s": "skip", "skip": "skip",
    "y": "yes", "yes": "yes", "n": "no", "no": "no",
}  # fmt: skip
"""What a person may type."""
DOING = {
    "close": "{port}: its relay closes, all meters are looked at",
    "search": "{port}: its relay closes; does it feed that socket?",
    "renew": "{port}: the lease of board {board} is renewed; watch the load, it must not go out for a moment",
    "off": "{port}: opened plainly, while its lease has seconds to run",
    "lapse": "{port}: closed again and not renewed; board {board} has to open by itself",
}
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


class _Stopped(Exception):  # noqa: N818 - named for what it says
    """The person does not go on."""


def command(connect: Connect, as_json: Option, complete_port: Complete) -> click.Command:
    """Return the command."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(before + comma + str(one.value)) for one in complete_port(ctx, param, last)]

    @click.command(epilog=EPILOG)
    @click.option("--ports", metavar="A,B,...", shell_complete=complete, help="Only these.  [default: all]")
    @click.option(
        "--load",
        "load_w",
        type=click.FloatRange(0, 3500, min_open=True),
        metavar="WATTS",
        help="What the load draws, as it is written on it: shows factors and the order of words.",
    )
    @click.option("--each", is_flag=True, help="There is one load in every socket, instead of one that is moved.")
    @click.option("--yes", is_flag=True, help="Ask nothing: all loads are in place. For one port, or with --each.")
    @click.option("--anew", is_flag=True, help="Begin anew, also what was broken off.")
    @click.option("--by", metavar="NAME", help="Who proves, as the report says it.  [default: who is logged in]")
    @click.option("--show", is_flag=True, help="Close nothing: show the newest proof again.")
    @click.option(
        "--report",
        "report_path",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write the report: FILE ends in .pdf, .html or .json.",
    )
    @as_json
    @click.pass_obj
    def prove(
        path: Path,
        /,
        *,
        ports: str | None,
        yes: bool,
        show: bool,
        report_path: Path | None,
        as_json: bool,
        **how: Any,
    ) -> None:
        """Prove the wiring: close one relay at a time and see which meter moves, and how much.

        Put a load you know (a lamp or heater of 40 W or more) into the socket that is named. What protects a
        session protects it here; other ports charge on. Ctrl-C opens everything and keeps what was seen: the same
        command goes on with it.
        """
        named = None if ports is None else [name for name in ports.split(",") if name]
        if yes and not how["each"] and (named is None or len(named) != 1):
            raise click.UsageError("--yes asks nobody to move the load: name one port, or have one in --each")
        _check_path(report_path)
        given = {"ports": named, "asks": not yes, **how, "by": how["by"] or _user()}
        with connect(path, as_json=as_json) as client:
            if show:
                report = client.call("prove-report")
            else:
                report = _followed(client, _Talk(path, yes=yes, as_json=as_json), given)
        if as_json and show:
            echo(json.dumps(report))
        elif not as_json:
            tell(report, width_of_terminal())
        if report_path is not None:
            write(report, report_path)
        sys.exit(CODES.get(str(report["result"]), INCOMPLETE))

    return prove


def _followed(client: ControlClient, talk: "_Talk", given: dict[str, Any]) -> Any:
    """Go through a proof and return its report; leaves if the person does not go on."""
    try:
        return talk.run(client, {name: one for name, one in given.items() if one is not None})
    except (_Stopped, KeyboardInterrupt):
        echo("broken off: everything is opened, what was seen is kept; go on with the same command", err=True)
        sys.exit(INCOMPLETE)


def _check_path(path: Path | None) -> None:
    """Refuse a report nobody could write, before an hour's work. Raises `click.UsageError`."""
    if path is None:
        return
    if path.suffix not in {".pdf", ".html", ".json"}:
        raise click.UsageError("--report: the file's name ends in .pdf, .html or .json")
    if not path.absolute().parent.is_dir():
        raise click.UsageError(f"--report: there is no folder {path.absolute().parent}")


def write(report: Told, path: Path) -> None:
    """Write a report as its file's name ends. Leaves with 1 if that is not possible."""
    from chargerd.cli.report_files import ReportError, written  # noqa: PLC0415 - loaded where one is written

    try:
        path.write_bytes(written(report, path.suffix))
    except (OSError, ReportError) as error:
        echo(f"chargerctl: {path}: {error}", err=True)
        sys.exit(1)
    echo(f"report written: {path}", err=True)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


class _Talk:
    """One proof as a person follows it."""

    def __init__(self, path: Path, *, yes: bool, as_json: bool) -> None:
        self._path = path
        self._yes = yes
        self._as_json = as_json
        self._proof = ""
        self._labels: dict[str, str] = {}

    def run(self, client: ControlClient, params: dict[str, Any]) -> Any:
        """Go through it; return the report. Raises `ControlFailure`, `KeyboardInterrupt`, `_Stopped`."""
        self._labels = {str(one["port"]): str(one["label"]) for one in entries(client.call("status")["ports"])}
        for told in client.stream("prove", **params):
            if self._as_json:
                echo(json.dumps(told))
                sys.stdout.flush()
            if "report" in told:
                return told["report"]
            if "proof" in told:
                self._begin(told)
            elif "ask" in told:
                self._answer(told)
            elif not self._as_json:
                for line in self._said(told):
                    self._print(line)
        raise _Stopped

    def _begin(self, told: Told) -> None:
        self._proof = str(told["proof"])
        if self._as_json:
            return
        done, ports = list(told["done"]), list(told["ports"])
        load = "" if told["load_w"] is None else f", load {figure(told['load_w'], 'w')}"
        self._print(
            f"Wiring proof of {len(ports)} port{'s' if len(ports) > 1 else ''}{load}. Ctrl-C opens everything."
        )
        if done:
            self._print(f"Goes on where it was broken off; done: {', '.join(done)}. From the beginning: --anew")

    def _answer(self, told: Told) -> None:
        answers = set(told["answers"])
        while True:
            word = "ready" if self._yes and "ready" in answers else self._typed(told, answers)
            if word in answers:
                break
            self._print(f"answer one of: {', '.join(sorted(answers))}")
        with ControlClient(self._path) as asking:
            asking.call("prove-answer", proof=self._proof, answer=word)

    def _typed(self, told: Told, answers: set[str]) -> str:
        if self._as_json:
            line = sys.stdin.readline()
        else:
            self._print(_question(told, self._labels))
            line = self._read(
                "  [Enter] ready, [s] skip, [q] stop: " if "ready" in answers else "  [y]es, [n]o, [q] stop: "
            )
        word = line.strip().casefold()
        if not line or word in {"q", "quit"}:
            raise _Stopped
        if word == "" and "ready" not in answers:
            return ""
        return WORDS.get(word, "")

    @staticmethod
    def _read(prompt: str) -> str:
        echo_prompt(prompt)
        return sys.stdin.readline()

    def _print(self, text: str) -> None:
        stream_error = self._as_json
        for line in paragraph(text, width_of_terminal()):
            echo(line, err=stream_error)

    def _said(self, told: Told) -> Iterator[str]:
        doing, port = str(told["doing"]), str(told["port"])
        findings = entries(told["findings"])
        if doing in DOING:
            yield "  " + DOING[doing].format(port=port, board=told["board"])
        elif doing == "shown":
            power = told["power_w"]
            yield f"  {port}: its meter shows {figure(power, 'w') if power is not None else 'nothing'}"
        else:
            name = port if doing == "port" else f"board {told['board']}"
            if not findings:
                yield f"{name}: proved" if doing == "port" else f"{name}: lease tested"
            for finding in findings:
                yield f"{name}: WRONG: {sentence(finding)}"
                yield f"  {remedy(finding)}"


def _question(told: Told, labels: dict[str, str]) -> str:
    port = str(told["port"])
    label = labels.get(port, port)
    name = port if label == port else f"{port} ({label})"
    if told["ask"] == "plug":
        return f"Put the load into socket {name}, switch it on, and leave the other sockets of this proof empty."
    if told["ask"] == "plug_all":
        return "Put a load into every socket of this proof, and switch them on."
    return f"Did the load in {name} run without going out, not even for a moment, until it was switched off?"


def tell(report: Told, width: int) -> None:
    """Print a report in short: the result first, then what is wrong with its remedy, then what was not tested."""
    for line in told_lines(report, width):
        echo(line)


def _result(report: Told, findings: Sequence[Told]) -> str:
    """Return how it has ended: by what is wrong first, if anything is."""
    if not findings:
        return RESULTS.get(str(report["result"]), str(report["result"]))
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"WRONG: {subject(findings[0])}: {sentence(findings[0])}{more}"


def told_lines(report: Told, width: int) -> Iterator[str]:
    """Yield the lines of a report in short."""
    findings = distinct(entries(report["findings"]))
    yield ""
    yield from paragraph(f"RESULT: {_result(report, findings)}", width)
    for finding in findings:
        if len(findings) > 1:
            yield from paragraph(f"{subject(finding)}: {sentence(finding)}", width)
        yield from ("  " + line for line in paragraph(f"do: {remedy(finding)}", width - 2))
    wrong = {str(finding.get("port")) for finding in findings}
    good = [str(port["port"]) for port in entries(report["ports"]) if port["result"] == "proved"]
    if good:
        yield from paragraph(f"proved: {', '.join(good)}", width)
    for board in entries(report["boards"]):
        if board["proved"]:
            yield from paragraph(f"board {board['board']}: opens by itself, proved", width)
    left = [str(port["port"]) for port in entries(report["ports"]) if port["port"] not in {*wrong, *good}]
    if left:
        yield from paragraph(f"not proved yet: {', '.join(left)}", width)
    yield "Not tested:"
    for one in entries(report["not_tested"]):
        yield from ("  " + line for line in paragraph(not_tested(one), width - 2))
