"""A circuit with contactor, feeder meter and smoke detector on the real daemon."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chargerd.core.units import BoardId, Watts
from chargerd.sim.loads import Load, Phase
from tests.backend import Backend
from tests.broker import Mosquitto
from tests.site import DaemonSite

pytestmark = pytest.mark.e2e

BOARDS = """\
io-a: {bus: line-a, address: 2, profile: waveshare-relay-8-d}
  feeder-a: {bus: line-a, address: 30, profile: eastron-sdm230}
"""
INPUTS = "inputs: {smoke-a: {input: io-a/1, kind: smoke, circuit: shed, active: open}}"


def ended_at(port: str) -> Callable[[dict[str, Any]], bool]:
    return lambda body: bool(body["event"] == "ended" and body["port"] == port)


@pytest.fixture
def site(tmp_path: Path, broker: Mosquitto) -> Iterator[DaemonSite]:
    one = DaemonSite(
        tmp_path,
        ports=2,
        broker=broker.port,
        boards=BOARDS,
        circuit="rating_a: 16, meter: feeder-a, contactor: io-a/1",
        more=INPUTS,
    )
    one.world.board("io-a").inputs[0] = True
    with one:
        one.wait_ready()
        yield one


def test_smoke_opens_every_port_and_the_contactor_and_is_cleared_on_site(
    site: DaemonSite, backend: Backend
) -> None:
    bike = Load(name="bike", shape=lambda _s: (Watts(150.0), Phase.CHARGING), power_factor=0.6, noise=Watts(0.0))
    contactor = site.world.board(BoardId("io-a")).relays[0]
    for port in ("A01", "A02"):
        site.world.socket(port).plug(bike)
        backend.reply(backend.command("start", port=port, session_id=f"S-{port}"), "done")
    assert contactor.contact_closed
    circuit = backend.wait("state/circuit/shed", lambda body: bool(body["contactor_closed"]))
    assert circuit["rating_current_a"] == 16
    site.world.board("io-a").inputs[0] = False
    settled = [backend.wait("up/session", ended_at(port)) for port in ("A01", "A02")]
    assert [one["stop_reason"] for one in settled] == ["smoke", "smoke"]
    assert not site.contact("A01")
    assert not site.contact("A02")
    site.wait(lambda: not contactor.contact_closed, "the contactor stays closed")
    refused = backend.reply(backend.command("start", port="A01", session_id="S-2"), "rejected")
    assert refused["code"] in {"latched", "locked_out"}
    assert site.ask("reset", circuit="shed")["code"] == "not_allowed", "there is smoke yet"
    site.world.board("io-a").inputs[0] = True
    site.wait(lambda: site.ask("reset", circuit="shed")["status"] == "done", "the circuit stays latched")
    assert backend.wait("up/event", lambda body: body["event"] == "latches_cleared")["circuit"] == "shed"
    backend.reply(backend.command("start", port="A01", session_id="S-3"), "done")
