"""What holds a port or a circuit, in a technician's words: what it is, what clears it, what to do next.

The names stand here as the daemon sends them. This is the one place where they have words.
"""

from chargerd.cli.fields import Fields, clock, number, table, words
from chargerd.cli.wording import LATCHES
from chargerd.text import Json

RELAY = "check the board's supply and the bus cable; chargerctl boards tells what is probably wrong"
METER = "check the meter's supply, its address and the bus cable; chargerctl boards tells more"
NOTHING = "nothing"
CLAIMS: dict[str, tuple[str, str, str]] = {
    "relay_out_of_control": (
        "circuit {circuit} is kept without power: the relay of {ports} does not open, or nobody can see it",
        "once the relay is read back open, or its port is reset",
        "see why: chargerctl explain {port_there}",
    ),
    "wiring_suspect": (
        "current shows on another port than the one that was closed; it is being found out whose it is ({ports})",
        "within 15 s, or it becomes a latch",
        "wait; do not touch the sockets",
    ),
    "busy": ("a session is under way ({session})", "when it ends", "wait for it, or: chargerctl stop {port}"),
    "draining": (
        "the daemon waits for the sessions under way before it ends: nothing starts any more",
        "when it has started again, or `chargerctl drain --cancel`",
        "to take it back: chargerctl drain --cancel",
    ),
    "leaving": ("the daemon is being stopped", "when it has started again", "systemctl status chargerd"),
    "disabled": ("{holder} is out of service {by}: {reason}", "chargerctl enable", "{enable}"),
    "locked": (
        "{holder} is locked by {reason}",
        "chargerctl unlock",
        "when the work is done: chargerctl unlock {reset}",
    ),
    "reserved": (
        "the backend keeps the port for session {session}",
        "when that starts, or its time is over",
        "wait; until then the backend alone can start there",
    ),
    "proving": (
        "a wiring proof has the port for itself",
        "when the proof is over, or has not been heard of for a while",
        "see how far it is: chargerctl prove --help",
    ),
    "line_changed": (
        "{boards} on {lines} is another board than before: sockets may be exchanged",
        "when the line is itself again, or somebody accepts what is there",
        "look which adapter is which; if what is there is right: chargerctl accept-line {lines}",
    ),
    "board_lost": ("the relay board {boards} does not answer", "by itself, when it answers again", RELAY),
    "relay_not_open": (
        "the relay was told to open, and {boards} has not shown yet that it is open",
        "by itself, when it is read back open",
        "wait some seconds; if it stays, " + RELAY,
    ),
    "input_board_lost": (
        "nobody reads the inputs that guard circuit {circuit} (smoke, water, heat, emergency stop), on {boards}",
        "by itself, when they were read twice",
        "check the supply of {boards} and the bus cable; chargerctl boards tells what is probably wrong",
    ),
    "contactor_board_lost": (
        "the board {boards} of the contactor of circuit {circuit} does not answer",
        "by itself, when it answers again",
        RELAY,
    ),
    "meter_stale": ("the meter {boards} does not answer", "by itself, when it answers again", METER),
    "meter_frozen": (
        "the meter {boards} answers, and does not measure: it shows the same whatever flows",
        "by itself, when its values move",
        "switch it off and on, compare it with a clamp meter, replace it",
    ),
    "store_unavailable": (
        "the journal cannot be written, so nothing may be closed",
        "by itself, when the disk takes what is written",
        "check the disk: chargerctl status, df -h, dmesg",
    ),
    "thermal": (
        "the line to the socket is still warm from what has flowed",
        "by itself, when it has cooled",
        "wait, and ask what was plugged in",
    ),
    "socket_warm": (
        "the socket is too warm for a start",
        "by itself, when it has cooled",
        "look for a loose or burnt contact before anybody charges there",
    ),
    "voltage": (
        "the voltage is outside the band the port may be used in",
        "by itself, when it is back",
        "measure it at the circuit; call the grid's operator if it stays so",
    ),
    "circuit_full": (
        "circuit {circuit} has no room for it",
        "by itself, when others draw less or end",
        "see who takes what: chargerctl circuit {circuit}",
    ),
    "others_first": (
        "{ports} wait for longer for the same circuits",
        "by itself, when these have begun",
        "see who waits: chargerctl status",
    ),
    "not_yet_known": (
        "the daemon has just begun: {unheard} has not answered yet",
        "by itself, within seconds",
        "wait; a start waits for it, too",
    ),
    "queued": ("its start waits for room in its circuits", "by itself, when there is room", "wait"),
    "step_known": ("its start waits for the first answers of its boards", "by itself", "wait"),
    "step_readings": ("its start reads the meter: two readings must agree that nothing flows", "by itself", METER),
    "step_persist": ("its start waits for the journal", "by itself", "if it fails, check the disk: df -h, dmesg"),
    "step_turn": ("others of its circuits close first, one a second", "by itself", "wait"),
    "step_power": ("its start waits for the contactor above, and the meter below it", "by itself", RELAY),
    "step_close": ("its relay was told to close, and has to be read back closed", "by itself", RELAY),
    "step_first_reading": ("its relay is closed; the first reading is to come", "by itself", METER),
    "current_seen": (
        "current is still seen though the session is ending",
        "when none is seen any more",
        "DANGER if it stays: switch the circuit off, and look at the relay",
    ),
    "register": ("the session is ending: the meter's register is read a last time", "by itself", "wait"),
    "line_not_recognised": (
        "the boards of its lines have not told yet that they are the same as before",
        "by itself, when they have told",
        "see chargerctl boards",
    ),
    "readings": (
        "two new readings of {boards} have to agree that nothing flows",
        "by itself, when they do",
        METER,
    ),
    "outage_not_proved": (
        "the clock does not yet prove that the outage was short enough to go on",
        "by itself, when the clock is set",
        "see the clock: chargerctl status",
    ),
    "voltage_settling": ("the voltage has to stay in its band for a while", "by itself", "wait"),
    "shed_wait": ("it was opened to relieve its circuit, and rests", "by itself", "wait"),
    "contactor_moving": (
        "the contactor of circuit {circuit} has not been read back where it was told to be",
        "by itself, when it is",
        RELAY,
    ),
    "turn": ("it comes back in turn with others that were interrupted with it", "by itself", "wait"),
    "circuit_overload": (
        "circuit {circuit} carries more than it may",
        "by itself: its newest sessions are opened until it does not",
        "see who takes what: chargerctl circuit {circuit}",
    ),
    "feeder_stale": (
        "the meter {boards} of circuit {circuit} does not answer: what is allocated stands in for its load",
        "by itself, when it answers again",
        METER,
    ),
}
"""By what holds: a sentence, what clears it, and the next step."""

BY_RESET = "not by itself; `chargerctl reset` clears it"
ON_SITE = "not by itself; a reset on site with a reason clears it"
UNITS = {"a": "A", "w": "W", "s": "s", "v": "V", "c": "°C", "wh": "Wh"}
SHARE = 100
HOUR = 3600


def told(claim: Fields, port: str | None) -> tuple[str, str, str]:
    """Return what a claim on a port, or on a circuit, is with its figures; what clears it; and what to do next."""
    what = str(claim.get("what"))
    if claim.get("clearing") is not None:
        sentence, clears, step = _latch(claim, what)
    else:
        plain = (_plainly(what), "unknown to this version", "see: journalctl -u chargerd")
        sentence, clears, step = CLAIMS.get(what, plain)
    places = _places(claim, port)
    filled = [part.format_map(places) for part in (sentence, clears, step)]
    return f"{filled[0]}{figures(claim)}{_when(claim)}", filled[1], filled[2]


def out_of_service(port: Fields, *, draining: bool) -> tuple[str, str] | None:
    """Return who keeps a port out of service and why, or that the daemon drains, and the next step.

    `None` where the port's state tells neither: it may have changed since.
    """
    disabled = table(port.get("disabled"))
    if not disabled and not draining:
        return None
    sentence, _, step = told({**disabled, "what": "disabled" if disabled else "draining"}, str(port.get("port")))
    return sentence, step


def _plainly(what: str) -> str:
    return what.replace("_", " ").replace("{", "{{").replace("}", "}}")


def _latch(claim: Fields, what: str) -> tuple[str, str, str]:
    said = LATCHES.get(what, "see the manual")
    what = what.replace("{", "{{").replace("}", "}}")
    whose = "circuit {circuit} is held open: " if claim.get("circuit") is not None else ""
    if claim.get("clearing") == "lock_out":
        step = "find the cause and mend it, then: chargerctl reset {reset} --reason '...'"
        return f"{whose}{what}: {said}", ON_SITE, step
    return f"{whose}{what}: {said}", BY_RESET, "remove the cause, then: chargerctl reset {reset}"


def _places(claim: Fields, port: str | None) -> dict[str, str]:
    circuit, ports = claim.get("circuit"), words(claim.get("ports"))
    holder = port if circuit is None else circuit
    unheard = ", ".join([*words(claim.get("boards")), *words(claim.get("lines")), *ports])
    local = claim.get("source") == "local"
    return {
        "port": str(port),
        "circuit": str(circuit),
        "holder": f"port {holder}" if circuit is None else f"circuit {holder}",
        "reset": str(holder),
        "boards": ", ".join(words(claim.get("boards"))) or "of it",
        "lines": ", ".join(words(claim.get("lines"))),
        "ports": ", ".join(ports) or "a port below",
        "port_there": ports[0] if ports else str(port),
        "session": str(claim.get("session_id")),
        "by": "by somebody on site" if local else "by the backend",
        "reason": str(claim.get("reason")),
        "enable": f"chargerctl enable {holder} --reason '...'",
        "unheard": unheard or "something above it",
    }


def figures(claim: Fields) -> str:
    """Return what was measured and the limit, in brackets; nothing where there are none."""
    measured, limit = claim.get("measured"), claim.get("limit")
    if measured is None:
        return ""
    unit = claim.get("unit")
    if unit == "s":
        return f" ({span(measured)}; at most {span(limit)})" if limit is not None else ""
    if unit is None and isinstance(measured, int | float) and isinstance(limit, int | float):
        share = f" ({measured * SHARE:.0f} %, limit {limit * SHARE:.0f} %)"
        return share if limit <= 1 else f" ({measured:g} of {limit:g})"
    name = UNITS.get(str(unit), str(unit).upper())
    return f" ({number(measured, 2)} {name}, limit {number(limit, 2)} {name})"


def span(seconds: Json) -> str:
    """Return a span: seconds up to two minutes, then as a clock shows it."""
    if not isinstance(seconds, int | float):
        return "-"
    return f"{seconds:z.0f} s" if seconds < 120 else clock(seconds)  # noqa: PLR2004 - two minutes


def _when(claim: Fields) -> str:
    lasts, since, ends = claim.get("for_s"), claim.get("since"), claim.get("ends_in_s")
    told_for = "" if not isinstance(lasts, int | float) else f", for {span(lasts)}"
    if since is not None and (not isinstance(lasts, int | float) or lasts >= HOUR):
        told_for = f", since {since}"
    return told_for + ("" if ends is None else f", {span(ends)} more at most")
