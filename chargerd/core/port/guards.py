"""What the rules of the state table ask of a port: one guard each, changing nothing but the port's verdict."""

from collections.abc import Callable

from chargerd.core.boards.relay import Phase
from chargerd.core.commands import Code
from chargerd.core.events import Event, MeterReading, StartRequested, StopRequested
from chargerd.core.metering.pickup import reached
from chargerd.core.moment import Moment
from chargerd.core.plan import exceeds
from chargerd.core.port.condition import BEYOND_CONTROL, VOLTAGES, Step
from chargerd.core.port.port import Port
from chargerd.core.port.resuming import Outlook
from chargerd.core.protection.functions import LONGEST_SESSION, Result, energy_limit
from chargerd.core.session import Source, StopReason
from chargerd.core.units import after

BEFORE_CLOSING = frozenset({Step.READINGS, Step.PERSIST, Step.TURN, Step.POWER})
"""Of a start: its relay has not been told to close."""
UNHEARD = frozenset({Code.BOARD_LOST, Code.METER_STALE, Code.NOT_YET_KNOWN})
"""What may be over with the next answer of a board."""


def always(_port: Port, _event: Event, _now: Moment) -> bool:
    """Hold."""
    return True


def step_is(*steps: Step) -> Callable[[Port, Event, Moment], bool]:
    """Hold in one of these steps."""
    return lambda port, _event, _now: port.step in steps


def verdict_is(*results: Result) -> Callable[[Port, Event, Moment], bool]:
    """Hold if the first protective function that has picked up does one of these."""
    return lambda port, _event, now: port.judged(now, *results)


def blocked(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if a start must be refused; for what is not yet known it waits instead, and may wait for room."""
    return any(code not in {Code.NOT_YET_KNOWN, Code.CIRCUIT_FULL} for code in port.obstacles(now))


def not_yet_known(port: Port, event: Event, now: Moment) -> bool:
    """Hold for a start of a port whose boards, or whose neighbours' relays, have not been heard of yet."""
    return Code.NOT_YET_KNOWN in port.obstacles(now) or (no_room(port, event, now) and port.room_unclear())


def known(port: Port, _event: Event, now: Moment) -> bool:
    """Hold once a start that has waited for its boards need wait for them no longer."""
    return port.step is Step.KNOWN and not UNHEARD & set(port.obstacles(now))


def asks_too_much(port: Port, event: Event, _now: Moment) -> bool:
    """Hold if the order's limits lie above the port's own."""
    assert isinstance(event, StartRequested)
    return exceeds(event.order.limits, port.plan.limits)


def unnamed(_port: Port, event: Event, _now: Moment) -> bool:
    """Hold for a stop from afar that names no session and does not insist."""
    assert isinstance(event, StopRequested)
    return nameless(event)


def nameless(stop: StopRequested) -> bool:
    """Say whether a stop names no session and may not: it could stop the next customer."""
    return stop.session is None and not stop.force and stop.source is Source.REMOTE


def other_session(port: Port, event: Event, _now: Moment) -> bool:
    """Hold for a stop that names another session than the one under way."""
    assert isinstance(event, StopRequested)
    return event.session is not None and event.session != port.session.order.session


def load_before_closing(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if current flows though the relay has not been closed."""
    since = port.sequence_from
    known = port.seen.power_at is not None and port.seen.power_at > since
    return port.step in BEFORE_CLOSING and known and port.seen.agreed_since(since) and not port.load_absent()


def welded_before_closing(port: Port, event: Event, now: Moment) -> bool:
    """Hold if it draws power besides: its contactor has closed, and its own contact carries though read open."""
    return welded(port, event, now) or (load_before_closing(port, event, now) and port.weld.counting)


def readings_complete(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if two fresh readings agree and the register is known."""
    return port.step is Step.READINGS and port.ready(now) and port.has_register()


def delivered(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the register shows, before the relay is closed again, that all of the order was drawn unseen."""
    return energy_limit(port.session.image, now.instant) is not None


def guards_hold(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the relay may be closed, everything checked once more."""
    return port.may_close(now)


def first_reading(port: Port, event: Event, _now: Moment) -> bool:
    """Hold for the first reading of current taken since the relay was closed."""
    assert isinstance(event, MeterReading)
    began = port.relay.closed_from
    return port.step is Step.FIRST_READING and event.current is not None and reached(began, event.at)


def no_room_ever(port: Port, event: Event, _now: Moment) -> bool:
    """Hold for a start that would not even fit alone."""
    assert isinstance(event, StartRequested)
    return not port.circuits.could_fit(port.id, event.order.limits)


def no_room(port: Port, event: Event, now: Moment) -> bool:
    """Hold for a start that does not fit now, and may wait."""
    assert isinstance(event, StartRequested)
    return not port.circuits.admits(port.id, event.order.limits, now.instant)


def no_room_and_no_patience(port: Port, event: Event, now: Moment) -> bool:
    """Hold for a start that does not fit now, and may not wait."""
    assert isinstance(event, StartRequested)
    return no_room(port, event, now) and port.patience(event.order) <= 0


def turn_has_come(port: Port, _event: Event, now: Moment) -> bool:
    """Hold when the relay may be closed as far as others of its circuits go."""
    return port.step is Step.TURN and port.timed_out(now)


def turn_lost(port: Port, event: Event, now: Moment) -> bool:
    """Hold if something has come up while the relay waited for its turn."""
    return turn_has_come(port, event, now) and not port.may_close(now)


def awaits_power(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if only the contactor was missing, and what the meter shows once it has closed."""
    return port.step is Step.POWER and port.may_close(now) and port.shown_free()


def untouched(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if the relay was never told to close for the session: it is no charge under way yet."""
    return not port.session.touched


def uncharged(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if the session has not charged yet: it is not suspended, its start fails."""
    return not port.session.charged


def welded(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if current flows through a relay that was read back open, three readings long."""
    return port.weld.detail is not None and not any(latch.function == "relay_welded" for latch in port.latches)


def to_open_again(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if a welded relay is to be opened once more."""
    return port.reopen > 0


def goes_on_together(port: Port, event: Event, now: Moment) -> bool:
    """Hold if the session could go on, but others that were interrupted with it could as well."""
    return not port.spread and recovered(port, event, now) and port.interrupted_together()


def turn_to_return(port: Port, _event: Event, now: Moment) -> bool:
    """Hold when the instant has come from which a session may go on that was interrupted with others."""
    return reached(port.return_at, now.instant)


def step_timed_out(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if a step has taken its 3 s."""
    return port.timed_out(now)


def charged(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if the session has charged before; one that has not is not suspended, its start has failed."""
    return port.session.charged


def charged_judged(port: Port, event: Event, now: Moment) -> bool:
    """Hold if a function wants to suspend a session that has charged before."""
    return charged(port, event, now) and port.judged(now, Result.SUSPEND)


def suspended_too_often(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the session has been suspended for faults as often within the hour as it may."""
    return port.session.faults(now) >= port.plan.protection.suspend_times


def too_often_by_circuit(port: Port, event: Event, now: Moment) -> bool:
    """Hold if a circuit has suspended it as often as it may: more often for want of room than for faults."""
    assert port.intervention is not None
    if port.intervention.reason is StopReason.CIRCUIT_OVERLOAD:
        return port.session.sheds(now) >= port.plan.protection.shed_times
    return suspended_too_often(port, event, now)


def too_often_judged(port: Port, event: Event, now: Moment) -> bool:
    """Hold if a function wants to suspend once more than allowed."""
    return port.judged(now, Result.SUSPEND) and suspended_too_often(port, event, now)


def suspended_too_long(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the session has been suspended for as long as it may."""
    return reached(port.session.suspended_too_long_at(), now.instant)


def not_recovered(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the reason for the suspension has not gone away in time."""
    return reached(port.recover_until, now.instant)


def load_unconfirmed(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if current flows through a relay that should have opened by now, and nobody could read that it has."""
    known = any(latch.function in BEYOND_CONTROL for latch in port.latches)
    return not known and port.load_unconfirmed(now)


def load_seen(port: Port, event: Event, now: Moment) -> bool:
    """Hold if a session would be settled while current is seen at its port; it is a day after its start."""
    longest = after(port.session.image.started_at, LONGEST_SESSION)
    return step_timed_out(port, event, now) and port.load_seen(now) and not reached(longest, now.instant)


def still_leased(port: Port, event: Event, now: Moment) -> bool:
    """Hold if a write that came through late has kept the relay of an ending session closed for longer."""
    lapsed = port.relay.surely_open_at
    in_time = port.step is Step.OPEN and lapsed is not None and now.instant < lapsed
    return in_time and step_timed_out(port, event, now)


def recovered(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if nothing is wrong any more, its circuits have room, and it is its turn."""
    return restored(port, now) and port.rested(now) and port.may_return(now) and port.return_at is None


def restored(port: Port, now: Moment) -> bool:
    """Say whether the relay is open, its board there, and two readings agree: good news needs two."""
    return (
        port.relay.phase is Phase.OPEN
        and not port.relay.board_lost
        and port.station.lines.recognised(port.id)
        and port.station.store_writable
        and port.ready(now)
        and not port.frozen.dead
        and port.session.kept is None
        and not port.mains.out(now.instant)
        and (port.suspended_for not in VOLTAGES or port.mains.steady(now.instant))
    )


def no_room_yet(port: Port, event: Event, now: Moment) -> bool:
    """Hold if only others of its circuits keep the session from going on: they have to settle down first."""
    waits = port.id in port.circuits.waiting() and port.circuits.allow(port.id)
    return not_recovered(port, event, now) and waits and restored(port, now)


def on_another_line(port: Port, event: Event, now: Moment) -> bool:
    """Hold if a session, whose outage was short, would end because its line is another one."""
    proved = port.session.kept is None
    return not_recovered(port, event, now) and proved and port.station.lines.changed(port.id)


def outage_proved(port: Port, _event: Event, now: Moment) -> bool:
    """Hold once it is proved that the outage which has interrupted the session was short."""
    return port.session.kept is not None and port.outlook(now) is Outlook.GOES_ON


def outage_too_long(port: Port, _event: Event, now: Moment) -> bool:
    """Hold once it is proved that it was not."""
    return port.outlook(now) is Outlook.OVER


def register_read(port: Port, _event: Event, now: Moment) -> bool:
    """Hold once the register an ending session waits for is read, and no current is seen any more."""
    return port.step is Step.ENERGY and port.has_register() and not port.load_seen(now)
