"""Board profiles: what a board speaks, as data. One file per board family, one profile per model.

A relay profile says which bytes open, close and time a channel; a meter profile which registers hold which
quantity. Addresses are zero-based, as on the wire. `scale` turns a raw value into amperes, volts, watts or
watt-hours.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from chargerd.core.plan import DeadMan

Address = Annotated[int, Field(ge=0, le=0xFFFF)]
UnitId = Annotated[int, Field(ge=1, le=255)]


class Model(BaseModel):
    """Frozen, and nothing unknown passes."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, allow_inf_nan=False)


class Parity(StrEnum):
    """Parity of a serial line."""

    NONE = "none"
    EVEN = "even"
    ODD = "odd"


class Quantity(StrEnum):
    """What a meter can tell of a channel."""

    CURRENT = "current"
    POWER = "power"
    VOLTAGE = "voltage"
    ENERGY = "energy"


class Number(StrEnum):
    """How a value lies in its registers; bytes within a register are big-endian always."""

    U16 = "u16"
    I16 = "i16"
    U32 = "u32"
    I32 = "i32"
    U64 = "u64"
    I64 = "i64"
    F32 = "f32"

    @property
    def registers(self) -> int:
        """How many 16-bit registers a value takes."""
        return {"16": 1, "32": 2, "64": 4}[self.value[1:]]


class LineDefaults(Model):
    """How the board leaves the factory."""

    address: UnitId = 1
    baudrate: int = 9600
    parity: Parity = Parity.NONE
    stopbits: Literal[1, 2] = 1
    baudrates: tuple[int, ...] = (9600,)
    """Baud rates the board can be set to."""


class Timing(Model):
    """What the board needs beyond the standard's 3.5 characters of silence, in milliseconds."""

    timeout_ms: float = Field(200, ge=50, le=1000)
    """How long a reply may take to begin, counted from the end of the request."""
    turnaround_ms: float = Field(5, ge=0)
    """How long it usually takes; for budgets and simulated boards only."""
    pre_silence_ms: float = Field(0, ge=0)
    """Silence wanted before a request to this board."""
    min_period_ms: float = Field(0, ge=0)
    """Shortest time from one request to this board to the next."""
    refresh_ms: float = Field(0, ge=0)
    """How often the measured values change; readings within it count as one."""


class TimedOn(Model):
    """A write that closes a channel now and lets the board open it by itself."""

    first: Address
    """Address of channel 1's timed write."""
    unit_ms: int = Field(ge=1)
    """What a value of 1 stands for."""
    max_value: int = Field(0x7FFF, ge=1, le=0xFFFF)


class ReadBack(Model):
    """Where the relays' states can be read."""

    function: Literal[1, 2, 3, 4] = 1
    first: Address = 0
    min_count: int = 1
    """Some boards answer only for all their channels."""


class RelaySection(Model):
    """The relays of a board."""

    channels: int = Field(ge=1, le=64)
    write: Literal[5, 6] = 5
    """Function that opens and closes: write a coil, or write a register."""
    first: Address = 0
    open_value: int = 0x0000
    close_value: int = 0xFF00
    timed_on: TimedOn | None = None
    dead_man: DeadMan = DeadMan.NONE
    read_back: ReadBack = ReadBack()

    @model_validator(mode="after")
    def _dead_man_has_means(self) -> "RelaySection":
        if self.dead_man is DeadMan.TIMED_ON and self.timed_on is None:
            raise ValueError("dead_man: timed_on needs a timed_on section")
        return self


class Inputs(Model):
    """The digital inputs of a board, read with function 2."""

    channels: int = Field(ge=1, le=64)
    first: Address = 0


class Register(Model):
    """Where one quantity of channel 1 lies and what it means."""

    address: Address
    type: Number
    little: bool = False
    """Low word first."""
    scale: float = 1.0
    invalid: tuple[int, ...] = ()
    """Raw values (as unsigned numbers) that mean: not known."""
    least: float | None = None
    """A scaled value below or above these cannot be true."""
    most: float | None = None


class Block(Model):
    """Registers that are read in one transaction."""

    address: Address
    count: int = Field(ge=1, le=125)


class MeterSection(Model):
    """The measuring channels of a board. Channel n's registers lie `(n - 1) * stride` above channel 1's."""

    channels: int = Field(1, ge=1, le=64)
    stride: int = 0
    function: Literal[3, 4] = 4
    max_registers: int = Field(125, ge=1, le=125)
    even_counts: bool = False
    registers: dict[Quantity, Register]
    blocks: tuple[Block, ...]
    """Every quantity lies in exactly one block; quantities of one block are read together."""
    energy_resolution_wh: float = Field(gt=0)

    def block_of(self, quantity: Quantity) -> Block:
        """Return the block that holds `quantity` for channel 1; `KeyError` if the meter has no such value."""
        register = self.registers[quantity]
        end = register.address + register.type.registers
        for block in self.blocks:
            if block.address <= register.address and end <= block.address + block.count:
                return block
        raise KeyError(quantity)

    @model_validator(mode="after")
    def _blocks_hold_registers(self) -> "MeterSection":
        for quantity in self.registers:
            try:
                self.block_of(quantity)
            except KeyError:
                raise ValueError(f"{quantity.value} lies in no block") from None
        for block in self.blocks:
            if block.count > self.max_registers:
                raise ValueError(f"block at {block.address} is longer than max_registers")
            if self.even_counts and block.count % 2:
                raise ValueError(f"block at {block.address} has an odd count")
        for needed in (Quantity.CURRENT, Quantity.POWER, Quantity.ENERGY):
            if needed not in self.registers:
                raise ValueError(f"a meter must give {needed.value}")
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
