"""From a rider's start over MQTT to the settlement: real broker, real ptys, the real daemon process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from chargerd.control.client import ControlClient
from chargerd.core.units import Watts
from chargerd.daemon import STAYS_STOPPED
from chargerd.sim.loads import Load, Phase, resistive
from tests.backend import Backend
from tests.broker import Mosquitto, free_port
from tests.patience import PATIENCE_S
from tests.site import DaemonSite

pytestmark = pytest.mark.e2e


def steady(power_w: float = 150.0) -> Load:
    return Load(name="bike", shape=lambda _s: (Watts(power_w), Phase.CHARGING), power_factor=0.6, noise=Watts(0.0))


def ended(body: dict[str, Any]) -> bool:
    return bool(body["event"] == "ended")


def test_a_charge_from_start_to_settlement(site: DaemonSite, backend: Backend) -> None:
    site.world.socket("A01").plug(steady())
    start = backend.command("start", port="A01", session_id="S-1", order_id="order 7", tariff_tiers_w=[100, 200])
    accepted = backend.reply(start, "accepted")
    assert accepted["code"] == "ok"
    assert accepted["session_id"] == "S-1"
    done = backend.reply(start, "done")
    assert done["port_state"] == "charging"
    assert site.contact("A01")

    charging = backend.wait("state/port/A01", lambda body: body["state"] == "charging")
    assert charging["session_id"] == "S-1"
    assert charging["ocpp_status"] == "Charging"
    reading = backend.wait("up/reading", lambda body: body["port"] == "A01" and (body["power_w"] or 0) > 100)
    assert reading["session_id"] == "S-1"
    assert reading["quality"] == "good"
    assert reading["power_w"] == pytest.approx(150, abs=3)

    stop = backend.command("stop", port="A01", session_id="S-1")
    backend.reply(stop, "done")
    assert not site.contact("A01")
    started = backend.wait("up/session", lambda body: body["event"] == "started")
    settled = backend.wait("up/session", ended)
    assert started["seq"] < settled["seq"]
    assert started["stream"] == settled["stream"]
    assert settled["order_id"] == "order 7"
    assert settled["stop_reason"] == "remote"
    assert settled["start_source"] == "remote"
    assert settled["energy_quality"] == "exact"
    assert len(settled["digest"]) == 64
    assert [tier["up_to_w"] for tier in settled["tiers"]] == [100, 200, None]
    assert sum(tier["charging_s"] for tier in settled["tiers"]) == settled["charging_s"]
    assert sum(tier["energy_wh"] for tier in settled["tiers"]) == settled["energy_wh"]
    (closed_at, _, _), (opened_at, _, _) = site.edges("A01")
    assert settled["charging_s"] == pytest.approx(opened_at - closed_at, abs=1)
    assert settled["peak_power_w"] == pytest.approx(150, abs=3)
    site.wait_state("A01", "available")


def test_an_overcurrent_opens_the_relay_and_ends_in_a_settlement(
    tmp_path: Path, broker: Mosquitto, backend: Backend
) -> None:
    figures = free_port()
    with DaemonSite(tmp_path, broker=broker.port, more=f"metrics: {{port: {figures}}}") as site:
        site.wait_ready()
        site.world.socket("A02").plug(steady())
        site.world.socket("A03").plug(steady())
        for port in ("A02", "A03"):
            backend.reply(backend.command("start", port=port), "done")
        # Past the inrush, in which three times the limit are allowed.
        site.wait(lambda: site.port("A02")["session"]["charging_s"] > 2.5, "A02 does not charge on")
        site.world.socket("A02").plug(resistive("short", 9.0))
        began = site.clock.now()
        tripped = backend.wait("up/event", lambda body: body["event"] == "port_tripped")
        assert tripped["port"] == "A02"
        assert tripped["function"] == "overcurrent_instant"
        assert tripped["detail"]["measured"] > tripped["detail"]["limit"] == 7.5
        settled = backend.wait("up/session", ended)
        assert settled["port"] == "A02"
        assert settled["stop_reason"] == "overcurrent"
        assert settled["stop_detail"]["function"] == "overcurrent_instant"
        opened_at = site.edges("A02")[-1][0]
        assert opened_at - began < 1.0
        assert site.contact("A03"), "its neighbour charges on"

        refused = backend.command("start", port="A02")
        assert backend.reply(refused, "rejected")["code"] == "latched"
        backend.reply(backend.command("reset", port="A02"), "done")
        site.wait_state("A02", "available")
        with urlopen(f"http://127.0.0.1:{figures}/metrics") as scraped:
            told = scraped.read().decode().splitlines()
        assert 'chargerd_trips_total{function="overcurrent_instant",of="port"} 1.0' in told
        assert "chargerd_cutoff_seconds_count 1.0" in told
        assert "chargerd_broker_connected 1.0" in told
        assert 'chargerd_sessions_ended_total{reason="overcurrent"} 1.0' in told
        assert 'chargerd_board_up{board="relay-a",line="line-a"} 1.0' in told


def test_a_silent_meter_opens_its_port_and_a_returning_one_resumes_it(site: DaemonSite, backend: Backend) -> None:
    site.world.socket("A01").plug(steady())
    backend.reply(backend.command("start", port="A01", session_id="S-2"), "done")
    site.world.board("meter-a1").silence()
    silent_from = site.clock.now()
    suspended = backend.wait("up/session", lambda body: body["event"] == "suspended")
    assert suspended["reason"] == "meter_stale"
    site.wait(lambda: not site.contact("A01"), "the contact stays closed")
    assert site.edges("A01")[-1][0] - silent_from < 3.0 + 1.0
    site.world.board("meter-a1").speak()
    backend.wait("up/session", lambda body: body["event"] == "resumed")
    site.wait(lambda: site.contact("A01"), "the contact does not close again")
    backend.reply(backend.command("stop", port="A01", session_id="S-2"), "done")
    settled = backend.wait("up/session", ended)
    assert settled["suspended_s"] >= 1
    assert [one["reason"] for one in settled["interruptions"]] == ["meter_stale"]


def test_limits_of_the_order_end_it(site: DaemonSite, backend: Backend) -> None:
    site.world.socket("A01").plug(steady())
    site.world.socket("A02").plug(steady(500))
    first = backend.command("start", port="A01", session_id="S-3", limits={"duration_s": 3})
    second = backend.command("start", port="A02", session_id="S-4", limits={"energy_wh": 1})
    for command in (first, second):
        backend.reply(command, "done")
    by_time = backend.wait("up/session", lambda body: ended(body) and body["port"] == "A01")
    assert by_time["stop_reason"] == "duration_limit"
    assert by_time["charging_s"] == 3
    by_energy = backend.wait("up/session", lambda body: ended(body) and body["port"] == "A02")
    assert by_energy["stop_reason"] == "energy_limit"
    assert by_energy["energy_wh"] == 1


def test_commands_are_refused_by_the_book(site: DaemonSite, backend: Backend) -> None:
    assert backend.reply(backend.command("start", port="Z99"), "rejected")["code"] == "unknown_port"
    assert backend.reply(backend.command("dance", port="A01"), "rejected")["code"] == "unsupported"
    too_high = backend.command("start", port="A01", limits={"power_w": 3000})
    assert backend.reply(too_high, "rejected")["code"] == "limit_too_high"
    unknown = backend.command("start", port="A01", limits={"colour": 3})
    assert backend.reply(unknown, "rejected")["code"] == "unsupported"
    assert backend.reply(backend.command("stop", port="A01"), "rejected")["code"] == "unknown_session"
    backend.publish("cmd/start", {"id": "no-expiry", "ttl_s": 30, "args": {"port": "A01"}})
    assert backend.reply("no-expiry", "rejected")["code"] == "malformed"
    backend.publish("cmd/start", b"\xff{", expiry=10)
    assert backend.wait("up/reply", lambda body: body["id"] is None)["code"] == "malformed"
    site.world.socket("A01").plug(steady())
    start = backend.command("start", port="A01", session_id="S-5")
    backend.reply(start, "done")
    assert backend.reply(backend.command("start", port="A01"), "rejected")["code"] == "busy"
    assert (
        backend.reply(backend.command("stop", port="A01", session_id="S-4"), "rejected")["code"] == "wrong_session"
    )
    assert backend.reply(backend.command("stop", port="A01"), "rejected")["code"] == "not_allowed"

    again = backend.command("start", number=start, port="A01", session_id="S-5")
    assert again == start
    repeated = backend.wait("up/reply", lambda body: body["id"] == start and body["code"] == "duplicate")
    assert repeated["status"] == "done"
    backend.command("start", number=start, port="A02")
    backend.wait("up/reply", lambda body: body["id"] == start and body["code"] == "conflict")
    backend.reply(backend.command("stop", port="A01", force=True), "done")
    used = backend.command("start", port="A02", session_id="S-5")
    assert backend.reply(used, "rejected")["code"] == "session_exists"
    assert not site.edges("A02")


def test_a_retained_command_is_refused(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> None:
    with Backend(broker.port) as backend:
        left = backend.command("start", port="A01", retain=True)
        with DaemonSite(tmp_path_factory.mktemp("late"), broker=broker.port) as site:
            site.wait_ready()
            assert backend.reply(left, "rejected")["code"] == "retained"
            assert not site.edges("A01")


def test_killed_the_boards_open_by_themselves_and_the_session_goes_on(site: DaemonSite, backend: Backend) -> None:
    site.world.socket("A01").plug(resistive("heater", 4.0))
    backend.reply(backend.command("start", port="A01", session_id="S-6"), "done")
    site.wait(lambda: site.world.socket("A01").energy > 3.0, "nothing flows")
    site.end(signal.SIGKILL)
    killed_at = site.clock.now()
    assert site.contact("A01"), "the board holds the relay by its own timer for now"
    site.wait(lambda: not site.contact("A01"), "the lease does not lapse")
    at, closed, lapsed = site.edges("A01")[-1]
    assert not closed
    assert lapsed
    assert at - killed_at <= 6.0
    site.start()
    backend.wait("up/session", lambda body: body["event"] == "resumed")
    site.wait_state("A01", "charging")
    assert sum(closed for _, closed, _ in site.edges("A01")) == 2
    backend.reply(backend.command("stop", port="A01", session_id="S-6"), "done")
    settled = backend.wait("up/session", ended)
    assert settled["session_id"] == "S-6"
    assert settled["stop_reason"] == "remote"
    assert [one["reason"] for one in settled["interruptions"]] == ["power_loss"]
    assert settled["energy_quality"] == "exact"
    flowed = site.world.socket("A01").energy
    assert abs(settled["energy_wh"] - flowed) <= settled["energy_resolution_wh"], (
        "by the register, over the outage"
    )
    told = [body["event"] for body in backend.ledger() if body.get("session_id") == "S-6"]
    assert told == ["started", "suspended", "resumed", "ended"]
    # Rows nobody has acknowledged come again at each connect.
    begun = list({row["seq"]: row for row in backend.of("up/event") if row["event"] == "gateway_started"}.values())
    assert [(body["reason"], body["sessions_interrupted"]) for body in begun] == [
        ("first_start", 0),
        ("interrupted", 1),
    ]
    assert begun[1]["seq"] < settled["seq"], "the start is told before what it finds"


def test_killed_where_nothing_is_to_resume_the_books_are_closed(
    tmp_path: Path, broker: Mosquitto, backend: Backend
) -> None:
    folder = tmp_path / "shed"
    folder.mkdir()
    with DaemonSite(folder, broker=broker.port, more="resume: {window_s: 0}") as site:
        site.wait_ready()
        site.world.socket("A01").plug(steady())
        backend.reply(backend.command("start", port="A01", session_id="S-7"), "done")
        site.end(signal.SIGKILL)
        site.start()
        settled = backend.wait("up/session", ended)
        assert (settled["session_id"], settled["stop_reason"]) == ("S-7", "power_loss")
        site.wait_ready()
        assert len([body for body in backend.of("up/session") if ended(body)]) == 1
        assert len(site.edges("A01")) == 2, "nothing has closed again"


def test_killed_and_restarted_at_once_the_relays_are_opened(tmp_path: Path) -> None:
    """By the daemon: the boards have no timer here, which would be first where the machine is busy."""
    with DaemonSite(tmp_path, relays=", lease: off") as site:
        site.wait_ready()
        site.world.socket("A01").plug(steady())
        assert site.ask("start", port="A01")["status"] == "done"
        site.end(signal.SIGKILL)
        assert site.contact("A01")
        site.start()
        site.wait(lambda: len(site.edges("A01")) > 1, "the restarted daemon does not open the relay")
        assert site.edges("A01")[1][1:] == (False, False)
        site.wait_state("A01", "charging")


def test_a_broker_that_goes_away_and_returns_loses_nothing(
    site: DaemonSite, backend: Backend, broker: Mosquitto
) -> None:
    for port in ("A01", "A02"):
        site.world.socket(port).plug(steady())
        backend.reply(backend.command("start", port=port), "done")
    broker.kill()
    site.wait(lambda: not site.ask("status")["mqtt"]["connected"], "it does not see that the broker is gone")
    site.wait(
        lambda: (site.ask("status")["mqtt"]["reason"] or {}).get("code") == "nobody_listens",
        "it does not say why there is no connection",
    )
    # Protection goes on, and so does what is written down.
    site.world.socket("A01").plug(resistive("short", 20.0))
    site.wait_state("A01", "tripped")
    assert not site.contact("A01")
    assert site.contact("A02")
    broker.start()
    tripped = backend.wait("up/event", lambda body: body["event"] == "port_tripped")
    assert tripped["offline"] is True
    settled = backend.wait("up/session", lambda body: ended(body) and body["port"] == "A01")
    assert settled["offline"] is True
    why = backend.wait("up/event", lambda body: body["event"] == "connection_failed")
    assert "nothing listens" in why["reason"]

    def whole() -> bool:
        last = site.ask("status")["ledger"]["last"]
        return [row["seq"] for row in backend.ledger()] == list(range(1, last + 1))

    site.wait(whole, "the ledger has gaps")
    last = site.ask("status")["ledger"]["last"]
    # What was not acknowledged came again; what is acknowledged is through.
    backend.acknowledge(settled["stream"], last)
    site.wait(lambda: site.ask("status")["ledger"]["acked"] == last, "the acknowledgement is not taken")


def test_presence_last_will_and_clean_goodbye(site: DaemonSite, backend: Backend) -> None:
    online = backend.wait("state/gateway", lambda body: body["status"] == "online")
    info = backend.wait("state/info")
    assert info["contract"] == "1.0"
    assert [port["port"] for port in info["ports"]] == ["A01", "A02", "A03", "A04"]
    order = [topic for topic, body, _ in backend.messages if topic.startswith("state/")]
    boards = ["relay-a", *(f"meter-a{number}" for number in (1, 2, 3, 4))]
    states = [
        *(f"state/port/A0{number}" for number in (1, 2, 3, 4)),
        *(f"state/board/{board}" for board in boards),
    ]
    assert set(order[: order.index("state/gateway")]) == {*states, "state/circuit/shed", "state/info"}
    site.end(signal.SIGKILL)
    lost = backend.wait("state/gateway", lambda body: body["status"] == "offline")
    assert lost["cause"] == "lost"
    assert lost["conn"] == online["conn"]
    site.start()
    again = backend.wait(
        "state/gateway", lambda body: body["status"] == "online" and body["conn"] > online["conn"]
    )
    assert site.end(signal.SIGTERM) == 0
    goodbye = backend.wait("state/gateway", lambda body: body["cause"] == "shutdown")
    assert goodbye["conn"] == again["conn"]
    site.start()
    backend.wait("up/event", lambda body: body["event"] == "gateway_stopped")
    backend.wait("up/event", lambda body: body["event"] == "gateway_started" and body["reason"] == "stopped")


def test_sigterm_opens_everything_and_the_next_start_goes_on(alone: DaemonSite) -> None:
    alone.world.socket("A01").plug(steady())
    session = alone.ask("start", port="A01")["session_id"]
    assert alone.end(signal.SIGTERM) == 0
    assert not alone.contact("A01")
    assert alone.edges("A01")[-1][2] is False, "opened by the daemon, not by the board's timer"
    alone.start()
    alone.wait_state("A01", "charging")
    again = alone.port("A01")
    assert again["session_id"] == session
    assert again["session"]["suspended_s"] > 0
    assert alone.ask("shutdown")["status"] == "stopped"
    assert alone.process is not None
    assert alone.process.wait(PATIENCE_S) == STAYS_STOPPED
    assert not alone.contact("A01")
    alone.start()
    alone.wait_ready()
    with ControlClient(alone.socket, timeout=PATIENCE_S) as client:
        settled = next(client.stream("session", session_id=session))["settlement"]
    assert settled["stop_reason"] == "shutdown"


def test_a_silent_board_does_not_keep_the_daemon_from_ending(alone: DaemonSite) -> None:
    alone.world.socket("A01").plug(steady())
    assert alone.ask("start", port="A01")["status"] == "done"
    alone.line.unplug()
    assert alone.end(signal.SIGTERM) == 0
    said = [json.loads(line) for line in alone.log.read_text().splitlines() if line.startswith("{")]
    assert said[-1]["event"] == "stopped"
    (left,) = (line for line in said if line["event"] == "relays_not_confirmed_open")
    assert left["ports"] == ["A01", "A02", "A03", "A04"]
    alone.wait(lambda: not alone.contact("A01"), "the lease does not lapse")
    alone.line.plug()
    alone.start()
    alone.wait_state("A01", "charging")


def test_an_adapter_that_is_pulled_out_opens_by_lease_and_comes_back(alone: DaemonSite) -> None:
    alone.world.socket("A01").plug(steady())
    assert alone.ask("start", port="A01")["status"] == "done"
    alone.line.unplug()
    alone.wait_state("A01", "suspended")
    alone.wait(lambda: not alone.contact("A01"), "the lease does not lapse")
    assert alone.edges("A01")[-1][2] is True
    alone.line.plug()
    alone.wait_state("A01", "charging")
    assert alone.ask("stop", port="A01")["status"] == "done"


@pytest.mark.parametrize("reader", ["stalled", "gone"])
def test_whoever_reads_the_log_or_does_not_protection_goes_on(tmp_path: Path, reader: str) -> None:
    read_end, write_end = os.pipe()
    site = DaemonSite(tmp_path)
    site.stdout = write_end
    if reader == "gone":
        os.close(read_end)
    else:
        os.set_blocking(write_end, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(write_end, bytes(65536))
        os.set_blocking(write_end, True)
    with site:
        os.close(write_end)
        site.wait_ready()
        site.world.socket("A01").plug(steady())
        assert site.ask("start", port="A01")["status"] == "done"
        site.wait(lambda: site.port("A01")["session"]["charging_s"] > 2.5, "A01 does not charge on")
        site.world.socket("A01").plug(resistive("short", 9.0))
        site.wait(lambda: not site.contact("A01"), "the overload is not cut off")
        assert site.edges("A01")[-1][2] is False, "opened by the daemon, not by the board's timer"
        assert site.end(signal.SIGTERM) == 0
    if reader == "stalled":
        os.close(read_end)


def test_two_signals_at_once_still_leave_in_order(alone: DaemonSite) -> None:
    alone.world.socket("A01").plug(steady())
    assert alone.ask("start", port="A01")["status"] == "done"
    assert alone.process is not None
    alone.process.send_signal(signal.SIGTERM)
    assert alone.end(signal.SIGINT) == 0
    assert alone.edges("A01")[-1][1:] == (False, False)


def test_the_list_of_relays_opens_them_with_no_daemon_left(alone: DaemonSite) -> None:
    alone.world.socket("A01").plug(steady())
    assert alone.ask("start", port="A01")["status"] == "done"
    alone.end(signal.SIGKILL)
    assert alone.contact("A01")
    command = [sys.executable, "-m", "chargerd", "open-relays", "--state-dir", str(alone.state)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    assert not alone.contact("A01")
    assert alone.edges("A01")[-1][2] is False
