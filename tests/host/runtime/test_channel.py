"""A channel whose other end is the test: a peer that asks too much, or never reads, cannot make the host grow."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from imperal_host.errors import DeadlineError, ExtensionStoppedError
from imperal_host.identity import CallId
from imperal_host.runtime.channel import _ASKS_AT_ONCE_MAX, Channel
from imperal_host.runtime.process import Process
from imperal_sdk.manifest import Manifest
from imperal_sdk.wire import (
    Answer,
    Ask,
    CallContext,
    Connection,
    Frame,
    Invoke,
    LlmView,
    Ready,
    Refusal,
    Return,
    Role,
)

CONTEXT = CallContext("ada", "", "acme", "user", [], LlmView(False, "", ""), 0.0, {})
READY = Ready(Manifest(app_id="peer", version="1.0.0").model_dump(mode="json"))


class Peer:
    """The isolate's end of the channel."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._connection = Connection(Role.ISOLATE)
        self._read: list[Frame] = []

    async def send(self, *frames: Frame) -> None:
        data = b"".join(self._connection.send(frame) for frame in frames)
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def next(self) -> Frame:
        while not self._read:
            data = await asyncio.get_running_loop().sock_recv(self._sock, 1 << 16)
            assert data, "the host closed the channel"
            self._read += self._connection.receive(data)
        return self._read.pop(0)

    def close(self) -> None:
        self._sock.close()


class Gate:
    """A broker whose answers wait until it opens."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.opened = asyncio.Event()
        self.asked = 0
        self._answer = answer

    async def ask(self, capability: str, payload: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        await self.opened.wait()
        return self._answer


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Channel, Peer]]:
    ours, theirs = socket.socketpair()
    control, other_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for sock in (ours, theirs, control):
        sock.setblocking(False)
    outer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import time; time.sleep(60)", stdout=asyncio.subprocess.PIPE
    )
    peer = Peer(theirs)
    await peer.send(READY)
    channel = await Channel.open(ours, Process(outer, control, outer.pid, "peer"), asks_per_call_max=1_000)
    other_control.close()
    try:
        async with asyncio.timeout(20):
            yield channel, peer
    finally:
        await channel.aclose()
        peer.close()


def call(channel: Channel, broker: Gate, number: int = 1, seconds: float = 10) -> asyncio.Task[dict[str, Any]]:
    return asyncio.create_task(channel.invoke(CallId(str(number)), "f", {}, CONTEXT, broker, seconds))


async def stalls(doing: Awaitable[None]) -> asyncio.Future[None]:
    """The sending of what the host does not take."""
    sending = asyncio.ensure_future(doing)
    await asyncio.wait({sending}, timeout=0.2)
    assert not sending.done(), "the host took it all"
    return sending


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.002)


def asks(count: int, call: int = 1, size: int = 0) -> list[Frame]:
    return [Ask(str(call), number, "any", {"x": "x" * size}) for number in range(count)]


async def test_asks_over_the_room_wait_in_the_socket_and_are_answered_in_the_end() -> None:
    async with connected() as (channel, peer):
        broker = Gate({})
        calling = call(channel, broker)
        assert isinstance(await peer.next(), Invoke)
        sending = await stalls(peer.send(*asks(200, size=100_000), Return("1", {"done": True})))
        assert broker.asked == _ASKS_AT_ONCE_MAX
        broker.opened.set()
        answers = [await peer.next() for _ in range(200 - _ASKS_AT_ONCE_MAX)]
        assert all(isinstance(answer, Answer) for answer in answers)
        await sending
        assert await calling == {"done": True}
        assert broker.asked == 200


async def test_a_full_room_ends_with_its_call_at_the_deadline() -> None:
    async with connected() as (channel, peer):
        calling = call(channel, Gate({}), seconds=0.3)
        sending = await stalls(peer.send(*asks(200, size=100_000)))
        with pytest.raises(DeadlineError):
            await calling
        assert not channel.alive
        await asyncio.wait({sending})
        assert isinstance(sending.exception(), ConnectionError)


async def test_asks_left_behind_by_a_call_with_a_full_room_are_refused_and_the_next_call_works() -> None:
    async with connected() as (channel, peer):
        first = call(channel, Gate({}))
        assert isinstance(await peer.next(), Invoke)
        await peer.send(*asks(_ASKS_AT_ONCE_MAX), Return("1", {"first": True}), *asks(50))
        assert await first == {"first": True}
        for _ in range(50):
            assert isinstance(await peer.next(), Refusal)
        second = call(channel, Gate({}), number=2)
        assert isinstance(await peer.next(), Invoke)
        await peer.send(Return("2", {"second": True}))
        assert await second == {"second": True}


async def test_a_peer_that_never_reads_holds_up_itself_alone() -> None:
    async with connected() as (channel, peer):
        broker = Gate({"much": "x" * (1 << 20)})
        broker.opened.set()
        calling = call(channel, broker, seconds=1)
        sending = await stalls(peer.send(*asks(900, size=1_000)))
        assert broker.asked < 100
        assert channel._writer.transport.get_write_buffer_size() < 2 << 20
        with pytest.raises(DeadlineError):
            await calling
        await asyncio.wait({sending})
        sending.exception()


async def test_asking_outside_of_a_call_without_end_breaks_the_protocol() -> None:
    async with connected() as (channel, peer):
        await peer.send(*asks(100))
        for _ in range(100):
            assert isinstance(await peer.next(), Refusal)
        assert channel.alive
        await peer.send(*asks(1))
        await until(lambda: not channel.alive)


async def test_the_end_is_seen_before_its_cause_is_known() -> None:
    async with connected() as (channel, peer):
        assert channel.alive
        peer.close()
        assert not channel.alive, "at once, by the kernel's word"
        os.kill(channel.pid, signal.SIGKILL)
        with pytest.raises(ExtensionStoppedError, match="the extension stopped: "):
            await call(channel, Gate({}))


async def test_an_answer_of_the_hosts_that_cannot_be_sent_is_a_refusal() -> None:
    async with connected() as (channel, peer):
        broker = Gate({"text": "\ud800"})
        broker.opened.set()
        calling = call(channel, broker)
        assert isinstance(await peer.next(), Invoke)
        await peer.send(*asks(1))
        refusal = await peer.next()
        assert isinstance(refusal, Refusal)
        assert (refusal.code, "cannot be sent" in refusal.message) == ("host.error", True)
        await peer.send(Return("1", {}))
        await calling
