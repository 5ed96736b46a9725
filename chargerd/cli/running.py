"""What `chargerd run` does once the relays are told to open: configuration, log, daemon."""

import gc
import sys
from argparse import Namespace
from collections.abc import Iterable

from chargerd import log
from chargerd.config.loader import load
from chargerd.config.problems import ConfigurationError
from chargerd.core.units import Seconds
from chargerd.daemon import Daemon, StartError
from chargerd.modbus.emergency import Openings
from chargerd.runtime.process.log_queue import LogQueue
from chargerd.text import visible_lines

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
        site = load(options.config)
        if site.mqtt is not None and site.mqtt.tls is None and site.metrics is None:
            leave_out_tls()
        daemon = Daemon(
            site,
            state_dir=options.state_dir,
            runtime_dir=options.runtime_dir,
            configuration=options.config,
        )
    except ConfigurationError as error:
        return _refused(map(str, error.problems), first)
    except StartError as error:
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
