"""`chargerd stop`: stop the daemon until somebody starts it, sessions waiting, or drained first."""

from pathlib import Path

import click

from chargerd.cli.leave import (
    cancel_option,
    connected,
    drained,
    follow,
    json_option,
    socket_option,
    timeout_option,
)


@click.command(
    epilog="Examples: chargerd stop; chargerd stop --drain --timeout 2h; chargerd stop --cancel. "
    "Exit codes: 1 refused or failed, or sessions were left when the time was up; 3 the daemon does not run."
)
@click.option("--drain", is_flag=True, help="Start nothing any more, and wait until every session has ended.")
@timeout_option
@cancel_option
@socket_option
@json_option
def command(path: Path, *, drain: bool, timeout: str | None, cancel: bool, as_json: bool) -> None:
    """Stop the daemon until somebody starts it. What charges waits for that, its relay open.

    As `systemctl stop chargerd` does. To end every session: `chargerd shutdown`.
    """
    if timeout is not None and not drain:
        raise click.UsageError("--timeout goes with --drain: without it nothing is waited for")
    with connected(path, as_json=as_json) as client:
        if drain or cancel:
            drained(client, timeout=timeout, cancel=cancel, as_json=as_json)
        else:
            follow(client, "leave", {}, as_json=as_json)
