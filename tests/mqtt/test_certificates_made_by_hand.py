"""The commands of the manual make certificates that pass the strictest check there is."""

import re
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.mqtt.pki import Authority

MANUAL = Path(__file__).parents[2] / "docs" / "backend" / "broker" / "README.md"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the manual's commands, just as they stand there, in a folder of their own."""
    folder = tmp_path_factory.mktemp("by-hand")
    section = MANUAL.read_text("utf-8").partition("## Certificates")[2].partition("\n## ")[0]
    commands = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        ["sh", "-e"], input="".join(commands), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["server.crt: OK", "shed-1.crt: OK"]
    return folder


def strict(
    purpose: ssl.Purpose, authority: Path, certificate: Path | None, key: Path | None = None
) -> ssl.SSLContext:
    """Return what Python 3.13 makes by default."""
    context = ssl.create_default_context(purpose, cafile=str(authority))
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_mode = ssl.CERT_REQUIRED
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def shaken(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> tuple[object, object]:
    """Let both meet without a network; return whom each has seen."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)]
    for _round in range(8):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    seen_by_client, seen_by_server = (side.getpeercert() for side in sides)
    assert seen_by_client is not None
    assert seen_by_server is not None
    return seen_by_client["subject"], seen_by_server["subject"]


def test_both_sides_believe_each_other(made: Path) -> None:
    server = strict(ssl.Purpose.CLIENT_AUTH, made / "ca.crt", made / "server.crt", made / "server.key")
    client = strict(ssl.Purpose.SERVER_AUTH, made / "ca.crt", made / "shed-1.crt", made / "shed-1.key")
    broker, gateway = ((("commonName", name),) for name in ("broker.example.org", "shed-1"))
    assert shaken(server, client, "broker.example.org") == ((broker,), (gateway,))
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shaken(server, client, "elsewhere.example.org")
    for name in ("ca.key", "server.key", "shed-1.key"):
        assert (made / name).stat().st_mode & 0o077 == 0, name


def test_a_gateway_is_not_taken_for_the_broker(made: Path) -> None:
    """Its certificate is for clients: one in wrong hands does not listen in the broker's place."""
    server = strict(ssl.Purpose.CLIENT_AUTH, made / "ca.crt", made / "shed-1.crt", made / "shed-1.key")
    client = strict(ssl.Purpose.SERVER_AUTH, made / "ca.crt", None)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"(unsuitable|unsupported) certificate purpose"):
        shaken(server, client, "shed-1")


def test_the_certificates_of_the_other_tests_pass_as_well(tmp_path: Path) -> None:
    """Or these tests would turn red under a Python that is stricter by default."""
    authority = Authority(tmp_path)
    contexts = [
        strict(purpose, authority.certificate, *authority.issue(name))
        for purpose, name in ((ssl.Purpose.CLIENT_AUTH, "server"), (ssl.Purpose.SERVER_AUTH, "shed-1"))
    ]
    assert shaken(contexts[0], contexts[1], "127.0.0.1") == (
        ((("commonName", "server"),),),
        ((("commonName", "shed-1"),),),
    )
