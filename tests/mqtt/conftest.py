import pytest


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnects as always, only sooner."""
    monkeypatch.setattr("chargerd.mqtt.back_off.BACK_OFF_FIRST", 0.3)
    monkeypatch.setattr("chargerd.mqtt.client.TURN", 0.1)
    monkeypatch.setattr("chargerd.mqtt.feed.ACK_WAIT", 0.3)
