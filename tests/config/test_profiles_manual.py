"""The manual's own examples, taken out of it and used."""

import re
from pathlib import Path

import pytest

from chargerd.config.loader import load
from chargerd.config.profiles.library import load_library
from chargerd.config.profiles.models import LineDefaults, RelaySection, Timing
from chargerd.config.profiles.register_map import Register
from tests.config.sites import BASE, changed

MANUAL = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", MANUAL, re.DOTALL)
WHOLE, PHASES = BLOCKS


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "profiles.d"
    folder.mkdir()
    (folder / "own.yaml").write_text(WHOLE)
    return folder


def test_the_profile_to_begin_with_is_accepted_and_serves_a_site(own: Path) -> None:
    library = load_library([own])
    assert {"my-meter", "my-relays"} <= set(library.profiles)
    assert library.overrides == []
    text = changed("address: 2, profile: pzem-016", "address: 2, profile: my-meter", BASE)
    text = changed("address: 1, profile: waveshare-relay-8}", "address: 1, profile: my-relays}", text)
    (own.parent / "site.yaml").write_text(changed("relay: relay-b/8", "relay: relay-b/4", text))
    site = load(own.parent / "site.yaml", profile_folders=())
    assert [note.what.split(" ")[0] for note in site.notes] == ["relay-b"], "it has no dead-man, and check says so"


def test_what_is_to_be_written_for_phases_is_accepted(own: Path) -> None:
    inner = PHASES.replace("\n", "\n    ")
    (own / "phases.yaml").write_text(
        f"source: s\nverified: v\nprofiles:\n  phases:\n    title: t\n    {inner}  energy_resolution_wh: 10\n"
    )
    section = load_library([own]).profiles["phases"].meter
    assert section is not None
    assert section.shares_energy
    assert [section.address_of(register, 3) for register in section.registers.values()] == [0x0A, 0x10, 0x48]


@pytest.mark.parametrize(
    ("model", "key"),
    [(LineDefaults, name) for name in LineDefaults.model_fields if name not in {"basis", "tried"}]
    + [(Timing, name) for name in Timing.model_fields if name not in {"basis", "tried"}]
    + [(Register, name) for name in Register.model_fields]
    + [(RelaySection, name) for name in RelaySection.model_fields],
)
def test_every_key_stands_in_the_manual(model: type, key: str) -> None:
    assert re.search(rf"\b{key}\b", MANUAL), f"{model.__name__}.{key}"
