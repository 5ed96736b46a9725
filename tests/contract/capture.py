"""Captures the manual's examples from a run: the real daemon on a simulated line, a real broker.

    python -m tests.contract.capture [FOLDER]

It writes one example of each message, by default to docs/contract/examples; then run `chargerd contract --write`.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from chargerd.contract.messages import KINDS, kind_of
from chargerd.core.units import Watts
from chargerd.sim.loads import Load, Phase, resistive
from tests.backend import Backend
from tests.broker import Mosquitto
from tests.site import DaemonSite

LIMITS = {"energy_wh": 500}


class Recorder(Backend):
    """Keeps what it sends, too."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.sent: dict[str, Any] = {}

    def publish(self, topic: str, body: Any, *, expiry: int | None = None, retain: bool = False) -> None:
        self.sent.setdefault(topic.removeprefix("cmd/"), body)
        super().publish(topic, body, expiry=expiry, retain=retain)

    def replay(self, stream: str, start: int) -> str:
        args: dict[str, Any] = {"stream": stream, "from": start}
        return self.command("replay", **args)

    def reserve(self, port: str, session: str, seconds: int) -> str:
        """Both the command and what it asks for have a `ttl_s`."""
        args = {"port": port, "session_id": session, "ttl_s": seconds}
        self.publish("cmd/reserve", {"id": "reserve-1", "ttl_s": 30, "args": args}, expiry=30)
        return "reserve-1"


def run(site: DaemonSite, backend: Recorder) -> None:
    """A session that is stopped, and one that trips."""
    load = Load(name="bike", shape=lambda _s: (Watts(152.0), Phase.CHARGING), power_factor=0.6)
    site.world.socket("A01").plug(load)
    start = backend.command(
        "start",
        port="A01",
        session_id="S-2026-000017",
        order_id="order 17",
        limits=LIMITS,
        tariff_tiers_w=[150, 285],
    )
    backend.reply(start, "done")
    backend.wait("up/reading", lambda body: (body["power_w"] or 0) > 100)
    more = backend.command("update_limits", port="A01", session_id="S-2026-000017", limits={"energy_wh": 800})
    backend.reply(more, "done")
    stop = backend.command("stop", port="A01", session_id="S-2026-000017")
    backend.reply(stop, "done")
    site.world.socket("A02").plug(resistive("heater", 2.0))
    backend.reply(backend.command("start", port="A02"), "done")
    site.world.socket("A02").plug(resistive("pump", 9.0))
    backend.wait("up/event", lambda body: body["event"] == "port_tripped")
    tripped = backend.wait("up/session", lambda body: body["event"] == "ended" and body["port"] == "A02")
    site.world.socket("A02").unplug()
    backend.reply(backend.command("reset", port="A02"), "done")
    backend.reply(backend.command("disable", port="A03", reason="the socket's lid is broken"), "done")
    backend.reply(backend.command("enable", port="A03", reason="the lid was replaced"), "done")
    backend.reply(backend.reserve("A03", "S-2026-000018", 600), "done")
    backend.acknowledge(tripped["stream"], tripped["seq"])
    backend.reply(backend.replay(tripped["stream"], 1), "done")
    backend.reply(backend.command("get"), "done")
    backend.wait("up/health", timeout=90.0)


def example(backend: Recorder, name: str) -> Any:
    """The last message of a kind, or the one that shows most; `None` if the run had none."""
    found = [body for topic, body, _ in backend.messages if body and kind_of(topic, body).name == name]
    if name == "event":
        found = [body for body in found if body["event"] == "port_tripped"]
    if name == "port":
        found = [body for body in found if body["state"] == "charging"]
    if name in {"session", "reading", "reply"}:
        found = [body for body in found if body["session_id"] == "S-2026-000017"]
    return found[-1] if found else None


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        with Mosquitto(place / "broker") as broker, Recorder(broker.port) as backend:
            with DaemonSite(place, broker=broker.port) as site:
                site.wait_ready()
                run(site, backend)
            for kind in KINDS:
                made = example(backend, kind.name) if kind.up else backend.sent[kind.name]
                if made is None:
                    sys.stderr.write(f"{kind.name}: the run had none\n")
                    continue
                text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
                (folder / f"{kind.name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/contract/examples"))
