"""The daemon on a core as slow as a Raspberry Pi's: its start, its trips, and the tools beside it.

One shed and the reference site, as shipped, with every line a pty and a broker on this machine. Each is measured
with a whole core, and in a cpu cgroup with 22 % of one (about a core of a Pi 4) and 11 % (a Pi 3, a Zero 2). The
start measured is one after a kill: list of relays and journal are there.
"""

import random
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.benchmarks.daemon import SETTLED, Daemon
from tests.benchmarks.listener import Listener
from tests.benchmarks.race import Say, Tally, trip
from tests.benchmarks.slave import Programs, Slave
from tests.benchmarks.slowed import NoGroup, Slowed
from tests.broker import Mosquitto

SITES = {"one shed": Path("config/one-shed.yaml"), "reference site": Path("config/quarter.yaml")}
CHARGING = {"one shed": 12, "reference site": 3}
"""How many ports of each line charge: one closes in a second, and three are read as often in all as twelve."""
SHARES = (None, 0.22, 0.11)
PATIENCE = 180.0
SAMPLE = 0.005
CONTROL = {"status_json": ("status", "--json"), "status": ("status",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A site's files, boards and broker."""

    config: Path
    lines: dict[str, tuple[Slave, list[str]]]
    """By bus: its boards, and the ports in the order of their meters and channels."""
    listener: Listener

    charging: int

    @property
    def ports(self) -> int:
        return sum(len(names) for _slave, names in self.lines.values())

    def loads(self) -> list[tuple[Slave, int, str]]:
        """Return the ports that are to charge: their slave, their meter's unit, and their name."""
        return [
            (slave, unit, name)
            for slave, names in self.lines.values()
            for unit, name in zip(slave.units, names[: self.charging], strict=False)
        ]


def pi(programs: Programs, folder: Path, effort: dict[str, Any], say: Say) -> dict[str, Any]:
    """Measure all sites with all shares; without a cpu cgroup a note says why there is nothing."""
    try:
        with Slowed(None):
            pass
    except NoGroup as why:
        return {"note": f"No cpu cgroup can be made here ({why}), so nothing was measured.", "runs": []}
    runs = []
    for name in effort["pi_sites"]:
        with placed(programs, folder / name.replace(" ", "-"), name) as place:
            prepare(place)
            for share in SHARES:
                say(f"{name}, {'a whole core' if share is None else f'{share:.0%} of a core'}")
                runs.append({"site": name, "share": share, **measure(place, share, effort)})
    return {"runs": runs, "check": check(effort)}


def check(effort: dict[str, Any]) -> dict[str, float]:
    """Return what `chargerd check` of the reference site takes, on a whole core."""
    with Slowed(None) as group:
        runs = [group.run(chargerd("check", SITES["reference site"])) for _ in range(effort["starts"])]
    return median_of(runs)


def chargerd(*words: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "chargerd", *words]


@contextmanager
def placed(programs: Programs, folder: Path, site: str) -> Iterator[Place]:
    """Write a shipped configuration anew with ptys for lines and this machine's broker, and start both."""
    folder.mkdir()
    yaml = YAML()
    document = yaml.load(SITES[site])
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder / "broker"))
        document["mqtt"] = {"host": "127.0.0.1", "port": broker.port}
        lines: dict[str, tuple[Slave, list[str]]] = {}
        for bus, section in document["buses"].items():
            pzem, first = meters_on(document, bus)
            slave = Slave(programs.slave, folder / bus, section["baudrate"], pzem=pzem, first=first)
            lines[bus] = (stack.enter_context(slave), names_on(document, bus))
            document["buses"][bus] = {"serial": str(folder / bus), "baudrate": section["baudrate"]}
        config = folder / "chargerd.yaml"
        with config.open("w") as file:
            yaml.dump(document, file)
        listener = stack.enter_context(Listener(broker.port, document["gateway"]["id"]))
        yield Place(config=config, lines=lines, listener=listener, charging=CHARGING[site])


def meters_on(document: Any, bus: str) -> tuple[bool, int]:
    """Say whether the meters of a bus are Peacefair's, and the address of the first: a row's are `11..22`."""
    (meters,) = (one for name, one in document["boards"].items() if name.startswith("meter") and one["bus"] == bus)
    return "pzem" in meters["profile"], int(str(meters["address"]).split("..")[0])


def names_on(document: Any, bus: str) -> list[str]:
    """Return the ports of a bus: a row is `A01..A12`, its relays are `board/1..12`, as both sites have them."""
    names = []
    for row in document["ports"]:
        first, last = row["id"].split("..")
        if document["boards"][row["relay"].split("/")[0]]["bus"] == bus:
            names += [f"{first[0]}{number:02d}" for number in range(int(first[1:]), int(last[1:]) + 1)]
    return names


def prepare(place: Place) -> None:
    """Start the daemon once and kill it: now there are a journal and a list of relays, as after a crash."""
    with Slowed(None) as group, started(place, group, place.config.parent / "prepared") as daemon:
        place.listener.online(PATIENCE)
        daemon.kill()


def measure(place: Place, share: float | None, effort: dict[str, Any]) -> dict[str, Any]:
    """Measure one site with one share."""
    folder = place.config.parent / f"share-{share}"
    shutil.copytree(place.config.parent / "prepared" / "state", folder / "state")
    found: dict[str, Any] = {"ports": place.ports, "buses": len(place.lines)}
    starts = []
    with Slowed(share) as group:
        for again in range(effort["starts"] if share is None else 1, 0, -1):
            with started(place, group, folder) as daemon:
                starts.append(follow(place, daemon))
                if again == 1:
                    found |= tools(daemon, group) | at_work(place, daemon, effort)
                daemon.kill()
        found["start"] = median_of(starts)
        found["open_relays"] = group.run(chargerd("open-relays", "--state-dir", folder / "state"))
        return found


@contextmanager
def started(place: Place, group: Slowed, folder: Path) -> Iterator[Daemon]:
    time.sleep(0.3)  # Whoever had the lines has let them go, and the boards have nothing more to say.
    for slave, _names in place.lines.values():
        for unit in slave.units:
            slave.current(unit, 0.0)
        slave.reset()
    place.listener.forget()
    with Daemon(place.config, start=group.start, folder=folder) as daemon:
        yield daemon


def follow(place: Place, daemon: Daemon) -> dict[str, float]:
    """Follow a start until the daemon is online and every relay was read back open."""
    samples = [(0.0, 0.0)]
    enough = threading.Event()

    def sample() -> None:
        while not enough.wait(SAMPLE):
            samples.append((time.monotonic() - daemon.began, daemon.cpu_s()))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        online = place.listener.online(PATIENCE) - daemon.began
        opened = openings(place, daemon.began)
    finally:
        enough.set()
        sampler.join()
    marks = {**opened, "online": online}
    cpu = {name: max(used for at, used in samples if at <= mark) for name, mark in marks.items()}
    return {f"{name}_s": mark for name, mark in marks.items()} | {
        f"{name}_cpu_s": used for name, used in cpu.items()
    }


def openings(place: Place, began: float) -> dict[str, float]:
    """Wait until all relays of all lines were told to open and read back; returns when, the last line's each."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        lines = [opening(slave.stats(), len(names)) for slave, names in place.lines.values()]
        if all(lines):
            marks = [max(moments) - began for moments in zip(*[line for line in lines if line], strict=True)]
            return dict(zip(("first_frame", "told", "read_back"), marks, strict=True))
        time.sleep(0.1)
    raise SystemExit("not every relay was told to open and read back")


def opening(stats: dict[str, Any], ports: int) -> tuple[float, float, float] | None:
    """Return when the first relay of a line was told to open, when the last one, and when all were read back."""
    told: dict[int, float] = {}
    for write in stats["writes"]:
        if not write["closed"]:
            told.setdefault(write["channel"], write["at"])
    if not told or any(channel not in told for channel in range(1, ports + 1)):
        return None
    last = max(told[channel] for channel in range(1, ports + 1))
    back = [at for at in stats["told"] if at > last]
    return (min(told.values()), last, back[0]) if back else None


def tools(daemon: Daemon, group: Slowed) -> dict[str, Any]:
    """Measure `chargerctl` beside the daemon, on the same core."""
    command: list[str | Path] = [Path(sys.executable).with_name("chargerctl"), "--socket", daemon.socket]
    return {name: group.run([*command, *words]) for name, words in CONTROL.items()}


def at_work(place: Place, daemon: Daemon, effort: dict[str, Any]) -> dict[str, Any]:
    """Let every port charge, look on, and overload some."""
    place.listener.ports(
        place.ports, lambda port: port["state"] == "available" and not port["blocked_by"], PATIENCE
    )
    loads = place.loads()
    for _slave, _unit, name in loads:
        daemon.ask("start", port=name)
    wanted = {name for _slave, _unit, name in loads}
    place.listener.ports(
        place.ports, lambda port: port["state"] == "charging" or port["port"] not in wanted, PATIENCE
    )
    for slave, unit, _name in loads:
        slave.current(unit, 1.0)
    time.sleep(SETTLED)
    cpu, began = daemon.cpu_s(), time.monotonic()
    for slave, _names in place.lines.values():
        slave.reset()
    time.sleep(effort["look"])
    stats = [slave.stats() for slave, _names in place.lines.values()]
    used, took = daemon.cpu_s() - cpu, time.monotonic() - began
    tally, dice = Tally(), random.Random(5)
    for slave, unit, _name in dice.sample(loads, effort["pi_trips"]):
        trip(slave, unit, dice, tally)
        slave.current(unit, 0.0)
    trips = [1000 * one for one in tally.trips]
    return {
        "charging": len(loads),
        "resident_mb": daemon.resident_mb(),
        "core": used / took,
        "cpu_ms_per_transaction": 1000 * used / sum(one["transactions"] for one in stats),
        "violations": sum(one["violations"] for one in stats),
        "trip_ms": {"p50": statistics.median(trips), "most": max(trips)} if trips else None,
        "trips": len(trips),
        "missed_trips": tally.missed_trips,
    }


def median_of(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}
