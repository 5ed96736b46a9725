"""Why there is no daemon to ask: what it wrote when it ended, and what systemd says of it. Loaded only then."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chargerd.cli.folders import runtime_folder, state_folder

LAST_EXIT = "last-exit.json"
UNIT = "chargerd.service"
ASKED = "LoadState,ActiveState,SubState,Result,ExecMainCode,ExecMainStatus,NRestarts"
ASK_WITHIN = 2.0
"""Seconds systemd may take."""
LOG = "see: journalctl -u chargerd -e"
KILLED = frozenset({"2", "3"})
"""What ends a process by a signal, or with a core dump (`si_code` CLD_KILLED and CLD_DUMPED of waitid)."""


@dataclass(frozen=True, slots=True)
class Absence:
    """Why nobody serves the socket, what to do, and what that was taken from."""

    why: str
    then: str
    last_exit: Mapping[str, Any] | None = None
    systemd: Mapping[str, str] | None = None


def absence(socket: Path) -> Absence:
    """Look why nobody serves a socket."""
    ours = socket.parent == runtime_folder()
    last = _last_exit([socket.parent, *([state_folder()] if ours else [])])
    unit = _unit() if ours else None
    why, then = _by_file(last) if last is not None else ("", "")
    if unit is not None:
        why, then = _by_systemd(unit, why, then)
    if not why:
        then = f"start it with: systemctl start chargerd, or name its socket with --socket; {LOG}"
        why = "nothing tells why"
    return Absence(why, then, last, unit)


def _last_exit(folders: list[Path]) -> dict[str, Any] | None:
    found = []
    for folder in folders:
        path = folder / LAST_EXIT
        try:
            found.append((path.stat().st_mtime, json.loads(path.read_text("utf-8"))))
        except (OSError, ValueError):
            continue
    told = max(found, key=lambda one: one[0])[1] if found else None
    return told if isinstance(told, dict) else None


def _by_file(last: Mapping[str, Any]) -> tuple[str, str]:
    at = f" at {last['at']}" if last.get("at") else ""
    match last.get("state"):
        case "refused":
            problems = last.get("problems") or ["it could not start"]
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            then = "correct it, see: chargerd check; then: systemctl restart chargerd"
            return f"it has refused to start{at}: {problems[0]}{more}", then
        case "failed":
            return f"it gave up{at}: {last.get('reason')}", f"{LOG}; then: systemctl start chargerd"
        case "stopped":
            return f"it was stopped in order{at}", "start it: systemctl start chargerd"
        case "running" if _alive(last.get("pid")):
            return f"it is just starting or ending, as process {last.get('pid')}", f"wait some seconds; {LOG}"
        case _:
            why = f"it ended without a word, some time after it began{at}: it was killed, or the power was cut"
            return why, f"{LOG}; start it: systemctl start chargerd"


def _alive(pid: object) -> bool:
    return isinstance(pid, int) and Path(f"/proc/{pid}").exists()


def _unit() -> dict[str, str] | None:
    """Return what systemd knows of the service; `None` where there is no systemd, or none that answers."""
    program = shutil.which("systemctl")
    if program is None or not Path("/run/systemd/system").is_dir():
        return None
    command = [program, "show", UNIT, f"--property={ASKED}"]
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        told = subprocess.run(  # noqa: S603 - a fixed command of the system's own
            command, capture_output=True, text=True, timeout=ASK_WITHIN, check=False, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return dict(line.split("=", 1) for line in told.stdout.splitlines() if "=" in line) or None


def _by_systemd(unit: Mapping[str, str], why: str, then: str) -> tuple[str, str]:
    if unit.get("LoadState") == "masked":
        return "its service is masked: nobody can start it", "systemctl unmask chargerd; systemctl start chargerd"
    if unit.get("LoadState") == "not-found":
        return (why or "this machine has no service chargerd"), (then or "install the package, or run it by hand")
    ended = _ended(unit)
    if unit.get("SubState") == "auto-restart":
        return f"{why or ended}; systemd tries again ({unit.get('NRestarts')} times so far)", then or LOG
    if not why or why.startswith("it ended without a word"):
        return ended or why, then or f"{LOG}; start it: systemctl start chargerd"
    return why, then


def _ended(unit: Mapping[str, str]) -> str:
    status = unit.get("ExecMainStatus", "0")
    if unit.get("ExecMainCode") in KILLED:
        because = " by the watchdog" if unit.get("Result") == "watchdog" else ""
        return f"it was killed{because}, by signal {status}"
    if unit.get("Result") == "oom-kill":
        return "it was killed since the machine has run out of memory"
    return f"it ended with exit code {status}" if status != "0" else ""
