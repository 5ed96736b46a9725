"""`chargerctl sessions` against the real socket, methods and journal."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chargerd.cli.chargerctl import main
from chargerd.contract.ledger import Batch, Body, Json
from chargerd.control.methods import checked
from chargerd.control.server import ControlServer, Peer, Responder
from chargerd.runtime.local.settlements import SLICE, SettlementQueries
from chargerd.runtime.process.clock import SystemClock
from tests.store.kit import Opened, connection_of, entry

COUNT = 250


class Handler:
    def __init__(self, accounts: SettlementQueries) -> None:
        self._accounts = accounts

    def call(self, method: str, params: Mapping[str, Json], _peer: Peer, respond: Responder) -> None:
        if method in self._accounts.methods:
            self._accounts.methods[method](checked(method, params), respond)
        else:  # Whether there is a port of whose settlements there are none.
            respond.fail("unknown_port", "there is no such port")


def settlement(number: int) -> Body:
    return {
        "event": "ended",
        "session_id": f"S-{number}",
        "port": f"A{number % 5:02}",
        "ended_at": None if number == COUNT else "2026-03-01T10:20:30.000Z",
        "stop_reason": "full",
        "energy_wh": number,
        "energy_quality": "estimated" if number == 7 else "exact",
        "charging_s": 3661,
    }


@pytest.fixture
def chargerctl(tmp_path: Path, opened: Opened) -> Iterator[Callable[..., Result]]:
    for number in range(1, COUNT + 1):
        opened.journal.append(Batch(entries=(entry(settlement(number), settlement=True), entry({"event": "x"}))))
    opened.settle()
    crashes: list[BaseException] = []
    path = tmp_path / "ctl.sock"
    server = ControlServer(
        path, Handler(SettlementQueries(opened.journal)), clock=SystemClock(), on_crash=crashes.append
    )
    server.start()
    yield lambda *words: CliRunner().invoke(main, ["--socket", str(path), "sessions", *words])
    server.stop()
    assert crashes == []


def test_settlements_are_listed_newest_first(chargerctl: Callable[..., Result]) -> None:
    found = [json.loads(line) for line in chargerctl("list", "--limit", "3", "--json").stdout.splitlines()]
    assert [one["session_id"] for one in found] == ["S-250", "S-249", "S-248"]
    assert {"stream", "seq", "digest"} <= found[0].keys()
    shown = chargerctl("list", "--limit", "2").stdout
    assert "2026-03-01 10:20" in shown
    assert "time not known" in shown
    assert "1:01:01" in shown


def test_those_of_one_port_are_found_however_far_back(chargerctl: Callable[..., Result]) -> None:
    assert COUNT > 2 * SLICE
    found = chargerctl("list", "--port", "A02", "--limit", "1000", "--json").stdout.splitlines()
    assert [json.loads(line)["session_id"] for line in found] == [f"S-{n}" for n in range(247, 0, -5)]
    none = chargerctl("list", "--port", "B1")
    assert none.exit_code == 1
    assert "there is no such port" in none.stderr


def test_one_that_cannot_be_read_hides_no_other(opened: Opened, chargerctl: Callable[..., Result]) -> None:
    connection_of(opened.journal).execute("UPDATE ledger SET body = 'no JSON' WHERE body LIKE '%\"S-249\"%'")
    listed = chargerctl("list", "--limit", "3", "--json")
    found = [
        json.loads(line) for line in listed.stdout.splitlines() if line.startswith("{")
    ]  # the log is there, too
    assert [one["session_id"] for one in found] == ["S-250", "S-248", "S-247"]
    assert listed.stderr == "1 that cannot be read; see: chargerctl sessions verify\n"
    assert chargerctl("verify").exit_code == 1


def test_one_is_shown_whole_and_one_there_is_not_is_named(chargerctl: Callable[..., Result]) -> None:
    shown = json.loads(chargerctl("show", "S-7", "--json").stdout)
    assert settlement(7).items() <= shown.items()
    assert "estimated" in chargerctl("show", "S-7").stdout
    lost = chargerctl("show", "S-999")
    assert lost.exit_code == 1
    assert "no settlement of session 'S-999'; see: chargerctl sessions list" in lost.stderr


def test_a_whole_chain_is_called_whole_and_a_broken_one_is_not(
    opened: Opened, chargerctl: Callable[..., Result]
) -> None:
    whole = chargerctl("verify")
    assert (whole.exit_code, whole.stdout) == (
        0,
        "250 settlements, each follows the one before: the chain is whole\n",
    )
    opened.settle()
    connection_of(opened.journal).execute(
        "UPDATE ledger SET body = replace(body, '\"energy_wh\": 120', '\"energy_wh\": 12') WHERE seq = 239"
    )
    broken = chargerctl("verify", "--json")
    assert broken.exit_code == 1
    said = json.loads(broken.stdout)
    assert (said["settlements"], said["ok"]) == (250, False)
    assert said["problems"] == ["row 239: the record does not match its digest"]
    connection_of(opened.journal).execute("DELETE FROM ledger WHERE seq = 101")
    told = chargerctl("verify").stdout
    assert "row 103: does not follow row 99; a settlement is missing or changed" in told
    assert "compare with what the backend has stored" in told


def test_what_cannot_be_read_is_said_so(opened: Opened, chargerctl: Callable[..., Result]) -> None:
    opened.close()
    for words in (("list",), ("show", "S-1"), ("verify",)):
        result = chargerctl(*words)
        assert result.exit_code == 1
        assert "cannot be read; see what chargerctl status says of the store" in result.stderr
