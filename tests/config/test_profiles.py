"""What a profile must hold to be believed."""

import pytest
from pydantic import ValidationError

from chargerd.config.profiles.register_map import MeterSection, Number, Quantity

REGISTERS = {
    "current": {"address": 0, "type": "f32"},
    "power": {"address": 2, "type": "f32"},
    "energy": {"address": 10, "type": "u64"},
}
BLOCKS = [{"address": 0, "count": 4}, {"address": 10, "count": 4}]


def meter(**over: object) -> MeterSection:
    return MeterSection.model_validate(
        {"registers": REGISTERS, "blocks": BLOCKS, "energy_resolution_wh": 1, **over}
    )


@pytest.mark.parametrize(
    ("number", "registers"), [("u16", 1), ("i16", 1), ("u32", 2), ("i32", 2), ("f32", 2), ("u64", 4), ("i64", 4)]
)
def test_a_number_takes_its_registers(number: str, registers: int) -> None:
    assert Number(number).registers == registers


def test_each_quantity_is_found_in_its_block() -> None:
    found = meter()
    assert found.block_of(Quantity.CURRENT) == found.block_of(Quantity.POWER) == found.blocks[0]
    assert found.block_of(Quantity.ENERGY) == found.blocks[1]
    with pytest.raises(KeyError):
        found.block_of(Quantity.VOLTAGE)


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"blocks": [{"address": 0, "count": 3}, {"address": 10, "count": 4}]}, "power lies in no block"),
        ({"blocks": [{"address": 1, "count": 3}, {"address": 10, "count": 4}]}, "current lies in no block"),
        ({"max_registers": 3}, "block at 0 is longer than max_registers"),
        (
            {"blocks": [{"address": 0, "count": 5}, *BLOCKS[1:]], "even_counts": True},
            "block at 0 has an odd count",
        ),
        ({"registers": {key: REGISTERS[key] for key in ("current", "power")}}, "a meter must give energy"),
        ({"registers": {key: REGISTERS[key] for key in ("current", "energy")}}, "a meter must give power"),
        ({"registers": {key: REGISTERS[key] for key in ("power", "energy")}}, "a meter must give current"),
        ({"energy_resolution_wh": 0}, "greater than 0"),
        ({"registers": {**REGISTERS, "current": {"address": 0, "type": "f32", "scale": float("nan")}}}, "finite"),
    ],
)
def test_a_meter_that_cannot_be_read_is_refused(over: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        meter(**over)
