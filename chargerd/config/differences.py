"""What two configurations mean differently: by object and key, with the place in the newer one's file.

Ranges are spelled out and what is inherited is looked up before they are compared, so that it does not matter how
something is written. Equal changes of neighbours are told as one.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from pydantic import BaseModel

from chargerd.config.applies import Applies, how
from chargerd.config.loader import Checked
from chargerd.config.ranges import RangeError, spell_out
from chargerd.config.site import Channel
from chargerd.config.source import Path
from chargerd.core.keys import keys
from chargerd.core.plan import PortPlan
from chargerd.core.units import BoardId, PortId

Thing: TypeAlias = tuple[str, str]
"""Section and name; the name is empty where there is one only."""
THERE: Final = "there"
"""The value of a thing as a whole."""
INHERITED: Final = ("limits", "protection", "charge_end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is said differently, of one or more objects that have that in common.

    `key` is empty where the whole object is new (`was` is `None`) or gone (`now` is `None`), and of the tiers.
    Line and column count from 1; 0 for what no longer stands anywhere.
    """

    section: str
    names: tuple[str, ...]
    key: str
    was: object
    now: object
    applies: Applies
    file: str
    line: int
    column: int

    @property
    def what(self) -> str:
        """Name it: `ports A01..A12 limits.power_w`."""
        return " ".join(part for part in (self.section, shown(self.names), self.key) if part)

    def __str__(self) -> str:
        """Tell it in one line, without the place."""
        if THERE in (self.was, self.now):
            return f"{self.what}: {'is new' if self.was is None else 'is gone'}"
        if self.was == self.now:
            return f"{self.what}: {_told(self.now)} says something else"
        return f"{self.what}: was {_told(self.was)}, is {_told(self.now)}"


@dataclass(frozen=True, slots=True)
class _Said:
    """A value as it is shown, and where it stands; `mark` is what tells it from others beside that."""

    value: object
    place: Path
    mark: object = None


_Object: TypeAlias = Mapping[str, _Said]
"""What is said of a thing, by key; under the empty key the thing itself."""


def differences(before: Checked, now: Checked) -> tuple[Difference, ...]:
    """Return what `now` says otherwise, in the order of its file; what is gone comes first."""
    old, new = dict(things(before)), dict(things(now))
    found: list[Difference] = []
    for thing in dict.fromkeys((*old, *new)):
        was, said = old.get(thing, {}), new.get(thing, {})
        # Of what is new or gone as a whole nothing further is told.
        for key in dict.fromkeys((*was, *said)) if was and said else ("",):
            one, other = was.get(key), said.get(key)
            if _mark(one) != _mark(other):
                _add(found, _difference(now, thing, key, one, other))
    return tuple(sorted(found, key=lambda row: (row.line, row.column)))


def _mark(said: _Said | None) -> object:
    return None if said is None else (said.value, said.mark)


def _difference(now: Checked, thing: Thing, key: str, one: _Said | None, other: _Said | None) -> Difference:
    section, name = thing
    problem = None if other is None else now.source.problem(other.place, "", "", key=True)
    return Difference(
        section=section,
        names=(name,) if name else (),
        key=key,
        was=None if one is None else one.value,
        now=None if other is None else other.value,
        applies=how(section, key),
        file=now.files.name,
        line=0 if problem is None else problem.line,
        column=0 if problem is None else problem.column,
    )


def _add(found: list[Difference], row: Difference) -> None:
    """Add a difference, or the name to an equal one of its neighbour."""
    for place, one in enumerate(found):
        if row.names and one.names and replace(one, names=()) == replace(row, names=()):
            found[place] = replace(one, names=(*one.names, *row.names))
            return
    found.append(row)


# What a configuration says


WITHIN_MQTT = ("tls", "home_assistant")
"""Sections of their own within that of the broker."""


def things(checked: Checked) -> Iterator[tuple[Thing, _Object]]:
    """Yield everything that is said, each thing with its keys."""
    document, site = checked.document, checked.site
    yield from _sections(document.gateway, "gateway")
    if document.mqtt is not None:
        yield ("mqtt", ""), _keys(document.mqtt, ("mqtt",), without=WITHIN_MQTT)
        for name in WITHIN_MQTT:
            inner = getattr(document.mqtt, name)
            yield from () if inner is None else _sections(inner, "mqtt", name)
    if document.metrics is not None:
        yield from _sections(document.metrics, "metrics")
    for section in ("buses", "circuits", "inputs"):
        for name, one in getattr(document, section).items():
            yield (section, name), _keys(one, (section, name))
    for text, board in document.boards.items():
        for name in spell_out(text):
            known = site.boards[BoardId(name)]
            profile = hashlib.sha256(known.profile.model_dump_json().encode()).hexdigest()
            place: Path = ("boards", text)
            yield (
                ("boards", name),
                {
                    **_keys(board, place),
                    "address": _Said(known.address, (*place, "address")),
                    "profile": _Said(board.profile, (*place, "profile"), profile),
                },
            )
    yield from _sections(document.resume, "resume")
    yield from _sections(document.queue, "queue")
    tiers: Path = ("tariff_tiers_w",)
    yield ("tariff_tiers_w", ""), {"": _Said(list(document.tariff_tiers_w), tiers)}
    yield from _ports(checked)


def _sections(section: BaseModel, *place: str) -> Iterator[tuple[Thing, _Object]]:
    yield (".".join(place), ""), _keys(section, place)


def _keys(section: BaseModel, place: Path, without: tuple[str, ...] = ()) -> dict[str, _Said]:
    values = section.model_dump(mode="json")
    said = {key: _Said(value, (*place, key)) for key, value in values.items() if key not in without}
    return {"": _Said(THERE, place), **said}


def _ports(checked: Checked) -> Iterator[tuple[Thing, _Object]]:
    sections = {
        PortId(name): index
        for index, section in enumerate(checked.document.ports)
        for name in spell_out(section.id)
    }
    for plan, wiring in zip(checked.site.plan.ports, checked.site.ports, strict=True):
        place: Path = ("ports", sections[plan.id])
        said = {
            "label": plan.label,
            "relay": _channel(wiring.relay),
            "meter": _channel(wiring.meter),
            "temperature": None if wiring.temperature is None else _channel(wiring.temperature),
            "circuit": plan.circuit,
            "phase": plan.phase.value,
        }
        yield (
            ("ports", plan.id),
            {
                "": _Said(THERE, place),
                **{key: _Said(value, (*place, key)) for key, value in said.items()},
                **dict(_figures(checked, plan, place)),
            },
        )


def _figures(checked: Checked, plan: PortPlan, place: Path) -> Iterator[tuple[str, _Said]]:
    """Yield a port's figures, each with the place that gives it: the port's own, else the site's."""
    stands = checked.source.keys
    for section in INHERITED:
        figures = getattr(plan, section)
        for key, (name, _, _) in keys(type(figures)).items():
            own: Path = (*place, section, key)
            yield f"{section}.{key}", _Said(getattr(figures, name), own if own in stands else (section, key))


def _channel(channel: Channel) -> str:
    return f"{channel.board}/{channel.channel}"


def shown(names: Sequence[str]) -> str:
    """Return names as a configuration may have them: runs as ranges."""
    runs: list[list[str]] = []
    for name in names:
        if runs and _follows(runs[-1][-1], name):
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs)


def _follows(first: str, second: str) -> bool:
    try:
        return spell_out(f"{first}..{second}") == (first, second)
    except RangeError:
        return False


def _told(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
