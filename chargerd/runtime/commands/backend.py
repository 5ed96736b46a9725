"""Between the station and the MQTT link: states and readings out, commands in.

Without an `mqtt` section none of this is built, and nothing else changes.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from chargerd.contract import bodies
from chargerd.contract.arguments import (
    DisableArgs,
    EnableArgs,
    GetArgs,
    HolderArgs,
    LimitsArgs,
    ReplayArgs,
    ResetArgs,
    StartArgs,
    StopArgs,
    UpdateLimitsArgs,
)
from chargerd.contract.commands import Incoming, Refusal
from chargerd.contract.ledger import ON_SITE, RememberedCommand
from chargerd.core.clock import Clock
from chargerd.core.commands import Answer, Code, ReplyStatus
from chargerd.core.events import DisableRequested, EnableRequested, ResetRequested, StopRequested, UpdateRequested
from chargerd.core.plan import holder_of
from chargerd.core.session import Source
from chargerd.core.units import Amps, CircuitId, Instant, PortId, Seconds, SessionId, WattHours, Watts, after
from chargerd.core.view import CircuitView, PortView
from chargerd.runtime.commands.handler import Desk
from chargerd.runtime.commands.memory import Respond
from chargerd.runtime.reporting.watcher import Every

if TYPE_CHECKING:
    from chargerd.mqtt.client import MqttLink  # Loaded where there is a broker.

LOAD_EVERY = Seconds(60.0)
"""How often a circuit's load alone is worth a message."""


class Backend:
    """Publishes what changes, and brings commands to the desk."""

    def __init__(self, *, link: "MqttLink", desk: Desk, clock: Clock, reading_interval: Seconds) -> None:
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
            if view.session is not None and view.relay_closed:
                self._link.publish_reading(bodies.plain(bodies.reading(view, self._clock.moment())))

    def circuits(self, views: Sequence[CircuitView]) -> None:
        """Publish circuits: at once what has changed about them, their load once a minute."""
        now = self._clock.now()
        for view in views:
            told = (
                view.allocated_currents,
                view.measured,
                view.contactor_closed,
                view.queue,
                view.latches,
                view.disabled,
            )
            before, due = self._circuits.get(view.id, (None, now))
            if told != before or now >= due:
                self._circuits[view.id] = (told, after(now, LOAD_EVERY))
                self._link.circuit_state(view.id, bodies.plain(bodies.circuit_state(view)))

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
        respond = self.respond_with(incoming.correlation)
        if self._desk.seen_before(incoming.id, incoming.name, incoming.digest, respond, incoming.correlation):
            acknowledge()
            return
        match incoming.args:
            case StartArgs() as start:
                self._start(incoming, start, respond, acknowledge)
            case ReplayArgs() as replay:
                self._perform(incoming, lambda: self._replay(incoming, replay), respond, acknowledge)
            case GetArgs():
                self._perform(incoming, lambda: self._publish_states(incoming), respond, acknowledge)
            case _:
                self._change(incoming, respond, acknowledge)

    def _change(self, incoming: Incoming, respond: Respond, acknowledge: Callable[[], None]) -> None:
        """Bring a command about what there is already: a session, a latch, a port or circuit out of service."""
        number, digest, expires = incoming.id, incoming.digest, incoming.expires
        match incoming.args:
            case StopArgs() as stop:
                event = StopRequested(
                    port=PortId(stop.port),
                    session=None if stop.session_id is None else SessionId(stop.session_id),
                    source=Source.REMOTE,
                    force=stop.force,
                    command=incoming.id,
                )
                self._desk.stop(event, respond, digest=digest, received=acknowledge)
            case UpdateLimitsArgs() as update:
                changed = update_of(
                    update.limits,
                    UpdateRequested(
                        port=PortId(update.port),
                        session=SessionId(update.session_id),
                        source=Source.REMOTE,
                        command=number,
                    ),
                )
                self._desk.update(changed, respond, digest=digest, expires=expires, received=acknowledge)
            case ResetArgs() as reset:
                cleared = ResetRequested(port=_held_by(reset), source=Source.REMOTE, command=number)
                self._desk.reset(cleared, respond, digest=digest, expires=expires, received=acknowledge)
            case DisableArgs() as disable:
                out = DisableRequested(
                    port=_held_by(disable), source=Source.REMOTE, reason=disable.reason, command=number
                )
                self._desk.disable(out, respond, digest=digest, received=acknowledge)
            case EnableArgs() as enable:
                back = EnableRequested(
                    port=_held_by(enable), source=Source.REMOTE, reason=enable.reason, command=number
                )
                self._desk.enable(back, respond, digest=digest, expires=expires, received=acknowledge)
            case _:
                raise TypeError(incoming.args)

    def _perform(
        self, incoming: Incoming, act: Callable[[], None], respond: Respond, acknowledge: Callable[[], None]
    ) -> None:
        self._desk.perform(incoming.id, incoming.name, act, respond, digest=incoming.digest, received=acknowledge)

    def _replay(self, incoming: Incoming, args: ReplayArgs) -> None:
        self._link.replay(args.stream, args.since, args.to, lambda why_not: self._answer(incoming, why_not))

    def _publish_states(self, incoming: Incoming) -> None:
        self._link.publish_states()
        self._answer(incoming, None)

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

    def _start(
        self, incoming: Incoming, args: StartArgs, respond: Respond, acknowledge: Callable[[], None]
    ) -> None:
        port = PortId(args.port)
        order = self._desk.order(
            port,
            limits=self._desk.limits(port, args.limits),
            session=None if args.session_id is None else SessionId(args.session_id),
            order=args.order_id,
            tiers=None if args.tariff_tiers_w is None else tuple(Watts(bound) for bound in args.tariff_tiers_w),
            source=Source.REMOTE,
            command=incoming.id,
            full_stop=args.full_stop,
        )
        if args.queue_s is not None:
            order = replace(order, queue_for=Seconds(args.queue_s))
        self._desk.start(order, respond, digest=incoming.digest, expires=incoming.expires, received=acknowledge)


def _held_by(args: HolderArgs) -> PortId:
    if args.circuit is not None:
        return holder_of(CircuitId(args.circuit))
    assert args.port is not None
    return PortId(args.port)


def update_of(limits: LimitsArgs, event: UpdateRequested) -> UpdateRequested:
    """Return the request for these limits."""
    return replace(
        event,
        current=None if limits.current_a is None else Amps(limits.current_a),
        power=None if limits.power_w is None else Watts(limits.power_w),
        duration=None if limits.duration_s is None else Seconds(limits.duration_s),
        energy=None if limits.energy_wh is None else WattHours(limits.energy_wh),
    )
