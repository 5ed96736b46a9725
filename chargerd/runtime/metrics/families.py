"""Every figure there is for Prometheus: its name, what it is labelled by, and what it means.

Names follow Prometheus' own rules: base units (seconds, watts, joules, bytes) end them, counters end in `_total`,
and what is there only to be joined by its labels ends in `_info`. Labels have values of the configuration or of
lists of the contract, so that no series is made for each session. What is not known has no sample: never 0.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The types that Prometheus knows."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One figure; counters begin at 0 with each start of the daemon, unless `help` says otherwise."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]

    @property
    def series(self) -> tuple[str, ...]:
        """The names its samples have."""
        if self.kind is Kind.HISTOGRAM:
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        return (self.name,)


_ALL: list[Family] = []


def _family(kind: Kind, name: str, about: str, *labels: str) -> Family:
    family = Family(name=f"chargerd_{name}", kind=kind, help=about, labels=labels)
    _ALL.append(family)
    return family


def _gauge(name: str, about: str, *labels: str) -> Family:
    return _family(Kind.GAUGE, name, about, *labels)


def _counter(name: str, about: str, *labels: str) -> Family:
    return _family(Kind.COUNTER, f"{name}_total", about, *labels)


BUILD = _gauge(
    "build_info", "1; which version runs, and which version of the contract it speaks", "version", "contract"
)
CONFIG = _gauge(
    "config_info", "1; the gateway's id and name, and the digest of its configuration", "gateway", "name", "digest"
)
STARTS = _counter("starts", "Starts of the daemon since the journal began")
SNAPSHOT_AGE = _gauge(
    "snapshot_age_seconds", "How old what is told of ports and circuits is; it grows while the decisions hang"
)
TICK_AGE = _gauge("thread_tick_age_seconds", "How long ago a thread of the daemon last ticked", "thread")
TICK_PATIENCE = _gauge("thread_patience_seconds", "How old its tick may grow before the daemon gives up", "thread")
CLOCK = _gauge("clock_quality", "1 for what vouches for the wall clock now, 0 for the others", "quality")
DISK_FREE = _gauge("disk_free_bytes", "Free space where the journal lies")
DISK_SIZE = _gauge("disk_size_bytes", "Size of the file system the journal lies on")
TEMPERATURE = _gauge("processor_temperature_celsius", "Of the gateway's processor, where it tells")

JOURNAL_WRITABLE = _gauge("journal_writable", "1 while the journal takes what is written; else no relay closes")
JOURNAL_SIZE = _gauge("journal_size_bytes", "Size of the journal's file")
LEDGER_LAST = _gauge("ledger_last_row", "Number of the ledger's newest row")
UNACKED = _gauge("ledger_unacknowledged_rows", "Rows the backend has not acknowledged yet")
UNSENT = _gauge("ledger_unsent_rows", "Rows that no broker has confirmed yet; only with a broker")

BROKER_UP = _gauge("broker_connected", "1 while there is a connection to the broker; only with a broker")
BROKER_AGE = _gauge("broker_state_age_seconds", "For how long it has been connected, or without a connection")
BROKER_CONNECTIONS = _counter("broker_connections", "Connections made to the broker")
BROKER_FAILURES = _counter("broker_failures", "Attempts to connect that came to nothing, and connections lost")
BROKER_SHORT = _gauge("broker_shortfalls", "How many things the present broker cannot do that the contract needs")

PORT = _gauge(
    "port_info", "1; where a port hangs, and what people call it", "port", "label", "circuit", "board", "line"
)
PORT_STATE = _gauge("port_state", "1 for the state a port is in; other states have no sample", "port", "state")
PORT_RELAY = _gauge("port_relay_closed", "1 if its relay is closed, as far as is known", "port")
PORT_POWER = _gauge("port_power_watts", "Power now; no sample without a reading of now", "port")
PORT_CURRENT = _gauge("port_current_amperes", "Current now; no sample without a reading of now", "port")
PORT_VOLTAGE = _gauge(
    "port_voltage_volts", "Voltage, as last measured by its meter or the nearest one upstream", "port"
)
PORT_LIMIT = _gauge("port_current_limit_amperes", "What it may draw: its session's limit, or its own", "port")
PORT_ENERGY = _counter(
    "port_energy_joules", "Energy its meter has counted, as last read; 1 kWh is 3.6 million", "port"
)
PORT_TEMPERATURE = _gauge("port_temperature_celsius", "Of its socket, where it has a sensor", "port")
PORT_READING_AGE = _gauge("port_reading_age_seconds", "How old its newest reading is", "port")
PORT_METER_USABLE = _gauge("port_meter_usable", "1 while its meter counts as seen and as measuring", "port")
PORT_LATCHES = _gauge("port_latches", "How many latches hold it open", "port")
PORT_DISABLED = _gauge("port_disabled", "1 while somebody has disabled it, or a circuit above it", "port")
PORT_BUDGET = _gauge(
    "port_cutoff_budget_seconds", "At worst, from too much current to an open contact, no frame lost", "port"
)
PORT_TRIPS = _counter("port_trips", "Times a protective function has opened it", "port")

SESSIONS = _gauge("sessions_active", "Sessions under way, suspended ones included")
STARTED = _counter("sessions_started", "Sessions whose relay was closed and read back closed")
ENDED = _counter("sessions_ended", "Sessions that have ended, by the reason of their settlement", "reason")
SUSPENDED = _counter("sessions_suspended", "Times a session was suspended, by the reason", "reason")
SETTLED = _counter("sessions_energy_joules", "Energy of settled sessions")
ESTIMATED = _counter("sessions_estimated", "Settled sessions whose energy is only an estimate")
TRIPS = _counter("trips", "Trips, by the function that tripped and by what it opened", "function", "of")
EVENTS = _counter("events", "Events of the ledger, by name and severity", "event", "severity")
ALARMS = _counter("alarms", "Events of the ledger that are alarms")
CUTOFF = _family(
    Kind.HISTOGRAM, "cutoff_seconds", "From the decision to open a port to its relay read back open, after trips"
)

CIRCUIT_CURRENT = _gauge("circuit_load_amperes", "Load of a circuit's phase", "circuit", "phase")
CIRCUIT_POWER = _gauge("circuit_load_watts", "Load of a circuit", "circuit")
CIRCUIT_SHARE = _gauge("circuit_load_ratio", "Its load as a share of its rating; 1 is all of it", "circuit")
CIRCUIT_MEASURED = _gauge(
    "circuit_measured", "1 while its own meter stands behind its load; else it is its ports' sum", "circuit"
)
CIRCUIT_RATING = _gauge("circuit_rating_amperes", "Its breaker's rating", "circuit")
CIRCUIT_WAITING = _gauge("circuit_waiting_ports", "Ports that wait for room on it", "circuit")
CIRCUIT_LATCHES = _gauge("circuit_latches", "How many latches hold it open", "circuit")
CIRCUIT_CONTACTOR = _gauge(
    "circuit_contactor_closed", "1 if its contactor is closed, as far as is known", "circuit"
)

LINE_UP = _gauge("line_connected", "1 while a line's adapter, or its far end, is there", "line")
LINE_TRANSACTIONS = _counter("line_transactions", "Modbus transactions", "line")
LINE_ERRORS = _counter("line_errors", "Modbus transactions that came to nothing, by kind", "line", "kind")
LINE_FOREIGN = _counter("line_foreign_bytes", "Bytes that were no part of an answer asked for", "line")
LINE_BUSY = _counter(
    "line_busy_seconds", "Time a line was taken up by transactions; its rate is the line's utilisation", "line"
)
LINE_LATE = _counter(
    "line_late", "What came more than 0.25 s later than it was due: the line is short of time", "line"
)
LINE_RESPONSE = _family(
    Kind.HISTOGRAM, "line_response_seconds", "From the end of a request to the beginning of its answer", "line"
)
LINE_FINDINGS = _gauge(
    "line_findings", "What is probably wrong with it, as chargerctl boards says", "line", "cause"
)
BOARD_UP = _gauge("board_up", "1 while a board answers, 0 while it is lost", "board", "line")
BOARD_AGE = _gauge("board_answer_age_seconds", "How long ago a board answered", "board", "line")
BOARD_TRANSACTIONS = _counter("board_transactions", "Modbus transactions with a board", "board", "line")
BOARD_ERRORS = _counter(
    "board_errors", "Modbus transactions with a board that came to nothing, by kind", "board", "line", "kind"
)
BOARD_PREPARED = _gauge("board_prepared", "1 if a board has the settings its dead-man needs", "board", "line")

FAMILIES: tuple[Family, ...] = tuple(_ALL)
PROCESS = {
    "process_cpu_seconds_total": "Processor time the daemon has used",
    "process_resident_memory_bytes": "Memory it uses",
    "process_virtual_memory_bytes": "Memory it has mapped",
    "process_start_time_seconds": "When it was started, since 1970",
    "process_open_fds": "Files it has open",
    "process_max_fds": "How many it may have open",
}
"""What Prometheus' own library tells of any process, under the names it has everywhere."""
