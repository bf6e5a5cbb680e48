"""The only way out, against a real server on loopback."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from ipaddress import ip_address

import httpx
import pytest

from imperal_host.errors import EgressBlockedError, MalformedError, UnavailableError
from imperal_host.gateway.addresses import Address, AddressGuard
from imperal_host.gateway.egress import Egress, Limits, Outgoing
from imperal_host.gateway.names import Resolver
from imperal_host.gateway.providers.base import Reply
from imperal_host.gateway.transport import AiohttpTransport
from imperal_host.vault.secret import Secret
from tests.host.gateway.conftest import LOOPBACK, Behave, answer, running

KEY = "sk-proj-0123456789abcdefghijklmnop"
BEARER = ("authorization", "Bearer {}")
NONE = Secret("")


class Names:
    """A name server: each question is counted, and may be answered differently the next time."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.questions: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.questions.append((host, port))
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ip_address(each) for each in found]


class Unreached(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"{request.url} was reached")


@pytest.fixture
async def transport() -> AsyncIterator[httpx.AsyncBaseTransport]:
    async with AiohttpTransport() as made:
        yield made


def egress(
    transport: httpx.AsyncBaseTransport,
    guard: AddressGuard = LOOPBACK,
    *,
    seconds_max: float = 10.0,
    bytes_max: int = 10_000,
    resolver: Resolver | None = None,
) -> Egress:
    return Egress(transport, guard, Limits(seconds_max, seconds_max, seconds_max, bytes_max), resolver=resolver)


def post(url: str) -> httpx.Request:
    return httpx.Request("POST", url, json={"a": 1})


async def send(way: Egress, url: str, secret: Secret = NONE, *, supervised: bool = False) -> Reply:
    return await way.send(Outgoing(post(url), secret, BEARER, supervised))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (("authorization", "Bearer {}"), f"authorization: bearer {KEY}"),
        (("x-api-key", "{}"), f"x-api-key: {KEY}"),
    ],
)
async def test_the_key_is_in_its_header_and_nowhere_else(
    transport: httpx.AsyncBaseTransport, header: tuple[str, str], expected: str
) -> None:
    async with running(answer(b'{"ok": true}')) as server:
        reply = await egress(transport).send(Outgoing(post(server.url), Secret(KEY), header))
        (request,) = server.requests
    assert reply == Reply(200, b'{"ok": true}')
    head, _, body = request.partition(b"\r\n\r\n")
    assert expected.lower() in head.decode().lower().split("\r\n")
    assert request.count(KEY.encode()) == 1
    assert json.loads(body) == {"a": 1}


async def test_without_a_key_there_is_no_header(transport: httpx.AsyncBaseTransport) -> None:
    async with running(answer()) as server:
        await send(egress(transport), server.url)
        assert b"authorization" not in server.requests[0].lower()


async def test_the_host_header_keeps_the_name_and_the_connection_takes_the_judged_address(
    transport: httpx.AsyncBaseTransport,
) -> None:
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    async with running(answer()) as server:
        url = f"http://llm.example.org:{server.port}/v1"
        assert (await send(egress(transport, resolver=names), url)).status == 200
        assert f"host: llm.example.org:{server.port}" in server.requests[0].decode().lower()
        assert names.questions == [("llm.example.org", server.port)]
        with pytest.raises(EgressBlockedError, match="not at a public address"):  # every request is judged anew
            await send(egress(transport, resolver=names), url)
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_not_followed(transport: httpx.AsyncBaseTransport, status: str) -> None:
    async with running(answer()) as elsewhere, running(answer(b"", status, location=elsewhere.url)) as server:
        reply = await send(egress(transport), server.url, Secret(KEY))
        assert reply.status == int(status[:3])
        assert (len(server.requests), len(elsewhere.requests)) == (1, 0)


@pytest.mark.parametrize(("length", "fits"), [(10_000, True), (10_001, False), (5_000_000, False)])
async def test_the_body_is_bounded(transport: httpx.AsyncBaseTransport, length: int, fits: bool) -> None:
    async with running(answer(b"x" * length)) as server:
        if fits:
            assert len((await send(egress(transport), server.url)).body) == length
        else:
            with pytest.raises(MalformedError, match="10,000 bytes"):
                await send(egress(transport), server.url)


async def test_an_endless_body_is_cut(transport: httpx.AsyncBaseTransport) -> None:
    async def pour(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"x" * 1_024 + b"\r\n")
            await writer.drain()

    async with running(pour) as server:
        with pytest.raises(MalformedError):
            await send(egress(transport), server.url)
        await asyncio.wait_for(server.hung_up.wait(), 10)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"])
async def test_a_slow_answer_ends_at_the_deadline(transport: httpx.AsyncBaseTransport, begun: bytes) -> None:
    async def stall(writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        await asyncio.Event().wait()

    async with running(stall) as server:
        with pytest.raises(UnavailableError):
            await send(egress(transport, seconds_max=0.1), server.url)


async def test_a_body_that_drips_does_not_outlive_the_deadline(transport: httpx.AsyncBaseTransport) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with running(drip) as server:
        with pytest.raises(UnavailableError, match=r"within 0\.2 s"):
            await send(egress(transport, seconds_max=0.2), server.url)


async def test_a_name_server_that_does_not_answer_ends_at_the_deadline() -> None:
    async def silent(host: str, port: int) -> list[Address]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(UnavailableError):
        await send(egress(Unreached(), seconds_max=0.05, resolver=silent), "https://llm.example.org")


@pytest.mark.parametrize("encoding", ["br", "deflate", "identity, gzip"])
async def test_a_compressed_answer_is_refused_and_was_not_asked_for(
    transport: httpx.AsyncBaseTransport, encoding: str
) -> None:
    async with running(answer(gzip.compress(b"{}" * 1_000_000), content_encoding=encoding)) as server:
        with pytest.raises(MalformedError, match="compressed"):
            await send(egress(transport), server.url)
        assert b"accept-encoding: identity\r\n" in server.requests[0].lower()


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"])
@pytest.mark.parametrize("hard", [False, True])
async def test_a_connection_that_breaks_is_unavailable_and_is_not_tried_again(
    transport: httpx.AsyncBaseTransport, begun: bytes, hard: bool
) -> None:
    async def cut(writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        await writer.drain()
        if hard:
            writer.transport.abort()

    async with running(cut) as server:
        with pytest.raises(UnavailableError, match="broke"):
            await send(egress(transport, resolver=Names(["127.0.0.1", "127.0.0.1"])), server.url, Secret(KEY))
        assert len(server.requests) == 1


@pytest.mark.parametrize("noise", [b"SSH-2.0-OpenSSH\r\n\r\n", b"\x16\x03\x01" * 50, b"HTTP/1.1 abc\r\n\r\n"])
async def test_something_that_does_not_speak_http_is_unavailable(
    transport: httpx.AsyncBaseTransport, noise: bytes
) -> None:
    async with running(noise) as server:
        with pytest.raises(UnavailableError) as failure:
            await send(egress(transport), server.url, Secret(KEY))
    assert KEY not in str(failure.value)


async def test_a_server_that_is_not_there_is_unavailable(transport: httpx.AsyncBaseTransport) -> None:
    async with running(answer()) as server:
        url = server.url
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await send(egress(transport), url)


async def test_the_next_address_is_tried_when_one_does_not_connect(transport: httpx.AsyncBaseTransport) -> None:
    async with running(answer(b"here")) as server:
        names = Names(["127.0.0.9", "127.0.0.1"])  # nobody listens at the first
        reply = await send(egress(transport, resolver=names), f"http://llm.example.org:{server.port}/")
    assert reply.body == b"here"


SLASHES = 'k/ey"with\\odd/characters&<more>'


@pytest.mark.parametrize(
    ("key", "echo"),
    [
        (KEY, f"Incorrect API key provided: {KEY}.".encode()),
        (KEY, (KEY * 3).encode()),
        (SLASHES, SLASHES.encode()),
        (SLASHES, json.dumps({"error": SLASHES}).encode()),
        (SLASHES, json.dumps({"error": SLASHES}).replace("/", "\\/").encode()),
        # Go's encoding/json, in which many servers of models are written
        (SLASHES, json.dumps({"e": SLASHES}).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
         .encode()),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized"])
async def test_a_key_that_comes_back_is_taken_out(
    transport: httpx.AsyncBaseTransport, key: str, echo: bytes, status: str
) -> None:
    async with running(answer(echo, status)) as server:
        body = (await send(egress(transport), server.url, Secret(key))).body
    assert b"[redacted]" in body
    assert not any(piece in body for piece in (KEY.encode(), b"ey\\", b'ey"', b"odd"))


async def test_a_placeholder_key_is_a_word_like_any_other(transport: httpx.AsyncBaseTransport) -> None:
    async with running(answer(b"ollama is a fine server")) as server:
        reply = await send(egress(transport), server.url, Secret("ollama"))
    assert reply.body == b"ollama is a fine server"


async def test_the_environments_proxies_are_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(answer(b"proxy")) as proxy, running(answer(b"direct")) as server:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with AiohttpTransport() as transport:
            reply = await send(egress(transport), server.url, Secret(KEY))
        assert (reply.body, proxy.requests) == (b"direct", [])


async def test_a_cancelled_request_hangs_up(transport: httpx.AsyncBaseTransport, never: Behave) -> None:
    async with running(never) as server:
        sending = asyncio.ensure_future(send(egress(transport), server.url))
        while not server.requests:
            await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
