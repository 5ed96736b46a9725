"""The operator is killed in mid-session, and told hard stories: nothing is lost, and nothing counts twice.

`OPERATOR_KILLS=50` and `OPERATOR_STORIES=all` are the long forms; `make proofs` runs them.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chargerd.cli.demo_rider import Page, Phone
from chargerd.cli.simulate import command
from chargerd.fleet.story import named_stories
from tests.backend import Backend
from tests.broker import Mosquitto
from tests.operator.stage import OperatorProcess, wait
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.e2e

KILLS = int(os.environ.get("OPERATOR_KILLS", "2"))
STORIES = sorted(named_stories()) if os.environ.get("OPERATOR_STORIES") == "all" else ["killed"]
GATEWAYS, PORTS = 2, 6
CHARGES = {"plug_in", "charging"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as mosquitto:
        yield mosquitto


@contextmanager
def sheds(broker: Mosquitto, folder: Path) -> Iterator[None]:
    """Gateways that wait for the operator's starts, with a bike in each socket."""
    args = ["--broker", broker.url, "--gateways", str(GATEWAYS), "--ports", str(PORTS), "--orders", "backend"]
    with (folder / "simulate.log").open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "chargerd", "simulate", *args], stdout=out, stderr=out)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0, (folder / "simulate.log").read_text()


class Rider:
    """A phone that goes on tapping while the operator is away."""

    def __init__(self, operator: OperatorProcess, number: int) -> None:
        self.phone: Phone = operator.phone()
        self.path = f"/s/sim-00{number % GATEWAYS + 1}/A0{number // GATEWAYS % PORTS + 1}"

    def look(self) -> Page:
        try:
            return self.phone.open(self.path)
        except OSError:
            return Page("")

    def tap(self, page: Page, button: str) -> None:
        """Press a button of a sheet until it is heard: nothing may answer, or see no shed yet."""

        def pressed() -> bool:
            try:
                told = self.phone.press(page, button)
            except OSError:
                return False
            return self.phone.status == 200 and not (button == "start" and told.kind in {"offline", "free"})

        wait(pressed, f"nothing takes the {button}")

    def wait(self, *kinds: str) -> Page:
        pages: list[Page] = []

        def there() -> bool:
            pages.append(self.look())
            return pages[-1].kind in kinds

        wait(there, f"{self.path} is never {kinds}")
        return pages[-1]


def killed_while(operator: OperatorProcess, rider: Rider, page: Page, button: str, after_s: float) -> None:
    """Kill the operator so long after a button was pressed, or while it is, and start it again."""
    tapping = threading.Thread(target=rider.tap, args=(page, button))
    tapping.start()
    threading.Event().wait(after_s)
    operator.end(signal.SIGKILL)
    operator.start(await_serving=False)
    tapping.join()


def complete(operator: OperatorProcess, listener: Backend) -> tuple[set[str], set[str]]:
    """Return which sessions the gateways have ended, and which the operator has, once each."""
    from chargerd.operator.tables import connect  # noqa: PLC0415 - the file is the operator's until here

    db = connect(operator.database)
    try:
        theirs = {(row["gateway"], row["stream"], row["seq"]) for row in rows_of(listener)}
        gaps = {
            (row["gateway"], row["stream"], seq)
            for row in rows_of(listener)
            if row["event"] == "gap"
            for seq in range(row["from"], row["to"] + 1)
        }

        def stored() -> bool:
            ours = {tuple(one) for one in db.execute("SELECT gateway, stream, seq FROM ledger")}
            return theirs - gaps <= ours

        wait(stored, "rows are missing")
        settled = [str(one[0]) for one in db.execute("SELECT session_id FROM session WHERE settled = 1")]
        assert len(settled) == len(set(settled))
        ended = {str(row["session_id"]) for row in rows_of(listener) if row["event"] == "ended"}
        return ended, set(settled)
    finally:
        db.close()


def rows_of(listener: Backend) -> list[dict[str, Any]]:
    return listener.of("up/session") + listener.of("up/event")


def test_an_operator_that_is_killed_in_mid_session_loses_none_and_starts_none_twice(
    broker: Mosquitto, tmp_path: Path
) -> None:
    """Also while the start itself is under way: what it has answered it does; what not, is tapped again."""
    rng = random.Random(KILLS)
    riders = []
    with (
        Backend(broker.port, "+") as listener,
        sheds(broker, tmp_path),
        OperatorProcess(tmp_path, broker) as operator,
    ):
        for number in range(KILLS):
            rider = Rider(operator, number)
            riders.append(rider)
            page = rider.wait("free", "ended")
            killed_while(operator, rider, page, "start", rng.choice([0.0, 0.01, 0.05, 0.3, 1.0, 2.0]))
            page = rider.wait(*CHARGES)
            if number % 2:
                killed_while(operator, rider, page, "stop", rng.choice([0.0, 0.02, 0.2]))
            else:
                rider.tap(page, "stop")
            assert "You stopped it." in rider.wait("ended").text
        ended, settled = complete(operator, listener)
    started = {
        (row["gateway"], row["seq"]): row["session_id"] for row in rows_of(listener) if row["event"] == "started"
    }
    assert len(set(started)) == len(
        {(row["gateway"], row["seq"]) for row in rows_of(listener) if row["event"] == "started"}
    )
    assert len(started) == len(riders), "one each, however often it was tapped"
    assert ended == settled == set(started.values())


@pytest.mark.parametrize("story", STORIES)
def test_the_told_stories_are_booked_once(story: str, broker: Mosquitto, tmp_path: Path) -> None:
    with Backend(broker.port, "+") as listener, OperatorProcess(tmp_path, broker) as operator:
        result = CliRunner().invoke(command, ["--broker", broker.url, "--script", story, "--rate", "30", "--json"])
        assert result.exit_code == 0, result.output
        summary = json.loads(result.output.splitlines()[-1])
        ended, settled = complete(operator, listener)
        assert ended == settled
        assert len(ended) == summary["ended"]
