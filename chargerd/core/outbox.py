"""Where one turn's commands and facts are collected, in the order in which they came up."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from chargerd.core.commands import Amend, Answer, Checkpoint, Code, Command, Persist, ReplyStatus
from chargerd.core.events import Request
from chargerd.core.facts import Fact, SessionEnded
from chargerd.core.plan import circuit_of
from chargerd.core.units import SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one event: what is to be done, and what has happened."""

    commands: tuple[Command, ...] = ()
    facts: tuple[Fact, ...] = ()


NOTHING = Outcome()
"""What comes of most readings."""


@dataclass(slots=True)
class Outbox:
    """Collects commands and facts while an event is handled."""

    commands: list[Command] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def do(self, command: Command) -> None:
        """Add a command."""
        self.commands.append(command)

    def tell(self, fact: Fact) -> None:
        """Add a fact."""
        self.facts.append(fact)

    def answer(
        self,
        request: Request,
        status: ReplyStatus,
        code: Code,
        message: str = "",
        *,
        session: SessionId | None = None,
    ) -> None:
        """Answer a request, if it came as a command. A circuit has no place in a reply."""
        if request.command is not None:
            self.do(
                Answer(
                    command=request.command,
                    name=request.name,
                    status=status,
                    code=code,
                    message=message,
                    port=request.port if circuit_of(request.port) is None else None,
                    session=session,
                )
            )

    def empty(self) -> Outcome:
        """Return all that was collected and start anew.

        A session that has ended, or begun to, in this very turn is not written as an open one any more: that
        record would be behind its end, and a crash would bring the session back.
        """
        if not self.commands and not self.facts:
            return NOTHING
        over = set(_over(self.commands, self.facts))
        outcome = Outcome(
            commands=tuple(command for command in self.commands if not (over and _opens(command, over))),
            facts=tuple(self.facts),
        )
        self.commands.clear()
        self.facts.clear()
        return outcome


def _over(commands: Iterable[Command], facts: Iterable[Fact]) -> Iterable[SessionId]:
    """Yield the sessions that have ended, or begun to."""
    for fact in facts:
        if isinstance(fact, SessionEnded):
            yield fact.settlement.record.order.session
    for command in commands:
        if isinstance(command, Checkpoint):
            yield from (record.order.session for record in command.records if record.ending is not None)


def _opens(command: Command, sessions: set[SessionId]) -> bool:
    return isinstance(command, Persist | Amend) and command.record.order.session in sessions
