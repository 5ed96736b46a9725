"""The configuration as it is written: one model per section, defaults and bounds in one place.

Ranges (`A01..A12`) are still text here; `chargerd.config.expand` spells them out and checks what belongs together.
"""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from chargerd.config.profiles import Model, Parity
from chargerd.core.plan import CEILING, ChargeEnd, Phase, Protection

Name = Annotated[str, Field(min_length=1, max_length=200)]


def _switch(value: object) -> object:
    """Read `on` and `off`, which YAML 1.2 leaves as words."""
    words = {"on": True, "off": False, "yes": True, "no": False}
    return words.get(value.lower(), value) if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(_switch)]


def _endpoint(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:  # noqa: PLR2004 - ports
        raise ValueError("must be host:port, such as 192.168.10.20:502")
    return value


EndpointText = Annotated[str, AfterValidator(_endpoint)]


class GatewaySection(Model):
    """Who this gateway is."""

    id: str = Field(pattern=r"^[a-z0-9-]{1,64}$", description="MQTT client id and topic segment")
    name: str = Field("", description="for people")
    timezone: str = Field("UTC", description="for people; records are in UTC")


class TlsSection(Model):
    """Files for TLS to the broker; a client certificate needs its key."""

    ca: str | None = Field(None, description="certificate authority; the system's if left out")
    certificate: str | None = Field(None, description="client certificate (PEM)")
    key: str | None = Field(None, description="its private key (PEM)")

    @model_validator(mode="after")
    def _pair(self) -> "TlsSection":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self


class MqttSection(Model):
    """The broker. Leave the whole section out to run stand-alone."""

    host: str = Field(min_length=1, description="name or address of the broker")
    port: int = Field(0, ge=0, le=65535, description="0: 8883 with tls, else 1883")
    prefix: str = Field(
        "chargerd/v1", pattern=r"^[^+#\s/]+(/[^+#\s/]+)*$", description="first levels of every topic"
    )
    username: str | None = Field(None, description="if the broker wants one")
    password_file: str | None = Field(None, description="its first line is the password")
    tls: TlsSection | None = Field(None, description="leave out for plain TCP; `{}` for the system's authorities")
    reading_interval_s: float = Field(
        10, ge=1, le=3600, description="how often values of closed ports are published"
    )

    @property
    def broker_port(self) -> int:
        """The port to connect to."""
        return self.port or (1883 if self.tls is None else 8883)


class BusSection(Model):
    """One line with boards on it: exactly one of serial, tcp, rtu_over_tcp."""

    serial: str | None = Field(None, description="device; prefer /dev/serial/by-path/..., which survives a swap")
    tcp: EndpointText | None = Field(None, description="Modbus TCP, host:port")
    rtu_over_tcp: EndpointText | None = Field(None, description="RTU frames through a serial server, host:port")
    baudrate: int = Field(
        9600, ge=1200, le=1_000_000, description="of the serial line, also behind a serial server"
    )
    parity: Parity = Field(Parity.NONE, description="none, even or odd")
    stopbits: Literal[1, 2] = Field(1, description="1 or 2")

    @model_validator(mode="after")
    def _one_way(self) -> "BusSection":
        ways = [way for way in (self.serial, self.tcp, self.rtu_over_tcp) if way is not None]
        if len(ways) != 1:
            raise ValueError("give exactly one of serial, tcp and rtu_over_tcp")
        return self

    @property
    def place(self) -> str:
        """What the bus is opened by; two buses must not share it."""
        return self.serial or self.tcp or self.rtu_over_tcp or ""


class BoardSection(Model):
    """One board, or a range of equal ones."""

    bus: Name = Field(description="the bus it hangs on")
    address: int | str = Field(description="its Modbus address, 1 to 247; a range beside a range of names")
    profile: Name = Field(description="what it speaks")
    lease: Switch = Field(True, description="off: close its relays without a time limit")


class CircuitSection(Model):
    """One supply circuit; the rating is its breaker's."""

    parent: Name | None = Field(None, description="the circuit that feeds it")
    rating_a: float | None = Field(None, gt=0, le=1000, description="the breaker's rating")
    power_w: float | None = Field(None, gt=0, description="a further limit of power")
    phases: Literal[1, 3] = Field(1, description="1 or 3")
    phase: Phase = Field(Phase.ALL, description="L1, L2, L3 or all; one not stated counts on every phase")
    meter: Name | None = Field(None, description="a board that measures the whole circuit")
    contactor: Name | None = Field(None, description="board/channel of the circuit's contactor")


class LimitsSection(Model):
    """What a session may draw; what is left out is inherited."""

    power_w: float | None = Field(None, gt=0, le=CEILING.power, description="power")
    current_a: float | None = Field(None, gt=0, le=CEILING.current, description="current")
    duration_s: float | None = Field(None, gt=0, le=CEILING.duration, description="time with the relay closed")
    energy_wh: float | None = Field(None, gt=0, description="energy; none if left out")


_P, _C = Protection(), ChargeEnd()


class ProtectionSection(Model):
    """Thresholds and delays of the protective functions; what is left out is inherited."""

    overcurrent_instant_factor: float | None = Field(None, ge=1.2, le=2.0, description=f"{_P.instant_factor}")
    overcurrent_inrush_factor: float | None = Field(None, ge=1.5, le=5.0, description=f"{_P.inrush_factor}")
    overcurrent_inrush_s: float | None = Field(None, ge=0, le=5, description=f"{_P.inrush_for}")
    overcurrent_definite_factor: float | None = Field(None, ge=1.05, le=1.5, description=f"{_P.definite_factor}")
    overcurrent_definite_s: float | None = Field(None, ge=0.5, le=10, description=f"{_P.definite_delay}")
    overpower_factor: float | None = Field(None, ge=1.05, le=1.5, description=f"{_P.overpower_factor}")
    overpower_s: float | None = Field(None, ge=1, le=30, description=f"{_P.overpower_delay}")
    overpower_instant_factor: float | None = Field(
        None, ge=1.2, le=2.0, description=f"{_P.overpower_instant_factor}"
    )
    meter_stale_s: float | None = Field(None, ge=1, le=60, description=f"{_P.stale_after}")
    recover_s: float | None = Field(None, ge=5, le=600, description=f"{_P.recover_within}")
    weld_current_a: float | None = Field(None, ge=0.05, le=0.5, description=f"{_P.weld_current}")


class ChargeEndSection(Model):
    """When a charge counts as over; what is left out is inherited."""

    full_below_w: float | None = Field(None, ge=1, le=200, description=f"{_C.full_below}")
    full_after_s: float | None = Field(None, ge=30, le=36000, description=f"{_C.full_after}")
    unplugged_below_w: float | None = Field(None, ge=1.5, le=20, description=f"{_C.unplugged_below}")
    unplugged_after_s: float | None = Field(None, ge=30, le=3600, description=f"{_C.unplugged_after}")
    no_load_below_w: float | None = Field(None, ge=2, le=50, description=f"{_C.no_load_below}")
    no_load_after_s: float | None = Field(None, ge=10, le=3600, description=f"{_C.no_load_after}")
    float_s: float | None = Field(None, ge=0, le=36000, description=f"{_C.float_for}")


class ResumeSection(Model):
    """Resuming sessions after an outage."""

    window_s: float = Field(1800, ge=0, le=86400, description="longest outage; 0: never resume")


class QueueSection(Model):
    """Waiting for a free allocation of the circuit."""

    queue_s: float = Field(0, ge=0, le=36000, description="how long a start may wait")


class PortSection(Model):
    """One port, or a range of them: everything ranged beside a ranged id has its length and runs along."""

    id: Name = Field(description="as printed at the socket")
    label: str | None = Field(None, description="for people; the id if left out")
    relay: Name = Field(description="board/channel, channels as printed on the board, from 1")
    meter: Name = Field(description="board, or board/channel")
    circuit: Name = Field(description="the circuit that feeds it")
    phase: Phase = Field(Phase.ALL, description="L1, L2, L3 or all")
    limits: LimitsSection = Field(LimitsSection(), description="its own limits")
    protection: ProtectionSection = Field(ProtectionSection(), description="its own thresholds")
    charge_end: ChargeEndSection = Field(ChargeEndSection(), description="its own rules")


class InputSection(Model):
    """A smoke, water or heat detector, or an emergency stop."""

    input: Name = Field(description="board/channel")
    kind: Literal["smoke", "water", "heat", "emergency_stop"] = Field(description="what it reports")
    circuit: Name = Field(description="the circuit it opens")
    active: Literal["open", "closed"] = Field(
        "open", description="open: normally closed, so that a cut wire trips"
    )


Tiers = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(max_length=20)]


def _ascending(tiers: tuple[float, ...]) -> tuple[float, ...]:
    if any(later <= earlier for earlier, later in pairwise(tiers)):
        raise ValueError("must be ascending")
    return tiers


class Document(Model):
    """The whole file."""

    gateway: GatewaySection
    mqtt: MqttSection | None = None
    buses: dict[Name, BusSection] = Field(min_length=1)
    boards: dict[Name, BoardSection] = Field(min_length=1)
    circuits: dict[Name, CircuitSection] = Field(min_length=1)
    limits: LimitsSection = LimitsSection()
    protection: ProtectionSection = ProtectionSection()
    charge_end: ChargeEndSection = ChargeEndSection()
    resume: ResumeSection = ResumeSection()
    queue: QueueSection = QueueSection()
    tariff_tiers_w: Annotated[Tiers, AfterValidator(_ascending)] = ()
    ports: tuple[PortSection, ...] = Field(min_length=1)
    inputs: dict[Name, InputSection] = Field(default_factory=dict)
