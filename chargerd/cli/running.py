"""What `chargerd run` does once the relays are told to open: configuration, log, daemon."""

import gc
import sys
from argparse import Namespace
from collections.abc import Iterable

from chargerd import log
from chargerd.config.choosing import NoneUsable, choose
from chargerd.config.kept import KEPT_FILE
from chargerd.contract.ledger import Json
from chargerd.core.units import Seconds
from chargerd.daemon import Daemon, StartError
from chargerd.modbus.emergency import Openings
from chargerd.runtime.process import sd_notify
from chargerd.runtime.process.clock import SystemClock
from chargerd.runtime.process.last_exit import LastExit
from chargerd.runtime.process.log_queue import LogQueue
from chargerd.text import visible_lines

NOT_CONFIGURED = 78
"""Exit code (EX_CONFIG of sysexits.h) after which systemd does not start the daemon anew: nothing would differ."""
HAND_OVER = Seconds(1.0)
"""How long a line may take to be handed over to its bus: the longest transaction."""


def run(options: Namespace, first: Openings | None) -> int:
    """Run the daemon; returns the exit code. `first` gives the lines up just before the daemon takes them."""
    lines = LogQueue(sys.stdout)
    # One event a line on stdout: JSON for machines, columns on a terminal.
    people = sys.stdout.isatty()
    sink = log.as_columns(lines.write, colours=True) if people else log.as_json(lines.write)
    log.configure(log.Level[options.log_level.upper()], sink)
    try:
        chosen = choose(options.config, options.state_dir / KEPT_FILE)
        site = chosen.site
        if site.mqtt is not None and site.mqtt.tls is None and site.metrics is None:
            leave_out_tls()
        daemon = Daemon(
            site,
            state_dir=options.state_dir,
            runtime_dir=options.runtime_dir,
            configuration=(options.config, chosen),
        )
    except NoneUsable as error:
        _note_refused(options, list(map(str, error.problems)))
        return _none_usable(error, first)
    except StartError as error:
        _note_refused(options, [str(error)])
        return _refused([f"chargerd: {error}"], first)
    _hand_over(first)
    gc.freeze()  # Nor is it looked through again and again while buses are due.
    gc.enable()
    code = daemon.run()
    lines.close(1.0)
    return code


def leave_out_tls() -> None:
    """Have whoever would load OpenSSL do without it: 5.7 MB of 50, for a broker that is spoken to without TLS."""
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type] # `None` keeps a module from loading


def _note_refused(options: Namespace, problems: list[str]) -> None:
    """Write down why it did not start, for whoever asks while nobody is there to answer."""
    told: list[Json] = [visible_lines(one) for one in problems]
    LastExit((options.state_dir, options.runtime_dir), SystemClock()).note("refused", problems=told)


def _none_usable(error: NoneUsable, first: Openings | None) -> int:
    """Say what is wrong; systemd does not try again until somebody has changed something."""
    why = list(map(str, error.problems))
    sd_notify.notify(f"STATUS=not started: {visible_lines(why[0])}")
    then = "correct it, see chargerd check, then: systemctl restart chargerd"
    _refused([*why, f"chargerd: not started, every relay was told to open; {error.why_not_kept}; {then}"], first)
    return NOT_CONFIGURED


def _refused(why: Iterable[str], first: Openings | None) -> int:
    for line in why:
        print(visible_lines(line), file=sys.stderr)
    _hand_over(first)
    return 1


def _hand_over(first: Openings | None) -> None:
    if first is None:
        return
    left = first.hand_over(HAND_OVER)
    if left:
        log.warning("relays_not_opened_first", ports=left)
    else:
        log.info("relays_opened_first")
