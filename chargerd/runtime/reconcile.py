"""Which commands that a crash has cut short stand all the same, by what the journal has kept."""

from chargerd.core.ledger import Recovery, RememberedCommand
from chargerd.core.plan import Limits, NamedLimits
from chargerd.core.units import CommandId


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
        case "update_limits" if command.limits is not None:
            orders = [record.order for record in recovery.sessions if record.order.port == command.port]
            return any(
                command.session in {None, order.session} and _within(command.limits, order.limits)
                for order in orders
            )
        case _:
            return False


def _within(named: NamedLimits, limits: Limits) -> bool:
    pairs = (
        (named.current, limits.current),
        (named.power, limits.power),
        (named.duration, limits.duration),
        (named.energy, limits.energy),
    )
    return all(wanted is None or wanted == there for wanted, there in pairs)
