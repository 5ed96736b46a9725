"""What is remembered of commands: which ids were used, with what body, and what they were answered.

So the same id again acts no more, and gets the stored reply. What the journal keeps is asked of the journal; what
it does not keep yet, or has no room for, is known here alone, for a while.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TypeAlias

from chargerd.contract.ledger import Batch, RememberedCommand, Reply
from chargerd.core.clock import Clock
from chargerd.core.commands import Answer, Code, ReplyStatus
from chargerd.core.units import CommandId, SessionId
from chargerd.runtime.commands.known import ALWAYS, Known, Shelf

MOST_CORRELATION = 1024
"""Bytes of a command's Correlation Data that are kept over a crash; what is longer is echoed until then alone."""

Respond: TypeAlias = Callable[[Reply, bool], None]
"""Gets each reply to a command, and whether it is the last one."""


class JournalOfCommands(Shelf, Protocol):
    """What is needed of the journal to keep commands and their replies."""

    def append(self, batch: Batch, done: Callable[[bool], None] | None = None) -> None:
        """Queue a batch without blocking; `done` is told whether it is durable."""

    def desk_lookup(
        self,
        command_id: CommandId,
        session_id: SessionId | None,
        deliver: Callable[[RememberedCommand | None, bool], None],
    ) -> None:
        """Tell what is known of a command, and whether a session of this id was ever used."""


class CommandMemory:
    """The memory of the desk. Thread-safe; calls nobody while it holds its lock."""

    def __init__(
        self,
        *,
        clock: Clock,
        journal: JournalOfCommands,
        reply_of: Callable[[Answer], Reply],
        kept: Mapping[CommandId, str],
    ) -> None:
        self._journal = journal
        self._reply_of = reply_of
        self._lock = threading.Lock()
        self._known = Known(clock=clock, shelf=journal, kept=kept)
        self._correlations: dict[CommandId, bytes] = {}
        """Of commands that are not remembered yet."""
        self._last_words: dict[CommandId, Reply] = {}
        """Final replies that are not durable yet, for whoever asks again."""

    def __len__(self) -> int:
        return len(self._known)

    def room_for(self, name: str) -> bool:
        """Say whether a further command of this name can be kept."""
        with self._lock:
            return self._known.room_for(name)

    def take_in(self, command: CommandId, name: str, digest: str, correlation: bytes | None) -> bool:
        """Know a new id from now on; say whether there is room for it, or it needs none."""
        with self._lock:
            if not (self._known.room_for(name) or name in ALWAYS):
                return False
            self._known.add(command, name, digest)
            if correlation is not None and len(correlation) <= MOST_CORRELATION:
                self._correlations[command] = correlation
            return True

    def repeated(self, command: CommandId, name: str, digest: str, respond: Respond) -> bool:
        """Say whether this id was used before; if so, repeat its reply, or call the conflict by its name."""
        with self._lock:
            for gone in self._known.forget_fleeting():
                self._last_words.pop(gone, None)
            same = self._known.same(command, digest)
        if same is None:
            return False
        self._repeat(command, name, same, respond)
        return True

    def forget(self, commands: Sequence[CommandId]) -> None:
        """The journal keeps these ids no longer."""
        with self._lock:
            self._known.forget(commands)

    def keep(self, remembered: RememberedCommand, done: Callable[[bool], None]) -> None:
        """Have the journal keep a command; one it has no room for is known here alone, for a while."""

        def written(durable: bool) -> None:
            if not durable:
                with self._lock:
                    self._known.not_kept(remembered.command)
            done(durable)

        with self._lock:
            keep = self._known.is_to_be_kept(remembered.command)
        remembered = self._bearing(remembered)
        if keep:
            self._journal.append(Batch(commands=(remembered,)), written)
        else:
            written(False)

    def keep_reply(self, reply: Reply, done: Callable[[], None], *, final: bool) -> None:
        """Have the journal keep a reply; `done` is called then, even if it could not."""
        if final:
            with self._lock:
                self._last_words[reply.command] = reply

        def written(durable: bool) -> None:
            with self._lock:
                # What the journal does not keep is repeated from here.
                if durable and not self._known.is_fleeting(reply.command):
                    self._last_words.pop(reply.command, None)
            done()

        self._journal.append(Batch(replies=((reply, final),)), written)

    def _repeat(self, command: CommandId, name: str, same: bool, respond: Respond) -> None:
        def deliver(known: RememberedCommand | None, _session_used: bool) -> None:
            with self._lock:
                unwritten = self._last_words.get(command)
            reply = unwritten or (known.reply if known is not None else None)
            stored = None if reply is None else reply.body
            if not same or stored is None:
                code = Code.DUPLICATE if same else Code.CONFLICT
                message = "still being worked on" if same else "this id was used before with another body"
                status = ReplyStatus.ACCEPTED if same else ReplyStatus.REJECTED
                answer = Answer(command=command, name=name, status=status, code=code, message=message)
                respond(self._reply_of(answer), True)
                return
            message = f"said before: {stored.get('code')}"
            body = {**stored, "code": Code.DUPLICATE.value, "message": message}
            respond(Reply(command=command, body=body), True)

        self._journal.desk_lookup(command, None, deliver)

    def _bearing(self, remembered: RememberedCommand) -> RememberedCommand:
        """Return it with the Correlation Data it came with."""
        with self._lock:
            correlation = self._correlations.pop(remembered.command, None)
        return remembered if correlation is None else replace(remembered, correlation=correlation.hex())
