"""Log lines never hold a thread up, whoever reads them or does not."""

import io
import os
import threading

from chargerd.runtime.process.log_queue import MOST_LINES, LogQueue
from tests.patience import PATIENCE_S


def test_lines_come_out_in_order() -> None:
    out = io.StringIO()
    lines = LogQueue(out)
    for number in range(100):
        assert lines.write(f"{number}\n") == len(f"{number}\n")
    lines.flush()
    lines.close(5.0)
    assert out.getvalue().split() == [str(number) for number in range(100)]


class Stalled(io.StringIO):
    """A reader that does not read until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def write(self, text: str) -> int:
        self.let_go.wait(PATIENCE_S)
        return super().write(text)


def test_a_reader_that_stalls_holds_nobody_up_and_costs_lines() -> None:
    out = Stalled()
    lines = LogQueue(out)
    for _ in range(MOST_LINES + 200):
        lines.write("x\n")
    assert lines.dropped > 0
    out.let_go.set()
    lines.close(5.0)
    assert out.getvalue().count("x") >= MOST_LINES


def test_a_reader_that_has_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    file = os.fdopen(writer, "w")
    lines = LogQueue(file)
    lines.write("to nobody\n")
    lines.close(5.0)
    assert lines.dropped == 1
    try:
        file.close()
    except BrokenPipeError:
        assert file.closed
