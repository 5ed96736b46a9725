"""Where tables are drawn: nothing in them does anything to the terminal, whoever it comes from."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from chargerd.core.text import visible_lines


class Paper(Console):
    """A console on which text is nothing but text, in cells and titles too: neither control codes nor markup."""

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Draw, with what has no picture of its own spelt out; rich keeps its control codes apart from text."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield segment._replace(text=visible_lines(segment.text))
