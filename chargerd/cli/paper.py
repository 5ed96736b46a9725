"""Where tables are drawn: nothing in them does anything to the terminal, whoever it comes from."""

import os
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

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
