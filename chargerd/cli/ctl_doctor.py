"""`chargerctl doctor`: everything around the decisions that can be wrong, each with its remedy.

The daemon looks itself, since what matters is what it may do as its own user. If it does not run, what can be seen
from outside is looked at here, as its user would see it.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from chargerd import __version__
from chargerd.cli.ctl_lines import Connect, Option, paragraph, width_of_terminal
from chargerd.cli.fields import Fields, entries, table
from chargerd.cli.said import echo
from chargerd.control.client import ControlClient, DaemonNotRunning

FAULTS, NOT_RUNNING = 1, 3
WORST_FIRST = ("fault", "warning", "ok")
COLOURS = {"fault": "red", "warning": "yellow", "ok": "green"}
CONFIGURATION = Path("/etc/chargerd/chargerd.yaml")
STATE = Path("/var/lib/chargerd")


def command(connect: Connect, as_json: Option) -> click.Command:
    """Return the command."""

    @click.command(epilog="Example: chargerctl doctor --faults. Exit code 1 if anything is at fault.")
    @click.option("--faults", "only_wrong", is_flag=True, help="Leave out what is well.")
    @click.option(
        "--config",
        "configuration",
        type=click.Path(path_type=Path),
        default=CONFIGURATION,
        help="The configuration, if the daemon does not run.  [default: /etc/chargerd/chargerd.yaml]",
    )
    @as_json
    @click.pass_obj
    def doctor(path: Path, configuration: Path, *, only_wrong: bool, as_json: bool) -> None:
        """Look at clock, disk, lines, permissions, broker, certificates, watchdog, boards and configuration.

        Each line is ok, a warning or a fault, with the remedy; the worst come first.
        """
        running = _runs(path)
        if running:
            with connect(path, as_json=as_json) as client:
                told = client.call("doctor")
                version = str(client.hello()["version"])
            checks = [*entries(told["checks"]), *_other_version(version), *_content(told["configuration"])]
        else:
            checks = [_not_running(), *_from_outside(configuration)]
        shown = sorted(checks, key=lambda check: WORST_FIRST.index(str(check["verdict"])))
        if only_wrong:
            shown = [check for check in shown if check["verdict"] != "ok"]
        if as_json:
            echo(json.dumps({"running": running, "checks": [dict(check) for check in shown]}))
        else:
            _print(shown, len(checks))
        if not running:
            sys.exit(NOT_RUNNING)
        if any(check["verdict"] == "fault" for check in checks):
            sys.exit(FAULTS)

    return doctor


def _runs(path: Path) -> bool:
    """Say whether somebody serves the socket; one that may not be used is left to whoever says so."""
    try:
        with ControlClient(path):
            return True
    except DaemonNotRunning as error:
        return error.code == "permission"


def _not_running() -> dict[str, Any]:
    then = "start it: systemctl start chargerd; see why it ended: journalctl -u chargerd -e"
    return {"about": "daemon", "verdict": "fault", "what": "it does not run", "then": then}


def _other_version(version: str) -> list[dict[str, Any]]:
    if version == __version__:
        return []
    what = f"the daemon runs version {version}, this is {__version__}"
    return [{"about": "version", "verdict": "warning", "what": what, "then": "sudo systemctl restart chargerd"}]


def _content(used: Fields) -> list[dict[str, Any]]:
    """Look at the configuration's file: reading it takes longer than a daemon should be kept from its lines."""
    if used["path"] is None:
        return []
    from chargerd.runtime.local.doctor import as_plain  # noqa: PLC0415 - the daemon's own, loaded if needed
    from chargerd.runtime.local.examine_site import of_content  # noqa: PLC0415 - see above

    found = dict(as_plain(of_content(Path(str(used["path"])), str(used["digest"]))))
    refused = table(
        used.get("refused")
    )  # A file that looks good from here may lack what the daemon was not given.
    return [dict(refused) if refused and found["verdict"] != "fault" else found]


def _from_outside(configuration: Path) -> list[dict[str, Any]]:
    """Look at what can be seen without the daemon: machine, file, lines, and whether its user may use them."""
    from chargerd.config.devices import daemon_user, this_user  # noqa: PLC0415 - the daemon's own, loaded if needed
    from chargerd.config.loader import load  # noqa: PLC0415 - see above
    from chargerd.config.problems import ConfigurationError  # noqa: PLC0415 - see above
    from chargerd.runtime.local.doctor import as_plain  # noqa: PLC0415 - see above
    from chargerd.runtime.local.examine import Check, of_machine, warning  # noqa: PLC0415 - see above
    from chargerd.runtime.local.examine_site import of_content, of_file, of_site  # noqa: PLC0415 - see above
    from chargerd.runtime.process.clock import SystemClock  # noqa: PLC0415 - see above

    user = daemon_user()
    checks: list[Check] = [*of_machine(STATE, SystemClock().moment().clock)]
    if user is None:
        then = "install the package, or: sudo useradd --system --groups dialout chargerd"
        checks.append(warning("user", "this machine has no user chargerd for the daemon", then))
    file = of_file(configuration, user or this_user())
    checks.append(of_content(configuration, None) if file is None else file)
    with suppress(ConfigurationError):  # Said above, with its place.
        checks += of_site(load(configuration), user or this_user())
    return [dict(as_plain(check)) for check in checks]


def _print(checks: Sequence[Fields], looked: int) -> None:
    width = width_of_terminal()
    for check in checks:
        for place, line in enumerate(_lines(check, width)):
            first = place == 0 and sys.stdout.isatty()
            echo(
                click.style(line, fg=COLOURS[str(check["verdict"])])
                if first and check["verdict"] != "ok"
                else line
            )
    counts = {verdict: sum(check["verdict"] == verdict for check in checks) for verdict in WORST_FIRST}
    wrong = f"{counts['fault']} at fault, {counts['warning']} to be looked at"
    echo(f"{looked} looks: {wrong}" if counts["fault"] or counts["warning"] else f"{looked} looks, all is well")


def _lines(check: Fields, width: int) -> Iterator[str]:
    verdict = str(check["verdict"])
    mark = verdict if verdict == "ok" else verdict.upper()
    then = f"; {check['then']}" if check["then"] else ""
    yield from paragraph(f"{mark:<7} {check['about']}: {check['what']}{then}", width, indent=8)
