"""`chargerd simulate`: many gateways in one process, with the real contract code and simulated ports.

Each is the real daemon: station, journal, MQTT link, control socket. Only its bus is none: ports are simulated as
events. So a backend can be developed and loaded without a board, a serial line or a configuration.
"""

import json
import os
import resource
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from chargerd import log
from chargerd.cli.demo import leaving
from chargerd.cli.said import echo
from chargerd.cli.simulate_riders import Crowd
from chargerd.cli.simulated_site import MOST_PORTS, Address, AddressError, SimulatedSite
from chargerd.config.loader import load
from chargerd.core.clock import Clock
from chargerd.core.units import Instant, PortId, Seconds, after, between
from chargerd.daemon import Daemon, StartError
from chargerd.runtime.clock import SystemClock
from chargerd.sim.fleet import EventBus
from chargerd.sim.world import World
from chargerd.store.place import Upkeep

MOST_GATEWAYS = 100
ANSWER_WITHIN = 10.0
TELL_EVERY = Seconds(1.0)
WORLD_STEP = Seconds(0.25)


class SimulateError(Exception):
    """It cannot go on; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says. `rate`: how many times faster the riders' day runs."""

    gateways: int
    ports: int
    broker: Address
    rate: float
    seconds: float
    as_json: bool
    seed: int
    prefix: str
    name: str
    orders: bool
    reading: float


@click.command(name="simulate")
@click.option("--gateways", type=click.IntRange(1, MOST_GATEWAYS), default=1, show_default=True)
@click.option(
    "--ports", type=click.IntRange(1, MOST_PORTS), default=12, show_default=True, help="Of each gateway."
)
@click.option("--broker", "url", metavar="URL", required=True, help="mqtt://[user:password@]host[:port]")
@click.option(
    "--rate", type=click.FloatRange(1, 1000), default=60.0, show_default=True, help="Pace of the riders' day."
)
@click.option("--seconds", type=click.FloatRange(min=0), default=0.0, help="End after so long.  [default: Ctrl-C]")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed brings the same riders.")
@click.option("--prefix", default="chargerd/v1", show_default=True, help="Root of all topics.")
@click.option("--name", default="sim", show_default=True, help="Gateways are called NAME-001 and so on.")
@click.option(
    "--orders",
    type=click.Choice(["riders", "backend"]),
    default="riders",
    show_default=True,
    help="Who starts sessions: riders on site, or only your backend (every socket then has a bike in it).",
)
@click.option(
    "--reading-interval",
    "reading",
    type=click.FloatRange(1, 3600),
    default=10.0,
    show_default=True,
    help="Seconds.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON, one object a line.")
def command(*, url: str, orders: str, **more: Any) -> None:
    """Simulate gateways with riders against a broker of yours: a load generator and a stub to develop against."""
    log.configure(log.Level.CRITICAL)
    try:
        options = Options(broker=Address.parse(url), orders=orders == "riders", **more)
        with leaving() as leave, tempfile.TemporaryDirectory(prefix="chargerd-sim-") as folder:
            probe(options.broker)
            Fleet(options, Path(folder)).run(leave)
    except (SimulateError, AddressError, StartError, OSError) as error:
        echo(f"simulate: {error}", err=True)
        sys.exit(1)


def probe(broker: Address) -> None:
    """Connect once, to tell at once why it will not do. Raises `SimulateError`."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.username_pw_set(broker.username, broker.password)
    answered = threading.Event()
    reasons: list[ReasonCode] = []

    def connected(_client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _more: object) -> None:
        reasons.append(reason)
        answered.set()

    client.on_connect = connected
    try:
        client.connect(broker.host, broker.port, keepalive=30)
    except OSError as error:
        raise SimulateError(f"no broker answers at {broker}: {error}; start one, or name another") from error
    client.loop_start()
    answered.wait(ANSWER_WITHIN)
    client.disconnect()
    client.loop_stop()
    if not reasons:
        raise SimulateError(f"{broker} takes the connection and says nothing; does it speak MQTT 5?")
    if reasons[0].is_failure:
        raise SimulateError(
            f"{broker} refuses: {reasons[0]}; look at its users, its ACL and whether it has MQTT 5"
        )


class Gateway:
    """One gateway: the daemon, its world, its riders."""

    def __init__(self, number: int, options: Options, folder: Path, clock: Clock) -> None:
        self.id = f"{options.name}-{number:03}"
        place = folder / f"{number:03}"
        place.mkdir()
        config = place / "chargerd.yaml"
        config.write_text(site_text(self.id, options, place), encoding="utf-8")
        site = load(config)
        world = World(site, seed=options.seed + number, step=WORLD_STEP)
        self.daemon = Daemon(
            site,
            state_dir=place / "state",
            runtime_dir=place / "run",
            make_buses=lambda site, *, clock, emit, on_crash: (
                EventBus(site, world, clock=clock, emit=emit, on_crash=on_crash),
            ),
            upkeep=Upkeep(),
        )
        self.crowd = Crowd(
            world=world,
            socket=place / "run" / "chargerctl.sock",
            clock=clock,
            ports=[PortId(port.id) for port in site.ports],
            seed=options.seed + number,
            rate=options.rate,
            order=options.orders,
        )

    def start(self) -> None:
        """Start the daemon, then let riders come."""
        self.daemon.start()
        self.crowd.start()

    def stop(self) -> None:
        """Nobody comes any more; sessions are settled, and the daemon leaves."""
        self.crowd.stop()
        self.daemon.stop()


def site_text(gateway: str, options: Options, place: Path) -> str:
    """Return the configuration of one gateway."""
    site = SimulatedSite(
        gateway=gateway,
        name=f"Simulated {gateway}",
        broker=options.broker,
        prefix=options.prefix,
        reading_s=options.reading,
        bus="simulated",
        line='tcp: "127.0.0.1:9"',
        circuit="",
        ports=options.ports,
        rate=options.rate,
    )
    return site.text(place)


class Fleet:
    """All gateways."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._clock = SystemClock()
        self._began = self._clock.now()
        self._rows = 0
        numbers = range(1, options.gateways + 1)
        self._gateways = [Gateway(number, options, folder, self._clock) for number in numbers]

    def run(self, leave: threading.Event) -> None:
        """Run until the time is up or somebody asks to leave. Raises `SimulateError` if a gateway fails."""
        seconds = self._options.seconds
        until = after(self._began, Seconds(seconds)) if seconds else Instant(float("inf"))
        try:
            for gateway in self._gateways:
                gateway.start()
            while not leave.wait(TELL_EVERY) and self._clock.now() < until:
                self._tell(self.figures("progress"))
                self._watch()
        finally:
            with ThreadPoolExecutor(max_workers=len(self._gateways)) as pool:
                list(pool.map(Gateway.stop, self._gateways))
        self._tell(self.figures("summary"), last=True)

    def _watch(self) -> None:
        for gateway in self._gateways:
            if gateway.daemon.failure is not None:
                raise SimulateError(f"{gateway.id} has failed: {gateway.daemon.failure}")

    def figures(self, kind: str) -> dict[str, Any]:
        """Return how it stands. `rows_unacknowledged` grows as long as no backend acknowledges the ledger."""
        crowds = [gateway.crowd for gateway in self._gateways]
        ledgers = [crowd.status["ledger"] for crowd in crowds if crowd.status]
        ports = [port for crowd in crowds if crowd.status for port in crowd.status["ports"]]
        rows = sum(ledger["last"] for ledger in ledgers)
        return {
            "kind": kind,
            "seconds": round(between(self._began, self._clock.now()), 1),
            "gateways": len(self._gateways),
            "connected": sum(gateway.daemon.connected for gateway in self._gateways),
            "charging": sum(port["state"] == "charging" for port in ports),
            "orders": sum(crowd.orders for crowd in crowds),
            "refused": sum(crowd.refused for crowd in crowds),
            "ended": sum(crowd.ended for crowd in crowds),
            "rows": rows,
            "rows_unacknowledged": rows - sum(ledger["acked"] for ledger in ledgers),
            "memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "cpu_s": round(sum(os.times()[:2]), 1),
        }

    def _tell(self, figures: dict[str, Any], *, last: bool = False) -> None:
        if self._options.as_json:
            echo(json.dumps(figures))
            return
        text = (
            "{seconds:7.1f} s  {connected}/{gateways} connected  {charging} charging  {ended} ended  "
            "{rows} rows, {rows_unacknowledged} unacknowledged  {memory_mib} MiB"
        ).format(**figures)
        live = sys.stdout.isatty() and not last
        click.echo(f"\r{text}" if sys.stdout.isatty() else text, nl=not live)
