"""Rows that pass between journal and broker: what is kept and what is told, in the contract's own words.

Theory. A settlement must reach the backend exactly once in effect, over a broker that may be killed, a network
that is away for weeks, and a gateway that loses power at any instant. No message can do that by itself: a
PUBACK says that the broker has it, and a killed broker forgets. So there is a ledger.

- Each fact becomes a row with a number, appended in the same transaction as what it is about (the session's
  end, the latch). What happened and what is told of it cannot part.
- A row is sent at QoS 1, and again, until the backend's own `ack` says up to which number *it* has stored them.
  Whoever receives a row twice knows it by its number.
- Numbers have no holes. A row that left by age, or that no broker takes, is replaced by a `gap` that says which
  numbers it stands for, so nobody waits for them. Another `stream` begins another numbering: after a damaged
  file, or on another machine.
- Settlements are chained as well: each has a digest over itself and the one before, made by the journal.

A row's stamps are those of its making and are never rewritten; the envelope (`gateway`, `stream`, `seq`, `at`,
`clock`, `boot`, `up_ms`, `offline`) is put on when it is sent. So the journal stores bodies and the link wraps
them, and neither knows the other.

What it cannot know: whether a backend that has acknowledged a row still has it. It asks by `replay` for what is
kept.

Reasons stand in `docs/decisions/0010-journal.md` and `0050-mqtt-link.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from chargerd import text
from chargerd.core.identity import Identity
from chargerd.core.moment import Moment
from chargerd.core.plan import NamedLimits
from chargerd.core.session import Disabled, Latch, SessionRecord, ThermalState
from chargerd.core.units import CommandId, PortId, SessionId

Json: TypeAlias = text.Json
Body: TypeAlias = Mapping[str, Json]


class RowKind(StrEnum):
    """The topic under `up/` a ledger row belongs to."""

    SESSION = "session"
    EVENT = "event"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One row to be appended: the journal adds stream and sequence number.

    A `settlement` gets its `digest` from the journal, which knows the one before it.
    """

    kind: RowKind
    body: Body
    moment: Moment
    offline: bool
    settlement: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One row as it stands in the journal. Its stamps are those of its making and are never rewritten."""

    stream: str
    seq: int
    kind: RowKind
    body: Body
    moment: Moment
    offline: bool


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """Where an event stands among rows and notes, in the order of their writing: `str` of it is `12.0`.

    `note` is 0 for a row of the ledger, else the note's own number; `seq` is the last row's before it.
    """

    seq: int
    note: int

    @classmethod
    def of(cls, text: str) -> "Mark":
        """Return what a text says. Raises `ValueError`."""
        seq, note = text.split(".")
        return cls(int(seq), int(note))

    def __str__(self) -> str:
        """Return it as text."""
        return f"{self.seq}.{self.note}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEvent:
    """Something that has happened, as the journal keeps it: a row of the ledger, or a note (without a `kind`)."""

    mark: Mark
    kind: RowKind | None
    body: Body
    moment: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSpan:
    """What the journal holds.

    `first` and `last` are sequence numbers (`last` is `first - 1` if empty), `acked` is what the backend has
    acknowledged so far.
    """

    stream: str
    first: int
    last: int
    acked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose journal it is: the gateway's id, and what its machine is known by. `None`: not known."""

    gateway: str | None = None
    machine: str | None = None

    def differs(self, other: "Owner") -> tuple[str, ...]:
        """Return what of it has changed; what either side does not know has not."""
        pairs = {"gateway": (self.gateway, other.gateway), "machine": (self.machine, other.machine)}
        return tuple(name for name, pair in pairs.items() if None not in pair and pair[0] != pair[1])

    def over(self, other: "Owner") -> "Owner":
        """Return this, with what it does not know taken from another."""
        return Owner(gateway=self.gateway or other.gateway, machine=self.machine or other.machine)


ON_SITE = "local-"
"""What the ids of commands given on site begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply to a command, as published on `up/reply` and stored for its repetition."""

    command: CommandId
    body: Body


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedCommand:
    """A command whose id is durable. `digest` tells the same body from another one under the same id.

    `reply` is the newest reply stored for it, `None` while there is none. For a `start`, port and session say
    what it would have started.
    """

    command: CommandId
    name: str
    digest: str
    moment: Moment
    port: PortId | None = None
    session: SessionId | None = None
    order: str | None = None
    reply: Reply | None = None
    final: bool = False
    limits: NamedLimits | None = None
    """Of `update_limits`: what it wanted, to be compared with what is found after a crash."""
    correlation: str | None = None
    """What its sender knows its replies by, in hexadecimal; those after a crash bear it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one transaction of the journal writes; all of it or nothing.

    `sessions` are written or overwritten as open, `ended` are closed. `cleared` removes all latches of a port,
    then `latches` are set; `enabled` and `disabled` are the same for what is out of service. `replies` are stored
    with their commands, `True` marking a final one. `entries` go to the backend, `notes` stay here. `settled_all`:
    of what the start found open all that could not go on is settled, by this batch and those before.
    """

    sessions: tuple[SessionRecord, ...] = ()
    ended: tuple[SessionId, ...] = ()
    latches: tuple[Latch, ...] = ()
    cleared: tuple[PortId, ...] = ()
    disabled: tuple[Disabled, ...] = ()
    enabled: tuple[PortId, ...] = ()
    commands: tuple[RememberedCommand, ...] = ()
    replies: tuple[tuple[Reply, bool], ...] = ()
    warmths: tuple[ThermalState, ...] = ()
    identities: tuple[Identity, ...] = ()
    entries: tuple[LedgerEntry, ...] = ()
    notes: tuple[LedgerEntry, ...] = ()
    settled_all: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What the journal knew when it was opened.

    `boot` is this boot's number, counted by the journal from the boot ids it has seen. `unfinished` are accepted
    commands without a final reply. `known_ids` maps the ids of remembered commands to their digests.
    """

    boot: int
    stream: str
    starts: int
    sessions: tuple[SessionRecord, ...] = ()
    latches: tuple[Latch, ...] = ()
    disabled: tuple[Disabled, ...] = ()
    warmths: tuple[ThermalState, ...] = ()
    identities: tuple[Identity, ...] = ()
    unfinished: tuple[RememberedCommand, ...] = ()
    last_words: tuple[RememberedCommand, ...] = ()
    """The newest commands with a final reply, oldest first; a process that was killed may not have sent it."""
    settled: frozenset[SessionId] = frozenset()
    """Sessions of unfinished starts that are settled already; only the last reply is missing."""
    known_ids: Mapping[CommandId, str] = field(default_factory=dict)
    salvaged: str | None = None
    """Where a damaged journal was moved, if this one had to be started anew."""
    latches_unknown: bool = False
    """Whether latches may have been lost with a damaged journal; stands until a batch with latches is written."""
    last: int = 0
    """The highest number that was given out before this start."""
    begun: bool = False
    """Whether the stream began with this start: what was said of another one before says nothing against it."""
    moved: str | None = None
    """Why the journal is taken for another gateway's, if it is: its stream is new, and its sessions are over.

    Told at each start until a batch says that they are settled.
    """
    newest: Body | None = None
    """The ledger's last row, a `gap` if it cannot be read; `None` if there is none."""


def covered_by(row: LedgerRow) -> int:
    """Return the last number a row stands for: a `gap` stands for all it took the place of."""
    to = row.body.get("to")
    return max(row.seq, to) if row.body.get("event") == "gap" and isinstance(to, int) else row.seq
