"""Tells a story at one gateway: does its steps one after the other, and hears what the gateway publishes."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from chargerd.contract.ledger import Json
from chargerd.core.units import BoardId, Instant, Seconds, Volts, Watts, after
from chargerd.fleet.gateway import NOT_YET, Gateway
from chargerd.fleet.story import Ask, CommandStep, Down, Step, Story, Wait
from chargerd.runtime.process.leaving import How
from chargerd.sim.loads import End, Load, Phase, lithium, resistive

PLAIN = Watts(150.0)
HASTE = 12.0
"""How much sooner a nearly full pack is full than it would be: the sites of stories judge by minutes, too."""
STATES = "state/"


class Cable(Protocol):
    """The gateway's network, which a story may take away."""

    def bar(self, *, barred: bool) -> None:
        """Take it away, or give it back."""


class Telling:
    """A story under way. `failure` says why it came to nothing."""

    def __init__(self, story: Story, gateway: Gateway, cable: Cable, tell: Callable[[str], None]) -> None:
        self.failure: str | None = None
        self._story = story
        self._gateway = gateway
        self._cable = cable
        self._tell = tell
        self._at = 0
        self._until: Instant | None = None
        """Until when the present step waits."""
        self._heard: list[tuple[str, Mapping[str, Any]]] = []
        """What was published since the last step that did something."""
        self._standing: dict[str, Mapping[str, Any]] = {}
        """The newest of each state: what stands already need not be said again."""
        self._looked_through = 0
        self._commands = 0
        gateway.silence(frozenset(BoardId(board) for board in story.silent))
        gateway.clock.quality = story.clock
        gateway.watches.append(self._hear)

    @property
    def gateway(self) -> str:
        """Where it is told."""
        return self._gateway.id

    @property
    def told(self) -> bool:
        """Whether all of it has happened."""
        return self.failure is None and self._at >= len(self._story.steps)

    @property
    def over(self) -> bool:
        """Whether it has come to its end, one way or the other."""
        return self.failure is not None or self._at >= len(self._story.steps)

    def due(self) -> Instant:
        """Return when there is something to be done, whatever the gateway says until then."""
        if self.over:
            return NOT_YET
        return self._gateway.time.now() if self._until is None else self._until

    def turn(self) -> None:
        """Go as far as it goes now."""
        while not self.over and self._do(self._story.steps[self._at]):
            self._until = None
            self._looked_through = 0
            self._at += 1

    def _hear(self, topic: str, payload: bytes) -> None:
        body = json.loads(payload)
        self._heard.append((topic, body))
        if topic.startswith(STATES):
            self._standing[topic] = body

    def _do(self, step: Step) -> bool:
        """Do a step; say whether it is done."""
        if step.wait_s is not None:
            return self._passed(step.wait_s)
        if step.wait is not None:
            return self._has_come(step.wait)
        what = step.model_dump(mode="json", exclude_unset=True)[step.kind]
        self._say(f"{step.kind} {what if isinstance(what, str) else json.dumps(what)}")
        self._heard.clear()
        self._act(step)
        return True

    def _act(self, step: Step) -> None:
        gateway = self._gateway
        if step.plug is not None:
            gateway.world.socket(step.plug.port).plug(_load(step.plug.load))
        if step.unplug is not None:
            gateway.world.socket(step.unplug).unplug()
        if step.ask is not None:
            self._ask(step.ask)
        if step.command is not None:
            self._command(step.command)
        if step.down is not None:
            self._go_down(step.down)
        self._disturb(step)

    def _disturb(self, step: Step) -> None:
        """Let what is around the gateway change."""
        gateway = self._gateway
        if step.network is not None:
            self._cable.bar(barred=step.network == "down")
        if step.silent is not None:
            gateway.silence(frozenset(BoardId(board) for board in step.silent))
        if step.mains_v is not None:
            gateway.world.mains = Volts(step.mains_v)
        if step.clock is not None:
            gateway.clock.quality = step.clock
        if step.clock_error_s is not None:
            gateway.clock.error_ms = round(step.clock_error_s * 1000)

    def _ask(self, ask: Ask) -> None:
        refusals: set[str] = set()

        def answered(answer: Mapping[str, Json]) -> None:
            """Tell why nothing came of it, of the same reason once."""
            if answer.get("status") in {"rejected", "failed"}:
                why = f"{ask.method} {answer['status']}: {answer.get('message') or answer.get('code')}"
                if why not in refusals:
                    refusals.add(why)
                    self._tell(f"{step}: {why}")

        step = f"step {self._at + 1}"
        for _ in range(ask.times):
            self._gateway.ask(ask.method, answered, **ask.args)

    def _say(self, text: str) -> None:
        self._tell(f"step {self._at + 1}: {text}")

    def _command(self, command: CommandStep) -> None:
        self._commands += 1
        number = command.id or f"story-{self._gateway.id}-{self._commands}"
        body = {"id": number, "ttl_s": command.ttl_s, "args": command.args}
        self._gateway.command(command.name, json.dumps(body).encode(), command.ttl_s)

    def _go_down(self, down: Down) -> None:
        span = Seconds(down.for_s)
        if down.how in {How.RESTART, How.SHUTDOWN}:
            self._gateway.restart(span, How(down.how))
        else:
            other, power = down.how == "card_moved", down.how != "kill"
            self._gateway.kill(span, power=power, other_card=other)

    def _passed(self, span: float) -> bool:
        if self._until is None:
            self._until = after(self._gateway.time.now(), Seconds(span))
        return self._gateway.time.now() >= self._until

    def _has_come(self, wait: Wait) -> bool:
        standing = self._standing.get(wait.topic)
        news = [body for topic, body in self._heard[self._looked_through :] if topic == wait.topic]
        for body in news if standing is None else [*news, standing]:
            if all(_suits(body, name, value) for name, value in wait.where.items()):
                self._say(f"heard {wait.topic} {json.dumps(wait.where)}")
                return True
        self._looked_through = len(self._heard)
        if self._passed(wait.within_s):
            newest = next((body for topic, body in reversed(self._heard) if topic == wait.topic), standing)
            last = "" if newest is None else json.dumps({name: _found(newest, name) for name in wait.where})
            self.failure = (
                f"step {self._at + 1}: nothing on {wait.topic} with {json.dumps(wait.where)} within"
                f" {wait.within_s:g} s; {f'the last there had {last}' if last else 'none came there'}"
            )
        return False


def _found(body: Mapping[str, Any], name: str) -> Any:
    found: Any = body
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _suits(body: Mapping[str, Any], name: str, wanted: Any) -> bool:
    found = _found(body, name)
    if isinstance(wanted, list) and wanted and isinstance(found, list):
        return all(one in found for one in wanted)
    return bool(found == wanted)


def _load(what: str | float) -> Load:
    if not isinstance(what, str):
        return resistive("load", what)
    if what == "nearly_full":
        return lithium(48, 2, seed=1, ampere_hours=1, end=End.TAPER, capacity_scale=HASTE)
    return Load(name="charger", shape=lambda _energised: (PLAIN, Phase.CHARGING))
