"""`chargerd demo`: simulated boards, riders and an operator around the real daemon, with a real broker between."""

import secrets
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from chargerd.cli.demo_backend import OperatorBackend
from chargerd.cli.demo_pages import EVERYWHERE, OFF, PORT, Pages, code, missing, pages
from chargerd.cli.demo_parts import (
    BUS,
    LEAVE_WITHIN,
    Broker,
    Daemon,
    DemoError,
    broker,
    daemon,
    keep,
    say,
    tail,
)
from chargerd.cli.demo_site import simulated
from chargerd.cli.demo_stage import Stage
from chargerd.cli.demo_view import Lines, Screen, View, print_summary
from chargerd.cli.demo_visitor import Visitor
from chargerd.cli.said import echo_lines
from chargerd.config.document import BusSection
from chargerd.config.loader import load
from chargerd.core.units import Instant, Seconds, after
from chargerd.fleet.site import MOST_PORTS, Address, SimulatedSite
from chargerd.runtime.process.clock import SystemClock
from chargerd.sim.line import PtyLine
from chargerd.sim.riders import Riders
from chargerd.sim.world import World

PREFIX = "chargerd/v1"
TURN = Seconds(0.1)
STOP_WITHIN = Seconds(5.0)
"""How long sessions that are stopped at the end may take to be settled."""
HEAR_FOR = Seconds(1.0)
"""How long the backend listens on after the daemon is gone: its last messages may be under way."""
MOST_KEPT = 3
UNWATCHED_S = 60.0
"""How long it lasts where nobody is there to press Ctrl-C."""
FOREVER = Instant(float("inf"))
LEAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says. `rate` is how many times faster the riders' day runs."""

    seconds: float
    headless: bool
    rate: float
    seed: int
    broker: str | None
    ports: int
    as_json: bool
    pages: str = OFF
    site: Path | None = None


@click.command(name="demo")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    help=f"End so long after the gateway is online; 0: at Ctrl-C.  [default: 0; no terminal: {UNWATCHED_S:.0f}]",
)
@click.option("--headless", is_flag=True, help="Print a line for each happening, and a summary.")
@click.option(
    "--rate", type=click.FloatRange(1, 1000), default=60.0, show_default=True, help="Pace of the riders' day."
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed brings the same riders.")
@click.option(
    "--broker", "broker_url", metavar="URL", help="A broker of your own, mqtt://[user:password@]host[:port]."
)
@click.option(
    "--ports", type=click.IntRange(1, MOST_PORTS), default=12, show_default=True, help="How many sockets."
)
@click.option(
    "--site",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A site's configuration, on simulated lines, instead of a shed with --ports sockets.",
)
@click.option(
    "--pages",
    default=EVERYWHERE,
    metavar="HOST[:PORT]",
    help=f"Where the operator's pages are served; {OFF}: not at all.  [default: all addresses, port {PORT}]",
)
@click.option("--json", "as_json", is_flag=True, help="JSON, one object a line; implies --headless.")
def command(
    *,
    seconds: float | None,
    headless: bool,
    rate: float,
    seed: int,
    broker_url: str | None,
    ports: int,
    site: Path | None,
    pages: str,
    as_json: bool,
) -> None:
    """Show a station at work: the real daemon on a simulated line, with riders who charge and misbehave."""
    if seconds is None:
        seconds = 0.0 if sys.stdout.isatty() else UNWATCHED_S
        if seconds and not as_json:
            say(f"ends     {seconds:.0f} s after the gateway is online: no terminal watches; --seconds 0 goes on")
    options = Options(
        seconds=seconds,
        headless=headless or as_json or not sys.stdout.isatty(),
        rate=rate,
        seed=seed,
        broker=broker_url,
        ports=ports,
        as_json=as_json,
        pages=pages,
        site=site,
    )
    with leaving() as leave:
        sys.exit(Demo(options, leave).run())


@contextmanager
def leaving() -> Iterator[threading.Event]:
    """Turn Ctrl-C and its like into an event: nothing is left half made, whenever they come."""
    leave = threading.Event()

    def asked(_number: int, _frame: FrameType | None) -> None:
        leave.set()

    before = {number: signal.signal(number, asked) for number in LEAVING}
    try:
        yield leave
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Demo:
    """One showing. `run` returns the exit code: 0, or 1 if a part of it failed."""

    def __init__(self, options: Options, leave: threading.Event) -> None:
        self._options = options
        self._leave = leave
        self._clock = SystemClock()

    def run(self) -> int:
        """Start everything, run, and take everything away again."""
        with tempfile.TemporaryDirectory(prefix="chargerd-demo-") as name, ExitStack() as parts:
            folder = Path(name)
            try:
                return self._run(folder, parts)
            except (DemoError, OSError) as error:
                say(f"demo: {error}")
                kept = keep(folder / "chargerd.log")
                if kept is not None:
                    say(f"demo: the daemon's log is in {kept}")
                return 1

    def _run(self, folder: Path, parts: ExitStack) -> int:
        options = self._options
        served = parts.enter_context(broker(options.broker, folder))
        gateway = "demo" if options.broker is None else f"demo-{secrets.token_hex(3)}"
        config = self._configuration(served.address, gateway, folder)
        site = load(config)
        world = World(site, seed=options.seed)
        lines = [parts.enter_context(self._line(world, name, bus, folder)) for name, bus in site.buses.items()]
        shown = options.pages != OFF and not missing()
        backend = OperatorBackend(served.address, prefix=PREFIX, gateway=gateway, acknowledges=not shown)
        parts.callback(backend.stop)
        try:
            backend.start()
        except OSError as error:
            raise DemoError(f"no broker answers at {served.address}: {error}") from error
        ports = [port.id for port in site.ports]
        served_at = self._pages(parts, served, gateway, folder, ports[0]) if shown else None
        kept = ports[: _kept(len(ports))] if shown else []
        footer = _footer(served, gateway, folder) + _addresses(served_at, gateway, ports[0], kept)
        view = self._view(parts, footer)
        visitor = self._visitor(parts, served_at, f"/s/{gateway}/{ports[0]}") if kept else None
        riders = Riders(options.seed, ports[len(kept) :], options.rate)
        stage = Stage(
            world=world,
            riders=riders,
            backend=backend,
            began=self._clock.now(),
            tell=view.happened,
            kept=kept,
            visitor=visitor,
        )
        driven = parts.enter_context(daemon(config, folder))
        watched = _watch(served, lines, driven)
        self._play(stage, view, watched, visitor)
        self._end(stage, view, driven)
        view.close()
        print_summary(stage.summary(), echo_lines, as_json=options.as_json)
        return 0

    def _configuration(self, address: Address, gateway: str, folder: Path) -> Path:
        """Write what the daemon runs with; return the file. Raises `DemoError`."""
        options = self._options
        if options.site is not None:
            return simulated(
                options.site, folder, gateway=gateway, broker=address, prefix=PREFIX, rate=options.rate
            )
        config = folder / "chargerd.yaml"
        config.write_text(
            SimulatedSite(
                gateway=gateway,
                name="Demo shed",
                broker=address,
                prefix=PREFIX,
                reading_s=1,
                bus=BUS,
                lines=(f'serial: "{folder / BUS}", baudrate: 9600',),
                circuit="rating_a: 40, power_w: 7800",
                ports=options.ports,
                rate=options.rate,
            ).text(folder),
            encoding="utf-8",
        )
        return config

    def _line(self, world: World, name: str, bus: BusSection, folder: Path) -> PtyLine:
        return PtyLine(world, name, clock=self._clock, baudrate=bus.baudrate, link=folder / name)

    def _pages(self, parts: ExitStack, served: Broker, gateway: str, folder: Path, first: str) -> Pages:
        """Start the operator, and show a phone the way to it."""
        options = self._options
        shown = parts.enter_context(pages(options.pages, served.address, PREFIX, gateway, folder, options.rate))
        if not options.as_json:
            say(code(shown.socket(gateway, first)))
        return shown

    def _visitor(self, parts: ExitStack, shown: Pages | None, page: str) -> Visitor | None:
        """Send a scripted rider to the pages where nobody watches."""
        if shown is None or not self._options.headless:
            return None
        visitor = Visitor(shown.url, page)
        visitor.start()
        parts.callback(visitor.stop)
        return visitor

    def _view(self, parts: ExitStack, footer: str) -> View:
        if self._options.headless:
            say(footer)
            return Lines(as_json=self._options.as_json)
        screen = Screen(footer)
        parts.callback(screen.close)
        return screen

    def _play(self, stage: Stage, view: View, watch: Callable[[], None], visitor: Visitor | None) -> None:
        """Run until the time is up and the visitor through, or somebody asks to leave.

        Raises `DemoError` when a part has failed.
        """
        until = FOREVER
        while not self._leave.is_set() and (
            (now := self._clock.now()) < until or (visitor and not visitor.through)
        ):
            watch()
            stage.turn(now)
            if until == FOREVER and stage.online and self._options.seconds:
                until = after(now, Seconds(self._options.seconds))
            view.draw(stage, now)
            self._leave.wait(TURN)

    def _end(self, stage: Stage, view: View, driven: Daemon) -> None:
        """Close the station: sessions first, so that their settlements are heard of, then the daemon."""
        if stage.unsettled:
            stage.closing_time()
            self._play_out(stage, view, lambda: not stage.unsettled or driven.exit_code is not None, STOP_WITHIN)
        driven.ask_to_leave()
        if not self._play_out(stage, view, lambda: driven.exit_code is not None, LEAVE_WITHIN):
            raise DemoError(f"the daemon does not leave:\n{tail(driven.log)}")
        self._play_out(stage, view, lambda: not (stage.online or stage.unsettled), HEAR_FOR)
        # Told to go before it had so much as set up its handlers, it ends by the signal itself.
        if driven.exit_code not in {0, -signal.SIGTERM}:
            raise DemoError(f"the daemon left with exit code {driven.exit_code}:\n{tail(driven.log)}")
        if stage.unsettled:
            raise DemoError(f"{stage.unsettled} sessions were not settled:\n{tail(driven.log)}")

    def _play_out(self, stage: Stage, view: View, holds: Callable[[], bool], within: Seconds) -> bool:
        """Go on without new riders until something holds; say whether it does."""
        deadline = after(self._clock.now(), within)
        pause = threading.Event()
        while True:
            now = self._clock.now()
            stage.turn(now, riders=False)
            view.draw(stage, now)
            if holds() or now > deadline:
                return holds()
            pause.wait(TURN)


def _watch(served: Broker, lines: Sequence[PtyLine], driven: Daemon) -> Callable[[], None]:
    def watch() -> None:
        if driven.exit_code is not None:
            raise DemoError(f"the daemon has ended with exit code {driven.exit_code}:\n{tail(driven.log)}")
        if not served.alive:
            raise DemoError("the broker has ended")
        for line in lines:
            if line.failure is not None:
                raise DemoError(f"a simulated line has failed: {line.failure!r}")

    return watch


def _kept(ports: int) -> int:
    """Return how many sockets are kept for whoever comes."""
    return min(MOST_KEPT, ports // 3)


def _addresses(shown: Pages | None, gateway: str, first: str, kept: Sequence[str]) -> str:
    if shown is None:
        lacks = missing()
        return f"\npages    none: {lacks[0]} is not installed; pip install 'chargerd[demo]'" if lacks else ""
    whose = f" ({kept[0]} to {kept[-1]} are kept for whoever comes)" if len(kept) > 1 else ""
    return (
        f"\nrider    {shown.socket(gateway, first)}{whose}\n"
        f"operator {shown.url}/operator  user {shown.user}, password {shown.password}"
    )


def _footer(served: Broker, gateway: str, folder: Path) -> str:
    address = served.address
    return (
        f"broker   {address} ({served.kind})\n"
        f"watch    mosquitto_sub -h {address.host} -p {address.port} -V mqttv5 -t '{PREFIX}/{gateway}/#' -v\n"
        f"on site  {_chargerctl()} --socket {folder / 'run' / 'chargerctl.sock'} status"
    )


def _chargerctl() -> str:
    """Return how to call chargerctl: by its path, where it is not on the PATH."""
    beside = Path(sys.executable).with_name("chargerctl")
    return "chargerctl" if shutil.which("chargerctl") or not beside.exists() else str(beside)
