"""The other end of a channel, held by a test; and a small real process that the channel believes to be there."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from imperal_host.identity import CallId
from imperal_host.runtime.channel import Channel
from imperal_host.runtime.isolate import Broker, Deliver
from imperal_host.runtime.policy import SandboxLimits
from imperal_host.runtime.process import Process
from imperal_host.runtime.zygote import Clone, Ending
from imperal_sdk.manifest import Manifest
from imperal_sdk.wire import (
    Ask,
    CallContext,
    Confined,
    Connection,
    Frame,
    Invoke,
    LlmView,
    Ready,
    Return,
    Role,
    Start,
)

CONTEXT = CallContext("ada", "", "acme", "user", [], LlmView(False, "", ""), 0.0, {})
READY = Ready(Manifest(app_id="peer", version="1.0.0").model_dump(mode="json"))
LIMITS = SandboxLimits(memory_bytes_max=1 << 28, cpu_seconds_max=5, scratch_bytes_max=1 << 20)


class Peer:
    """The isolate's end of the channel."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._connection = Connection(Role.ISOLATE)
        self._read: list[Frame] = []

    async def send(self, *frames: Frame) -> None:
        await self.send_bytes(b"".join(self._connection.send(frame) for frame in frames))

    async def send_bytes(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def next(self) -> Frame:
        while not self._read:
            data = await asyncio.get_running_loop().sock_recv(self._sock, 1 << 16)
            assert data, "the host closed the channel"
            self._read += self._connection.receive(data)
        return self._read.pop(0)

    async def take_call(self) -> str:
        match await self.next():
            case Invoke(call_id=call_id):
                return call_id
            case other:
                raise AssertionError(other)

    def close(self) -> None:
        self._sock.close()


class Gate:
    """A broker whose answers wait until it opens."""

    def __init__(self, answer: dict[str, Any] | None = None) -> None:
        self.opened = asyncio.Event()
        self.asked = 0
        self.given_up = 0
        self._answer = answer or {}

    async def ask(self, capability: str, payload: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return self._answer

    async def stream(self, capability: str, payload: dict[str, Any], deliver: Deliver) -> dict[str, Any]:
        return await self.ask(capability, payload)


class Open:
    """A broker that answers at once."""

    def __init__(self, answer: dict[str, Any] | None = None) -> None:
        self.asked = 0
        self._answer = answer or {}

    async def ask(self, capability: str, payload: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        return self._answer

    async def stream(self, capability: str, payload: dict[str, Any], deliver: Deliver) -> dict[str, Any]:
        return await self.ask(capability, payload)


class Link:
    """What a channel is made of, before it is opened."""

    def __init__(self) -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        self.sock, self.peer = near, Peer(far)
        output, self._their_output = os.pipe()
        os.set_blocking(output, False)
        child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], stdin=subprocess.DEVNULL)
        self.pid = child.pid
        self._child = child
        self._loop = asyncio.get_running_loop()
        self._ending: asyncio.Future[Ending] = self._loop.create_future()
        self._watched = os.pidfd_open(child.pid)
        self._loop.add_reader(self._watched, self._reap)
        self.process = Process(Clone(child.pid, os.pidfd_open(child.pid), near, output, self._ending), "peer", LIMITS)
        self.looked_at: list[int] = []

    def _reap(self) -> None:
        """What the zygote does."""
        self._loop.remove_reader(self._watched)
        os.close(self._watched)
        _, status, used = os.wait4(self.pid, 0)
        self._child.returncode = 0
        self._ending.set_result(Ending(status, used.ru_utime + used.ru_stime, used.ru_maxrss << 10))

    async def open(
        self,
        *,
        asks_per_call_max: int = 1_000,
        look: Callable[[int], None] | None = None,
        known: Manifest | None = None,
    ) -> Channel:
        return await Channel.open(self.sock, self.process, asks_per_call_max, look or self.looked_at.append, known)

    async def close(self) -> None:
        await self.process.end()
        await self._ending
        os.close(self._their_output)
        self.sock.close()
        self.peer.close()


@asynccontextmanager
async def linked() -> AsyncIterator[Link]:
    link = Link()
    try:
        async with asyncio.timeout(20):
            yield link
    finally:
        await link.close()


@asynccontextmanager
async def connected(asks_per_call_max: int = 1_000) -> AsyncIterator[tuple[Channel, Peer]]:
    async with linked() as link:
        opening = asyncio.create_task(link.open(asks_per_call_max=asks_per_call_max))
        await link.peer.send(Confined())
        assert isinstance(await link.peer.next(), Start)
        await link.peer.send(READY)
        channel = await opening
        try:
            yield channel, link.peer
        finally:
            await channel.aclose()


def call(
    channel: Channel, broker: Broker, number: int = 1, seconds: float = 10, function: str = "f", **arguments: Any
) -> asyncio.Task[dict[str, Any]]:
    return asyncio.create_task(channel.invoke(CallId(str(number)), function, arguments, CONTEXT, broker, seconds))


async def works(channel: Channel, peer: Peer, number: int = 99) -> None:
    """Another call comes through."""
    calling = call(channel, Open(), number=number)
    assert await peer.take_call() == str(number)
    await peer.send(Return(str(number), {"works": True}))
    assert await calling == {"works": True}


def asks(count: int, call: int = 1, size: int = 0, first: int = 0) -> list[Frame]:
    return [Ask(str(call), number, "any", {"x": "x" * size}) for number in range(first, first + count)]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.002)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
