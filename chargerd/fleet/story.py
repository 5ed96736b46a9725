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

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from chargerd.config.explain import explain, path_of
from chargerd.config.problems import ConfigurationError, Problem
from chargerd.config.source import Path as Place
from chargerd.config.source import Source, parse
from chargerd.core.moment import ClockQuality
from chargerd.store.retention import LIMIT_BYTES

Name = Annotated[str, Field(min_length=1, max_length=32)]
Span = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]


class StoryError(Exception):
    """There is no such story; the message says what to do."""


class Part(BaseModel):
    """Checked, and nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


LOADS = ("charger", "nearly_full")
MOST_AMPERES = 32


def _a_load(value: object) -> object:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value in LOADS or (number and 0 < value <= MOST_AMPERES):  # type: ignore[operator]  # It is a number.
        return value
    raise ValueError(f"is no load; give {', '.join(LOADS)}, or amperes up to {MOST_AMPERES}")


class Plug(Part):
    """Something is plugged in: a charger that goes on for hours, or soon is full, or a load of so many amperes."""

    port: Name
    load: Annotated[Any, AfterValidator(_a_load)] = "charger"


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

    how: Literal["restart", "shutdown", "kill", "power_cut", "card_moved"]
    for_s: Span = 10.0


STEPS_ARE = (
    "a step is one of ask, clock, clock_error_s, command, down, mains_v, network, plug, silent, unplug, wait,"
    " wait_s"
)


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
        given = sorted(self.model_fields_set)
        if len(given) > 1:
            raise ValueError(f"has {' and '.join(given)} at once; give each a step of its own")
        if not given or getattr(self, given[0]) is None:
            raise ValueError(f"is an empty step; {STEPS_ARE}")
        return self

    @property
    def kind(self) -> str:
        return next(iter(self.model_fields_set))


def _some(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    if not steps:
        raise ValueError("is empty; give at least one")
    return steps


class Story(Part):
    """A story. `says`: what a backend is shown, and what it may get wrong."""

    says: Annotated[str, Field(min_length=1)]
    ports: Annotated[int, Field(ge=1, le=16)] = 2
    circuit: str = ""
    """Settings of the gateway's circuit, as in a configuration."""
    journal_kib: Annotated[int, Field(ge=100)] | None = None
    """How large the journal may grow before facts make room; as large as any if left out."""
    silent: tuple[Name, ...] = ()
    """Boards that do not answer from the start."""
    clock: ClockQuality = ClockQuality.NTP
    steps: Annotated[tuple[Step, ...], AfterValidator(_some)]

    @property
    def port_names(self) -> tuple[str, ...]:
        """How the ports of its gateway are called."""
        return tuple(f"A{number:02}" for number in range(1, self.ports + 1))

    @property
    def limit_bytes(self) -> int:
        """How large its journal may grow."""
        return LIMIT_BYTES if self.journal_kib is None else self.journal_kib * 1024

    @property
    def board_names(self) -> tuple[str, ...]:
        """How the boards of its gateway are called."""
        return ("relay-a", *(f"meter-a{number}" for number in range(1, self.ports + 1)))


def named_stories() -> Mapping[str, str]:
    """Return the text of the stories that come with chargerd, by their names."""
    folder = files(__package__) / "stories"
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    return {name.removesuffix(".yaml"): texts[name] for name in sorted(texts) if name.endswith(".yaml")}


def load_story(name: str) -> Story:
    """Return a story by its name, or from a file. Raises `StoryError`, or `ConfigurationError` if it is none."""
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
    except UnicodeDecodeError as error:
        raise StoryError(f"{name}: this is no UTF-8 text; name a file of YAML") from error


def read_story(text: str, name: str) -> Story:
    """Return the story a text tells. Raises `ConfigurationError` with all that keeps it from being one."""
    source = parse(text, name)
    if not isinstance(source.data, dict):
        what = "the file is empty" if source.data is None else "this is no story"
        raise ConfigurationError([source.problem((), what, "begin with says and steps"), *source.problems])
    try:
        story = Story.model_validate_json(json.dumps(source.data))
    except ValidationError as error:
        problems = _explain(error.errors(), source)
        raise ConfigurationError([*source.problems, *problems]) from error
    problems = [*source.problems, *_strangers(story, source)]
    if problems:
        raise ConfigurationError(problems)
    return story


def _explain(details: list[ErrorDetails], source: Source) -> list[Problem]:
    """Return the problems behind validation errors; for a step that is none, with those there are."""
    unknown = [detail for detail in details if _is_unknown_step(detail)]
    problems = explain((detail for detail in details if detail not in unknown), source, Story)
    for detail in unknown:
        path = path_of(detail)
        problems.append(source.problem(path, f"unknown step {path[-1]!r}", STEPS_ARE, key=True))
    return problems


def _is_unknown_step(detail: ErrorDetails) -> bool:
    return detail["type"] == "extra_forbidden" and detail["loc"][0] == "steps" and len(detail["loc"]) == STEP_DEPTH


STEP_DEPTH = 3
"""`steps`, which of them, and its one key."""
PORT_STATE = "state/port/"


def _strangers(story: Story, source: Source) -> list[Problem]:
    """Return what is said of ports and boards its gateway has not; a command may name them, as backends may."""
    ports = [place for index, step in enumerate(story.steps) for place in _ports_of(step, index)]
    boards: list[tuple[Place, str]] = [(("silent", index), board) for index, board in enumerate(story.silent)]
    for number, step in enumerate(story.steps):
        boards += [(("steps", number, "silent", index), board) for index, board in enumerate(step.silent or ())]
    return [
        source.problem(place, f"there is no {kind} {name!r}", f"there are {', '.join(known)}; `ports` makes more")
        for kind, known, found in (("port", story.port_names, ports), ("board", story.board_names, boards))
        for place, name in found
        if name not in known
    ]


def _ports_of(step: Step, index: int) -> list[tuple[Place, str]]:
    """Return which port a step is about, and where it says so."""
    here: Place = ("steps", index, step.kind)
    if step.plug is not None:
        return [((*here, "port"), step.plug.port)]
    if step.unplug is not None:
        return [(here, step.unplug)]
    if step.ask is not None and "port" in step.ask.args:
        return [((*here, "args", "port"), str(step.ask.args["port"]))]
    if step.wait is not None and step.wait.topic.startswith(PORT_STATE):
        return [((*here, "topic"), step.wait.topic.removeprefix(PORT_STATE))]
    return []
