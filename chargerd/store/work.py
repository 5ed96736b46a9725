"""What is handed to the journal's thread: things to write, and questions."""

import abc
from collections.abc import Callable
from dataclasses import dataclass

from chargerd.contract.ledger import Batch
from chargerd.store.backlog import Backlog, only_replies
from chargerd.store.tables import Tables


class Write(abc.ABC):
    """Something to be written in a transaction it shares with others. It is tried once."""

    @abc.abstractmethod
    def write(self, tables: Tables) -> None:
        """Write, within the transaction. Raises `sqlite3.Error`."""

    @abc.abstractmethod
    def committed(self) -> None:
        """Tell whoever waits; the transaction is durable."""

    @abc.abstractmethod
    def failed(self, backlog: Backlog) -> None:
        """Tell whoever waits that nothing was written; what must not get lost goes into the backlog."""


@dataclass(slots=True, kw_only=True)
class Append(Write):
    """A batch, and who wants to know whether it is durable."""

    batch: Batch
    done: Callable[[bool], None] | None = None
    refused: bool = False

    def write(self, tables: Tables) -> None:
        """Write the batch, unless someone waits to carry out a command that was carried out before."""
        known = self.done is not None and any(tables.commands.knows(one.command) for one in self.batch.commands)
        if known:
            self.refused = True
        else:
            tables.write(self.batch)

    def committed(self) -> None:
        """Say that the batch is durable."""
        if self.done is not None:
            self.done(not self.refused)

    def failed(self, backlog: Backlog) -> None:
        """Say that the batch is not durable. It is kept if nobody acts upon that, and forgotten otherwise."""
        if self.done is None or only_replies(self.batch):
            backlog.keep(self.batch)
        if self.done is not None:
            self.done(False)


@dataclass(slots=True, kw_only=True)
class Acknowledge(Write):
    """The backend has everything up to `through`, as it said at `wall_ms`."""

    stream: str
    through: int
    wall_ms: int | None
    refused: Callable[[], None] | None = None
    ahead: bool = False

    def write(self, tables: Tables) -> None:
        """Note the acknowledgement if it is one of this stream and goes further than the one before."""
        state = tables.state()
        if self.stream != state.stream:
            return
        self.ahead = self.through > state.last
        if state.acked < self.through <= state.last:
            tables.ledger.acknowledge(self.through, self.wall_ms)

    def committed(self) -> None:
        """Complain of a number nobody has written."""
        if self.ahead and self.refused is not None:
            self.refused()

    def failed(self, backlog: Backlog) -> None:
        """Do nothing: the rows are sent again, and the backend says again that it has them."""


@dataclass(slots=True, kw_only=True)
class PartGap(Write):
    """Rows are asked for from `start` on: a gap that stands for it, and begins before it, is parted there."""

    start: int

    def write(self, tables: Tables) -> None:
        """Part it."""
        tables.ledger.part_gap(self.start - 1)

    def committed(self) -> None:
        """Do nothing: whoever reads next finds it."""

    def failed(self, backlog: Backlog) -> None:
        """Do nothing: whoever misses the rows asks again."""


@dataclass(slots=True, kw_only=True)
class RenewStream(Write):
    """Another stream for what the backend has not acknowledged, and all that follows."""

    stream: str
    done: Callable[[bool], None]

    def write(self, tables: Tables) -> None:
        """Renew it."""
        tables.renew_stream(self.stream, renamed=False)

    def committed(self) -> None:
        """Let rows go again."""
        self.done(True)

    def failed(self, backlog: Backlog) -> None:  # noqa: ARG002 - whoever holds the rows back asks again
        """Say that the stream is still the old one."""
        self.done(False)


@dataclass(slots=True, kw_only=True)
class CountConnection(Write):
    """The number of one more connection to the broker."""

    count: int
    deliver: Callable[[int], None]

    def write(self, tables: Tables) -> None:
        """Keep the number."""
        tables.set_connections(self.count)

    def committed(self) -> None:
        """Hand out the number."""
        self.deliver(self.count)

    def failed(self, backlog: Backlog) -> None:  # noqa: ARG002 - there is nothing to keep: the next number is higher
        """Hand out the number all the same: a broker must be reachable without a disk."""
        self.deliver(self.count)


@dataclass(slots=True, kw_only=True)
class Ask:
    """A question, asked between two transactions. `read` returns what then hands the answer over."""

    read: Callable[[Tables], Callable[[], None]]
    failed: Callable[[], None]
    without_file: bool = False
    """Whether an empty journal may answer while there is none: whoever asks cannot begin anything anyway."""
