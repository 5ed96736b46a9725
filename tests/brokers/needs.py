"""What the contract needs of a broker, each tried at one that runs. `python -m tests.brokers needs`."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.brokers.client import Client, Place, Will

ROOT = "chargerd/v1/shed-1"
LARGEST = 16 * 1024 + 256
PORTS = 85
OLD = "what was under way when the line broke comes however old, with the expiry it had at first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a broker does about one need; `ok` is `None` where it is done in another way."""

    ok: bool
    text: str = ""


Try = Callable[[Place], Found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One need: what it is, what it is for, and what it costs if a broker has it not."""

    key: str
    what: str
    without: str
    try_it: Try


def fresh(place: Place, topic: str) -> None:
    """Clear what is retained on a topic."""
    with Client(place, "cleaner") as client:
        client.publish(topic, b"", retain=True)


def version_5(place: Place) -> Found:
    with Client(place, "five") as client:
        return Found(ok=client.code == 0, text="" if client.code == 0 else f"CONNACK 0x{client.code:02x}")


def quality(place: Place) -> Found:
    with Client(place, "reader") as reader, Client(place, "writer") as writer:
        reader.subscribe(f"{ROOT}/up/#")
        code = writer.publish(f"{ROOT}/up/event", b"row")
        got = reader.heard()
        return Found(
            ok=code < 128 and len(got) == 1 and got[0].qos == 1, text=f"up to QoS {writer.offers('MaximumQoS', 2)}"
        )


def wildcards(place: Place) -> Found:
    with Client(place, "reader") as reader, Client(place, "writer") as writer:
        reader.subscribe("chargerd/v1/+/up/#")
        writer.publish(f"{ROOT}/up/session", b"row")
        return Found(ok=len(reader.heard()) == 1)


def retained(place: Place) -> Found:
    fresh(place, f"{ROOT}/ack")
    with Client(place, "writer") as writer:
        writer.publish(f"{ROOT}/ack", b"kept", retain=True)
    with Client(place, "reader") as reader:
        reader.subscribe(f"{ROOT}/ack")
        got = reader.heard()
        return Found(ok=len(got) == 1 and got[0].retain)


def retained_wildcards(place: Place) -> Found:
    with Client(place, "writer") as writer:
        for port in ("A01", "A02"):
            writer.publish(f"{ROOT}/state/port/{port}", b"kept", retain=True)
    with Client(place, "reader") as reader:
        reader.subscribe("chargerd/v1/+/state/#")
        got = reader.heard(2, within=3.0)
        return Found(ok=len(got) >= 2, text="" if len(got) >= 2 else f"{len(got)} of 2 come")


def retained_expiry(place: Place) -> Found:
    topic = f"{ROOT}/state/gateway"
    fresh(place, topic)
    with Client(place, "writer") as writer:
        writer.publish(topic, b"online", retain=True, expiry=3)
    with Client(place, "early") as early:
        early.subscribe(topic)
        first = early.heard()
        left = getattr(first[0].properties, "MessageExpiryInterval", None) if first else None
    time.sleep(4.5)
    with Client(place, "later") as later:
        later.subscribe(topic)
        second = [one for one in later.heard(0) if one.payload]
    if second:
        return Found(ok=False, text="retained for good")
    return Found(ok=bool(first), text="" if left is not None else "the remaining time is not told")


def session(place: Place) -> Found:
    name = f"kept-{time.monotonic_ns()}"
    with Client(place, name, session_s=3600, clean=False) as client:
        client.subscribe(f"{ROOT}/cmd/+")
        promised = client.offers("SessionExpiryInterval", 3600)
        client.break_off()
    with Client(place, "backend") as backend:
        for number in range(50):
            backend.publish(f"{ROOT}/cmd/stop", b"%d" % number, expiry=600)
    with Client(place, name, session_s=3600, clean=False) as client:
        got = [int(one.payload) for one in client.heard(50)]
        present = client.present
    forget(place, name)
    if got != list(range(50)):
        return Found(ok=False, text=f"{len(got)} of 50 commands come{'' if present else '; the session is gone'}")
    return Found(ok=promised >= 3600, text="" if promised >= 3600 else f"for {promised} s")


def forget(place: Place, name: str) -> None:
    """End a session."""
    with Client(place, name, clean=True):
        pass


def expiry(place: Place) -> Found:
    name = f"late-{time.monotonic_ns()}"
    with Client(place, name, session_s=3600, clean=False) as client:
        client.subscribe(f"{ROOT}/cmd/+")
        client.break_off()
    with Client(place, "backend") as backend:
        backend.publish(f"{ROOT}/cmd/start", b"soon over", expiry=2)
        backend.publish(f"{ROOT}/cmd/stop", b"good", expiry=60)
    time.sleep(3.5)
    with Client(place, name, session_s=3600, clean=False) as client:
        got = client.heard(1)
        got = client.heard(0)
    forget(place, name)
    late = [one for one in got if one.payload == b"soon over"]
    good = [one for one in got if one.payload == b"good"]
    if late or not good:
        return Found(ok=False, text=OLD if late else "nothing is delivered")
    left = getattr(good[0].properties, "MessageExpiryInterval", None)
    return Found(ok=left is not None and left < 60, text=f"{left} of 60 s left after 3.5 s")


def will_delay(place: Place) -> Found:
    topic = f"{ROOT}/state/gateway"
    fresh(place, topic)
    with Client(place, "watcher") as watcher:
        watcher.subscribe(topic)
        dying = Client(place, "dying", session_s=3600, clean=True, will=Will(topic=topic, delay_s=3))
        dying.connect()
        dying.break_off()
        time.sleep(1.0)
        back = Client(place, "dying", session_s=3600, clean=False, will=Will(topic=topic, delay_s=3))
        back.connect()
        time.sleep(3.5)
        if any(one.payload for one in watcher.messages):
            return Found(ok=False, text="told although the gateway was back in time")
        began = time.monotonic()
        back.break_off()
        watcher.wait(lambda: any(one.payload for one in watcher.messages), "last will", 10.0)
        took = time.monotonic() - began
    with Client(place, "later") as later:
        later.subscribe(topic)
        kept = any(one.retain for one in later.heard())
    forget(place, "dying")
    fresh(place, topic)
    text = "" if 2.0 <= took <= 5.0 else f"after {took:.1f} s, asked for 3"
    return Found(ok=not text and kept, text=text or ("" if kept else "not retained"))


def carried(place: Place) -> Found:
    with Client(place, "reader") as reader, Client(place, "writer") as writer:
        reader.subscribe(f"{ROOT}/cmd/get")
        more: dict[str, Any] = {
            "CorrelationData": b"\x00\xffid",
            "UserProperty": ("a", "b"),
            "ContentType": "application/json",
        }
        writer.publish(f"{ROOT}/cmd/get", b"{}", expiry=60, ResponseTopic="answers/here", **more)
        got = reader.heard()
        if not got:
            return Found(ok=False, text="nothing is delivered")
        missing = [name for name in (*more, "ResponseTopic") if not hasattr(got[0].properties, name)]
        return Found(ok="CorrelationData" not in missing, text=f"not {', '.join(missing)}" if missing else "")


def as_published(place: Place) -> Found:
    with Client(place, "reader") as reader, Client(place, "writer") as writer:
        reader.subscribe(f"{ROOT}/cmd/+", retainAsPublished=True)
        writer.publish(f"{ROOT}/cmd/start", b"{}", retain=True, expiry=60)
        got = reader.heard()
    fresh(place, f"{ROOT}/cmd/start")
    return Found(ok=bool(got) and got[0].retain)


def no_local(place: Place) -> Found:
    with Client(place, "self") as client:
        client.subscribe(f"{ROOT}/state/info", noLocal=True)
        client.publish(f"{ROOT}/state/info", b"{}")
        return Found(ok=not client.heard(0))


def at_once(place: Place) -> Found:
    with Client(place, "slow", receive_maximum=256, manual=True) as slow, Client(place, "backend") as backend:
        slow.subscribe(f"{ROOT}/cmd/+")
        for number in range(PORTS):
            backend.publish(f"{ROOT}/cmd/stop", b"%d" % number, expiry=600)
        got = len(slow.heard(PORTS, within=3.0))
        return Found(ok=got >= PORTS, text="" if got >= PORTS else f"{got} of {PORTS}, then none")


def room(place: Place) -> Found:
    with Client(place, "reader") as reader, Client(place, "writer") as writer:
        reader.subscribe(f"{ROOT}/up/event")
        code = writer.publish(f"{ROOT}/up/event", b"x" * LARGEST)
        most = writer.offers("MaximumPacketSize", 0)
        return Found(ok=code == 0 and len(reader.heard()) == 1, text=f"says {most} bytes" if most else "")


def window(place: Place) -> Found:
    with Client(place, "writer") as writer:
        most = writer.offers("ReceiveMaximum", 65535)
        return Found(ok=most >= 1, text=f"{most}" if most < 65535 else "no bound is told")


def aliases(place: Place) -> Found:
    with Client(place, "writer") as writer:
        return Found(ok=True, text=f"{writer.offers('TopicAliasMaximum', 0)}")


def shared(place: Place) -> Found:
    with Client(place, "one") as one, Client(place, "two") as two, Client(place, "writer") as writer:
        if not writer.offers("SharedSubscriptionAvailable", 1):
            return Found(ok=False, text="says so in its CONNACK")
        for worker in (one, two):
            worker.subscribe("$share/backend/chargerd/v1/+/up/#")
        for number in range(40):
            writer.publish(f"{ROOT}/up/event", b"%d" % number)
        time.sleep(1.0)
        counts = sorted((len(one.messages), len(two.messages)))
        return Found(ok=sum(counts) == 40 and counts[0] > 0, text=f"{counts[0]} and {counts[1]} of 40")


def dots(place: Place) -> Found:
    with Client(place, "reader") as reader, Client(place, "writer") as writer:
        reader.subscribe("chargerd/v1/+/up/event")
        exact = Client(place, "exact")
        exact.connect()
        exact.subscribe("chargerd/v1/shed.1/cmd/get")
        writer.publish("chargerd/v1/shed.1/up/event", b"row")
        writer.publish("chargerd/v1/shed.1/cmd/get", b"command", expiry=60)
        got = [one.topic for one in exact.heard()]
        rows = len(reader.heard(0))
        exact.leave()
    if got == ["chargerd/v1/shed.1/cmd/get"] and rows == 1:
        return Found(ok=True)
    told = f"a command to `shed.1` comes as `{got[0]}`" if got else "no command comes to `shed.1`"
    return Found(ok=False, text=f"{told}, and {'its' if rows else 'no'} row below `+`")


def taken_over(place: Place) -> Found:
    with Client(place, "twin") as first:
        second = Client(place, "twin")
        second.connect()
        first.wait(lambda: first.ended is not None, "end of the first connection")
        second.leave()
        told = first.ended == 0x8E
        return Found(ok=told, text="" if told else "hung up without a word")


NEEDS = (
    Need(key="mqtt5", what="MQTT 5", without="nothing works", try_it=version_5),
    Need(key="qos1", what="QoS 1 both ways", without="commands and replies may be lost", try_it=quality),
    Need(key="wildcards", what="`+` and `#`", without="a topic for each gateway and command", try_it=wildcards),
    Need(
        key="session",
        what="sessions of 1 h: 50 commands wait, in order",
        without="a command while the gateway is away is lost",
        try_it=session,
    ),
    Need(
        key="expiry",
        what="Message Expiry: what is over is dropped, what is left is told",
        without="without any, `ttl_s` is `malformed`; one that begins anew lets a command come late",
        try_it=expiry,
    ),
    Need(
        key="retained",
        what="retained messages",
        without="no `ack` waits for a gateway: up to a window of rows comes twice",
        try_it=retained,
    ),
    Need(
        key="retained_wildcards",
        what="retained messages to subscriptions with wildcards",
        without="a backend that begins knows no states: it asks with `get`",
        try_it=retained_wildcards,
    ),
    Need(
        key="retained_expiry",
        what="retained messages expire",
        without="a gateway that is gone looks `online` for good",
        try_it=retained_expiry,
    ),
    Need(
        key="will",
        what="last will, retained, after its delay, not if back in time",
        without="losses show by expiry, after 180 s; or each short break is told",
        try_it=will_delay,
    ),
    Need(
        key="carried",
        what="Correlation Data, user properties, Response Topic",
        without="replies are matched by `id` alone",
        try_it=carried,
    ),
    Need(
        key="as_published",
        what="retain as published",
        without="a retained command is carried out while the gateway is connected",
        try_it=as_published,
    ),
    Need(
        key="no_local",
        what="no local",
        without="a gateway hears its own states for a moment after its first connect",
        try_it=no_local,
    ),
    Need(
        key="at_once",
        what=f"{PORTS} commands unconfirmed at once",
        without="a stop waits behind others while the disk is slow",
        try_it=at_once,
    ),
    Need(
        key="room",
        what="packets of 16 KiB and a head",
        without="large rows come as gaps",
        try_it=room,
    ),
    Need(
        key="window",
        what="Receive Maximum it gives a gateway",
        without="the gateway's own window is 20",
        try_it=window,
    ),
    Need(
        key="shared",
        what="shared subscriptions",
        without="one worker, or what the broker has in their place",
        try_it=shared,
    ),
    Need(
        key="dots",
        what="dots in ids are dots",
        without="ids without dots",
        try_it=dots,
    ),
    Need(
        key="taken_over",
        what="who is thrown out is told why (0x8E)",
        without="`connection_unsteady` after three short connections",
        try_it=taken_over,
    ),
    Need(key="aliases", what="topic aliases", without="not used by gateways", try_it=aliases),
)


def try_all(place: Place, say: Callable[[str], None]) -> dict[str, dict[str, object]]:
    """Try each need; what goes wrong on the way is an answer, too."""
    found: dict[str, dict[str, object]] = {}
    for need in NEEDS:
        try:
            one = need.try_it(place)
        except (TimeoutError, OSError, ValueError) as error:
            one = Found(ok=False, text=str(error))
        say(f"{'yes' if one.ok else 'NO ':3} {need.what} {one.text}")
        found[need.key] = {"ok": one.ok, "text": one.text}
    return found
