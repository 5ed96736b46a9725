"""`chargerd operator`: the rider's and the operator's pages, on a broker's gateways."""

import logging
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chargerd.cli.said import echo, echo_lines
from chargerd.fleet.site import Address, AddressError
from chargerd.text import visible

if TYPE_CHECKING:
    from chargerd.operator import guard

LAST_PORT = 65535
LISTEN = "127.0.0.1:8080"
NEEDS = {"starlette", "uvicorn", "jinja2", "markupsafe", "segno"}


@click.command(name="operator")
@click.option("--broker", metavar="URL", help="mqtt://[user:password@]host[:port], or mqtts:// for TLS.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="The authority's certificate, for TLS.")
@click.option("--database", type=click.Path(path_type=Path), default=Path("operator.db"), show_default=True)
@click.option("--prices", type=click.Path(path_type=Path), help="A file of prices; without it the example's.")
@click.option("--listen", default=LISTEN, show_default=True, metavar="HOST:PORT", help="Where pages are served.")
@click.option("--fd", type=int, hidden=True, help="A socket that listens already.")
@click.option("--url", default="", help="How phones reach it, as https://charge.example; cookies follow it.")
@click.option("--hooks", default="chargerd.operator.hooks", show_default=True, metavar="MODULE")
@click.option("--name", default="operator-1", show_default=True, help="The client id; one of each at a broker.")
@click.option("--prefix", default="chargerd/v1", show_default=True, help="The root of all topics.")
@click.option("--gateway", default="+", help="Whose operator this is; without it, of all at the broker.")
@click.option(
    "--session-s", type=int, default=7 * 86_400, hidden=True, help="For how long the broker keeps messages."
)
@click.option("--example-prices", is_flag=True, help="Print a file of prices, and leave.")
def command(  # noqa: PLR0913 - one for each option
    *,
    broker: str | None,
    ca: str | None,
    database: Path,
    prices: Path | None,
    listen: str,
    fd: int | None,
    url: str,
    hooks: str,
    name: str,
    prefix: str,
    gateway: str,
    session_s: int,
    example_prices: bool,
) -> None:
    """Serve a page for each socket, and one for whoever runs the sheds; keep the ledger.

    The operator's account is OPERATOR_USER and OPERATOR_PASSWORD in the environment; the broker's may be
    OPERATOR_BROKER_USER and OPERATOR_BROKER_PASSWORD there.
    """
    if example_prices:
        echo_lines(operator().prices.EXAMPLE.rstrip())
        return
    if broker is None:
        raise click.UsageError("--broker is needed: mqtt://host[:port]")
    parts = operator()
    try:
        address = Address.parse(broker)
        settings = parts.app.Settings(
            broker=parts.link.Broker(
                host=address.host,
                port=address.port,
                username=address.username or os.environ.get("OPERATOR_BROKER_USER"),
                password=address.password or os.environ.get("OPERATOR_BROKER_PASSWORD"),
                tls=address.tls,
                ca=ca,
                root=prefix,
                name=name,
                gateway=gateway,
                session_s=session_s,
            ),
            database=database,
            prices=parts.prices.load(prices),
            hooks=parts.hooks.load(hooks),
            account=_account(parts),
            url=url,
        )
    except (AddressError, parts.prices.PricesError, ImportError) as error:
        raise click.UsageError(visible(str(error))) from error
    listening = _listening(listen, fd)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    host, port = listening.getsockname()[:2]
    echo(f"serving {url or f'http://{host}:{port}'} for {settings.broker}")
    parts.app.serve(settings, listening)


class Parts:
    """The operator's modules, which need what is not on a gateway."""

    def __init__(self) -> None:
        from chargerd.operator import app, guard, hooks, link, prices  # noqa: PLC0415

        self.app, self.guard, self.hooks, self.link, self.prices = app, guard, hooks, link, prices


def operator() -> Parts:
    """Import the operator, or say what it lacks."""
    try:
        return Parts()
    except ModuleNotFoundError as error:
        if error.name not in NEEDS:
            raise
        raise click.ClickException(f"{error.name} is not installed: pip install 'chargerd[demo]'") from error


def _account(parts: Parts) -> "guard.Account | None":
    user, password = os.environ.get("OPERATOR_USER"), os.environ.get("OPERATOR_PASSWORD")
    return parts.guard.Account(user, password) if user and password else None


def _listening(listen: str, descriptor: int | None) -> socket.socket:
    """Return the socket pages are served on."""
    if descriptor is not None:
        return socket.socket(fileno=descriptor)
    host, _colon, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > LAST_PORT:
        raise click.UsageError("--listen is HOST:PORT, as 127.0.0.1:8080")
    try:
        return socket.create_server((host.strip("[]"), int(port)), family=_family(host))
    except OSError as error:
        raise click.ClickException(f"nothing can be served on {listen}: {error}") from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
