"""Files that are missing, unreadable or something else, and profiles of a site's own."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from chargerd.cli.check import command
from chargerd.config.loader import load
from chargerd.config.problems import ConfigurationError
from chargerd.config.profiles.library import load_profiles
from tests.config.sites import BASE, changed, shipped, unmarked
from tests.judging import every

SHIPPED = set(shipped())
EXAMPLES = sorted((Path(__file__).parents[2] / "config").glob("*.yaml"))
FAMILY = """\
family: Example
source: the manual
verified: nothing
common:
  relay: {dead_man: none, read_back: {function: 1, min_count: 8}}
profiles:
  example-8: {title: Eight, relay: {channels: 8}}
  example-16: {title: Sixteen, relay: {channels: 16, read_back: {min_count: 16}}}
"""


def refusal(path: Path, folders: tuple[Path, ...] = ()) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(path, profile_folders=folders)
    assert str(caught.value) == "\n".join(str(problem) for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


def profile_refusal(folder: Path, text: str) -> list[str]:
    found, places = unmarked(text)
    (folder / "own.yaml").write_text(found)
    with pytest.raises(ConfigurationError) as caught:
        load_profiles((folder,))
    told = [str(problem).removeprefix(f"{folder / 'own.yaml'}:") for problem in caught.value.problems]
    for place, problem in zip(places, told, strict=bool(places)) if places else ():
        assert problem.startswith(f"{place}: ")
    return [problem.split(": ", 1)[1] for problem in told]


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(BASE.replace("Shed", "棚屋"), encoding="utf-8")
    assert load(path, profile_folders=()).gateway.name == "棚屋"


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(BASE, encoding="utf-8-sig")
    assert load(path, profile_folders=()).gateway.id == "gate-1"


def test_the_places_of_a_file_are_its_own(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(changed("power_w: 800", "power_w: 8000"))
    assert refusal(path)[0].startswith(f"{path}:19:19: limits.power_w is 8000")


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    hint = (
        "copy an example there, and adapt it: /etc/chargerd/chargerd.example.yaml, or config/ of the source tree"
    )
    assert refusal(path) == [f"{path}: no such file; {hint}"]


def test_a_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path) == [f"{tmp_path}: this is a folder; name the file itself"]


def test_bytes_that_are_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes("gateway: {name: Gehäuse}".encode("latin-1"))
    assert refusal(path) == [f"{path}: not UTF-8; save it as UTF-8"]


def test_a_file_one_may_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(BASE)
    path.chmod(0)

    def refused(*_arguments: object, **_options: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    if os.access(path, os.R_OK):  # root may read anything
        monkeypatch.setattr(Path, "read_text", refused)
    assert refusal(path) == [f"{path}: may not be read; make it readable for the user chargerd"]


def test_a_disk_that_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object, **_options: object) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_text", broken)
    path = tmp_path / "site.yaml"
    assert refusal(path) == [f"{path}: cannot be read: Input/output error; look after the disk and the path"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_accepted_without_a_note(path: Path) -> None:
    assert load(path, profile_folders=()).notes == ()


def test_the_examples_are_of_the_sizes_they_say() -> None:
    sizes = {path.stem: len(load(path, profile_folders=()).ports) for path in EXAMPLES}
    assert sizes == {"bench": 1, "network": 10, "one-shed": 12, "quarter": 85}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_how_it_is_checked_and_that_is_how(path: Path) -> None:
    text = path.read_text()
    assert f"\n#   chargerd check config/{path.name}\n" in text
    result = CliRunner().invoke(command, [str(path)])
    assert result.exit_code == 0
    # Its lines are not on this machine, which is no mistake of the file.
    assert result.stdout.splitlines()[-1].startswith(("Good. ", "Usable, "))


def test_the_profiles_that_come_with_the_program_are_all_there() -> None:
    assert len(SHIPPED) >= 36
    assert every(profile.title and profile.source and profile.verified for profile in shipped().values())


def test_a_sites_profiles_are_added_and_merged_with_what_they_have_in_common(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(FAMILY)
    (tmp_path / "own.txt").write_text("not a profile")
    profiles = load_profiles((tmp_path, tmp_path / "missing"))
    assert set(profiles) == SHIPPED | {"example-8", "example-16"}
    relay = profiles["example-16"].relay
    assert relay is not None
    assert (relay.channels, relay.read_back.function, relay.read_back.min_count) == (16, 1, 16)
    assert (profiles["example-8"].source, profiles["example-8"].name) == ("the manual", "example-8")


def test_a_sites_profile_overrides_the_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(FAMILY.replace("example-8", "waveshare-relay-8"))
    assert load_profiles((tmp_path,))["waveshare-relay-8"].title == "Eight"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "",
            ["a file of profiles needs a mapping `profiles`; write it like the profiles that come with chargerd"],
        ),
        (
            "§profiles: [1]\n",
            ["a file of profiles needs a mapping `profiles`; write it like the profiles that come with chargerd"],
        ),
        (FAMILY.replace("common:\n  relay:", "common: §5\nx:\n  relay:"), None),
        (FAMILY.replace("verified: nothing", "§verifyed: nothing"), None),
        (
            FAMILY.replace("{title: Eight, relay: {channels: 8}}", "8").replace("  example-8", "  §example-8"),
            ["profile example-8 is not a mapping; write it like the profiles that come with chargerd"],
        ),
        (
            FAMILY.replace("channels: 8", "channels: §800"),
            ["profile example-8: relay.channels is 800, above the fixed ceiling of 64; give at most 64"],
        ),
        (FAMILY.replace("dead_man: none", "dead_man: §never"), None),
        (FAMILY.replace("title: Eight", "§titel: Eight"), None),
        (
            FAMILY.replace("channels: 8}", "channels: 8, write: §7}"),
            ["profile example-8: relay.write cannot be 7; give 5 or 6"],
        ),
        ("profiles: {\n", None),
        (FAMILY + "§common: {}\n", ["key 'common' stands in line 4 already; give each key once"]),
    ],
)
def test_mistakes_in_a_profile_are_named(tmp_path: Path, text: str, said: list[str] | None) -> None:
    if said is not None:
        assert profile_refusal(tmp_path, text) == said
    else:
        assert profile_refusal(tmp_path, text.replace("§", ""))


def test_a_common_mistake_is_told_for_each_profile_where_it_stands(tmp_path: Path) -> None:
    told = profile_refusal(tmp_path, FAMILY.replace("dead_man: none", "dead_man: never"))
    what = "relay.dead_man cannot be never; give 'timed_on', 'heartbeat', 'poll_timeout' or 'none'"
    assert told == [f"profile example-16: {what}", f"profile example-8: {what}"]


def test_a_dead_man_without_means_is_refused(tmp_path: Path) -> None:
    told = profile_refusal(tmp_path, FAMILY.replace("dead_man: none", "dead_man: timed_on"))
    what = "relay: dead_man: timed_on needs a timed_on section; correct it"
    assert told == [f"profile example-8: {what}", f"profile example-16: {what}"]


@pytest.mark.parametrize("figure", ["unit_ms: 0", "unit_ms: 100, max_value: 0", "unit_ms: 100, max_value: 65536"])
def test_a_timed_closing_that_cannot_be_written_is_refused(tmp_path: Path, figure: str) -> None:
    timed = f"dead_man: timed_on, timed_on: {{first: 512, {figure}}}"
    assert len(profile_refusal(tmp_path, FAMILY.replace("dead_man: none", timed))) == 2


def test_all_files_of_profiles_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("profiles: {\n")
    (tmp_path / "b.yaml").write_bytes(b"\xff")
    (tmp_path / "c.yaml").write_text("- 1")
    (tmp_path / "site.txt").write_text(BASE)
    told = refusal(tmp_path / "site.txt", (tmp_path,))
    assert [Path(problem.split(":")[0]).name for problem in told] == ["a.yaml", "b.yaml", "c.yaml"]
