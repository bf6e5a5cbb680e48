"""Answers that are compressed though nobody asked for it: read, and bounded by what they become."""

import asyncio
import gzip
import json
import zlib

import pytest

from imperal_host.errors import MalformedError
from imperal_host.gateway.transport import AiohttpTransport
from imperal_host.vault.secret import Secret
from tests.host.gateway.conftest import answer, running
from tests.host.gateway.test_egress import KEY, egress, send

PLAIN = json.dumps({"text": "hello " * 500, "key": f"it was {KEY}"}).encode()


@pytest.mark.parametrize("name", ["gzip", "x-gzip", "GZip"])
async def test_gzip_is_read_and_the_key_in_it_is_taken_out(name: str) -> None:
    async with (
        running(answer(gzip.compress(PLAIN, mtime=0), content_encoding=name)) as server,
        AiohttpTransport() as transport,
    ):
        reply = await send(egress(transport), server.url, Secret(KEY))
    assert reply.body == PLAIN.replace(KEY.encode(), b"[redacted]")


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_it_may_come_in_pieces_of_any_size(size: int) -> None:
    packed = gzip.compress(PLAIN, mtime=0)

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n")
        for at in range(0, len(packed), size):
            piece = packed[at : at + size]
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async with running(drip) as server, AiohttpTransport() as transport:
        assert (await send(egress(transport), server.url)).body == PLAIN


async def test_a_bomb_ends_at_the_bound() -> None:
    """A gigabyte of nothing in a few megabytes: a mebibyte, flushed on a border of bytes, and repeated."""
    packer = zlib.compressobj(1, wbits=31)
    mebibyte = bytes(1 << 20)
    head = packer.compress(mebibyte) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(mebibyte) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = head + again * 1_023
    assert len(bomb) < 8 << 20
    whole = zlib.decompressobj(wbits=31)
    assert len(whole.decompress(head + again)) == 2 << 20
    async with running(answer(bomb, content_encoding="gzip")) as server, AiohttpTransport() as transport:
        with pytest.raises(MalformedError, match="10,000 bytes"):
            await send(egress(transport), server.url)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (gzip.compress(PLAIN, mtime=0)[:-9], "cut its compressed answer short"),
        (gzip.compress(PLAIN, mtime=0)[:5], "cut its compressed answer short"),
        (PLAIN, "not gzip"),
        (gzip.compress(PLAIN, mtime=0)[:50] + b"\xff" * 50, "not gzip|cut"),
    ],
)
async def test_what_is_no_whole_gzip_is_malformed(body: bytes, said: str) -> None:
    async with running(answer(body, content_encoding="gzip")) as server, AiohttpTransport() as transport:
        with pytest.raises(MalformedError, match=said):
            await send(egress(transport), server.url)


async def test_nothing_at_all_is_nothing_whatever_it_is_said_to_be() -> None:
    async with running(answer(b"", "401 No", content_encoding="gzip")) as server, AiohttpTransport() as transport:
        reply = await send(egress(transport), server.url)
    assert (reply.status, reply.body) == (401, b"")
