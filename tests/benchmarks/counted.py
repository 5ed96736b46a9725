"""`python -m tests.benchmarks.counted [--by-function]`: what the daemon does for a transaction, counted.

Functions, calls and opcodes of all that is the daemon's own, whatever machine this is and however busy. What is
part of the world around it (boards, line, clock) counts for nothing, and neither does what that calls.
"""

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Self

from chargerd import log
from tests.benchmarks.hand_turned import HandDaemon

PACKAGE = str(Path(sys.modules["chargerd"].__file__ or "").parent) + "/"
TESTS = str(Path(__file__).parents[1]) + "/"
TRANSACTIONS = 600
"""Some ten seconds of the line: all that is read has its turn."""


@dataclass(slots=True)
class Count:
    """What was done in so many transactions."""

    transactions: int = 0
    calls: Counter[CodeType] = field(default_factory=Counter)
    opcodes: Counter[CodeType] = field(default_factory=Counter)
    different: int = 0
    """How many functions ran in each transaction, however often: summed up over all."""

    @property
    def different_each(self) -> float:
        return self.different / self.transactions

    @property
    def calls_each(self) -> float:
        return self.calls.total() / self.transactions

    @property
    def opcodes_each(self) -> float:
        return self.opcodes.total() / self.transactions


class Counting:
    """Counts what runs in this thread while it is used as a context."""

    def __init__(self) -> None:
        self.count = Count()
        self._mine: dict[CodeType, bool | None] = {}
        self._ran: set[CodeType] = set()

    def __enter__(self) -> Self:
        sys.settrace(self._called)
        return self

    def __exit__(self, *_error: object) -> None:
        sys.settrace(None)

    def turn(self, daemon: HandDaemon) -> None:
        """Turn a daemon, and count what runs in that."""
        self._ran.clear()
        daemon.turn()
        self.count.different += len(self._ran)

    def _called(self, frame: FrameType, _event: str, _argument: object) -> Any:
        counts = self._counts(frame)
        frame.f_trace_lines, frame.f_trace_opcodes = False, counts
        if not counts:
            return None
        self.count.calls[frame.f_code] += 1
        self._ran.add(frame.f_code)
        return self._happened

    def _happened(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "opcode":
            self.count.opcodes[frame.f_code] += 1
        return self._happened

    def _counts(self, frame: FrameType | None) -> bool:
        """Say whether a frame is the daemon's: what belongs to nobody is part of whoever has called it."""
        while frame is not None:
            code = frame.f_code
            if code not in self._mine:
                self._mine[code] = _is_mine(code)
            mine = self._mine[code]
            if mine is not None:
                return mine
            frame = frame.f_back
        return False


def _is_mine(code: CodeType) -> bool | None:
    name = code.co_filename
    if name.startswith(TESTS):
        return False
    return True if name.startswith(PACKAGE) else None


def count(transactions: int = TRANSACTIONS) -> Count:
    """Count what a daemon does whose twelve ports charge."""
    with tempfile.TemporaryDirectory() as folder:
        log.configure(log.Level.SILENCE)
        daemon = HandDaemon(Path(folder))
        daemon.begin()
        until = daemon.line.requests + transactions
        with Counting() as counting:
            while daemon.line.requests < until:
                counting.turn(daemon)
        daemon.kill()
        counting.count.transactions = transactions
        return counting.count


def main(arguments: list[str] | None = None) -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--by-function", action="store_true", help="and of which functions that is made up")
    options = parser.parse_args(arguments)
    found = count()
    each = found.transactions
    figures = (
        f"{found.different_each:.1f} functions, {found.calls_each:.1f} calls, {found.opcodes_each:.0f} opcodes"
    )
    sys.stdout.write(f"{figures} a transaction\n")
    if options.by_function:
        for code, opcodes in found.opcodes.most_common():
            place = f"{code.co_filename.removeprefix(PACKAGE)}:{code.co_firstlineno} {code.co_qualname}"
            sys.stdout.write(f"{opcodes / each:8.1f} {found.calls[code] / each:7.2f}  {place}\n")


if __name__ == "__main__":
    main()
