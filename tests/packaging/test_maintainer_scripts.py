"""The package's four scripts under the real dpkg, in a copy of this machine's root that is gone afterwards.

What they call is played: systemd by a script that remembers what it was told, the programs of the package by ones
that fail where a package is to. So what is tried is what the scripts do, and in which order.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.booted.roots import TREE

DEBIAN = TREE / "packaging" / "deb" / "debian"
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
CONFIG = "/etc/chargerd/chargerd.yaml"
CHARGERD = """\
#!/bin/sh
lib=/usr/lib/chargerd
echo "$(cat $lib/version): chargerd $*" >>/told
case "$1" in
    --version) cat $lib/version ;;
    check) ! grep -q mistake /etc/chargerd/chargerd.yaml || { echo "a mistake" >&2; exit 1; } ;;
    self-test) ! [ -e $lib/unloadable ] || { echo "a part is missing" >&2; exit 1; } ;;
esac
"""
SYSTEMD = """\
#!/bin/sh
echo "${0##*/} $*" >>/told
case "$*" in
    is-active*) [ -e /active ] ;;
    "restart "* | "start "*) [ ! -e /usr/lib/chargerd/unstartable ] && touch /active ;;
    "stop "*) rm -f /active ;;
    enable*) touch /enabled ;;
    *disable*) rm -f /enabled ;;
    is-enabled*) [ -e /enabled ] ;;
esac
"""
STUBS = {
    "systemctl": SYSTEMD,
    "deb-systemd-invoke": SYSTEMD,
    "deb-systemd-helper": SYSTEMD,
    "sleep": "#!/bin/sh\n",
    "py3compile": "#!/bin/sh\n",
    "py3clean": "#!/bin/sh\n",
    "runuser": '#!/bin/sh\nshift 3\nexec "$@"\n',
}
MOUNTS = """\
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" "$1/root"
mount --rbind /proc "$1/root/proc"
mkdir -p "$1/root$3"
mount --bind "$3" "$1/root$3"
mkdir -p "$1/root/stubs" "$1/root/run/systemd/system"
cp -a "$2/." "$1/root/stubs/"
echo ready
exec sleep infinity
"""


class Root:
    """A copy of this machine, as far as it is written to; what is in `stubs` comes before what it has."""

    def __init__(self, folder: Path) -> None:
        (folder / "stubs").mkdir()
        for name, text in STUBS.items():
            _program(folder / "stubs" / name, text)
        place = folder / "place"
        place.mkdir()
        command = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            MOUNTS,
            "mounts",
            str(place),
            str(folder / "stubs"),
            str(folder),
        ]
        self._keeper = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._keeper.stdout is not None
        self.ready = self._keeper.stdout.readline() == "ready\n"
        self._root = place / "root"

    def end(self) -> None:
        self._keeper.kill()
        self._keeper.communicate()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        path = "/stubs:/usr/sbin:/usr/bin:/sbin:/bin"
        command = ["nsenter", f"--target={self._keeper.pid}", "--mount", "chroot", str(self._root), *words]
        environment = {"PATH": path, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def shell(self, text: str) -> str:
        return self.run("sh", "-c", text).stdout

    def dpkg(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("dpkg", "--force-unsafe-io", *words)

    def write(self, path: str, text: str) -> None:
        self.shell(f"mkdir -p {Path(path).parent}; echo {text} >{path}")

    def told(self) -> list[str]:
        """Return what was called since the last time."""
        return self.shell("cat /told; rm -f /told").splitlines()

    def version(self) -> str:
        return self.shell("cat /usr/lib/chargerd/version").strip()

    def exists(self, *paths: str) -> bool:
        return all(self.run("test", "-e", path).returncode == 0 for path in paths)


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def package(folder: Path, version: str, *faults: str) -> str:
    """Make a package with the real scripts and little else; return the path of it, which is the same in there."""
    root = folder / f"package-{version}"
    library = root / "usr/lib/chargerd"
    library.mkdir(parents=True)
    for name, text in {"version": version, **dict.fromkeys(faults, "")}.items():
        (library / name).write_text(text)
    _program(root / "usr/bin/chargerd", CHARGERD)
    _program(root / "usr/bin/chargerctl", "#!/bin/sh\n")
    for source, place in (
        ("sysusers", "usr/lib/sysusers.d/chargerd.conf"),
        ("tmpfiles", "usr/lib/tmpfiles.d/chargerd.conf"),
        ("service", "usr/lib/systemd/system/chargerd.service"),
    ):
        (root / place).parent.mkdir(parents=True)
        (root / place).write_text((TREE / "systemd" / f"chargerd.{source}").read_text() + f"# {version}\n")
    about = root / "DEBIAN"
    about.mkdir()
    for name in SCRIPTS:
        _program(about / name, (DEBIAN / name).read_text())
    fields = {
        "Package": "chargerd",
        "Version": version,
        "Architecture": "all",
        "Maintainer": "t",
        "Description": "t",
    }
    (about / "control").write_text("".join(f"{name}: {value}\n" for name, value in fields.items()))
    target = folder / f"{version}.deb"
    build = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(target)]
    subprocess.run(build, check=True, capture_output=True)
    return str(target)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    if os.geteuid() or not all(map(shutil.which, ("unshare", "nsenter", "systemd-sysusers"))):
        pytest.skip("only root can put a file system over this machine's")
    one = Root(tmp_path)
    try:
        if not one.ready:
            pytest.skip("this machine has no overlay file system")
        if one.exists("/usr/lib/chargerd"):
            pytest.skip("the package is installed on this machine")
        yield one
    finally:
        one.end()


@pytest.fixture
def charging(root: Root, tmp_path: Path) -> Root:
    """A gateway with a version that runs."""
    root.write(CONFIG, "good")
    assert root.dpkg("--install", package(tmp_path, "1")).returncode == 0
    assert root.exists("/enabled", "/active")
    root.told()
    return root


@pytest.mark.parametrize(("content", "hint"), [(None, "describe the site first"), ("mistake", "has mistakes")])
def test_nothing_is_enabled_before_a_configuration_passes(
    root: Root, tmp_path: Path, content: str | None, hint: str
) -> None:
    if content is not None:
        root.write(CONFIG, content)
    done = root.dpkg("--install", package(tmp_path, "1"))
    assert done.returncode == 0, done.stderr
    assert hint in done.stderr
    assert not root.exists("/enabled")
    assert not root.exists("/active")
    modes = root.shell("stat -c '%a %U %G' /etc/chargerd /etc/chargerd/credentials /var/lib/chargerd").splitlines()
    assert modes == ["750 root chargerd", "700 root root", "750 chargerd chargerd"]
    assert "dialout" in root.shell("id -nG chargerd")


def test_a_unit_of_an_installation_by_hand_is_pointed_out(root: Root, tmp_path: Path) -> None:
    root.write("/etc/systemd/system/chargerd.service", "[Service]")
    assert "stands before the unit of the package" in root.dpkg("--install", package(tmp_path, "1")).stderr


def test_an_upgrade_asks_the_new_version_before_it_restarts(charging: Root, tmp_path: Path) -> None:
    done = charging.dpkg("--install", package(tmp_path, "2"))
    assert done.returncode == 0, done.stderr
    told = [line for line in charging.told() if "daemon-reload" not in line]
    assert told[0] == "1: chargerd check --json", "what the version before makes of the configuration"
    assert told[1] == "2: chargerd self-test --state-dir /var/lib/chargerd"
    assert told[2] == "2: chargerd check --since /usr/lib/chargerd-previous/check.json"
    assert "deb-systemd-invoke restart chargerd.service" in told
    assert not [line for line in told if line.startswith(("systemctl stop", "deb-systemd-invoke stop"))]
    assert charging.version() == "2"
    assert charging.exists("/active")
    assert not charging.exists("/usr/lib/chargerd-previous"), "kept no longer than needed"


@pytest.mark.parametrize("fault", ["unloadable", "unstartable"])
def test_one_that_does_not_prove_itself_gives_way(charging: Root, tmp_path: Path, fault: str) -> None:
    done = charging.dpkg("--install", package(tmp_path, "2", fault))
    assert done.returncode != 0
    assert "2 did not prove itself; 1 runs again" in done.stderr
    assert (charging.version(), charging.exists("/active")) == ("1", True)
    assert charging.shell("tail -n 1 /usr/lib/systemd/system/chargerd.service") == "# 1\n"
    restarted = "deb-systemd-invoke restart chargerd.service" in charging.told()
    assert restarted is (fault == "unstartable"), "what does not load never gets that far"

    # dpkg comes back to it whenever it is asked for anything; the version that runs must survive that.
    assert charging.dpkg("--configure", "--pending").returncode != 0
    assert (charging.version(), charging.exists("/active")) == ("1", True)
    assert charging.shell("tail -n 1 /usr/lib/systemd/system/chargerd.service") == "# 1\n"

    assert charging.dpkg("--install", package(tmp_path, "3")).returncode == 0
    assert charging.version() == "3"
    assert not charging.exists("/usr/lib/chargerd-failed")
    assert charging.shell("tail -n 1 /usr/lib/systemd/system/chargerd.service") == "# 3\n"


def test_the_journal_of_before_comes_back_with_the_version_that_reads_it(charging: Root, tmp_path: Path) -> None:
    charging.shell("cd /var/lib/chargerd; echo old >journal.db.schema-9; touch -d '+1 hour' journal.db.schema-9")
    charging.shell("cd /var/lib/chargerd; echo new >journal.db; echo log >journal.db-wal")
    done = charging.dpkg("--install", package(tmp_path, "2", "unstartable"))
    assert "every port waits for a reset on site" in done.stderr
    assert charging.shell("cat /var/lib/chargerd/journal.db") == "old\n"
    assert charging.shell("stat -c '%a %U' /var/lib/chargerd/journal.db") == "600 chargerd\n"
    assert charging.shell("cat /var/lib/chargerd/newer-*/journal.db*") == "new\nlog\n"


def test_one_that_does_not_run_is_not_started_by_an_upgrade(charging: Root, tmp_path: Path) -> None:
    charging.shell("rm /active")
    assert charging.dpkg("--install", package(tmp_path, "2")).returncode == 0
    assert not charging.exists("/active")


def test_removing_stops_and_keeps_purging_does_not(charging: Root, tmp_path: Path) -> None:
    charging.write("/var/lib/chargerd/journal.db", "rows")
    assert charging.dpkg("--remove", "chargerd").returncode == 0
    assert not charging.exists("/active")
    assert not charging.exists("/enabled")
    assert charging.exists(CONFIG, "/var/lib/chargerd/journal.db")
    assert not charging.exists("/usr/lib/chargerd")

    assert charging.dpkg("--install", package(tmp_path, "1-again")).returncode == 0
    assert charging.exists("/enabled", "/active")

    charging.write("/etc/chargerd/notes", "somebody")
    assert charging.dpkg("--purge", "chargerd").returncode == 0
    for gone in (CONFIG, "/var/lib/chargerd", "/etc/chargerd/credentials", "/usr/lib/chargerd"):
        assert not charging.exists(gone)
    assert charging.exists("/etc/chargerd/notes")
