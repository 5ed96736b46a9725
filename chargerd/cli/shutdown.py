"""`chargerd shutdown`: end every session, and stop until somebody starts the daemon."""

from pathlib import Path

import click

from chargerd.cli.leave import connected, follow, json_option, socket_option


@click.command(
    epilog="Example: chargerd shutdown. Exit codes: 1 refused or failed, 3 the daemon does not run. "
    "To let sessions wait instead: chargerd stop."
)
@socket_option
@json_option
def command(path: Path, *, as_json: bool) -> None:
    """End every session, open every relay, then stop until somebody starts the daemon."""
    with connected(path, as_json=as_json) as client:
        follow(client, "shutdown", {}, as_json=as_json)
