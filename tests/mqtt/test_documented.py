"""The manual names every event, code and state there is, and its links lead somewhere."""

import re
from pathlib import Path
from typing import get_args

from chargerd.contract.bodies import RENAMED
from chargerd.core.commands import Code
from chargerd.core.facts import Fact, SessionFact
from chargerd.core.session import StopReason
from chargerd.core.view import PortState

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"""(?:EventBody\(\s*event=|\.say\(|_alarm\()"(\w+)\"""")


def events_of_facts() -> set[str]:
    names = set()
    for fact in set(get_args(Fact)) - set(get_args(SessionFact)):
        words = re.sub(r"(?<!^)(?=[A-Z])", "_", fact.__name__).lower()
        names.add(RENAMED.get(fact, words))
    return names


def events_of_the_gateway() -> set[str]:
    files = (ROOT / "chargerd").rglob("*.py")
    return {name for file in files for name in NAMED.findall(file.read_text())}


def test_every_event_is_in_the_manual() -> None:
    manual = (ROOT / "docs" / "mqtt.md").read_text()
    table = manual.partition("### Events")[2].partition("\n### ")[0]
    told = set(re.findall(r"`(\w+)`", table))
    found = events_of_facts() | events_of_the_gateway()
    assert {"board_lost", "clock_fixed", "ack_ahead", "journal_was_damaged"} <= found
    missing = [f"describe `{name}` under Events of docs/mqtt.md" for name in sorted(found - told)]
    assert not missing, "\n".join(missing)


UNUSED = {"queue_full"}
"""Kept for a queue that may one day have an end."""


def test_every_code_is_in_the_manual() -> None:
    table = (ROOT / "docs" / "mqtt.md").read_text().partition("### Codes")[2].partition("\n### ")[0]
    firsts = " ".join(row.split("|")[1] for row in table.splitlines() if row.startswith("|"))
    told, known = set(re.findall(r"`(\w+)`", firsts)) - {"code"}, {code.value for code in Code} - UNUSED
    missing = [f"describe `{name}` under Codes of docs/mqtt.md" for name in sorted(known - told)]
    assert not missing, "\n".join(missing)
    assert told == known


def test_every_stop_reason_is_in_the_manual() -> None:
    table = (ROOT / "docs" / "mqtt.md").read_text().partition("### Stop reasons")[2].partition("\n### ")[0]
    firsts = " ".join(row.split("|")[1] for row in table.splitlines() if row.startswith("|"))
    assert set(re.findall(r"`(\w+)`", firsts)) - {"stop_reason"} == {reason.value for reason in StopReason}


def test_every_state_of_a_port_is_in_the_manual() -> None:
    table = (ROOT / "docs" / "mqtt.md").read_text().partition("| `state` | it means |")[2].partition("\n\n")[0]
    firsts = " ".join(row.split("|")[1] for row in table.splitlines() if row.startswith("|"))
    assert set(re.findall(r"`(\w+)`", firsts)) == {state.value for state in PortState}


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def test_every_link_of_the_documents_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    broken = []
    for page in pages:
        prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", prose):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert broken == []
