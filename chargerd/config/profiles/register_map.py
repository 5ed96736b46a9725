"""Where a meter's quantities lie in its registers, and which of them are read together.

Addresses are zero-based, as on the wire. `scale` turns a raw value into amperes, volts, watts or watt-hours.
"""

from enum import StrEnum
from typing import Literal

from pydantic import Field, model_validator

from chargerd.config.rows import HIGHEST, Address, Model, Row


class Quantity(StrEnum):
    """What a meter can tell of a channel."""

    CURRENT = "current"
    POWER = "power"
    VOLTAGE = "voltage"
    ENERGY = "energy"


FLOAT_MOST = (2 - 2.0**-23) * 2.0**127
"""The highest finite number of IEEE 754 in 32 bits."""


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
        """How many 16-bit words a value takes."""
        return int(self[1:]) // 16

    @property
    def all_ones(self) -> int:
        """Every bit set: the most of an unsigned number, -1 of a signed one, no number of a float."""
        return (1 << 16 * self.registers) - 1

    @property
    def most(self) -> float:
        """The highest value that is one: of an unsigned number all ones mean that it is not known."""
        if self is Number.F32:
            return FLOAT_MOST
        return float(self.all_ones // 2 if self.value.startswith("i") else self.all_ones - 1)


class Sign(Model):
    """Where the direction of an unsigned value stands: negative if any bit of `mask` is set in a register."""

    address: Address
    mask: int = Field(ge=1, le=0xFFFFFFFF)
    """For channel 1."""
    shift: int = Field(0, ge=-16, le=16)
    """How many bits further left each next channel's stands."""

    def mask_of(self, channel: int) -> int:
        """Return the mask of a channel, counted from 1."""
        moved = (channel - 1) * self.shift
        return self.mask << moved if moved >= 0 else self.mask >> -moved


class Register(Row):
    """Where one quantity of channel 1 lies and what it means."""

    address: Address
    type: Number
    little: bool = False
    """Low word first."""
    scale: float = 1.0
    stride: int | None = Field(None, ge=0)
    """How far above lies the next channel's, if not as the section says. 0: all channels share this one."""
    group_stride: int | None = Field(None, ge=0)
    """The same from group to group."""
    invalid: tuple[int, ...] = ()
    """Raw values (as unsigned numbers) that mean `not known`, beside those that mean it on every board."""
    sign: Sign | None = None
    least: float | None = None
    """The ends of what the board can measure, scaled. An energy outside of them cannot be true. A current, power
    or voltage is taken by its magnitude: one above `most` is at least `most`.
    """
    most: float | None = None

    @property
    def shows(self) -> float:
        """Return the highest value there is to be read, scaled: what lies above looks the same."""
        reach = self.type.most * abs(self.scale)
        return reach if self.most is None else min(self.most, reach)

    @model_validator(mode="after")
    def _means_something(self) -> "Register":
        if self.scale == 0:
            raise ValueError("scale is 0, which makes every value 0; correct it")
        if self.least is not None and self.most is not None and self.least >= self.most:
            raise ValueError("least is not below most; exchange them")
        if any(not 0 <= raw < 1 << 16 * self.type.registers for raw in self.invalid):
            raise ValueError(f"invalid holds what a {self.type.value} cannot be; give raw values as they are sent")
        return self


class Block(Model):
    """Registers that are read in one transaction."""

    address: Address
    count: int = Field(ge=1, le=125)
    stride: int | None = Field(None, ge=0)
    """How far above begins the next channel's, if not as the section says. 0: it holds all channels' values."""
    group_stride: int | None = Field(None, ge=0)
    """The same from group to group."""


class MeterSection(Row):
    """The measuring channels of a board.

    Channels come in groups of `group` (all of them, if that is not given). Within a group the next channel's
    registers lie `stride` higher, from one group to the next `group_stride`.
    """

    channels: int = Field(1, ge=1, le=64)
    stride: int = Field(0, ge=0)
    group: int = Field(64, ge=1, le=64)
    group_stride: int = Field(0, ge=0)
    function: Literal[3, 4] = 4
    wide: bool = False
    """Registers of four bytes: a count of 2 is answered with 8 bytes."""
    max_registers: int = Field(125, ge=1, le=125)
    even_counts: bool = False
    registers: dict[Quantity, Register]
    blocks: tuple[Block, ...]
    """Quantities of one block are read together; each is read with the first block that holds it."""
    energy_resolution_wh: float = Field(gt=0)

    @property
    def words(self) -> int:
        """How many 16-bit words a register has."""
        return 2 if self.wide else 1

    @property
    def shares_energy(self) -> bool:
        """Say whether all channels count into one register of energy."""
        register = self.registers[Quantity.ENERGY]
        return self.channels > 1 and len({self.address_of(register, n + 1) for n in range(self.channels)}) == 1

    def address_of(self, item: Register | Block, channel: int) -> int:
        """Return where a channel's register or block begins; channels count from 1."""
        group, member = divmod(channel - 1, self.group)
        stride = self.stride if item.stride is None else item.stride
        group_stride = self.group_stride if item.group_stride is None else item.group_stride
        return item.address + member * stride + group * group_stride

    def takes(self, register: Register) -> int:
        """Return how many registers a value takes."""
        return -(-register.type.registers // self.words)

    def block_of(self, quantity: Quantity) -> Block:
        """Return the block that holds `quantity` for every channel; `KeyError` if the meter has no such value."""
        register = self.registers[quantity]
        for block in self.blocks:
            if all(self._holds(block, register, channel) for channel in range(1, self.channels + 1)):
                return block
        raise KeyError(quantity)

    def _holds(self, block: Block, register: Register, channel: int) -> bool:
        first = self.address_of(block, channel)
        begin = self.address_of(register, channel)
        inside = first <= begin and begin + self.takes(register) <= first + block.count
        return inside and (register.sign is None or first <= register.sign.address < first + block.count)

    @model_validator(mode="after")
    def _blocks_hold_registers(self) -> "MeterSection":
        for quantity in self.registers:
            try:
                self.block_of(quantity)
            except KeyError:
                raise ValueError(f"{quantity.value} lies in no block") from None
        for needed in (Quantity.CURRENT, Quantity.POWER, Quantity.ENERGY):
            if needed not in self.registers:
                raise ValueError(f"a meter must give {needed.value}")
        return self

    @model_validator(mode="after")
    def _blocks_can_be_read(self) -> "MeterSection":
        for block in self.blocks:
            if block.count > self.max_registers:
                raise ValueError(f"block at {block.address} is longer than max_registers")
            if self.even_counts and block.count % 2:
                raise ValueError(f"block at {block.address} has an odd count")
            if self.address_of(block, self.channels) + block.count - 1 > HIGHEST:
                raise ValueError(f"block at {block.address} reaches beyond 0xFFFF")
            # An answer says its length in one byte.
            if block.count * self.words * 2 > 0xFF:  # noqa: PLR2004 - see above
                raise ValueError(f"the answer to the block at {block.address} is longer than 255 bytes")
        return self
