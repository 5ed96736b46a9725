"""What is on the live view, and what each key does to it: no terminal, no daemon.

Nothing in it goes on looking live when the daemon falls silent: each port's values have the age they had when they
came, and what has passed since.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from chargerd.cli.fields import Fields, entries, shown_state, table, why_not

SILENT_AFTER: Final = 10.0
"""Seconds without a word of a port after which its values are none of now: the whole status comes more often."""
RANKS: Final = {
    "locked_out": 0,
    "tripped": 1,
    "suspended": 2,
    "unknown": 2,
    "blocked": 3,
    "disabled": 4,
    "starting": 5,
    "queued": 5,
    "charging": 5,
    "stopping": 5,
}
"""What stands first: what needs somebody, then what is in use; free ports last."""
FAULTY: Final = 4
"""Up to this rank a port wants to be looked at."""
VIEWS: Final = {"p": "ports", "e": "events", "b": "buses", "c": "circuits", "?": "help"}
"""The key of each view."""
MOVES: Final = {"up": -1, "k": -1, "down": 1, "j": 1}
"""Keys that mark the line above or below."""
FILTERED: Final = ("port", "label", "circuit")


@dataclass(slots=True)
class Screen:
    """What is looked at. `press` takes a key by its name: a character, or `up`, `down`, `enter` and the like."""

    view: str = "ports"
    chosen: str | None = None
    """The port whose line is marked; the first one until somebody moves."""
    sought: str = ""
    typing: bool = False
    """Whether keys are letters of what is sought."""
    faults: bool = False
    """Whether only ports that want to be looked at are shown."""
    over: bool = False
    ports: list[Fields] = field(default_factory=list)
    circuits: list[Fields] = field(default_factory=list)
    status: Fields = field(default_factory=dict)
    _came: dict[str, float] = field(default_factory=dict)

    # What the daemon says

    def take_status(self, status: Fields, now: float) -> None:
        """Take in the whole status."""
        self.status = status
        self.ports, self.circuits = entries(status.get("ports")), entries(status.get("circuits"))
        self._came = {str(port["port"]): now for port in self.ports}

    def take_port(self, port: Fields, now: float) -> None:
        """Take in the state of one port."""
        self._came[str(port["port"])] = now
        self.ports = [port if one["port"] == port["port"] else one for one in self.ports]

    def shown(self, now: float) -> list[Fields]:
        """Return the ports to be shown, what wants to be looked at first, each value with its age by now."""
        found = [aged(port, now - self._came[str(port["port"])]) for port in self.ports if self._wanted(port)]
        return sorted(found, key=rank)

    def port(self, now: float) -> Fields | None:
        """Return the port whose line is marked."""
        shown = self.shown(now)
        marked = [port for port in shown if port["port"] == self.chosen]
        return marked[0] if marked else shown[0] if shown else None

    def _wanted(self, port: Fields) -> bool:
        if self.faults and rank(port) > FAULTY:
            return False
        told = [str(port.get(name)) for name in FILTERED]
        told += [shown_state(port), why_not(port, self.circuits)]
        return self.sought.casefold() in " ".join(told).casefold()

    # What somebody presses

    def press(self, key: str, now: float) -> None:
        """Do what a key is for; what none is for changes nothing."""
        if self.typing:
            self._type(key)
        elif key in VIEWS:
            self.view = VIEWS[key]
        elif key in MOVES:
            self._move(MOVES[key], now)
        elif key in {"enter", "d"}:
            self._open(now)
        else:
            self._choose(key)

    def _choose(self, key: str) -> None:
        match key:
            case "q":
                self.over = True
            case "f" | "/":
                self.view, self.typing = "ports", True
            case "!":
                self.view, self.faults = "ports", not self.faults
            case "esc":
                if self.view == "ports":
                    self.sought, self.faults = "", False
                self.view = "ports"
            case _:
                pass

    def _type(self, key: str) -> None:
        if key in {"enter", "esc"}:
            self.typing = False
            self.sought = self.sought if key == "enter" else ""
        elif key == "backspace":
            self.sought = self.sought[:-1]
        elif len(key) == 1 and key.isprintable():
            self.sought += key

    def _move(self, by: int, now: float) -> None:
        names = [str(port["port"]) for port in self.shown(now)]
        if names:
            at = names.index(self.chosen) if self.chosen in names else 0 if by > 0 and self.chosen else -by
            self.chosen = names[max(0, min(len(names) - 1, at + by))]

    def _open(self, now: float) -> None:
        port = self.port(now)
        if port is not None:
            self.chosen, self.view = str(port["port"]), "detail"


def rank(port: Fields) -> int:
    """Return how much a port wants to be looked at; the least most."""
    if port.get("lock"):
        return RANKS["disabled"]
    return RANKS.get(shown_state(port), len(RANKS))


def aged(port: Fields, passed: float) -> Fields:
    """Return a port as it is known so many seconds after its state came."""
    reading = dict(table(port.get("reading")))
    age = reading.get("age_s")
    if isinstance(age, int | float):
        reading["age_s"] = age + passed
    if passed > SILENT_AFTER:
        reading["stale"] = True
    return {**port, "reading": reading}


def counts(ports: Sequence[Fields]) -> str:
    """Return how many ports there are in which state, those first that want to be looked at."""
    found: dict[str, int] = {}
    for port in sorted(ports, key=rank):
        state = shown_state(port)
        found[state] = found.get(state, 0) + 1
    told = ", ".join(f"{count} {'free' if state == 'available' else state}" for state, count in found.items())
    return f"{len(ports)} ports: {told}" if ports else "no ports"
