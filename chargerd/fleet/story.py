"""Told stories: each brings about one state that is hard for a backend, and says what must be heard then.

A step is either something that happens to the gateway, or a wait: for some seconds, or for a message it publishes.
What a story waits for is told by the contract's own fields, so that a story that ends has proved that its hard
case really happened.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from chargerd.core.moment import ClockQuality

Name = Annotated[str, Field(min_length=1, max_length=32)]
Span = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]


class StoryError(Exception):
    """There is no such story, or it is none; the message says where and what to do."""


class Part(BaseModel):
    """Checked, and nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Plug(Part):
    """Something is plugged in: a charger that goes on for hours, or soon is full, or a load of so many amperes."""

    port: Name
    load: Literal["charger", "nearly_full"] | Annotated[float, Field(gt=0, le=32)] = "charger"


class Ask(Part):
    """Somebody on site asks, as `chargerctl` does."""

    method: Literal["start", "stop", "reset", "disable", "enable", "limits"]
    args: dict[str, Any]
    times: Annotated[int, Field(ge=1, le=10_000)] = 1


class CommandStep(Part):
    """A command comes in as if a backend had sent it; its id begins with `story-`."""

    name: Name
    args: dict[str, Any]
    id: Name | None = None
    """For one that is sent again; else each has an id of its own."""
    ttl_s: Annotated[int, Field(ge=1, le=600)] = 30


class Wait(Part):
    """The next message on a topic below the gateway's root with these values; `a.b` is `b` within `a`.

    `[x]` stands for a list that holds x. Of a state the newest counts; of other messages those that came since the
    last step that did something.
    """

    topic: Name
    where: dict[str, Any] = Field(default_factory=dict)
    within_s: Span = 300.0


class Down(Part):
    """The daemon ends, and another one begins with what the journal kept: on the same machine, or on another."""

    how: Literal["restart", "kill", "power_cut", "card_moved"]
    for_s: Span = 10.0


class Step(Part):
    """One step: exactly one of these."""

    plug: Plug | None = None
    unplug: Name | None = None
    ask: Ask | None = None
    command: CommandStep | None = None
    wait_s: Span | None = None
    wait: Wait | None = None
    down: Down | None = None
    network: Literal["down", "up"] | None = None
    silent: tuple[Name, ...] | None = None
    """These boards, and no others, do not answer from now on."""
    mains_v: Annotated[float, Field(ge=0, le=400)] | None = None
    clock: ClockQuality | None = None
    """What vouches for the gateway's clock from now on."""
    clock_error_s: float | None = None
    """How far it is off from now on."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"one thing a step; {', '.join(sorted(self.model_fields_set)) or 'none'} given")
        return self

    @property
    def kind(self) -> str:
        """What it is."""
        return next(iter(self.model_fields_set))


class Story(Part):
    """A story. `says`: what a backend is shown, and what it may get wrong."""

    says: Annotated[str, Field(min_length=1)]
    ports: Annotated[int, Field(ge=1, le=16)] = 2
    circuit: str = ""
    """Settings of the gateway's circuit, as in a configuration."""
    journal_kib: Annotated[int, Field(ge=100)] | None = None
    """How large the journal may grow before facts make room."""
    silent: tuple[Name, ...] = ()
    """Boards that do not answer from the start."""
    clock: ClockQuality = ClockQuality.NTP
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]


def named_stories() -> Mapping[str, str]:
    """Return the text of the stories that come with chargerd, by their names."""
    folder = files(__package__) / "stories"
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    return {name.removesuffix(".yaml"): texts[name] for name in sorted(texts) if name.endswith(".yaml")}


def load_story(name: str) -> Story:
    """Return a story by its name, or from a file. Raises `StoryError`."""
    known = named_stories()
    if name in known:
        return read_story(known[name], name)
    path = Path(name)
    try:
        return read_story(path.read_text(encoding="utf-8"), name)
    except OSError as error:
        raise StoryError(
            f"{name}: neither a file ({error.strerror}) nor one of {', '.join(known)}; --stories tells of each"
        ) from error


def read_story(text: str, name: str) -> Story:
    """Return the story a text tells. Raises `StoryError`."""
    try:
        data = YAML(typ="safe", pure=True).load(text)
        return Story.model_validate_json(json.dumps(data, default=str))
    except YAMLError as error:
        raise StoryError(f"{name}: this is no YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StoryError(f"{name}: {where}: {first['msg']}") from error
