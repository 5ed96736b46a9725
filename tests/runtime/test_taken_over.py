"""The daemon on another one's journal: what was open in it is settled, by the first start that lives to do it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chargerd.config.loader import load_text
from chargerd.core.ledger import Batch, Owner
from chargerd.core.session import StopReason
from chargerd.daemon import Daemon
from chargerd.runtime.clock import SystemClock
from chargerd.runtime.host import Host
from chargerd.store.place import Upkeep
from tests.logs import silence
from tests.runtime.test_giving_up import SITE
from tests.store.kit import connection_of, open_journal, record
