"""The page of the log leaves out no event that is logged, and explains none that is not."""

from tests.judging import every
from tests.manual.logs_page import NAMED_ELSEWHERE, PAGE, logged, of_facts, page, unnamed, words
from tests.manual.words_page import KINDS, explained

EVENTS = next(kind for kind in KINDS if kind.name == "event")
OF_SESSIONS = {f"session_{what}" for what in ("started", "updated", "suspended", "resumed", "ended")}
RENAMED = {"board_went_silent": "board_lost", "board_returned": "board_back"}
"""Facts that the ledger has by another name than the log."""


def test_every_event_that_is_logged_is_explained() -> None:
    said = logged().keys()
    assert len(said) > 70
    missing, gone = sorted(said - words().keys()), sorted(words().keys() - said)
    assert not missing, f"explain these in tests/manual/log_events.yaml: {missing}"
    assert not gone, f"nobody logs these: {gone}"


def test_each_says_what_it_means_and_what_to_do() -> None:
    for event, word in words().items():
        assert {"means", "do"} <= word.keys() <= {"means", "do", "fields"}, event
        assert every(isinstance(word[key], str) and word[key] for key in ("means", "do")), event


def test_events_without_a_name_in_the_code_come_from_known_places() -> None:
    assert unnamed() == NAMED_ELSEWHERE.keys()


def test_what_the_core_tells_is_explained_with_the_ledger() -> None:
    told = {RENAMED.get(name, name) for name in of_facts()} - OF_SESSIONS
    assert sorted(told - explained(EVENTS).keys()) == []


def test_the_page_is_of_today() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.manual --write"
