import pytest


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnects and farewells as always, only sooner."""
    monkeypatch.setattr("chargerd.mqtt.back_off.BACK_OFF_FIRST", 0.3)
    monkeypatch.setattr("chargerd.mqtt.client.FAREWELL", 0.1)
    monkeypatch.setattr("chargerd.mqtt.client.TURN", 0.1)
    monkeypatch.setattr("chargerd.mqtt.feed.ACK_WAIT", 0.2)
    monkeypatch.setattr("chargerd.mqtt.back_off.BACK_OFF_MOST", 1.0)
    monkeypatch.setattr("chargerd.mqtt.back_off.UNSTEADY_MOST", 1.0)
