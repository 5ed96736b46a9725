"""How long transactions take on a line: bytes at line speed, silences, turnaround. Arithmetic only."""

from dataclasses import dataclass

from chargerd.config.budget.pacing import DRAIN, FAST_BAUD, SHORTEST_SILENCE, SILENCE
from chargerd.config.document import BusSection
from chargerd.config.profiles.models import Parity, Profile, Timing
from chargerd.config.profiles.register_map import Block
from chargerd.core.units import Seconds

ROUND_TRIP = Seconds(0.01)
"""Network round trip a transaction over TCP is reckoned with: a wired LAN with switches, under load."""
_REQUEST = 8
"""Bytes of a reading request, and of a single write and its echo: unit, function, two words, CRC."""
_REPLY = 5
"""Bytes of a reply beside its values: unit, function, count, CRC."""
_BITS = 8
_START_AND_DATA = 9
"""Bits of a character beside parity and stop bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """What one transaction sends and gets, in bytes on a serial line."""

    request: int
    reply: int


WRITE = Frames(request=_REQUEST, reply=_REQUEST)


def registers(block: Block, words: int = 1) -> Frames:
    """Return the frames that read a block of registers with so many 16-bit words each."""
    return Frames(request=_REQUEST, reply=_REPLY + 2 * words * block.count)


def bits(count: int) -> Frames:
    """Return the frames that read coils or inputs."""
    return Frames(request=_REQUEST, reply=_REPLY + -(-count // _BITS))


def read_back(profile: Profile) -> Frames:
    """Return the frames that read a relay board back. The profile has relays."""
    assert profile.relay is not None
    back = profile.relay.read_back
    return _states(back.function, max(profile.relay.channels, back.min_count))


def inputs(profile: Profile) -> Frames:
    """Return the frames that read all inputs of a board. The profile has inputs."""
    assert profile.inputs is not None
    return _states(profile.inputs.function, max(profile.inputs.channels, profile.inputs.min_count))


def thermometers(profile: Profile) -> Frames:
    """Return the frames that read all temperatures of a board. The profile has thermometers."""
    assert profile.thermometers is not None
    return Frames(request=_REQUEST, reply=_REPLY + 2 * profile.thermometers.channels)


def _states(function: int, count: int) -> Frames:
    reads_bits = function <= 2  # noqa: PLR2004 - functions 1 and 2 read bits
    return bits(count) if reads_bits else Frames(request=_REQUEST, reply=_REPLY + 2 * count)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTime:
    """Spans of a line, in seconds: one character, the silence between frames, the network's round trip.

    On Modbus TCP there are neither characters nor silences to keep.
    """

    character: Seconds
    silence: Seconds
    round_trip: Seconds
    serial: bool

    @classmethod
    def of(cls, bus: BusSection, baudrate: int | None = None) -> "LineTime":
        """Return the spans of a bus, or of the same bus at another rate."""
        if bus.tcp is not None:
            return cls(character=Seconds(0.0), silence=Seconds(0.0), round_trip=ROUND_TRIP, serial=False)
        rate = baudrate or bus.baudrate
        character = Seconds((_START_AND_DATA + bus.stopbits + (bus.parity is not Parity.NONE)) / rate)
        silence = Seconds(max(SILENCE * character, SHORTEST_SILENCE if rate > FAST_BAUD else 0.0))
        round_trip = Seconds(0.0) if bus.serial is not None else ROUND_TRIP
        return cls(character=character, silence=silence, round_trip=round_trip, serial=True)

    def asked(self, frames: Frames, timing: Timing) -> Seconds:
        """Return the time from a line just used to the end of a request."""
        wanted = timing.pre_silence_ms / 1000 if self.serial else 0.0
        return Seconds(max(self.silence, wanted) + frames.request * self.character)

    def turnaround(self, timing: Timing) -> Seconds:
        """Return the time from the end of a request to the beginning of the reply."""
        return Seconds(self.silence + timing.turnaround_ms / 1000 + self.round_trip)

    def takes(self, frames: Frames, timing: Timing) -> Seconds:
        """Return the whole time a transaction takes, the silence before it included."""
        return Seconds(self.asked(frames, timing) + self.turnaround(timing) + frames.reply * self.character)

    def lost(self, frames: Frames, timing: Timing) -> Seconds:
        """Return the time a transaction takes that is not answered, the drain after it included."""
        waits = Seconds(timing.timeout_ms / 1000 + frames.reply * self.character)
        return Seconds(max(self.takes(frames, timing), self.asked(frames, timing) + waits + DRAIN * self.serial))
