"""Where KEKs are kept, and what is said when they are not there."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from imperal_host.errors import SealedError, SetupError
from imperal_host.vault.kek import Kek
from imperal_host.vault.sources import NOT_MINE, EnvironmentSource, FileSource, KeyringSource
from imperal_host.vault.transit import TransitSource

HEX = "5a" * 32


class Transit(BaseHTTPRequestHandler):
    """Vault's transit engine as its pages describe it, with XOR for a cipher."""

    token = "s.token-of-vault"
    version = 1

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        _, mount, what, name = self.path.removeprefix("/").split("/")
        if self.headers["x-vault-token"] != self.token:
            self._answer(403, {"errors": ["permission denied"]})
        elif (mount, name) != ("transit", "imperal"):
            self._answer(404, {"errors": ["encryption key not found"]})
        elif what == "encrypt":
            self._answer(200, {"data": {"ciphertext": self._sealed(body["plaintext"])}})
        elif what == "decrypt":
            self._answer(200, {"data": {"plaintext": self._open(body["ciphertext"])}})
        else:
            self._answer(200, {"data": {"ciphertext": self._sealed(self._open(body["ciphertext"]))}})

    def _sealed(self, plaintext: str) -> str:
        return f"vault:v{self.version}:" + base64.b64encode(bytes(b ^ 7 for b in base64.b64decode(plaintext))).decode()

    def _open(self, ciphertext: str) -> str:
        return base64.b64encode(bytes(b ^ 7 for b in base64.b64decode(ciphertext.split(":")[2]))).decode()

    def _answer(self, status: int, body: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Transit)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def same(one: object, other: object) -> bool:
    assert isinstance(one, Kek)
    assert isinstance(other, Kek)
    return one.unwrap(other.wrap(b"x", "n"), "n") == b"x"


def test_vault_keeps_what_it_wrapped_and_opens_it_again(address: str) -> None:
    source = TransitSource(address, Transit.token, 5)
    made = source.create("vault-transit:transit/imperal")
    assert made is not NOT_MINE
    kek, kept = made
    assert kept.startswith(b"vault:v1:")
    assert same(kek, source.load("vault-transit:transit/imperal", kept))
    renewed = source.renew("vault-transit:transit/imperal", kept)
    assert renewed is not NOT_MINE
    assert same(kek, source.load("vault-transit:transit/imperal", renewed))


@pytest.mark.parametrize(
    ("token", "location", "kept", "why"),
    [
        ("wrong", "transit/imperal", "vault:v1:AAAA", "answered 403"),
        (Transit.token, "transit/other", "vault:v1:AAAA", "answered 404"),
        (Transit.token, "transit/imperal", "vault:v1:AAAA", "is no KEK"),
        (Transit.token, "transit", "vault:v1:AAAA", "MOUNT/KEY"),
        (None, "transit/imperal", "vault:v1:AAAA", "needs Vault's token"),
    ],
)
def test_what_vault_will_not_do_is_said_without_token_or_key(
    address: str, token: str | None, location: str, kept: str, why: str
) -> None:
    with pytest.raises((SealedError, SetupError), match=why) as failure:
        TransitSource(address, token, 5).load(f"vault-transit:{location}", kept.encode())
    assert Transit.token not in str(failure.value)


def test_a_vault_that_is_not_there_is_said_so() -> None:
    with pytest.raises(SetupError, match="does not answer"):
        TransitSource("http://127.0.0.1:9", "token", 2).create("vault-transit:transit/imperal")


def test_a_key_in_the_environment_is_used_and_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_KEK", HEX)
    source = EnvironmentSource()
    assert same(Kek(bytes.fromhex(HEX)), source.load("env:MY_KEK", b""))
    assert HEX not in capsys.readouterr().err
    monkeypatch.setenv("MY_KEK", "not a key")
    with pytest.raises(SealedError, match="32 bytes in hexadecimal") as failure:
        source.load("env:MY_KEK", b"")
    assert "not a key" not in str(failure.value)
    monkeypatch.delenv("MY_KEK")
    with pytest.raises(SealedError, match="not set"):
        source.load("env:MY_KEK", b"")


def test_each_source_answers_for_its_own_scheme_alone(tmp_path: Path) -> None:
    sources = (FileSource(tmp_path / "kek", tmp_path / "data"), EnvironmentSource(), KeyringSource())
    transit = TransitSource("http://127.0.0.1:9", None, 1)
    for location in ("gopher:x", "env", "keyring"):
        assert [source.renew(location, b"") for source in (*sources, transit)] == [NOT_MINE] * 4


def test_a_kek_file_beside_the_data_or_without_a_full_path_is_refused(tmp_path: Path) -> None:
    source = FileSource(tmp_path / "kek", tmp_path / "data")
    with pytest.raises(SetupError, match="inside the data directory"):
        source.create(f"file:{tmp_path / 'data' / 'kek'}")
    with pytest.raises(SetupError, match="absolute path"):
        source.create("file:kek")


def test_the_key_ring_without_its_library_says_what_to_install() -> None:
    with pytest.raises((SetupError, SealedError)) as failure:
        KeyringSource().load("keyring:imperal/kek", b"")
    assert any(word in str(failure.value) for word in ("pip install", "does not answer", "there is no KEK"))
