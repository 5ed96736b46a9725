"""Words to systemd: sd_notify(3), a datagram to the socket it names. Outside systemd every word is a no-op."""

import os
import socket
import time


def notify(*words: str) -> None:
    """Send words such as `READY=1` or `WATCHDOG=1`. An unreachable socket is no error: nobody listens."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto("\n".join(words).encode(), address)
    except OSError:
        return


def is_expected() -> bool:
    """Say whether systemd watches over this very process, and begins it anew when it leaves.

    A socket to notify is inherited: whoever starts us by hand in a container, or below a service, has one as well.
    """
    return os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())


def monotonic_microseconds() -> int:
    """Return what systemd tells one reload from another by (CLOCK_MONOTONIC, in microseconds)."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def watchdog_interval() -> float | None:
    """Return how many seconds systemd waits for `WATCHDOG=1` before it calls us hung; `None`: it does not wait."""
    microseconds = os.environ.get("WATCHDOG_USEC")
    pid = os.environ.get("WATCHDOG_PID")
    if not microseconds or (pid and int(pid) != os.getpid()):
        return None
    return int(microseconds) / 1_000_000
