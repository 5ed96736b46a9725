"""Whatever somebody asks of a port, in whatever state, is answered: no request may open the relays of a site."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import pytest

from chargerd.core.commands import Answer, ReplyStatus
from chargerd.core.events import (
    DisableRequested,
    EnableRequested,
    Event,
    LockRequested,
    Request,
    RequestDropped,
    RequestHeard,
    ReserveRequested,
    ResetRequested,
    StartRequested,
    StopRequested,
    UnlockRequested,
    UnsafeRequest,
    UpdateRequested,
)
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outcome
from chargerd.core.plan import Limits
from chargerd.core.port import table
from chargerd.core.port.port import Port, Step
from chargerd.core.port.rules import Handler
from chargerd.core.port.table import HANDLERS, ask
from chargerd.core.session import Order, Source
from chargerd.core.station import Station
from chargerd.core.units import Amps, CommandId, PortId, Seconds, SessionId
from chargerd.core.view import PortState
from tests.core.test_table import idle_port, stories

COMMAND = CommandId("asked")
HIGH = Amps(1000.0)


def requests(port: PortId, session: SessionId) -> Iterator[Request]:
    """Yield every class of request, from afar and from on site, as it should be and as it should not."""
    for source in Source:
        order = Order(
            session=SessionId("asked"), port=port, limits=Limits(), tiers=(), source=source, command=COMMAND
        )
        yield StartRequested(order=order, port=port)
        yield StartRequested(order=replace(order, limits=replace(Limits(), current=HIGH)), port=port)
        for named in (session, SessionId("another"), None):
            yield StopRequested(port=port, session=named, source=source, command=COMMAND)
            for current in (Amps(0.1), HIGH):
                update = UpdateRequested(
                    port=port, session=named, source=source, current=current, durable=True, command=COMMAND
                )
                yield update
        yield StopRequested(port=port, session=None, source=source, force=True, command=COMMAND)
        yield UpdateRequested(
            port=port, session=session, source=source, duration=Seconds(80_000.0), durable=True, command=COMMAND
        )
        for reason in (None, "looked at it"):
            yield ResetRequested(port=port, source=source, reason=reason, command=COMMAND)
        for named, lasts in ((session, 60.0), (SessionId("asked"), 60.0), (session, 0.0)):
            yield ReserveRequested(port=port, session=named, source=source, lasts=Seconds(lasts), command=COMMAND)
        yield DisableRequested(port=port, source=source, reason="recall", command=COMMAND)
        yield EnableRequested(port=port, source=source, reason="mended", command=COMMAND)
        yield LockRequested(port=port, source=source, by="Ada", reason="a new socket", command=COMMAND)
        yield UnlockRequested(port=port, source=source, by="Ada", command=COMMAND)


def test_every_class_of_request_is_asked() -> None:
    asked = {type(one) for one in requests(PortId("A01"), SessionId("any"))}
    missing = sorted(one.__name__ for one in set(get_args(Request)) - asked)
    assert not missing, f"let `requests` in tests/core/test_asking.py yield {missing}"


def answers(outcome: Outcome) -> list[Answer]:
    return [one for one in outcome.commands if isinstance(one, Answer) and one.command == COMMAND]


def ask_everything(station: Station, port: PortId, now: Moment) -> None:
    """Ask a copy of the station for each thing, and demand an answer to each."""
    session = station.view(port, now).session
    named = SessionId("none") if session is None else session.order.session
    for request in requests(port, named):
        asked = copy.deepcopy(station)
        if isinstance(request, UnsafeRequest):
            asked.handle(RequestHeard(request=request), now)
            if isinstance(request, ResetRequested):
                asked.handle(RequestDropped(request=request), now)
        assert answers(asked.handle(request, now)), (request, station.view(port, now).state)


@pytest.mark.long
def test_every_request_is_answered_in_every_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked of a copy of each station that a scenario brings to where none was before."""
    met: set[tuple[PortState, Step]] = set()
    handle = Station.handle

    def handle_and_ask(station: Station, event: Event, now: Moment) -> Outcome:
        outcome = handle(station, event, now)
        for port in station._ports.values():  # noqa: SLF001 - the step is shown nowhere
            if (port.state, port.step) not in met:
                met.add((port.state, port.step))
                with monkeypatch.context() as patched:
                    patched.setattr(Station, "handle", handle)
                    ask_everything(station, port.id, now)
        return outcome

    monkeypatch.setattr(Station, "handle", handle_and_ask)
    for story in stories():
        story()
        if {state for state, _ in met} == set(PortState) and {step for _, step in met} == set(Step):
            break
    assert {state for state, _ in met} == set(PortState)
    assert {step for _, step in met} == set(Step)


def test_every_class_of_request_has_a_handler() -> None:
    missing = sorted(request.name for request in set(get_args(Request)) - set(HANDLERS))
    assert not missing, f"{', '.join(missing)} lacks its Handler, in HANDLERS of chargerd/core/port/table.py"
    assert set(HANDLERS) == set(get_args(Request))
    assert len({request.name for request in HANDLERS}) == len(HANDLERS)


@pytest.mark.parametrize("state", PortState)
def test_a_request_nobody_has_thought_of_is_refused(state: PortState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "HANDLERS", {})
    port = idle_port()
    port.state = state
    assert ask(port, StopRequested(port=port.id, session=None, source=Source.LOCAL, command=COMMAND), port.since)
    (answer,) = port.out.empty().commands
    assert isinstance(answer, Answer)
    assert (answer.status, answer.code.value) == (ReplyStatus.REJECTED, "not_allowed")
    assert answer.message == f"stop: not possible while the port is {state.value}"


@pytest.mark.parametrize("handler", HANDLERS.values(), ids=lambda handler: handler.request.name)
def test_a_state_that_a_handler_does_not_list_does_nothing(handler: Handler[Request]) -> None:
    """Whatever a handler does otherwise: it neither moves the relay nor begins anything."""
    port: Port = idle_port()
    (request, *_) = [one for one in requests(port.id, SessionId("none")) if isinstance(one, handler.request)]
    handler.otherwise.then(port, request, port.since)
    outcome = port.out.empty()
    moving = [
        one for one in outcome.commands if not isinstance(one, Answer) or one.status is not ReplyStatus.REJECTED
    ]
    assert moving == [], (
        "what changes whether it is in service leaves the port as it is, without a word; the others refuse"
    )
    assert (port.charge, port.state) == (None, PortState.UNKNOWN)
