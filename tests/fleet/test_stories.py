"""Every told story on a virtual clock: it happens, every message is the contract's, and no row is missing."""

from collections import Counter
from pathlib import Path

import pytest

from chargerd.config.problems import ConfigurationError
from chargerd.fleet.story import StoryError, load_story, named_stories, read_story
from tests.fleet.rig import Rig

ESTIMATED = {
    "queue_timeout": "relay_not_closed",
    "stale": "register_not_read",
    "too_long_without_power": "interrupted",
}
"""Why the energy of a session is estimated, in the stories that bring that about: each other one is exact."""


@pytest.mark.parametrize("name", list(named_stories()))
def test_a_told_story_happens_and_says_nothing_the_contract_does_not_know(name: str, tmp_path: Path) -> None:
    # What a backend is to be shown has been heard when the story is over: it waits for just that.
    rig = Rig.of(load_story(name), tmp_path).start()
    rig.run(10_000.0)
    assert rig.telling is not None
    assert rig.telling.failure is None
    assert rig.telling.over
    rig.close()
    assert not rig.broker.wrong, rig.broker.wrong[:5]
    for stream, rows in rig.broker.rows.items():
        assert sorted(rows) == list(range(min(rows), max(rows) + 1)), f"a hole in {stream}"
    sessions = [body for rows in rig.broker.rows.values() for body in rows.values() if "started_at" in body]
    ended = Counter(body["session_id"] for body in sessions if body["event"] == "ended")
    assert set(ended.values()) <= {1}
    assert {body["session_id"] for body in sessions} == set(ended), "what was begun is settled"
    assert rig.gateway.rows[2] == 0, "unsent"
    reasons = {body["energy_quality_reason"] for body in sessions if body["event"] == "ended"}
    assert reasons - {None} == ({ESTIMATED[name]} if name in ESTIMATED else set())


def test_the_manual_has_each_story_with_its_words() -> None:
    page = (Path(__file__).parents[2] / "docs" / "backend" / "simulate.md").read_text()
    for name, text in named_stories().items():
        row = f"| `{name}` | {read_story(text, name).says} |"
        assert row in page, f"docs/backend/simulate.md lacks the row of a story, with its `says`: {row}"


def test_the_story_of_the_manual_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "backend" / "simulate.md").read_text()
    rig = Rig.of(read_story(page.split("```yaml\n")[1].split("```")[0], "manual"), tmp_path).start()
    rig.run(1000.0)
    assert rig.telling is not None
    assert rig.telling.told, rig.telling.failure
    rig.close()


NEVER = """
says: It waits for what does not come.
steps:
  - wait: {topic: state/gateway, where: {status: online}}
  - plug: {port: A01}
  - wait: {topic: up/session, where: {event: started}, within_s: 30}
"""


def test_a_story_that_waits_in_vain_says_for_what(tmp_path: Path) -> None:
    rig = Rig.of(read_story(NEVER, "never"), tmp_path).start()
    rig.run(100.0)
    assert rig.telling is not None
    assert not rig.telling.told
    assert rig.telling.failure is not None
    assert 'step 3: nothing on up/session with {"event": "started"} within 30 s' in rig.telling.failure
    rig.close()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "says: x\nsteps: [{plug: {port: A01}, unplug: A01}]",
            "mine:2:9: steps.1 has plug and unplug at once; give each a step of its own",
        ),
        ("says: x\nsteps: []", "mine:2:8: steps is empty; give at least one"),
        ("says: x\nsteps:\n  - unplug: A01\n  - jump: 1", "mine:4:5: unknown step 'jump'; a step is one of ask, "),
        ("says: x\nsteps:\n  - plug: {prt: A01}", "mine:3:12: unknown key 'prt'; did you mean port?"),
        ("says: x\nsteps:\n  - plug: {port: A01, load: iron}", "steps.1.plug.load is no load; give charger, "),
        ("says: x\nsteps:\n  - wait:", "is an empty step; a step is one of ask, "),
        (
            "says: x\nsteps: [{plug: {port: A03}}]",
            "no port 'A03'; there are A01, A02; `ports` makes more",
        ),
        ("says: x\nsteps: [{unplug: A03}]", "mine:2:18: there is no port 'A03'"),
        ("says: x\nsteps: [{ask: {method: stop, args: {port: B01}}}]", "there is no port 'B01'"),
        ("says: x\nsteps: [{wait: {topic: state/port/A09}}]", "there is no port 'A09'"),
        ("says: x\nsteps: [{silent: [meter-a3]}]", "there is no board 'meter-a3'"),
        ("says: [", "mine:1:8: "),
        ("- x", "mine:1:1: this is no story; begin with says and steps"),
    ],
)
def test_what_is_no_story_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^mine:") as caught:
        read_story(text, "mine")
    assert told in str(caught.value)


REFUSED = """
says: Somebody asks for what is refused.
steps:
  - wait: {topic: state/port/A01, where: {state: available}}
  - ask: {method: stop, args: {port: A01, answer: none}, times: 2}
  - wait: {topic: up/session, where: {event: started}, within_s: 1}
"""


def test_what_is_asked_in_vain_is_told_once_and_no_line_has_python_in_it(tmp_path: Path) -> None:
    told: list[str] = []
    rig = Rig.of(read_story(REFUSED, "refused"), tmp_path, told.append).start()
    rig.run(100.0)
    assert [line for line in told if line.startswith("step 2: stop rejected: ")] == told[-1:]
    assert 'step 2: ask {"method": "stop", "args": {"port": "A01", "answer": "none"}, "times": 2}' in told
    assert rig.telling is not None
    assert rig.telling.failure == (
        'step 3: nothing on up/session with {"event": "started"} within 1 s; none came there'
    )
    rig.close()


STANDING = """
says: It waits for a state other than the one that stands.
steps:
  - wait: {topic: state/port/A01, where: {state: available}}
  - mains_v: 231
  - wait: {topic: state/port/A01, where: {state: charging}, within_s: 0}
"""


def test_a_wait_in_vain_says_how_the_state_stands_that_nobody_changed(tmp_path: Path) -> None:
    rig = Rig.of(read_story(STANDING, "standing"), tmp_path).start()
    rig.run(100.0)
    assert rig.telling is not None
    assert rig.telling.failure is not None
    assert rig.telling.failure.endswith('within 0 s; the last there had {"state": "available"}')
    rig.close()


def test_a_story_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(StoryError, match=r"neither a file .* nor one of circuit_full, .*--stories"):
        load_story("nonsuch")


def test_a_story_may_be_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(NEVER)
    assert load_story(str(path)).says == "It waits for what does not come."
