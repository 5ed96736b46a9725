"""The configuration as it is written: one model per section, defaults and bounds in one place.

How a single value is written says `chargerd.config.values`. Ranges (`A01..A12`) are still text here;
`chargerd.config.expand` spells them out and checks what belongs together.
"""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, create_model, model_validator
from pydantic.config import JsonDict

from chargerd.config.profiles.models import Parity
from chargerd.config.rows import Model
from chargerd.config.values import (
    Address,
    Echo,
    EchoSetting,
    EndpointText,
    GatewayId,
    HostName,
    IpAddress,
    Name,
    Number,
    Prefix,
    Reference,
    SingleName,
    Switch,
    TimeZone,
    Whole,
)
from chargerd.core.keys import Key, keys
from chargerd.core.plan import ChargeEnd, Limits, Phase, Protection

M = TypeVar("M", bound=Model)


def _keys_of(plan: type) -> Callable[[type[M]], type[M]]:
    """Give a section the keys of a plan's figures: a port without one takes the site's, a site the default."""

    def given(section: type[M]) -> type[M]:
        declared: dict[str, Any] = {
            name: (_written(default) | None, _inherited(default, how))
            for name, (_, how, default) in keys(plan).items()
        }
        name, doc, module = section.__name__, section.__doc__, section.__module__
        made: type[M] = create_model(name, __base__=section, __doc__=doc, __module__=module, **declared)
        return made

    return given


def _written(default: object) -> Any:
    """Return how a figure is written, by its default; `None` is no limit, so a number may be."""
    return Switch if isinstance(default, bool) else Whole if isinstance(default, int) else Number


def _inherited(default: float | bool | None, how: Key) -> Any:
    extra: JsonDict = {"inherits": default}
    return Field(None, description=how.what, json_schema_extra=extra, ge=how.ge, gt=how.gt, le=how.le)


class GatewaySection(Model):
    """Who this gateway is."""

    id: GatewayId = Field(description="MQTT client id and topic segment: 1 to 32 of A-Z a-z 0-9 . _ -")
    name: str = Field("", description="for people")
    timezone: TimeZone = Field("UTC", description="for people; records are in UTC")


class TlsSection(Model):
    """Files for TLS to the broker; a client certificate needs its key. A name without a slash is a credential."""

    ca: str | None = Field(None, description="certificate authority; the system's if left out")
    certificate: str | None = Field(None, description="client certificate (PEM)")
    key: str | None = Field(None, description="its private key (PEM)")

    @model_validator(mode="after")
    def _pair(self) -> "TlsSection":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together; give both or neither")
        return self


class HomeAssistantSection(Model):
    """Devices and states that Home Assistant finds by itself, at the same broker. It commands nothing."""

    prefix: Prefix = Field("homeassistant", description="first levels of its discovery topics, as it is set up")


class MqttSection(Model):
    """The broker. Leave the whole section out to run stand-alone."""

    host: HostName = Field(min_length=1, description="name or address of the broker")
    port: Whole = Field(0, ge=0, le=65535, description="0: 8883 with tls, else 1883")
    prefix: Prefix = Field("chargerd/v1", description="first levels of every topic")
    username: str | None = Field(None, description="if the broker wants one")
    password_file: str | None = Field(None, description="its first line is the password; no slash: a credential")
    tls: TlsSection | None = Field(
        None, description="`{}` for TLS with the system's authorities; without it everything goes in plain text"
    )
    reading_interval_s: Number = Field(
        10, ge=1, le=3600, description="how often values of closed ports are published"
    )
    home_assistant: HomeAssistantSection | None = Field(
        None, description="`{}` to be found by Home Assistant; without it, what it was told is withdrawn"
    )

    @property
    def broker_port(self) -> int:
        """The port that is registered for MQTT with TLS, or without, if none is given."""
        return self.port or (1883 if self.tls is None else 8883)


class MetricsSection(Model):
    """Figures for Prometheus. Leave the section out to serve none; `{}` serves them to this machine alone."""

    address: IpAddress = Field(
        "127.0.0.1", description="of this gateway, where they are served; whoever reaches it may read them"
    )
    port: Whole = Field(9845, ge=1, le=65535, description="TCP port; they are at http://address:port/metrics")


MOST_TIMEOUT_MS, MOST_TURNAROUND_MS, MOST_SILENCE_MS = 2000, 1000, 500


def _at_most(most: float, what: str) -> Any:
    """Declare a time of a board in milliseconds, which is the profile's if it is left out."""
    return Field(None, ge=0, le=most, description=what)


def _device(value: str) -> str:
    """Refuse what is no place of a device here: names of Windows, and names without their folder."""
    if re.fullmatch(r"(?i)com\d+:?", value):
        raise ValueError(f"cannot be {value}, a name of Windows; {_DEVICE_HINT}")
    if not value.startswith("/"):
        raise ValueError(f"cannot be {value[:40]!r}; {_DEVICE_HINT}")
    return value


_DEVICE_HINT = "write the device's whole name, as ls /dev/serial/by-path/* shows it"


class BusSection(Model):
    """One line with boards on it: exactly one of serial, tcp, rtu_over_tcp."""

    serial: Annotated[Reference, AfterValidator(_device)] | None = Field(
        None, description="device; prefer /dev/serial/by-path/..., which survives a swap"
    )
    tcp: EndpointText | None = Field(None, description="Modbus TCP, host:port")
    rtu_over_tcp: EndpointText | None = Field(None, description="RTU frames through a serial server, host:port")
    baudrate: Whole = Field(
        9600, ge=1200, le=1_000_000, description="of the serial line, also behind a serial server"
    )
    parity: Parity = Field(Parity.NONE, description="of the serial line")
    stopbits: Literal[1, 2] = Field(1, description="of the serial line")
    echo: EchoSetting = Field(
        Echo.AUTO,
        description="yes: the adapter hears what it sends; auto: found out, and told by `chargerctl boards`",
    )
    timeout_ms: Number | None = Field(
        None, ge=50, le=MOST_TIMEOUT_MS, description="how long any board's answer may take to begin, at least"
    )
    turnaround_ms: Number | None = _at_most(
        MOST_TURNAROUND_MS, "how long it usually takes, at least: of a radio link, there and back"
    )
    pre_silence_ms: Number | None = _at_most(MOST_SILENCE_MS, "silence kept before any request, at least")

    @model_validator(mode="after")
    def _one_way(self) -> "BusSection":
        ways = [way for way in (self.serial, self.tcp, self.rtu_over_tcp) if way is not None]
        if len(ways) != 1:
            raise ValueError("a bus has one line; give exactly one of serial, tcp and rtu_over_tcp")
        return self

    @property
    def place(self) -> str:
        """What the bus is opened by; two buses must not share it."""
        return self.serial or self.tcp or self.rtu_over_tcp or ""


class BoardSection(Model):
    """One board, or a range of equal ones."""

    bus: Reference = Field(description="the bus it hangs on")
    address: Address = Field(description="its Modbus address, 1 to 247; a range beside a range of names")
    profile: Reference = Field(description="what it speaks")
    lease: Switch = Field(True, description="off: close its relays without a time limit")
    timeout_ms: Number | None = Field(
        None,
        ge=50,
        le=MOST_TIMEOUT_MS,
        description="how long its answer may take to begin, instead of the profile's",
    )
    turnaround_ms: Number | None = _at_most(
        MOST_TURNAROUND_MS, "how long it usually takes, instead of the profile's"
    )
    pre_silence_ms: Number | None = _at_most(
        MOST_SILENCE_MS, "silence kept before each request to it, instead of the profile's"
    )


class CircuitSection(Model):
    """One supply circuit; the rating is its breaker's."""

    parent: Reference | None = Field(None, description="the circuit that feeds it")
    rating_a: Number | None = Field(None, gt=0, le=1000, description="the breaker's rating")
    power_w: Number | None = Field(None, gt=0, le=1_000_000, description="a further limit of power")
    phases: Literal[1, 3] = Field(1, description="how many phases it has")
    phase: Phase = Field(Phase.ALL, description="the phase it hangs on; one not stated counts on every phase")
    meter: Reference | None = Field(None, description="a board that measures the whole circuit")
    contactor: Reference | None = Field(None, description="board/channel of the circuit's contactor")


@_keys_of(Limits)
class LimitsSection(Model):
    """What a session may draw; what is left out is inherited."""


@_keys_of(Protection)
class ProtectionSection(Model):
    """Thresholds and delays of the protective functions; what is left out is inherited."""


@_keys_of(ChargeEnd)
class ChargeEndSection(Model):
    """When a charge counts as over; what is left out is inherited."""


class ResumeSection(Model):
    """Resuming sessions after an outage."""

    window_s: Number = Field(1800, ge=0, le=86400, description="longest outage; 0: never resume")


class QueueSection(Model):
    """Waiting for a free allocation of the circuit."""

    queue_s: Number = Field(0, ge=0, le=36000, description="how long a start may wait")


class PortSection(Model):
    """One port, or a range of them: everything ranged beside a ranged id has its length and runs along."""

    id: Name = Field(description="as printed at the socket")
    label: str | None = Field(None, description="for people; the id if left out")
    relay: Reference = Field(description="board/channel, channels as printed on the board, from 1")
    meter: Reference = Field(description="board, or board/channel")
    temperature: Reference | None = Field(
        None, description="board/channel of a sensor at the socket; several ports may share one"
    )
    circuit: Reference = Field(description="the circuit that feeds it")
    phase: Phase = Field(Phase.ALL, description="the phase it hangs on; one not stated counts on every phase")
    limits: LimitsSection = Field(LimitsSection(), description="its own limits")
    protection: ProtectionSection = Field(ProtectionSection(), description="its own thresholds")
    charge_end: ChargeEndSection = Field(ChargeEndSection(), description="its own rules")


class InputSection(Model):
    """A smoke, water or heat detector, or an emergency stop."""

    input: Reference = Field(description="board/channel")
    kind: Literal["smoke", "water", "heat", "emergency_stop"] = Field(description="what it reports")
    circuit: Reference = Field(description="the circuit it opens")
    active: Literal["open", "closed"] = Field(
        "open", description="open: normally closed, so that a cut wire trips"
    )


Tiers = Annotated[tuple[Annotated[Number, Field(gt=0)], ...], Field(max_length=20)]


def _ascending(tiers: tuple[float, ...]) -> tuple[float, ...]:
    if any(later <= earlier for earlier, later in pairwise(tiers)):
        raise ValueError("the tiers are not ascending; put the lowest first, each only once")
    return tiers


class Document(Model):
    """The whole file."""

    gateway: GatewaySection
    mqtt: MqttSection | None = None
    metrics: MetricsSection | None = None
    buses: dict[SingleName, BusSection]
    boards: dict[Name, BoardSection]
    circuits: dict[SingleName, CircuitSection]
    limits: LimitsSection = LimitsSection()
    protection: ProtectionSection = ProtectionSection()
    charge_end: ChargeEndSection = ChargeEndSection()
    resume: ResumeSection = ResumeSection()
    queue: QueueSection = QueueSection()
    tariff_tiers_w: Annotated[Tiers, AfterValidator(_ascending)] = Field(
        (), description="A list of watts, ascending: energy is also counted by the tier its power falls into."
    )
    ports: tuple[PortSection, ...]
    inputs: dict[SingleName, InputSection] = Field(default_factory=dict)
