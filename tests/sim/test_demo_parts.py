import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from chargerd.cli import demo_parts
from chargerd.cli.demo_parts import DemoError, broker, daemon, keep, tail


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://broker.example:1884", "mqtt://broker.example:1884"),
        ("broker.example:1884", "mqtt://broker.example:1884"),
        ("mqtt://broker.example", "mqtt://broker.example:1883"),
    ],
)
def test_a_named_broker_is_taken_at_its_word(tmp_path: Path, url: str, address: str) -> None:
    with broker(url, tmp_path) as named:
        assert str(named.address) == address
        assert named.alive


@pytest.mark.parametrize(
    "url", ["mqtts://broker.example", "mqtt://", "mqtt://broker.example:one", "mqtt://b:99999"]
)
def test_an_address_that_makes_no_sense_is_refused_with_how_to_write_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(DemoError, match="write mqtt://host:port"), broker(url, tmp_path):
        pass


def without_iotcore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)


def test_where_iotcore_is_missing_mosquitto_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_iotcore(monkeypatch)
    with broker(None, tmp_path) as served:
        assert served.kind == "mosquitto"
        assert served.address.host == "127.0.0.1"
        assert served.alive
    assert not served.alive


def test_where_there_is_no_broker_at_all_the_ways_out_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_iotcore(monkeypatch)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(DemoError, match=r"chargerd\[demo\].*mosquitto.*--broker"), broker(None, tmp_path):
        pass


def test_a_broker_that_does_not_come_up_is_told_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        demo_parts, "_iotcore", lambda *_: [sys.executable, "-c", "import sys; sys.exit('out of order')"]
    )
    with pytest.raises(DemoError, match="out of order"), broker(None, tmp_path):
        pass


def test_a_daemon_that_does_not_want_to_leave_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stubborn = tmp_path / "stubborn"
    stubborn.write_text("#!/bin/sh\ntrap '' TERM\ntouch ready\nwhile :; do sleep 0.05; done\n", encoding="ascii")
    stubborn.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stubborn))
    monkeypatch.setattr(demo_parts, "LEAVE_WITHIN", 0.2)
    monkeypatch.chdir(tmp_path)
    with daemon(tmp_path / "chargerd.yaml", tmp_path) as driven:
        while not (tmp_path / "ready").exists():
            assert driven.exit_code is None
        driven.ask_to_leave()
    assert driven.exit_code == -9
    driven.ask_to_leave()
    with pytest.raises(ProcessLookupError):
        os.kill(driven.pid, 0)


def test_the_end_of_a_log_is_told_and_the_log_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    log = tmp_path / "chargerd.log"
    assert tail(log) == ""
    assert keep(log) is None
    log.write_text("\n".join(f"line {number}" for number in range(40)), encoding="utf-8")
    assert tail(log, 2) == "line 38\nline 39"
    kept = keep(log)
    assert kept is not None
    assert kept.read_text(encoding="utf-8") == log.read_text(encoding="utf-8")
