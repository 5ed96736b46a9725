"""Board profiles: what a board speaks, as data. One file per board family, one profile per model.

A relay profile says which bytes open, close and time a channel; a meter profile which registers hold which
quantity. Addresses are zero-based, as on the wire.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Literal

from pydantic import Field, model_validator

from chargerd.config.profiles.register_map import MeterSection
from chargerd.config.rows import HIGHEST, Address, Model, Row, UnitId, Value
from chargerd.core.plan import DeadMan


class Parity(StrEnum):
    """Parity of a serial line."""

    NONE = "none"
    EVEN = "even"
    ODD = "odd"


class LineDefaults(Row):
    """How the board leaves the factory."""

    address: UnitId = 1
    baudrate: int = 9600
    parity: Parity = Parity.NONE
    stopbits: Literal[1, 2] = 1
    baudrates: tuple[int, ...] = (9600,)
    """Baud rates the board can be set to."""

    @model_validator(mode="after")
    def _leaves_at_a_rate_it_can(self) -> "LineDefaults":
        if self.baudrate not in self.baudrates:
            raise ValueError(f"baudrate {self.baudrate} is not among baudrates; add it there, or correct it")
        return self


ROOM = 2
"""A timeout is at least so many times as long as the answer usually takes."""


class Timing(Row):
    """What the board needs beyond the standard's 3.5 characters of silence, in milliseconds."""

    timeout_ms: float = Field(200, ge=50, le=1000)
    """How long a reply may take to begin, counted from the end of the request."""
    least_timeout_ms: float = Field(50, ge=10, le=1000)
    """No adaptive timeout may become shorter than this."""
    most_timeout_ms: float = Field(1000, ge=50, le=2000)
    """Nor longer than this."""
    turnaround_ms: float = Field(5, ge=0)
    """How long it usually takes; for budgets and simulated boards only."""
    pre_silence_ms: float = Field(0, ge=0)
    """Silence wanted before a request to this board."""
    min_period_ms: float = Field(0, ge=0)
    """Shortest time from one request to this board to the next."""
    refresh_ms: float = Field(0, ge=0)
    """How often the measured values change; readings within it count as one."""

    def with_(
        self,
        *,
        timeout_ms: float | None = None,
        turnaround_ms: float | None = None,
        pre_silence_ms: float | None = None,
    ) -> "Timing":
        """Return the same with other figures; a turnaround without a timeout makes room for itself in that."""
        turnaround = self.turnaround_ms if turnaround_ms is None else turnaround_ms
        timeout = max(self.timeout_ms, ROOM * turnaround) if timeout_ms is None else timeout_ms
        return self.model_copy(
            update={
                "timeout_ms": timeout,
                "least_timeout_ms": min(self.least_timeout_ms, timeout),
                "most_timeout_ms": max(self.most_timeout_ms, timeout),
                "turnaround_ms": turnaround,
                "pre_silence_ms": self.pre_silence_ms if pre_silence_ms is None else pre_silence_ms,
            }
        )

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "Timing":
        if not self.least_timeout_ms <= self.timeout_ms <= self.most_timeout_ms:
            raise ValueError("timeout_ms lies outside least_timeout_ms to most_timeout_ms; put them in order")
        return self


class TimedOn(Row):
    """A write that closes a channel now and lets the board open it by itself."""

    first: Address
    """Address of channel 1's timed write."""
    unit_ms: int = Field(ge=1)
    """What a value of 1 stands for."""
    base_value: Value = 0
    """Added to the value: some boards keep the command in the high byte."""
    max_value: int = Field(0x7FFF, ge=1, le=0xFFFF)
    """The longest time, without `base_value`."""

    @model_validator(mode="after")
    def _fits_a_register(self) -> "TimedOn":
        if self.base_value + self.max_value > HIGHEST:
            raise ValueError("base_value and max_value together do not fit a register; lower max_value")
        return self


class Heartbeat(Row):
    """A write without which the board opens all its relays after a while; it closes none of them."""

    write: Literal[5, 6] = 6
    """Function that writes it: a coil, or a register."""
    address: Address
    value: Value
    """What is written each time."""
    within_ms: int = Field(ge=1)
    """How long after a write the board opens its relays, if none follows."""


class ReadBack(Row):
    """Where the relays' states can be read."""

    function: Literal[1, 2, 3, 4] = 1
    first: Address = 0
    min_count: int = Field(1, ge=1, le=125)
    """Some boards answer only for all their channels."""


class Setting(Row):
    """Registers or coils that must hold a value before the board is used."""

    name: str
    """What it sets, for people."""
    write: Literal[5, 6] = 6
    """Function that sets one: write a coil, or write a register. It is read with function 1 or 3."""
    address: Address
    count: int = Field(1, ge=1, le=64)
    """How many in a row get the same value."""
    value: Value
    optional: bool = False
    """A board that does not know the address has nothing there to be set: an older model or firmware."""

    @model_validator(mode="after")
    def _can_be_written(self) -> "Setting":
        if self.address + self.count - 1 > HIGHEST:
            raise ValueError("address and count reach beyond 0xFFFF; correct them")
        if self.write == 5 and self.value not in {0, 0xFF00}:  # noqa: PLR2004 - function 5 writes a coil
            raise ValueError("a coil is set with 0x0000 or 0xFF00; give one of them")
        return self


class RelaySection(Row):
    """The relays of a board."""

    channels: int = Field(ge=1, le=64)
    write: Literal[5, 6] = 5
    """Function that opens and closes: write a coil, or write a register."""
    first: Address = 0
    open_value: Value = 0x0000
    close_value: Value = 0xFF00
    deceptive_values: tuple[Value, ...] = ()
    """Values that seem to open a channel, and do not while its timer runs. They are never sent."""
    timed_on: TimedOn | None = None
    heartbeat: Heartbeat | None = None
    dead_man: DeadMan = DeadMan.NONE
    prepare: tuple[Setting, ...] = ()
    """Set and verified before the first use, and again whenever the line or the board has come back."""
    read_back: ReadBack = ReadBack()
    settling_ms: float = Field(300, ge=0, le=2000)
    """How long after a write the board may still show where a relay was before: two looks lie as far apart."""

    @model_validator(mode="after")
    def _dead_man_has_means(self) -> "RelaySection":
        if self.dead_man is DeadMan.TIMED_ON and self.timed_on is None:
            raise ValueError("dead_man: timed_on needs a timed_on section")
        if (self.dead_man is DeadMan.HEARTBEAT) is not (self.heartbeat is not None):
            raise ValueError("dead_man: heartbeat and a heartbeat section need each other; give both, or none")
        if self.dead_man is DeadMan.POLL_TIMEOUT and not self.prepare:
            raise ValueError("dead_man: poll_timeout needs what sets it; add it to prepare")
        return self

    @model_validator(mode="after")
    def _opens_and_closes(self) -> "RelaySection":
        if self.open_value == self.close_value:
            raise ValueError("open_value and close_value are the same; correct one of them")
        if self.open_value in self.deceptive_values:
            raise ValueError("open_value is a deceptive one; open with a value that ends a running timer")
        last = max(self.first, self.timed_on.first if self.timed_on else 0, self.read_back.first)
        if last + self.channels - 1 > HIGHEST:
            raise ValueError("the last channel lies beyond address 0xFFFF; correct first or channels")
        return self


class Inputs(Row):
    """The digital inputs of a board."""

    channels: int = Field(ge=1, le=64)
    function: Literal[1, 2, 3, 4] = 2
    """Function that reads them; registers hold 0 or 1 each."""
    first: Address = 0
    min_count: int = Field(1, ge=1, le=64)
    """Some boards answer only for all their inputs."""


class Thermometers(Row):
    """The temperature channels of a board: one signed register each, one after the other, in degrees Celsius."""

    channels: int = Field(ge=1, le=64)
    function: Literal[3, 4] = 3
    first: Address = 0
    scale: float = Field(0.1, gt=0)
    """What a raw 1 stands for."""
    invalid: tuple[Value, ...] = ()
    """Raw values (as unsigned numbers) that mean: no sensor, or not known."""
    least: float = -40.0
    most: float = 125.0
    """A value below or above these cannot be true."""

    @model_validator(mode="after")
    def _fits(self) -> "Thermometers":
        if self.first + self.channels - 1 > HIGHEST:
            raise ValueError("the last channel lies beyond address 0xFFFF; correct first or channels")
        if self.least >= self.most:
            raise ValueError("least is not below most; exchange them")
        return self


class IdentityRegister(Row):
    """Registers that say which board it is: as they are, for comparison."""

    function: Literal[3, 4] = 3
    address: Address
    count: int = Field(1, ge=1, le=64)
    unique: bool = True
    """Whether no other board of its kind says the same, as with a serial number."""

    @model_validator(mode="after")
    def _fits(self) -> "IdentityRegister":
        if self.address + self.count - 1 > HIGHEST:
            raise ValueError("address and count reach beyond 0xFFFF; correct them")
        return self


class Profile(Model):
    """One board model."""

    name: str
    title: str
    source: str
    """Where the map comes from."""
    verified: str
    """What of it was tried on hardware, and what was not."""
    line: LineDefaults = LineDefaults()
    timing: Timing = Timing()
    relay: RelaySection | None = None
    inputs: Inputs | None = None
    meter: MeterSection | None = None
    thermometers: Thermometers | None = None
    identity: tuple[IdentityRegister, ...] = ()
    """What the board is known by; one that refuses it, or does not answer, tells none."""

    @property
    def kind(self) -> str:
        """What it has, in words: `relay`, `inputs`, `meter`, `thermometers`, or several of them."""
        sections = {
            "relay": self.relay,
            "inputs": self.inputs,
            "meter": self.meter,
            "thermometers": self.thermometers,
        }
        return ", ".join(name for name, section in sections.items() if section is not None)

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Yield everything that can be right or wrong by itself, with its name."""
        yield "line", self.line
        yield "timing", self.timing
        if self.relay is not None:
            yield "relay", self.relay
            yield "relay.read_back", self.relay.read_back
            if self.relay.timed_on is not None:
                yield "relay.timed_on", self.relay.timed_on
            if self.relay.heartbeat is not None:
                yield "relay.heartbeat", self.relay.heartbeat
            yield from ((f"relay.prepare: {setting.name}", setting) for setting in self.relay.prepare)
        yield from ((f"identity: {register.address}", register) for register in self.identity)
        if self.inputs is not None:
            yield "inputs", self.inputs
        if self.thermometers is not None:
            yield "thermometers", self.thermometers
        if self.meter is not None:
            yield from (
                (f"meter.{quantity.value}", register) for quantity, register in self.meter.registers.items()
            )

    @model_validator(mode="after")
    def _identity_is_no_value(self) -> "Profile":
        # A late answer would be taken for a current.
        if self.meter is not None and any(one.function == self.meter.function for one in self.identity):
            raise ValueError(
                "identity is read by the function that reads values; take the other one, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _is_something(self) -> "Profile":
        if not self.kind:
            raise ValueError("has neither relay nor inputs nor meter; add one")
        return self
