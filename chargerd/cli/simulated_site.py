"""The site that `chargerd demo` and `chargerd simulate` run: its broker, and its configuration as text."""

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

SITE = """\
gateway: {{id: {gateway}, name: {name}}}
mqtt: {{host: {host}, port: {port}, prefix: {prefix}, reading_interval_s: {reading}{login}}}
buses:
  {bus}: {{{line}}}
boards:
  relay-a: {{bus: {bus}, address: 1, profile: waveshare-relay-16}}
  {meters}: {{bus: {bus}, address: {addresses}, profile: eastron-sdm120}}
circuits:
  shed-a: {{{circuit}}}
limits: {{power_w: 1000, current_a: 5.0, duration_s: 36000}}
# The riders' day is short, and so is the patience with an empty socket. Protection runs as it always does.
charge_end: {{full_after_s: {full_s}, unplugged_after_s: {unplugged_s}, no_load_after_s: {no_load_s}}}
tariff_tiers_w: [150, 285, 400, 600]
ports:
  - {{id: {ports}, relay: {relays}, meter: {meters}, circuit: shed-a}}
"""
MOST_PORTS = 16
"""Channels of the simulated relay board."""


class AddressError(ValueError):
    """This is no broker's address; the message says how to write one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the broker is, and who we are to it."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None

    def __str__(self) -> str:
        return f"mqtt://{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Return the broker a URL names. Raises `AddressError`, which never tells a password."""
        parts = urlsplit(url if "//" in url else f"//{url}")
        try:
            port = parts.port or 1883
        except ValueError as error:
            raise AddressError(f"{error}; write mqtt://host:port") from error
        if parts.scheme not in {"", "mqtt"} or not parts.hostname:
            raise AddressError("this is no broker's address; write mqtt://host:port (without TLS)")
        user = None if parts.username is None else unquote(parts.username)
        secret = None if parts.password is None else unquote(parts.password)
        return cls(host=parts.hostname, port=port, username=user, password=secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSite:
    """What differs from one simulated site to the next. `rate`: how many times faster the riders' day runs.

    `line` and `circuit` are the settings of its one bus and its one circuit, `reading_s` the interval of readings.
    """

    gateway: str
    name: str
    broker: Address
    prefix: str
    reading_s: float
    bus: str
    line: str
    circuit: str
    ports: int
    rate: float

    def text(self, folder: Path) -> str:
        """Return the configuration; a password is written into `folder`."""
        broker, count, rate = self.broker, self.ports, self.rate
        many = count > 1
        return SITE.format(
            gateway=self.gateway,
            name=self.name,
            host=json.dumps(broker.host),
            port=broker.port,
            prefix=self.prefix,
            reading=self.reading_s,
            login=_login(broker, folder),
            bus=self.bus,
            line=self.line,
            circuit=self.circuit,
            meters=f"meter-a1..meter-a{count}" if many else "meter-a1",
            addresses=f"11..{10 + count}" if many else "11",
            full_s=max(60.0, 2700 / rate),
            unplugged_s=max(30.0, 300 / rate),
            no_load_s=max(20.0, 120 / rate),
            ports=f"A01..A{count:02}" if many else "A01",
            relays=f"relay-a/1..{count}" if many else "relay-a/1",
        )


def _login(broker: Address, folder: Path) -> str:
    login = "" if broker.username is None else f", username: {json.dumps(broker.username)}"
    if broker.password is None:
        return login
    secret = folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(broker.password, encoding="utf-8")
    return f"{login}, password_file: {json.dumps(str(secret))}"
