"""Looks after the link's certificates: new files are taken without a restart, old ones warned of in time."""

from chargerd import log
from chargerd.config.document import MqttSection
from chargerd.contract import bodies, parts
from chargerd.contract.ledger import Json
from chargerd.contract.payloads import CertificateBody, EventBody, Severity
from chargerd.core.clock import Clock
from chargerd.core.moment import Moment
from chargerd.core.units import Instant, Seconds
from chargerd.mqtt.alarms import Alarms
from chargerd.mqtt.certificates import Expiry, KeyFiles
from chargerd.mqtt.reasons import why_unusable

DAY_MS = 86_400_000
WARN_AHEAD_MS = 30 * DAY_MS
WARN_AGAIN_AFTER = Seconds(86_400.0)


class KeyWatch:
    """What the link knows of its own credentials."""

    def __init__(self, config: MqttSection, clock: Clock, alarms: Alarms) -> None:
        self._files = KeyFiles(config)
        self._clock = clock
        self._alarms = alarms
        self._loaded = self._files.signature()
        self._expiries = self._files.expiries()

    def replaced(self) -> bool:
        """Say whether the files are others than before and can be used; ones that cannot are looked at again."""
        signature = self._files.signature()
        if signature == self._loaded:
            return False
        try:
            self._files.check()
        except (OSError, ValueError) as error:
            self._alarms.say(
                "credentials_not_usable", f"new files, and the old ones stay in use: {why_unusable(error)}"
            )
            return False
        self._loaded = signature
        self._expiries = self._files.expiries()
        log.info("credentials_replaced")
        return True

    def warn(self) -> None:
        """Tell each day of what is good for less than 30 days. Without a clock nothing can be said."""
        wall_ms = self._clock.moment().wall_ms
        if wall_ms is None:
            return
        for one in self._expiries:
            left = one.expires_ms - wall_ms
            if left < WARN_AHEAD_MS:
                self._tell(one, left)

    def _tell(self, one: Expiry, left_ms: int) -> None:
        past = left_ms <= 0
        what = f"{one.role} {one.subject or ''}".strip()
        reason = f"{what} has expired" if past else f"{what} is good for {left_ms // DAY_MS} days more"
        body = EventBody(
            event="certificate_expired" if past else "certificate_expires",
            severity=Severity.ALARM if past else Severity.WARNING,
            reason=reason,
            expires_at=_stamp(one),
        )
        self._alarms.note(body, (one.role, one.expires_ms), WARN_AGAIN_AFTER)

    def about(self) -> list[Json]:
        """Return the certificates as `state/info` lists them."""
        return [
            bodies.plain(CertificateBody(file=one.role, subject=one.subject, expires_at=_stamp(one)))
            for one in self._expiries
        ]


def _stamp(one: Expiry) -> str:
    stamp = parts.stamp(Moment(instant=Instant(0.0), wall_ms=one.expires_ms))
    assert stamp is not None
    return stamp
