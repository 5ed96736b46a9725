"""RabbitMQ in the root: one node on this machine, or three at a switch, each a machine of its own. As root."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.brokers.network import OUTSIDE, Network
from tests.brokers.root import ENVIRONMENT, TREE, end, inside, root, run

USER, PASSWORD = "gateways", "secret"
MQTT, AMQP, BALANCED, EVERYBODY = 1883, 5672, 1883, "0.0.0.0"
STARTS_WITHIN = 300.0
SETTINGS = """\
listeners.tcp.default = {amqp}
mqtt.listeners.tcp.default = {mqtt}
mqtt.allow_anonymous = true
anonymous_login_user = {user}
anonymous_login_pass = {password}
default_user = {user}
default_pass = {password}
disk_free_limit.absolute = 50MB
log.console = true
log.console.level = info
"""
"""What belongs to a trial. What matters is what a user is told to set."""
SHIPPED = TREE / "docs/backend/amqp/rabbitmq.conf"
QUIET = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
"""Schedulers that do not spin while they wait: the machine is shared, and spinning would be counted as work."""


class Node:
    """One node. A context manager; `kill` is a power cut."""

    def __init__(
        self,
        name: str = "alone",
        *,
        namespace: str | None = None,
        address: str = "127.0.0.1",
        others: Sequence[str] = (),
        queues: str = "quorum",
        mqtt: int = MQTT,
        amqp: int = AMQP,
        erlang: str = QUIET,
    ) -> None:
        self.name, self.address, self.mqtt, self.amqp = name, address, mqtt, amqp
        self._namespace = namespace
        self._home = f"/var/lib/rabbitmq/{name}"
        self._settings = SETTINGS.format(user=USER, password=PASSWORD, mqtt=mqtt, amqp=amqp)
        self._settings += SHIPPED.read_text().replace("= quorum", f"= {queues}")
        if others:
            self._settings += "cluster_formation.peer_discovery_backend = classic_config\n"
            self._settings += "cluster_formation.target_cluster_size_hint = 3\n"
            for at, other in enumerate(others, 1):
                self._settings += f"cluster_formation.classic_config.nodes.{at} = rabbit@{other}\n"
        self._erlang = erlang
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.prepare()
        self.start()
        self.wait_up()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()

    @property
    def log(self) -> Path:
        return root() / self._home.lstrip("/") / "log"

    def prepare(self) -> None:
        """Begin with nothing."""
        home = root() / self._home.lstrip("/")
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        (home / "rabbitmq.conf").write_text(self._settings)
        (home / "plugins").write_text("[rabbitmq_mqtt].\n")
        cookie = root() / "var/lib/rabbitmq/.erlang.cookie"
        if not cookie.exists():
            cookie.write_text("CHARGERDTRIALS")
        cookie.chmod(0o400)
        run("chown", "-R", "rabbitmq:rabbitmq", "/var/lib/rabbitmq")

    @property
    def _environment(self) -> dict[str, str]:
        return {
            **ENVIRONMENT,
            "HOME": "/var/lib/rabbitmq",
            "HOSTNAME": self.name,
            "RABBITMQ_NODENAME": f"rabbit@{self.name if self._namespace else 'localhost'}",
            "RABBITMQ_CONFIG_FILE": f"{self._home}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{self._home}/plugins",
            "RABBITMQ_MNESIA_BASE": f"{self._home}/data",
            "RABBITMQ_LOG_BASE": self._home,
            "RABBITMQ_PID_FILE": f"{self._home}/pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": self._erlang,
            "RABBITMQ_CTL_ERL_ARGS": "+S 1:1 +sbwt none",
        }

    def start(self) -> None:
        """Start it, and do not wait."""
        wait_free(self.address, self.mqtt)
        command = inside("/usr/lib/rabbitmq/bin/rabbitmq-server", namespace=self._namespace, user="rabbitmq")
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self._environment
            )

    def wait_up(self) -> float:
        """Wait until it listens for MQTT; return how many seconds that took."""
        began = time.monotonic()
        while not answers(self.address, self.mqtt):
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() - began > STARTS_WITHIN:
                raise RuntimeError(f"{self.name} does not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.2)
        return time.monotonic() - began

    def kill(self) -> None:
        """End it where it stands, and all that belongs to it."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def ctl(self, *words: str) -> str:
        """Ask rabbitmqctl."""
        return run(
            "/usr/lib/rabbitmq/bin/rabbitmqctl",
            *words,
            namespace=self._namespace,
            user="rabbitmq",
            more=self._environment,
        )

    @property
    def pid(self) -> int:
        """The process that does the work."""
        assert self._process is not None
        return child(self._process.pid, "beam.smp")


def child(pid: int, name: str) -> int:
    """Return the process of this name among another one's children."""
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        if Path(f"/proc/{one}/comm").read_text().strip() == name:
            return one
        for task in Path(f"/proc/{one}/task").iterdir():
            waiting += [int(word) for word in (task / "children").read_text().split()]
    raise RuntimeError(f"no {name} below {pid}")


def answers(address: str, port: int) -> bool:
    """Say whether somebody takes connections there."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_free(address: str, port: int) -> None:
    """Wait until one that was killed is gone: its own end is not waited for by who has killed it."""
    until = time.monotonic() + 10
    while answers(address, port):
        if time.monotonic() > until:
            raise RuntimeError(f"somebody else listens at {address}:{port}")
        time.sleep(0.1)


HAPROXY = """\
defaults
  mode tcp
  timeout connect 2s
  timeout client 10m
  timeout server 10m
listen mqtt
  bind {outside}:{port}
  balance leastconn
  default-server check inter 1s fall 2 rise 2 on-marked-down shutdown-sessions
{servers}
"""


class Cluster:
    """Three nodes, and a haproxy before them that gateways connect to. A context manager."""

    NAMES = ("rabbit1", "rabbit2", "rabbit3")

    def __init__(self, queues: str = "quorum") -> None:
        self.network = Network(self.NAMES)
        self.nodes = {
            name: Node(name, namespace=name, address=address, others=self.NAMES, queues=queues)
            for name, address in self.network.address.items()
        }
        self._proxy: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What gateways connect to."""
        return f"mqtt://{OUTSIDE}:{BALANCED}"

    @property
    def amqp(self) -> list[str]:
        """What a backend connects to: each node by its own address."""
        return [f"{node.address}:{node.amqp}" for node in self.nodes.values()]

    def __enter__(self) -> Self:
        self.network.__enter__()
        hosts = root() / "etc/hosts"
        hosts.write_text("127.0.0.1 localhost\n")
        with hosts.open("a") as file:
            file.writelines(f"{address} {name}\n" for name, address in self.network.address.items())
        for node in self.nodes.values():
            node.prepare()
        for node in self.nodes.values():
            node.start()
        for node in self.nodes.values():
            node.wait_up()
        self._start_proxy()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._proxy is not None:
            end(self._proxy)
        for node in self.nodes.values():
            node.kill()
        self.network.__exit__()

    def _start_proxy(self) -> None:
        servers = "\n".join(f"  server {one.name} {one.address}:{one.mqtt}" for one in self.nodes.values())
        place = root() / "etc/haproxy/trial.cfg"
        place.write_text(HAPROXY.format(outside=OUTSIDE, port=BALANCED, servers=servers))
        log = (root() / "var/log/haproxy-trial.log").open("ab")
        self._proxy = subprocess.Popen(
            inside("haproxy", "-db", "-f", "/etc/haproxy/trial.cfg"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**ENVIRONMENT},
        )
        log.close()
        while not answers(OUTSIDE, BALANCED):
            time.sleep(0.1)

    def whole(self) -> bool:
        """Say whether all three nodes are in, as the first of them sees it."""
        if not all(answers(node.address, node.mqtt) for node in self.nodes.values()):
            return False
        said = json.loads(self.nodes[self.NAMES[0]].ctl("cluster_status", "--formatter", "json"))
        return len(said["running_nodes"]) == len(self.nodes)

    def leaders(self) -> dict[str, int]:
        """Return how many quorum queues each node leads."""
        found = dict.fromkeys(self.NAMES, 0)
        alive = next(node for node in self.nodes.values() if answers(node.address, node.amqp))
        for line in alive.ctl("list_queues", "--quiet", "--no-table-headers", "type", "leader").splitlines():
            kind, _, leader = line.partition("\t")
            if kind == "quorum" and "@" in leader:
                found[leader.split("@")[1]] += 1
        return found


def cpu_s(pid: int) -> float:
    """Return the seconds of processor time a process has had."""
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    """Return what memory a process has."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no memory of {pid}")
