"""The operator as a process of its own, at a broker, and a real daemon on simulated boards."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from chargerd.cli.demo_rider import Page, Phone
from chargerd.core.units import Watts
from chargerd.sim.loads import Load
from chargerd.sim.loads import Phase as LoadPhase
from tests.broker import Mosquitto, free_port
from tests.contract.node import MODULES
from tests.operator.browser import Browser
from tests.operator.rig import ACCOUNT
from tests.patience import PATIENCE_S
from tests.site import DaemonSite

AXE = MODULES / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def charger(power_w: float = 152.0) -> Load:
    return Load(
        name="bike", shape=lambda _s: (Watts(power_w), LoadPhase.CHARGING), power_factor=0.6, noise=Watts(2.0)
    )


def wait(holds: Callable[[], bool], what: str) -> None:
    deadline, pause = time.monotonic() + PATIENCE_S, threading.Event()
    while not holds():
        assert time.monotonic() < deadline, what
        pause.wait(0.05)


class OperatorProcess:
    """`chargerd operator`; keeps its address and its database over kills."""

    def __init__(self, folder: Path, broker: Mosquitto, *more: str) -> None:
        self.database = folder / "operator.db"
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = folder / "operator.log"
        self._command = [sys.executable, "-m", "chargerd", "operator", "--broker", broker.url]
        self._command += ["--database", str(self.database), "--listen", self.url.removeprefix("http://"), *more]
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        # Having put everything in order it ends by the signal itself.
        assert self.end(signal.SIGTERM) in {0, -signal.SIGTERM, None}, self.log.read_text()

    def start(self, *, await_serving: bool = True) -> None:
        account = {"OPERATOR_USER": ACCOUNT.user, "OPERATOR_PASSWORD": ACCOUNT.password}
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(self._command, env={**os.environ, **account}, stdout=out, stderr=out)
        if await_serving:
            wait(self._serves, "the operator serves nothing")

    def end(self, number: signal.Signals) -> int | None:
        if self.process is None:
            return None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self.process = None
        return code

    def phone(self, language: str = "en") -> Phone:
        return Phone(self.url, language)

    def _serves(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(self.phone().open("/operator/login").text)
        except OSError:
            return False


class Stage:
    """Broker, boards, daemon, operator. A context manager."""

    def __init__(self, folder: Path, *, ports: int = 4, circuit: str = "", more: str = "") -> None:
        self.broker = Mosquitto(folder / "broker")
        self.site = DaemonSite(folder, ports=ports, broker=self.broker.port, circuit=circuit, more=more)
        self.operator = OperatorProcess(folder, self.broker)

    def __enter__(self) -> Self:
        self.broker.start()
        self.operator.start(await_serving=False)
        self.site.__enter__()
        wait(lambda: self.look("A01").kind == "free", "the socket is not free")
        return self

    def __exit__(self, *exception: object) -> None:
        self.operator.__exit__()
        self.site.__exit__(*exception)
        self.broker.stop()

    def look(self, port: str, phone: Phone | None = None) -> Page:
        try:
            return (phone or self.operator.phone()).open(f"/s/shed-1/{port}")
        except OSError:
            return Page("")

    def address(self, port: str) -> str:
        return f"{self.operator.url}/s/shed-1/{port}"


def accessible(browser: Browser, where: str) -> None:
    """Ask axe: it knows what those who hear pages, or use keys alone, cannot do with them."""
    if not browser.run("return Boolean(window.axe)"):
        browser.run(AXE.read_text())
    asked = json.dumps({"runOnly": RULES, "resultTypes": ["violations"]})
    script = (
        f"const done = arguments[arguments.length - 1]; axe.run(document, {asked}).then(r => done(r.violations))"
    )
    found: list[dict[str, Any]] = browser.run_async(script)
    told = [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found]
    assert not told, (where, told)


def fits(browser: Browser, where: str) -> None:
    """See to it that nothing sticks out of the screen's side."""
    over = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert over <= 0, f"{where} is {over} px too wide"
