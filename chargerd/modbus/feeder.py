"""What circuits' meters, inputs and thermometers are asked for, and what their answers say. No I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from chargerd.config.budget.feeders import feeder_readings
from chargerd.config.budget.pacing import FEEDER_EVERY, FEEDER_SLOWER_EVERY
from chargerd.config.profiles.models import Inputs, Thermometers
from chargerd.config.profiles.register_map import MeterSection, Quantity
from chargerd.config.rows import HIGHEST
from chargerd.core.events import CircuitReading, TemperatureReading
from chargerd.core.plan import CircuitPlan, FeederPlan
from chargerd.core.units import Amps, BoardId, Celsius, CircuitId, Instant, PortId, Seconds, Volts, Watts, after
from chargerd.modbus.board import MeterBoard, Values, known
from chargerd.modbus.frames import Request, bits_of, read_bits, read_registers, registers_of
from chargerd.modbus.jobs import Poll

_BITS = 2
"""Functions 1 and 2 read bits."""
ONE_PICTURE = Seconds(2 * FEEDER_EVERY)
"""Currents of phases read further apart than this are not told as one reading."""
KEEPS = Seconds(3 * FEEDER_SLOWER_EVERY)
"""How long a power or a voltage is told along with later currents."""


class InputBoard:
    """Frames for the inputs of a board. Channels count from 1."""

    def __init__(self, unit: int, section: Inputs) -> None:
        self._unit = unit
        self._section = section

    def read(self) -> Request:
        """Return the request that reads all inputs."""
        section = self._section
        count = max(section.channels, section.min_count)
        read = read_bits if section.function <= _BITS else read_registers
        return read(self._unit, section.function, section.first, count)

    def closed(self, pdu: bytes) -> tuple[bool, ...]:
        """Return whether each contact is closed, channel 1 first. Raises `Implausible`."""
        values = bits_of(pdu) if self._section.function <= _BITS else registers_of(pdu)
        return tuple(known(value) for value in values)[: self._section.channels]


class ThermometerBoard:
    """Frames for the temperatures of a board, and which ports each channel, counted from 1, stands for."""

    def __init__(self, unit: int, section: Thermometers, ports: Mapping[PortId, int]) -> None:
        self._unit = unit
        self._section = section
        self._ports = ports

    def read(self) -> Request:
        """Return the request that reads all channels."""
        section = self._section
        return read_registers(self._unit, section.function, section.first, section.channels)

    def note(self, pdu: bytes, at: Instant) -> Iterator[TemperatureReading]:
        """Yield what an answer says of each port's socket; a value that cannot be true is not known."""
        words = registers_of(pdu)
        if set(words) == {HIGHEST}:
            words = []  # One of several may be a tenth of a degree below zero; all of them are an empty answer.
        for port, channel in self._ports.items():
            yield TemperatureReading(
                port=port, at=at, celsius=self._celsius(words[channel - 1]) if words else None
            )

    def _celsius(self, raw: int) -> Celsius | None:
        section = self._section
        if raw in section.invalid:
            return None
        celsius = section.scale * (raw - 0x1_0000 if raw & 0x8000 else raw)
        return Celsius(celsius) if section.least <= celsius <= section.most else None


def readings_of(circuit: CircuitPlan, meter: MeterSection) -> Iterator[Poll]:
    """Yield what is read of a circuit's meter."""
    assert circuit.meter is not None
    board = circuit.meter.board
    for read in feeder_readings(meter, circuit.meter.phases):
        yield Poll(board=board, every=read.every, circuit=circuit.id, channel=read.channel, block=read.block)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    value: float
    at: Instant


class Feeder:
    """What is known of one circuit's meter. Values of different frames are told together while they are young."""

    def __init__(self, circuit: CircuitId, plan: FeederPlan, meter: MeterBoard) -> None:
        self._circuit = circuit
        self._phases = plan.phases
        self._meter = meter
        self._known: dict[tuple[Quantity, int], _Known] = {}

    def request(self, job: Poll) -> Request:
        """Return what asks for a block."""
        assert job.block is not None
        return self._meter.read(job.channel, job.block)

    def note(self, job: Poll, pdu: bytes, at: Instant) -> tuple[CircuitReading | None, tuple[str, ...]]:
        """Take in an answer; return the currents of all phases, once these are known, and what cannot be true.

        Raises `Implausible` if nothing of a phase can.
        """
        assert job.block is not None
        begins = self._meter.begins(job.channel, job.block)
        told = False
        untrue: list[str] = []
        for channel in range(1, self._phases + 1):
            if self._meter.begins(channel, job.block) == begins:
                values = self._meter.values(job.block, pdu, channel)
                self._keep(channel, values, at)
                told = told or values.current is not None
                untrue += values.untrue
        return self._picture(at) if told else None, tuple(untrue)

    def _keep(self, channel: int, values: Values, at: Instant) -> None:
        found = {
            Quantity.CURRENT: values.current,
            Quantity.POWER: values.power,
            Quantity.VOLTAGE: values.voltage,
        }
        for quantity, value in found.items():
            if value is not None:
                self._known[quantity, channel] = _Known(value=value, at=at)

    def _picture(self, now: Instant) -> CircuitReading | None:
        currents = [self._young(Quantity.CURRENT, phase, now, ONE_PICTURE) for phase in self._each()]
        known = [one for one in currents if one is not None]
        if len(known) < self._phases:
            return None
        powers = [self._young(Quantity.POWER, phase, now, KEEPS) for phase in self._each()]
        volts = [self._young(Quantity.VOLTAGE, phase, now, KEEPS) for phase in self._each()]
        # Magnitudes: one transformer the wrong way round must not hide what the other phases carry.
        whole = [abs(one.value) for one in powers if one is not None]
        return CircuitReading(
            circuit=self._circuit,
            at=min(one.at for one in known),
            currents=tuple(Amps(one.value) for one in known),
            power=Watts(sum(whole)) if len(whole) == self._phases else None,
            voltages=tuple(None if one is None else Volts(one.value) for one in volts),
        )

    def _each(self) -> range:
        return range(1, self._phases + 1)

    def _young(self, quantity: Quantity, phase: int, now: Instant, within: Seconds) -> _Known | None:
        known = self._known.get((quantity, phase))
        return None if known is None or after(known.at, within) < now else known


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What a bus reads beside its ports: boards with inputs or thermometers, and circuits' meters."""

    inputs: Mapping[BoardId, InputBoard]
    feeders: Mapping[CircuitId, Feeder]
    regulars: tuple[Poll, ...]
    thermometers: Mapping[BoardId, ThermometerBoard] = field(default_factory=dict)

    def request(self, job: Poll) -> Request:
        """Return what asks for one of them."""
        if job.circuit is not None:
            return self.feeders[job.circuit].request(job)
        return self.thermometers[job.board].read() if job.thermometers else self.inputs[job.board].read()


NO_SUPPLY = Supply(inputs={}, feeders={}, regulars=())
