"""Serves what is asked of a line itself: who is there, what a register holds, what goes over it.

Each request is one transaction, slotted by the bus between its own. What it must not do is decided in the bus's
thread, right before it goes out.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

from chargerd.config.profiles.register_map import Quantity
from chargerd.config.rows import HIGHEST
from chargerd.config.site import Board, Site
from chargerd.contract.ledger import Json
from chargerd.control.server import Responder
from chargerd.core.clock import Clock
from chargerd.core.commands import ReadRelay
from chargerd.core.units import BoardId, Seconds
from chargerd.core.view import PortView
from chargerd.modbus.board import Implausible, MeterBoard, Values
from chargerd.modbus.bus import Bus
from chargerd.modbus.frames import (
    READS_OF_BITS,
    WRITE_COIL,
    WRITE_REGISTER,
    Request,
    bits_of,
    read_bits,
    read_registers,
    registers_of,
    write_coil,
    write_register,
    write_registers,
)
from chargerd.modbus.manual import Manual, Outcome, Rate
from chargerd.modbus.trace import Traced
from chargerd.runtime.local.line_answers import (
    frames_of,
    in_ms,
    is_well,
    name_of,
    place_of,
    say_why_not,
    traced_as_plain,
)
from chargerd.runtime.local.write_rules import Write, refusal, served_by

Fields = Mapping[str, Json]
UNKNOWN_TIMEOUT = Seconds(0.3)
"""How long a unit that the configuration does not know has for its answer."""
MOST_WAITING = 16
"""Requests of a bus that wait at a time, and programs that look on at a time."""


class LineRequests:
    """The methods `line`, `probe`, `read`, `write` and `trace`. Never blocks."""

    def __init__(
        self,
        *,
        site: Site,
        buses: Callable[[], Sequence[Bus]],
        views: Callable[[], Sequence[PortView]],
        clock: Clock,
    ) -> None:
        self._site = site
        self._buses = buses
        self._views = views
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()
        self._looking: Counter[str] = Counter()
        """Asked for in the socket's thread, over in the buses'."""
        self._boards = {(board.bus, board.address): board for board in site.boards.values()}
        self.methods: Mapping[str, Callable[[Fields, Responder], None]] = {
            "line": self._line,
            "probe": self._probe,
            "read": self._read,
            "write": self._write,
            "trace": self._trace,
        }

    # Of the line

    def _line(self, params: Fields, respond: Responder) -> None:
        bus = self._bus(params, respond)
        if bus is None:
            return
        section = self._site.buses[bus.name]
        boards: list[Json] = [
            {"board": board.id, "address": board.address, "profile": board.profile.name}
            for board in self._site.boards.values()
            if board.bus == bus.name
        ]
        kind = "tcp" if section.tcp is not None else "serial" if section.serial is not None else "rtu_over_tcp"
        respond.send(
            {
                "bus": bus.name,
                "line": section.place,
                "kind": kind,
                "connected": bus.connected,
                "baudrate": section.baudrate,
                "parity": section.parity.value,
                "stopbits": section.stopbits,
                "boards": boards,
                "in_use": [port.id for port in self._in_use(bus.name)],
            }
        )

    def _in_use(self, bus: str) -> list[PortView]:
        """Return the ports whose relay is closed, or that have a session, and that hang on a line in any way.

        Also by their circuit's contactor, meter or inputs: smoke is heard of no later for a port of another line.
        """
        mine = {
            port
            for board in self._site.boards.values()
            if board.bus == bus
            for port in served_by(self._site, board.id)
        }
        return [view for view in self._views() if view.id in mine and _is_used(view)]

    def _probe(self, params: Fields, respond: Responder) -> None:
        bus = self._bus(params, respond)
        if bus is None:
            return
        board = self._boards.get((bus.name, _number(params, "unit")))
        rate = _rate(params)

        def guard() -> str | None:
            used = self._in_use(bus.name) if rate is not None or self._is_gateway(bus.name) else []
            return f"{used[0].id} is {used[0].state.value}" if used else None

        def done(outcome: Outcome) -> None:
            respond.send(
                {
                    "pdu": None if outcome.pdu is None else outcome.pdu.hex(),
                    "code": outcome.code,
                    "stray": outcome.stray.hex(),
                    "heard": outcome.heard.hex(),
                    "took_ms": in_ms(outcome.sent_at, outcome.at),
                    "why_not": outcome.why_not,
                }
            )

        request = _reading(_number(params, "unit"), _number(params, "function"), params)
        timeout = Seconds(float(str(params["timeout_ms"])) / 1000)
        self._ask(bus, request, timeout, done, respond, board=board, whole=True, rate=rate, guard=guard)

    def _is_gateway(self, bus: str) -> bool:
        """Say whether a silent unit keeps the line busy for as long as a gateway at the other end waits for it."""
        return self._site.buses[bus].tcp is not None

    def _keeps_gateway(self, bus: Bus, board: Board | None) -> str | None:
        """Say why a unit that will hardly answer must not be asked now: openings would wait with the gateway.

        A server that is itself the board may also take every unit for its own: then a stranger's write is its own.
        """
        if not self._is_gateway(bus.name) or (board is not None and board.id not in bus.lost_boards()):
            return None
        used = self._in_use(bus.name)
        if not used:
            return None
        return f"{used[0].id} is {used[0].state.value}, and a gateway that waits for a silent unit opens nothing"

    # Of a board

    def _read(self, params: Fields, respond: Responder) -> None:
        found = self._unit(params, respond)
        if found is None:
            return
        bus, unit, board = found
        if "quantity" in params:
            self._read_quantity(bus, unit, board, params, respond)
            return
        function = _number(params, "function") if "function" in params else _usual(board)
        request = _reading(unit, function, params)

        def done(outcome: Outcome) -> None:
            if outcome.pdu is None:
                say_why_not(outcome, name_of(bus, unit, board), respond)
                return
            bits = function in READS_OF_BITS
            values: list[Json] = list(bits_of(outcome.pdu) if bits else registers_of(outcome.pdu))
            told = {**place_of(bus, unit, board), "function": function, "address": params["address"]}
            respond.send({**told, "values": values[: _number(params, "count")], **frames_of(outcome)})

        guard = partial(self._keeps_gateway, bus, board)
        self._ask(bus, request, _timeout(board), done, respond, board=board, guard=guard)

    def _read_quantity(self, bus: Bus, unit: int, board: Board | None, params: Fields, respond: Responder) -> None:
        section = None if board is None else board.profile.meter
        known = [] if section is None else [quantity.value for quantity in section.registers]
        channel = _number(params, "channel")
        if board is None or section is None or params["quantity"] not in known or channel > section.channels:
            what = f"{name_of(bus, unit, board)} has no {params['quantity']} of channel {channel}"
            hint = f"it has {', '.join(known)} of {section.channels}" if section else "give a register's address"
            respond.fail("unsupported", what, hint)
            return
        quantity, meter = Quantity(str(params["quantity"])), MeterBoard(unit, section)
        block = meter.block_of(quantity)

        def done(outcome: Outcome) -> None:
            if outcome.pdu is None:
                say_why_not(outcome, board.id, respond)
                return
            try:
                values = meter.values(block, outcome.pdu, channel)
            except Implausible as error:
                values = Values(untrue=(str(error),))
            told = {**place_of(bus, unit, board), "quantity": quantity.value, "channel": channel}
            told |= {"value": getattr(values, quantity.value), "untrue": list(values.untrue)}
            register = section.registers[quantity]
            told |= {"function": section.function, "address": section.address_of(register, channel)}
            respond.send({**told, "type": register.type.value, **frames_of(outcome)})

        guard = partial(self._keeps_gateway, bus, board)
        self._ask(bus, meter.read(channel, block), _timeout(board), done, respond, board=board, guard=guard)

    def _write(self, params: Fields, respond: Responder) -> None:
        found = self._unit(params, respond)
        if found is None:
            return
        bus, unit, board = found
        values = tuple(int(str(value)) for value in cast("Sequence[Json]", params["values"]))
        write = Write(function=_number(params, "function"), address=_number(params, "address"), values=values)
        wrong = _cannot_be_written(write)
        if wrong is not None:
            respond.fail("malformed", wrong, "see chargerctl write --help")
            return

        refused: list[str | None] = []

        def guard() -> str | None:
            views = {view.id: view for view in self._views()}
            why = refusal(self._site, board, write, views) or self._keeps_gateway(bus, board)
            refused.append(why)
            return why

        def done(outcome: Outcome) -> None:
            if outcome.why_not is not None and outcome.why_not in refused:
                respond.fail("not_allowed", outcome.why_not, "see chargerctl port, and stop what charges first")
            elif outcome.pdu is None:
                say_why_not(outcome, name_of(bus, unit, board), respond)
            else:
                told = {**place_of(bus, unit, board), "function": write.function, "address": write.address}
                respond.send({**told, "values": list(write.values), **frames_of(outcome)})
            self._look_at_relays(bus, board)

        self._ask(bus, _writing(unit, write), _timeout(board), done, respond, board=board, guard=guard)

    def _look_at_relays(self, bus: Bus, board: Board | None) -> None:
        """Have a board's relays read back at once: what was written may have moved one."""
        ports = (port.id for port in self._site.ports if board is not None and port.relay.board == board.id)
        port = next(ports, None)
        if port is not None:
            bus.execute(ReadRelay(port=port))

    # Looking on

    def _trace(self, params: Fields, respond: Responder) -> None:
        bus = self._bus(params, respond)
        if bus is None:
            return
        if not self._one_more(self._looking, bus.name):
            respond.fail("busy", f"{MOST_WAITING} programs look at {bus.name} already", "end one of them")
            return
        unit, errors, began = params.get("unit"), params.get("errors") is True, self._clock.now()

        def tell(traced: Traced) -> None:
            if respond.closed:
                bus.tracers.remove(tell)
                self._one_less(self._looking, bus.name)
            elif unit in {None, traced.request[0]} and not (errors and is_well(traced)):
                respond.send(traced_as_plain(traced, began, self._clock), more=True)

        bus.tracers.add(tell)
        respond.send({"bus": bus.name, "line": self._site.buses[bus.name].place}, more=True)

    # All of them

    def _one_more(self, counter: Counter[str], bus: str) -> bool:
        with self._lock:
            if counter[bus] >= MOST_WAITING:
                return False
            counter[bus] += 1
            return True

    def _one_less(self, counter: Counter[str], bus: str) -> None:
        with self._lock:
            counter[bus] -= 1

    def _bus(self, params: Fields, respond: Responder) -> Bus | None:
        buses = {bus.name: bus for bus in self._buses()}
        bus = buses.get(str(params.get("bus")))
        if bus is None:
            hint = f"the buses are {', '.join(buses)}" if buses else "its buses are simulated: there is no line"
            respond.fail("unknown_bus", f"there is no bus {params.get('bus')!r}", hint)
        return bus

    def _unit(self, params: Fields, respond: Responder) -> tuple[Bus, int, Board | None] | None:
        """Return bus and unit of what is named, and its board if the configuration has one there."""
        if "board" in params:
            board = self._site.boards.get(BoardId(str(params["board"])))
            if board is None:
                known = ", ".join(self._site.boards)
                respond.fail("unknown_board", f"there is no board {params['board']!r}", f"the boards are {known}")
                return None
            bus = self._bus({"bus": board.bus}, respond)
            return None if bus is None else (bus, board.address, board)
        bus, unit = self._bus(params, respond), _number(params, "unit")
        return None if bus is None else (bus, unit, self._boards.get((bus.name, unit)))

    def _ask(
        self,
        bus: Bus,
        request: Request,
        timeout: Seconds,
        done: Callable[[Outcome], None],
        respond: Responder,
        *,
        board: Board | None,
        whole: bool = False,
        rate: Rate | None = None,
        guard: Callable[[], str | None] = lambda: None,
    ) -> None:
        if not self._one_more(self._waiting, bus.name):
            respond.fail("busy", f"{MOST_WAITING} requests wait for {bus.name} already", "wait for them")
            return

        def over(outcome: Outcome) -> None:
            self._one_less(self._waiting, bus.name)
            done(outcome)

        bus.ask(
            Manual(
                request=request,
                timeout=timeout,
                done=over,
                board=None if board is None else board.id,
                whole=whole,
                rate=rate,
                guard=lambda: "nobody waits for it any more" if respond.closed else guard(),
            )
        )


def _is_used(view: PortView) -> bool:
    return view.relay_closed is True or view.session is not None


def _number(params: Fields, name: str) -> int:
    return int(str(params[name]))


def _rate(params: Fields) -> Rate | None:
    if "baudrate" not in params:
        return None
    return Rate(
        baudrate=_number(params, "baudrate"), parity=str(params["parity"]), stopbits=_number(params, "stopbits")
    )


def _reading(unit: int, function: int, params: Fields) -> Request:
    address, count = _number(params, "address"), _number(params, "count")
    if function in READS_OF_BITS:
        return read_bits(unit, function, address, count)
    return read_registers(unit, function, address, count, int(str(params.get("words", 1))))


def _writing(unit: int, write: Write) -> Request:
    if write.function == WRITE_COIL:
        return write_coil(unit, write.address, write.values[0])
    if write.function == WRITE_REGISTER:
        return write_register(unit, write.address, write.values[0])
    return write_registers(unit, write.address, write.values)


def _cannot_be_written(write: Write) -> str | None:
    if write.function in {WRITE_COIL, WRITE_REGISTER} and len(write.values) > 1:
        return f"function {write.function} writes one value; function 16 writes several"
    if write.address + len(write.values) - 1 > HIGHEST:
        return "there is no address above 0xFFFF"
    return None


def _usual(board: Board | None) -> int:
    """Return the function that a board's values are read with."""
    profile = None if board is None else board.profile
    if profile is not None and profile.meter is not None:
        return profile.meter.function
    if profile is not None and profile.relay is not None:
        return profile.relay.read_back.function
    return 3


def _timeout(board: Board | None) -> Seconds:
    return UNKNOWN_TIMEOUT if board is None else Seconds(board.profile.timing.timeout_ms / 1000)
