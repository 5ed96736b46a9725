"""The configuration as it is written: one model per section, defaults and bounds in one place.

How a single value is written says `chargerd.config.values`. Ranges (`A01..A12`) are still text here;
`chargerd.config.expand` spells them out and checks what belongs together.
"""

import re
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
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
    Name,
    Number,
    Prefix,
    Reference,
    SingleName,
    Switch,
    TimeZone,
    Whole,
)
from chargerd.core.plan import CEILING, ChargeEnd, Limits, Phase, Protection

MOST_ENERGY_WH = 100_000
"""Far above any battery on two or three wheels."""


def _inherited(default: float | bool | None, what: str, **bounds: float) -> Any:
    """Declare a figure that a port takes from the site, and the site from `default` (`None`: no limit)."""
    least, above, most = bounds.get("ge"), bounds.get("gt"), bounds.get("le")
    extra: JsonDict = {"inherits": default}
    return Field(None, description=what, json_schema_extra=extra, ge=least, gt=above, le=most)


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

    @property
    def broker_port(self) -> int:
        """The port that is registered for MQTT with TLS, or without, if none is given."""
        return self.port or (1883 if self.tls is None else 8883)


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


_L, _P, _C = Limits(), Protection(), ChargeEnd()


class LimitsSection(Model):
    """What a session may draw; what is left out is inherited."""

    power_w: Number | None = _inherited(_L.power, "power", gt=0, le=CEILING.power)
    current_a: Number | None = _inherited(_L.current, "current", gt=0, le=CEILING.current)
    duration_s: Number | None = _inherited(_L.duration, "time with the relay closed", gt=0, le=CEILING.duration)
    energy_wh: Number | None = _inherited(_L.energy, "energy", gt=0, le=MOST_ENERGY_WH)


class ProtectionSection(Model):
    """Thresholds and delays of the protective functions; what is left out is inherited."""

    overcurrent_instant_factor: Number | None = _inherited(
        _P.instant_factor, "trips on one reading at this multiple of `current_a`", ge=1.2, le=2.0
    )
    overcurrent_inrush_factor: Number | None = _inherited(
        _P.inrush_factor, "stands in for the instant factor right after closing", ge=1.5, le=5.0
    )
    overcurrent_inrush_s: Number | None = _inherited(
        _P.inrush_for, "for how long, beside one refresh of the meter", ge=0, le=5
    )
    overcurrent_definite_factor: Number | None = _inherited(
        _P.definite_factor, "trips at this multiple of `current_a` after a delay", ge=1.05, le=1.5
    )
    overcurrent_definite_s: Number | None = _inherited(_P.definite_delay, "that delay", ge=0.5, le=10)
    overpower_factor: Number | None = _inherited(
        _P.overpower_factor, "ends the session at this multiple of `power_w` after a delay", ge=1.05, le=1.5
    )
    overpower_s: Number | None = _inherited(_P.overpower_delay, "that delay", ge=1, le=30)
    overpower_instant_factor: Number | None = _inherited(
        _P.overpower_instant_factor, "ends it on one reading at this multiple of `power_w`", ge=1.2, le=2.0
    )
    meter_stale_s: Number | None = _inherited(
        _P.stale_after,
        "opens when no valid reading came for so long; three refreshes of the meter at least",
        ge=1,
        le=15,
    )
    recover_s: Number | None = _inherited(
        _P.recover_within, "how long a suspended session waits for its meter", ge=5, le=600
    )
    weld_current_a: Number | None = _inherited(
        _P.weld_current, "current through an open relay from which on it does not count as open", ge=0.05, le=0.5
    )
    weld_power_w: Number | None = _inherited(
        _P.weld_power, "power beside it from which on an open relay counts as welded", ge=5, le=50
    )
    open_tries: Whole | None = _inherited(
        _P.open_tries, "locks out a relay that is read back closed after so many openings", ge=1, le=5
    )
    step_s: Number | None = _inherited(
        _P.step_timeout, "how long each step of a start, and of a stop, may take", ge=1, le=10
    )
    suspend_times: Whole | None = _inherited(
        _P.suspend_times,
        "how often in an hour a session may be suspended for faults; the next time ends it",
        ge=0,
        le=10,
    )
    suspend_total_s: Number | None = _inherited(
        _P.suspend_total, "for how long in all, and for as long for want of room in its circuits", ge=60, le=7200
    )
    shed_times: Whole | None = _inherited(
        _P.shed_times, "how often in an hour its circuits may shed it; the next time ends it", ge=1, le=30
    )
    shed_wait_s: Number | None = _inherited(
        _P.shed_wait, "how long it then waits at least before it comes back", ge=10, le=600
    )
    overvoltage_v: Number | None = _inherited(
        _P.overvoltage, "opens above it after a delay, until it is in its band again", ge=110, le=280
    )
    undervoltage_v: Number | None = _inherited(_P.undervoltage, "the same below it", ge=70, le=220)
    voltage_s: Number | None = _inherited(_P.voltage_delay, "that delay, for both", ge=4, le=30)
    voltage_back_s: Number | None = _inherited(
        _P.voltage_back, "how long in its band before a session goes on", ge=10, le=600
    )
    temperature_warn_c: Number | None = _inherited(
        _P.temperature_warn, "a socket this warm is told of and is not started", ge=40, le=80
    )
    temperature_trip_c: Number | None = _inherited(
        _P.temperature_trip, "a socket this hot is opened", ge=45, le=85
    )
    temperature_s: Number | None = _inherited(_P.temperature_delay, "after so long, for both", ge=10, le=120)
    frozen_steps: Number | None = _inherited(
        _P.frozen_steps, "opens when the register stands still though so many of its steps were drawn", ge=3, le=50
    )
    frozen_s: Number | None = _inherited(
        _P.frozen_for, "flags values that have not changed for so long while neighbours' have", ge=120, le=3600
    )
    power_jump_w: Number | None = _inherited(
        _P.power_jump, "tells of a load so far above its session's maximum", ge=30, le=2000
    )
    power_jump_s: Number | None = _inherited(_P.power_jump_delay, "that stays there for so long", ge=5, le=600)
    power_jump_after_s: Number | None = _inherited(
        _P.power_jump_after, "later than this into charging", ge=300, le=36000
    )
    power_jump_trips: Switch | None = _inherited(_P.power_jump_trips, "on: end the session, too")


class ChargeEndSection(Model):
    """When a charge counts as over; what is left out is inherited."""

    full_below_w: Number | None = _inherited(_C.full_below, "a tapered charge under this is full", ge=1, le=200)
    full_after_s: Number | None = _inherited(_C.full_after, "after so long", ge=30, le=36000)
    unplugged_below_w: Number | None = _inherited(
        _C.unplugged_below, "a step to under this is a pulled plug", ge=1.5, le=5
    )
    unplugged_after_s: Number | None = _inherited(_C.unplugged_after, "after so long", ge=30, le=3600)
    no_load_below_w: Number | None = _inherited(
        _C.no_load_below, "a session that never reached this has no load", ge=6, le=50
    )
    no_load_after_s: Number | None = _inherited(_C.no_load_after, "after so long from closing", ge=10, le=3600)
    float_s: Number | None = _inherited(_C.float_for, "how long a full port stays on", ge=0, le=36000)


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
