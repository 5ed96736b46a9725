"""The site that `chargerd demo` and `chargerd simulate` run: its broker, and its configuration as text."""

import json
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from string import ascii_lowercase
from urllib.parse import unquote, urlsplit

from chargerd.config.document import TlsSection
from chargerd.config.loader import load_text
from chargerd.config.site import Site
from chargerd.core.plan import StationPlan
from chargerd.core.units import Seconds

HEAD = """\
gateway: {{id: {gateway}, name: {name}}}
mqtt: {{host: {host}, port: {port}, prefix: {prefix}, reading_interval_s: {reading}{login}}}
circuits:
  shed-a: {{{circuit}}}
limits: {{power_w: 1000, current_a: 5.0, duration_s: 36000}}
# The riders' day is short, and so is the patience with an empty socket. Protection runs as it always does.
charge_end: {charge_end}
tariff_tiers_w: [150, 285, 400, 600]
"""
BUS = "  {bus}: {{{line}}}\n"
BOARDS = """\
  relay-{block}: {{bus: {bus}, address: 1, profile: waveshare-relay-16}}
  {meters}: {{bus: {bus}, address: {addresses}, profile: eastron-sdm120}}
"""
PORTS = "  - {{id: {ports}, relay: {relays}, meter: {meters}, circuit: shed-a}}\n"
PORTS_A_BUS = 16
"""Channels of the simulated relay board; a bus has one of them, and as many meters."""
MOST_PORTS = PORTS_A_BUS
"""Of a site with one bus."""


class AddressError(ValueError):
    """This is no broker's address; the message says how to write one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the broker is, and who we are to it. `tls`: whether it is spoken to over TLS."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: bool = False

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Return the broker a URL names. Raises `AddressError`, which never tells a password."""
        parts = urlsplit(url if "//" in url else f"//{url}")
        tls = parts.scheme == "mqtts"
        try:
            port = parts.port or (8883 if tls else 1883)
        except ValueError as error:
            raise AddressError(f"{error}; write mqtt://host:port") from error
        if parts.scheme not in {"", "mqtt", "mqtts"} or not parts.hostname:
            raise AddressError("this is no broker's address; write mqtt://host:port, or mqtts://host:port for TLS")
        user = None if parts.username is None else unquote(parts.username)
        secret = None if parts.password is None else unquote(parts.password)
        return cls(host=parts.hostname, port=port, username=user, password=secret, tls=tls)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSite:
    """What differs from one simulated site to the next. `rate`: how many times faster the riders' day runs.

    `lines` are the settings of its buses, of `PORTS_A_BUS` ports each, and `circuit` those of its one circuit;
    `reading_s` is the interval of readings.
    """

    gateway: str
    name: str
    broker: Address
    prefix: str
    reading_s: float
    bus: str
    lines: tuple[str, ...]
    circuit: str
    ports: int
    rate: float
    ca: str | None = None
    """The authority a broker over TLS is believed by; `None`: the system's."""

    def text(self, folder: Path) -> str:
        """Return the configuration; a password is written into `folder`."""
        broker, rate = self.broker, self.rate
        head = HEAD.format(
            gateway=self.gateway,
            name=self.name,
            host=json.dumps(broker.host),
            port=broker.port,
            prefix=self.prefix,
            reading=self.reading_s,
            login=_login(broker, folder) + (_tls(self.ca) if broker.tls else ""),
            circuit=self.circuit,
            charge_end=json.dumps(patience(rate)),
        )
        buses = boards = ports = ""
        for number, line in enumerate(self.lines):
            bus = self.bus if len(self.lines) == 1 else f"{self.bus}-{number + 1}"
            count = min(PORTS_A_BUS, self.ports - number * PORTS_A_BUS)
            buses += BUS.format(bus=bus, line=line)
            boards += BOARDS.format(bus=bus, **_block(number, count))
            ports += PORTS.format(**_block(number, count))
        return f"{head}buses:\n{buses}boards:\n{boards}ports:\n{ports}"


def patience(rate: float) -> dict[str, float]:
    """Return the section `charge_end` for riders whose day is `rate` times as short."""
    return {
        "full_after_s": max(60.0, 2700 / rate),
        "unplugged_after_s": max(30.0, 300 / rate),
        "no_load_after_s": max(20.0, 120 / rate),
    }


def broker_section(broker: Address, folder: Path) -> dict[str, object]:
    """Return the section `mqtt` for a broker without TLS; a password is written into `folder`."""
    section: dict[str, object] = {"host": broker.host, "port": broker.port}
    if broker.username is not None:
        section["username"] = broker.username
    if broker.password is not None:
        section["password_file"] = str(_secret(broker.password, folder))
    return section


def lines_for(ports: int) -> tuple[str, ...]:
    """Return as many lines as so many ports need; nobody is at their other ends."""
    return tuple(f'tcp: "127.0.0.1:{9 + number}"' for number in range(-(-ports // PORTS_A_BUS)))


def _block(number: int, count: int) -> dict[str, str]:
    """Return how boards and ports of one bus are called."""
    name = ""
    while number >= 0:
        name = ascii_lowercase[number % 26] + name
        number = number // 26 - 1
    big = name.upper()
    many = count > 1
    return {
        "block": name,
        "meters": f"meter-{name}1..meter-{name}{count}" if many else f"meter-{name}1",
        "addresses": f"11..{10 + count}" if many else "11",
        "ports": f"{big}01..{big}{count:02}" if many else f"{big}01",
        "relays": f"relay-{name}/1..{count}" if many else f"relay-{name}/1",
    }


def _login(broker: Address, folder: Path) -> str:
    login = "" if broker.username is None else f", username: {json.dumps(broker.username)}"
    if broker.password is None:
        return login
    return f"{login}, password_file: {json.dumps(str(_secret(broker.password, folder)))}"


def _secret(password: str, folder: Path) -> Path:
    secret = folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(password, encoding="utf-8")
    return secret


def _tls(ca: str | None) -> str:
    return ", tls: {}" if ca is None else f", tls: {{ca: {json.dumps(ca)}}}"


LEASE, RENEW_EVERY = Seconds(60.0), Seconds(30.0)
STALE_AFTER = Seconds(12.0)
"""Three readings of a closed port on the simulated bus."""


def _leisurely(plan: StationPlan) -> StationPlan:
    """Return the plan for boards that time their relays by the minute and meters that are read each 4 s.

    Most of what a charging port costs would go into leases and readings that no backend sees.
    """
    return replace(
        plan,
        ports=tuple(
            replace(
                port,
                relay=replace(port.relay, lease=LEASE, renew_every=RENEW_EVERY),
                protection=replace(port.protection, stale_after=STALE_AFTER),
            )
            for port in plan.ports
        ),
    )


class FleetSites:
    """The sites of a fleet: one is read and checked, and the others differ from it by their names and keys."""

    def __init__(
        self,
        *,
        broker: Address,
        prefix: str,
        reading_s: float,
        ports: int,
        rate: float,
        folder: Path,
        ca: str | None = None,
        certificates: Path | None = None,
        circuit: str = "",
    ) -> None:
        """Raises `ConfigurationError` if there is no such site."""
        self._certificates = certificates
        site = SimulatedSite(
            gateway="gateway",
            name="Simulated",
            broker=broker,
            prefix=prefix,
            reading_s=reading_s,
            bus="simulated",
            lines=lines_for(ports),
            circuit=circuit,
            ports=ports,
            rate=rate,
            ca=ca,
        )
        read = load_text(site.text(folder), "the simulated site")
        self._site = replace(read, plan=_leisurely(read.plan))

    def site(self, gateway: str) -> Site:
        """Return the site of a gateway."""
        site, mqtt = self._site, self._site.mqtt
        assert mqtt is not None
        if mqtt.tls is not None:
            own = self.certificate_of(self._certificates, gateway)
            tls = mqtt.tls.model_copy(update={"certificate": own.certificate, "key": own.key})
            mqtt = mqtt.model_copy(update={"tls": tls})
        about = site.gateway.model_copy(update={"id": gateway, "name": f"Simulated {gateway}"})
        digest = sha256(f"{gateway} {site.digest}".encode()).hexdigest()[: len(site.digest)]
        return replace(site, gateway=about, mqtt=mqtt, digest=digest)

    @staticmethod
    def certificate_of(folder: Path | None, gateway: str) -> TlsSection:
        """Return where the certificate of a gateway is, if it has one."""
        if folder is None:
            return TlsSection()
        return TlsSection(certificate=str(folder / f"{gateway}.crt"), key=str(folder / f"{gateway}.key"))
