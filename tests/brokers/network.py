"""Machines in one: each a network namespace with a line of its own to a switch. As root."""

import subprocess
from collections.abc import Sequence
from typing import Self

BRIDGE = "chargerd-sw"
NET = "10.77.31"
OUTSIDE = f"{NET}.1"
"""Where this machine is reached by the others."""


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True)


class Network:
    """A switch, and machines at it by name: the first has the address 11. A context manager."""

    def __init__(self, names: Sequence[str]) -> None:
        self.address = {name: f"{NET}.{11 + at}" for at, name in enumerate(names)}

    def __enter__(self) -> Self:
        self._remove()
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("addr", "add", f"{OUTSIDE}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for name, address in self.address.items():
            ip("netns", "add", name)
            ip("link", "add", f"sw-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"sw-{name}", "master", BRIDGE, "up")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_exception: object) -> None:
        self._remove()

    def _remove(self) -> None:
        for name in self.address:
            ip("netns", "del", name, check=False)
            ip("link", "del", f"sw-{name}", check=False)
        ip("link", "del", BRIDGE, check=False)

    def cut(self, name: str) -> None:
        """Pull a machine's cable."""
        ip("link", "set", f"sw-{name}", "down")

    def mend(self, name: str) -> None:
        """Plug it in again."""
        ip("link", "set", f"sw-{name}", "up")

    def part(self, name: str) -> None:
        """Let a machine hear none of the others at the switch any more; whoever is outside still reaches it."""
        for other, address in self.address.items():
            if other != name:
                ip("-n", name, "route", "add", "blackhole", address)

    def join(self, name: str) -> None:
        """Let it hear the others again."""
        for other, address in self.address.items():
            if other != name:
                ip("-n", name, "route", "del", "blackhole", address, check=False)
