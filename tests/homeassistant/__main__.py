"""Has Home Assistant's own MQTT component read what a real daemon announces: `make homeassistant`.

    python -m tests.homeassistant PYTHON

PYTHON is an interpreter that has Home Assistant. It is no part of the tests: it wants a Python of its own, 350 MB.
What it shows, `tests/runtime/test_home_assistant.py` holds as facts.
"""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chargerd.config.loader import load
from chargerd.runtime.reporting.home_assistant import announcements
from chargerd.sim.loads import resistive
from tests.broker import Mosquitto
from tests.mqtt.test_announcing import retained
from tests.site import DaemonSite

HOUSE = Path(__file__).with_name("house.py")
OFF, ON = "reading_interval_s: 1}", "reading_interval_s: 1, home_assistant: {}}"
KNOWN_NOISE = ("helpers.frame:Detected",)
"""Home Assistant about how `house.py` sets it up, which is not as its own start does."""


def main(python: str) -> int:
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name) / "broker") as broker:
        folder = Path(name) / "site"
        folder.mkdir()
        with DaemonSite(folder, broker=broker.port) as site:
            site.wait_ready()
            rewrite(site, OFF, ON)
            return judged(python, site, broker)


def rewrite(site: DaemonSite, old: str, new: str) -> None:
    """Change the daemon's configuration, and start it anew."""
    text = site.config.read_text(encoding="utf-8")
    assert old in text
    site.config.write_text(text.replace(old, new), encoding="utf-8")
    site.end(signal.SIGTERM)
    site.start()
    site.wait_ready()


def judged(python: str, site: DaemonSite, broker: Mosquitto) -> int:
    """Charge a bike while Home Assistant looks; then switch it off, and look at what is left."""
    configured = load(site.config)
    assert configured.mqtt is not None
    assert configured.mqtt.home_assistant is not None
    messages = announcements(configured, configured.mqtt, configured.mqtt.home_assistant)
    unique: set[str] = set()
    for body in messages.values():
        components = body["components"]
        assert isinstance(components, dict)
        unique |= {str(one["unique_id"]) for one in components.values() if isinstance(one, dict)}
    site.world.socket("A01").plug(resistive("lamp", 2.0))
    site.ask("start", port="A01", duration_s=600)
    site.wait_state("A01", "charging")
    site.wait(lambda: (site.port("A01")["reading"]["power_w"] or 0) > 100, "nothing flows")
    told, complaints = look(python, broker, len(unique))
    wrong = [f"Home Assistant says: {line}" for line in complaints]
    wrong += [f"it has no entity for {one}" for one in sorted(unique - told.keys())]
    wrong += [f"it has an entity nobody announced: {one}" for one in sorted(told.keys() - unique)]
    for entity, expected in expected_of().items():
        got = told.get(entity, {}).get("state")
        if not expected(got):
            wrong.append(f"{entity} is {got}")
    print(f"{len(told)} entities of {len({one['device'] for one in told.values()})} devices, as announced")
    site.ask("stop", port="A01")  # Else it would go on after the restart, and no port be as it was.
    site.wait_state("A01", "available")
    rewrite(site, ON, OFF)
    site.wait(lambda: not (site.state / "announced.json").exists(), "it has not withdrawn everything")
    left = retained(broker.port, "homeassistant/#")
    wrong += [f"still announced when switched off: {topic}" for topic in left]
    told, _ = look(python, broker, 0)
    wrong += [f"it still has {one}" for one in told]
    print("\n".join(wrong) or "Home Assistant reads all of it, and forgets it when it is switched off.")
    return 1 if wrong else 0


def look(python: str, broker: Mosquitto, entities: int) -> tuple[dict[str, Any], list[str]]:
    """Return what a Home Assistant that has just moved in finds, and what it complains of."""
    with tempfile.TemporaryDirectory() as folder:
        command = [python, str(HOUSE), folder, str(broker.port), str(entities)]
        result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    complaints = [line for line in result.stderr.splitlines() if line.startswith(("WARNING", "ERROR", "CRITICAL"))]
    return json.loads(result.stdout), [line for line in complaints if not any(one in line for one in KNOWN_NOISE)]


def expected_of() -> dict[str, Callable[[str | None], bool]]:
    """Return what must be seen of a port that charges a lamp, by the entity's unique id."""
    port, gateway = "chargerd_shed-1_port_A01", "chargerd_shed-1_gateway"

    def between(low: float, high: float) -> Callable[[str | None], bool]:
        return lambda state: state not in {None, "unknown", "unavailable"} and low < float(state or 0) < high

    return {
        f"{gateway}_connected": lambda state: state == "on",
        f"{port}_state": lambda state: state == "charging",
        f"{port}_power": between(100, 1000),
        f"{port}_current": between(1.5, 2.5),
        f"{port}_relay": lambda state: state == "on",
        f"{port}_problem": lambda state: state == "off",
        "chargerd_shed-1_port_A02_state": lambda state: state == "available",
        "chargerd_shed-1_circuit_shed_power": between(-1, 5000),
        "chargerd_shed-1_board_relay-a_connected": lambda state: state == "on",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
