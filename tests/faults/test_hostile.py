"""The link against a broker that misbehaves on purpose."""

import json
import time
from collections.abc import Callable
from functools import partial

import pytest

from chargerd.contract.ledger import Reply
from chargerd.core.units import CommandId
from tests.faults.hostile import Hostile, Published, Script
from tests.judging import every
from tests.mqtt.test_link import CLOCK, Ledger, Stage


def ledger_rows(broker: Hostile) -> int:
    return sum(1 for one in broker.published if one.topic.endswith("up/event"))


def growing(stage: Stage[Ledger]) -> None:
    """Make each alarm a row of the ledger, as the daemon does."""
    note = stage.link._alarms._alarm  # noqa: SLF001

    def alarm(name: str, detail: str) -> None:
        note(name, detail)
        stage.ledger.last += 1
        stage.link.rows_added()

    stage.link._alarms._alarm = alarm  # noqa: SLF001


@pytest.mark.parametrize("code", [0x90, 0x95, 0x99])
def test_a_row_the_broker_will_never_take_gives_its_place_to_a_gap(code: int) -> None:
    def refuse(one: Published) -> int:
        return code if one.body.get("seq") == 2 and one.body["event"] != "gap" else 0

    with Hostile(Script(puback=refuse)) as broker, Stage(broker.port, Ledger(rows=3)) as stage:
        stage.wait(lambda: any(one.body.get("event") == "gap" for one in broker.published))
        gap = next(one.body for one in broker.published if one.body.get("event") == "gap")
        assert (gap["seq"], gap["from"], gap["to"], gap["reason"]) == (2, 2, 2, f"refused with 0x{code:02x}")
        assert gap["dead_letter"]["event"] == "made_up"
        stage.wait(lambda: any(one.body.get("seq") == 3 for one in broker.published))
        assert not stage.alarms
        assert broker.connects == 1


def test_a_broker_that_refuses_everything_is_heard_and_not_flooded() -> None:
    with Hostile(Script(puback=lambda _one: 0x87)) as broker, Stage(broker.port, Ledger(rows=100)) as stage:
        stage.wait(lambda: ledger_rows(broker) >= 1)
        stage.wait(lambda: any("state/gateway" in detail for _name, detail in stage.alarms))
        began = time.monotonic()
        stage.wait(lambda: time.monotonic() - began > 0.5)
        assert ledger_rows(broker) <= 20, "the drain stands still"
        assert {name for name, _ in stage.alarms} == {"publish_refused"}
        assert len(stage.alarms) <= 5, "one for each kind of message"
        assert (broker.connects, stage.ledger.acked, stage.link.connected) == (1, 0, True)


@pytest.mark.parametrize("code", [0x87, 0x97, 0x90, 0x99, 0x80, 0x95, 0xA9])
def test_refusals_make_no_rows_without_end(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr("chargerd.mqtt.feed.PAUSE_REFUSED", 0.2)
    monkeypatch.setattr("chargerd.mqtt.feed.PAUSE_OTHER", 0.2)
    monkeypatch.setattr("chargerd.mqtt.client.TURN", 0.05)

    def refuse(one: Published) -> int:
        return code if "/up/" in one.topic else 0

    with Hostile(Script(puback=refuse)) as broker, Stage(broker.port, Ledger(rows=5)) as stage:
        growing(stage)
        stage.wait(lambda: ledger_rows(broker) >= 5)
        stage.wait(lambda: bool(stage.alarms))
        began = time.monotonic()
        stage.wait(lambda: time.monotonic() - began > 0.5)
        assert stage.ledger.last <= 5 + 3, f"{stage.ledger.last - 5} alarms in half a second"


def test_an_older_connections_backlog_does_not_overrun_a_smaller_window() -> None:
    """The broker comes back with a Receive Maximum of 2 while 20 publications were under way."""
    script = Script(puback=lambda _one: None, hang_up_after=20)
    with Hostile(script) as broker, Stage(broker.port, Ledger(rows=60)) as stage:
        stage.wait(lambda: broker.connects == 1 and len(broker.published) >= 3)
        script.receive_maximum = 2
        stage.wait(lambda: broker.connects >= 2 and broker.unanswered.get(2, 0) >= 2)
        began = time.monotonic()
        stage.wait(lambda: time.monotonic() - began > 0.5)
        assert broker.unanswered[2] <= 2
        assert not [one for one in broker.published if one.connection == 2 and one.duplicate]


def test_a_taken_over_session_keeps_still_for_minutes() -> None:
    with Hostile(Script(farewell=0x8E)) as broker, Stage(broker.port, Ledger()) as stage:
        stage.wait(lambda: any(name == "session_taken_over" for name, _ in stage.alarms))
        began = time.monotonic()
        stage.wait(lambda: time.monotonic() - began > 1)
        assert broker.connects == 1


@pytest.mark.parametrize("code", [0x87, 0xA9])
def test_a_refused_connection_alarms_once_and_backs_off_once_each(code: int) -> None:
    with Hostile(Script(connack=code)) as broker, Stage(broker.port, Ledger()) as stage:
        stage.wait(lambda: broker.connects >= 3)
        refused = [detail for name, detail in stage.alarms if name == "connection_refused"]
        assert len(refused) == 1
        assert not stage.link.connected


def test_a_reply_under_way_when_the_connection_breaks_goes_again() -> None:
    answered: Callable[[Published], int | None] = lambda one: None if one.connection == 1 else 0  # noqa: E731
    with Hostile(Script(puback=answered)) as broker, Stage(broker.port, Ledger()) as stage:
        stage.wait(lambda: stage.link.connected)
        stage.link.publish_reply(Reply(command=CommandId("x"), body={"id": "x"}), b"c")
        stage.wait(lambda: any(one.topic.endswith("up/reply") for one in broker.published))
        for sock in broker._open:  # noqa: SLF001
            sock.shutdown(2)
        stage.wait(lambda: any(one.topic.endswith("up/reply") and one.connection > 1 for one in broker.published))


@pytest.mark.parametrize("code", [0x87, 0xA9])
def test_a_subscription_that_is_refused_alarms(code: int) -> None:
    with Hostile(Script(suback=code)) as broker, Stage(broker.port, Ledger()) as stage:
        stage.wait(lambda: any(name == "subscription_refused" for name, _ in stage.alarms))
        assert broker.connects == 1


def test_the_window_is_kept() -> None:
    script = Script(puback=lambda _one: None, receive_maximum=5)
    with Hostile(script) as broker, Stage(broker.port, Ledger(rows=50)) as stage:
        stage.wait(lambda: len(broker.published) >= 5)
        began = time.monotonic()
        stage.wait(lambda: time.monotonic() - began > 0.5)
        assert broker.most_unanswered == 5


def test_a_drain_that_is_refused_pauses_and_goes_on_from_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargerd.mqtt.feed.PAUSE_REFUSED", 0.3)
    full = {"now": True}

    def quota(one: Published) -> int:
        return 0x97 if full["now"] and one.topic.endswith("up/event") else 0

    with Hostile(Script(puback=quota)) as broker, Stage(broker.port, Ledger(rows=60)) as stage:
        stage.wait(lambda: any(name == "publish_refused" for name, _ in stage.alarms))
        refused = ledger_rows(broker)
        assert refused <= 20, "no more than the window was under way"
        full["now"] = False
        stage.wait(lambda: any(one.body.get("seq") == 60 for one in broker.published))
        again = [one.body["seq"] for one in broker.published if one.topic.endswith("up/event")][refused:]
        assert again[-60:] == list(range(1, 61))


def test_a_broker_that_never_acknowledges_is_tried_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargerd.mqtt.client.STUCK_AFTER", 0.5)
    with Hostile(Script(puback=lambda _one: None)) as broker, Stage(broker.port, Ledger(rows=30)) as stage:
        stage.wait(lambda: broker.connects >= 3)
        assert stage.alarms[0][0] == "link_without_progress"
        assert len(stage.alarms) == 1
        assert broker.most_unanswered <= 20
        assert stage.ledger.acked == 0


def test_a_broker_that_says_nothing_at_all_is_left_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargerd.mqtt.transport.KEEPALIVE", 1)
    with Hostile(Script(mute=True)) as broker, Stage(broker.port, Ledger(rows=1)) as stage:
        stage.wait(lambda: broker.connects >= 2)
        assert not stage.link.connected
        assert not broker.published


def test_a_broker_that_drops_every_third_connection_gets_everything_in_the_end() -> None:
    script = Script(drop_every=3, hang_up_every=30)
    with Hostile(script) as broker, Stage(broker.port, Ledger(rows=100)) as stage:

        def acknowledge() -> bool:
            got = {one.body["seq"] for one in broker.published if one.topic.endswith("up/event")}
            through = next(seq for seq in range(1, 102) if seq not in got) - 1
            stage.link._words.put(  # noqa: SLF001
                lambda: stage.link._feed.acknowledged(  # noqa: SLF001
                    b'{"stream": "stream", "through": %d}' % through, kept=False
                )
            )
            return through == 100

        stage.wait(acknowledge)
        assert broker.connects >= 4
        births = [one.body["conn"] for one in broker.published if one.body.get("status") == "online"]
        assert births == sorted(births)


def test_an_ack_of_rows_that_were_never_sent_is_ahead() -> None:
    """The row is there, but no broker has ever been given it: others are under way, and fill the window."""
    with Hostile(Script(puback=lambda _one: None, receive_maximum=7)) as broker:
        stage = Stage(broker.port, Ledger(rows=3))
        with stage:
            stage.wait(lambda: sum(one.topic.endswith("up/event") for one in broker.published) == 3)
            stage.ledger.last = 9
            feed = stage.link._feed  # noqa: SLF001
            words = stage.link._words  # noqa: SLF001
            words.put(lambda: feed.acknowledged(b'{"stream": "stream", "through": 9}', kept=False))
            stage.wait(lambda: any(name == "ack_ahead" for name, _ in stage.alarms))
            assert stage.ledger.acked == 0


def test_every_topic_has_its_quality_its_retention_and_its_expiry() -> None:
    with Hostile(Script()) as broker:
        with Stage(broker.port, Ledger(rows=1)) as stage:
            stage.link.board_state("relay-a", {"health": "good"})
            stage.link.circuit_state("shed", {"current_a": 1.0})
            stage.wait(lambda: stage.link.connected)
            stage.link.publish_reading({"port": "A01"})
            stage.link.publish_health({"load": 0.1})
            stage.link.publish_reply(Reply(command=CommandId("x"), body={"id": "x"}), None)
            stage.wait(lambda: len({one.topic for one in broker.published}) >= 10)
        said = {
            one.topic.removeprefix("chargerd/v1/shed-1/"): (one.qos, one.retain, one.expiry)
            for one in broker.published
            if one.body.get("status") != "offline"
        }
        assert said == {
            "state/gateway": (1, True, 180),
            "state/info": (1, True, None),
            "state/board/relay-a": (1, True, 3600),
            "state/port/A01": (1, True, 3600),
            "state/port/A02": (1, True, 3600),
            "state/circuit/shed": (1, True, 3600),
            "up/event": (1, False, None),
            "up/reading": (1, False, 86400),
            "up/reply": (1, False, 3600),
            "up/health": (0, False, 60),
        }
        goodbye = broker.published[-1]
        assert (goodbye.body["status"], goodbye.body["cause"]) == ("offline", "shutdown")
        assert goodbye.expiry is None, "absent means offline, but a goodbye stays"


def test_each_connection_leaves_a_will_with_its_own_number() -> None:
    script = Script(hang_up_after=3)
    with Hostile(script) as broker, Stage(broker.port, Ledger()) as stage:
        stage.wait(lambda: len(broker.hellos) >= 2 and stage.link.connected)
    for number, hello in enumerate(broker.hellos[:2], start=1):
        assert hello[:7] == b"\x00\x04MQTT\x05"
        flags, keepalive = hello[7], int.from_bytes(hello[8:10], "big")
        assert not flags & 0x02, "the session goes on: commands that waited are not thrown away"
        assert flags & 0x3C == 0x2C, "a will, QoS 1, retained"
        assert keepalive == 30
        assert b"\x11" + (3600).to_bytes(4, "big") in hello, "session expiry"
        assert b"\x21" + (256).to_bytes(2, "big") in hello, "room for a stop of each port"
        assert b"\x18" + (15).to_bytes(4, "big") in hello, "will delay"
        will = json.loads(hello[hello.index(b"{") : hello.rindex(b"}") + 1])
        assert (will["status"], will["cause"], will["conn"]) == ("offline", "lost", number)


def test_presence_is_said_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargerd.mqtt.outgoing.PRESENCE_EVERY", 0.2)
    with Hostile(Script()) as broker, Stage(broker.port, Ledger()) as stage:
        stage.wait(lambda: sum(one.body.get("status") == "online" for one in broker.published) >= 3)


def test_a_goodbye_nobody_confirms_leaves_the_will_in_force() -> None:
    with Hostile(Script(puback=lambda _one: None)) as broker:
        with Stage(broker.port, Ledger()) as stage:
            stage.wait(lambda: len(broker.published) >= 3)
        Stage.wait_for(lambda: bool(broker.farewells))
        assert broker.farewells == [b"\x04"], "DISCONNECT with will"
    with Hostile(Script()) as broker:
        with Stage(broker.port, Ledger()) as stage:
            stage.wait(lambda: len(broker.published) >= 3)
        Stage.wait_for(lambda: bool(broker.farewells))
        assert broker.farewells == [b""]


def test_connections_that_never_last_raise_an_alarm() -> None:
    with Hostile(Script(hang_up_every=3)) as broker, Stage(broker.port, Ledger()) as stage:
        stage.wait(lambda: any(name == "connection_unsteady" for name, _ in stage.alarms))
        assert broker.connects >= 3

        def told() -> bool:
            reason = stage.link.state.reason
            return reason is not None and reason.code == "unsteady"

        stage.wait(told)


def test_after_connections_that_never_last_pauses_grow_until_one_has_held_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """mosquitto does not say that another client has taken the session: two of one id would fight for ever."""
    monkeypatch.setattr("chargerd.mqtt.back_off.STEADY_AFTER", 0.2)
    monkeypatch.setattr("chargerd.mqtt.client.TURN", 0.05)
    script = Script(hang_up_every=3)
    with Hostile(script) as broker, Stage(broker.port, Ledger()) as stage:
        stage.wait(lambda: any(name == "connection_unsteady" for name, _ in stage.alarms))
        back_off = stage.link._back_off  # noqa: SLF001 - when it begins anew shows only in pauses of minutes
        script.hang_up_every = None
        stage.wait(lambda: stage.link.connected)
        began = time.monotonic()
        stage.wait(lambda: time.monotonic() - began > 0.5)
        assert back_off._failures >= 3, "it has held longer than a steady one, but not for long"  # noqa: SLF001
        monkeypatch.setattr("chargerd.mqtt.back_off.CALM_AFTER", 0.6)
        stage.wait(lambda: back_off._failures == 0)  # noqa: SLF001


def said_thrice(broker: Hostile, topic: str) -> bool:
    return sum(one.topic.endswith(topic) for one in broker.published) >= 3


def test_states_are_published_again_before_they_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargerd.mqtt.outgoing.STATES_EVERY", 0.2)
    with Hostile(Script()) as broker, Stage(broker.port, Ledger()) as stage:
        for topic in ("state/port/A01", "state/info"):
            stage.wait(partial(said_thrice, broker, topic))


@pytest.mark.parametrize(
    ("offers", "lacks"),
    [
        ({"RetainAvailable": 0}, "no_retained_messages"),
        ({"MaximumQoS": 0}, "no_qos_1"),
        ({"MaximumQoS": 1, "TopicAliasMaximum": 10, "SubscriptionIdentifierAvailable": 0}, None),
        ({"MaximumPacketSize": 4000}, "small_packets"),
        ({"WildcardSubscriptionAvailable": 0}, "no_wildcards"),
        ({"SharedSubscriptionAvailable": 0}, "no_shared_subscriptions"),
        ({"SessionExpiryInterval": 60}, "short_session"),
    ],
)
def test_what_a_broker_lacks_is_said_and_done_without(offers: dict[str, int], lacks: str | None) -> None:
    """It throws out whoever asks for more; the gateway keeps to what there is, and says what does not work."""
    ledger = Ledger(rows=4)
    ledger.large.add(2)
    ledger.padding = 6_000
    with Hostile(Script(offers=offers)) as broker, Stage(broker.port, ledger) as stage:
        stage.wait(lambda: {one.body.get("seq") for one in broker.published} >= {1, 2, 3, 4})
        state = stage.link.state
        assert [one.code for one in state.shortfalls] == ([] if lacks is None else [lacks])
        told = sum(one.event == "broker_falls_short" for one in stage.events)
        assert told == len(state.shortfalls)
        assert broker.connects <= 2, "one refusal of the last will, and then it keeps to what there is"
        second = next(one for one in broker.published if one.body.get("seq") == 2)
        assert (second.body["event"] == "gap") is (lacks == "small_packets")
        last = broker.connects
        kept = [one for one in broker.published if one.connection == last and one.topic.endswith("state/port/A01")]
        assert kept[0].retain is (lacks != "no_retained_messages")
        assert kept[0].qos == (0 if lacks == "no_qos_1" else 1)
        assert (b"cmd/+" in broker.subscriptions[-1]) is (lacks != "no_wildcards")
        assert b"cmd/stop" in broker.subscriptions[-1] or lacks != "no_wildcards"


def test_a_broker_that_guards_states_is_not_asked_for_them_for_ever() -> None:
    with Hostile(Script(guards_states=True)) as broker, Stage(broker.port, Ledger(rows=3)) as stage:
        stage.wait(lambda: {one.body.get("seq") for one in broker.published} >= {1, 2, 3})
        assert [b"/state/" in one for one in broker.subscriptions] == [True, True, False]


def test_why_there_was_no_connection_is_in_the_ledger_once_there_is_one() -> None:
    script = Script(connack=0x86)
    with Hostile(script) as broker, Stage(broker.port, Ledger()) as stage:
        stage.wait(lambda: stage.link.state.attempts >= 2)
        reason = stage.link.state.reason
        assert reason is not None
        assert reason.code == "credentials_refused"
        script.connack = 0
        stage.wait(lambda: any(one.event == "connection_failed" for one in stage.events))
        assert reason.what in (stage.events[0].reason or "")
        assert [name for name, _detail in stage.alarms] == ["connection_refused"]
        assert (stage.link.state.connected, stage.link.state.reason) == (True, None)


def test_one_who_is_thrown_out_for_what_a_broker_lacks_does_without_for_an_hour() -> None:
    """It announces nothing, and hangs up on the first message of QoS 1."""
    with Hostile(Script(farewell=0x9B)) as broker, Stage(broker.port, Ledger(rows=2)) as stage:
        stage.wait(lambda: any(one.body.get("seq") == 2 for one in broker.published))
        assert [hello[7] & 0x18 for hello in broker.hellos] == [0x08, 0], "the last will, too"
        assert every(one.qos == 0 for one in broker.published if one.connection == 2)
        assert [one.code for one in stage.link.state.shortfalls] == ["no_qos_1"]
        transport = stage.link._transport  # noqa: SLF001 - what it has learned shows in an hour
        assert transport is not None
        [until] = transport._learned.values()  # noqa: SLF001
        assert 0 < until - CLOCK.now() <= 3600
