"""`chargerctl reload` in words, and what `status` and `chargerd check` say of a file that is not what runs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from click.testing import CliRunner, Result

from chargerd.cli import check_running, ctl_reload
from chargerd.cli.chargerctl import as_json
from chargerd.cli.ctl_tables import header
from chargerd.control.client import DaemonNotRunning

LOWER = {"line": 9, "what": "ports A01..A03 limits.power_w: was 800, is 700", "in_use": ["A01", "A02"]}
NEW = {"line": 17, "what": "circuits new: is new", "in_use": []}
GONE = {"line": 0, "what": "boards spare: is gone", "in_use": []}
PROBLEM = {"file": "/c.yaml", "line": 9, "column": 3, "what": "unknown key 'x'", "hint": "leave it out"}
TOLD: dict[str, Any] = {
    "result": "applied",
    "path": "/c.yaml",
    "digest": "d",
    "limits": [],
    "next": [],
    "restart": [],
    "restart_s": 10,
    "sessions": 2,
    "problems": [],
}


class Daemon:
    """Answers as a daemon does."""

    def __init__(self, **told: Any) -> None:
        self.told = {**TOLD, **told}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def call(self, method: str, **params: Any) -> Any:
        self.calls.append((method, params))
        return self.told

    @contextmanager
    def connect(self, _path: Path, *, as_json: bool) -> Iterator["Daemon"]:
        del as_json
        yield self


def types(daemon: Daemon, *words: str) -> Result:
    command = ctl_reload.command(daemon.connect, as_json)  # type: ignore[arg-type]  # answers as the client does
    return CliRunner().invoke(command, list(words), obj=Path("socket"))


def test_what_was_done_is_told_with_its_line_and_who_charges_there() -> None:
    daemon = Daemon(limits=[LOWER], next=[{"line": 20, "what": "queue queue_s: was 0, is 60", "in_use": []}])
    done = types(daemon)
    assert daemon.calls == [("reload", {"restart": False})]
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "lower at once, higher when the session under way has ended:",
        "  line 9: ports A01..A03 limits.power_w: was 800, is 700 (a session goes on at A01, A02)",
        "for new sessions:",
        "  line 20: queue queue_s: was 0, is 60",
    ]


def test_what_waits_is_told_with_how_to_apply_it_and_what_that_costs() -> None:
    *rows, by_itself, then = types(Daemon(result="waits", restart=[GONE, NEW])).output.splitlines()
    assert rows == ["waits for a restart:", "  boards spare: is gone", "  line 17: circuits new: is new"]
    assert (
        by_itself == "the rest is applied by a restart of its own, once nobody has used the site for half a minute"
    )
    assert then.startswith("to apply it at once: chargerctl reload --restart, or systemctl restart chargerd; ")
    assert then.endswith("the 2 sessions that go on are suspended for about 10 s")
    assert "suspended" not in types(Daemon(result="waits", restart=[NEW], sessions=0)).output


def test_a_restart_is_said_beforehand() -> None:
    daemon = Daemon(result="restarting", restart=[NEW])
    assert "restarting; the 2 sessions" in types(daemon, "--restart").output
    assert daemon.calls == [("reload", {"restart": True})]


def test_to_look_asks_for_nothing_else() -> None:
    daemon = Daemon(result="applies", limits=[LOWER])
    assert (
        types(daemon, "--dry-run").output.splitlines()[-1] == "nothing was changed; chargerctl reload applies it"
    )
    assert daemon.calls == [("compare", {})]
    assert types(daemon, "--dry-run", "--restart").exit_code == 2


def test_what_has_not_changed_is_said() -> None:
    assert types(Daemon(result="unchanged")).output == "/c.yaml means what runs already\n"


def test_a_refusal_is_an_error_with_its_place() -> None:
    whole = {**PROBLEM, "line": 0, "column": 0, "what": "no such file"}
    done = types(Daemon(result="refused", problems=[PROBLEM, whole]))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "/c.yaml:9:3: unknown key 'x'; leave it out",
        "/c.yaml: no such file; leave it out",
        "refused; what runs stays as it is",
    ]


def test_programs_get_one_object() -> None:
    done = types(Daemon(result="refused", problems=[PROBLEM]), "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["problems"] == [PROBLEM]


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ({"refused": [PROBLEM], "from": "kept"}, "REFUSED: /c.yaml:9:3: unknown key 'x'; leave it out"),
        ({"refused": [PROBLEM], "from": "kept"}, "the one that last started well runs on; correct it"),
        ({"refused": [{**PROBLEM, "line": 0}], "from": "file"}, "REFUSED: /c.yaml: unknown key"),
        ({"refused": [PROBLEM], "from": "file"}, "the one before runs on"),
        ({"waiting": ["a"], "path": "/c.yaml"}, "1 change of /c.yaml waits"),
        ({"waiting": ["a", "b"], "path": "/c.yaml"}, "2 changes of /c.yaml wait"),
        ({"file": "differs", "path": "/c.yaml"}, "/c.yaml has changed since; to use it: chargerctl reload"),
        ({"file": "refused", "path": "/c.yaml"}, "/c.yaml cannot be read any more"),
    ],
)
def test_status_says_so(configuration: dict[str, Any], said: str) -> None:
    assert said in header({"gateway": "g", "configuration": configuration}).plain


def test_status_says_nothing_of_what_is_well() -> None:
    well: dict[str, Any] = {"file": "same", "refused": [], "waiting": [], "from": "file"}
    assert len(header({"gateway": "g", "configuration": well}).plain.splitlines()) == 1
    assert len(header({"gateway": "g", "configuration": None}).plain.splitlines()) == 1


def test_check_asks_the_daemon_that_runs_by_this_very_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("x")

    class Client(Daemon):
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            return

        def call(self, method: str, **params: Any) -> Any:
            found = super().call(method, **params)
            return found if method == "compare" else {"configuration": runs}

    runs: dict[str, str] | None = {"path": str(path)}
    monkeypatch.setattr(check_running, "ControlClient", lambda *_, **__: Client())
    assert check_running.compared(path) == TOLD
    assert check_running.compared(tmp_path / "other.yaml") is None
    runs = None
    assert check_running.compared(path) is None

    def dead(*_: object, **__: object) -> None:
        raise DaemonNotRunning("it does not run", "")

    monkeypatch.setattr(check_running, "ControlClient", dead)
    assert check_running.compared(path) is None
