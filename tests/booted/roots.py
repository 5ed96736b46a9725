"""Fresh roots of Debian, and copies of them to try a package in. `BOOTED_ROOTS` names a folder that keeps them."""

import os
import shutil
import subprocess
from pathlib import Path

TREE = Path(__file__).parents[2]
ROOTS = Path(os.environ.get("BOOTED_ROOTS", TREE / "build" / "roots"))
BOOTS = "systemd-sysv,dbus,udev,python3"
"""What a gateway's image has beside the least: it boots, and has Python."""
BROKER = ",mosquitto"
"""For the demo, where the package's own is not."""
EMULATED = {"arm64": "qemu-aarch64", "armhf": "qemu-arm"}
BINFMT = Path("/proc/sys/fs/binfmt_misc")


def base(suite: str, architecture: str = "amd64") -> Path:
    """Return a root that nothing was tried in, made from Debian's archive the first time."""
    root = ROOTS / f"{suite}-{architecture}"
    if (root / ".complete").exists():
        return root
    ROOTS.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    emulate(architecture)
    command = [
        "debootstrap",
        f"--arch={architecture}",
        "--variant=minbase",
        f"--include={BOOTS}",
        suite,
        str(root),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (root / ".complete").touch()
    return root


def fresh(suite: str, architecture: str = "amd64") -> Path:
    """Return a copy of a base root."""
    root = ROOTS / f"run-{suite}-{architecture}"
    if root.exists():
        shutil.rmtree(root)
    subprocess.run(["cp", "-a", "--reflink=auto", str(base(suite, architecture)), str(root)], check=True)
    return root


def here(folder: Path) -> Path:
    """Return a copy of this machine's root that boots; needs a mount namespace of its own, and goes with it."""
    place = folder / "here"
    place.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "tmpfs", str(place))
    upper, work, root = (place / name for name in ("upper", "work", "root"))
    for path in (upper, work, root):
        path.mkdir()
    mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", str(root))
    for path in (
        root / "etc/systemd/system"
    ).iterdir():  # Whatever else this machine does, it need not do in there.
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    for name in ("etc/chargerd", "var/lib/chargerd"):  # Of whoever has tried it on this machine.
        shutil.rmtree(root / name, ignore_errors=True)
    return root


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def emulate(architecture: str) -> None:
    """Have the kernel run another processor's programs through Debian's qemu-user-static."""
    name = EMULATED.get(architecture)
    if name is None:
        return
    if not (BINFMT / "register").exists():
        mount("-t", "binfmt_misc", "binfmt_misc", str(BINFMT))
    if not (BINFMT / name).exists():
        (BINFMT / "register").write_bytes(Path(f"/usr/lib/binfmt.d/{name}.conf").read_bytes().strip())


def run_in(root: Path, *words: str, binds: tuple[str, ...] = ()) -> str:
    """Run a command in a root that is not booted, without any network; return what it says.

    Raises `subprocess.CalledProcessError`, whose output says why.
    """
    bound = [f"--bind-ro={one}" for one in binds]
    nspawn = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--pipe"]
    command = [*nspawn, *bound, f"--directory={root}", *words]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return result.stdout
