"""Opens the line of a bus, whatever it is made of."""

from collections.abc import Callable

from chargerd.core.clock import Clock
from chargerd.modbus.lines import Line, LineSettings, SerialLine, SocketLine
from chargerd.modbus.manual import Rate, character_bits
from chargerd.modbus.tcp_wire import TcpWire
from chargerd.modbus.wire import Counters, RtuWire, Wire

ECHOES = {"auto": None, "yes": True, "no": False}


def connector(settings: LineSettings, clock: Clock) -> Callable[[Counters], Wire]:
    """Return what opens the line; it raises `LineGone` while that is not to be had."""
    bits = character_bits(settings)

    def connect(counters: Counters) -> Wire:
        if settings.tcp is not None:
            far = SocketLine(settings.tcp)
            return TcpWire(far, clock, counters=counters, discard=far.discard)
        discard: Callable[[], None] | None = None
        tune: Callable[[Rate | None], None] | None = None
        line: Line
        if settings.rtu_over_tcp is None:
            line = serial = SerialLine(settings)
            tune = serial.tune
        else:
            line = far = SocketLine(settings.rtu_over_tcp)
            discard = far.discard
        return RtuWire(
            line,
            clock,
            baudrate=settings.baudrate,
            character_bits=bits,
            counters=counters,
            discard=discard,
            echo=ECHOES[settings.echo],
            tune=tune,
        )

    return connect
