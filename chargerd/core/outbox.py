"""Where one turn's commands and facts are collected, in the order in which they came up."""

from dataclasses import dataclass, field

from chargerd.core.commands import Command
from chargerd.core.facts import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one event: what is to be done, and what has happened."""

    commands: tuple[Command, ...] = ()
    facts: tuple[Fact, ...] = ()


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

    def empty(self) -> Outcome:
        """Return all that was collected and start anew."""
        outcome = Outcome(commands=tuple(self.commands), facts=tuple(self.facts))
        self.commands.clear()
        self.facts.clear()
        return outcome
