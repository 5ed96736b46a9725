"""What a wiring proof has found, in sentences: what is wrong, and what to do about it."""

from collections.abc import Mapping, Sequence
from typing import Any

Told = Mapping[str, Any]

FINDINGS: dict[str, tuple[str, str]] = {
    "meter_exchanged": (
        "the load in {port} shows on the meter of {other}: their meters are exchanged",
        "exchange the wires of the two meters, or their `meter:` in the configuration; then prove both again",
    ),
    "relay_exchanged": (
        "the socket {port} is fed by the relay of {other}: their relays are exchanged",
        "exchange the wires behind the two relays, or their `relay:` in the configuration; then prove both again",
    ),
    "socket_exchanged": (
        "relay and meter of {other} serve the socket {port}: the sockets are exchanged",
        "look whether the load stood in {port}; if so, exchange the labels or the two entries, and prove again",
    ),
    "exchanged": (
        "closing {port} shows on the meter of {other}: their meters or their relays are exchanged",
        "prove these two again with one load moved from socket to socket: that tells which",
    ),
    "two_meters": (
        "closing {port} moves the meter of {other} as well",
        "look for a bridge between the two sockets, or a conductor that runs through both transformers",
    ),
    "meter_reversed": (
        "its meter shows power flowing back ({measured}): it is wired the wrong way round",
        "turn the current transformer round, or exchange line in and line out at the meter",
    ),
    "meter_factor": (
        "its meter shows {measured} where {expected} flow: it is wrong by a factor of ten",
        "compare the transformer's ratio and the meter's type with its profile: chargerctl read",
    ),
    "meter_word_order": (
        "its meter shows {measured}: the words of its figures are exchanged, or its profile is another meter's",
        "take the profile of this very type and firmware; chargerctl read shows a register in both orders",
    ),
    "other_power": (
        "its meter shows {measured} where the load should draw {expected}",
        "look what really stands in the socket; if it is the load, the meter does not measure right",
    ),
    "wrong_phase": (
        "it hangs on phase {other}, by {measured} at the circuit's meter",
        "correct its `phase:` in the configuration, or its wire; until then it is counted on the wrong phase",
    ),
    "no_voltage": (
        "there is no voltage at its meter ({measured}): a fuse or breaker before it is off, or blown",
        "look at the fuse of this port, and measure before and behind it",
    ),
    "no_power": (
        "its relay reads closed, and nothing flows: contact, fuse or wire is dead, or the load is off",
        "look whether the load is on; then measure behind the relay and behind the socket's fuse",
    ),
    "contactor": (
        "nothing flows at any port below the contactor of {other}: it does not close, or hangs on another output",
        "listen whether it pulls in; compare its output and coil wire with `contactor:` in the configuration",
    ),
    "relay_stuck_open": (
        "its relay does not close when told to: it is read back open",
        "look at the board's supply (relays need more than its logic), its channel and its jumpers",
    ),
    "relay_welded": (
        "current flows though its relay is open: DANGER, the contact is welded or bridged",
        "switch the circuit off; replace the relay, or take the bridge away",
    ),
    "meter_silent": (
        "its meter does not answer, or shows what cannot be true",
        "see chargerctl boards and chargerctl scan: supply, address, cable; behind a blown fuse it is silent too",
    ),
    "board_lost": (
        "its relay board does not answer, or its relay could not be read",
        "see chargerctl boards and chargerctl scan: supply, address, cable",
    ),
    "tripped": (
        "it was opened by {code} while it was proved ({measured})",
        "look at the load and at the port's limits; see chargerctl port {port}",
    ),
    "refused": (
        "its relay could not be closed: {code}",
        "see why and what to do: chargerctl port {port}; then prove it again",
    ),
    "renewal_glitch": (
        "the board {board} does not keep {port} closed while its lease is renewed",
        "take another board or firmware; `lease: off` only with a contactor on another board above its ports",
    ),
    "off_ineffective": (
        "{place} does not open when told to: it opens only when its lease runs out",
        "set the board up as its profile says, or take the profile of its firmware: a port must open at once",
    ),
    "no_dead_man": (
        "the board {board} does not open by itself when nobody renews: a gateway that dies leaves sockets live",
        "set the board up as its profile says; else take one that does, or a contactor on another board",
    ),
}
MUTUAL = {
    "meter_exchanged": "the meters of {port} and {other} are exchanged",
    "relay_exchanged": "the relays of {port} and {other} are exchanged",
    "socket_exchanged": "the sockets {port} and {other} are exchanged",
    "exchanged": "the meters or the relays of {port} and {other} are exchanged",
}
NOT_TESTED = {
    "port": "port {about}: its relay was not closed with a load in its socket",
    "dead_man": "board {about}: whether it opens by itself when the gateway dies",
    "no_dead_man": "board {about} has no dead-man, or its lease is off: nothing opens it if the gateway dies",
    "other_relays": "board {about}: its lease was tested at one of its relays, not at each",
    "phase": "on which phase these ports hang, for want of a meter of three phases above them: {about}",
    "contactor": "circuit {about}: whether its contactor cuts off when a relay does not",
    "inputs": "these inputs (smoke, water, heat, emergency stop): {about}",
    "sensors": "the thermometers at these sockets: {about}",
    "sockets": "whether sockets are exchanged as a whole, relay and meter: each had a load ({about})",
    "other_ports": "ports that were not part of this proof: {about}",
    "trips": "overload, overvoltage and the others were not provoked: limits and reaction times are worked out "
    "from the configuration, as `chargerd check` does",
    "installation": "breakers, residual-current devices, protective conductors, insulation: for an electrician",
}
RESULTS = {
    "proved": "proved: every port and every lease that was to be tested is as the configuration says",
    "findings": "findings: something is not as the configuration says",
    "incomplete": "incomplete: nothing wrong was found, but not everything was tested",
}
UNITS = {"w": "W", "a": "A", "v": "V", "s": "s", "c": "°C"}


def sentence(finding: Told) -> str:
    """Return what is wrong; what this program does not know by its name."""
    kind = str(finding["kind"])
    text = MUTUAL.get(kind) if finding.get("mutual") else None
    if text is None:
        text = FINDINGS.get(kind, (kind, ""))[0]
    return _filled(text, finding)


def remedy(finding: Told) -> str:
    """Return what to do about it."""
    return _filled(FINDINGS.get(str(finding["kind"]), ("", ""))[1], finding)


def distinct(findings: Sequence[Told]) -> list[Told]:
    """Return findings without those that say of one port what is said of the other already."""
    told: list[Told] = []
    for finding in findings:
        kind, port, other = finding["kind"], finding.get("port"), finding.get("other")
        twin = any((one["kind"], one.get("port"), one.get("other")) == (kind, other, port) for one in told)
        if not (finding.get("mutual") and twin):
            told.append(finding)
    return told


def subject(finding: Told) -> str:
    """Return what a finding is about: its port or ports, or its board."""
    if finding.get("mutual"):
        return f"{finding['port']}, {finding['other']}"
    return str(finding.get("port") or f"board {finding.get('board')}")


def not_tested(one: Told) -> str:
    """Return what was not tested, in words."""
    what = str(one["what"])
    return NOT_TESTED.get(what, what + " {about}").format(about=one["about"])


def figure(value: object, unit: object) -> str:
    """Return a figure with its unit, to three digits."""
    if not isinstance(value, int | float):
        return "?"
    text = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}".replace(",", " ")  # noqa: PLR2004 - thousands
    return f"{text} {UNITS.get(str(unit), '')}".rstrip()


def _filled(text: str, finding: Told) -> str:
    board, port = finding.get("board"), finding.get("port")
    return text.format(
        port=port,
        board=board,
        other=finding.get("other"),
        code=finding.get("code"),
        place=f"the board {board}" if board else f"the relay of {port}",
        measured=figure(finding.get("measured"), finding.get("quantity")),
        expected=figure(finding.get("expected"), finding.get("quantity")),
    )
