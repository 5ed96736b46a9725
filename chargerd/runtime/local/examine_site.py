"""What `chargerctl doctor` looks at of a site: lines and files as the daemon's user sees them, certificates."""

import os
import stat
from collections.abc import Container, Iterator
from pathlib import Path

from chargerd.config.adapters import by_path, goes_by_order
from chargerd.config.credentials import is_roots
from chargerd.config.devices import User, may_read, trouble_with
from chargerd.config.document import MqttSection
from chargerd.config.loader import load
from chargerd.config.plans import is_leased
from chargerd.config.problems import ConfigurationError, Problem
from chargerd.config.site import Board, Site
from chargerd.core.plan import LEASES, DeadMan
from chargerd.core.units import BoardId
from chargerd.runtime.local.examine import Check, fault, ok, warning

DAY_MS = 86_400_000
SOON = 30 * DAY_MS
"""A certificate that ends within a month is renewed now."""
PROC = Path("/proc")


def of_site(site: Site, user: User, proved: Container[BoardId] = ()) -> Iterator[Check]:
    """Look at lines, boards, and the files that the broker's section names."""
    for name, bus in site.buses.items():
        if bus.serial is not None:
            yield from _serial(f"line {name}", bus.serial, user)
    for board in site.boards.values():
        if board.profile.relay is not None:
            yield _dead_man(board, proved=board.id in proved)
    if site.mqtt is not None:
        yield from _secrets(site.mqtt, user)


def _serial(about: str, device: str, user: User) -> Iterator[Check]:
    trouble = trouble_with(device, user)
    if trouble is not None:
        yield fault(about, *trouble)
        return
    others = sorted(_others(device))
    if others:
        yield fault(about, f"{device} is open in {', '.join(others)} as well", "end it: it takes our answers away")
    elif goes_by_order(device):
        stable = by_path(device)
        then = "write its name in /dev/serial/by-path" if stable is None else f"write {stable} instead"
        yield warning(about, f"{device} is whichever adapter is found first", then)
    else:
        yield ok(about, f"{device} is there, and {user.name} may use it")


def _others(device: str, proc: Path = PROC) -> Iterator[str]:
    """Yield other programs that have a device open, as far as this user is shown them."""
    real = os.path.realpath(device)
    for process in proc.glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            opened = {str(link.readlink()) for link in (process / "fd").iterdir()}
            if real in opened:
                yield f"{(process / 'comm').read_text(encoding='utf-8').strip()} (pid {process.name})"
        except OSError:
            continue  # Somebody else's, or it has just ended.


_OPENS = {
    DeadMan.TIMED_ON: "closes for a time only",
    DeadMan.HEARTBEAT: "opens all its relays when nobody renews that any more",
    DeadMan.POLL_TIMEOUT: "opens when nobody asks it any more",
}


def _dead_man(board: Board, *, proved: bool) -> Check:
    about, relay = f"board {board.id}", board.profile.relay
    assert relay is not None
    if relay.dead_man is DeadMan.NONE:
        then = "rely on a contactor or a time switch behind it, or take a board that has one"
        return warning(about, "it has no dead-man: its relays stay as they are if the gateway dies", then)
    if relay.dead_man in LEASES and not is_leased(board):
        then = "leave lease: off out, unless this board is known to need it"
        return warning(about, "its dead-man is switched off by the configuration", then)
    shown = "; proved on site" if proved else "; not proved on site yet (chargerctl prove)"
    return ok(about, f"it {_OPENS[relay.dead_man]}{shown if relay.dead_man in LEASES else ''}")


def _secrets(mqtt: MqttSection, user: User) -> Iterator[Check]:
    """Look at the files of the broker's section: readable for the daemon, the secret ones for nobody else."""
    tls = mqtt.tls
    named = [("password_file", mqtt.password_file, True)]
    if tls is not None:
        named += [
            ("tls.ca", tls.ca, False),
            ("tls.certificate", tls.certificate, False),
            ("tls.key", tls.key, True),
        ]
    for key, name, secret in named:
        if name is not None:
            yield _file(f"mqtt.{key}", Path(name), user, secret=secret)


def _file(about: str, path: Path, user: User, *, secret: bool) -> Check:
    try:
        mode, readable = path.stat().st_mode, may_read(path, user)
    except PermissionError:
        return warning(about, f"{path} may not be looked at by you: nobody knows whether it is there", "use sudo")
    except OSError as error:
        return fault(about, f"{path}: {error.strerror}", "put it there, or name the file that is")
    if is_roots(path):
        return ok(about, f"{path} is handed to the daemon by systemd, and to nobody else")
    if not readable:
        then = f"sudo chgrp {user.name} {path}; sudo chmod 640 {path}"
        return fault(about, f"{path} may not be read by {user.name}", then)
    if secret and mode & stat.S_IROTH:
        return fault(about, f"{path} may be read by everybody on this machine", f"sudo chmod o-rwx {path}")
    return ok(about, f"{path} is readable for {user.name}" + (", and for nobody else" if secret else ""))


def of_certificates(mqtt: MqttSection, now_ms: int) -> Iterator[Check]:
    """Look whether the files of TLS are what they are to be, and until when the certificates are good."""
    from chargerd.mqtt.certificates import KeyFiles, unusable  # noqa: PLC0415 - loads OpenSSL: few have need of it

    for bad in () if mqtt.tls is None else unusable(mqtt.tls):
        yield fault(bad.key, f"{bad.path} {bad.why}", "put the right file there; it is taken within a minute")
    for one in KeyFiles(mqtt).expiries():
        about, left = f"certificate {one.role}", one.expires_ms - now_ms
        who = one.subject or "without a name"
        if left < 0:
            yield fault(
                about, f"{who} ended {-left // DAY_MS} days ago", "have it renewed, and put it in its place"
            )
        elif left < SOON:
            yield warning(about, f"{who} ends in {left // DAY_MS} days", "have it renewed")
        else:
            yield ok(about, f"{who} is good for {left // DAY_MS} days")


def of_file(path: Path, user: User) -> Check | None:
    """Look at the configuration's file itself; `None` if all is well with that."""
    about = "configuration"
    try:
        mode, readable = path.stat().st_mode, may_read(path, user)
    except OSError as error:
        return fault(about, f"{path}: {error.strerror}", "copy an example there, and adapt it")
    if not readable:
        then = f"sudo chgrp {user.name} {path}; sudo chmod 640 {path}"
        return fault(about, f"{path} may not be read by {user.name}", then)
    if mode & stat.S_IWOTH:
        return fault(about, f"{path} may be changed by everybody on this machine", f"sudo chmod o-w {path}")
    return None


def of_content(path: Path, digest: str | None) -> Check:
    """Look at what the file says; `digest` is that of the configuration in use, if a daemon runs."""
    about = "configuration"
    if not os.access(path, os.R_OK):
        return warning(about, f"{path} may not be read by you: nobody has looked whether it is good", "use sudo")
    try:
        site = load(path)
    except ConfigurationError as error:
        then = f"correct it, see: chargerd check {path}"
        return fault(about, str(error.problems[0]), then)
    if digest is not None and site.digest != digest:
        then = "see what would come of it: chargerctl reload --dry-run; then: chargerctl reload"
        return warning(about, f"{path} is another one than the daemon runs with", then)
    return ok(about, f"{path}, {len(site.ports)} ports, digest {site.digest[:12]}")


def of_refusal(problem: Problem) -> Check:
    """Tell why the newest file was refused, and what comes after mending it: a reload, or the hint's restart."""
    where = f"{problem.file}:{problem.line}:{problem.column}" if problem.line else problem.file
    what = f"the file is refused, and what ran before runs on: {where}: {problem.what}"
    then = problem.hint if "systemctl restart" in problem.hint else f"{problem.hint}; then: chargerctl reload"
    return fault("configuration", what, then)
