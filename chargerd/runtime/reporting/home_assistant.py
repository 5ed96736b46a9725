"""What Home Assistant is told so that it finds the gateway by itself: devices, and in which states to look.

One retained message a device (a port, a circuit, a board, the gateway), in the form of its device-based discovery,
which it has since 2024.12. All values are read from the contract's own retained states, and nothing commands:
whoever may use the dashboard of a house is not whoever may start a session that somebody pays for, and a stop
belongs to the backend that keeps the books.
"""

from collections.abc import Iterator, Mapping

from chargerd import __version__
from chargerd.config.document import HomeAssistantSection, MqttSection
from chargerd.config.site import Board, PortWiring, Site
from chargerd.contract.ledger import Body, Json
from chargerd.core.plan import CircuitPlan, PortPlan
from chargerd.core.view import PortState

ORIGIN: dict[str, Json] = {"name": "chargerd", "sw_version": __version__}
DIAGNOSTIC: dict[str, Json] = {"entity_category": "diagnostic"}
IF_OF_NOW = "if not value_json.reading.stale else None"
Component = dict[str, Json]


def announcements(site: Site, mqtt: MqttSection, section: HomeAssistantSection) -> dict[str, Body]:
    """Return the messages by topic; topics are whole ones, not below the contract's root."""
    told = _Teller(site, mqtt)
    prefix = f"{section.prefix}/device/{plain(site.gateway.id)}"
    return {f"{prefix}/{name}/config": body for name, body in told.devices()}


def plain(identifier: str) -> str:
    """Return an id as a level of a discovery topic may be written: it takes no dots."""
    return identifier.replace(".", "_dot_")


class _Teller:
    """Writes the messages of one site."""

    def __init__(self, site: Site, mqtt: MqttSection) -> None:
        self._site = site
        self._root = f"{mqtt.prefix}/{site.gateway.id}"
        self._gateway = f"chargerd_{site.gateway.id}"
        self._name = site.gateway.name or site.gateway.id

    def devices(self) -> Iterator[tuple[str, Body]]:
        """Return each device's name in its topic, and its message."""
        yield "gateway", self._of_gateway()
        wirings = {wiring.id: wiring for wiring in self._site.ports}
        for port in self._site.plan.ports:
            yield f"port-{plain(port.id)}", self._of_port(port, wirings[port.id])
        for circuit in self._site.plan.circuits:
            yield f"circuit-{plain(circuit.id)}", self._of_circuit(circuit)
        for board in self._site.boards.values():
            yield f"board-{plain(board.id)}", self._of_board(board)

    def _of_gateway(self) -> Body:
        device: dict[str, Json] = {
            "identifiers": [self._gateway],
            "name": self._name,
            "model": "charging station gateway",
            "sw_version": __version__,
        }
        components = {
            "connected": _connected("Connection", "{{ value_json.status }}", on="online", off="offline"),
        }
        return self._message("gateway", device, components, f"{self._root}/state/gateway", available=False)

    def _of_port(self, port: PortPlan, wiring: PortWiring) -> Body:
        components = {
            "state": _sensor("State", "state", device_class="enum", options=[one.value for one in PortState]),
            "power": _measured("Power", f"reading.power_w {IF_OF_NOW}", "power", "W"),
            "current": _measured("Current", f"reading.current_a {IF_OF_NOW}", "current", "A"),
            "voltage": _measured("Voltage", "reading.voltage_v", "voltage", "V"),
            "energy": _counted("Energy", "{{ value_json.reading.energy_wh }}"),
            "session_energy": _counted(
                "Energy of the session", "{{ value_json.session.energy_wh if value_json.session else None }}"
            ),
            "relay": _binary("Relay", "relay.closed", device_class="power"),
            "problem": _latched(),
            "blocked_by": {**_sensor("Blocked by", "blocked_by | join(', ')"), **DIAGNOSTIC},
        }
        if wiring.temperature is not None:
            components["temperature"] = _measured("Temperature", "temperature_c", "temperature", "°C")
        device = self._device(f"port_{port.id}", f"{self._name} {port.label}", "charging port")
        return self._message(f"port_{port.id}", device, components, f"{self._root}/state/port/{port.id}")

    def _of_circuit(self, circuit: CircuitPlan) -> Body:
        components = {
            "power": _measured("Load", "load_power_w", "power", "W"),
            "problem": _latched(),
            "queue": {**_sensor("Waiting", "queue | length"), "state_class": "measurement"},
        }
        for phase in range(3):
            name, value = f"Load of L{phase + 1}", f"load_current_a[{phase}]"
            components[f"current_l{phase + 1}"] = _measured(name, value, "current", "A")
        if circuit.contactor is not None:
            components["contactor"] = _binary("Contactor", "contactor.closed", device_class="power")
        device = self._device(f"circuit_{circuit.id}", f"{self._name} circuit {circuit.id}", "supply circuit")
        return self._message(
            f"circuit_{circuit.id}", device, components, f"{self._root}/state/circuit/{circuit.id}"
        )

    def _of_board(self, board: Board) -> Body:
        components = {"connected": _connected("Connection", "{{ value_json.health }}", on="good", off="lost")}
        device = self._device(f"board_{board.id}", f"{self._name} board {board.id}", board.profile.name)
        return self._message(f"board_{board.id}", device, components, f"{self._root}/state/board/{board.id}")

    def _device(self, name: str, label: str, model: str) -> dict[str, Json]:
        return {
            "identifiers": [f"{self._gateway}_{name}"],
            "name": label,
            "model": model,
            "via_device": self._gateway,
        }

    def _message(
        self,
        name: str,
        device: dict[str, Json],
        components: Mapping[str, Component],
        topic: str,
        *,
        available: bool = True,
    ) -> Body:
        """Return a message; what is not `available` by the gateway's presence tells of that presence itself."""
        presence: dict[str, Json] = {
            "availability_topic": f"{self._root}/state/gateway",
            "availability_template": "{{ value_json.status }}",
        }
        named: dict[str, Json] = {
            key: {**component, "unique_id": f"{self._gateway}_{name}_{key}"}
            for key, component in components.items()
        }
        return {
            "device": device,
            "origin": ORIGIN,
            "state_topic": topic,
            "qos": 1,
            **(presence if available else {}),
            "components": named,
        }


def _sensor(name: str, value: str, **more: Json) -> Component:
    return {"platform": "sensor", "name": name, "value_template": f"{{{{ value_json.{value} }}}}", **more}


def _measured(name: str, value: str, kind: str, unit: str) -> Component:
    return _sensor(name, value, device_class=kind, unit_of_measurement=unit, state_class="measurement")


def _counted(name: str, template: str) -> Component:
    return {
        "platform": "sensor",
        "name": name,
        "value_template": template,
        "device_class": "energy",
        "unit_of_measurement": "Wh",
        "state_class": "total_increasing",
    }


def _binary(name: str, field: str, *, device_class: str) -> Component:
    """Tell of a truth value that may be unknown."""
    value = f"value_json.{field}"
    template = f"{{{{ None if {value} is none else 'ON' if {value} else 'OFF' }}}}"
    return {"platform": "binary_sensor", "name": name, "value_template": template, "device_class": device_class}


def _latched() -> Component:
    template = "{{ 'ON' if value_json.latches else 'OFF' }}"
    return {"platform": "binary_sensor", "name": "Problem", "value_template": template, "device_class": "problem"}


def _connected(name: str, template: str, *, on: str, off: str) -> Component:
    return {
        "platform": "binary_sensor",
        "name": name,
        "value_template": template,
        "payload_on": on,
        "payload_off": off,
        "device_class": "connectivity",
        **DIAGNOSTIC,
    }
