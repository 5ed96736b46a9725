"""Where tables are drawn: nothing in them does anything to the terminal, whoever it comes from."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from chargerd.text import visible_lines

ENDLESS = 10_000
"""Columns of what is no terminal: more than any line here has."""


class Paper(Console):
    """A console on which text is nothing but text, in cells and titles too: neither control codes nor markup.

    In a file or a pipe a row is a line, however long: whoever searches there looks for whole words. `COLUMNS` in
    the environment sets another width.
    """

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False, emoji=False)
        if not self.is_terminal and "COLUMNS" not in os.environ:
            self.width = ENDLESS

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Draw, with what has no picture of its own spelt out; rich keeps its control codes apart from text."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield segment._replace(text=visible_lines(segment.text))


class Canvas(Paper):
    """A whole screen that is drawn again and again: only lines that have changed go to the terminal.

    A terminal over a slow network gets a few bytes a second, and rich draws nothing twice.
    """

    def __init__(self) -> None:
        super().__init__()
        self._drawn: list[str] = []
        self._size = (0, 0)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Take the screen over, and give it back as it was."""
        self._write("\x1b[?1049h\x1b[?25l")
        try:
            yield
        finally:
            self._write("\x1b[?25h\x1b[?1049l")

    def show(self, lines: Sequence[Text]) -> None:
        """Draw these lines from the top."""
        if (size := (self.width, self.height)) != self._size:
            self._drawn, self._size = [], size
            self._write("\x1b[2J")
        drawn = [self._line(line) for line in lines[: self.height]]
        before = [*self._drawn, *[""] * len(drawn)]
        new = [
            f"\x1b[{at};1H{line}\x1b[0m\x1b[K"
            for at, (line, old) in enumerate(zip(drawn, before, strict=False), 1)
            if line != old or not self._drawn
        ]
        self._drawn = drawn
        if new:
            self._write("".join(new))

    def _line(self, line: Text) -> str:
        with self.capture() as captured:
            self.print(line, end="", no_wrap=True, crop=True, overflow="crop")
        return captured.get()

    def _write(self, codes: str) -> None:
        self.file.write(codes)
        self.file.flush()
