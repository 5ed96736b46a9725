"""`chargerd simulate`: many gateways in one process, with the real contract code and simulated ports.

Each is the real daemon: station, journal, desk, MQTT link. Only its bus is none: ports are simulated as events. So
a backend can be developed and loaded without a board, a serial line or a configuration.
"""

import gc
import os
import resource
import shutil
import socket
import ssl
import sys
import tempfile
import threading
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
from chargerd.cli.simulate_figures import Figures, Teller, tell_error
from chargerd.config.document import MqttSection, TlsSection
from chargerd.config.problems import ConfigurationError
from chargerd.config.site import Site
from chargerd.core.units import Seconds, after
from chargerd.daemon import StartError
from chargerd.fleet.clock import RealTime, StoryTime
from chargerd.fleet.crowd import Crowd
from chargerd.fleet.fleet import Fleet
from chargerd.fleet.gateway import Gateway
from chargerd.fleet.network import Network, NetworkCarrier
from chargerd.fleet.site import Address, AddressError, FleetSites
from chargerd.fleet.story import Story, StoryError, load_story, named_stories, read_story
from chargerd.fleet.telling import Telling
from chargerd.mqtt.reasons import NO_TLS_THERE, of_error

MOST_GATEWAYS, MOST_PORTS = 5000, 1000
ANSWER_WITHIN = 10.0
CONNECT_WITHIN, CONNECT_EACH = Seconds(60.0), Seconds(0.1)
"""How long after the set-up all gateways may take to connect, and how much longer for each."""
LEAVE_WITHIN, LEAVE_EACH = Seconds(30.0), Seconds(0.25)
"""How long leaving may take, and how much longer for each gateway."""
FILES_EACH = 4
"""Open files of a gateway: its journal, the log of it, its connection, and one to spare."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made there, as in any other place
MEMORY_FREE = 1024**3
CALLED_WRONGLY = 2
"""Exit code: an address, a story, keys or a rate that are none. Click has the same for options."""
UNSENT = 3
"""Exit code: rows of the ledger did not reach the broker."""
UNTOLD = 4
"""Exit code: a story did not come to its end."""
RIDERS_RATE, STORY_RATE, MOST_STORY_RATE = 60.0, 10.0, 30.0
LIST = "List the stories there are, and end."
CERTIFICATES = "Client certificates: NAME-001.crt and NAME-001.key, and so on."


class SimulateError(Exception):
    """It cannot go on; the message says what to do."""


class CallError(Exception):
    """It was called wrongly; the message says what to give."""


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
    ca: str | None
    certificates: Path | None


def list_stories(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    """Print the stories that come with chargerd, and end."""
    if wanted:
        for name, text in named_stories().items():
            echo(f"{name:24}{read_story(text, name).says}")
        context.exit()


@click.command(name="simulate")
@click.option("--gateways", type=click.IntRange(1, MOST_GATEWAYS), default=1, show_default=True)
@click.option(
    "--ports", type=click.IntRange(1, MOST_PORTS), default=12, show_default=True, help="Of each gateway."
)
@click.option(
    "--broker", "url", metavar="URL", required=True, help="mqtt://[user:password@]host[:port]; mqtts:// for TLS."
)
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Authority to believe the broker by.")
@click.option("--certificates", type=click.Path(exists=True, file_okay=False, path_type=Path), help=CERTIFICATES)
@click.option(
    "--rate",
    type=click.FloatRange(1, 1000),
    help="Pace of the riders' day [default: 60], or with --script of all clocks, up to 30 [default: 10].",
)
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=0.0, help="End so long after all are connected.  [Ctrl-C]"
)
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
@click.option("--script", metavar="NAME|FILE", help="Tell a story in place of riders, then end.")
@click.option("--stories", is_flag=True, is_eager=True, expose_value=False, callback=list_stories, help=LIST)
@click.option("--json", "as_json", is_flag=True, help="JSON, one object a line.")
def command(
    *, url: str, orders: str, ca: str | None, script: str | None, rate: float | None, as_json: bool, **more: Any
) -> None:
    """Simulate gateways with riders against a broker of yours: a load generator and a stub to develop against.

    Exit codes: 0, all went well; 1, it could not go on, for the reason it says; 2, it was called wrongly; 3, rows
    of the ledger did not reach the broker; 4, a story did not come to its end.
    """
    log.configure(log.Level.CRITICAL)
    try:
        options = Options(
            broker=Address.parse(url),
            orders=orders == "riders",
            as_json=as_json,
            ca=None if ca is None else str(Path(ca).resolve()),
            rate=rate or (RIDERS_RATE if script is None else STORY_RATE),
            **more,
        )
        story = None if script is None else load_story(script)
        with leaving() as leave, tempfile.TemporaryDirectory(prefix="chargerd-sim-", dir=in_memory()) as folder:
            allow_files(options.gateways)
            probe(options)
            code = make(options, Path(folder), story).run(leave)
    except ConfigurationError as error:
        tell_error(str(error), error.problems, as_json=as_json)
        sys.exit(CALLED_WRONGLY)
    except (CallError, AddressError, StoryError) as error:
        tell_error(str(error), as_json=as_json)
        sys.exit(CALLED_WRONGLY)
    except (SimulateError, StartError, OSError) as error:
        tell_error(str(error), as_json=as_json)
        sys.exit(1)
    sys.exit(code)


def allow_files(gateways: int) -> None:
    """Have the kernel let us open what so many gateways need. Raises `SimulateError` if it does not."""
    wanted = 256 + FILES_EACH * gateways
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise SimulateError(
                f"{gateways} gateways need {wanted} open files, and {hard} are allowed; raise `ulimit -Hn`"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def in_memory() -> str | None:
    """Return where journals that nobody needs afterwards keep no disk busy; `None`: in the usual place."""
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return None
    return str(MEMORY) if shutil.disk_usage(MEMORY).free >= MEMORY_FREE else None


def probe(options: Options) -> None:
    """Connect once, as the first gateway does, to tell at once why it will not do.

    Raises `SimulateError`, or `CallError` for keys that cannot be used.
    """
    broker = options.broker
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.username_pw_set(broker.username, broker.password)
    if broker.tls:
        client.tls_set_context(shake_hands(options))
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


def shake_hands(options: Options) -> ssl.SSLContext:
    """Return what TLS is spoken with, once a broker has taken it. Raises `SimulateError`, or `CallError` for keys.

    A connection of its own: paho leaves the socket of a handshake that fails open.
    """
    broker, own = options.broker, FleetSites.certificate_of(options.certificates, gateway_id(options, 1))
    try:
        context = ssl.create_default_context(cafile=options.ca)
        if own.certificate is not None:
            context.load_cert_chain(own.certificate, own.key)
    except (OSError, ValueError) as error:
        raise CallError(f"these keys cannot be used: {error}; look at --ca and --certificates") from error
    try:
        with (
            socket.create_connection((broker.host, broker.port), ANSWER_WITHIN) as plain,
            context.wrap_socket(plain, server_hostname=broker.host),
        ):
            return context
    except OSError as error:
        reason = of_error(error, MqttSection(host=broker.host, port=broker.port, tls=TlsSection(ca=options.ca)))
        if reason.code == NO_TLS_THERE:
            hint = "write mqtt:// if that is the broker, or give its port for TLS (8883 is usual)"
            raise SimulateError(f"{broker}: a broker, if it is one, answers there without TLS; {hint}") from error
        if isinstance(error, ssl.SSLCertVerificationError):
            raise SimulateError(f"{broker}: {reason.what}; give its authority with --ca") from error
        raise SimulateError(f"no broker answers at {broker}: {error}; start one, or name another") from error


def gateway_id(options: Options, number: int) -> str:
    """Return what a gateway is called."""
    return f"{options.name}-{number:03}"


def make(options: Options, folder: Path, story: Story | None) -> "Simulation":
    """Return what runs: riders, or a story. Raises `CallError`."""
    if story is None:
        return Simulation(options, folder, RealTime())
    if options.rate > MOST_STORY_RATE:
        raise CallError(f"a story may be told at --rate {MOST_STORY_RATE:g} at most: brokers have real clocks")
    return StorySimulation(options, folder, story)


class Simulation:
    """One run, from the set-up to the last row."""

    def __init__(self, options: Options, folder: Path, time: RealTime | StoryTime) -> None:
        self._options = options
        self._folder = folder
        self._time = time
        self._network = Network(self._time)
        self._fleet = Fleet(self._time, self._network)
        self._crowds: list[Crowd] = []
        self._figures = Figures(self._fleet, self._crowds, options.gateways, self._time)
        self._teller = Teller(self._figures, self._time, as_json=options.as_json)

    def run(self, leave: threading.Event) -> int:
        """Run until the time is up or somebody asks to leave; return the exit code. Raises `SimulateError`."""
        try:
            self._set_up(leave)
            self._go_on(leave)
        finally:
            self._leave()
        unsent = self._figures.unsent
        code = self._verdict() or (UNSENT if unsent else 0)
        if unsent:
            self._teller.tell_trouble(f"{unsent} rows did not reach {self._options.broker}")
        self._teller.tell("summary", last=True)
        return code

    def _verdict(self) -> int:
        """Return the exit code as far as the rows have no part in it."""
        return 0

    def _set_up(self, leave: threading.Event) -> None:
        sites = self._sites()
        for number in range(1, self._options.gateways + 1):
            if leave.is_set():
                return
            self._add(sites, number)
            self._fleet.turn(wait=False)
            self._teller.tell_now_and_then("setup")
        gc.collect()
        gc.freeze()  # What lives as long as the process need not be looked through again and again.

    def _add(self, sites: FleetSites, number: int) -> None:
        options = self._options
        site = sites.site(gateway_id(options, number))
        place = self._folder / f"{number:04}"
        place.mkdir()
        carrier = NetworkCarrier(self._network)
        gateway = self._gateway(site, place, carrier, options.seed + number)
        self._fleet.add(gateway)

    def _gateway(self, site: Site, folder: Path, carrier: NetworkCarrier, seed: int) -> Gateway:
        options = self._options
        gateway = Gateway(site, folder=folder, time=self._time, seed=seed, carrier=carrier)
        self._crowds.append(Crowd(gateway, seed=seed, rate=options.rate, order=options.orders))
        return gateway

    def _sites(self) -> FleetSites:
        return self._sites_of(self._options.ports, self._options.rate)

    def _sites_of(self, ports: int, rate: float, circuit: str = "") -> FleetSites:
        options = self._options
        return FleetSites(
            broker=options.broker,
            prefix=options.prefix,
            reading_s=options.reading,
            ports=ports,
            rate=rate,
            ca=options.ca,
            certificates=options.certificates,
            folder=self._folder,
            circuit=circuit,
        )

    def _go_on(self, leave: threading.Event) -> None:
        self._connect(leave)
        until = after(self._time.now(), Seconds(self._options.seconds or float("inf")))
        while not leave.is_set() and self._time.now() < until:
            self._fleet.turn()
            self._teller.tell_now_and_then("progress")
            self._watch()

    def _connect(self, leave: threading.Event) -> None:
        """Wait until all are connected; the time to run counts from then."""
        real = RealTime()
        patience = Seconds(CONNECT_WITHIN + CONNECT_EACH * self._options.gateways)
        until = after(real.now(), patience)
        while not leave.is_set() and self._figures.connected < self._options.gateways:
            self._fleet.turn()
            self._teller.tell_now_and_then("setup")
            self._watch()
            if real.now() >= until:
                there = f"{self._figures.connected} of {self._options.gateways}"
                raise SimulateError(
                    f"{there} gateways have connected within {patience:g} s; look at the log of"
                    f" {self._options.broker}, and at how many connections it allows"
                )
        self._figures.begin()

    def _watch(self) -> None:
        for gateway in self._fleet.gateways:
            if gateway.failure is not None:
                raise SimulateError(f"{gateway.id} has failed: {gateway.failure}")

    def _leave(self) -> None:
        """Nobody comes any more; sessions are settled, and all daemons leave."""
        for gateway in self._fleet.gateways:
            gateway.leave()
        self._time.pace = 1.0  # Brokers have real clocks.
        until = after(self._time.now(), Seconds(LEAVE_WITHIN + LEAVE_EACH * len(self._fleet.gateways)))
        while self._time.now() < until and not all(gateway.gone for gateway in self._fleet.gateways):
            self._fleet.turn()
        self._network.close()
        gc.unfreeze()


class StorySimulation(Simulation):
    """A run in which each gateway is told the same story, and leaves when that is over."""

    def __init__(self, options: Options, folder: Path, story: Story) -> None:
        super().__init__(options, folder, StoryTime(options.rate))
        self._story = story
        self._tellings: list[Telling] = []

    def _sites(self) -> FleetSites:
        return self._sites_of(self._story.ports, RIDERS_RATE, self._story.circuit)

    def _gateway(self, site: Site, folder: Path, carrier: NetworkCarrier, seed: int) -> Gateway:
        limit = self._story.limit_bytes
        gateway = Gateway(site, folder=folder, time=self._time, seed=seed, carrier=carrier, limit_bytes=limit)
        self._tellings.append(
            Telling(self._story, gateway, carrier, lambda text: self._teller.tell_of(gateway.id, text))
        )
        return gateway

    def _go_on(self, leave: threading.Event) -> None:
        self._connect(leave)
        while not leave.is_set() and not all(telling.over for telling in self._tellings):
            for telling in self._tellings:
                telling.turn()
            self._fleet.turn()
            self._watch()

    def _verdict(self) -> int:
        for telling in self._tellings:
            if not telling.told:
                why = telling.failure or "it was ended before its end"
                self._teller.tell_trouble(f"{telling.gateway}: {why}")
        return 0 if all(telling.told for telling in self._tellings) else UNTOLD
