"""Wiring proofs as the daemon drives them: what is told, what is kept, and what the next daemon makes of it."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from chargerd.config.loader import load
from chargerd.config.site import Site
from chargerd.contract.ledger import Json
from chargerd.control.server import Peer, Responder
from chargerd.core.clock import Clock
from chargerd.core.events import DeadManTested, Event, ProofSuspected, StartRequested
from chargerd.core.facts import Fact
from chargerd.core.units import PortId
from chargerd.runtime.engine import Engine
from chargerd.runtime.local import prover
from chargerd.runtime.local.proofs import FILE, Proofs
from tests.core.prover import AMPS, LOAD
from tests.core.world import World
from tests.patience import PATIENCE_S

A01, A02 = PortId("A01"), PortId("A02")
CONFIGURATION = """\
gateway: {id: shed-1}
buses: {line-a: {serial: /dev/ttyUSB0}}
boards:
  relay-a: {bus: line-a, address: 1, profile: waveshare-relay-16}
  meter-a1..meter-a2: {bus: line-a, address: 11..12, profile: eastron-sdm120}
circuits: {shed: {}}
ports:
  - {id: A01..A02, relay: relay-a/1..2, meter: meter-a1..meter-a2, circuit: shed}
"""


class Wired:
    """An engine around a modelled world, in which a quarter of a second passes with each look."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.world = World(site=site.plan)
        for port, meter in self.world.meters.items():
            meter.volts = 230.0
            self.world.draw(0.0, 0.0, port=port)
        self.world.run(10)
        self.listener: Callable[[tuple[Fact, ...]], None] | None = None
        self._told = len(self.world.facts)
        self.events: list[Event] = []
        self.proofs = self.begin(folder)

    def begin(self, folder: Path) -> Proofs:
        proofs = Proofs(
            site=lambda: self.site,
            engine=cast("Engine", self),
            clock=cast("Clock", self.world),
            folder=folder,
            listen=self._listen,
        )
        proofs.begin()
        return proofs

    def _listen(self, listener: Callable[[tuple[Fact, ...]], None] | None) -> None:
        self.listener = listener

    def views(self) -> Any:
        self.world.run(0.25)
        facts = tuple(fact for _, fact in self.world.facts[self._told :])
        self._told = len(self.world.facts)
        if facts and self.listener is not None:
            self.listener(facts)
        return self.world.station.views(self.world.moment())

    def circuit_views(self) -> Any:
        return self.world.station.circuit_views(self.world.moment())

    def dispatch(self, event: Event) -> None:
        self.events.append(event)
        self.world.tell(event)


class Person:
    """Whoever has begun a proof, and does what is asked."""

    def __init__(self, wired: Wired, *, leaves_at: str | None = None) -> None:
        self.wired = wired
        self.leaves_at = leaves_at
        self.closed = False
        self.told: list[dict[str, Any]] = []
        self.failed: tuple[str, str, str] | None = None
        self.over = threading.Event()
        self.peer = Peer(pid=7, uid=1000, gid=1000)

    def send(self, result: Json, *, more: bool = False) -> None:
        assert isinstance(result, dict)
        told: dict[str, Any] = result
        self.told.append(told)
        if "ask" in told:
            self._do(told)
        if not more:
            self.over.set()

    def fail(self, code: str, message: str, hint: str = "") -> None:
        self.failed = (code, message, hint)
        self.over.set()

    def _do(self, told: dict[str, Any]) -> None:
        if told["port"] is not None and told["port"] == self.leaves_at:
            self.closed = True
            self.over.set()
            return
        for port in self.wired.world.plans:
            here = told["ask"] == "plug_all" or port == told["port"]
            if told["ask"] != "steady":
                self.wired.world.draw(AMPS if here else 0.0, LOAD if here else 0.0, port=port)
        self.answer("yes" if told["ask"] == "steady" else "ready")

    def answer(self, word: str, proof: str | None = None) -> "Person":
        other = Person(self.wired)
        params: dict[str, Json] = {"proof": proof or self.told[0]["proof"], "answer": word}
        self.wired.proofs.methods["prove-answer"](params, cast("Responder", other))
        return other

    def asks(self, method: str, **params: Json) -> "Person":
        self.wired.proofs.methods[method](params, cast("Responder", self))
        assert self.over.wait(PATIENCE_S)
        return self


@pytest.fixture
def wired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wired:
    monkeypatch.setattr(prover, "TURN", 0.0)
    (tmp_path / "chargerd.yaml").write_text(CONFIGURATION)
    return Wired(load(tmp_path / "chargerd.yaml"), tmp_path)


def idle() -> None:
    """Wait until the thread of a proof whose person has gone is over."""
    for thread in threading.enumerate():
        if thread.name == "prover":
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def test_a_proof_is_told_step_by_step_and_its_report_is_kept(wired: Wired, tmp_path: Path) -> None:
    person = Person(wired).asks("prove", load_w=100.0, by="Ann")
    assert person.failed is None
    assert person.told[0]["ports"] == ["A01", "A02"]
    assert [one["ask"] for one in person.told if "ask" in one] == ["plug", "steady", "plug"]
    report = person.told[-1]["report"]
    assert (report["result"], report["by"], report["uid"]) == ("proved", "Ann", 1000)
    assert [board["proved"] for board in report["boards"]] == [True]
    reactions = {one["function"]: one["reaction_s"] for one in report["ports"][0]["functions"]}
    assert 0 < reactions["overcurrent_instant"] < reactions["overcurrent_definite"] < 6
    idle()
    assert wired.proofs.proved == {"relay-a"}
    assert Person(wired).asks("prove-report").told[-1]["ports"] == report["ports"]
    assert wired.begin(tmp_path).proved == {"relay-a"}
    assert wired.listener is None
    again = Person(wired).asks("prove", load_w=100.0, by="Ann")
    assert again.told[0]["done"] == [], "what has come to its end is not gone on with"


def test_whoever_goes_leaves_every_relay_open_and_what_was_seen_is_gone_on_with(wired: Wired) -> None:
    first = Person(wired, leaves_at="A02").asks("prove", load_w=100.0)
    idle()
    assert not any(contact.coil for contact in wired.world.contacts.values())
    assert wired.world.view("A02").proof is None
    again = Person(wired).asks("prove", load_w=100.0)
    assert again.told[0] == {**first.told[0], "done": ["A01"]}
    assert again.told[-1]["report"]["result"] == "proved"
    idle()
    anew = Person(wired, leaves_at="A01").asks("prove", load_w=100.0, anew=True)
    assert anew.told[0]["done"] == []


def test_a_port_with_a_session_refuses_and_so_does_one_there_is_not(wired: Wired) -> None:
    wired.world.draw(2.0, port="A02")
    wired.world.charging("A02")
    refused = Person(wired).asks("prove").failed
    assert refused is not None
    assert (refused[0], "A02 (busy)" in refused[1]) == ("busy", True)
    idle()
    unknown = Person(wired).asks("prove", ports=["A01", "A09"]).failed
    assert unknown is not None
    assert unknown[0] == "unknown_port"


def test_there_is_one_proof_at_a_time_and_it_takes_answers_to_its_own_questions(wired: Wired) -> None:
    person = Person(wired, leaves_at="A01")
    person.asks("prove")
    second = Person(wired).asks("prove").failed
    assert second is None or second[0] == "busy"
    idle()
    late = person.answer("ready")
    assert late.failed is not None
    assert late.failed[0] == "unknown_session"


def test_an_answer_that_fits_nothing_is_refused(wired: Wired) -> None:
    said: list[Person] = []

    class Hasty(Person):
        def _do(self, told: dict[str, Any]) -> None:
            said.append(self.answer("yes" if told["ask"] == "plug" else "ready"))
            super()._do(told)

    Hasty(wired).asks("prove", ports=["A01"])
    assert [one.failed[0] for one in said if one.failed] == ["not_allowed"] * 2


def test_what_it_found_exchanged_is_latched_by_the_next_daemon_too(wired: Wired, tmp_path: Path) -> None:
    wired.world.wired.update({A01: A02, A02: A01})
    report = Person(wired).asks("prove", load_w=100.0).told[-1]["report"]
    assert {one["kind"] for one in report["findings"]} == {"meter_exchanged"}
    idle()
    kept = json.loads((tmp_path / FILE).read_text())
    assert (kept["data"]["settled"], kept["data"]["crossed"]) == (True, ["A01", "A02"])
    wired.events.clear()
    wired.begin(tmp_path)
    assert wired.events == []
    kept["data"]["settled"] = False
    (tmp_path / FILE).write_text(json.dumps(kept))
    wired.begin(tmp_path)
    assert wired.events == [ProofSuspected(ports=(A01, A02))]


def test_a_proof_that_fails_opens_and_latches_what_it_has_seen_exchanged(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    wired.world.wired.update({A01: A02, A02: A01})
    tell = wired.dispatch

    def fails_at_a02(event: Event) -> None:
        tell(event)
        if isinstance(event, StartRequested) and event.port == A02:
            wired.world.run(0.7)
            monkeypatch.setattr(wired, "circuit_views", lambda: 1 / 0)

    monkeypatch.setattr(wired, "dispatch", fails_at_a02)
    failed = Person(wired).asks("prove", load_w=100.0).failed
    idle()
    assert failed is not None
    assert failed[0] == "failed"
    assert wired.world.contacts[A02].edges
    wired.world.run(1.0)
    for port in (A01, A02):
        assert not wired.world.contacts[port].closed
        assert [latch.function for latch in wired.world.view(port).latches] == ["wiring_suspect"]
        assert wired.world.view(port).proof is None


def test_what_is_known_of_a_board_that_this_proof_has_not_tested_is_not_said_again(wired: Wired) -> None:
    Person(wired).asks("prove", load_w=100.0)
    idle()
    wired.events.clear()
    Person(wired, leaves_at="A01").asks("prove", load_w=100.0, anew=True)
    idle()
    assert wired.proofs.proved == {"relay-a"}
    assert not [event for event in wired.events if isinstance(event, DeadManTested)]


def test_loads_in_all_sockets_do_not_tell_sockets_that_are_exchanged_as_a_whole(wired: Wired) -> None:
    wired.world.wired.update({A01: A02, A02: A01})
    wired.world.feeds.update({A01: A02, A02: A01})
    report = Person(wired).asks("prove", load_w=100.0, each=True, asks=False).told[-1]["report"]
    idle()
    assert report["result"] == "proved"
    assert {"what": "sockets", "about": "A01, A02"} in report["not_tested"]


def test_a_board_that_failed_stays_so_over_restarts_and_changed_configurations(
    wired: Wired, tmp_path: Path
) -> None:
    wired.world.board.everlasting = True
    report = Person(wired).asks("prove", ports=["A01"]).told[-1]["report"]
    assert report["boards"][0]["test"]["failed"] == ["no_dead_man"]
    idle()
    (tmp_path / "chargerd.yaml").write_text(CONFIGURATION.replace("shed-1", "shed-2"))
    wired.site = load(tmp_path / "chargerd.yaml")
    wired.events.clear()
    wired.begin(tmp_path)
    assert wired.events == [DeadManTested(board=wired.site.plan.ports[0].relay.board, holds=False)]
    other = Person(wired).asks("prove-report").failed
    assert other is not None
    assert "another configuration" in other[1]
    Person(wired, leaves_at="A02").asks("prove", ports=["A02"])
    idle()
    assert json.loads((tmp_path / FILE).read_text())["data"]["boards"] == {"relay-a": False}


def test_what_is_kept_and_cannot_be_read_is_told_and_begun_anew(wired: Wired, tmp_path: Path) -> None:
    nothing = Person(wired).asks("prove-report").failed
    assert nothing is not None
    assert nothing[0] == "not_allowed"
    for damaged in ("{", "[]", '{"v": 2, "data": {}}', '{"v": 1, "data": {"proof": 7}}'):
        (tmp_path / FILE).write_text(damaged)
        assert wired.begin(tmp_path).proved == frozenset()
        assert Person(wired).asks("prove-report").failed == nothing


def test_a_proof_that_cannot_be_kept_is_none(wired: Wired, tmp_path: Path) -> None:
    (tmp_path / FILE).with_suffix(".new").mkdir()
    refused = Person(wired).asks("prove").failed
    assert refused is not None
    assert refused[0] == "store_unavailable"
    assert not wired.world.contacts[A01].edges
