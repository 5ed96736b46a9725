"""Debian's Chromium without a screen, driven by its own driver over the W3C's WebDriver protocol."""

import base64
import http.client
import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.broker import free_port
from tests.patience import PATIENCE_S

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SWITCHES = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-extensions", "--mute-audio"),
    *(
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--disable-features=Translate,OptimizationHints,MediaRouter",
    ),
)
PHONE, DESK = (360, 740), (1280, 900)
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
POLL_S = 0.05


class GoneError(Exception):
    """The driver has answered with an error."""


class Browser:
    """One browser, with one page. A context manager."""

    def __init__(self) -> None:
        assert CHROMIUM is not None, "no chromium: make walks installs it"
        assert DRIVER is not None, "no chromedriver: make walks installs it"
        self._folder = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        self._port = free_port()
        self._driver = subprocess.Popen(
            [DRIVER, f"--port={self._port}", "--log-level=OFF"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._session = ""

    def __enter__(self) -> Self:
        arguments = [*SWITCHES, f"--user-data-dir={self._folder.name}"]
        options = {"binary": CHROMIUM, "args": arguments}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options, "pageLoadStrategy": "normal"}}}
        self._session = f"/session/{self._until(lambda: self._call('POST', '/session', wanted))['sessionId']}"
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if self._session:
                self._call("DELETE", self._session)
        finally:
            self._driver.terminate()
            self._driver.wait(PATIENCE_S)
            self._folder.cleanup()

    # What is looked at

    def look(
        self, *, size: tuple[int, int] = PHONE, dark: bool = False, language: str = "en", script: bool = True
    ) -> None:
        """Be a screen of this size, of somebody who reads this."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.cdp("Emulation.setDeviceMetricsOverride", **metrics)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.cdp("Emulation.setEmulatedMedia", features=[feature])
        agent = self.run("return navigator.userAgent")
        self.cdp("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)
        self.cdp("Emulation.setScriptExecutionDisabled", value=not script)

    def open(self, url: str) -> None:
        self._call("POST", f"{self._session}/url", {"url": url})

    def forget(self) -> None:
        """Be another phone."""
        self.cdp("Network.clearBrowserCookies")

    @property
    def url(self) -> str:
        return str(self._call("GET", f"{self._session}/url"))

    @property
    def text(self) -> str:
        return str(self.run("return document.body.innerText"))

    def run(self, script: str, *arguments: object) -> Any:
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": arguments})

    def run_async(self, script: str, *arguments: object) -> Any:
        return self._call("POST", f"{self._session}/execute/async", {"script": script, "args": arguments})

    def cdp(self, command: str, **parameters: object) -> Any:
        body = {"cmd": command, "params": parameters}
        return self._call("POST", f"{self._session}/goog/cdp/execute", body)

    # What is done

    def click(self, css: str) -> None:
        self._until(lambda: self._call("POST", f"{self._session}/element/{self._find(css)}/click", {}))

    def type(self, css: str, text: str) -> None:
        self._call("POST", f"{self._session}/element/{self._find(css)}/value", {"text": text})

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._call(
            "POST", f"{self._session}/actions", {"actions": [{"type": "key", "id": "keys", "actions": strokes}]}
        )

    def wait_for(self, text: str, *, reload: bool = False) -> str:
        """Wait until a text is there; return all of it."""

        def there() -> str:
            if reload:
                self.open(self.url)
            shown = self.text
            if text not in shown:
                raise GoneError(f"{text!r} is not there: {shown!r}")
            return shown

        return str(self._until(there))

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        shot = self.cdp("Page.captureScreenshot", captureBeyondViewport=whole)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    # The driver

    def _find(self, css: str) -> str:
        found = self._call("POST", f"{self._session}/element", {"using": "css selector", "value": css})
        return str(found[ELEMENT])

    def _until(self, attempt: Callable[[], Any]) -> Any:
        deadline, pause = time.monotonic() + PATIENCE_S, threading.Event()
        while True:
            try:
                return attempt()
            except (GoneError, OSError):
                if time.monotonic() > deadline:
                    raise
            pause.wait(POLL_S)

    def _call(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        value = answer["value"]
        if isinstance(value, dict) and "error" in value:
            raise GoneError(f"{value['error']}: {value['message']}")
        return value
