"""What a wiring proof does to one port: it holds it, clears what it has provoked, and lets a lease run out.

Nothing closes here: a proof closes by sessions of its own, which go through the start sequence like any other.
"""

from chargerd.core.facts import LatchesCleared
from chargerd.core.moment import Moment
from chargerd.core.port.ending import end
from chargerd.core.port.port import Port, ProofHold
from chargerd.core.session import Source, StopDetail, StopReason
from chargerd.core.units import Seconds, after
from chargerd.core.view import PortState

PROVABLE = frozenset({"wiring_suspect", "relay_welded"})
"""Latches that a load in a known socket says more about than what has set them."""


def hold(port: Port, proof: str, lasts: Seconds, now: Moment) -> None:
    """Hold a port for a proof, or longer, or no longer; one with a session or another proof stays as it is."""
    held = port.proved_by(now)
    if held not in {None, proof} or (held is None and port.charge is not None):
        return
    port.proof = None if lasts <= 0 else ProofHold(proof=proof, until=after(now.instant, lasts))


def clear_provoked(port: Port, proof: str, functions: frozenset[str], now: Moment) -> None:
    """Clear latches that the proof which holds the port has shown to be wrong, and no others."""
    if port.proved_by(now) != proof:
        return
    kept = [latch for latch in port.latches if latch.function not in functions & PROVABLE]
    cleared = tuple(latch.function for latch in port.latches if latch not in kept)
    if not cleared:
        return
    port.latches = kept
    port.out.tell(
        LatchesCleared(
            port=port.id, functions=cleared, source=Source.LOCAL, reason="wiring proof", kept=tuple(kept)
        )
    )
    if port.charge is None:
        port.rest(now)


def withhold(port: Port, now: Moment) -> None:
    """Let the lease of a proof's own session run out; one that other relays of its board renew does not."""
    if port.state is PortState.CHARGING and port.session.order.proof is not None:
        port.relay.withhold(now.instant)


def end_lapsed(port: Port, now: Moment) -> None:
    """A lease that nobody renewed is over: the session ends, and says whether the board has opened by itself."""
    lapse = port.relay.lapse
    assert lapse is not None
    if not lapse.opened:
        port.station.dead_men.tested(port.plan.relay.board, holds=False)
    function = "lease_lapsed" if lapse.opened else "lease_outlived"
    detail = StopDetail(function=function, measured=lapse.after, limit=lapse.lease, unit="s")
    end(port, StopReason.LOCAL, detail, now)
