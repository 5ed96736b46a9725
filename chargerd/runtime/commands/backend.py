"""Between the station and the MQTT link: states and readings out, commands in.

Without an `mqtt` section none of this is built, and nothing else changes.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from chargerd.contract import bodies
from chargerd.contract.commands import Incoming, Refusal
from chargerd.contract.ledger import ON_SITE, RememberedCommand
from chargerd.core.clock import Clock
from chargerd.core.commands import Answer, Code, ReplyStatus
from chargerd.core.session import Source
from chargerd.core.units import CircuitId, Instant, PortId, Seconds, after
from chargerd.core.view import CircuitView, PortView
from chargerd.runtime.commands.handler import CommandHandler
from chargerd.runtime.commands.handlers import HANDLERS, Given, Reader
from chargerd.runtime.commands.memory import Respond
from chargerd.runtime.reporting.watcher import Every

if TYPE_CHECKING:
    from chargerd.mqtt.client import MqttLink  # Loaded where there is a broker.

LOAD_EVERY = Seconds(60.0)
"""How often a circuit's load alone is worth a message."""


class Backend:
    """Publishes what changes, and brings commands to the desk."""

    def __init__(
        self,
        *,
        link: "MqttLink",
        desk: CommandHandler,
        clock: Clock,
        reading_interval: Seconds,
        states_too: bool = False,
    ) -> None:
        """`states_too`: with each reading the port's state is published, too, for who reads states alone."""
        self._states_too = states_too
        self._link = link
        self._desk = desk
        self._clock = clock
        self._readings_due = Every(reading_interval, clock)
        self._circuits: dict[CircuitId, tuple[object, Instant]] = {}

    def looked(self, views: Sequence[PortView], changed: frozenset[PortId]) -> None:
        """Publish the states that have changed, and the values of closed ports at their interval."""
        for port in changed:
            self._link.port_changed(port)
        if not self._readings_due.passed():
            return
        for view in views:
            if view.session is not None and view.relay.closed:
                self._link.publish_reading(bodies.plain(bodies.reading(view, self._clock.moment())))
                if self._states_too:
                    self._link.port_changed(view.id)

    def circuits(self, views: Sequence[CircuitView]) -> None:
        """Publish circuits: at once what has changed about them, their load once a minute."""
        moment = self._clock.moment()
        now = moment.instant
        for view in views:
            told = (
                view.allocated_currents,
                view.measured,
                view.contactor_closed,
                view.queue,
                view.latches,
                view.disabled,
                view.lock,
                None if view.contactor is None else (view.contactor.closed, view.contactor.known),
            )
            before, due = self._circuits.get(view.id, (None, now))
            if told != before or now >= due:
                self._circuits[view.id] = (told, after(now, LOAD_EVERY))
                self._link.circuit_state(view.id, bodies.plain(bodies.circuit_state(view, now=moment)))

    def respond_to(self, command: RememberedCommand) -> Respond:
        """Return how replies to a command from before a restart are given."""
        return self.respond_with(None if command.correlation is None else bytes.fromhex(command.correlation))

    def respond_with(self, correlation: bytes | None) -> Respond:
        """Return how replies to a message with this Correlation Data are given."""
        return lambda reply, _final: self._link.publish_reply(reply, correlation)

    def say_again(self, commands: Sequence[RememberedCommand]) -> None:
        """Send the last words of commands once more; those given on site went to nobody here."""
        for command in commands:
            if command.reply is not None and not command.command.startswith(ON_SITE):
                self.respond_to(command)(command.reply, True)

    def refused(self, refusal: Refusal) -> None:
        """Answer a message that is no command, or none that may act any more: one that did has its own answer."""
        respond = self.respond_with(refusal.correlation)
        number, digest = refusal.id, refusal.digest
        memory = self._desk.memory
        if number is None or digest is None or not memory.repeated(number, refusal.name, digest, respond):
            self._desk.refuse(refusal.answer(), respond)

    def command(self, incoming: Incoming, acknowledge: Callable[[], None]) -> None:
        """Bring a command to the desk; `acknowledge` tells the broker that we have it."""
        respond, desk, digest = self.respond_with(incoming.correlation), self._desk, incoming.digest
        if desk.seen_before(incoming.id, incoming.name, digest, respond, incoming.correlation):
            acknowledge()
            return
        handler = HANDLERS[type(incoming.args)]
        if isinstance(handler, Reader):
            act = partial(handler.perform, incoming.args, self._link, partial(self._answer, incoming))
            desk.perform(incoming.id, incoming.name, act, respond, digest=digest, received=acknowledge)
            return
        request = handler.request(incoming.args, Given(incoming.id, Source.REMOTE, desk.orders))
        desk.submit(request, respond, digest=digest, received=acknowledge, expires=incoming.expires)

    def _answer(self, incoming: Incoming, why_not: str | None) -> None:
        """Tell that a command without relays is done, or why it cannot be."""
        answer = Answer(
            command=incoming.id,
            name=incoming.name,
            status=ReplyStatus.DONE if why_not is None else ReplyStatus.REJECTED,
            code=Code.OK if why_not is None else Code.FAILED,
            message=why_not or "",
        )
        self._desk.answer(answer, self._clock.moment())
