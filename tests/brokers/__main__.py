"""`make brokers`: what brokers have of what the contract needs, what they cost, and three nodes that lose one.

As root. Results are kept section by section in `docs/brokers/results.json`; `--write` makes the page of them.
`python -m tests.brokers needs HOST PORT [USER PASSWORD]` asks a broker of your own.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.brokers import cluster, links, load, needs, root
from tests.brokers.client import Place
from tests.brokers.document import document
from tests.brokers.standing import BROKERS, Mosquitto, RabbitMq, Standing

DOCUMENT = root.TREE / "docs" / "brokers.md"
KEPT = root.TREE / "docs" / "brokers" / "results.json"
Say = Callable[[str], None]
LADDERS: dict[str, tuple[Callable[[], Standing], tuple[int, ...], int]] = {
    "mosquitto": (Mosquitto, (1000, 3000, 10_000), 1000),
    "rabbitmq-classic": (lambda: RabbitMq("classic"), (300, 1000, 3000), 300),
    "rabbitmq-quorum": (lambda: RabbitMq("quorum"), (300, 1000, 3000), 300),
}
"""By name: the broker, with how many gateways it is measured, and how many of them speak faster and faster."""


def try_needs(say: Say, _folder: Path) -> Any:
    """Ask each broker that runs here."""
    found = {}
    for name, make in BROKERS.items():
        say(name)
        with make() as broker:
            found[name] = needs.try_all(broker.place, say)
    return found


def try_links(say: Say, _folder: Path) -> Any:
    """Run the daemon's own tests at each."""
    return {name: links.run_links(name, say) for name in BROKERS}


def try_cluster(say: Say, folder: Path) -> Any:
    """Lose nodes under a fleet."""
    return cluster.trial(folder, say)


def try_load(say: Say, folder: Path) -> Any:
    """Measure what gateways cost."""
    program = load.compiled(folder)
    found = {}
    for name, (make, steps, speaking) in LADDERS.items():
        say(name)
        ladder = load.ladder(make, program, steps, say)
        found[name] = {"ladder": ladder, "stops": load.stops_at(make, program, speaking, say)}
    return found


SECTIONS: dict[str, Callable[[Say, Path], Any]] = {
    "needs": try_needs,
    "links": try_links,
    "cluster": try_cluster,
    "load": try_load,
}


def machine() -> dict[str, Any]:
    """Return what this was tried on."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in info if "model name" in line), platform.machine())
    cores = sum(line.startswith("processor") for line in info)
    return {"cpu": cpu, "cores": cores, "kernel": f"{platform.system()} {platform.release()}"}


def main() -> None:
    """Try what is asked for, keep what came of it, write the page."""
    parser = argparse.ArgumentParser(prog="make brokers", description=__doc__)
    parser.add_argument("--only", action="append", choices=SECTIONS, help="try this section only")
    parser.add_argument("--none", action="store_true", help="try nothing: write what is kept")
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT.relative_to(root.TREE)}")
    verbs = parser.add_subparsers(dest="verb")
    own = verbs.add_parser("needs", help="ask a broker of your own")
    own.add_argument("host")
    own.add_argument("port", type=int)
    own.add_argument("login", nargs="*", help="user and password")
    options = parser.parse_args()
    if options.verb == "needs":
        login = (options.login[0], options.login[1]) if options.login else None
        needs.try_all(Place(host=options.host, port=options.port, login=login), print)
        return
    results: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    began = time.monotonic()
    if not options.none:
        root.root()
        results["machine"] = machine()
        results["versions"] = {**root.versions(), "iotcore": version("iotcore")}
        for section in options.only or SECTIONS:
            print(f"{section}:", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                results[section] = SECTIONS[section](
                    lambda text: print(f"  {time.monotonic() - began:5.0f} s  {text}", flush=True), Path(folder)
                )
            KEPT.parent.mkdir(parents=True, exist_ok=True)
            KEPT.write_text(json.dumps(results, indent=1) + "\n")
    if options.write:
        DOCUMENT.write_text(document(results))


if __name__ == "__main__":
    main()
