"""What a port answers to the commands it was given, and when each has its last word."""

from chargerd.core.commands import Answer, Code, ReplyStatus
from chargerd.core.events import Request
from chargerd.core.port.port import Ending, Port
from chargerd.core.session import Order, StopReason
from chargerd.core.units import CommandId, SessionId

FAILURES = {
    StopReason.METER_LOST: Code.METER_STALE,
    StopReason.BOARD_LOST: Code.BOARD_LOST,
    StopReason.RELAY_FAULT: Code.RELAY_FAULT,
    StopReason.RELAY_WELDED: Code.RELAY_FAULT,
    StopReason.QUEUE_TIMEOUT: Code.QUEUE_TIMEOUT,
    StopReason.OVERVOLTAGE: Code.VOLTAGE,
    StopReason.UNDERVOLTAGE: Code.VOLTAGE,
}
"""What a start is answered whose session ended for these reasons before current flowed."""
_WITHOUT_LOAD = frozenset(
    {StopReason.NO_LOAD, StopReason.REMOTE, StopReason.LOCAL, StopReason.DURATION_LIMIT, StopReason.UNPLUGGED}
)
"""What ends a session that finds no load: its own time, or somebody who does not wait for it."""


def answer(port: Port, order: Order, status: ReplyStatus, code: Code, message: str = "") -> None:
    """Answer a start."""
    if order.command is not None:
        _say(port, order.command, "start", status, code, message, order.session)


def answer_request(
    port: Port,
    request: Request,
    status: ReplyStatus,
    code: Code,
    message: str = "",
) -> None:
    """Answer whoever wants something of a port or its session."""
    if request.command is not None:
        session = port.charge.order.session if port.charge is not None else None
        _say(port, request.command, request.name, status, code, message, session)


def answer_start(port: Port, status: ReplyStatus, code: Code, message: str = "") -> None:
    """Say the last word to the start of the session under way, once."""
    session = port.session
    if session.pending_start is not None:
        answer(port, session.order, status, code, message)
        session.pending_start = None


def drop_raise(port: Port, code: Code, message: str = "") -> None:
    """Tell whoever wanted higher limits, and still waits for the journal, that nothing comes of it."""
    pending, port.session.pending_raise = port.session.pending_raise, None
    if pending is not None:
        answer_request(port, pending.event, ReplyStatus.FAILED, code, message)


def last_words(port: Port, ending: Ending) -> None:
    """Answer the commands that waited for this session to start or to end."""
    session = port.session
    drop_raise(port, Code.FAILED, "the session has ended")
    unloaded = session.charged and not session.image.loaded and ending.reason in _WITHOUT_LOAD
    code = Code.NO_LOAD if unloaded else ending.code or FAILURES.get(ending.reason, Code.FAILED)
    answer_start(port, ReplyStatus.FAILED, code, f"ended: {ending.reason.value}")
    for command in session.pending_stops:
        _say(port, command, "stop", ReplyStatus.DONE, Code.OK, "", session.order.session)


def _say(
    port: Port,
    command: CommandId,
    name: str,
    status: ReplyStatus,
    code: Code,
    message: str,
    session: SessionId | None,
) -> None:
    port.out.do(
        Answer(
            command=command,
            name=name,
            status=status,
            code=code,
            message=message,
            port=port.id,
            session=session,
            queue_position=port.circuits.position(port.id),
        )
    )
