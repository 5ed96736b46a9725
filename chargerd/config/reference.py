"""Describes the configuration for installers, from its models: `python -m chargerd.config.reference`."""

import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from chargerd.config.applies import TOLD, Applies, how
from chargerd.config.document import (
    BoardSection,
    BusSection,
    ChargeEndSection,
    CircuitSection,
    Document,
    GatewaySection,
    HomeAssistantSection,
    InputSection,
    LimitsSection,
    MetricsSection,
    MqttSection,
    PortSection,
    ProtectionSection,
    QueueSection,
    ResumeSection,
    TlsSection,
)

SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("gateway", GatewaySection),
    ("mqtt", MqttSection),
    ("mqtt.tls", TlsSection),
    ("mqtt.home_assistant", HomeAssistantSection),
    ("metrics", MetricsSection),
    ("buses.NAME", BusSection),
    ("boards.NAME", BoardSection),
    ("circuits.NAME", CircuitSection),
    ("limits", LimitsSection),
    ("protection", ProtectionSection),
    ("charge_end", ChargeEndSection),
    ("resume", ResumeSection),
    ("queue", QueueSection),
    ("ports[]", PortSection),
    ("inputs.NAME", InputSection),
)
_UNITS = {"_w": "W", "_a": "A", "_s": "s", "_wh": "Wh", "_v": "V", "_c": "°C", "_factor": "times"}
_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}

_HEAD = """\
# Configuration

One YAML 1.2 file, `/etc/chargerd/chargerd.yaml` unless `--config` says otherwise. Check it before it is used:

    chargerd check /etc/chargerd/chargerd.yaml

Every mistake is told at once, as `file:line:column: what is wrong; what to do`, and the exit code is 1 then.
`--json` gives the same to programs. What is switched off, or has no second line of defence, is told as a note,
by `check` and by the daemon each time it starts. Read the notes.

For each port it also tells how long it takes at worst from too much current to an open contact, and refuses buses
that are too slow for the times they must keep: [budget.md](budget.md).

Complete examples are in `config/`; the package has them in `/usr/share/doc/chargerd/examples`. This page is
generated from the models that check the file; change those and run
`python -m chargerd.config.reference > docs/configuration.md`.

## Writing it

- Units end the keys: `_w` watts, `_a` amperes, `_wh` watt-hours, `_s` seconds. Numbers are written without quotes.
- A range stands for equal entries: `A01..A12` (zero padding is kept), `relay-a/1..12`, `11..22`. Boards and ports
  can be ranges. What is ranged beside a ranged name must have as many members, and runs along; anything else holds
  for all of them.
- Ids have 1 to 32 characters: a to z, A to Z, 0 to 9, and `. _ -`. What people read is `label` or `name`.
- A channel is `board/number`, counted from 1 as printed on the board; a board with one channel may go without.
- Each relay channel belongs to one port or one contactor, each meter channel to one port.
- `on` and `off` are words in YAML 1.2; they are taken where a switch is wanted.

## Changing it

`chargerctl reload`, or `systemctl reload chargerd`, reads the file anew while ports charge; `chargerctl reload
--dry-run` says what would come of it. The column `reload` below says when a changed key holds:

| `reload` | a change holds |
|---|---|
| lower: at once; higher: new sessions | for a session under way only where it is lower; else when that has ended |
| new sessions | for what begins afterwards |
| restart | with the next start; sessions are suspended meanwhile |

Whatever is new or gone (a port, a board, a circuit) waits for a restart. A file of which anything waits is not
taken on in halves: all of it waits, but for limits that it lowers. The steps, and what becomes of a file with a
mistake: [installing.md](installing.md#changing-the-configuration).

## At the top

| key | default | meaning |
|---|---|---|
"""

_TAIL = """
## Boards of your own

Profiles say what a board speaks. Those in `*.yaml` files of `/etc/chargerd/profiles.d` are added to the ones that
come with chargerd, and override those of the same name; so are those in `profiles.d` next to the configuration.
`docs/profiles.md` tells how to write one, and all there is. A file describes a family:

```yaml
family: Example relays
source: the manual's name and edition
verified: what of it was tried on hardware, and what was not
common:                       # holds for each profile below, unless it says otherwise
  line: {baudrate: 9600, parity: none, baudrates: [9600, 19200]}
  timing: {timeout_ms: 150, pre_silence_ms: 0, min_period_ms: 0, refresh_ms: 0}
  relay:
    write: 5                  # function 5 or 6
    first: 0x0000             # of channel 1, from 0 as on the wire
    timed_on: {first: 0x0200, unit_ms: 100, max_value: 0x7FFF}
    dead_man: timed_on        # timed_on, heartbeat, poll_timeout or none
    read_back: {function: 1, first: 0x0000, min_count: 8}
profiles:
  example-relay-8: {title: Example relay board, relay: {channels: 8}}
```

A relay that cannot be closed for a limited time stays closed when the gateway dies: `check` names such boards.
"""


def reference() -> str:
    """Return the whole page as Markdown."""
    parts = [_HEAD, *_top()]
    for name, model in SECTIONS:
        parts += [
            f"\n## `{name}`\n\n{_paragraph(model)}\n\n",
            "| key | unit | default | allowed | reload | meaning |\n",
        ]
        parts += ["|---|---|---|---|---|---|\n"]
        parts += [_row(key, info, how(_plain(name), key)) for key, info in model.model_fields.items()]
    return "".join([*parts, _TAIL])


def _paragraph(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip()


def _top() -> Iterator[str]:
    said = {name.partition(".")[0].removesuffix("[]"): model for name, model in reversed(SECTIONS)}
    for key, info in Document.model_fields.items():
        default = "required" if info.is_required() else "none" if info.default is None else "see below"
        text = _paragraph(said[key]).replace("\n", " ") if key in said else info.description
        link = f"`{key}`" + (": a mapping by name" if get_origin(info.annotation) is dict else "")
        yield f"| {link} | {'empty' if key not in said or key == 'inputs' else default} | {text} |\n"


def _plain(section: str) -> str:
    """Return a section's name as the table of what a reload applies has it."""
    return section.partition(".NAME")[0].removesuffix("[]")


def _row(key: str, info: FieldInfo, applies: Applies) -> str:
    unit = next((unit for suffix, unit in _UNITS.items() if key.endswith(suffix)), "")
    cells = (unit, _default(info), _allowed(info), TOLD[applies], info.description or "")
    return f"| `{key}` | {' | '.join(cells)} |\n"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    extra = info.json_schema_extra
    value: Any = extra["inherits"] if isinstance(extra, Mapping) else info.default
    if isinstance(value, BaseModel):
        return "the site's"
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None or value == "":
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _allowed(info: FieldInfo) -> str:
    choices = list(_choices(info.annotation))
    if choices:
        return ", ".join(choices)
    bounds = [
        f"{sign} {float(getattr(item, name)):.10g}"
        for item in info.metadata
        for name, sign in _SIGNS.items()
        if isinstance(getattr(item, name, None), int | float)
    ]
    return ", ".join(bounds)


def _choices(annotation: Any) -> Iterator[str]:
    if annotation is bool:
        yield from ("on", "off")
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        yield from (str(member.value) for member in annotation)
    elif get_origin(annotation) is Literal:
        yield from (str(choice) for choice in get_args(annotation))
    elif get_origin(annotation) is Annotated:
        yield from _choices(get_args(annotation)[0])
    elif get_origin(annotation) in {Union, UnionType}:
        for member in get_args(annotation):
            yield from _choices(member)


if __name__ == "__main__":
    sys.stdout.write(reference())
