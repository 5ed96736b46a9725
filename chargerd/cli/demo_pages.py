"""The reference operator beside the demo's shed: where its pages are, and the code a phone reads them by."""

import importlib.util
import io
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chargerd.cli.demo_parts import GUARD, LOOPBACK, DemoError, process
from chargerd.fleet.site import Address

PORT, LAST_PORT = 8080, 65535
EVERYWHERE = "0.0.0.0"  # noqa: S104 - a phone is to reach it
OFF = "off"
LEAVE_WITHIN = 5.0
SESSION_S = 5
"""The broker forgets the demo's operator soon after it is gone: it may be somebody's own broker."""
NEEDED = ("starlette", "uvicorn", "jinja2", "segno")


@dataclass(frozen=True, slots=True)
class Pages:
    """Where the operator serves its pages, and the account that opens its own."""

    url: str
    user: str
    password: str

    def socket(self, gateway: str, port: str) -> str:
        """Return the address of a socket's page."""
        return f"{self.url}/s/{gateway}/{port}"


def missing() -> tuple[str, ...]:
    """Return what the operator needs and is not installed."""
    return tuple(name for name in NEEDED if importlib.util.find_spec(name) is None)


@contextmanager
def pages(where: str, broker: Address, prefix: str, gateway: str, folder: Path, rate: float) -> Iterator[Pages]:
    """Run the operator, for this gateway alone. Raises `DemoError` if nothing can be served there."""
    with listening(where) as served:
        host, port = served.getsockname()[:2]
        user, password = "demo", secrets.token_urlsafe(6)
        url = f"http://{_reached_at(host)}:{port}"
        command = [sys.executable, "-c", GUARD + "from chargerd.cli.chargerd import main; main()", "operator"]
        command += ["--broker", str(broker), "--prefix", prefix, "--gateway", gateway, "--url", url]
        command += ["--name", f"demo-operator-{secrets.token_hex(4)}", "--session-s", str(SESSION_S)]
        command += ["--prices", str(_prices(folder, rate))]
        command += ["--fd", str(served.fileno()), "--database", str(folder / "operator.db")]
        account = {"OPERATOR_USER": user, "OPERATOR_PASSWORD": password}
        if broker.username is not None:
            account |= {
                "OPERATOR_BROKER_USER": broker.username,
                "OPERATOR_BROKER_PASSWORD": broker.password or "",
            }
        log = folder / "operator.log"
        with process(command, log, LEAVE_WITHIN, descriptors=(served.fileno(),), environment=account):
            yield Pages(url, user, password)


def _prices(folder: Path, rate: float) -> Path:
    """Write prices of a day that runs so many times as fast, or a bill of the demo would be nothing."""
    path = folder / "prices.toml"
    cheap, usual, dear = (f"{price * rate:.2f}" for price in (0.20, 0.30, 0.45))
    path.write_text(
        f'symbol = "¥"\nby = "tier"\nhours = [1, 2, 4, 8]\namounts = ["1", "2", "3", "5"]\ntiers = [\n'
        f'    {{up_to_w = 150, per_hour = "{cheap}"}},\n    {{up_to_w = 285, per_hour = "{usual}"}},\n'
        f'    {{per_hour = "{dear}"}},\n]\n',
        encoding="utf-8",
    )
    return path


def listening(where: str) -> socket.socket:
    """Return a socket that listens; with no port named, on 8080 or any other that is free."""
    host, _colon, named = where.partition(":")
    if named and not (named.isdecimal() and int(named) <= LAST_PORT):
        raise DemoError(f"--pages is HOST, HOST:PORT or {OFF}, as {LOOPBACK}:{PORT}")
    try:
        return socket.create_server((host or EVERYWHERE, int(named) if named else PORT))
    except OSError as error:
        if not named:
            return listening(f"{host}:0")
        raise DemoError(
            f"nothing can be served on {where}: {error}; give --pages HOST:PORT, or --pages {OFF}"
        ) from error


def code(url: str) -> str:
    """Return a QR code for a terminal."""
    import segno  # noqa: PLC0415 - only where pages are shown

    out = io.StringIO()
    segno.make(url, error="l", micro=False).terminal(out, compact=True, border=2)
    return out.getvalue().rstrip("\n")


def _reached_at(host: str) -> str:
    """Return how others reach us: of all addresses, the one that a way to elsewhere begins at."""
    if host != EVERYWHERE:
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # Nothing is sent: the system only looks which way it would go.
            found: str = probe.getsockname()[0]
        except OSError:
            return LOOPBACK
    return found
