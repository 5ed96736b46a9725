"""Remembered commands: ids that must not act twice, each with its newest reply, until none comes again."""

import sqlite3
from collections.abc import Iterable
from contextlib import suppress

from chargerd.contract.arguments import Direction, moving
from chargerd.contract.ledger import ON_SITE, RememberedCommand, Reply
from chargerd.core.commands import ReplyStatus
from chargerd.core.units import CommandId
from chargerd.store.codec import CodecError, dump_body, dump_command, key, load_command
from chargerd.store.schema import LONG_HOURS, SHORT_HOURS

EFFECTIVE = frozenset({ReplyStatus.DONE, ReplyStatus.FAILED})
READING = moving(Direction.READING)


class Commands:
    """The table of them. Whatever fails in SQLite comes out as `sqlite3.Error`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    # Writing

    def add(self, commands: Iterable[RememberedCommand]) -> None:
        """Remember commands whose ids are not known yet, within a transaction."""
        self._db.executemany(
            "INSERT INTO commands (command, digest, data, reply, final, wall_ms) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            [_row(command) for command in commands],
        )

    def reply(self, replies: Iterable[tuple[Reply, bool]]) -> None:
        """Store replies with their commands, `True` marking a final one, within a transaction."""
        self._db.executemany(
            "UPDATE commands SET reply = ?, final = ?, leaves = (SELECT hours FROM state) + ? WHERE command = ?",
            [
                (dump_body(reply.body), final, _hours_kept(reply) if final else None, key(reply.command))
                for reply, final in replies
            ],
        )

    def pass_hours(self, hours: int) -> None:
        """Count hours in which the daemon ran; commands whose time is over then may be forgotten."""
        self._db.execute("UPDATE state SET hours = hours + ?", (hours,))

    def forget(self, limit: int) -> tuple[CommandId, ...]:
        """Forget up to `limit` commands that were kept for their time, and return their ids."""
        query = """DELETE FROM commands WHERE rowid IN (
            SELECT rowid FROM commands WHERE leaves <= (SELECT hours FROM state) LIMIT ?) RETURNING command"""
        return tuple(CommandId(command) for (command,) in self._db.execute(query, (limit,)).fetchall())

    def keep_finished(self) -> None:
        """Give commands that were taken over from another file the longest time."""
        self._db.execute("UPDATE commands SET leaves = ? WHERE final = 1 AND leaves IS NULL", (LONG_HOURS,))

    # Reading

    def unfinished(self) -> tuple[RememberedCommand, ...]:
        """Return commands without a final reply, oldest first. Raises `CodecError`."""
        found = self._db.execute("SELECT data, reply, final FROM commands WHERE final = 0 ORDER BY rowid")
        return tuple(_command(*row) for row in found)

    def last_words(self, limit: int) -> tuple[RememberedCommand, ...]:
        """Return the newest commands with a final reply, oldest first, without those that cannot be read."""
        found = self._db.execute(
            "SELECT data, reply, final FROM commands WHERE final = 1 ORDER BY rowid DESC LIMIT ?", (limit,)
        ).fetchall()
        words: list[RememberedCommand] = []
        for row in reversed(found):
            with suppress(CodecError):
                words.append(_command(*row))
        return tuple(words)

    def find(self, command: CommandId) -> RememberedCommand | None:
        """Return a command with its newest reply. Raises `CodecError`."""
        row = self._db.execute(
            "SELECT data, reply, final FROM commands WHERE command = ?", (key(command),)
        ).fetchone()
        return None if row is None else _command(*row)

    def knows(self, command: CommandId) -> bool:
        """Say whether a command of this id is remembered."""
        query = "SELECT 1 FROM commands WHERE command = ?"
        return self._db.execute(query, (key(command),)).fetchone() is not None

    def digests(self) -> dict[CommandId, str]:
        """Return ids and digests of all commands that are remembered."""
        found = self._db.execute("SELECT command, digest FROM commands")
        return {CommandId(command): digest for command, digest in found}


def _hours_kept(reply: Reply) -> int:
    """Return how long the id of an answered command is kept: long if it may have had an effect, and comes again.

    What was given on site has an id nobody repeats.
    """
    effect = reply.body.get("status") in EFFECTIVE and reply.body.get("command") not in READING
    return LONG_HOURS if effect and not reply.command.startswith(ON_SITE) else SHORT_HOURS


def _row(command: RememberedCommand) -> tuple[str, str, str, str | None, bool, int | None]:
    reply = None if command.reply is None else dump_body(command.reply.body)
    data = dump_command(command)
    return (key(command.command), command.digest, data, reply, command.final, command.moment.wall_ms)


def _command(data: str, reply: str | None, final: int) -> RememberedCommand:
    return load_command(data, reply, bool(final))
