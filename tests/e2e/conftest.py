from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backend import Backend
from tests.broker import Mosquitto
from tests.site import DaemonSite


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as mosquitto:
        yield mosquitto


@pytest.fixture
def backend(broker: Mosquitto) -> Iterator[Backend]:
    with Backend(broker.port) as one:
        yield one


@pytest.fixture
def site(tmp_path: Path, broker: Mosquitto) -> Iterator[DaemonSite]:
    """Four ports on a line at 9600 Bd, the daemon, and a broker it is connected to."""
    with DaemonSite(tmp_path, broker=broker.port) as one:
        one.wait_ready()
        yield one


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[DaemonSite]:
    """The same with no broker at all."""
    with DaemonSite(tmp_path) as one:
        one.wait_ready()
        yield one
