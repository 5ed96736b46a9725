"""What holds for all tests."""

import os
import resource
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.logs import tell_all
from tests.sampling import sampled

OF_SYSTEMD = ("NOTIFY_SOCKET", "SYSTEMD_EXEC_PID", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What a service, or a container that systemd began, finds in its environment: it would be told of our daemons."""
for variable in OF_SYSTEMD:
    os.environ.pop(variable, None)

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # How long an example takes says how busy the machine is.


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """Take interrupts again: a shell that runs us in the background has them ignored, by our children, too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Undo what a command has configured about the log in this process; a test that fails shows all of it."""
    tell_all()
    yield
    tell_all()


BENDS = "test_bends.py"
"""Has its own share of each run."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave half of what computes for long to the gate's next run: two commits in a row see it all."""
    long = [one for one in items if one.get_closest_marker("long") is not None and one.path.name != BENDS]
    turn = set(sampled([one.nodeid for one in long], str, 2))
    left = {one for one in long if one.nodeid not in turn}
    if left:
        config.hook.pytest_deselected(items=list(left))
        items[:] = [one for one in items if one not in left]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the tests have cost: the wall's time says how busy the machine is, this does not."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in used)
    terminalreporter.write_line(f"{cpu:.0f} s of CPU")
