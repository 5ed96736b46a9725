"""What a gateway goes through, step by step on one machine, and what is measured on the way."""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.booted.machine import CONFIGURATION, PORTS, Machine, MachineError

SECURITY_MOST, INSTALL_MOST_S, RESTART_MOST_S, GAP_MOST_S, STOP_MOST_S = 1.5, 10.0, 3.0, 10.0, 3.0
"""Exposure by systemd-analyze; seconds of CPU to install, from a kill to READY, of an interruption, of a stop."""
TURNS = 3
"""How often what a busy machine may spoil is tried."""
BOOT_MOST_S = 45.0
"""An interruption by a reboot, without the boot itself: sessions come back over half a minute."""
LEASE_S, WATCHDOG_S, RESUMED_WITHIN_S = 6.0, 15.0, 240.0
FILE, KEPT = "/etc/chargerd/chargerd.yaml", "/var/lib/chargerd/kept.json"
PLACE = f"{FILE}:9:"
"""Where the mistake stands."""
APT = "apt-get install --yes --no-install-recommends --allow-downgrades"


class Story:
    """One machine and the packages it gets: the one that runs, a newer one, and newer ones that fail."""

    def __init__(self, machine: Machine, packages: dict[str, Path], tell: Callable[[str], None]) -> None:
        self.machine = machine
        self.packages = packages
        self._tell = tell
        self._sessions: set[str] = set()

    def run(self, *, short: bool = False) -> None:
        """Go through everything, or through what takes a minute.

        Raises `MachineError` at the first that is not as it should be.
        """
        steps = (
            self.install,
            self.refuse_to_enable,
            self.start,
            self.is_hardened,
            self.hand_over_a_credential,
            self.charge,
            self.restart,
            self.stop_a_dead_line,
            self.kill,
            self.hang,
            self.reboot,
            self.upgrade,
            self.fail_to_load,
            self.fail_to_start,
            self.roll_back,
            self.wrong_file,
            self.reload,
            self.remove,
            self.install_again,
            self.purge,
        )
        brief = (self.install, self.start, self.charge, self.restart, self.kill, self.wrong_file, self.reload)
        for step in brief if short else steps:
            began = time.monotonic()
            said = step()
            self._tell(f"{time.monotonic() - began:6.1f} s  {step.__name__.replace('_', ' ')}: {said}")

    # Installing

    def install(self) -> str:
        seconds = self._apt(self.packages["this"])
        expect(seconds <= INSTALL_MOST_S, f"installed within {INSTALL_MOST_S:g} s, not {seconds:.1f}")
        expect(self._word("is-enabled") == "disabled", "not enabled")
        expect(self._word("is-active") == "inactive", "not started")
        manual = self.machine.run("ls /usr/share/man/man8/chargerd.8.gz; chargerd --version").stdout
        return f"{seconds:.1f} s of CPU, {manual.split()[-1]}, neither enabled nor started"

    def refuse_to_enable(self) -> str:
        """A package that is put in again, over a configuration with a mistake, still enables nothing."""
        self.machine.write("/etc/chargerd/chargerd.yaml", CONFIGURATION.replace("A01..A12", "A01..A11"))
        expect(self.machine.run("chargerd check", check=False).returncode == 1, "a mistake is found")
        self.machine.run("dpkg --remove chargerd")
        self._apt(self.packages["this"])
        expect(self._word("is-enabled") == "disabled", "not enabled with a mistake in the configuration")
        expect(self.machine.run("systemctl start chargerd", check=False).returncode != 0, "not started by hand")
        shown = self.machine.run("systemctl show -P ExecMainStatus -P NRestarts chargerd").stdout.split()
        expect(sorted(shown) == ["0", "78"], f"nothing kept: left once, with a code of its own, not {shown}")
        said = self.machine.run("systemctl status --no-pager --full chargerd", check=False).stdout
        expect(f"not started: {FILE}:" in said, f"why, in systemctl status:\n{said}")
        return "a configuration with a mistake enables nothing, and is not tried again and again"

    def start(self) -> str:
        self.machine.write("/etc/chargerd/chargerd.yaml", CONFIGURATION)
        self.machine.run("chargerd check")
        began = time.monotonic()
        self.machine.run("systemctl enable --now chargerd")
        seconds = time.monotonic() - began
        self.machine.wait(lambda: self.machine.all_are("available"), "twelve ports to use")
        return f"READY after {seconds:.1f} s"

    def is_hardened(self) -> str:
        said = self.machine.run("systemd-analyze security --no-pager chargerd.service | tail -n 1").stdout
        score = float(said.split(":")[1].split()[0])
        expect(score <= SECURITY_MOST, f"exposure at most {SECURITY_MOST}, not {score}")
        waits = self.machine.run("systemctl show -P After -P Wants -P Requires chargerd").stdout
        expect("network-online" not in waits and "time-sync" not in waits, "no wait for network or time")
        verified = self.machine.run(
            "systemd-analyze verify --man=no /usr/lib/systemd/system/chargerd.service"
        ).stdout
        expect("chargerd" not in verified, f"nothing to say of the unit: {verified}")
        return f"exposure {score}, waits for neither network nor time"

    def hand_over_a_credential(self) -> str:
        """What root alone may read reaches the daemon, and nobody else."""
        mqtt = "mqtt: {host: 127.0.0.1, username: shed-1, password_file: word}\n"
        self.machine.write("/etc/chargerd/credentials/word", "secret\n")
        self.machine.run("chmod 600 /etc/chargerd/credentials/word")
        self.machine.write("/etc/chargerd/chargerd.yaml", CONFIGURATION + mqtt)
        self.machine.run("systemctl restart chargerd")
        self.machine.wait(self.machine.states, "a daemon that answers")
        said = self.machine.run("chargerctl doctor", check=False).stdout
        expect("mqtt.password_file" in said and "credentials" in said, f"a password that can be read:\n{said}")
        copy = "/run/credentials/chargerd.service/chargerd_word"
        expect(self.machine.run(f"cat {copy}").stdout == "secret\n", "its copy")
        others = self.machine.run(f"runuser -u nobody -- cat {copy} /etc/chargerd/credentials/word", check=False)
        expect(others.returncode != 0 and "secret" not in others.stdout, "nobody else reads it")
        self.machine.write("/etc/chargerd/chargerd.yaml", CONFIGURATION)
        self.machine.run("systemctl restart chargerd")
        self.machine.wait(lambda: self.machine.all_are("available"), "twelve ports to use")
        return "its copy is the daemon's, and nobody else's"

    # Charging, and what comes between

    def charge(self) -> str:
        self.machine.plug_in()
        self.machine.start_all()
        self._sessions = self.machine.sessions()
        expect(len(self._sessions) == len(PORTS), "twelve sessions")
        expect(self.machine.closed() == set(PORTS), "twelve closed contacts")
        return "twelve sessions"

    def restart(self) -> str:
        """Restart it up to three times: sessions go on, each interrupted for ten seconds at most."""
        gaps: list[float] = []
        while len(gaps) < TURNS and min(gaps, default=GAP_MOST_S + 1) > GAP_MOST_S:
            began = self.machine.clock.now()
            self.machine.run("systemctl restart chargerd")
            self._goes_on(began)
            gaps.append(self.machine.longest_gap(began))
        expect(min(gaps) <= busy(GAP_MOST_S), f"interrupted for {busy(GAP_MOST_S):.1f} s at most: {gaps}")
        return f"twelve sessions went on, interrupted for {min(gaps):.1f} s at most"

    def stop_a_dead_line(self) -> str:
        """Stop it while no board answers: that takes no longer than with a line that is well."""
        boards = self.machine.world.boards_on("line-a")
        began = self.machine.clock.now()
        for board in boards:
            board.silent = True
        at = time.monotonic()
        self.machine.run("systemctl stop chargerd")
        seconds = time.monotonic() - at
        self.machine.wait(lambda: not self.machine.closed(), "every contact open", LEASE_S + 1)
        for board in boards:
            board.silent = False
        most = busy(STOP_MOST_S)
        expect(seconds <= most, f"stopped within {most:.1f} s, not {seconds:.1f}")
        self.machine.run("systemctl start chargerd")
        self._goes_on(began)
        return f"stopped after {seconds:.1f} s, and all went on after the next start"

    def kill(self) -> str:
        """Kill it up to three times, and let it take as much longer as the machine is busy with other things."""
        most = busy(RESTART_MOST_S)
        began, quickest, opened = self.machine.clock.now(), float("inf"), 0.0
        for _ in range(3):
            before, at = self.machine.main_pid(), time.monotonic()
            self.machine.run(f"kill -9 {before}")
            self.machine.wait(lambda: not self.machine.closed(), "every contact open", LEASE_S)
            opened = time.monotonic() - at
            quickest = min(quickest, self._runs_anew(before, at))
            if quickest <= most:
                break
        expect(quickest <= most, f"running again within {most:.1f} s, not {quickest:.1f}")
        gap = self._goes_on(began)
        return f"all open after {opened:.1f} s, READY again after {quickest:.1f} s, {gap}"

    def hang(self) -> str:
        self._others()
        before, began = self.machine.main_pid(), self.machine.clock.now()
        at = time.monotonic()
        self.machine.run(f"kill -STOP {before}")
        self.machine.wait(
            lambda: not self.machine.closed(), "every contact open by the boards' own timers", LEASE_S + 1
        )
        opened = time.monotonic() - at
        running = self._runs_anew(before, at)
        expect(running <= 2 * WATCHDOG_S, f"running again by the watchdog, after {running:.1f} s")
        gap = self._goes_on(began)
        return f"all open after {opened:.1f} s, READY again after {running:.1f} s, {gap}"

    def reboot(self) -> str:
        leader, began = self.machine.leader(), self.machine.clock.now()
        at = time.monotonic()
        self.machine.run("systemctl reboot", check=False)
        self.machine.wait(lambda: not self.machine.closed(), "every contact open", LEASE_S + 3)
        opened = time.monotonic() - at
        self.machine.wait_booted(other_than=leader)
        gap = self._goes_on(began, time.monotonic() - at + BOOT_MOST_S)
        return f"all open after {opened:.1f} s, {gap}"

    # Versions

    def upgrade(self) -> str:
        self._others()
        return self._to("newer")

    def fail_to_load(self) -> str:
        return self._fails("unloadable")

    def fail_to_start(self) -> str:
        self._others()
        return self._fails("unstartable")

    def roll_back(self) -> str:
        self._others()
        return self._to("this")

    def wrong_file(self) -> str:
        """A mistake, half a file and none at all: refused while it runs and at each start; nobody is left dark."""
        self.machine.wait(lambda: KEPT in self.machine.run(f"ls {KEPT}", check=False).stdout, "one that is kept")
        if not self._sessions <= self.machine.sessions() or not self._sessions:
            self.machine.start_all()
        self._sessions, began = self.machine.sessions(), self.machine.clock.now()
        wrong = CONFIGURATION.replace("power_w: 600", "power_w: sixhundred")
        self.machine.write(FILE, wrong)
        expect(self.machine.run("systemctl reload chargerd", check=False).returncode != 0, "a reload that fails")
        expect(PLACE in self.machine.journal(), "the place of the mistake in the log")
        expect(self.machine.sessions() == self._sessions and self.machine.closed() == set(PORTS), "all as it was")
        expect(self.machine.longest_gap(began) == 0.0, "no contact that has moved")
        self.machine.run("systemctl restart chargerd")
        gap = self._goes_on(began)
        self._says_why(f"{PLACE}19")
        for spoil, why in ((f"truncate -s 200 {FILE}", f"{FILE}:6:"), (f"rm {FILE}", f"{FILE}: no such file")):
            before, at = self.machine.main_pid(), time.monotonic()
            self.machine.run(f"{spoil}; kill -9 {before}")
            self._runs_anew(before, at)
            self.machine.wait(self.machine.states, "a daemon that answers")
            self._says_why(why)
        self._goes_on(began)
        return f"refused with its place, four times; {gap}"

    def _says_why(self, why: str) -> None:
        """Wherever somebody may look: systemd, the daemon, the ledger."""
        said = self.machine.run("systemctl status --no-pager --full chargerd").stdout
        expect(f"REFUSED {why}" in said and "runs on" in said, f"why in systemctl status:\n{said}")
        said = " ".join(self.machine.run("chargerctl status").stdout.split())
        expect(f"REFUSED: {why}" in said and "runs on" in said, f"why in chargerctl status:\n{said}")
        told = self.machine.run("chargerctl events --json", check=False).stdout
        expect("configuration_refused" in told and why in told, f"why in the ledger:\n{told}")

    def reload(self) -> str:
        """Lower at once, higher for the next; what waits is named, and applied by a restart in order."""
        began = self.machine.clock.now()
        self.machine.write(FILE, CONFIGURATION.replace("power_w: 600", "power_w: 550"))
        self.machine.run("systemctl reload chargerd")
        expect(self._power() == (550, 550), "a lower limit, at once")
        self.machine.write(FILE, CONFIGURATION)
        self.machine.run("systemctl reload chargerd")
        expect(self._power() == (550, 550), "a higher one not while a session goes on")
        expect("REFUSED" not in self.machine.run("systemctl status --no-pager chargerd").stdout, "nothing refused")
        expect(self.machine.sessions() == self._sessions, "the sessions that were")
        expect(self.machine.longest_gap(began) == 0.0, "no contact that has moved")
        self.machine.write(FILE, CONFIGURATION.replace("circuits:", "circuits:\n  spare: {}"))
        told = self.machine.run("chargerctl reload").stdout
        expect("line 8: circuits spare: is new" in told, f"what waits, with its place:\n{told}")
        began, before, at = self.machine.clock.now(), self.machine.main_pid(), time.monotonic()
        expect("restarting" in self.machine.run("chargerctl reload --restart").stdout, "a restart")
        self._runs_anew(before, at)
        gap = self._goes_on(began, busy(GAP_MOST_S))
        circuits = self.machine.ask("status")["circuits"]
        expect([one["circuit"] for one in circuits] == ["spare", "shed"], f"the new circuit: {circuits}")
        self.machine.write(FILE, CONFIGURATION)
        self.machine.run("systemctl restart chargerd")
        self._goes_on(self.machine.clock.now())
        return f"nothing moved; with a restart {gap}"

    def _power(self) -> tuple[float, float]:
        port = self.machine.ask("port A01")
        return port["limits"]["power_w"], port["limits_in_force"]["power_w"]

    # The end

    def remove(self) -> str:
        self.machine.run("dpkg --remove chargerd")
        self.machine.wait(lambda: not self.machine.closed(), "every contact open")
        left = self.machine.run("ls /var/lib/chargerd/journal.db /etc/chargerd/chargerd.yaml").stdout.split()
        expect(len(left) == 2, "journal and configuration stay")
        gone = self.machine.run("ls -d /usr/lib/chargerd* /usr/bin/charger*", check=False).stdout
        expect(gone.count("cannot access") == 2, f"all else is gone: {gone}")
        return "all open, journal and configuration stay"

    def install_again(self) -> str:
        self._apt(self.packages["this"])
        expect(self._word("is-enabled") == "enabled", "enabled, since its configuration passes")
        self.machine.wait(lambda: len(self.machine.states()) == len(PORTS), "a daemon that answers")
        return "a configuration that passes is enabled and started"

    def purge(self) -> str:
        self.machine.run("dpkg --purge chargerd")
        left = self.machine.run(
            "find / -xdev -name '*charger*' -not -path '/root/*' -not -path '/etc/systemd/*.d'"
            " -not -path '/var/log/*' -not -path '/var/cache/*' 2>/dev/null"
        ).stdout.split()
        expect(not left, f"nothing left: {left}")
        return "nothing is left but the user"

    # What they share

    def _apt(self, package: Path, *, fails: bool = False) -> float:
        shutil.copyfile(package, self.machine.root / "root" / package.name)
        began = _cpu()
        result = self.machine.run(f"{APT} /root/{package.name}", check=False)
        expect(bool(result.returncode) is fails, f"apt says {result.returncode}:\n{result.stdout}")
        return _cpu() - began

    def _word(self, question: str) -> str:
        return self.machine.run(f"systemctl {question} chargerd", check=False).stdout.split()[-1]

    def _runs_anew(self, before: str, at: float) -> float:
        def anew() -> bool:
            words = self.machine.run("systemctl show -P MainPID -P ActiveState chargerd").stdout.split()
            return words[0] not in {before, "0"} and words[1] == "active"

        self.machine.wait(anew, "a new process")
        return time.monotonic() - at

    def _others(self) -> None:
        """Let the next riders come: one session goes on ten times, and this story has more restarts than that."""
        for port in PORTS:
            self.machine.run(f"chargerctl stop {port} --no-wait")
        self.machine.wait(lambda: self.machine.all_are("available"), "twelve ports to use")
        self.machine.start_all()
        self._sessions = self.machine.sessions()

    def _to(self, name: str) -> str:
        """Go to another version, with sessions under way."""
        began = self.machine.clock.now()
        seconds = self._apt(self.packages[name])
        self._is_version(name)
        gap = self._goes_on(began, busy(GAP_MOST_S))
        return f"{seconds:.1f} s of CPU, {gap}"

    def _goes_on(self, since: float, most: float | None = None) -> str:
        """Wait until every session charges again: none has ended, and none waited for more than `most` seconds."""
        self.machine.wait(self.machine.states, "a daemon that answers")
        self.machine.wait(
            lambda: self.machine.all_are("charging"), "every session charging again", RESUMED_WITHIN_S
        )
        expect(self._sessions == self.machine.sessions(), "the sessions that were")
        gap = self.machine.longest_gap(since)
        expect(most is None or gap <= most, f"interrupted for {most} s at most, not {gap:.1f}")
        return f"twelve sessions went on, interrupted for {gap:.1f} s at most"

    def _is_version(self, name: str) -> None:
        wanted = subprocess.run(
            ["dpkg-deb", "--field", self.packages[name], "Version"], text=True, capture_output=True, check=True
        ).stdout.strip()
        status = self.machine.ask("status")
        expect(status is not None and status["version"] == wanted, f"version {wanted} runs")

    def _fails(self, name: str) -> str:
        began = self.machine.clock.now()
        self._apt(self.packages[name], fails=True)
        self.machine.wait(lambda: len(self.machine.states()) == len(PORTS), "a daemon that answers")
        self._is_version("newer")
        gap = self._goes_on(began)
        # dpkg tries once more with whatever is installed next, and comes to the same end.
        expect(self.machine.run("dpkg --configure -a", check=False).returncode != 0, "refused once more")
        self._is_version("newer")
        self._apt(self.packages["newer"])
        self._is_version("newer")
        return f"the version before runs on; {gap}"


def _cpu() -> float:
    """Return how many seconds of CPU all that was run so far took: a busy machine has no part in them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def busy(seconds: float) -> float:
    """Return as much more time as the machine is busy with other things."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise MachineError(f"expected: {what}")
