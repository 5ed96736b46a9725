"""What events mean to a technician: a sentence for each kind, and the figures and reasons that go with one."""

from collections.abc import Mapping
from typing import Final

from chargerd.cli.fields import Fields, clock, number, table, words
from chargerd.cli.wording import LATCHES, refusal

SENTENCES: Final[Mapping[str, str]] = {
    "ack_ahead": "the backend acknowledged what was never sent",
    "ack_not_understood": "an acknowledgement could not be read",
    "announcements_not_kept": "what was announced to Home Assistant could not be written down",
    "announcements_unknown": "what was announced to Home Assistant before cannot be read",
    "ballast_released": "the disk is full; the reserve was given up",
    "board_back": "the board answers again",
    "board_flapping": "the board is lost and back again and again: a loose wire, a weak supply",
    "board_lost": "the board does not answer",
    "board_not_prepared": "the board did not take a setting it must have: it counts as one without a dead-man",
    "board_prepared": "the board has the settings it must have",
    "broker_falls_short": "the broker cannot do all that is needed",
    "bus_overloaded": "the line has more to do than it can",
    "certificate_expired": "a certificate has expired",
    "circuit_disabled": "the circuit was taken out of service",
    "circuit_enabled": "the circuit was put back in service",
    "circuit_locked": "the circuit was locked",
    "circuit_shed": "opened, since its circuit carries too much; it waits for its return",
    "circuit_tripped": "the contactor was opened, or is out of order",
    "circuit_unlocked": "the lock of the circuit was taken away",
    "clock_fixed": "the clock was set for the first time since the boot",
    "clock_step": "the clock was set",
    "command_refused": "a command of the backend was refused",
    "configuration_not_kept": "the configuration in use could not be kept beside the journal",
    "connected": "the broker is connected",
    "connection_failed": "there was no connection to the broker",
    "connection_refused": "the broker refused the connection",
    "connection_renewed": "the connection to the line was made anew",
    "connection_unsteady": "the connection to the broker is lost again and again",
    "control_client_refused": "too many programs are connected to the socket",
    "credentials_replaced": "the new credentials are in use",
    "dead_letter": "a message was refused for good; a gap stands in its place",
    "decision_failed": "the program met what nobody foresaw, and opens every relay",
    "disconnected": "the broker is gone",
    "doctor_failed": "a check could not be finished",
    "energy_estimated": "the register cannot be believed: the energy is estimated",
    "foreign_answers": "something else answers where the board was asked: a wrong address, or a second master",
    "gap": "rows of the ledger are gone",
    "gateway_failed": "the daemon gave up",
    "gateway_started": "the daemon has started",
    "gateway_stopped": "the daemon was stopped",
    "input_tripped": "an input reported danger; its circuit is open",
    "inputs_back": "the board with the inputs is read again",
    "inputs_flapping": "the board with the inputs is lost and back again and again",
    "inputs_lost": "the board with the inputs is not read; its circuits are open",
    "journal_not_copied": "the daily copy of the journal could not be made",
    "journal_not_opened": "the journal could not be opened",
    "journal_not_written": "the journal could not be written",
    "journal_reopened": "the journal was opened anew",
    "journal_unreadable": "part of the journal could not be read",
    "journal_was_damaged": "the journal was damaged; what could be read was taken over",
    "journal_written_again": "the journal is written again",
    "last_opening_failed": "a relay could not be told to open at the end",
    "latches_cleared": "what held it open was cleared",
    "ledger_row_unreadable": "a row of the journal could not be read",
    "line_changed": "a board of the line is another one than before: nothing closes there",
    "line_gone": "the line is gone",
    "line_missing": "the line is not there",
    "line_open": "the line is there",
    "line_restored": "the line is in use again",
    "link_not_set_up": "the link to the broker could not be set up",
    "link_without_progress": "the link to the broker hung, and was made anew",
    "local_action": "somebody on site gave a command",
    "manual_request_failed": "what was asked by hand of a line failed within the program",
    "manual_request_not_judged": "whether something may be asked by hand could not be told, so it was not",
    "message_too_large": "the broker takes no message of this size",
    "meter_frozen": "the meter answers, but its values stand still",
    "metrics_not_served": "metrics cannot be asked for",
    "no_control_socket": "chargerctl cannot connect: the socket could not be made",
    "nobody_heard": "what a board has said could not be passed on",
    "not_connected": "the broker cannot be reached",
    "note_on_the_configuration": "the configuration has a weakness",
    "port_alarm": "a function that opens nothing has picked up",
    "port_disabled": "taken out of service",
    "port_enabled": "put back in service",
    "port_locked": "locked",
    "port_locked_out": "locked out until somebody has been there",
    "port_reserved": "kept for one session",
    "port_temperature_high": "the socket is warm: look for a loose contact",
    "port_tripped": "tripped",
    "port_unlocked": "the lock was taken away",
    "power_jumped": "the load draws far more than ever in this session",
    "power_negative": "power flows back: the meter is wired the wrong way round",
    "publish_refused": "the broker refused a message",
    "reading_implausible": "the meter answered what cannot be true",
    "relay_not_reconciled": "after the start nobody could read that the relay is open",
    "relay_open_circuit": "three sessions found no load behind a closed relay: a fuse or a wire is suspected",
    "relay_unconfirmed": "told to open, and nobody could read that it is",
    "relay_unexpected": "the relay closed without having been told",
    "reload_failed": "the configuration could not be taken anew",
    "relays_not_confirmed_open": "the daemon left, and not every relay was read back open",
    "reservation_ended": "no longer kept for that session",
    "session_ended": "a session has ended",
    "session_resumed": "charging goes on",
    "session_started": "charging has begun",
    "session_suspended": "held open for a while; the session goes on",
    "session_taken_over": "another client has taken this gateway's place at the broker",
    "session_updated": "charging",
    "store_failed": "the journal cannot be written: no relay closes",
    "store_flapping": "the journal cannot be written, and can, again and again",
    "store_recovered": "the journal can be written again",
    "store_unavailable": "there is no journal: no relay closes",
    "stream_renewed": "the ledger goes on under another stream",
    "subscription_refused": "the broker lets us hear no commands",
    "thread_died": "a part of the daemon died; every relay is opened",
    "topic_rewritten": "the broker takes the dots in the id of the gateway for slashes",
    "trace_failed": "a trace could not be passed on",
    "unreadable": "a note that cannot be read any more",
    "wiring_suspect": "the current showed on another port's meter: they are exchanged",
}
"""What an event says without its figures, by its name in the contract or in the log."""

_SHOWN: Final = frozenset(
    {
        "id", "at", "clock", "boot", "up_ms", "kept", "event", "severity", "port", "circuit", "board", "bus",
        "detail", "latch", "function", "functions", "reason", "source", "uid", "user", "session_id", "order_id",
        "then", "code", "charging_s", "energy_wh", "configuration", "name", "by",
    }
)  # fmt: skip


def place_of(event: Fields) -> str:
    """Return what an event is about: a port, a circuit, a board, a bus, or the gateway."""
    for name in ("port", "ports", "circuit", "circuits", "board", "bus", "input"):
        told = event.get(name)
        if told:
            return ", ".join(words(told)) if isinstance(told, list) else str(told)
    return "gateway"


def sentence(event: Fields) -> str:
    """Return what an event says, its figures and reasons with it."""
    name = str(event.get("event"))
    said = SENTENCES.get(name, name.replace("_", " "))
    if name == "local_action":
        said = f"chargerctl {event.get('function')} by {event.get('user') or event.get('uid')}"
    parts = [said, *_what(event, name), *_more(event)]
    return "; ".join(part for part in dict.fromkeys(parts) if part)


def _what(event: Fields, name: str) -> list[str]:
    detail = table(event.get("detail"))
    function = str(event.get("function") or detail.get("function") or "")
    found = []
    if function and name != "local_action":
        found.append(function + (f": {LATCHES[function]}" if function in LATCHES else ""))
    functions = words(event.get("functions"))
    if functions:
        found.append(", ".join(functions))
    if detail.get("measured") is not None:
        unit = {"a": "A", "v": "V", "w": "W", "c": "°C"}.get(
            str(detail.get("unit")), str(detail.get("unit") or "")
        )
        limit = "" if detail.get("limit") is None else f", limit {number(detail.get('limit'), 2)} {unit}".rstrip()
        found.append(f"{number(detail.get('measured'), 2)} {unit}".rstrip() + limit)
    return found


def _more(event: Fields) -> list[str]:
    found = []
    if event.get("code") and event.get("name"):
        found.append(f"{event['name']}: {refusal(str(event['code']))}")
    if event.get("by"):
        found.append(f"by {event['by']}")
    if event.get("reason"):
        found.append(str(event["reason"]))
    if event.get("then"):
        found.append(str(event["then"]))
    if event.get("event") == "session_ended":
        found.append(f"{number(event.get('energy_wh'), 0)} Wh in {clock(event.get('charging_s'))}")
    source = event.get("source")
    if source and event.get("event") != "local_action":
        found.append("on site" if source == "local" else "from afar")
    rest = (
        f"{name} {value}"
        for name, value in event.items()
        if name not in _SHOWN and not isinstance(value, dict | list)
    )
    return [*found, *rest]
