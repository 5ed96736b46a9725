"""Commands given on site: who gave them is written down, and none acts long after its sender has gone."""

import inspect
from collections.abc import Mapping
from typing import cast

import pytest

from chargerd.contract.ledger import Json
from chargerd.contract.payloads import EventBody, Severity
from chargerd.control.client import ControlClient
from chargerd.control.server import Peer, Responder
from chargerd.core.moment import Moment
from chargerd.core.station import Station
from chargerd.core.units import Instant, Seconds
from chargerd.runtime.engine import Engine
from chargerd.runtime.local.changes import GOOD_FOR
from chargerd.runtime.local.handler import LocalHandler, action
from chargerd.runtime.local.lines import Lines
from chargerd.runtime.local.settlements import SettlementQueries
from chargerd.store.journal import Journal
from tests.runtime.test_desk import Stage
from tests.runtime.test_engine import PLAN, Recorder

PEER = Peer(uid=1000, pid=7, gid=1)
ACTS: Mapping[str, dict[str, Json]] = {
    "start": {},
    "limits": {"power_w": 900},
    "reset": {"reason": "looked at it"},
    "enable": {"reason": "mended"},
    "unlock": {"by": "Ada"},
}
"""What waits for the disk before it acts."""


class Client:
    """Whoever has asked."""

    closed = False

    def __init__(self) -> None:
        self.told: list[Json] = []

    def send(self, result: Json, *, more: bool = False) -> None:
        self.told.append(result)
        assert not more

    def fail(self, code: str, message: str, hint: str = "") -> None:
        raise AssertionError(f"{code}: {message}; {hint}")


def handler(stage: Stage) -> LocalHandler:
    station = Station(PLAN, Moment(instant=Instant(0.0)))
    return LocalHandler(
        engine=Engine(station, stage.clock, Recorder(), pytest.fail),
        desk=stage.desk,
        clock=stage.clock,
        port_state=lambda _view: {},
        status=dict,
        accounts=SettlementQueries(cast("Journal", None)),
        lines=Lines(list, dict, lambda _event: None),
        audit=lambda _body: None,
    )


@pytest.mark.parametrize("method", list(ACTS))
@pytest.mark.parametrize("waits", [GOOD_FOR - 0.1, GOOD_FOR])
def test_what_waits_for_the_disk_does_so_no_longer_than_its_sender(method: str, waits: float) -> None:
    stage, client = Stage(), Client()
    handler(stage).call(method, {"port": "A01", **ACTS[method]}, PEER, cast("Responder", client))
    at_once = len(stage.events)
    stage.clock.sleep(Seconds(waits))
    stage.journal.write()
    stage.journal.write()
    assert len(stage.events) - at_once == (waits < GOOD_FOR)
    said = [(one["status"], one["code"]) for one in client.told if isinstance(one, dict)]
    assert said == ([] if waits < GOOD_FOR else [("expired", "expired")])


def test_its_sender_waits_longer_for_an_answer_than_it_is_good_for() -> None:
    assert inspect.signature(ControlClient).parameters["timeout"].default >= GOOD_FOR + 2.0


def test_an_action_on_site_names_what_where_why_and_who() -> None:
    told = action("reset", {"port": "A01", "reason": "relay replaced"}, Peer(uid=4_000_000, pid=7, gid=1))
    assert told == EventBody.model_validate(
        {
            "event": "local_action",
            "severity": Severity.INFO,
            "port": "A01",
            "function": "reset",
            "source": "local",
            "reason": "relay replaced",
            "uid": 4_000_000,
        }
    )
    assert action("stop", {"port": "A01"}, Peer(uid=0, pid=7, gid=1)).user == "root", "as this machine knows it"
    circuit = action("disable", {"circuit": "shed", "reason": "work"}, Peer(uid=0, pid=7, gid=1))
    assert (circuit.circuit, circuit.port) == ("shed", None)
    assert action("stop", {"port": "A01", "session_id": "S-1"}, Peer(uid=0, pid=7, gid=1)).session_id == "S-1"


def test_what_is_written_by_hand_is_in_the_ledger_with_place_and_value() -> None:
    told = action("write", {"board": "meter", "function": 16, "address": 18, "values": [1, 255]}, PEER)
    assert (told.function, told.board, told.uid) == ("write", "meter", 1000)
    assert told.reason == "function 16, address 0x0012: 0x0001, 0x00FF"
    elsewhere = action("write", {"bus": "line", "unit": 17, "function": 5, "address": 0, "values": [0]}, PEER)
    assert (elsewhere.bus, elsewhere.reason) == ("line", "unit 17, function 5, address 0x0000: 0x0000")
