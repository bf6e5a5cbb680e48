"""A model's server on the attacker's side: it says whose key it was sent, and repeats the key where it can."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

_HEAD_BYTES_MAX = 64 << 10


@asynccontextmanager
async def listen(owners: Mapping[str, str], bait_port: int) -> AsyncIterator[str]:
    """The base URL. ``owners`` maps a key to the name of its owner; a redirect leads to ``bait_port``."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            status, headers, body = _reply(*await _request(reader), owners, bait_port)
            text = json.dumps(body).encode()
            head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n{headers}"
            writer.write(f"{head}connection: close\r\n\r\n".encode() + text)
            await writer.drain()
        except (OSError, ValueError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # the host gave up, or all is over: it may
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, limit=_HEAD_BYTES_MAX) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def _request(reader: asyncio.StreamReader) -> tuple[str, str]:
    """The key that was sent, and the last message."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n"))}
    body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))))
    return headers.get("authorization", "").removeprefix("Bearer "), body["messages"][-1]["content"]


def _reply(key: str, said: str, owners: Mapping[str, str], bait_port: int) -> tuple[str, str, object]:
    if said == "fail":
        return "401 Unauthorized", "", {"error": {"message": f"the key {key} is wrong"}}
    if said == "redirect":
        return "307 Temporary Redirect", f"location: http://127.0.0.1:{bait_port}/{key}\r\n", {}
    text = f"whose key: {owners.get(key, 'unknown')}; the key: {key}"
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    return "200 OK", "", {"model": "m", "choices": [{"message": {"content": text}}], "usage": usage}
