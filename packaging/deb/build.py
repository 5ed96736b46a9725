"""Builds the Debian package of one architecture, or of each: `build.py [--into FOLDER] [ARCHITECTURE ...]`.

One package serves Debian 12 and 13: what is in pure Python lies there once, the compiled part of each Python
beside the other's. All that is in it comes from this tree and from the wheels that the lock file names by hash.
Two builds of one commit are the same bytes: times are the commit's, the order is sorted, and dpkg-deb packs for a
fixed time.
"""

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import manual
import wheels

TREE = Path(__file__).parents[2]
DEBIAN = Path(__file__).with_name("debian")
LOCK = TREE / "requirements-gateway.lock"
WHEELS = TREE / "build" / "wheels"
"""Where they stay for the next build: every build checks their hashes anew."""
LIBRARY = "usr/lib/chargerd"
CONFIGURATION = "etc/chargerd/chargerd.example.yaml"
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
PROGRAM = """\
#!/usr/bin/python3 -IS
# Nothing of the system's Python but its standard library: the package brings what else is needed.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "/usr/lib/chargerd")
os.environ["PYTHONPATH"] = "/usr/lib/chargerd"  # for the processes of the demo
from {module} import main

main()
"""
PLACES = {
    "systemd/chargerd.service": "usr/lib/systemd/system/chargerd.service",
    "systemd/chargerd.sysusers": "usr/lib/sysusers.d/chargerd.conf",
    "systemd/chargerd.tmpfiles": "usr/lib/tmpfiles.d/chargerd.conf",
    "systemd/60-chargerd.rules": "usr/lib/udev/rules.d/60-chargerd.rules",
    "config/one-shed.yaml": CONFIGURATION,
}
"""Files of the tree, and where they go as they are."""


def main() -> int:
    """Build; the exit status."""
    parser = argparse.ArgumentParser(description="Build Debian packages.")
    parser.add_argument("--into", type=Path, default=TREE / "build" / "deb")
    parser.add_argument(
        "--version", help="as the packages are to be numbered; the tree's commit says it by itself"
    )
    parser.add_argument("architectures", nargs="*", metavar="ARCHITECTURE", help=" ".join(wheels.MACHINES))
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    epoch = int(_git("log", "-1", "--format=%ct"))
    version = options.version or tree_version()
    try:
        for architecture in options.architectures or wheels.MACHINES:
            package = build(architecture, options.into, version, epoch)
            digest = hashlib.sha256(package.read_bytes()).hexdigest()
            print(f"{package}: {package.stat().st_size / 1e6:.1f} MB, sha256 {digest}", flush=True)
    except wheels.WheelError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


def tree_version() -> str:
    """Return the release, how many commits led here, and which this is; `.changed` beside what is committed."""
    if _git("rev-parse", "--is-shallow-repository") == "true":
        raise SystemExit(
            "build.py: this clone has not the whole history, which the version counts: git fetch --unshallow"
        )
    found = re.search(r'^version = "(.+)"', (TREE / "pyproject.toml").read_text(), re.MULTILINE)
    assert found is not None
    count, commit = _git("rev-list", "--count", "HEAD"), _git("rev-parse", "--short=8", "HEAD")
    changed = ".changed" if _git("status", "--porcelain", "--untracked-files=no") else ""
    return f"{found[1]}+{count}.g{commit}{changed}"


def build(architecture: str, into: Path, version: str, epoch: int) -> Path:
    """Build one package; return where it is. Raises `wheels.WheelError`."""
    with tempfile.TemporaryDirectory(prefix="chargerd-deb-") as name:
        root = Path(name) / "root"
        fetched = wheels.fetch(LOCK, architecture, WHEELS)
        libraries = wheels.needed(fetched, _dependencies())
        wheels.lay_out(libraries, root / LIBRARY)
        _lay_out_tree(root, version, epoch)
        _lay_out_copyright(root)
        _seal(root, epoch)
        _describe(root, architecture, version)
        _settle_times(root, epoch)
        package = into / f"chargerd_{version}_{architecture}.deb"
        command = ["dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", str(root), str(package)]
        subprocess.run(
            command, env=os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}, check=True, stdout=subprocess.DEVNULL
        )
    return package


def _dependencies() -> list[str]:
    text = (TREE / "pyproject.toml").read_text()
    [block] = re.findall(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    return re.findall(r'^ +"([A-Za-z0-9._-]+)', block, re.MULTILINE)


def _lay_out_tree(root: Path, version: str, epoch: int) -> None:
    for name in _git("ls-files", "chargerd").splitlines():
        _copy(TREE / name, root / LIBRARY / name)
    init = root / LIBRARY / "chargerd" / "__init__.py"
    init.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', init.read_text()))
    for source, place in PLACES.items():
        _copy(TREE / source, root / place)
    for name, module in (("chargerd", "chargerd.cli.chargerd"), ("chargerctl", "chargerd.cli.chargerctl")):
        _write(root / "usr/bin" / name, PROGRAM.format(module=module)).chmod(0o755)
    date = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d")
    for name, (section, _group) in manual.PAGES.items():
        page = manual.man_page(name, version, date).encode()
        _pack(root / f"usr/share/man/man{section}/{name}.{section}.gz", page)
    manual.completions(root / "usr/share")
    _lay_out_documents(root, version, epoch)


def _lay_out_documents(root: Path, version: str, epoch: int) -> None:
    documents = root / "usr/share/doc/chargerd"
    for name in _git("ls-files", "docs", "config", "README.md").splitlines():
        if not name.startswith(("docs/decisions/", "docs/performance/")):
            _copy(TREE / name, documents / name.removeprefix("docs/").replace("config/", "examples/"))
    _pack(documents / "changelog.gz", (TREE / "CHANGELOG.md").read_bytes())
    stamp = datetime.fromtimestamp(epoch, UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    entry = f"chargerd ({version}) stable; urgency=medium\n\n  * See changelog.gz.\n\n"
    _pack(documents / "changelog.Debian.gz", f"{entry} -- chargerd <chargerd@localhost>  {stamp}\n".encode())
    _copy(DEBIAN / "lintian-overrides", root / "usr/share/lintian/overrides/chargerd")


def _lay_out_copyright(root: Path) -> None:
    """Write who has which right in what, from what the libraries say of themselves."""
    parts = [(DEBIAN / "copyright").read_text().rstrip()]
    for about in sorted((root / LIBRARY).glob("*.dist-info")):
        named = (path for path in sorted(about.rglob("*")) if path.is_file())
        texts = [path for path in named if re.match(r"(?i)licen[cs]e|copying|notice", path.name)]
        head = (about / "METADATA").read_text().partition("\n\n")[0]
        said = dict(
            re.findall(r"^(Name|Version|License|License-Expression|Author(?:-email)?): (.+)$", head, re.MULTILINE)
        )
        terms = said.get("License-Expression") or said.get("License") or "see the text"
        author = said.get("Author") or said.get("Author-email") or f"the authors of {said['Name']}"
        whole = "\n\n".join(path.read_text(encoding="utf-8") for path in texts) or terms
        if "http://www.apache.org/licenses/" in whole and "TERMS AND CONDITIONS FOR USE" in whole:
            whole = "On Debian systems the full text is in /usr/share/common-licenses/Apache-2.0."
        license_ = f"{said['Name']}-{said['Version']}".lower()
        body = "\n".join(f" {line}".rstrip() if line.strip() else " ." for line in whole.splitlines())
        files = f"usr/lib/chargerd/{_module(about)}/*"
        parts.append(
            f"Files: {files}\nCopyright: {author}\nLicense: {license_}\n Terms: {terms[:100]}\n .\n{body}"
        )
        for path in texts:
            path.unlink()
    _write(root / "usr/share/doc/chargerd/copyright", "\n\n".join(parts) + "\n")


def _module(about: Path) -> str:
    return about.name.partition("-")[0]


def _seal(root: Path, epoch: int) -> None:
    """Give every file the mode it is to have: who builds it has no say."""
    for path in root.rglob("*"):
        runs = path.is_dir() or path.parent == root / "usr/bin"
        path.chmod(0o755 if runs else 0o644)
    for folder in sorted(root.rglob("*"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    root.chmod(0o755)
    _settle_times(root, epoch)


def _settle_times(root: Path, epoch: int) -> None:
    for path in (root, *root.rglob("*")):
        os.utime(path, (epoch, epoch))


def _describe(root: Path, architecture: str, version: str) -> None:
    about = root / "DEBIAN"
    about.mkdir()
    about.chmod(0o755)
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    size = sum(-(-path.stat().st_size // 1024) for path in files) + sum(path.is_dir() for path in root.rglob("*"))
    text = (DEBIAN / "control").read_text().format(version=version, architecture=architecture, size=size)
    _write(about / "control", text)
    sums = (f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in files)  # noqa: S324
    _write(about / "md5sums", "".join(sums))
    _write(about / "conffiles", f"/{CONFIGURATION}\n")
    for name in SCRIPTS:
        _copy(DEBIAN / name, about / name).chmod(0o755)
    for path in about.iterdir():
        if path.name not in SCRIPTS:
            path.chmod(0o644)


def _copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(source, target))


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _pack(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # `gzip.compress` writes another header from one Python to the next.
    with path.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(content)


def _git(*words: str) -> str:
    command = ["git", *words]
    return subprocess.run(command, cwd=TREE, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
