"""Servers that send a call away, send too much, or are there when its key is changed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from imperal_host.errors import MalformedError, UpstreamError
from imperal_host.gateway.binding import BindingDraft
from imperal_host.gateway.egress import Limits
from imperal_host.gateway.transport import AiohttpTransport
from imperal_host.storage.database import Database
from tests.host.conftest import scope
from tests.host.gateway.conftest import LOOPBACK, answer, running
from tests.host.gateway.stage import OWN_KEY, Stage
from tests.host.gateway.test_streaming import (
    ADA,
    END,
    HEAD,
    REQUEST,
    WHOLE,
    Listener,
    chunk,
    event,
    outcomes,
    use,
)


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    stage = Stage(database, LOOPBACK)
    stage.transport = AiohttpTransport()
    yield stage
    await stage.transport.aclose()


async def test_a_key_that_is_changed_in_the_middle_of_a_call_ends_with_it(stage: Stage) -> None:
    """The call goes on with the key it was begun with, which is taken out until its end; the next has the new one."""
    new = "sk-new-0123456789abcdefghij"

    async def changed(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(event("Hel")))
        await writer.drain()
        draft = BindingDraft("openai_compatible", "new-model", f"http://127.0.0.1:{server.port}/v1", api_key=new)
        await stage.bindings.put(ADA, draft)
        writer.write(chunk(event(f"lo {OWN_KEY}")) + chunk(END) + b"0\r\n\r\n")
        await writer.drain()

    gateway = stage.gateway()
    async with running(changed, WHOLE) as server:
        await use(stage, server)
        done = await gateway.stream(scope(), REQUEST, Listener())
        assert done.text == "Hello [redacted]"
        await gateway.stream(scope(), REQUEST, Listener())
    first, second = (request.decode() for request in server.requests)
    assert OWN_KEY in first
    assert new not in first
    assert new in second
    assert OWN_KEY not in second
    assert [row["outcome"] for row in await outcomes(stage)] == ["ok", "ok"]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_redirect_to_metadata_is_an_error_and_not_followed(stage: Stage, status: str, streamed: bool) -> None:
    away = answer(b"", status, location="http://169.254.169.254/latest/meta-data/iam/")
    async with running(away) as server:
        await use(stage, server)
        gateway = stage.gateway()
        with pytest.raises(UpstreamError):
            await (gateway.stream(scope(), REQUEST, Listener()) if streamed else gateway.complete(scope(), REQUEST))
        assert len(server.requests) == 1


async def test_a_gigabyte_is_not_read(stage: Stage) -> None:
    sent = 0

    async def much(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")
        while sent < 1 << 30:
            writer.write(bytes(1 << 16))
            await writer.drain()
            sent += 1 << 16

    stage.limits = Limits(20, 20, 40, 1 << 20)
    async with running(much) as server:
        await use(stage, server)
        with pytest.raises(MalformedError, match="more than"):
            await stage.gateway().complete(scope(), REQUEST)
        await asyncio.wait_for(server.hung_up.wait(), 5)
    assert sent < 64 << 20
