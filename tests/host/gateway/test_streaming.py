"""Streams over real sockets: what breaks them, what they cost, and whose they are."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from imperal_host.errors import (
    BudgetExhaustedError,
    CascadeExhaustedError,
    MalformedError,
    RateLimitedError,
    UnansweredError,
    UnavailableError,
    UpstreamError,
)
from imperal_host.gateway.binding import PLATFORM, BindingDraft, owner_of
from imperal_host.gateway.egress import Limits
from imperal_host.gateway.retries import RetryPolicy
from imperal_host.gateway.transport import AiohttpTransport
from imperal_host.storage.database import Database
from imperal_sdk.llm import LlmRequest, Message, Parameters
from tests.host.conftest import bytes_on_disk, principal, scope
from tests.host.gateway.conftest import LOOPBACK, ScriptedServer, answer, running
from tests.host.gateway.stage import OWN_KEY, Stage, chat

ADA = owner_of(principal())
REQUEST = LlmRequest(messages=(Message(role="user", content="hello"),), parameters=Parameters(max_tokens=100))
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def event(text: str = "", **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": None, **more}
    return b"data: " + json.dumps({"model": "m", "choices": [choice]}).encode() + b"\n\n"


END = (
    event(finish_reason="stop")
    + b'data: {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}\n\ndata: [DONE]\n\n'
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


WHOLE = HEAD + chunk(event("Hel")) + chunk(event("lo")) + chunk(END) + b"0\r\n\r\n"


class Listener:
    def __init__(self) -> None:
        self.text = ""
        self.batches = 0
        self.first = asyncio.Event()

    async def __call__(self, deltas: list[dict[str, Any]]) -> None:
        self.text += "".join(delta["text"] for delta in deltas)
        self.batches += 1
        self.first.set()


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    stage = Stage(database, LOOPBACK)
    stage.transport = AiohttpTransport()
    yield stage
    await stage.transport.aclose()


async def use(stage: Stage, server: ScriptedServer, *, platform: bool = False, **more: Any) -> None:
    base_url = f"http://127.0.0.1:{server.port}/v1"
    draft = BindingDraft("openai_compatible", "platform-model", base_url, api_key=OWN_KEY, **more)
    await stage.bindings.put(PLATFORM if platform else ADA, draft)


async def outcomes(stage: Stage) -> list[dict[str, Any]]:
    entries = await stage.ledger.of_user(principal().tenant, principal().user, 50)
    rows = [{**entry.content["details"], "cost": entry.cost_nano_usd} for entry in entries if entry.kind == "outcome"]
    return rows[::-1]


async def test_pieces_are_delivered_as_they_come_and_the_whole_is_returned(stage: Stage) -> None:
    heard = Listener()
    async with running(WHOLE) as server:
        await use(stage, server)
        done = await stage.gateway().stream(scope(), REQUEST, heard)
    assert (heard.text, done.text, done.stop_reason) == ("Hello", "Hello", "end_turn")
    assert (done.usage.input_tokens, done.usage.output_tokens, done.usage.exact) == (10, 5, True)
    (outcome,) = await outcomes(stage)
    assert (outcome["outcome"], outcome["output_tokens"], outcome["allow_listed"]) == ("ok", 5, "127.0.0.0/8")
    assert json.loads(server.requests[0].partition(b"\r\n\r\n")[2])["stream"] is True


async def begin(writer: asyncio.StreamWriter) -> None:
    """What comes together with a mistake is not delivered: this comes alone."""
    writer.write(HEAD + chunk(event("Hel")))
    await writer.drain()
    await asyncio.sleep(0.05)


async def hang(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + chunk(event("Hel")))
    await asyncio.Event().wait()


async def cut(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + chunk(event("Hel")))
    await writer.drain()


async def garbage(writer: asyncio.StreamWriter) -> None:
    await begin(writer)
    writer.write(chunk(b"data: {what is this\n\n") + b"0\r\n\r\n")


async def endless(writer: asyncio.StreamWriter) -> None:
    await begin(writer)
    while True:
        writer.write(chunk(event("Hel" * 100)))
        await writer.drain()


async def ends_early(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + chunk(event("Hel")) + b"0\r\n\r\n")


async def says_error(writer: asyncio.StreamWriter) -> None:
    said = json.dumps({"error": {"message": f"key {OWN_KEY} is overloaded", "type": "server_error"}}).encode()
    await begin(writer)
    writer.write(chunk(b"data: " + said + b"\n\n") + b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("behave", "kind"),
    [
        (hang, UnansweredError),
        (cut, UnansweredError),
        (garbage, MalformedError),
        (endless, MalformedError),
        (ends_early, MalformedError),
        (says_error, UpstreamError),
    ],
)
@pytest.mark.parametrize("platform", [False, True])
async def test_a_stream_that_breaks_is_an_error_and_posts_what_was_made(
    stage: Stage, database_file: Path, behave: Any, kind: type[UpstreamError], platform: bool
) -> None:
    stage.limits = Limits(20, 0.3 if behave is hang else 20, 40, 50_000)
    heard = Listener()
    async with running(behave) as server:
        await use(stage, server, platform=platform, **({} if platform else {"fallback": "platform"}))
        if not platform:
            await use(stage, server, platform=True)
        with pytest.raises(kind) as failure:
            await stage.gateway().stream(scope(), REQUEST, heard)
        await asyncio.wait_for(server.hung_up.wait(), 5)
        assert len(server.requests) == 1, "after the first delta there is no other attempt"
    assert heard.text.startswith("Hel")
    (outcome,) = await outcomes(stage)
    assert outcome["outcome"] == failure.value.code
    assert (outcome["partial"], outcome["exact"]) == (True, False)
    assert (outcome["cost"] > 0) is platform
    assert OWN_KEY not in str(failure.value)
    assert OWN_KEY.encode() not in bytes_on_disk(database_file)
    assert stage.held() == 0


async def test_what_is_cancelled_closes_the_upstream_at_once_and_is_on_record(stage: Stage) -> None:
    heard = Listener()
    async with running(hang) as server:
        await use(stage, server, platform=True)
        streaming = asyncio.ensure_future(stage.gateway().stream(scope(), REQUEST, heard))
        await asyncio.wait_for(heard.first.wait(), 10)
        streaming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await streaming
        await asyncio.wait_for(server.hung_up.wait(), 5)
    (outcome,) = await outcomes(stage)
    assert (outcome["outcome"], outcome["partial"]) == ("cancelled", True)
    assert outcome["cost"] == outcome["input_tokens"] * 3 + outcome["output_tokens"] * 7 > 0
    assert stage.held() == 0


async def test_before_the_first_delta_the_next_target_is_tried(stage: Stage) -> None:
    heard = Listener()
    async with running(answer(b"{}", "503 Busy"), WHOLE) as server:
        await use(stage, server, fallback="platform")
        await use(stage, server, platform=True)
        done = await stage.gateway().stream(scope(), REQUEST, heard)
    assert (heard.text, done.is_byollm) == ("Hello", False)
    assert [row["outcome"] for row in await outcomes(stage)] == ["upstream.unavailable", "ok"]


async def test_a_listener_that_is_slow_slows_the_upstream_down(stage: Stage) -> None:
    written = 0

    async def pours(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(HEAD)
        while True:
            writer.write(chunk(event("x" * 10_000)))
            await writer.drain()
            written += 10_000

    stage.limits = Limits(5, 5, 20, 1 << 30)
    begun = asyncio.Event()

    async def slow(deltas: list[dict[str, Any]]) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with running(pours) as server:
        await use(stage, server)
        streaming = asyncio.ensure_future(stage.gateway().stream(scope(), REQUEST, slow))
        await asyncio.wait_for(begun.wait(), 10)
        await asyncio.sleep(0.5)
        before = written
        await asyncio.sleep(0.5)
        assert written == before < 30_000_000
        streaming.cancel()
        await asyncio.gather(streaming, return_exceptions=True)


@pytest.mark.parametrize("cut_at", range(1, len(OWN_KEY), 5))
async def test_a_key_that_comes_back_in_pieces_is_taken_out(stage: Stage, cut_at: int) -> None:
    said = event(f"you are {OWN_KEY} are you")
    at = said.index(OWN_KEY.encode()) + cut_at

    async def echo(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(said[:at]))
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(chunk(said[at:]) + chunk(END) + b"0\r\n\r\n")

    heard = Listener()
    async with running(echo) as server:
        await use(stage, server)
        done = await stage.gateway().stream(scope(), REQUEST, heard)
    assert heard.text == done.text == "you are [redacted] are you"


async def test_safe_failures_are_tried_again_each_with_its_rows(stage: Stage) -> None:
    stage.retries = RetryPolicy(tries_max=3, seconds_max=5, first_seconds=0.01)
    busy = answer(b"{}", "429 Slow down", retry_after="0")
    async with running(busy, answer(b"{}", "503 Busy"), WHOLE) as server:
        await use(stage, server)
        done = await stage.gateway().stream(scope(), REQUEST, Listener())
    assert done.text == "Hello"
    assert [row["outcome"] for row in await outcomes(stage)] == ["upstream.rate_limited", "upstream.unavailable", "ok"]


async def test_a_rate_limit_that_lasts_is_told_at_once(stage: Stage) -> None:
    stage.retries = RetryPolicy(tries_max=3, seconds_max=5)
    async with running(answer(b"{}", "429 Slow down", retry_after="60")) as server:
        await use(stage, server)
        with pytest.raises(RateLimitedError):
            await stage.gateway().complete(scope(), REQUEST)
        assert len(server.requests) == 1


async def test_a_target_that_keeps_failing_is_left_alone_and_nobody_elses_is(stage: Stage) -> None:
    gateway = stage.gateway()
    eve = owner_of(principal("globex", "eve"))
    async with running(answer(b"{}", "503 Busy")) as server:
        await use(stage, server)
        draft = BindingDraft(
            "openai_compatible", "m", f"http://127.0.0.1:{server.port}/v1", api_key="sk-eve-0123456789"
        )
        await stage.bindings.put(eve, draft)
        for _ in range(5):
            with pytest.raises(UnavailableError):
                await gateway.complete(scope(), REQUEST)
        with pytest.raises(UnavailableError, match="left alone"):
            await gateway.complete(scope(), REQUEST)
        assert len(server.requests) == 5
        with pytest.raises(UnavailableError, match="503"):
            await gateway.complete(scope("globex", "eve"), REQUEST)
        assert len(server.requests) == 6


async def test_who_breaks_the_platforms_model_leaves_it_to_the_others(stage: Stage) -> None:
    gateway = stage.gateway()
    async with running(answer(b"{}", "500 Broken")) as server:
        await use(stage, server, platform=True)
        for _ in range(6):
            with pytest.raises(UnavailableError):
                await gateway.complete(scope(), REQUEST)
        assert len(server.requests) == 5
        with pytest.raises(UnavailableError, match="500"):
            await gateway.complete(scope(user="eve"), REQUEST)
        assert len(server.requests) == 6


async def test_all_the_waiting_of_one_call_is_one_budget(stage: Stage) -> None:
    """Whichever target it waits for."""
    stage.retries = RetryPolicy(tries_max=3, seconds_max=1.5, first_seconds=0.01)
    patience = answer(b"{}", "429 Slow down", retry_after="1")
    async with running(patience) as own, running(patience) as platform:
        await use(stage, own, fallback="platform")
        await use(stage, platform, platform=True)
        with pytest.raises(CascadeExhaustedError):
            await stage.gateway().complete(scope(), REQUEST)
        assert (len(own.requests), len(platform.requests)) == (2, 1)


async def test_an_answer_that_is_whole_is_not_waited_for_any_longer(stage: Stage) -> None:
    async def stays(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(event("Hel")) + chunk(event("lo")) + chunk(END))
        await asyncio.Event().wait()

    heard = Listener()
    async with running(stays) as server:
        await use(stage, server)
        done = await asyncio.wait_for(stage.gateway().stream(scope(), REQUEST, heard), 8)  # a limit is 10 s here
        await asyncio.wait_for(server.hung_up.wait(), 5)
    assert (done.text, done.usage.output_tokens, heard.text) == ("Hello", 5, "Hello")
    (outcome,) = await outcomes(stage)
    assert (outcome["outcome"], "partial" in outcome) == ("ok", False)


async def test_a_stream_is_held_for_like_any_other_call(stage: Stage) -> None:
    async with running(WHOLE) as server:
        await use(stage, server, platform=True)
        with pytest.raises(BudgetExhaustedError):
            await stage.gateway(budget=10).stream(scope(), REQUEST, Listener())
        assert server.requests == []


async def test_two_names_at_one_address_never_share_a_connection_and_one_name_does(stage: Stage) -> None:
    """And so whoever is asked is asked with the certificate checked for that name."""
    stage.names |= {"one.example": "127.0.0.1", "two.example": "127.0.0.1"}
    connections: list[list[bytes]] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard: list[bytes] = []
        connections.append(heard)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
                await reader.readexactly(int(length.split(b":")[1]))
                heard.append(next(line for line in head.split(b"\r\n") if line.lower().startswith(b"host:")))
                writer.write(answer(chat()[1]))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    gateway = stage.gateway()
    for name in ("one.example", "two.example", "one.example", "two.example"):
        draft = BindingDraft("openai_compatible", "m", f"http://{name}:{port}/v1", api_key=OWN_KEY)
        await stage.bindings.put(ADA, draft)
        await gateway.complete(scope(), REQUEST)
    assert sorted(map(len, connections)) == [2, 2]
    assert all(len(set(heard)) == 1 for heard in connections)
    await stage.transport.aclose()
    server.close()
    await server.wait_closed()
