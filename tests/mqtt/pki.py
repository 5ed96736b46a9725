"""A certificate authority made on the fly by `openssl`."""

import subprocess
from pathlib import Path

from chargerd.config.document import TlsSection


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


EXTENSIONS = """subjectAltName=IP:127.0.0.1
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""
"""What Python 3.13, strict by default, wants of a certificate."""

CA_SETTINGS = """[ca]
default_ca = this
[this]
database = {index}
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
unique_subject = no
policy = names
[names]
commonName = supplied
"""


class Authority:
    """Makes certificates in a folder of its own."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)  # A broker may run as another user.
        self.folder = folder
        self.certificate = folder / f"{name}.crt"
        self._key = folder / f"{name}.key"
        _openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 365,
            "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self._key, "-out", self.certificate,
        )  # fmt: skip

    def issue(self, name: str, *, days: int = 100, file: str | None = None) -> tuple[Path, Path]:
        """Make a certificate for `name` on 127.0.0.1; return it and its key, readable for everybody.

        With `days` below 0 it has expired.
        """
        stem = file or name
        key, request, certificate = (self.folder / f"{stem}.{end}" for end in ("key", "csr", "crt"))
        extensions = self.folder / f"{stem}.ext"
        extensions.write_text(EXTENSIONS)
        _openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", key, "-out", request,
        )  # fmt: skip
        if days < 0:
            self._issue_expired(request, extensions, certificate)
        else:
            _openssl(
                "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial",
                "-days", days, "-extfile", extensions, "-out", certificate,
            )  # fmt: skip
        for file_made in (key, certificate):
            file_made.chmod(0o644)
        return certificate, key

    def tls(self, name: str | None = None, *, ca: Path | None = None) -> TlsSection:
        """Return what one connects with: a certificate, if it is named, and whom one believes, if not us."""
        believed = str(ca or self.certificate)
        if name is None:
            return TlsSection(ca=believed)
        stem = self.folder / name
        return TlsSection(ca=believed, certificate=f"{stem}.crt", key=f"{stem}.key")

    def listening(self) -> str:
        """Return mosquitto's settings to show `server`, and to take a client's name from its certificate."""
        server = self.folder / "server"
        return (
            f"cafile {self.certificate}\ncertfile {server}.crt\nkeyfile {server}.key\n"
            "require_certificate true\nuse_identity_as_username true\n"
        )

    def _issue_expired(self, request: Path, extensions: Path, certificate: Path) -> None:
        """Sign for a month that is over; `openssl x509 -req` of Debian 13 refuses a number of days below 0."""
        settings, index = self.folder / "ca.cnf", self.folder / "index.txt"
        settings.write_text(CA_SETTINGS.format(folder=self.folder, index=index))
        index.touch()
        _openssl(
            "ca", "-batch", "-notext", "-config", settings, "-cert", self.certificate, "-keyfile", self._key,
            "-startdate", "20200101000000Z", "-enddate", "20200201000000Z", "-extfile", extensions,
            "-in", request, "-out", certificate,
        )  # fmt: skip
