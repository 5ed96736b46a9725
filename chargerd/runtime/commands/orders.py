"""Orders and limits: what was asked for, with the site's and the port's own where nothing was said."""

from dataclasses import replace

from ulid import ULID

from chargerd.contract.arguments import LimitsArgs
from chargerd.contract.ledger import ON_SITE
from chargerd.core.events import UpdateRequested
from chargerd.core.plan import Limits, StationPlan
from chargerd.core.session import Order, Source
from chargerd.core.units import Amps, CommandId, PortId, Seconds, SessionId, WattHours, Watts


class Orders:
    """Fills in orders, by a site's plan."""

    def __init__(self, plan: StationPlan) -> None:
        self.adopt(plan)

    def adopt(self, plan: StationPlan) -> None:
        """Go by this plan from the next order on."""
        self._ports = {port.id: port for port in plan.ports}
        self._tiers = plan.tariff_tiers

    def order(
        self,
        port: PortId,
        *,
        limits: Limits | None = None,
        session: SessionId | None = None,
        order: str | None = None,
        tiers: tuple[Watts, ...] | None = None,
        source: Source = Source.LOCAL,
        command: CommandId | None = None,
        full_stop: bool = True,
    ) -> Order:
        """Return an order with a new session id, the site's tiers and the port's limits where nothing was said."""
        return Order(
            session=session or SessionId(str(ULID())),
            port=port,
            limits=limits or self.limits_of(port),
            order=order,
            tiers=self._tiers if tiers is None else tiers,
            source=source,
            command=command or fresh_id(),
            full_stop=full_stop,
        )

    def limits_of(self, port: PortId) -> Limits:
        """Return the port's own limits; the defaults for a port there is not, which the station will refuse."""
        plan = self._ports.get(port)
        return plan.limits if plan is not None else Limits()

    def limits(self, port: PortId, args: LimitsArgs | None) -> Limits:
        """Return what was ordered, with the port's own limits where nothing was said."""
        own = self.limits_of(port)
        if args is None:
            return own
        return Limits(
            current=own.current if args.current_a is None else Amps(args.current_a),
            power=own.power if args.power_w is None else Watts(args.power_w),
            duration=own.duration if args.duration_s is None else Seconds(args.duration_s),
            energy=own.energy if args.energy_wh is None else WattHours(args.energy_wh),
        )


def update_of(limits: LimitsArgs, event: UpdateRequested) -> UpdateRequested:
    """Return the request for these limits."""
    return replace(
        event,
        current=None if limits.current_a is None else Amps(limits.current_a),
        power=None if limits.power_w is None else Watts(limits.power_w),
        duration=None if limits.duration_s is None else Seconds(limits.duration_s),
        energy=None if limits.energy_wh is None else WattHours(limits.energy_wh),
    )


def fresh_id() -> CommandId:
    """Return an id for a command given on site."""
    return CommandId(f"{ON_SITE}{ULID()}")
