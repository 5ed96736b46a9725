"""What Prometheus is told: by name, by value, while the decisions hang, and on an address that comes late."""

import gzip
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chargerd.config.document import MetricsSection
from chargerd.config.loader import load_text
from chargerd.config.site import Site
from chargerd.core.clock import Clock
from chargerd.core.events import BusEvent
from chargerd.core.session import StopReason
from chargerd.core.units import Instant, PortId, Seconds
from chargerd.daemon import Daemon
from chargerd.runtime.metrics import page, server
from chargerd.runtime.metrics.families import FAMILIES, PROCESS
from chargerd.runtime.metrics.server import MetricsServer, Page
from chargerd.runtime.reporting import health
from chargerd.sim.event_bus import EventBus
from chargerd.sim.world import World
from chargerd.store.place import Upkeep
from tests.logs import capture_logs
from tests.patience import PATIENCE_S
from tests.runtime.metered import Metered
from tests.runtime.technician import at_rest

DOCS = Path(__file__).parents[2] / "docs"
A01 = PortId("A01")
Seen = TypeVar("Seen")


@pytest.fixture
def metered(tmp_path: Path) -> Metered:
    return Metered(tmp_path)


def values(text: str) -> dict[str, float]:
    """Return each sample by name and labels, as a query would write it."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


# What is told


def test_every_figure_of_the_table_is_exported_and_no_other(
    metered: Metered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "TEMPERATURE", tmp_path / "temp")
    (tmp_path / "temp").write_text("54321\n", encoding="ascii")
    metered.busy()
    exported = {name.partition("{")[0] for name in values(metered.text())}
    listed = {name for family in FAMILIES for name in family.series} | PROCESS.keys()
    unsummed = {"chargerd_line_response_seconds_sum"}  # A bus keeps no sum of its answers' times.
    assert exported == listed - unsummed


def test_names_types_and_help_are_as_prometheus_wants_them(metered: Metered) -> None:
    metered.busy()
    judged = subprocess.run(
        ["promtool", "check", "metrics"], input=metered.text(), capture_output=True, text=True, check=False
    )
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")


def test_figures_are_in_base_units_and_what_is_not_known_is_left_out(metered: Metered) -> None:
    metered.busy()
    told = values(metered.text())
    assert told['chargerd_port_power_watts{port="A01"}'] == 345
    assert told['chargerd_port_energy_joules_total{port="A01"}'] == 3_600_000
    assert told['chargerd_port_state{port="A01",state="available"}'] == 1
    assert told["chargerd_sessions_energy_joules_total"] == 1_800_000
    assert told["chargerd_ledger_unacknowledged_rows"] == 5
    assert told["chargerd_journal_size_bytes"] == 5
    assert told['chargerd_sessions_ended_total{reason="full"}'] == 1
    assert {f'chargerd_sessions_ended_total{{reason="{reason}"}}' for reason in StopReason} <= told.keys()
    metered.look(at_rest(metered.site).values())
    metered.link = None
    told = values(metered.text())
    assert not [name for name in told if name.startswith(("chargerd_port_power", "chargerd_broker"))]


def test_rows_are_counted_by_what_they_tell(metered: Metered) -> None:
    metered.row({"event": "port_tripped", "severity": "alarm", "function": "overpower", "port": "A01"})
    metered.row({"event": "circuit_tripped", "severity": "alarm", "function": "relay_welded", "circuit": "shed"})
    metered.row({"event": "board_back", "severity": "info", "board": "r"})
    metered.row({"event": "updated"})
    metered.look(at_rest(metered.site).values())
    told = values(metered.text())
    assert told['chargerd_trips_total{function="overpower",of="port"}'] == 1
    assert told['chargerd_trips_total{function="relay_welded",of="circuit"}'] == 1
    assert told['chargerd_port_trips_total{port="A01"}'] == 1
    assert told['chargerd_port_trips_total{port="A02"}'] == 0
    assert told["chargerd_alarms_total"] == 2
    assert told['chargerd_events_total{event="board_back",severity="info"}'] == 1
    assert told["chargerd_sessions_started_total"] == 0


def test_a_cut_off_is_timed_from_the_trip_to_the_open_relay(metered: Metered) -> None:
    began = metered.clock.now()
    trip = {"event": "port_tripped", "severity": "alarm", "function": "overpower", "port": "A01"}
    resting = at_rest(metered.site)
    closed = {**resting, A01: replace(resting[A01], relay_closed=True, opened_at=Instant(began - 50))}
    opened = {**resting, A01: replace(resting[A01], opened_at=Instant(began + 0.25))}
    metered.row(trip)
    metered.look(closed.values())
    assert values(metered.text())["chargerd_cutoff_seconds_count"] == 0
    metered.look(opened.values())
    metered.look(opened.values())
    told = values(metered.text())
    assert told["chargerd_cutoff_seconds_count"] == 1
    assert told["chargerd_cutoff_seconds_sum"] == pytest.approx(0.25)
    assert told['chargerd_cutoff_seconds_bucket{le="0.2"}'] == 0
    assert told['chargerd_cutoff_seconds_bucket{le="0.3"}'] == 1
    metered.row(trip, at=Instant(began + 10))
    metered.look(opened.values())  # It was open already: there is nothing to be timed.
    metered.look({**resting, A01: replace(resting[A01], opened_at=Instant(began + 4000))}.values())
    assert values(metered.text())["chargerd_cutoff_seconds_count"] == 1


def test_what_is_told_of_ports_grows_old_when_nobody_looks(metered: Metered) -> None:
    metered.busy()
    metered.clock.sleep(Seconds(7.5))
    told = values(metered.text())
    assert told["chargerd_snapshot_age_seconds"] == 7.5
    assert told['chargerd_port_reading_age_seconds{port="A01"}'] == 7.5
    assert told['chargerd_thread_patience_seconds{thread="deadlines"}'] == 5


def test_a_disk_that_is_gone_tells_nothing(metered: Metered) -> None:
    metered.folder.rename(metered.folder.with_name("gone"))
    assert "chargerd_disk_free_bytes" not in values(metered.text())


def test_openmetrics_is_spoken_where_it_is_asked_for(metered: Metered) -> None:
    assert metered.text("application/openmetrics-text; version=1.0.0").endswith("# EOF\n")


def test_the_page_of_all_figures_is_up_to_date() -> None:
    assert (DOCS / "metrics.md").read_text(encoding="utf-8") == page.page(), (
        "run: python -m chargerd.runtime.metrics.page > docs/metrics.md"
    )


# Where it is told


@contextmanager
def serving(make_page: server.MakePage, port: int = 0) -> Iterator[MetricsServer]:
    one = MetricsServer("127.0.0.1", port, make_page)
    one.start()
    try:
        yield one
    finally:
        one.stop()
        one.join(PATIENCE_S)
        assert one.address is None


def until(holds: Callable[[], Seen]) -> Seen:
    """Wait for what is seen in the end; return it."""
    deadline = time.monotonic() + PATIENCE_S
    while not (seen := holds()):
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    return seen


def where(one: MetricsServer) -> str:
    address = until(lambda: one.address)
    assert address is not None
    return f"http://127.0.0.1:{address[1]}"


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        text: str = answer.read().decode()
        return text


def test_whoever_takes_it_compressed_gets_it_so() -> None:
    with serving(lambda _accepted: Page(content_type="text/plain", body=b"told 1\n" * 1000)) as one:
        request = urllib.request.Request(f"{where(one)}/metrics", headers={"Accept-Encoding": "deflate, gzip"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            body = answer.read()
    assert len(body) < 200
    assert gzip.decompress(body) == b"told 1\n" * 1000


def plain(_accepted: str | None) -> Page:
    return Page(content_type="text/plain", body=b"told 1\n")


def test_there_is_one_page_and_whoever_asks_for_another_is_told_which() -> None:
    with serving(plain) as one:
        assert get(f"{where(one)}/metrics?x=1") == "told 1\n"
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            get(f"{where(one)}/")
        assert "/metrics" in refused.value.read().decode()
        refused.value.close()


def test_a_scrape_that_fails_is_told_to_the_log_and_the_next_one_is_answered() -> None:
    fails = [True]

    def makes(_accepted: str | None) -> Page:
        if fails.pop() if fails else False:
            raise RuntimeError("no figures")
        return plain(None)

    with capture_logs() as told, serving(makes) as one:
        with pytest.raises((urllib.error.URLError, ConnectionError, OSError)):
            get(f"{where(one)}/metrics")
        assert get(f"{where(one)}/metrics") == "told 1\n"
    assert [line["event"] for line in told if line["event"] != "metrics_served"] == ["scrape_failed"]


def test_an_address_that_is_taken_is_had_as_soon_as_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "TRY_AGAIN_S", 0.01)
    with capture_logs() as told, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serving(plain, port) as one:
            until(lambda: told)
            assert str(one.why_not) == "Address already in use"
            taken.close()
            assert get(f"{where(one)}/metrics") == "told 1\n"
            assert one.why_not is None
    assert [line["event"] for line in told] == ["metrics_not_served", "metrics_served"]


def test_more_than_a_few_at_once_are_turned_away() -> None:
    with serving(plain) as one:
        address = ("127.0.0.1", int(where(one).rpartition(":")[2]))
        idle = [socket.create_connection(address) for _ in range(server.MOST_AT_ONCE)]
        try:
            with socket.create_connection(address) as last:
                last.settimeout(PATIENCE_S)
                assert last.recv(1) == b"", "it is closed unanswered"
        finally:
            for each in idle:
                each.close()


# The daemon

SITE = """
gateway: {id: shed, name: Shed}
metrics: {}
buses: {line: {rtu_over_tcp: "127.0.0.1:1", baudrate: 9600}}
boards:
  relay: {bus: line, address: 1, profile: waveshare-relay-16}
  meter: {bus: line, address: 11, profile: eastron-sdm120}
circuits: {shed: {}}
ports: [{id: A01, relay: relay/1, meter: meter, circuit: shed}]
"""


def test_a_scrape_is_answered_while_the_decisions_hang(tmp_path: Path) -> None:
    # Port 0, which no file may say: whichever is free.
    site = replace(load_text(SITE, "test"), metrics=MetricsSection.model_construct(address="127.0.0.1", port=0))
    world = World(site, seed=1)

    def make_buses(
        site: Site, *, clock: Clock, emit: Callable[[BusEvent], None], on_crash: Callable[[BaseException], None]
    ) -> tuple[EventBus]:
        del on_crash
        return (EventBus("line", site, world, clock=clock, emit=emit),)

    with capture_logs():
        daemon = Daemon(
            site,
            state_dir=tmp_path / "state",
            runtime_dir=tmp_path / "run",
            make_buses=make_buses,
            upkeep=Upkeep(),
        )
        daemon.start()
        try:
            exporter = daemon._exporter  # noqa: SLF001 - where it listens is known to nobody else
            assert exporter is not None
            address = until(lambda: exporter.address)
            assert address is not None
            looked = "chargerd_circuit_load_watts"
            until(lambda: looked in get(f"http://127.0.0.1:{address[1]}/metrics"))
            with daemon._engine._lock:  # noqa: SLF001 - held, as by a decision that never ends
                told = values(get(f"http://127.0.0.1:{address[1]}/metrics"))
        finally:
            daemon.stop()
    assert told[f'chargerd_config_info{{digest="{site.digest}",gateway="shed",name="Shed"}}'] == 1
    assert told['chargerd_circuit_load_watts{circuit="shed"}'] == 1000, "not read yet, so its limit"
    assert told['chargerd_events_total{event="gateway_started",severity="info"}'] == 1
    assert {'chargerd_port_latches{port="A01"}', 'chargerd_thread_tick_age_seconds{thread="bus line"}'} <= set(
        told
    )
