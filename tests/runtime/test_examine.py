"""What `chargerctl doctor` looks at: each thing well, doubtful and at fault, on machines made of a few files."""

import grp
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chargerd.config.devices import User, daemon_user, may_read, this_user, trouble_with
from chargerd.config.document import MetricsSection, MqttSection, TlsSection
from chargerd.config.loader import load_text
from chargerd.config.problems import Problem
from chargerd.contract.ledger import Json
from chargerd.core.moment import ClockQuality
from chargerd.core.units import BoardId
from chargerd.mqtt.certificates import Expiry, KeyFiles
from chargerd.runtime.local import examine, examine_site
from chargerd.runtime.local.doctor import Doctor, as_plain
from chargerd.runtime.local.examine import Check, Verdict, of_machine, of_watchdog
from chargerd.runtime.local.examine_site import of_certificates, of_content, of_file, of_site
from tests.judging import every
from tests.modbus.kit import SITE, VirtualClock

MEBI = 1 << 20
NOBODY = User(name="nobody", uid=65534, groups=frozenset({65534}))


def written(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def about(checks: Iterable[Check], name: str) -> list[Check]:
    return [check for check in checks if check.about == name]


def verdicts(checks: Iterable[Check], name: str) -> list[Verdict]:
    return [check.verdict for check in about(checks, name)]


def machine(root: Path, quality: ClockQuality = ClockQuality.NTP) -> list[Check]:
    return list(of_machine(root, quality, root=root))


@pytest.mark.parametrize(
    ("quality", "verdict"),
    [(ClockQuality.NTP, "ok"), (ClockQuality.RTC, "warning"), (ClockQuality.NONE, "warning")],
)
def test_who_vouches_for_the_clock_is_told(tmp_path: Path, quality: ClockQuality, verdict: str) -> None:
    assert verdicts(machine(tmp_path, quality), "clock") == [verdict]


def test_a_clock_that_shows_the_past_is_at_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargerd.runtime.local.examine.time.time", lambda: 1_000_000_000.0)
    (check,) = about(machine(tmp_path), "clock")
    assert check.verdict is Verdict.FAULT
    assert "2001-09-09" in check.what


@pytest.mark.parametrize(
    ("free", "read_only", "verdict"),
    [(5000, False, "ok"), (199, False, "warning"), (19, False, "fault"), (5000, True, "fault")],
)
def test_a_disk_is_judged_by_what_is_free_and_whether_it_takes_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, read_only: bool, verdict: str
) -> None:
    found = SimpleNamespace(
        f_bavail=free, f_frsize=MEBI, f_flag=os.ST_RDONLY if read_only else 0, f_files=9, f_favail=9
    )
    monkeypatch.setattr("chargerd.runtime.local.examine.os.statvfs", lambda _folder: found)
    assert verdicts(machine(tmp_path), "disk") == [verdict]


def test_a_folder_that_is_not_there_is_at_fault(tmp_path: Path) -> None:
    assert verdicts(of_machine(tmp_path / "none", ClockQuality.NTP, root=tmp_path), "disk") == ["fault"]


@pytest.mark.parametrize(
    ("life", "verdict"), [("0x01 0x01", "ok"), ("0x02 0x08", "warning"), ("0x0A 0x01", "fault"), ("", None)]
)
def test_flash_that_tells_its_wear_is_judged_by_it(tmp_path: Path, life: str, verdict: str | None) -> None:
    written(tmp_path, "sys/block/mmcblk0/device/life_time", life)
    assert verdicts(machine(tmp_path), "wear") == ([] if verdict is None else [verdict])


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("0x0", [("ok", "no under-voltage")]),
        ("0x1", [("fault", "the supply voltage is too low, now")]),
        ("0x50000", [("warning", "voltage is too low at times"), ("warning", "slowed down at times")]),
        ("0x8", [("fault", "the processor is too warm, now")]),
    ],
)
def test_the_flags_of_a_pis_firmware_are_told(tmp_path: Path, flags: str, expected: list[tuple[str, str]]) -> None:
    written(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", flags)
    found = about(machine(tmp_path), "supply")
    assert [check.verdict for check in found] == [verdict for verdict, _what in expected]
    assert every(what in check.what for check, (_verdict, what) in zip(found, expected, strict=True))


@pytest.mark.parametrize(("raw", "verdict"), [("45123", "ok"), ("70000", "warning"), ("80500", "fault")])
def test_a_warm_processor_is_told(tmp_path: Path, raw: str, verdict: str) -> None:
    written(tmp_path, "sys/class/thermal/thermal_zone0/temp", raw)
    assert verdicts(machine(tmp_path), "temperature") == [verdict]


def test_what_a_machine_does_not_tell_is_no_fault(tmp_path: Path) -> None:
    assert {check.about for check in machine(tmp_path)} == {"clock", "disk", "version"}


def test_whoever_watches_is_told(tmp_path: Path) -> None:
    assert verdicts(of_watchdog(None, root=tmp_path), "watchdog") == ["warning"]
    state = written(tmp_path, "sys/class/watchdog/watchdog0/state", "inactive\n")
    assert verdicts(of_watchdog(15.0, root=tmp_path), "watchdog") == ["ok", "warning"]
    state.write_text("active\n")
    assert verdicts(of_watchdog(15.0, root=tmp_path), "watchdog") == ["ok", "ok"]


# Devices and files


def test_a_device_is_judged_for_its_own_user() -> None:
    master, slave = os.openpty()
    device = os.ttyname(slave)
    try:
        Path(device).chmod(0o600)
        told = trouble_with(device, NOBODY)
        assert told is not None
        assert f"{device} may not be used by nobody: it is rw-------" in told[0]
        assert "usermod -aG" in told[1]
        group = Path(device).stat().st_gid
        Path(device).chmod(0o660)
        assert trouble_with(device, NOBODY) is not None
        assert trouble_with(device, replace(NOBODY, groups=frozenset({group}))) is None
        Path(device).chmod(0o666)
        assert trouble_with(device, NOBODY) is None
        assert trouble_with(device, None) is None
    finally:
        os.close(master)
        os.close(slave)


def test_what_is_no_device_or_not_there_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none", written(tmp_path, "file", "")):
        told = trouble_with(str(path), None)
        assert told is not None
        assert "ls /dev/serial/by-path" in told[1]


def test_the_services_groups_count_for_its_user(tmp_path: Path) -> None:
    unit = written(tmp_path, "chargerd.service", "[Service]\nSupplementaryGroups=tty nosuchgroup\n")
    user = daemon_user("nobody", [unit, tmp_path / "none"])
    assert user is not None
    assert {grp.getgrnam("tty").gr_gid} <= user.groups
    assert daemon_user("no-such-user") is None


def test_a_line_that_others_have_open_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = written(tmp_path, "dev/ttyUSB0", "")
    other = tmp_path / "proc/123/fd"
    other.mkdir(parents=True)
    (other / "5").symlink_to(device)
    written(tmp_path, "proc/123/comm", "minicom\n")
    (tmp_path / f"proc/{os.getpid()}").mkdir()
    assert list(examine_site._others(str(device), tmp_path / "proc")) == ["minicom (pid 123)"]  # noqa: SLF001 - as it is
    monkeypatch.setattr(examine_site, "trouble_with", lambda _device, _user: None)
    monkeypatch.setattr(examine_site, "_others", lambda _device: iter(["minicom (pid 123)"]))
    (check,) = about(
        of_site(load_text(SITE.format(tty=device, ports=1, last=11, meter="eastron-sdm120"), "t"), NOBODY),
        "line line",
    )
    assert check.verdict is Verdict.FAULT
    assert "open in minicom (pid 123) as well" in check.what


def test_lines_and_dead_men_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine_site, "_others", lambda _device: iter([]))  # Everybody has /dev/null open.
    text = SITE.format(tty="/dev/null", ports=1, last=11, meter="eastron-sdm120")
    site = load_text(text, "test")
    assert verdicts(of_site(site, this_user()), "line line") == ["ok"]
    assert verdicts(of_site(site, this_user()), "board relay") == ["ok"]
    without = load_text(
        text.replace("profile: waveshare-relay-16}", "profile: waveshare-relay-16, lease: off}"), "t"
    )
    assert verdicts(of_site(without, this_user()), "board relay") == ["warning"]
    gone = load_text(text.replace("/dev/null", str(tmp_path / "none")), "t")
    assert verdicts(of_site(gone, this_user()), "line line") == ["fault"]


def test_secrets_are_for_the_daemon_and_nobody_else(tmp_path: Path) -> None:
    password = written(tmp_path, "password", "secret\n")
    text = SITE.format(tty="/dev/null", ports=1, last=11, meter="eastron-sdm120")
    site = load_text(f"mqtt: {{host: broker, password_file: {password}}}\n{text}", "test")
    mine = User(name="me", uid=password.stat().st_uid, groups=frozenset())
    judged = {}
    for mode in (0o600, 0o604):
        password.chmod(mode)
        judged[mode] = verdicts(of_site(site, mine), "mqtt.password_file")
    assert judged == {0o600: ["ok"], 0o604: ["fault"]}
    password.chmod(0o600)
    (check,) = about(of_site(site, NOBODY), "mqtt.password_file")
    assert "may not be read by nobody" in check.what
    password.unlink()
    assert verdicts(of_site(site, mine), "mqtt.password_file") == ["fault"]


def test_certificates_are_good_for_a_while_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    day, now = 86_400_000, 1_000 * 86_400_000
    ends = {"ca": 400, "certificate": 10}
    found = tuple(Expiry(role=role, subject="gw", expires_ms=now + days * day) for role, days in ends.items())  # type: ignore[arg-type]  # both are roles
    monkeypatch.setattr(KeyFiles, "expiries", lambda _self: found)
    mqtt = MqttSection(host="broker", tls=TlsSection(ca="ca.pem"))
    assert [check.verdict for check in of_certificates(mqtt, now)] == ["ok", "warning"]
    assert [check.verdict for check in of_certificates(mqtt, now + 500 * day)] == ["fault", "fault"]


def test_the_configurations_file_is_looked_at_and_compared(tmp_path: Path) -> None:
    text = SITE.format(tty="/dev/null", ports=1, last=11, meter="eastron-sdm120")
    path = written(tmp_path, "chargerd.yaml", text)
    mine = User(name="me", uid=path.stat().st_uid, groups=frozenset())
    assert of_file(path, mine) is None
    digest = load_text(text, "test").digest
    assert of_content(path, digest).verdict is Verdict.OK
    assert of_content(path, "another").verdict is Verdict.WARNING
    path.chmod(0o666)
    broken = of_file(path, mine)
    assert broken is not None
    assert "may be changed by everybody" in broken.what
    path.chmod(0o600)
    assert may_read(path, mine)
    closed = of_file(path, NOBODY)
    assert closed is not None
    assert "may not be read by nobody" in closed.what
    path.write_text("gateway: {}\n")
    assert "chargerd.yaml:1:" in of_content(path, digest).what
    path.unlink()
    assert of_file(path, mine) is not None


# The daemon's own


class Line:
    name = "line-a"
    connected = True
    lost: tuple[str, ...] = ()
    unprepared: tuple[str, ...] = ()

    def lost_boards(self) -> tuple[BoardId, ...]:
        return tuple(map(BoardId, self.lost))

    def unprepared_boards(self) -> tuple[BoardId, ...]:
        return tuple(map(BoardId, self.unprepared))


CONNECTED: dict[str, Json] = {"connected": True, "since_s": 61.0, "reason": None, "shortfalls": []}


def looked(change: Callable[[Line], None] | None = None, **how: Any) -> list[Check]:
    line = Line()
    if change is not None:
        change(line)
    site = load_text(SITE.format(tty="/dev/null", ports=1, last=11, meter="eastron-sdm120"), "test")
    given: dict[str, Any] = {
        "site": site,
        "configuration": None,
        "folder": Path("/"),
        "clock": VirtualClock(),
        "buses": lambda: [line],
        "link": lambda: CONNECTED,
        "why_no_journal": lambda: None,
    }
    return list(Doctor(**{**given, **how}).checks())


def test_a_daemon_with_nothing_wrong_says_so() -> None:
    found = looked()
    assert verdicts(found, "journal") == verdicts(found, "broker") == verdicts(found, "line line-a") == ["ok"]


def test_metrics_that_cannot_be_served_are_warned_of() -> None:
    site = load_text(SITE.format(tty="/dev/null", ports=1, last=11, meter="eastron-sdm120"), "test")
    assert verdicts(looked(), "metrics") == []
    served = replace(site, metrics=MetricsSection(address="10.8.0.7"))
    assert verdicts(looked(site=served), "metrics") == ["ok"]
    (taken,) = about(looked(site=served, why_no_metrics=lambda: "Address already in use"), "metrics")
    assert taken.verdict == "warning"
    assert taken.what == "nobody can listen at 10.8.0.7:9845: Address already in use"


def test_lost_and_unprepared_boards_and_missing_lines_are_at_fault() -> None:
    lost = looked(lambda line: setattr(line, "lost", ("meter1",)))
    assert verdicts(lost, "board meter1") == ["fault"]
    assert "chargerctl scan line-a" in about(lost, "board meter1")[0].then
    assert verdicts(looked(lambda line: setattr(line, "unprepared", ("six",))), "board six") == ["fault"]
    assert verdicts(looked(lambda line: setattr(line, "connected", False)), "line line-a") == ["fault"]


def test_a_journal_that_takes_nothing_is_at_fault() -> None:
    (check,) = about(looked(why_no_journal=lambda: "disk full"), "journal")
    assert (check.verdict, check.what) == (Verdict.FAULT, "it takes nothing: disk full")


def test_the_broker_is_told_of_with_its_reason_and_what_it_cannot_do() -> None:
    reason = {"code": "refused", "what": "nothing listens there", "then": "start it", "said": "Connection refused"}
    away = {**CONNECTED, "connected": False, "reason": reason}
    (check,) = about(looked(link=lambda: away), "broker")
    assert check == Check(
        about="broker",
        verdict=Verdict.FAULT,
        what="nothing listens there (Connection refused), for 61 s",
        then="start it",
    )
    short = {**CONNECTED, "shortfalls": [{"what": "it keeps nothing", "then": "let it"}]}
    assert verdicts(looked(link=lambda: short), "broker") == ["ok", "warning"]
    assert verdicts(looked(link=lambda: None), "broker") == ["ok"]


def test_whoever_asks_gets_all_of_it(tmp_path: Path) -> None:
    told: list[Any] = []
    site = load_text(SITE.format(tty="/dev/null", ports=1, last=11, meter="eastron-sdm120"), "test")
    respond: Any = SimpleNamespace(send=told.append, fail=lambda *why: told.append(why))
    doctor = Doctor(
        site=site,
        configuration=tmp_path / "none.yaml",
        folder=tmp_path,
        clock=VirtualClock(),
        buses=list,
        link=lambda: None,
        why_no_journal=lambda: None,
    )
    doctor._look(respond)  # noqa: SLF001 - what its thread does
    (answer,) = told
    assert answer["configuration"] == {
        "path": str(tmp_path / "none.yaml"),
        "digest": site.digest,
        "refused": None,
    }
    assert as_plain(examine.ok("journal", "it takes what is written")) in answer["checks"]
    assert [one["verdict"] for one in answer["checks"] if one["about"] == "configuration"] == ["fault"]
    mistake = Problem(file="site.yaml", line=3, column=5, what="unknown circuit 'b'", hint="did you mean a?")
    doctor._look(respond, mistake)  # noqa: SLF001 - see above
    refused = told[1]["configuration"]["refused"]
    assert (refused["about"], refused["verdict"]) == ("configuration", "fault")
    assert refused["what"].endswith("site.yaml:3:5: unknown circuit 'b'")
    assert refused["then"] == "did you mean a?; then: chargerctl reload"
