"""A Home Assistant with nothing but its MQTT component, which tells what it makes of a broker.

    python house.py FOLDER PORT ENTITIES

Runs on its own Python, and imports nothing of chargerd. It waits until so many entities are there and no more of
them get to know their state, two minutes at most; then it writes them as JSON: by unique id the state, unit,
and device.
What it warns of goes to stderr.
"""

import asyncio
import json
import logging
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

from homeassistant import config_entries, loader
from homeassistant.core import HomeAssistant
from homeassistant.helpers import (
    area_registry,
    category_registry,
    device_registry,
    entity,
    entity_registry,
    floor_registry,
    frame,
    issue_registry,
    label_registry,
    restore_state,
    template,
    translation,
)

PATIENCE_S = 120.0
STILL_S = 5.0


async def furnished(folder: str) -> HomeAssistant:
    """Return a Home Assistant with its registries, as its own start makes them."""
    (Path(folder) / "configuration.yaml").touch()
    hass = HomeAssistant(folder)
    hass.config.skip_pip = True
    hass.config.components.update({"http", "file_upload"})  # Of its pages; nothing is looked at here.
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    entity.async_setup(hass)
    frame.async_setup(hass)
    template.async_setup(hass)
    translation.async_setup(hass)
    for registry in (
        area_registry,
        category_registry,
        device_registry,
        entity_registry,
        floor_registry,
        issue_registry,
        label_registry,
    ):
        await registry.async_load(hass)
    await restore_state.async_load(hass)
    await hass.config_entries.async_initialize()
    return hass


async def main(folder: str, port: int, entities: int) -> None:
    """Let it look at the broker, and tell what it has found."""
    hass = await furnished(folder)
    entry = config_entries.ConfigEntry(
        version=1,
        minor_version=2,
        domain="mqtt",
        title="broker",
        data={"broker": "127.0.0.1", "port": port, "protocol": "5"},
        options={},
        source="user",
        unique_id=None,
        discovery_keys=MappingProxyType({}),
        subentries_data=(),
    )
    await hass.config_entries.async_add(entry)
    await hass.async_start()
    deadline = hass.loop.time() + PATIENCE_S
    before: set[str] | None = None
    while hass.loop.time() < deadline:  # Nothing tells that all has come.
        told = found(hass)
        now = {name for name, one in told.items() if one["state"] != "unknown"}
        if settled(told, entities) and now == before:
            break
        before = now
        await asyncio.sleep(STILL_S)
    sys.stdout.write(json.dumps(found(hass)))
    sys.stdout.flush()
    await hass.async_stop(force=True)


def settled(told: dict[str, Any], entities: int) -> bool:
    """Say whether all is there that was announced, and each has been heard of."""
    return len(told) == entities and not any(one["state"] == "unavailable" for one in told.values())


def found(hass: HomeAssistant) -> dict[str, Any]:
    """Return each entity that has a state, by its unique id."""
    entities, devices = entity_registry.async_get(hass), device_registry.async_get(hass)
    told = {}
    for one in entities.entities.values():
        state = hass.states.get(one.entity_id)
        if state is None:
            continue
        device = devices.async_get(one.device_id or "")
        via = None if device is None else devices.async_get(device.via_device_id or "")
        told[one.unique_id] = {
            "entity": one.entity_id,
            "state": state.state,
            "unit": state.attributes.get("unit_of_measurement"),
            "device": None if device is None else device.name,
            "via": None if via is None else via.name,
        }
    return told


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
