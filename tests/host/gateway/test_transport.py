"""Connections: kept by name and judged address, certified for the name, and made to no address that nobody judged."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from imperal_host.errors import UnavailableError
from imperal_host.gateway.transport import AiohttpTransport
from imperal_host.vault.secret import Secret
from tests.host.gateway.conftest import answer
from tests.host.gateway.test_egress import KEY, Names, egress, send


@dataclass
class Keeping:
    """A server that keeps its connections: for each, the hosts it was asked for."""

    port: int = 0
    connections: list[list[str]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked: list[str] = []
        self.connections.append(asked)
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                fields = dict(line.split(": ", 1) for line in head.strip().split("\r\n")[1:])
                await reader.readexactly(int(fields.get("content-length", 0)))
                asked.append(fields["host"].partition(":")[0])
                writer.write(answer(b"{}", set_cookie="a=b"))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def keeping(tls: ssl.SSLContext | None = None) -> AsyncIterator[Keeping]:
    kept = Keeping()
    server = await asyncio.start_server(kept.serve, "127.0.0.1", 0, ssl=tls)
    kept.port = server.sockets[0].getsockname()[1]
    try:
        yield kept
    finally:
        server.close()


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's side for one.example and two.example, and the side of who trusts its certificate."""
    return _certified(tmp_path_factory.mktemp("tls"), ("one.example", "two.example"))


def _certified(place: Path, names: Sequence[str]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server of tests")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (place / "both.pem").write_bytes(private + pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(place / "both.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


async def test_a_connection_is_used_again_and_brings_no_cookies() -> None:
    async with keeping() as server, AiohttpTransport() as transport:
        for _ in range(3):
            await send(egress(transport), f"http://127.0.0.1:{server.port}/v1")
        assert server.connections == [["127.0.0.1"] * 3]


async def test_a_kept_connection_is_not_used_once_its_name_has_moved() -> None:
    """Or the row would say one address, and the request go to another."""
    names = Names(["127.0.0.1"], ["127.0.0.1"], ["127.0.0.9"])
    async with keeping() as server, AiohttpTransport() as transport:
        way, url = egress(transport, resolver=names), f"http://moves.example:{server.port}/v1"
        await send(way, url)
        await send(way, url)
        assert server.connections == [["moves.example"] * 2]
        with pytest.raises(UnavailableError, match="cannot be reached"):  # nobody listens there
            await send(way, url)


async def test_addresses_in_another_order_are_the_same_addresses() -> None:
    names = Names(["127.0.0.1", "::1"], ["::1", "127.0.0.1"])
    async with keeping() as server, AiohttpTransport() as transport:
        way = egress(transport, resolver=names)
        for _ in range(2):
            await send(way, f"http://turns.example:{server.port}/v1")
        assert server.connections == [["turns.example"] * 2]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "any.example"])
async def test_nothing_is_connected_that_nobody_judged(host: str) -> None:
    """Even if a URL were read by one library in one way, and by another in another."""
    async with keeping() as server, AiohttpTransport() as transport:
        for addresses in ([], ["127.0.0.2"]):
            request = httpx.Request("GET", f"http://{host}:{server.port}/", extensions={"addresses": addresses})
            with pytest.raises(httpx.ConnectError):
                await transport.handle_async_request(request)
        assert server.connections == []


async def test_a_certificate_is_checked_for_the_name_and_the_key_waits_for_it(
    certified: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server_side, trusted = certified
    async with keeping(server_side) as server, AiohttpTransport(trusted) as transport:
        way = egress(transport, resolver=Names(["127.0.0.1"]))
        reply = await send(way, f"https://one.example:{server.port}/v1", Secret(KEY))
        assert reply.status == 200
        with pytest.raises(UnavailableError, match="certificate"):
            await send(way, f"https://three.example:{server.port}/v1", Secret(KEY))
        with pytest.raises(UnavailableError, match="certificate"):
            await send(way, f"https://127.0.0.1:{server.port}/v1", Secret(KEY))
        assert [asked for asked in server.connections if asked] == [["one.example"]]


async def test_a_stranger_is_not_trusted(certified: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with keeping(certified[0]) as server, AiohttpTransport() as transport:
        with pytest.raises(UnavailableError, match="certificate"):
            await send(egress(transport, resolver=Names(["127.0.0.1"])), f"https://one.example:{server.port}/v1")
        assert not any(server.connections)


async def test_names_of_one_certificate_do_not_share_a_connection(
    certified: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server_side, trusted = certified
    async with keeping(server_side) as server, AiohttpTransport(trusted) as transport:
        way = egress(transport, resolver=Names(["127.0.0.1"]))
        for name in ("one.example", "two.example", "one.example"):
            await send(way, f"https://{name}:{server.port}/v1")
        assert sorted(server.connections) == [["one.example"] * 2, ["two.example"]]
