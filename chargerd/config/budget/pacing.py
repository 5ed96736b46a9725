"""How often a bus reads what: shared by the schedule that keeps to it and the budget that foretells it."""

from chargerd.core.units import Seconds

FAST_WITHIN = Seconds(0.5)
"""How long after its last reading a closed port's current is due, and a slow reading after its turn."""
FAST_EVERY = Seconds(0.05)
"""A closed port's current is read no more often, however fast its line. Twelve meters at 115200 Bd take 84 ms, so
that no trip of theirs comes later for it; a board that answers in 1 ms is not asked 560 times a second.
"""
IDLE_EVERY = Seconds(5.0)
COILS_EVERY = Seconds(2.0)
VOLTAGE_EVERY = Seconds(2.0)
READS_A_REFRESH = 4
"""A meter is not read more often than this within the time in which its values change."""
INPUTS_EVERY = Seconds(0.5)
FEEDER_EVERY = Seconds(1.0)
"""A feeder's current: two readings within the time after which a circuit above its rating sheds ports."""
FEEDER_SLOWER_EVERY = Seconds(2.0)
"""A feeder's power and voltage, where these take frames of their own."""
THERMOMETERS_EVERY = Seconds(5.0)
"""Sockets warm up over minutes; a trip wants 30 s."""
FAST_BETWEEN = 2
"""Fast readings at least between two slower things that are not late yet."""
EARLY = Seconds(0.25)
"""How long before its deadline a slower thing is to be done: room for what is under way and for a burst."""
START_BETWEEN = 1
"""Fast readings between two of what a start waits for."""
PROBE_EVERY = Seconds(1.0)
"""How far apart lost boards are tried while none answers, however many of them a bus has."""
MANUAL_WITHIN = Seconds(1.0)
"""How soon what somebody on site asks for has its turn among the slower things; a scan asks again and again."""
HURRY = Seconds(1.0)
"""A renewal whose time ends sooner than this waits for no reading."""
BACK_OFF: tuple[Seconds, ...] = tuple(Seconds(span) for span in (0.25, 0.5, 2.0, 4.0, 8.0, 10.0))
"""How long a board that does not answer is left alone, after its first, second, ... miss in a row. Three tries fit
into the time after which a meter counts as stale, so that two lost frames in a row suspend nobody; a lasting
silence costs one timeout in ten seconds.
"""
SILENCE = 3.5
"""Characters between frames (MODBUS over Serial Line V1.02, 2.5.1.1)."""
SHORTEST_SILENCE = Seconds(0.00175)
"""Above 19200 Bd the standard fixes it at 1.75 ms."""
FAST_BAUD = 19200
DRAIN = Seconds(0.03)
"""How long the line must have been silent after a timeout before an ordinary request goes out."""
GATEWAY_MAY_WAIT = Seconds(2.0)
"""How long a gateway that serves one request at a time may wait for a board before those that are asked next count
as silent, too. Most come with 1 s.
"""
