"""Commands that move no relay: durable first, then carried out, then answered."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from chargerd.contract.commands import Incoming, Refusal, parse
from chargerd.contract.ledger import Body, Reply
from chargerd.core.commands import Code
from chargerd.core.events import (
    DisableRequested,
    EnableRequested,
    ReserveRequested,
    ResetRequested,
    StartRequested,
    UpdateRequested,
)
from chargerd.core.session import Source
from chargerd.core.units import Amps, CircuitId, CommandId, PortId, Seconds, SessionId, Watts
from chargerd.core.view import CircuitView
from chargerd.mqtt.client import MqttLink
from chargerd.runtime.commands.backend import Backend
from chargerd.runtime.commands.orders import fresh_id
from chargerd.store.codec import dump_command, load_command
from tests.mqtt.test_commands import NTP, SOON, UNSET, arrived
from tests.runtime import test_desk
from tests.runtime.test_engine import PORT

LATE = replace(NTP, wall_ms=(NTP.wall_ms or 0) + 3_600_000)
"""An hour after a time that was soon."""


class Link:
    """What the commands ask of a link."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.circuits: list[Body] = []
        self.replies: list[tuple[Body, bytes | None]] = []

    def publish_reply(self, reply: Reply, correlation: bytes | None) -> None:
        self.replies.append((reply.body, correlation))

    def replay(self, stream: str, start: int, to: int | None, answer: Callable[[str | None], None]) -> None:
        self.asked.append((stream, start, to))
        answer(None if stream == "here" else "the stream here is here")

    def circuit_state(self, _circuit: str, body: Body) -> None:
        self.circuits.append(body)

    def publish_states(self) -> None:
        self.asked.append("states")


class Stage(test_desk.Stage):
    def __init__(self) -> None:
        super().__init__()
        self.link = Link()
        self.backend = Backend(
            link=cast("MqttLink", self.link), desk=self.desk, clock=self.clock, reading_interval=Seconds(10)
        )

    def command(self, name: str, **args: object) -> None:
        incoming = parse(arrived(name, {"id": "c-1", "ttl_s": 30, "args": args}))
        assert isinstance(incoming, Incoming), incoming
        self.backend.command(incoming, self.receive)

    def written(self, *, durable: bool = True) -> list[tuple[object, object]]:
        self.journal.write(durable=durable)
        self.journal.write()
        return [(body["status"], body["code"]) for body, _correlation in self.link.replies]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_replay_is_asked_for_when_its_id_is_durable_and_answered(stage: Stage) -> None:
    stage.command("replay", stream="here", **{"from": 17})
    assert not stage.link.asked
    assert stage.received == 0
    assert stage.written() == [("done", "ok")]
    assert stage.link.asked == [("here", 17, None)]
    assert stage.received == 1
    assert stage.link.replies[0][1] == b"c", "with the Correlation Data of its command"


def test_a_replay_may_be_of_a_few_rows(stage: Stage) -> None:
    stage.command("replay", stream="here", **{"from": 17, "to": 17})
    assert stage.written() == [("done", "ok")]
    assert stage.link.asked == [("here", 17, 17)]


def test_what_a_command_is_known_by_outlives_a_crash() -> None:
    before, after = Stage(), Stage()
    before.command("reset", port="A01")
    [command] = [one for batch, _done in before.journal.batches for one in batch.commands]
    kept = load_command(dump_command(command), None, final=False)
    after.desk.conclude(
        (kept, replace(kept, command=CommandId("c-2"), correlation=None)), after.backend.respond_to
    )
    assert after.written() == [("failed", "failed")] * 2
    assert [correlation for _body, correlation in after.link.replies] == [b"c", None]


def test_last_words_that_a_kill_may_have_swallowed_are_said_again() -> None:
    before, after = Stage(), Stage()
    before.command("get")
    [command] = [one for batch, _done in before.journal.batches for one in batch.commands]
    assert before.written() == [("done", "ok")]
    [(body, _correlation)] = before.link.replies
    said = replace(command, reply=Reply(command=command.command, body=body), final=True)
    on_site = replace(said, command=fresh_id())
    after.backend.say_again((said, on_site, replace(said, reply=None)))
    assert after.link.replies == [(body, b"c")]
    assert not after.journal.batches, "it is written already"


def test_a_replay_of_another_stream_is_refused_with_the_one_there_is(stage: Stage) -> None:
    stage.command("replay", stream="gone", **{"from": 1})
    assert stage.written() == [("rejected", "failed")]
    assert stage.link.replies[0][0]["message"] == "the stream here is here"


def test_get_has_all_states_published(stage: Stage) -> None:
    stage.command("get")
    assert stage.written() == [("done", "ok")]
    assert stage.link.asked == ["states"]


def test_the_same_id_again_does_nothing_again(stage: Stage) -> None:
    stage.command("get")
    stage.written()
    stage.command("get")
    assert stage.link.asked == ["states"]
    assert stage.received == 2
    assert stage.link.replies[-1][0]["code"] == "duplicate"


@pytest.mark.parametrize("name", ["stop", "start"])
def test_the_same_id_after_its_expiry_has_its_stored_answer_again(stage: Stage, name: str) -> None:
    body = {"id": "c-1", "expires_at": SOON, "args": {"port": "A01", "session_id": "S-1"}}
    first = parse(arrived(name, body, now=NTP))
    assert isinstance(first, Incoming), first
    stage.backend.command(first, stage.receive)
    [command] = [one for batch, _done in stage.journal.batches for one in batch.commands]
    reply = {"id": "c-1", "command": name, "status": "done", "code": "ok", "message": ""}
    stage.journal.known[command.command] = replace(
        command, reply=Reply(command=command.command, body=reply), final=True
    )
    for moment in (LATE, UNSET):
        again = parse(arrived(name, body, now=moment))
        if isinstance(again, Incoming):
            stage.backend.command(again, stage.receive)
        else:
            assert again.code in {Code.EXPIRED, Code.CLOCK_UNSYNCHRONISED}
            stage.backend.refused(again)
        told = stage.link.replies[-1][0]
        assert (told["status"], told["code"], told["message"]) == ("done", "duplicate", "said before: ok")
    other = parse(arrived(name, {**body, "args": {"port": "A02", "session_id": "S-1"}}, now=LATE))
    assert isinstance(other, Refusal)
    stage.backend.refused(other)
    assert stage.link.replies[-1][0]["code"] == "conflict"
    late = parse(arrived(name, {**body, "id": "c-2"}, now=LATE))
    assert isinstance(late, Refusal)
    stage.backend.refused(late)
    assert stage.link.replies[-1][0]["code"] == "expired", "what never came in time"


def test_a_store_that_cannot_remember_refuses(stage: Stage) -> None:
    stage.command("get")
    assert stage.written(durable=False) == [("rejected", "store_unavailable")]
    assert not stage.link.asked


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"stream": "s"},
        {"stream": "s", "from": 0},
        {"stream": "s", "from": "1"},
        {"from": 1},
        {"stream": "s", "from": 1, "to": "2"},
        {"stream": "s", "from": 1, "to": 0},
        {"stream": "s", "from": 3, "to": 2},
    ],
)
def test_a_replay_that_is_not_well_formed_is_refused(args: dict[str, object]) -> None:
    assert not isinstance(parse(arrived("replay", {"id": "c", "ttl_s": 30, "args": args})), Incoming)


def test_what_moves_nothing_needs_no_clock() -> None:
    body = {"id": "c", "expires_at": "2026-09-21T14:13:50Z", "args": {}}
    assert isinstance(parse(arrived("get", body)), Incoming)


def circuit(**changes: Any) -> CircuitView:
    plain = CircuitView(
        id=CircuitId("shed"),
        parent=None,
        load_currents=(Amps(1.234), Amps(0.0), Amps(0.0)),
        load_power=Watts(283.4),
        allocated_currents=(Amps(5.0), Amps(0.0), Amps(0.0)),
        allocated_power=Watts(1000.0),
        rating=Amps(40.0),
        rating_power=None,
        load_share=0.03,
        measured=True,
        contactor_closed=None,
    )
    return replace(plain, **changes)


def test_a_circuits_load_is_told_each_minute_and_all_else_at_once(stage: Stage) -> None:
    stage.backend.circuits([circuit()])
    body = stage.link.circuits[0]
    assert (body["circuit"], body["load_current_a"], body["rating_power_w"]) == ("shed", [1.23, 0.0, 0.0], None)
    stage.backend.circuits([circuit(load_power=Watts(300.0))])
    assert len(stage.link.circuits) == 1
    stage.backend.circuits([circuit(queue=(PortId("A02"),))])
    assert stage.link.circuits[1]["queue"] == ["A02"]
    stage.clock.sleep(Seconds(61))
    stage.backend.circuits([circuit(queue=(PortId("A02"),), load_power=Watts(310.0))])
    assert stage.link.circuits[2]["load_power_w"] == 310


def test_a_reset_is_for_a_port_or_for_a_circuit(stage: Stage) -> None:
    stage.command("reset", circuit="shed")
    stage.written()
    [event] = stage.events
    assert isinstance(event, ResetRequested)
    assert event.port == "circuit/shed"
    for args in ({}, {"port": "A01", "circuit": "shed"}):
        assert not isinstance(parse(arrived("reset", {"id": "c", "ttl_s": 30, "args": args})), Incoming)


def test_a_start_says_how_long_it_may_wait(stage: Stage) -> None:
    stage.command("start", port=PORT, queue_s=120)
    stage.written()
    [event] = stage.events
    assert isinstance(event, StartRequested)
    assert event.order.queue_for == Seconds(120)


def test_new_limits_come_with_what_they_name_and_nothing_else(stage: Stage) -> None:
    stage.command("update_limits", port=PORT, session_id="S-1", limits={"power_w": 500, "duration_s": 60.5})
    [event] = stage.events
    assert isinstance(event, UpdateRequested)
    assert (event.port, event.session, event.source) == (PORT, "S-1", Source.REMOTE)
    assert (event.current, event.energy) == (None, None)
    assert (event.power, event.duration) == (Watts(500.0), Seconds(60.5))
    assert not event.durable


def test_a_port_or_a_circuit_is_disabled_and_enabled_with_a_reason(stage: Stage) -> None:
    stage.command("disable", circuit="shed", reason="inspection")
    [event] = stage.events
    assert isinstance(event, DisableRequested)
    assert event == DisableRequested(
        port=PortId("circuit/shed"), source=Source.REMOTE, reason="inspection", command=event.command
    )


def test_what_is_enabled_waits_for_its_id_to_be_durable(stage: Stage) -> None:
    stage.command("enable", port=PORT, reason="done")
    assert not stage.events
    stage.written()
    [event] = stage.events
    assert isinstance(event, EnableRequested)
    assert event.reason == "done"


def test_a_port_is_reserved_when_that_is_durable_and_nothing_on_its_way_waits_for_it(stage: Stage) -> None:
    stage.command("reserve", port=PORT, session_id="S-1", ttl_s=300)
    assert not stage.events
    stage.written()
    [event] = stage.events
    assert event == ReserveRequested(
        port=PORT,
        session=SessionId("S-1"),
        source=Source.REMOTE,
        lasts=Seconds(300.0),
        command=CommandId("c-1"),
    )
    assert not stage.news, "it closes nothing"


def test_a_start_says_whether_it_ends_when_the_charge_is_full(stage: Stage) -> None:
    stage.command("start", port=PORT, full_stop=False)
    stage.written()
    [event] = stage.events
    assert isinstance(event, StartRequested)
    assert not event.order.full_stop
