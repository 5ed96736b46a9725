"""Serves questions about settlements on the control socket: the journal is the daemon's alone to open.

Everything is read in slices, between two of which the journal writes whatever is waiting: nobody's start is held
up by somebody looking at a year of accounts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from chargerd.contract.ledger import Json, LedgerRow
from chargerd.control.server import Responder

Fields = Mapping[str, Json]

SLICE = 100
"""Settlements read at once: about 5 ms of the journal's time on a gateway."""
LIMIT = 50
"""How many settlements are listed unless another number is asked for."""


class JournalForSettlements(Protocol):
    """What this needs of the journal."""

    def history(
        self, limit: int, deliver: Callable[[Sequence[LedgerRow] | None], None], before: int | None = None
    ) -> None:
        """Deliver settlements, newest first, from the number before `before` on; `None` if they cannot be read."""

    def verify(self, deliver: Callable[[int, bool, Sequence[str] | None], None]) -> None:
        """Deliver how many settlements were looked at, whether that is all, and what is wrong with them."""


class SettlementQueries:
    """The methods `sessions`, `session` and `verify`. Never blocks."""

    def __init__(self, journal: JournalForSettlements) -> None:
        self._journal = journal
        self.methods: Mapping[str, Callable[[Fields, Responder], None]] = {
            "sessions": self._list,
            "session": self._show,
            "verify": self._verify,
        }

    def _list(self, params: Fields, respond: Responder) -> None:
        limit, port = params.get("limit"), params.get("port")
        _Search(
            self._journal,
            respond,
            most=limit if isinstance(limit, int) else LIMIT,
            wanted=lambda row: port is None or row.body.get("port") == port,
        ).go()

    def _show(self, params: Fields, respond: Responder) -> None:
        session = params.get("session_id")
        _Search(
            self._journal,
            respond,
            most=1,
            wanted=lambda row: row.body.get("session_id") == session,
            nothing=(
                "unknown_session",
                f"there is no settlement of session {session!r}",
                "see: chargerctl sessions list",
            ),
        ).go()

    def _verify(self, _params: Fields, respond: Responder) -> None:
        def deliver(count: int, last: bool, problems: Sequence[str] | None) -> None:
            if problems is None:
                _unreadable(respond)
            else:
                found: list[Json] = list(problems)
                respond.send({"settlements": count, "ok": not found, "problems": found}, more=not last)

        self._journal.verify(deliver)


class _Search:
    """Goes through settlements from the newest on and sends those that are wanted."""

    def __init__(
        self,
        journal: JournalForSettlements,
        respond: Responder,
        *,
        most: int,
        wanted: Callable[[LedgerRow], bool],
        nothing: tuple[str, str, str] | None = None,
    ) -> None:
        self._journal = journal
        self._respond = respond
        self._most = most
        self._wanted = wanted
        self._nothing = nothing
        self._sent = 0
        self._unreadable = 0

    def go(self, before: int | None = None) -> None:
        """Ask for the next slice."""
        self._journal.history(SLICE, self._take, before)

    def _take(self, rows: Sequence[LedgerRow] | None) -> None:
        if rows is None:
            _unreadable(self._respond)
            return
        for row in rows:
            if row.body.get("event") == "gap":
                self._unreadable += 1
            elif self._sent < self._most and self._wanted(row):
                self._sent += 1
                self._respond.send({"settlement": _shown(row)}, more=True)
        if self._sent >= self._most or len(rows) < SLICE or self._respond.closed:
            self._end()
        else:
            self.go(rows[-1].seq)

    def _end(self) -> None:
        if self._nothing is not None and not self._sent:
            self._respond.fail(*self._nothing)
        else:
            self._respond.send({"count": self._sent, "unreadable": self._unreadable})


def _shown(row: LedgerRow) -> dict[str, Json]:
    return {"stream": row.stream, "seq": row.seq, **row.body}


def _unreadable(respond: Responder) -> None:
    respond.fail(
        "store_unavailable", "the settlements cannot be read", "see what chargerctl status says of the store"
    )
