"""Holds what is explained of a station to what it does: nothing that holds is left out, and nothing is made up.

Latches and what is out of service are held to books that are kept from facts alone.
"""

from collections.abc import Iterable, Mapping

from chargerd.core.commands import Code
from chargerd.core.moment import Moment
from chargerd.core.plan import holder_of
from chargerd.core.session import Clearing, Latch
from chargerd.core.station import Station
from chargerd.core.units import CircuitId, PortId
from chargerd.core.view import Claim, PortExplained, PortState

WAITS = frozenset({PortState.QUEUED, PortState.STARTING, PortState.SUSPENDED, PortState.STOPPING})
ABOVE = frozenset({"overvoltage", "meter_stale", "circuit_full", "overcurrent_thermal", "port_temperature"})
"""Functions of figures that lie above their limit where they hold."""
OF_BEFORE = frozenset({"busy", "disabled", "locked", "reserved"})
"""What may have begun before a reboot, by another clock; so may a latch."""
ROUNDING = 1e-6


def check(station: Station, now: Moment, latches: Iterable[Latch] | None = None) -> None:
    """Check all ports and circuits; `latches`: those that facts have told of, of ports and of circuits."""
    ports, circuits = station.explain_all(now)
    above = {one.circuit.id: one.circuit.parent for one in circuits}
    held = None if latches is None else {(one.port, one.function) for one in latches}
    for explained in ports:
        _check_port(explained, now)
        if held is not None:
            _check_latches(explained, held, above)
    for circuit in circuits:
        for claim in circuit.claims:
            _check_claim(claim, now)
        waiting = [one.port for one in circuit.waiters]
        assert waiting == list(circuit.circuit.queue)
        assert sum(one.allocated_power for one in circuit.allocations) <= circuit.circuit.allocated_power + 0.01


def _check_port(explained: PortExplained, now: Moment) -> None:
    view, claims = explained.port, explained.claims
    told = [claim.code for claim in claims if claim.code is not None]
    assert set(told) == set(view.blocked_by), (view, claims)
    ranks = [view.blocked_by.index(code) for code in told if code not in {Code.BUSY, Code.NOT_YET_KNOWN}]
    assert ranks == sorted(ranks), (view.blocked_by, claims)
    if view.state in WAITS:
        assert any(claim.what != "busy" for claim in claims) or view.state is not PortState.QUEUED, claims
    elif view.session is None:
        assert not [claim for claim in claims if claim.code is None], "without a session nothing waits"
    assert (explained.suspension is not None) == (view.state is PortState.SUSPENDED)
    if explained.suspension is not None:
        assert explained.suspension.until.instant >= now.instant - ROUNDING
        assert explained.suspension.by
    for claim in claims:
        _check_claim(claim, now)


def _check_claim(claim: Claim, now: Moment) -> None:
    if claim.since is not None and claim.what not in OF_BEFORE and claim.clearing is None:
        assert claim.since.instant <= now.instant + ROUNDING, claim
    detail = claim.detail
    if detail is None or detail.measured is None or detail.limit is None or claim.clearing is not None:
        return
    if detail.function in ABOVE:
        assert detail.measured >= detail.limit - ROUNDING, claim
    elif detail.function == "undervoltage":
        assert detail.measured <= detail.limit + ROUNDING, claim


def _check_latches(
    explained: PortExplained, held: set[tuple[PortId, str]], above: Mapping[CircuitId, CircuitId | None]
) -> None:
    """Compare the latches that are claimed of a port and of the circuits above it with those that were told."""
    port = explained.port
    claimed = {
        (port.id if claim.circuit is None else holder_of(claim.circuit), claim.what)
        for claim in explained.claims
        if claim.clearing is not None
    }
    holders = {port.id}
    circuit: CircuitId | None = port.circuit
    while circuit is not None and circuit in above:
        holders.add(holder_of(circuit))
        circuit = above[circuit]
    assert claimed == {one for one in held if one[0] in holders}, explained.claims
    assert not any(
        claim.clearing is Clearing.LOCK_OUT and claim.circuit is None and claim.code is not Code.LOCKED_OUT
        for claim in explained.claims
    )
