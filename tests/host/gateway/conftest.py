"""A loopback HTTP server that says exactly the bytes it was told to, and keeps what it was sent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network

import pytest

from imperal_host.gateway.addresses import AddressGuard

Behave = Callable[[asyncio.StreamWriter], Awaitable[None]]
LOOPBACK = AddressGuard((ip_network("127.0.0.0/8"), ip_network("::1/128")))


def answer(body: bytes = b"{}", status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@dataclass
class ScriptedServer:
    """Every connection: read one request, then do the next thing of the script (the last one again and again)."""

    script: list[bytes | Behave]
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/chat"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
            self.requests.append(head + body)
            step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            else:
                doing, gone = asyncio.ensure_future(step(writer)), asyncio.ensure_future(reader.read())
                try:
                    await asyncio.wait({doing, gone}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for each in (doing, gone):
                        each.cancel()
                    await asyncio.gather(doing, gone, return_exceptions=True)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.hung_up.set()
            writer.close()


Serving = Callable[..., Awaitable[ScriptedServer]]


@asynccontextmanager
async def running(*script: bytes | Behave, host: str = "127.0.0.1") -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer(list(script))
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(scripted.serve(reader, writer)))

    server = await asyncio.start_server(accept, host, 0)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@pytest.fixture
def never() -> Behave:
    """Says nothing more, until the other side hangs up."""

    async def wait(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    return wait
