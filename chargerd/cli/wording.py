"""What the daemon's words mean to a technician, and what to do next.

The codes stand here as the daemon sends them: `chargerctl` loads nothing of the daemon.
"""

OBSTACLES: dict[str, tuple[str, str]] = {
    "locked": (
        "Somebody on site has locked the port.",
        "see who and why: chargerctl port {port}; when the work is done: chargerctl unlock {port}",
    ),
    "locked_out": (
        "The port is locked out until a person has been there.",
        "find the cause, then: chargerctl reset {port} --reason '...'",
    ),
    "latched": ("A trip holds the port open.", "see what tripped, remove it, then: chargerctl reset {port}"),
    "busy": ("A session is under way.", "wait for it, or: chargerctl stop {port}"),
    "board_lost": (
        "The relay board has not confirmed that the relay is open, or a board that guards the circuit is silent.",
        "check the board's supply and the bus cable; see chargerctl boards",
    ),
    "line_changed": (
        "A board of its line says that it is another one than before.",
        "see chargerctl boards; if what is there is right: chargerctl accept-line with the line's name",
    ),
    "not_yet_known": (
        "The daemon has just begun: not all that the port needs has answered yet.",
        "nothing; a start waits for it, for `step_s` at most (3 s unless set)",
    ),
    "meter_stale": (
        "The meter does not answer, or goes on showing the same whatever flows.",
        "check the meter's supply, its address and the bus cable; see chargerctl boards",
    ),
    "store_unavailable": (
        "The journal cannot be written, so nothing may be closed.",
        "check the disk: df -h, dmesg, journalctl -u chargerd",
    ),
    "disabled": (
        "The port is out of service, or the daemon drains or ends, and nothing starts any more.",
        "see which, who and why: chargerctl port {port}; a drain is taken back by chargerctl drain --cancel",
    ),
    "reserved": (
        "The backend keeps the port for one session.",
        "wait until that is over, as chargerctl port {port} tells; until then the backend alone can start there",
    ),
    "proving": (
        "Somebody on site proves the wiring of this port.",
        "wait until that is over: a minute a port; it ends by itself a minute after whoever does it has gone",
    ),
    "voltage": (
        "The voltage is outside the band the port may be used in.",
        "measure it at the circuit; it is shown by chargerctl port",
    ),
    "thermal": ("The line to this port, or its socket, is still too warm.", "wait some minutes"),
}
"""Why a start would be refused, by the contract's code: a sentence and the next step."""

CIRCUIT_HELD = ("A circuit above holds the port open.", "see which, why, and what clears it: chargerctl status")
"""What stands instead where the latch is none of the port's own."""

LATCHES: dict[str, str] = {
    "overcurrent_instant": "the current was far above the limit: a fault, or something that is no charger",
    "overcurrent_definite": "the current was above the limit for seconds",
    "overcurrent_thermal": "the current was a little above the limit for minutes, and the line has become warm",
    "port_temperature": "the socket was too hot: look for a loose or burnt contact before anybody charges there",
    "relay_stuck_open": "the relay did not close when told to: coil, driver or board",
    "relay_welded": "current flowed though the relay was read back open: DANGER, switch the circuit off",
    "relay_will_not_open": "the relay was read back closed after three openings: DANGER, switch the circuit off",
    "latches_unknown": "the journal was damaged, and with it what held the ports open; look at each port",
    "relay_unexpected": "the relay closed without a command, twice",
    "relay_board_lost": "current flowed though the relay's lease had run out: DANGER, switch the circuit off",
    "relay_unconfirmed": "current flowed, and the relay cannot be read to be open: DANGER, switch the circuit off",
    "wiring_suspect": "one port's current showed on another: meters or relays exchanged: see chargerctl prove",
    "smoke": "smoke was reported: look before anybody charges there",
    "water": "water was reported: look before anybody charges there",
    "heat": "heat was reported: look before anybody charges there",
    "emergency_stop": "somebody has pressed the emergency stop: release it first",
    "contactor_stuck_open": "the contactor did not close when told to: coil, driver or board",
    "contactor_will_not_open": "the contactor was read back closed: DANGER, switch the circuit off by its breaker",
}
"""What set a latch, in a technician's words."""

REFUSALS: dict[str, str] = {
    "limit_too_high": "the limit asked for lies above what the port allows",
    "unknown_port": "there is no such port",
    "unknown_session": "nothing charges there",
    "wrong_session": "another session is under way",
    "not_allowed": "not from here, or not yet: a lock-out needs --reason, a danger must be over",
    "circuit_full": "its circuit has no room for that",
    "conflict": "a later command has overtaken it",
    "no_load": "no current flows: is anything plugged in?",
    "relay_fault": "the relay does not do what it is told",
    "failed": "it came to nothing",
}
"""Further codes of replies."""

STATES: dict[str, str] = {
    "unknown": "Its relay has not been read back yet.",
    "available": "Free.",
    "blocked": "At rest, and a start would be refused.",
    "queued": "Waiting for the circuit to have room.",
    "starting": "Going through the start sequence.",
    "charging": "Charging.",
    "suspended": "Suspended: held open until the reason goes away.",
    "stopping": "Ending: its relay opens and the register is read.",
    "tripped": "Tripped, and held open.",
    "locked_out": "Locked out.",
    "disabled": "Out of service until somebody enables it.",
}


def obstacle(code: str, port: str) -> tuple[str, str]:
    """Return a sentence and the next step for a code of `blocked_by`."""
    sentence, step = OBSTACLES.get(code, (code.replace("_", " "), "see journalctl -u chargerd"))
    return sentence, step.format(port=port)


def refusal(code: str) -> str:
    """Return what a reply's code means."""
    if code in OBSTACLES:
        sentence = OBSTACLES[code][0].rstrip(".")
        return sentence[0].lower() + sentence[1:]
    return REFUSALS.get(code, code.replace("_", " "))
