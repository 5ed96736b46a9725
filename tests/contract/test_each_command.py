"""Each command is whole: what one lacks is named here, with the file where it belongs.

A command is written in few places (docs/extending.md has the recipe). What is not made from its model by itself is
looked for here, so that nobody has to know the list.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from chargerd.cli.chargerctl import main as chargerctl
from chargerd.contract.arguments import KNOWN, Arguments, CommandKind, Direction
from chargerd.control.methods import METHODS
from chargerd.core.events import Request
from chargerd.core.port import table
from chargerd.fleet.story import Ask, named_stories, read_story
from chargerd.mqtt.subscriptions import EACH_COMMAND, EVERY_COMMAND
from chargerd.runtime.commands.handlers import HANDLERS, ON_SITE_ONLY, Reader
from tests.contract.test_schemas import ARGUMENTS
from tests.scenarios.test_every_command import BY_COMMAND

DOCS = Path(__file__).parents[2] / "docs"
MADE = "chargerd contract --write docs/contract"
ON_SITE = frozenset(get_args(Ask.model_fields["method"].annotation))
REQUESTS = {request.name: request for request in get_args(Request)}


def text(path: str) -> str:
    return (DOCS / path).read_text("utf-8")


def documents(name: str) -> Iterator[str]:
    """Tell what is made of the contract and was not."""
    for path in (f"contract/schemas/{name}.json", f"contract/{name}.md"):
        if not (DOCS / path).exists():
            yield f"docs/{path}; run: {MADE}"
    if not (DOCS / f"contract/examples/{name}.json").exists():
        yield "a captured example: let tests/contract/capture.py send one, and run it as it says"
    if name not in json.loads(text("contract/ocpp.json"))["command"]:
        yield f"what OCPP calls it, or that it does not, in docs/contract/ocpp.json; run: {MADE}"


def told(name: str) -> Iterator[str]:
    """Tell what the manual and the broker's settings leave out."""
    row = next(line for line in text("mqtt.md").splitlines() if line.startswith("| `cmd/{name}` |"))
    if f"`{name}`" not in row:
        yield "its name among the topics of docs/mqtt.md"
    if not re.search(rf"`(cmd/)?{name}`", text("mqtt.md").replace(row, "")):
        yield "what it does, in docs/mqtt.md"
    if f"cmd/{name}" not in EACH_COMMAND or EVERY_COMMAND != ("cmd/+",):
        yield "a subscription, in chargerd/mqtt/subscriptions.py"
    rules = re.findall(r"cmd/(\S+?)\"", text("backend/broker/access"))
    if sum(rule in {"+", name} for rule in rules) < len(["the gateway reads it", "the backend writes it"]):
        yield "who may read and write it, in docs/backend/broker/access"


def doing(model: type[Arguments]) -> Iterator[str]:
    """Tell what would keep it from being carried out."""
    kind, handler = model.kind, HANDLERS.get(model)
    reads = kind.direction is Direction.READING
    if handler is None:
        yield f"a handler: a class with @handles({model.__name__}) in chargerd/runtime/commands/handlers.py"
    elif isinstance(handler, Reader) is not reads:
        yield "a handler that fits its direction: a Reader reads, any other asks the station"
    for field, info in model.model_fields.items():
        if (info.alias or field) not in ARGUMENTS:
            yield f"values for {info.alias or field}, in ARGUMENTS of tests/contract/test_schemas.py"


def deciding(kind: CommandKind) -> Iterator[str]:
    """Tell what would keep the station from deciding on it."""
    if kind.name not in REQUESTS:
        yield "its request, with the same name, in Request of chargerd/core/events.py"
    if kind.name not in {request.name for request in table.HANDLERS}:
        yield "its Handler, in HANDLERS of chargerd/core/port/table.py"
    if kind.name not in BY_COMMAND:
        yield "a scenario, named in tests/scenarios/test_every_command.py"
    steps = [step for name, told in named_stories().items() for step in read_story(told, name).steps]
    commands = {step.command.name for step in steps if step.command is not None}
    asked = {step.ask.method for step in steps if step.ask is not None}
    if kind.name not in commands and kind.on_site not in asked:
        yield "a story for chargerd simulate, in chargerd/fleet/stories"


def on_site(method: str) -> Iterator[str]:
    """Tell what somebody at the socket would miss."""
    command = chargerctl.commands.get(method)
    if method not in METHODS:
        yield f"{method}, in METHODS of chargerd/control/methods.py"
    if method not in ON_SITE:
        yield f"{method}, in Ask of chargerd/fleet/story.py"
    if command is None:
        yield f"chargerctl {method}, in chargerd/cli"
        return
    about: Any = next(param for param in command.params if param.param_type_name == "argument")
    if about._custom_shell_complete is None:  # noqa: SLF001 - click tells nobody else
        yield f"completion of names for chargerctl {method}: shell_complete of its argument"
    if f"chargerctl {method}" not in text("chargerctl.md"):
        yield f"chargerctl {method}, in docs/chargerctl.md"


def lacking(model: type[Arguments]) -> list[str]:
    kind = model.kind
    found = [*documents(kind.name), *told(kind.name), *doing(model)]
    found += [] if kind.direction is Direction.READING else deciding(kind)
    return found + ([] if kind.on_site is None else [*on_site(kind.on_site)])


@pytest.mark.parametrize("name", KNOWN)
def test_a_command_lacks_nothing(name: str) -> None:
    missing = lacking(KNOWN[name])
    assert not missing, f"{name} lacks " + ";\n  ".join(missing)


def test_what_a_new_one_lacks_is_named() -> None:
    class Dance(Arguments):
        """Turns round."""

        steps: int

    Dance.kind = CommandKind(name="dance", direction=Direction.SAFE, on_site="dance", ocpp=None)
    assert "dance" not in KNOWN
    said = "\n".join(lacking(Dance))
    for part in (
        "schemas/dance.json",
        "contract/dance.md",
        "capture.py",
        "ocpp.json",
        "among the topics",
        "what it does",
        "subscriptions.py",
        "@handles(Dance)",
        "values for steps",
        "events.py",
        "HANDLERS of chargerd/core/port/table.py",
        "test_every_command.py",
        "stories",
        "methods.py",
        "story.py",
        "chargerctl dance",
    ):
        assert part in said, part


def test_no_request_or_handler_is_of_a_command_there_is_not() -> None:
    asked = {name for name, one in KNOWN.items() if one.kind.direction is not Direction.READING}
    assert set(REQUESTS) == asked | set(ON_SITE_ONLY)
    assert not asked & set(ON_SITE_ONLY), "what is done on site only no backend can ask for"
    assert set(HANDLERS) == set(KNOWN.values())
    assert set(BY_COMMAND) == set(REQUESTS)
    assert {one.kind.on_site for one in KNOWN.values()} - {None} == ON_SITE
