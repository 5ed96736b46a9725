"""What the demo starts and must not leave behind: a configuration, a broker and the daemon."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from chargerd.cli.said import echo_lines
from chargerd.core.units import Seconds
from chargerd.fleet.site import Address, AddressError

LOOPBACK = "127.0.0.1"
BUS = "shed-a"
LEAVE_WITHIN = Seconds(20.0)
"""Seconds the daemon may take to settle its sessions and leave before it is killed."""
BROKER_WITHIN = 10.0
BROKER_CONFIG = """\
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 1048576
max_segment_count = 10
[v5.1]
name = "v5-1"
listen = "{listen}"
next_connection_delay_ms = 1
    [v5.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = 65536
    max_inflight_count = 100
    dynamic_filters = true
"""
"""The embedded broker speaks MQTT 5 only if told so in a file; small segments keep it at 45 MB."""
GUARD = """\
import os, signal, sys, threading
def leave():
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=leave, daemon=True).start()
"""
"""Ends a child when the demo is gone, however it went: its end of the pipe closes with it."""


class DemoError(Exception):
    """The demo cannot go on; the message says what to do."""


# The broker


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        port: int = one.getsockname()[1]
        return port


class Broker:
    """A broker: where it is, and whether it still runs."""

    def __init__(self, address: Address, kind: str, process: "subprocess.Popen[bytes] | None" = None) -> None:
        self.address = address
        self.kind = kind
        self._process = process

    @property
    def alive(self) -> bool:
        """Whether it still runs, as far as the demo can tell."""
        return self._process is None or self._process.poll() is None


@contextmanager
def broker(url: str | None, folder: Path) -> Iterator[Broker]:
    """Give a broker: the named one, or one of our own on loopback. Raises `DemoError` if there is none."""
    if url is not None:
        try:
            named = Address.parse(url)
        except AddressError as error:
            raise DemoError(str(error)) from error
        if named.tls:
            raise DemoError("the demo speaks to its broker without TLS; write mqtt://host:port")
        yield Broker(named, "named by --broker")
        return
    address = Address(host=LOOPBACK, port=_free_port())
    mosquitto = shutil.which("mosquitto", path=_path_with_sbin())
    if importlib.util.find_spec("iotcore") is not None:
        command = _iotcore(address, folder)
        kind = "iotcore, embedded"
    elif mosquitto is not None:
        command = [mosquitto, "-c", str(_mosquitto_config(address, folder))]
        kind = "mosquitto"
    else:
        raise DemoError(
            "there is no broker: pip install 'chargerd[demo]', or install mosquitto, or give --broker mqtt://host:port"
        )
    with process(command, folder / "broker.log", 5.0) as running:
        _await_listening(address, running, folder / "broker.log")
        yield Broker(address, kind, running)


def _path_with_sbin() -> str:
    # Debian keeps mosquitto where a user's PATH does not look.
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"


def _iotcore(address: Address, folder: Path) -> list[str]:
    path = folder / "broker.toml"
    path.write_text(BROKER_CONFIG.format(listen=f"{address.host}:{address.port}"), encoding="utf-8")
    program = GUARD + "import iotcore; iotcore.Broker(config_path=sys.argv[1]).run_forever()"
    return [sys.executable, "-c", program, str(path)]


def _mosquitto_config(address: Address, folder: Path) -> Path:
    path = folder / "mosquitto.conf"
    text = f"listener {address.port} {address.host}\nallow_anonymous true\npersistence false\n"
    path.write_text(text, encoding="utf-8")
    # Started as root it becomes the user mosquitto, who must be able to read this.
    folder.chmod(0o755)
    path.chmod(0o644)
    return path


def _await_listening(address: Address, process: "subprocess.Popen[bytes]", log: Path) -> None:
    pause = threading.Event()
    for _ in range(round(BROKER_WITHIN / 0.05)):
        if process.poll() is not None:
            break
        try:
            socket.create_connection((address.host, address.port), timeout=1.0).close()
        except OSError:
            pause.wait(0.05)
        else:
            return
    raise DemoError(f"the broker did not come up:\n{tail(log)}")


# Processes


@contextmanager
def process(
    command: list[str],
    log: Path,
    leave_within: float,
    *,
    descriptors: tuple[int, ...] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program in a session of its own, so that a Ctrl-C reaches it through us only; end it at the end."""
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=descriptors,
            env={**os.environ, **environment},
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(leave_within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdin is not None, "asked for above"
        process.stdin.close()


class Daemon:
    """The real daemon, as a process of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """`None` while it runs."""
        return self._process.poll()

    def ask_to_leave(self) -> None:
        """Send SIGTERM; it settles its sessions and goes."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)


@contextmanager
def daemon(config: Path, folder: Path) -> Iterator[Daemon]:
    """Run the daemon with its state and its socket in `folder`."""
    command = [sys.executable, "-c", GUARD + "from chargerd.cli.chargerd import main; main()", "run"]
    command += [
        "--config",
        str(config),
        "--state-dir",
        str(folder / "state"),
        "--runtime-dir",
        str(folder / "run"),
    ]
    log = folder / "chargerd.log"
    with process(command, log, LEAVE_WITHIN) as running:
        yield Daemon(running, log)


def tail(path: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def keep(log: Path) -> Path | None:
    """Save a log from a folder that is about to go; return where it is now."""
    if not log.exists():
        return None
    handle, name = tempfile.mkstemp(prefix="chargerd-demo-", suffix=".log")
    with open(handle, "wb") as out:  # noqa: PTH123 - a descriptor, no path
        out.write(log.read_bytes())
    return Path(name)


def say(text: str) -> None:
    """Tell the person at the terminal, beside whatever is printed on stdout."""
    echo_lines(text, err=True)
