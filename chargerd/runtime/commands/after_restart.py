"""What becomes of sessions, latches and commands that a crash has cut short, by what the journal has kept."""

from chargerd.contract.ledger import Recovery, RememberedCommand
from chargerd.core.commands import ReplyStatus
from chargerd.core.plan import Limits, StationPlan, holder_of
from chargerd.core.session import Clearing, Latch, Order, SessionRecord, StopDetail
from chargerd.core.units import CommandId, PortId


def lost_latches(plan: StationPlan) -> tuple[Latch, ...]:
    """Return a lock-out for every port and every circuit that could have been held open.

    The journal was damaged, and nobody knows which of them were.
    """
    guarded = {one.circuit for one in plan.inputs}
    circuits = (it.id for it in plan.circuits if it.id in guarded or it.contactor is not None)
    return tuple(
        Latch(
            port=holder,
            function="latches_unknown",
            clearing=Clearing.LOCK_OUT,
            detail=StopDetail(function="latches_unknown"),
        )
        for holder in (*(port.id for port in plan.ports), *map(holder_of, circuits))
    )


def unanswered_starts(recovery: Recovery) -> frozenset[CommandId]:
    """Return the starts that still wait for their last word."""
    return frozenset(one.command for one in recovery.unfinished if one.name == "start")


def interrupted(recovery: Recovery) -> tuple[SessionRecord, ...]:
    """Return what has to be taken up or settled after a restart.

    Besides the sessions that were open, these are starts that were accepted but not yet durable as sessions: each
    accepted start yields exactly one settlement. One that is settled already only lacks its last reply.
    """
    known = {record.order.session for record in recovery.sessions} | recovery.settled
    accepted = [
        command
        for command in recovery.unfinished
        if command.name == "start"
        and command.reply is not None
        and command.reply.body.get("status") == ReplyStatus.ACCEPTED
        and command.session is not None
        and command.session not in known
    ]
    return recovery.sessions + tuple(_never_durable(command) for command in accepted)


def ports_to_stop(recovery: Recovery) -> frozenset[PortId]:
    """Return the ports whose session somebody wanted to end: it does not go on.

    A stop that names another session than the port's was not for that one.
    """
    return frozenset(
        record.order.port
        for record in recovery.sessions
        for one in recovery.unfinished
        if one.name == "stop" and one.port == record.order.port and one.session in {None, record.order.session}
    )


def _never_durable(command: RememberedCommand) -> SessionRecord:
    assert command.session is not None
    assert command.port is not None
    order = Order(
        session=command.session, port=command.port, limits=Limits(), order=command.order, command=command.command
    )
    return SessionRecord(order=order, started=command.moment, at=command.moment)
