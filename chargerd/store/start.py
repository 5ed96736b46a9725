"""What a start of the daemon finds in its journal, and writes into it: that it began, and whose journal it is."""

import sqlite3
from dataclasses import dataclass, replace
from typing import Final

from ulid import ULID

from chargerd.contract.ledger import LedgerSpan, Owner, Recovery
from chargerd.store.tables import Tables

LAST_WORDS: Final = 16
"""Newest final replies told of at a start: more than a process has under way when it is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start, of a gateway in a boot."""

    boot_id: str
    owner: Owner

    def load(self, connection: sqlite3.Connection) -> Recovery:
        """Count the start in a file, and return what the file knew."""
        tables = Tables(connection)
        with tables.transaction():
            changed = self.write(tables, str(ULID()))
        found = self._found(tables)
        return replace(found, begun=bool(changed) or found.starts == 1)

    def peek(self, connection: sqlite3.Connection) -> Recovery:
        """Return the same of a file that takes nothing for now, with the stream it is to go on under."""
        tables = Tables(connection)
        found = self._found(tables)
        changed = tables.state().owner.differs(self.owner)
        if not changed:
            return replace(found, begun=found.starts == 0)
        return replace(found, stream=str(ULID()), begun=True, moved=_why(changed))

    def write(self, tables: Tables, stream: str) -> tuple[str, ...]:
        """Count the start, within a transaction; return what of the owner has changed.

        Another one's journal goes on under `stream`, and is marked until what was open in it is settled: a start
        that ends before that must leave the next one to know of it.
        """
        tables.count_start(self.boot_id)
        before = tables.state().owner
        changed = before.differs(self.owner)
        if "machine" in changed:
            tables.note_move()
        if changed:
            # One of which both differ, at once or one after the other, is a copy.
            tables.renew_stream(stream, renamed="gateway" in changed)
            tables.note_unsettled(_why(changed))
        tables.set_owner(self.owner.over(before))
        return changed

    def span(self, tables: Tables, stream: str) -> LedgerSpan:
        """Return what a file's ledger holds, or is to hold under `stream` once the start is written."""
        state = tables.state()
        changed = state.owner.differs(self.owner)
        if changed:
            begun = tables.begins_after(moved="machine" in changed, renamed="gateway" in changed)
            state = replace(state, stream=stream, begun=begun, acked=begun)
        return tables.ledger.span_of(state)

    def _found(self, tables: Tables) -> Recovery:
        sessions, latches, unfinished = tables.sessions(), tables.latches(), tables.commands.unfinished()
        known = tables.commands.digests()
        state = tables.state()
        open_ids = {record.order.session for record in sessions}
        started = {command.session for command in unfinished if command.session is not None}
        return Recovery(
            boot=tables.number_of_boot(self.boot_id),
            stream=state.stream,
            starts=state.starts,
            sessions=sessions,
            latches=latches,
            warmths=tables.warmths(),
            identities=tables.identities(),
            disabled=tables.disabled(),
            unfinished=unfinished,
            last_words=tables.commands.last_words(LAST_WORDS),
            settled=frozenset(one for one in started - open_ids if tables.session_used(one)),
            known_ids=known,
            salvaged=state.salvaged if state.starts == 1 else None,
            latches_unknown=state.latches_unknown,
            last=state.last,
            moved=state.unsettled,
            newest=tables.ledger.newest(),
        )


def _why(changed: tuple[str, ...]) -> str:
    return f"another {' and another '.join(changed)} than before"
