"""What becomes of commands that a crash has cut short, by what the journal has kept."""

from chargerd.core.commands import ReplyStatus
from chargerd.core.ledger import Recovery, RememberedCommand
from chargerd.core.plan import Limits, NamedLimits
from chargerd.core.units import CommandId, PortId


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


def fulfilled(recovery: Recovery) -> frozenset[CommandId]:
    """Return the commands without a last word whose wish the journal holds: they are done, whoever was told."""
    return frozenset(one.command for one in recovery.unfinished if _holds(one, recovery))


def _holds(command: RememberedCommand, recovery: Recovery) -> bool:
    disabled = any(one.holder == command.port for one in recovery.disabled)
    match command.name:
        case "disable":
            return disabled
        case "enable":
            return not disabled
        case "stop":
            return _stopped(command, recovery)
        case "update_limits" if command.limits is not None:
            orders = [record.order for record in recovery.sessions if record.order.port == command.port]
            return any(
                command.session in {None, order.session} and _within(command.limits, order.limits)
                for order in orders
            )
        case _:
            return False


def _stopped(command: RememberedCommand, recovery: Recovery) -> bool:
    """Say whether what a stop was for is over: settled already, or about to be, as it does not go on."""
    accepted = command.reply is not None and command.reply.body.get("status") == ReplyStatus.ACCEPTED
    return accepted or command.session in recovery.settled or command.port in ports_to_stop(recovery)


def _within(named: NamedLimits, limits: Limits) -> bool:
    pairs = (
        (named.current, limits.current),
        (named.power, limits.power),
        (named.duration, limits.duration),
        (named.energy, limits.energy),
    )
    return all(wanted is None or wanted == there for wanted, there in pairs)
