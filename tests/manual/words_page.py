"""`docs/words.md`: every stable string of the contract, with what it means and where the manual tells more.

Which strings there are is what the code says; what they mean is taken from the tables of the manual, so that
nothing is said twice. `python -m tests.manual --write` writes the page.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from chargerd.core.commands import Code
from chargerd.core.session import StopReason
from chargerd.core.view import PortState

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "words.md"
PARSER = MarkdownIt("commonmark").enable("table")
LOCAL = re.compile(r"\]\(#")
HEAD = """\
# Every word

<!-- Written by `python -m tests.manual --write`. -->

What stands in messages, in the log and on the screen of `chargerctl` as a word in `this_form`: codes of replies
and of `blocked_by`, reasons of ends and of suspensions, events, protective functions, states. By letter; the last
column leads to where more is told. Keys of the configuration are on [a page of their own](configuration.md),
fields of messages with [each message](contract/README.md).

| word | is | means | see |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Kind:
    """What words are called, and the table that explains them: page, heading, and the column of the meaning."""

    name: str
    page: str
    heading: str
    column: int
    wanted: Collection[str] | None = None
    """The words the code has; `None`: a test elsewhere holds the table to the code."""


KINDS = (
    Kind("code", "mqtt.md", "Codes", 1, {code.value for code in Code} - {"queue_full"}),
    Kind("event", "mqtt.md", "Events", 2),
    Kind("stop reason", "mqtt.md", "Stop reasons", 1, {reason.value for reason in StopReason}),
    Kind("state of a port", "mqtt.md", "A port's state", 1, {state.value for state in PortState}),
    Kind("function, reason of a suspension", "protection.md", "A port", 1),
)


def text_of(node: SyntaxTreeNode) -> str:
    """Return the source of a cell."""
    return node.children[0].content if node.children else ""


def rows(kind: Kind) -> Iterator[tuple[list[str], str]]:
    """Yield the words of each row's first cell, and what it says of them, of the tables below the heading."""
    tree = SyntaxTreeNode(PARSER.parse((DOCS / kind.page).read_text(encoding="utf-8")))
    inside = False
    for node in tree.children:
        if node.type == "heading":
            inside = text_of(node) == kind.heading
        if inside and node.type == "table" and len(node.children) > 1:
            for row in node.children[1].children:
                cells = [text_of(cell) for cell in row.children]
                words = re.findall(r"`(\w+)`", cells[0])
                if words and len(cells) > kind.column:
                    yield words, cells[kind.column]


def anchor(heading: str) -> str:
    """Return a heading's name in links."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def explained(kind: Kind) -> dict[str, str]:
    """Return the meaning of each word of a kind."""
    meanings: dict[str, str] = {}
    for words, meaning in rows(kind):
        shared = "" if len(words) == 1 else ", ".join(f"`{word}`" for word in words) + ": "
        meanings |= dict.fromkeys(words, shared + LOCAL.sub(f"]({kind.page}#", meaning))
    return meanings


def page() -> str:
    """Return the whole page."""
    lines = defaultdict(list)
    for kind in KINDS:
        place = f"[{kind.heading}]({kind.page}#{anchor(kind.heading)})"
        for word, meaning in explained(kind).items():
            lines[word].append(f"| `{word}` | {kind.name} | {meaning} | {place} |\n")
    return HEAD + "".join(line for word in sorted(lines) for line in lines[word])
