"""Rules outside the core, bent one at a time: for each, the tests that must go red.

A bent copy of the package is put in front of the real one, and the tests run in a process of their own. Only tests
that are green in a copy with nothing bent can notice anything.
"""

import shutil
import tempfile
from functools import cache
from pathlib import Path

from tests.mutants.mutant import Mutant
from tests.mutants.runner import ROOT, red
from tests.mutants.unnoticed import UNNOTICED

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        rule="what was asked by hand goes between the last openings",
        module="modbus/bus.py",
        old="            self._schedule.manual.drop()  #",
        new="            pass  #",
        tests="tests/modbus/test_by_hand.py",
    ),
    Mutant(
        rule="a register of a board that switches a charging port is written by hand",
        module="runtime/local/write_rules.py",
        old="    if used is not None:",
        new="    if used is not None and used.session is None and not used.relay_closed:",
        tests="tests/runtime/test_write_rules.py",
    ),
    Mutant(
        rule="a board whose relay is not read is written to by hand",
        module="runtime/local/write_rules.py",
        old="view.relay_closed is not False)",
        new="view.relay_closed)",
        tests="tests/runtime/test_write_rules.py",
    ),
    Mutant(
        rule="the relay of a port that is held open is written to by hand",
        module="runtime/local/write_rules.py",
        old="if view is not None and view.state is not PortState.AVAILABLE:",
        new="if False:",
        tests="tests/runtime/test_write_rules.py",
    ),
    Mutant(
        rule="a relay is closed by hand without its dead-man",
        module="runtime/local/write_rules.py",
        old="if view is not None and closes and not timed and relay.dead_man is not DeadMan.NONE:",
        new="if False:",
        tests="tests/runtime/test_write_rules.py",
    ),
    Mutant(
        rule="a coil that closes all relays of a board is written by hand",
        module="runtime/local/write_rules.py",
        old="    if unnamed is None:",
        new="    if unnamed is not None:",
        tests="tests/runtime/test_write_rules.py",
    ),
    Mutant(
        rule="a silent unit behind a gateway is read by hand while a port is in use",
        module="runtime/local/line_requests.py",
        old="        if not used:",
        new="        if used:",
        tests="tests/runtime/test_line_requests.py",
    ),
    Mutant(
        rule="a line is tried at another rate while it watches ports of another line for smoke",
        module="runtime/local/line_requests.py",
        old="            for port in served_by(self._site, board.id)",
        new="            for port in (one.id for one in self._site.ports_of(bus))",
        tests="tests/runtime/test_line_requests.py",
    ),
    Mutant(
        rule="a request by hand that cannot be judged ends the line",
        module="modbus/by_hand.py",
        old="        except Exception:  # What cannot",
        new="        except ZeroDivisionError:  # What cannot",
        tests="tests/modbus/test_by_hand.py",
    ),
    Mutant(
        rule="what a dead-man rests on is written by hand",
        module="runtime/local/write_rules.py",
        old="        _of_dead_man(board, relay, write)\n        or _of_relays",
        new="        _of_relays",
        tests="tests/runtime/test_write_rules.py",
    ),
    Mutant(
        rule="a write that has waited goes out though a port has begun meanwhile",
        module="runtime/local/line_requests.py",
        old="if respond.closed else guard(),",
        new="if respond.closed else None,",
        tests="tests/runtime/test_line_requests.py",
    ),
    Mutant(
        rule="who asks again and again by hand is served twice between two readings of a closed port",
        module="modbus/manual_queue.py",
        old="        self._before = [reading for reading in self._readings if reading.fast]",
        new="        self._before = []",
        tests="tests/modbus/test_by_hand.py",
    ),
    Mutant(
        rule="a late answer to what was asked by hand passes for a reading",
        module="modbus/by_hand.py",
        old="        wire.beware(job.request)\n",
        new="",
        tests="tests/modbus/test_by_hand.py",
    ),
    Mutant(
        rule="a board that was silent to what was asked by hand is asked the next thing at once",
        module="modbus/by_hand.py",
        old="self._schedule.back_offs.rest(job.board, after(at, BACK_OFF[0]))",
        new="pass",
        tests="tests/modbus/test_by_hand.py",
    ),
    Mutant(
        rule="another rate is tried while a port of the line is closed",
        module="modbus/by_hand.py",
        old="            if in_use:",
        new="            if False:",
        tests="tests/modbus/test_by_hand.py",
    ),
    Mutant(
        rule="a line stays at the rate that was tried",
        module="modbus/wire.py",
        old="            self._tune(None)\n",
        new="            pass\n",
        tests="tests/modbus/test_by_hand.py",
    ),
    Mutant(
        rule="what must not be sent by hand is sent all the same",
        module="modbus/by_hand.py",
        old="            return job.guard()",
        new="            return None",
        tests="tests/modbus/test_by_hand.py",
    ),
    Mutant(
        rule="a line that another program has open stays a dead daemon's own, and its relays closed",
        module="modbus/release.py",
        old="        fcntl.ioctl(line, termios.TIOCNXCL)",
        new="        pass",
        tests="tests/modbus/test_release.py",
    ),
    Mutant(
        rule="root opens whatever device the daemon's list names",
        module="modbus/release.py",
        old="        if not (stat.S_ISCHR(found.st_mode) and is_line(",
        new="        if not (stat.S_ISCHR(found.st_mode) or is_line(",
        tests="tests/modbus/test_release.py",
    ),
    Mutant(
        rule="another program may open our line and read our answers away",
        module="modbus/lines.py",
        old="            fcntl.ioctl(self._fd, termios.TIOCEXCL)",
        new="            pass",
        tests="tests/modbus/test_lines.py",
    ),
    Mutant(
        rule="a start waits for who the boards are as long as beside a charge",
        module="modbus/schedule.py",
        old="idle=idle, alone=alone, calm=calm)",
        new="idle=idle, alone=alone)",
        tests="tests/modbus/test_identity.py -k turns_apart",
    ),
    Mutant(
        rule="boards that are silent to who they are keep a start from its readings",
        module="modbus/identity.py",
        old="(calm and self._silences < TRIES)",
        new="calm",
        tests="tests/modbus/test_identity.py -k silent_to_it",
    ),
    Mutant(
        rule="one lost frame makes a start wait for who the other boards are as long as beside a charge",
        module="modbus/identity.py",
        old="self._silences < TRIES",
        new="self._silences < 1",
        tests="tests/modbus/test_identity.py -k silent_to_it",
    ),
    Mutant(
        rule="so do two silent boards between others that answer",
        module="modbus/identity.py",
        old="        self._silences = 0\n        self._words",
        new="        self._words",
        tests="tests/modbus/test_identity.py -k silent_to_it",
    ),
    Mutant(
        rule="so does what was silent on a line before it was away",
        module="modbus/identity.py",
        old="        self._silences = 0\n        for name",
        new="        for name",
        tests="tests/modbus/test_identity.py -k silent_to_it",
    ),
    Mutant(
        rule="a relay board that is silent to a setting is never read back",
        module="modbus/exchange.py",
        old=" or (preparing.unheard and isinstance(job, ReadBack))",
        new="",
        tests="tests/modbus/test_preparing.py",
    ),
    Mutant(
        rule="a relay board that is silent to a setting is asked for it for ever, and never used",
        module="modbus/preparing.py",
        old="        if self._silences >= SILENCES:",
        new="        if False:",
        tests="tests/modbus/test_preparing.py",
    ),
    Mutant(
        rule="silence to a setting counts as not having it",
        module="modbus/preparing.py",
        old="        if self._silences >= SILENCES:\n            self.failed = self._left[0].name",
        new="        if self._silences >= SILENCES:\n            self.refused()",
        tests="tests/modbus/test_preparing.py",
    ),
    Mutant(
        rule="a line that goes with each first request ends the daemon while openings wait",
        module="modbus/schedule.py",
        old="        self._passed_over = 0\n        self.back_offs.forgive()",
        new="        self.back_offs.forgive()",
        tests="tests/modbus/test_schedule.py tests/modbus/test_bus.py",
    ),
    Mutant(
        rule="a start waits for a round of all currents between its own two",
        module="modbus/jobs.py",
        old="self._starts if self.fast else",
        new="False if self.fast else",
        tests="tests/modbus/test_schedule.py",
    ),
    Mutant(
        rule="the current of a start counts as one of those it goes between, and starves them",
        module="modbus/schedule.py",
        old=" and job is not self._out_of_turn:",
        new=":",
        tests="tests/modbus/test_schedule.py",
    ),
    Mutant(
        rule="a lost board whose line was away is never told to be back",
        module="modbus/back_off.py",
        old="not known.misses and not known.lost and",
        new="not known.misses and",
        tests="tests/modbus/test_back_off.py",
    ),
    Mutant(
        rule="what has come since the last transaction is not looked for where the line was silent for long",
        module="modbus/wire.py",
        old="if self._line.wait(Seconds(max(0.0, between(now, silent_at)))):",
        new="if now < silent_at and self._line.wait(between(now, silent_at)):",
        tests="tests/modbus/test_wire.py",
    ),
    Mutant(
        rule="a renewal that can wait hides a closing",
        module="modbus/schedule.py",
        old="return min(pressing or holds,",
        new="return min(holds,",
        tests="tests/modbus/test_schedule.py",
    ),
    Mutant(
        rule="numbers that a lost journal had given out are given out again",
        module="mqtt/feed.py",
        old="elif said.last > last:",
        new="elif False:",
        tests="tests/mqtt/test_own_states.py",
    ),
    Mutant(
        rule="a card that was put back twice goes on under the stream of the first time",
        module="mqtt/feed.py",
        old="            if not self._ledger.stream_begun:\n",
        new="            if False:\n",
        tests="tests/mqtt/test_own_states.py",
    ),
    Mutant(
        rule="a process that has just begun a stream leaves it, since the broker has kept the one before",
        module="mqtt/feed.py",
        old="            if not self._ledger.stream_begun:\n",
        new="            if True:\n",
        tests="tests/mqtt/test_own_states.py",
    ),
    Mutant(
        rule="what was acknowledged of the old stream holds back rows of the new one",
        module="mqtt/drain.py",
        old="        self._acked = span.acked\n",
        new="",
        tests="tests/mqtt/test_own_states.py",
    ),
    Mutant(
        rule="rows go out before the broker has our subscription",
        module="mqtt/feed.py",
        old="        until = after(self._clock.now(), SUBSCRIBE_WAIT)\n",
        new="        until = after(self._clock.now(), ACK_WAIT)\n",
        tests="tests/mqtt/test_own_states.py",
    ),
    Mutant(
        rule="rows of a file that is not this gateway's yet are asked for all the time",
        module="mqtt/feed.py",
        old="[row for row in rows if row.stream == stream]",
        new="list(rows)",
        tests="tests/mqtt/test_own_states.py",
    ),
    Mutant(
        rule="a clone that ran under the old name first hands in what its original owes",
        module="store/tables.py",
        old="UPDATE state SET moved = last",
        new="UPDATE state SET moved = moved",
        tests="tests/store/test_owner.py",
    ),
    Mutant(
        rule="a clone with a damaged journal hands in what its original owes",
        module="store/salvage.py",
        old="    tables.set_owner(salvage.owner)\n",
        new="",
        tests="tests/store/test_owner.py",
    ),
    Mutant(
        rule="a newer program's copy in the journal's place is salvaged into an older schema",
        module="store/files.py",
        old="            schema.refuse_newer(path)\n",
        new="",
        tests="tests/store/test_files.py -k newer_program_s",
    ),
    Mutant(
        rule="a clone's first start that is cut short hides from the next that it is one",
        module="store/start.py",
        old="            tables.note_unsettled(_why(changed))\n",
        new="",
        tests="tests/store/test_owner.py",
    ),
    Mutant(
        rule="a full card that has moved hands in under its original's stream once it takes something",
        module="store/writer.py",
        old="self._start.write(self.tables, self.span.stream)",
        new="self.tables.count_start(self._start.boot_id)",
        tests="tests/store/test_owner.py",
    ),
    Mutant(
        rule="a full card that has moved hands in under its original's stream",
        module="store/writer.py",
        old="start.span(self.tables, opened.recovery.stream)",
        new="self.tables.ledger.span_of(self.tables.state())",
        tests="tests/store/test_owner.py",
    ),
    Mutant(
        rule="a journal is another one's for ever",
        module="daemon.py",
        old="            self._journal.append(Batch(settled_all=True))\n",
        new="            pass\n",
        tests="tests/runtime/test_taken_over.py",
    ),
    Mutant(
        rule="what a gateway says at its first connection hides what it had said in an earlier life",
        module="mqtt/outgoing.py",
        old="if one != INFO or may_tell",
        new="if True",
        tests="tests/mqtt/test_own_states.py",
    ),
    Mutant(
        rule="what proves that a journal is an older one is gone before the new stream is durable",
        module="mqtt/feed.py",
        old="return not (self._own_awaited or self._renewing)",
        new="return not self._own_awaited",
        tests="tests/mqtt/test_own_states.py",
    ),
    Mutant(
        rule="rows go out before it is known whether their numbers were given out before",
        module="mqtt/drain.py",
        old="self._own_awaited = own_states",
        new="self._own_awaited = False",
        tests="tests/mqtt/test_own_states.py",
    ),
    Mutant(
        rule="a retained command is executed",
        module="contract/commands.py",
        old="if arrived.retained:",
        new="if False:",
        tests="tests/mqtt/test_commands.py",
    ),
    Mutant(
        rule="a command is executed after it expired in a slow disk's queue",
        module="runtime/commands/handler.py",
        old="            elif self._clock.now() >= expires:\n"
        "                refuse(ReplyStatus.EXPIRED, Code.EXPIRED)\n"
        "            else:\n                self._dispatch(request)",
        new="            else:\n                self._dispatch(request)",
        tests="tests/runtime/test_desk.py",
    ),
    Mutant(
        rule="a command without an expiry waits for the disk for ever",
        module="runtime/commands/handler.py",
        old="            elif expires is None:\n"
        "                refuse(ReplyStatus.REJECTED, Code.CLOCK_UNSYNCHRONISED)\n"
        "            elif self._clock.now() >= expires:\n"
        "                refuse(ReplyStatus.EXPIRED, Code.EXPIRED)\n"
        "            else:\n                self._dispatch(request)",
        new="            elif expires is not None and self._clock.now() >= expires:\n"
        "                refuse(ReplyStatus.EXPIRED, Code.EXPIRED)\n"
        "            else:\n                self._dispatch(request)",
        tests="tests/runtime/test_desk.py",
    ),
    Mutant(
        rule="the station is not told of a start on its way, so that no stop reaches it",
        module="runtime/commands/handler.py",
        old="            self._dispatch(RequestHeard(request=request))",
        new="            pass",
        tests="tests/runtime/test_desk.py",
    ),
    Mutant(
        rule="the station is not told of a reset or an enabling on its way",
        module="runtime/commands/handler.py",
        old="        if isinstance(request, UnsafeRequest):\n            self._dispatch(",
        new="        if isinstance(request, StartRequested):\n            self._dispatch(",
        tests="tests/runtime/test_desk.py",
    ),
    Mutant(
        rule="the stop of a start that comes to nothing is never done",
        module="runtime/commands/handler.py",
        old="            self._dispatch(RequestDropped(request=request))",
        new="            pass",
        tests="tests/runtime/test_desk.py",
    ),
    Mutant(
        rule="a command given on site acts when its sender was told long ago that nobody answers",
        module="runtime/local/changes.py",
        old="return after(clock.now(), GOOD_FOR)",
        new="return after(clock.now(), Seconds(86400.0))",
        tests="tests/runtime/test_local.py",
    ),
    Mutant(
        rule="a stop ends the session of the next customer after a crash",
        module="runtime/commands/after_restart.py",
        old=" and one.session in {None, record.order.session}",
        new="",
        tests="tests/runtime/test_reconcile.py",
    ),
    Mutant(
        rule="a last word is durable before the record it is about",
        module="runtime/engine.py",
        old="sorted(outcome.commands, key=lambda one: isinstance(one, Answer))",
        new="outcome.commands",
        tests="tests/runtime/test_engine.py",
    ),
    Mutant(
        rule="a command with a known id acts again",
        module="runtime/commands/memory.py",
        old="        if same is None:\n            return False\n",
        new="        if True:\n            return False\n",
        tests="tests/runtime/test_desk.py",
    ),
    Mutant(
        rule="a start acts before its id is durable",
        module="runtime/commands/handler.py",
        old="            if not done:\n                refuse(ReplyStatus.REJECTED, Code.STORE_UNAVAILABLE)\n"
        "            elif",
        new="            if False:\n                pass\n            elif",
        tests="tests/runtime/test_desk.py",
    ),
    Mutant(
        rule="the relay closes though its session could not be made durable",
        module="store/work.py",
        old="            self.done(False)\n",
        new="            self.done(True)\n",
        tests="tests/store/test_failures.py",
    ),
    Mutant(
        rule="records leave before openings",
        module="runtime/engine.py",
        old="        # Open first, record after: an",
        new="        self._note(outcome.facts, now)\n        # Open first, record after: an",
        tests="tests/runtime/test_engine.py",
    ),
    Mutant(
        rule="a latch is not persisted",
        module="runtime/reporting/recorder.py",
        old="latches.extend([fact.latch] if fact.latch is not None else [])",
        new="pass",
        tests="tests/runtime/test_small_parts.py",
    ),
    Mutant(
        rule="a late answer is taken for the answer to the next request",
        module="modbus/wire.py",
        old="        silent = self._fall_silent(max(self._silence, silence), urgent=urgent)",
        new="        silent = True",
        tests="tests/modbus/test_wire.py",
    ),
    Mutant(
        rule="any echo confirms an opening",
        module="modbus/frames.py",
        old="return pdu == request.echo",
        new="return pdu[:1] == request.echo[:1]",
        tests="tests/modbus/test_frames.py",
    ),
    Mutant(
        rule="an answer of another length is taken",
        module="modbus/frames.py",
        old="return len(pdu) == request.reply_size and pdu[0] == request.function and pdu[1] == len(pdu) - 2",
        new="return pdu[:1] == bytes([request.function])",
        tests="tests/modbus/test_frames.py",
    ),
    Mutant(
        rule="another board's answer is taken",
        module="modbus/frames.py",
        old='("answer_head", unit + answer)',
        new='("answer_head", answer)',
        tests="tests/modbus/test_frames.py",
    ),
    Mutant(
        rule="a sentinel is taken for a reading",
        module="modbus/board.py",
        old="return number in register.invalid or (unsigned and number == register.type.all_ones)",
        new="return number in register.invalid",
        tests="tests/modbus/test_board.py",
    ),
    Mutant(
        rule="minus zero alone is taken for a reading",
        module="modbus/board.py",
        old="or (_doubtful(register, raw) and not live)",
        new="",
        tests="tests/modbus/test_board.py",
    ),
    Mutant(
        rule="an overload above the meter's range is thrown away",
        module="modbus/board.py",
        old="    if quantity is Quantity.ENERGY:\n",
        new="    if quantity:\n",
        tests="tests/modbus/test_board.py",
    ),
    Mutant(
        rule="a value that cannot be true takes the current along",
        module="modbus/board.py",
        old="        if not found:\n",
        new="        if untrue:\n",
        tests="tests/modbus/test_board.py",
    ),
    Mutant(
        rule="one phase the wrong way round hides the others",
        module="modbus/feeder.py",
        old="[abs(one.value) for one in powers",
        new="[one.value for one in powers",
        tests="tests/modbus/test_supply.py",
    ),
    Mutant(
        rule="a threshold that no meter can show is accepted",
        module="config/reach.py",
        old="threshold.at <= register.shows",
        new="threshold.given <= register.shows",
        tests="tests/config/test_reach.py",
    ),
    Mutant(
        rule="what is no number is taken for a reading",
        module="modbus/board.py",
        old="or not math.isfinite(_number(register, raw))",
        new="",
        tests="tests/modbus/test_board.py",
    ),
    Mutant(
        rule="a frame is taken without its CRC",
        module="modbus/frames.py",
        old=" and crc(buffer[start : end - _CRC]) == buffer[end - _CRC : end]:",
        new=":",
        tests="tests/modbus/test_frames.py",
    ),
    Mutant(
        rule="a renewal goes out after its lease may have ended",
        module="modbus/wire.py",
        old="if sent_until > not_after:",
        new="if False:",
        tests="tests/modbus/test_wire.py",
    ),
    Mutant(
        rule="an opening waits for the line to be drained",
        module="modbus/wire.py",
        old="        if urgent or self._timed_out_at is None:\n",
        new="        if self._timed_out_at is None:\n",
        tests="tests/modbus/test_wire.py",
    ),
    Mutant(
        rule="an opening does not keep the silence its board wants",
        module="modbus/wire.py",
        old="silent = self._fall_silent(max(self._silence, silence), urgent=urgent)",
        new="silent = self._fall_silent(max(self._silence, 0 if urgent else silence), urgent=urgent)",
        tests="tests/modbus/test_wire.py",
    ),
    Mutant(
        rule="an opening that nothing answers is repeated without a longer silence",
        module="modbus/silence.py",
        old="self._step = max(longer, self._helps())",
        new="self._step = self._helps()",
        tests="tests/modbus/test_silence.py",
    ),
    Mutant(
        rule="an opening that nothing answers is left to whoever wants it",
        module="modbus/worker.py",
        old="if answered or job.repeat >= REPEATS or wire is None or wire.busy_with_silence:",
        new="if True:",
        tests="tests/modbus/test_bus.py::test_an_opening_that_nothing_answers_is_repeated_after_a_longer_silence_each_time",
    ),
    Mutant(
        rule="an adapter's own echo answers a write",
        module="modbus/wire.py",
        old="if request.echo is not None and not self.echo:",
        new="if request.echo is not None:",
        tests="tests/modbus/test_wire.py",
    ),
    Mutant(
        rule="the first write over a new line goes out before it is known whether the adapter hears itself",
        module="modbus/bus.py",
        old="return ReadBack(board=job.board)",
        new="return job",
        tests="tests/modbus/test_bus.py::test_before_the_first_write_over_a_new_line_something_is_read_once",
    ),
    Mutant(
        rule="a gateway that speaks for a dead board counts as that board",
        module="modbus/gateway.py",
        old="SILENCES = frozenset({0x0A, 0x0B})",
        new="SILENCES: frozenset[int] = frozenset()",
        tests="tests/modbus/test_gateway.py",
    ),
    Mutant(
        rule="boards behind a gateway that waits for a dead one count as silent",
        module="modbus/tcp_wire.py",
        old="after(max(sent_at, self._gateway.busy_until()), timeout)",
        new="after(sent_at, timeout)",
        tests="tests/modbus/test_gateway.py",
    ),
    Mutant(
        rule="a dead board behind a gateway is asked as often as one on a line of its own",
        module="modbus/exchange.py",
        old="else wire.busy_with_silence",
        new="else Seconds(0.0)",
        tests="tests/modbus/test_gateway.py",
    ),
    Mutant(
        rule="a connection that hangs is kept",
        module="modbus/bus.py",
        old="self._exchange.hung()",
        new="False",
        tests="tests/modbus/test_gateway.py",
    ),
    Mutant(
        rule="an answer that comes sooner than a board can give it is taken",
        module="modbus/wire.py",
        old="            return Pace.SOONER",
        new="            return Pace.UNKNOWN",
        tests="tests/modbus/test_wire.py",
    ),
    Mutant(
        rule="one of two answers to a request is taken",
        module="modbus/wire.py",
        old="return self._strangers.in_(before, now) | self._strangers.in_(behind, now)",
        new="return False",
        tests="tests/modbus/test_wire.py",
    ),
    Mutant(
        rule="an answer to nothing goes unnoticed",
        module="modbus/wire.py",
        old="self.counters.tainted += self._strangers.in_(stray, self._clock.now())",
        new="pass",
        tests="tests/modbus/test_wire.py",
    ),
    Mutant(
        rule="a board slower than its profile says is never heard",
        module="modbus/health.py",
        old="patient = not urgent and self._silences % PATIENT_EACH == 0",
        new="patient = False",
        tests="tests/modbus/test_health.py",
    ),
    Mutant(
        rule="a timeout is allowed with which one lost answer suspends",
        module="config/budget/budget.py",
        old="            if one.hung.timed\n",
        new="            if False\n",
        tests="tests/config/test_times.py",
    ),
    Mutant(
        rule="a device that may not be opened is told as missing",
        module="modbus/lines.py",
        old="    errno.EACCES: Trouble.NO_PERMISSION,\n",
        new="",
        tests="tests/modbus/test_lines.py",
    ),
    Mutant(
        rule="a board that wants more silence is not named",
        module="modbus/diagnosis.py",
        old="if one.silence_wanted is not None:",
        new="if False:",
        tests="tests/modbus/test_health.py",
    ),
    Mutant(
        rule="the last resort takes an echo for an open relay",
        module="modbus/emergency.py",
        old="if closed is None or back.place >= len(closed) or closed[back.place]:",
        new="if False:",
        tests="tests/modbus/test_emergency.py",
    ),
    Mutant(
        rule="a relay that nobody has read is closed for a moment to open it",
        module="modbus/worker.py",
        old="return states is not None and states[channel - 1]",
        new="return states is None or states[channel - 1]",
        tests="tests/modbus/test_bus.py::test_a_relay_that_is_not_read_after_its_third_opening"
        "_is_not_closed_for_a_moment",
    ),
    Mutant(
        rule="a relay that reads open is closed for a moment to open it",
        module="modbus/worker.py",
        old="return states is not None and states[channel - 1]",
        new="return states is not None",
        tests="tests/modbus/test_bus.py::test_a_relay_that_reads_open_after_its_third_opening"
        "_is_not_closed_for_a_moment",
    ),
    Mutant(
        rule="the first opening already closes for a moment",
        module="modbus/worker.py",
        old="if job.attempt >= LAST_RESORT_ATTEMPT and",
        new="if",
        tests="tests/modbus/test_bus.py",
    ),
    Mutant(
        rule="the last resort's list closes for a moment instead of opening",
        module="modbus/relay_list.py",
        old="write, read = relays.open(channel), relays.read()",
        new="write, read = relays.lapse(channel), relays.read()",
        tests="tests/modbus/test_emergency.py",
    ),
    Mutant(
        rule="a relay is closed on a board whose heartbeat may not run",
        module="modbus/worker.py",
        old="isinstance(command, RenewLease) or between(fed_at, self._clock.now()) > FED_WITHIN",
        new="isinstance(command, RenewLease)",
        tests="tests/modbus/test_heartbeat.py",
    ),
    Mutant(
        rule="a heartbeat that nothing answered passes for a closing that was sent",
        module="modbus/worker.py",
        old="sent = result.sent and (closes or isinstance(command, RenewLease))",
        new="sent = result.sent",
        tests="tests/modbus/test_heartbeat.py",
    ),
    Mutant(
        rule="each relay of a board is renewed by a heartbeat of its own",
        module="modbus/worker.py",
        old="                self._schedule.drop_renewal(port)\n            undone",
        new="                pass\n            undone",
        tests="tests/modbus/test_heartbeat.py",
    ),
    Mutant(
        rule="a heartbeat renews only the relay that asked",
        module="modbus/worker.py",
        old="            self._tell(renewed)",
        new="            self._tell(renewed) if port == job.command.port else None",
        tests="tests/modbus/test_heartbeat.py",
    ),
    Mutant(
        rule="a heartbeat is written by hand",
        module="runtime/local/write_rules.py",
        old="        if space == write.space and write.meets(beat.address, 1):",
        new="        if False:",
        tests="tests/runtime/test_write_rules.py",
    ),
    Mutant(
        rule="a board whose heartbeat is not written for six seconds is taken for one that opens in time",
        module="config/plans.py",
        old="        return relay.heartbeat.within_ms == LEASE * 1000",
        new="        return True",
        tests="tests/config/test_heartbeat.py",
    ),
    Mutant(
        rule="a closing that nothing answered is told as never sent",
        module="modbus/worker.py",
        old="sent = result.sent and (closes",
        new="sent = False and (closes",
        tests="tests/modbus/test_bus.py::test_a_closing_that_may_have_reached_its_board_is_told_as_sent",
    ),
    Mutant(
        rule="a closing under which the line vanished is told as never sent",
        module="modbus/worker.py",
        old="self._tell(not_held(job.command, FaultKind.OFFLINE, now, sent=True))",
        new="self._tell(not_held(job.command, FaultKind.OFFLINE, now))",
        tests="tests/modbus/test_bus.py::test_a_closing_that_may_have_reached_its_board_is_told_as_sent",
    ),
    Mutant(
        rule="one relay that is not confirmed open keeps the site out of service after an error of the disk",
        module="daemon.py",
        old="self._journal.restart_wanted and self._engine.at_rest()",
        new="self._journal.restart_wanted and self._engine.idle()",
        tests="tests/runtime/test_giving_up.py",
    ),
    Mutant(
        rule="an error of the disk ends a session under way",
        module="daemon.py",
        old="self._journal.restart_wanted and self._engine.at_rest()",
        new="self._journal.restart_wanted",
        tests="tests/runtime/test_giving_up.py",
    ),
    Mutant(
        rule="what a daemon that gives up has opened is latched",
        module="daemon.py",
        old="        self._engine.cease()",
        new="        pass",
        tests="tests/runtime/test_giving_up.py",
    ),
    Mutant(
        rule="a decision that hung closes behind everything that was opened",
        module="runtime/engine.py",
        old="if self._panicked and isinstance(command, CloseRelay | RenewLease):",
        new="if False:",
        tests="tests/runtime/test_engine.py",
    ),
    Mutant(
        rule="a journal damaged at run time locks out every port, though the process knew that none was",
        module="store/tables.py",
        old='            self._db.execute("DELETE FROM disabled")\n'
        '            self._db.execute("UPDATE state SET latches_unknown = 0")\n',
        new='            self._db.execute("DELETE FROM disabled")\n',
        tests="tests/store/test_upkeep.py",
    ),
    Mutant(
        rule="an older file put in the journal's place brings back a session that has ended",
        module="store/tables.py",
        old='            self._db.execute("DELETE FROM sessions")\n',
        new="",
        tests="tests/store/test_upkeep.py -k older_file",
    ),
    Mutant(
        rule="a latch that was cleared comes back with an older file",
        module="store/tables.py",
        old='            self._db.execute("DELETE FROM latches")\n',
        new="",
        tests="tests/store/test_upkeep.py",
    ),
    Mutant(
        rule="latches that nobody has read are forgotten because another one is written",
        module="store/tables.py",
        old="if batch.latches and not self.in_doubt:",
        new="if batch.latches:",
        tests="tests/store/test_upkeep.py",
    ),
    Mutant(
        rule="a start whose disk failed comes true later",
        module="store/work.py",
        old="if self.done is None or only_replies(self.batch):",
        new="if True:",
        tests="tests/store/test_failures.py",
    ),
    Mutant(
        rule="facts are lost while the disk is broken",
        module="store/work.py",
        old="            backlog.keep(self.batch)\n",
        new="            pass\n",
        tests="tests/store/test_failures.py",
    ),
    Mutant(
        rule="a clock that jumps by years makes facts of the last hour leave",
        module="store/retention.py",
        old="between(self._even_since, moment.instant) >= HELD_FOR",
        new="True",
        tests="tests/store/test_retention.py",
    ),
    Mutant(
        rule="a start reads its configuration before it opens the relays",
        module="cli/run.py",
        old="    openings.start()\n    openings.wait(OPEN_FIRST)\n",
        new="",
        tests="tests/startup/test_first_opening.py",
    ),
    Mutant(
        rule="a second daemon cuts off what the first one charges",
        module="cli/run.py",
        old="        return False\n",
        new="        return True\n",
        tests="tests/startup/test_first_opening.py",
    ),
    Mutant(
        rule="an echo alone confirms that a relay is open",
        module="modbus/emergency.py",
        old=" + list(_not_seen_open(wire, told, over))",
        new="",
        tests="tests/modbus/test_emergency.py",
    ),
    Mutant(
        rule="a line that is handed over is written to on",
        module="modbus/emergency.py",
        old="if over.is_set() or silences",
        new="if silences",
        tests="tests/modbus/test_emergency.py",
    ),
    *UNNOTICED,
)


def survives(mutant: Mutant, folder: Path) -> bool:
    """Say whether the tests stay green with this rule bent.

    Raises `ValueError` if there is nothing to bend, or if the tests are red without it: they would notice nothing.
    """
    package = _copy(folder)
    path = package / mutant.module
    source = path.read_text(encoding="utf-8")
    if source.count(mutant.old) != 1:
        raise ValueError(f"{mutant.module}: {source.count(mutant.old)} places for: {mutant.rule}")
    before = _red_unbent(mutant.tests)
    if before is not None:
        raise ValueError(f"{mutant.rule}: its tests are red without it: {before}")
    path.write_text(source.replace(mutant.old, mutant.new), encoding="utf-8")
    return red(mutant.tests, folder) is None


@cache
def _red_unbent(tests: str) -> str | None:
    """Return what the tests say if they are red in a copy with nothing bent; looked at once for each choice."""
    with tempfile.TemporaryDirectory() as folder:
        _copy(Path(folder))
        return red(tests, Path(folder))


def _copy(folder: Path) -> Path:
    package = folder / "chargerd"
    shutil.copytree(ROOT / "chargerd", package)  # With the bytecode: compiling takes longer than most tests.
    (folder / "tests").symlink_to(ROOT / "tests")
    return package
