"""A configuration that was read anew while the ports are in use.

What it lowers holds at once, for a session under way as well: that is the safe direction. What it raises is for
whoever comes next: a session that goes on, and the wire it has warmed, were promised what was there before. So a
port with a session has the lower of both until that has ended.

A load that is above what was lowered ends its session as one above its order does: nothing is wrong with the port,
which is not latched.
"""

from chargerd.core.commands import Checkpoint, Code
from chargerd.core.moment import Moment
from chargerd.core.plan import Limits, exceeds, lower_of
from chargerd.core.port.answers import drop_raise
from chargerd.core.port.limits import asked, hold
from chargerd.core.port.port import Port
from chargerd.core.port.rules import GOING_ON


def configure(port: Port, limits: Limits, now: Moment) -> None:
    """Take the port's own limits from a configuration."""
    if port.charge is None:
        port.own(limits)
        return
    port.own(lower_of(port.plan.limits, limits), then=limits)
    if port.state not in GOING_ON:
        return
    raising = port.session.pending_raise
    if raising is not None and exceeds(asked(port, raising.event), port.plan.limits):
        # Whoever asked for more did so of a port that allowed it; the journal may have it by now.
        port.out.do(Checkpoint(records=(port.record(now),)))
        drop_raise(port, Code.CONFLICT, "overtaken by a change of the configuration")
    hold(port, lower_of(port.limits, port.plan.limits), now)
