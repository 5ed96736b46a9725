"""A root with Debian 13's brokers in it, made once by debootstrap. `BROKERS_ROOT` names another place for it."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

TREE = Path(__file__).parents[2]
ROOT = Path(os.environ.get("BROKERS_ROOT", TREE / "build" / "brokers" / "root"))
PACKAGES = ("rabbitmq-server", "mosquitto", "ejabberd", "haproxy", "iproute2")


def root() -> Path:
    """Return the root, made the first time: a few minutes."""
    if (ROOT / ".complete").exists():
        return ROOT
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir(parents=True)
    command = ["debootstrap", "--variant=minbase", "trixie", str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    # Nothing is started by being installed; each trial starts what it needs.
    policy = ROOT / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    shutil.copy("/etc/resolv.conf", ROOT / "etc/resolv.conf")
    run("apt-get", "update", "-qq")
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES)
    (ROOT / ".complete").touch()
    return ROOT


def inside(*words: str, namespace: str | None = None, user: str | None = None) -> list[str]:
    """Return how a command is run in the root: its processes end with the one that is started here."""
    found = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={ROOT / 'proc'}"]
    found += ["chroot", str(ROOT)]
    if user is not None:
        found += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
    entered = [] if namespace is None else ["ip", "netns", "exec", namespace]
    return [*entered, *found, *words]


def run(
    *words: str, namespace: str | None = None, user: str | None = None, more: dict[str, str] | None = None
) -> str:
    """Run a command in the root; return what it says. Raises `subprocess.CalledProcessError`."""
    environment = {**ENVIRONMENT, **(more or {})}
    command = inside(*words, namespace=namespace, user=user)
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, f"{done.stdout}\n{done.stderr}")
    return done.stdout


ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def end(process: "subprocess.Popen[bytes]") -> None:
    """End what was started in the root where it stands, and with it all that it has started."""
    for task in Path(f"/proc/{process.pid}/task").glob("*/children"):
        for child in task.read_text().split():  # The first process of its own world, which ends with it.
            os.kill(int(child), signal.SIGKILL)
    process.kill()
    process.wait()


def versions() -> dict[str, str]:
    """Return the version of each package, as Debian counts them."""
    said = run("dpkg-query", "-W", "-f", "${Package} ${Version}\n", *PACKAGES)
    return dict(line.split(" ", 1) for line in said.splitlines())
