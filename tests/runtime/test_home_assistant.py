"""What Home Assistant is told, against the rules of its own schema, written down here as facts.

`make homeassistant` has its own component read the same messages, and says whether the facts still hold.
"""

import json
import re
from pathlib import Path
from typing import Any, get_args

import jinja2
import pytest
from pydantic import BaseModel

from chargerd.config.document import HomeAssistantSection
from chargerd.config.loader import load_text
from chargerd.config.site import Site
from chargerd.contract import bodies
from chargerd.contract.ledger import Body
from chargerd.contract.payloads import (
    LARGEST,
    BoardStateBody,
    CircuitStateBody,
    PortStateBody,
    PresenceBody,
)
from chargerd.core.metering.seen import Measured
from chargerd.core.moment import Moment
from chargerd.core.session import Clearing, Latch
from chargerd.core.stance import Known, Stance
from chargerd.core.units import Amps, Celsius, Instant, PortId, Volts, WattHours, Watts
from chargerd.core.view import PortState
from chargerd.runtime.reporting.announcer import Announcer
from chargerd.runtime.reporting.home_assistant import announcements
from tests.logs import capture_logs
from tests.runtime.metered import quarter
from tests.runtime.technician import at_rest

FILE = "announced.json"
SITE = """
gateway: {id: shed.1, name: Shed}
mqtt: {host: broker.example.org, home_assistant: {}}
buses: {line: {serial: /dev/null}}
boards:
  relay: {bus: line, address: 1, profile: waveshare-relay-16}
  meter: {bus: line, address: 11, profile: eastron-sdm120}
circuits: {shed: {contactor: relay/2}}
ports: [{id: A.01, label: By the door, relay: relay/1, meter: meter, circuit: shed}]
"""
TOPIC = re.compile(r"homeassistant/device/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config")
"""Home Assistant 2025.4, components/mqtt/discovery.py: node and object take no dots."""
DEVICE = {"identifiers", "name", "model", "sw_version", "via_device"}
AT_THE_TOP = {
    "device",
    "origin",
    "components",
    "state_topic",
    "qos",
    "availability_topic",
    "availability_template",
}
EACH = {"platform", "name", "unique_id", "value_template", "device_class", "entity_category"}
MORE = {
    "sensor": {"unit_of_measurement", "state_class", "options"},
    "binary_sensor": {"payload_on", "payload_off"},
}
UNITS = {
    "power": "W",
    "current": "A",
    "voltage": "V",
    "energy": "Wh",
    "temperature": "°C",
    "enum": None,
    None: None,
}
"""Of a sensor, by its device class; there are more, and these are what it lets us use."""
STATE_CLASSES: dict[str | None, set[str | None]] = {
    "power": {"measurement"},
    "current": {"measurement"},
    "voltage": {"measurement"},
    "energy": {"total_increasing"},
    "temperature": {"measurement"},
    "enum": {None},
    None: {None, "measurement"},
}
BINARY = {"power", "problem", "connectivity"}
STATES: dict[str, type[BaseModel]] = {
    "gateway": PresenceBody,
    "port": PortStateBody,
    "circuit": CircuitStateBody,
    "board": BoardStateBody,
}


def told(site: Site) -> dict[str, dict[str, Any]]:
    assert site.mqtt is not None
    messages = announcements(site, site.mqtt, HomeAssistantSection())
    return {topic: json.loads(json.dumps(body)) for topic, body in messages.items()}


@pytest.fixture(scope="module")
def messages() -> dict[str, dict[str, Any]]:
    return {**told(quarter()), **told(load_text(SITE, "test"))}


def test_there_is_one_message_a_device_and_each_fits(messages: dict[str, dict[str, Any]]) -> None:
    assert len(messages) == (1 + 85 + 9 + 93) + (1 + 1 + 1 + 2)
    assert [topic for topic in messages if TOPIC.fullmatch(topic) is None] == []
    assert "homeassistant/device/shed_dot_1/port-A_dot_01/config" in messages
    assert max(len(json.dumps(body)) for body in messages.values()) < LARGEST / 2


def test_each_message_is_within_the_rules(messages: dict[str, dict[str, Any]]) -> None:
    for topic, body in messages.items():
        assert body.keys() <= AT_THE_TOP, topic
        assert body["device"].keys() <= DEVICE, topic
        assert body["device"]["identifiers"]
        assert body["origin"]["name"] == "chargerd"
        for component in body["components"].values():
            platform, kind = component["platform"], component.get("device_class")
            assert component.keys() <= EACH | MORE[platform], topic
            assert component.get("entity_category") in {None, "diagnostic"}
            if platform == "sensor":
                assert component.get("unit_of_measurement") == UNITS[kind]
                assert component.get("state_class") in STATE_CLASSES[kind]
                assert ("options" in component) == (kind == "enum")
            else:
                assert kind in BINARY


def test_nothing_commands(messages: dict[str, dict[str, Any]]) -> None:
    assert "command" not in json.dumps(list(messages.values()))
    platforms = {one["platform"] for body in messages.values() for one in body["components"].values()}
    assert platforms == {"sensor", "binary_sensor"}


def test_no_two_entities_or_devices_are_one(messages: dict[str, dict[str, Any]]) -> None:
    unique = [one["unique_id"] for body in messages.values() for one in body["components"].values()]
    devices = [body["device"]["identifiers"][0] for body in messages.values()]
    assert len(unique) == len(set(unique))
    assert len(devices) == len(set(devices))
    assert {body["device"].get("via_device") for body in messages.values()} <= {None, *devices}


def test_what_the_templates_read_is_in_the_contract(messages: dict[str, dict[str, Any]]) -> None:
    for body in messages.values():
        assert body["state_topic"].startswith("chargerd/v1/")
        model = STATES[body["state_topic"].split("/")[4]]
        for component in body["components"].values():
            for path in re.findall(r"value_json\.([\w.]+)", component["value_template"]):
                assert known(model, path.split(".")), component


def known(model: type[BaseModel], path: list[str]) -> bool:
    """Say whether a payload has such a field."""
    field = model.model_fields.get(path[0])
    if field is None or len(path) == 1:
        return field is not None
    inner = [one for one in (field.annotation, *get_args(field.annotation)) if isinstance(one, type)]
    return any(issubclass(one, BaseModel) and known(one, path[1:]) for one in inner)


def rendered(message: dict[str, Any], body: Body) -> dict[str, str]:
    """Return each component's value as Home Assistant has it: `None` is what it does not know."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    return {
        key: environment.from_string(one["value_template"]).render(value_json=body)
        for key, one in message["components"].items()
    }


def test_values_are_those_of_the_state(messages: dict[str, dict[str, Any]]) -> None:
    port = PortId("A01")
    view = at_rest(quarter())[port]
    message = messages["homeassistant/device/quarter-01/port-A01/config"]
    now = Moment(instant=Instant(100.0))
    resting = rendered(message, bodies.plain(bodies.port_state(view, now=now)))
    assert resting == {
        "state": "available",
        "power": "None",
        "current": "None",
        "voltage": "None",
        "energy": "None",
        "session_energy": "None",
        "relay": "None",
        "problem": "OFF",
        "blocked_by": "",
    }
    measured = Measured(
        current=Amps(1.5),
        power=Watts(345.0),
        voltage=Volts(230.0),
        energy=WattHours(1000.4),
        at=Instant(99.0),
        fresh=True,
    )
    latch = Latch(port=port, function="overpower", clearing=Clearing.REMOTE)
    view = type(view)(
        **{
            **{name: getattr(view, name) for name in view.__dataclass_fields__},
            "state": PortState.TRIPPED,
            "measured": measured,
            "relay": Stance(closed=False, known=Known.READ_BACK),
            "latches": (latch,),
            "temperature": Celsius(31.0),
        }
    )
    values = rendered(message, bodies.plain(bodies.port_state(view, now=now)))
    assert values["state"] == "tripped"
    assert values["state"] in message["components"]["state"]["options"]
    assert (values["power"], values["current"], values["energy"]) == ("345.0", "1.5", "1000")
    assert (values["relay"], values["problem"]) == ("OFF", "ON")
    at_the_gateway = messages["homeassistant/device/quarter-01/gateway/config"]
    assert rendered(at_the_gateway, {"status": "online"}) == {"connected": "online"}
    assert "availability_topic" not in at_the_gateway


# What is announced, and withdrawn


def test_what_is_wanted_no_more_is_withdrawn_until_the_broker_has_taken_that(tmp_path: Path) -> None:
    first = Announcer(tmp_path / FILE, {"ha/a": {"n": 1}, "ha/b": {"n": 2}})
    assert first.messages() == {"ha/a": {"n": 1}, "ha/b": {"n": 2}}
    assert Announcer(tmp_path / FILE, {"ha/b": {"n": 3}}).messages() == {"ha/b": {"n": 3}, "ha/a": None}
    again = Announcer(tmp_path / FILE, {"ha/b": {"n": 3}})
    assert again.messages() == {"ha/b": {"n": 3}, "ha/a": None}, "nobody has taken it"
    again.withdrawn()
    assert Announcer(tmp_path / FILE, {"ha/b": {"n": 3}}).messages() == {"ha/b": {"n": 3}}
    off = Announcer(tmp_path / FILE, {})
    assert off.messages() == {"ha/b": None}
    off.withdrawn()
    assert not (tmp_path / FILE).exists()
    assert Announcer(tmp_path / FILE, {}).messages() == {}


@pytest.mark.parametrize("found", ["", "{", "7", "[1]"])
def test_a_list_that_cannot_be_read_hinders_nobody(tmp_path: Path, found: str) -> None:
    (tmp_path / FILE).write_text(found, encoding="utf-8")
    with capture_logs():
        assert Announcer(tmp_path / FILE, {"ha/a": {}}).messages() == {"ha/a": {}}
    assert json.loads((tmp_path / FILE).read_text(encoding="utf-8")) == ["ha/a"]


def test_a_disk_that_takes_nothing_hinders_nobody(tmp_path: Path) -> None:
    with capture_logs() as lines:
        assert Announcer(tmp_path / "gone" / FILE, {"ha/a": {}}).messages() == {"ha/a": {}}
    assert [line["event"] for line in lines] == ["announcements_not_kept"]
