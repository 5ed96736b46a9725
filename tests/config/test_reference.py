"""The page for installers says what the models say."""

from pathlib import Path

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from chargerd.config.applies import SECTIONS as APPLIES
from chargerd.config.document import Document
from chargerd.config.profiles.library import load_profiles
from chargerd.config.reference import SECTIONS, reference

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run: python -m chargerd.config.reference > docs/configuration.md"
    )


@pytest.mark.parametrize(("name", "model"), SECTIONS)
def test_every_key_is_described(name: str, model: type[BaseModel]) -> None:
    text = reference().split(f"## `{name}`")[1].split("\n## ")[0]
    for key, info in model.model_fields.items():
        assert f"| `{key}` |" in text
        assert info.description, key


def test_every_section_is_described() -> None:
    for key in Document.model_fields:
        assert f"| `{key}`" in reference()


def test_of_every_key_it_is_known_when_a_change_holds() -> None:
    """And of none that there is not. A new one is put into the table of `chargerd.config.applies`."""
    known = {name.partition(".NAME")[0].removesuffix("[]"): set(model.model_fields) for name, model in SECTIONS}
    known["tariff_tiers_w"] = {""}
    assert {section: set(keys) for section, keys in APPLIES.items()} == known
    assert set(Document.model_fields) <= {section.partition(".")[0] for section in APPLIES}


def test_what_a_reload_applies_are_figures_of_sessions_alone() -> None:
    """Whoever adds one has to see to it in the core: what is raised must not reach a session under way."""
    live = {(section, key) for section, keys in APPLIES.items() for key, how in keys.items() if how != "restart"}
    limits = {("limits", key) for key in ("current_a", "power_w", "duration_s", "energy_wh")}
    assert live == {("queue", "queue_s"), ("tariff_tiers_w", ""), ("ports", "limits"), *limits}


def test_figures_are_given_with_unit_default_and_bounds() -> None:
    text = reference()
    assert "| `power_w` | W | 1000 | > 0, ≤ 3500 | lower: at once; higher: new sessions | power |" in text
    assert "| `meter_stale_s` | s | 3 | ≥ 1, ≤ 15 |" in text
    assert "| `lease` |  | on | on, off |" in text
    assert "| `energy_wh` | Wh | none | > 0, ≤ 100000 | lower: at once; higher: new sessions | energy |" in text


def test_the_example_of_a_profile_can_be_used(tmp_path: Path) -> None:
    text = reference().split("```yaml\n")[1].split("```")[0]
    assert YAML(typ="safe", pure=True).load(text)
    (tmp_path / "example.yaml").write_text(text)
    relay = load_profiles((tmp_path,))["example-relay-8"].relay
    assert relay is not None
    assert relay.channels == 8
