"""Brokers that run here, one at a time, each as its users would set it up. As root."""

import os
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self

from tests.brokers.client import Place
from tests.brokers.rabbit import PASSWORD, USER, Node, answers, child, wait_free
from tests.brokers.root import ENVIRONMENT, end, inside, root, run
from tests.patience import PATIENCE_S

PORT = 11893
MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location /var/lib/mosquitto/trial/
autosave_interval 300
max_queued_messages 100000
max_inflight_messages 100
max_packet_size 20480
user mosquitto
"""
EJABBERD = """\
hosts: [localhost]
loglevel: warning
auth_method: [anonymous]
anonymous_protocol: login_anon
allow_multiple_connections: true
listen:
  - {{port: {port}, ip: "127.0.0.1", module: mod_mqtt, backlog: 1000}}
modules:
  mod_mqtt:
    max_queue: 100000
    session_expiry: 1 hour
    max_topic_depth: 8
"""
IOTCORE = """\
id = 0
[router]
id = 0
max_connections = 10000
max_outgoing_packet_count = 200
max_segment_size = 1048576
max_segment_count = 10
[v5.1]
name = "v5-1"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
    [v5.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = 65536
    max_inflight_count = 100
    dynamic_filters = true
"""


class Standing(Protocol):
    """A broker: a context manager that begins with nothing. `kill` is a power cut, and `start` comes after it."""

    place: Place

    def start(self) -> None: ...

    def kill(self) -> None: ...

    @property
    def pid(self) -> int: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_exception: object) -> None: ...


class Running(ABC):
    """One that is a process."""

    worker = ""
    """What the process is called that does the work."""

    def __init__(self) -> None:
        self.place = Place(port=PORT)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.prepare()
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()

    @abstractmethod
    def prepare(self) -> None:
        """Lay out its folder and its settings."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return what it is started by."""

    @property
    def log(self) -> Path:
        return root() / "var/log" / f"trial-{self.worker}.log"

    def environment(self) -> dict[str, str]:
        return ENVIRONMENT

    def start(self) -> None:
        if self._process is not None:
            return
        wait_free("127.0.0.1", PORT)
        with self.log.open("wb") as out:
            process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.environment()
            )
        self._process = process
        until = time.monotonic() + PATIENCE_S
        while not answers("127.0.0.1", PORT):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"it does not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return child(self._process.pid, self.worker)


class Mosquitto(Running):
    """Debian 13's mosquitto, with the limits that docs/backend/broker sets."""

    worker = "mosquitto"

    def prepare(self) -> None:
        data = root() / "var/lib/mosquitto/trial"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True)
        run("chown", "mosquitto", "/var/lib/mosquitto/trial")
        (root() / "etc/mosquitto/trial.conf").write_text(MOSQUITTO.format(port=PORT))

    def command(self) -> list[str]:
        # With 1024 files, which is what systemd gives, there are as many connections.
        return inside("sh", "-c", "ulimit -n 65536; exec mosquitto -c /etc/mosquitto/trial.conf")


class Ejabberd(Running):
    """Debian 13's ejabberd, with nothing but its MQTT."""

    worker = "beam.smp"

    def __init__(self) -> None:
        super().__init__()
        self.place = Place(port=PORT, login=("gateway@localhost", "anonymous"))

    def prepare(self) -> None:
        home = root() / "var/lib/ejabberd/trial"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        (root() / "etc/ejabberd/ejabberd.yml").write_text(EJABBERD.format(port=PORT))
        run("chown", "-R", "ejabberd:ejabberd", "/var/lib/ejabberd")
        run("install", "-d", "-o", "ejabberd", "/run/ejabberd")

    def command(self) -> list[str]:
        return inside("ejabberdctl", "--spool", "/var/lib/ejabberd/trial", "foreground", user="ejabberd")

    def environment(self) -> dict[str, str]:
        return {**ENVIRONMENT, "HOME": "/var/lib/ejabberd"}


class Iotcore(Running):
    """The broker of `chargerd demo` where there is no mosquitto: rumqttd, as a Python package."""

    worker = "python"

    def prepare(self) -> None:
        (root() / "tmp/iotcore.toml").write_text(IOTCORE.format(port=PORT))

    def command(self) -> list[str]:
        program = "import iotcore, sys; iotcore.Broker(config_path=sys.argv[1]).run_forever()"
        return [sys.executable, "-c", program, str(root() / "tmp/iotcore.toml")]

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid


class RabbitMq:
    """Debian 13's RabbitMQ, one node."""

    def __init__(self, queues: str = "quorum") -> None:
        self.place = Place(port=PORT, login=(USER, PASSWORD))
        self._node = Node(queues=queues, mqtt=PORT, amqp=PORT + 1)
        self._runs = False

    def __enter__(self) -> Self:
        self._node.prepare()
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()

    def start(self) -> None:
        if not self._runs:
            self._node.start()
            self._node.wait_up()
            self._runs = True

    def kill(self) -> None:
        self._node.kill()
        self._runs = False

    @property
    def pid(self) -> int:
        return self._node.pid


BROKERS: dict[str, Callable[[], Standing]] = {
    "mosquitto": Mosquitto,
    "rabbitmq": RabbitMq,
    "ejabberd": Ejabberd,
    "iotcore": Iotcore,
}
