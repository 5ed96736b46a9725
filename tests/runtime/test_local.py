"""Commands given on site are written into the ledger with who gave them."""

from chargerd.control.server import Peer
from chargerd.mqtt.contract import EventBody, Severity
from chargerd.runtime.local import action


def test_an_action_on_site_names_what_where_why_and_who() -> None:
    told = action("reset", {"port": "A01", "reason": "relay replaced"}, Peer(uid=1000, pid=7, gid=1))
    assert told == EventBody.model_validate(
        {
            "event": "local_action",
            "severity": Severity.INFO,
            "port": "A01",
            "function": "reset",
            "source": "local",
            "reason": "relay replaced",
            "uid": 1000,
        }
    )
    circuit = action("disable", {"circuit": "shed", "reason": "work"}, Peer(uid=0, pid=7, gid=1))
    assert (circuit.circuit, circuit.port) == ("shed", None)
    assert action("stop", {"port": "A01", "session_id": "S-1"}, Peer(uid=0, pid=7, gid=1)).session_id == "S-1"
