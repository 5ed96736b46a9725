"""chargerctl prove as a technician sees it, against a socket that answers like the daemon; and its report."""

import json
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chargerd.cli.chargerctl import main
from chargerd.cli.commands import group as chargerd
from chargerd.cli.proof_words import FINDINGS, MUTUAL, NOT_TESTED, RESULTS, remedy, sentence
from chargerd.cli.report_files import ReportError, read, written
from chargerd.cli.report_pages import FAILED, FUNCTIONS, span, when
from chargerd.config.loader import load
from chargerd.contract.ledger import Json
from chargerd.control.server import ControlServer, Peer, Responder
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.proof import Closing, Evidence, Kind, LeaseTest, Shown
from chargerd.core.proof import Result as Outcome
from chargerd.core.units import Amps, BoardId, Instant, PortId, Seconds, Volts, Watts
from chargerd.runtime.local.proof_report import report
from chargerd.runtime.local.proofs_kept import Kept
from chargerd.runtime.process.clock import SystemClock
from tests.judging import every
from tests.logs import capture_logs
from tests.runtime.test_proofs import A01, A02, CONFIGURATION

EVIL = "\x1b]0;owned\x07<script>alert(1)</script>\u202e"
WHEN = 1_796_000_000_000


def closing(port: PortId, shows: PortId, watts: float = 100.0, **more: Any) -> Closing:
    shown = tuple(
        Shown(
            port=one,
            before=Watts(0.0),
            during=Watts(watts if one == shows else 0.0),
            current=Amps(0.43),
            voltage=Volts(229.6),
        )
        for one in (A01, A02)
    )
    return Closing(
        relay=port,
        loads=(port,),
        at_ms=WHEN,
        closed=True,
        lasted=Seconds(4.2),
        shown=shown,
        still=Watts(0.0),
        **more,
    )


def lease(**more: Any) -> LeaseTest:
    return LeaseTest(
        board=BoardId("relay-a"),
        port=A01,
        lease=Seconds(6.0),
        renewed_for=Seconds(15.0),
        lowest=0.99,
        flickered=False,
        off_after=Seconds(0.4),
        off_stayed=True,
        lapse_after=Seconds(6.1),
        lapse_opened=True,
        **more,
    )


def made(folder: Path, *closings: Closing, leases: tuple[LeaseTest, ...] = (), by: str = "Ann") -> dict[str, Any]:
    """Return the report of such a proof, as it comes over the socket."""
    (folder / "site.yaml").write_text(CONFIGURATION)
    site = load(folder / "site.yaml")
    kept = Kept(
        proof="proof-1",
        digest=site.digest,
        ports=(A01, A02),
        load=Watts(100.0),
        moving=True,
        by=by,
        uid=1000,
        began_ms=WHEN,
        evidence=Evidence(closings=closings, leases=leases),
    )
    told: dict[str, Any] = json.loads(
        json.dumps(report(site, kept, Moment(instant=Instant(1.0), wall_ms=WHEN, clock=ClockQuality.NTP)))
    )
    return told


class Daemon:
    """Answers like the daemon: the script goes on when its questions are answered."""

    def __init__(self) -> None:
        self.script: list[dict[str, Json]] = []
        self.answers: list[Json] = []
        self.asked: dict[str, Json] = {}
        self.refuses: tuple[str, str, str] | None = None
        self._waiting: Responder | None = None

    def call(self, method: str, params: Mapping[str, Json], _peer: Peer, respond: Responder) -> None:
        match method:
            case "status":
                respond.send({"ports": [{"port": "A01", "label": "left"}, {"port": "A02", "label": "A02"}]})
            case "prove" if self.refuses is not None:
                respond.fail(*self.refuses)
            case "prove":
                self.asked, self._waiting = dict(params), respond
                self._go_on()
            case "prove-answer":
                self.answers.append(params["answer"])
                respond.send({"ok": True})
                self._go_on()
            case _:
                respond.send(self.script[-1]["report"])

    def _go_on(self) -> None:
        assert self._waiting is not None
        while self.script:
            told = self.script.pop(0)
            self._waiting.send(told, more="report" not in told)
            if "ask" in told:
                return


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    one = Daemon()
    server = ControlServer(tmp_path / "chargerctl.sock", one, clock=SystemClock(), on_crash=lambda _error: None)
    with capture_logs():
        server.start()
        yield one
        server.stop()


def run(folder: Path, *arguments: str, say: str = "", columns: int = 80) -> Result:
    command = ["--socket", str(folder / "chargerctl.sock"), "prove", *arguments]
    return CliRunner().invoke(main, command, input=say, env={"COLUMNS": str(columns)})


def doing(what: str, port: str, **more: Json) -> dict[str, Json]:
    return {
        "doing": what,
        "port": port,
        "board": "relay-a",
        "result": None,
        "power_w": None,
        "findings": [],
        **more,
    }


def exchanged(folder: Path) -> list[dict[str, Json]]:
    """A proof in which the meters of two ports are exchanged."""
    told = made(folder, closing(A01, A02), closing(A02, A01))
    finding = {**told["findings"][0], "mutual": False}
    answers: Json = ["ready", "skip"]
    return [
        {"proof": "proof-1", "ports": ["A01", "A02"], "load_w": 100.0, "done": []},
        {"ask": "plug", "port": "A01", "answers": answers},
        doing("close", "A01"),
        doing("shown", "A01"),
        doing("port", "A01", result="findings", findings=[finding]),
        {"ask": "plug", "port": "A02", "answers": answers},
        doing("close", "A02"),
        {"report": told},
    ]


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_it_asks_step_by_step_and_names_what_is_wrong_first(daemon: Daemon, tmp_path: Path, columns: int) -> None:
    daemon.script = exchanged(tmp_path)
    result = run(tmp_path, "--load", "100", "--by", "Ann", say="what\n\nr\n", columns=columns)
    assert result.exit_code == 4, result.output
    assert daemon.answers == ["ready", "ready"]
    assert daemon.asked == {"load_w": 100.0, "by": "Ann", "asks": True, "each": False, "anew": False}
    typed = result.stdout.replace("q] stop: ", "q] stop: \n")  # where a person's Enter ends the line
    assert every(len(line) <= columns for line in typed.splitlines())
    text = " ".join(result.stdout.split())
    assert "Put the load into socket A01 (left), switch it on" in text
    assert "answer one of: ready, skip" in text
    assert "A01: WRONG: the load in A01 shows on the meter of A02: their meters are exchanged" in text
    after = text.partition("RESULT: WRONG: ")[2]
    assert after.startswith("A01, A02: the meters of A01 and A02 are exchanged do: exchange the wires of the two")
    assert after.count("are exchanged") == 1
    assert "Not tested: board relay-a: whether it opens by itself when the gateway dies" in after


@pytest.mark.parametrize("say", ["q\n", ""])
def test_whoever_stops_is_told_that_it_goes_on_another_time(daemon: Daemon, tmp_path: Path, say: str) -> None:
    daemon.script = exchanged(tmp_path)
    result = run(tmp_path, say=say)
    assert result.exit_code == 5
    assert "broken off: everything is opened, what was seen is kept" in result.stderr
    assert daemon.answers == []


def test_programs_get_each_step_and_answer_in_lines(daemon: Daemon, tmp_path: Path) -> None:
    script = daemon.script = exchanged(tmp_path)
    expected = list(script)
    result = run(tmp_path, "--json", say="ready\nskip\n")
    assert result.exit_code == 4
    assert [json.loads(line) for line in result.stdout.splitlines()] == expected
    assert daemon.answers == ["ready", "skip"]


def test_it_goes_on_and_asks_whether_the_load_ran_through(daemon: Daemon, tmp_path: Path) -> None:
    answers: Json = ["no", "skip", "yes"]
    told = made(tmp_path, closing(A01, A01), closing(A02, A02), leases=(lease(),))
    daemon.script = [
        {"proof": "proof-1", "ports": ["A01", "A02"], "load_w": None, "done": ["A01"]},
        doing("renew", "A02"),
        {"ask": "steady", "port": "A02", "answers": answers},
        doing("off", "A02"),
        doing("lapse", "A02"),
        doing("board", "A02"),
        doing("shown", "A02", power_w=101.2),
        doing("port", "A02", result="proved"),
        {"report": told},
    ]
    result = run(tmp_path, say="\ny\n")
    assert result.exit_code == 0, result.output
    assert daemon.answers == ["yes"]
    text = " ".join(result.stdout.split())
    assert "done: A01. From the beginning: --anew" in text
    assert "Did the load in A02 run without going out" in text
    assert "A02: its meter shows 101 W" in text
    assert "RESULT: proved" in text
    assert "board relay-a: opens by itself, proved" in text


def test_with_a_load_in_each_nobody_need_be_there(daemon: Daemon, tmp_path: Path) -> None:
    answers: Json = ["ready", "skip"]
    daemon.script = [
        {"proof": "proof-1", "ports": ["A01"], "load_w": None, "done": []},
        {"ask": "plug_all", "port": None, "answers": answers},
        {"report": made(tmp_path, closing(A01, A01))},
    ]
    result = run(tmp_path, "--each", "--yes", "--anew", "--ports", "A01,A02")
    assert result.exit_code == 5, "one of two ports"
    assert daemon.answers == ["ready"]
    assert daemon.asked["asks"] is False
    assert "not proved yet: A02" in result.stdout


def test_what_is_refused_is_told_with_why(daemon: Daemon, tmp_path: Path) -> None:
    daemon.refuses = ("busy", "a session or another proof is under way: A02 (busy)", "wait, or name --ports")
    result = run(tmp_path, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "busy"
    assert "A02 (busy); wait" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--yes",), "name one port, or have one in --each"),
        (("--yes", "--ports", "A01,A02"), "name one port"),
        (("--report", "proof.txt"), "ends in .pdf, .html or .json"),
        (("--report", "/nowhere/at/all/proof.pdf"), "there is no folder /nowhere/at/all"),
        (("--load", "0"), "0.0 is not in the range"),
    ],
)
def test_what_nobody_can_mean_is_refused_before_anything_closes(
    daemon: Daemon, tmp_path: Path, arguments: tuple[str, ...], why: str
) -> None:
    result = run(tmp_path, *arguments)
    assert result.exit_code == 2
    assert why in " ".join(result.stderr.replace("│", " ").split())
    assert not daemon.asked


def test_the_newest_is_shown_again_and_written_in_each_form(daemon: Daemon, tmp_path: Path) -> None:
    told = made(tmp_path, closing(A01, A01), closing(A02, A02, -98.0), leases=(lease(),))
    daemon.script = [{"report": told}]
    for suffix in ("json", "html", "pdf"):
        file = tmp_path / f"proof.{suffix}"
        result = run(tmp_path, "--show", "--report", str(file))
        assert result.exit_code == 4
        assert f"report written: {file}" in result.stderr
    assert json.loads((tmp_path / "proof.json").read_text()) == told
    assert (tmp_path / "proof.pdf").read_bytes().startswith(b"%PDF-")
    machine = run(tmp_path, "--show", "--json")
    assert json.loads(machine.stdout) == told
    assert not daemon.asked


@pytest.mark.usefixtures("daemon")
def test_completion_knows_several_ports(tmp_path: Path) -> None:
    environment = {
        "_CHARGERCTL_COMPLETE": "bash_complete",
        "COMP_WORDS": f"chargerctl --socket {tmp_path / 'chargerctl.sock'} prove --ports A01,a",
        "COMP_CWORD": "5",
    }
    result = CliRunner().invoke(main, env=environment, prog_name="chargerctl")
    assert "A01,A02" in result.stdout


# The report


class Words(HTMLParser):
    """The words of a page, and whether anything in it could act."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_has_the_result_first_and_all_that_was_measured(tmp_path: Path) -> None:
    told = made(tmp_path, closing(A01, A01), closing(A02, A02, -98.0), leases=(lease(),))
    page = written(told, ".html").decode()
    text = Words(page).text
    assert text.index("FINDINGS") < text.index("What was found") < text.index("What was not tested")
    assert (
        text.index("What was not tested") < text.index("Signed") < text.index("Wiring As the configuration says")
    )
    assert "A02: its meter shows power flowing back (-98 W): it is wired the wrong way round" in text
    assert "To do: turn the current transformer round" in text
    assert "relay-a/1: waveshare-relay-16, line-a address 1" in text
    assert "15 s at A01; load never below 99%, seen steady" in text
    assert "after 6.1 s (lease 6 s)" in text
    assert "Current, one reading (overcurrent_instant) 7.5 A" in text
    assert f"sha256 {told['configuration']['digest']}" in text
    assert "By Ann (user id 1000)" in text
    assert when(WHEN) == "2026-11-30 00:53 UTC"
    assert "Fire protection: name, date, signature" in text
    assert "http" not in page, "it needs nothing from anywhere"


def test_a_page_of_what_was_left_says_so(tmp_path: Path) -> None:
    failed = lease().__class__(
        board=BoardId("relay-a"), port=A01, lease=Seconds(6.0), lowest=0.2, flickered=True, lapse_opened=False,
        off_after=Seconds(4.0), off_stayed=False, lapse_after=Seconds(7.0), renewed_for=Seconds(15.0),
    )  # fmt: skip
    stopped = closing(A01, A01, refused="latched")
    text = Words(written(made(tmp_path, stopped, leases=(failed,)), ".html").decode()).text
    for words in (
        "refused: latched",
        "seen to flicker",
        "open within 4 s, did NOT stay",
        "NOT within 7 s",
        "port A02: its relay was not closed with a load in its socket",
        "not ended",
    ):
        assert words in text
    kept = lease().__class__(board=BoardId("relay-a"), port=A01, lease=Seconds(6.0), why="no_load")
    assert "not tested: no_load" in Words(written(made(tmp_path, leases=(kept,)), ".html").decode()).text


def test_what_comes_from_afar_is_text_in_every_form(tmp_path: Path) -> None:
    told = made(tmp_path, closing(A01, A01), by=EVIL)
    told["gateway"] = EVIL
    told["ports"][0]["label"] = EVIL
    assert "script" not in Words(written(told, ".html").decode()).tags
    assert written(told, ".pdf") == written(told, ".pdf"), "the same report is the same file"
    told["by"] = "中文 Ørsted"
    assert len(written(told, ".pdf")) > 10_000


def test_it_is_made_again_of_its_json_on_any_computer(tmp_path: Path) -> None:
    file = tmp_path / "proof.json"
    file.write_bytes(written(made(tmp_path, closing(A01, A01)), ".json"))
    for arguments, made_file in ((("--to", str(tmp_path / "x.pdf")), "x.pdf"), ((), "proof.html")):
        result = CliRunner().invoke(chargerd, ["report", str(file), *arguments])
        assert (result.exit_code, result.stdout) == (0, f"written: {tmp_path / made_file}\n")
        assert (tmp_path / made_file).stat().st_size > 5000


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is no JSON"),
        ("[]", "is no report of a wiring proof"),
        ('{"report": 9}', "is a report of version 9"),
        ('{"report": 1}', "lacks what a report has: 'ports'"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "proof.json"
    file.write_text(text)
    result = CliRunner().invoke(chargerd, ["report", str(file)])
    assert result.exit_code == 1
    assert why in result.stderr
    assert not (tmp_path / "proof.html").exists()


def test_without_reportlab_it_says_what_else_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "chargerd.cli.report_pdf", None)
    with pytest.raises(ReportError, match="pip install 'chargerd\\[report\\]'"):
        written(made(tmp_path), ".pdf")
    with pytest.raises(ReportError, match=r"not a \.txt"):
        written(made(tmp_path), ".txt")
    result = CliRunner().invoke(
        chargerd, ["report", str(tmp_path / "site.yaml"), "--to", str(tmp_path / "site.yaml")]
    )
    assert result.exit_code == 2
    assert CliRunner().invoke(chargerd, ["report", str(tmp_path / "no.json")]).exit_code == 1


# Words


def test_every_kind_of_finding_has_a_sentence_and_a_remedy() -> None:
    assert set(FINDINGS) == {kind.value for kind in Kind}
    assert set(MUTUAL) <= set(FINDINGS)
    assert set(RESULTS) == {result.value for result in Outcome}
    for kind in Kind:
        finding: dict[str, Any] = {
            "kind": kind.value,
            "port": "A01",
            "board": "relay-a",
            "other": "A02",
            "code": "latched",
            "measured": 2.4e-41,
            "expected": 1234.5,
            "quantity": "w",
        }
        for text in (sentence(finding), sentence({**finding, "mutual": True}), remedy(finding)):
            assert text
            assert not re.search(r"[{}]|None", text), text
    assert sentence({"kind": "from_a_later_version"}) == "from_a_later_version"


def test_every_word_of_a_report_is_known_to_who_draws_it(tmp_path: Path) -> None:
    told = made(tmp_path, closing(A01, A01), leases=(lease(),))
    assert {one["what"] for one in told["not_tested"]} <= set(NOT_TESTED)
    assert {one["function"] for port in told["ports"] for one in port["functions"]} <= set(FUNCTIONS)
    assert set(FAILED) <= set(FINDINGS)
    assert [span(value) for value in (6.0, 300.0, 36000.0, None)] == ["6 s", "5 min", "10 h", "?"]
    assert when(None) == "at a time the gateway did not know"
    assert read(json.dumps(told)) == told
