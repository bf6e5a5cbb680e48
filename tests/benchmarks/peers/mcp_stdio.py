"""An MCP server over stdio, with the official SDK on both ends. Unconfined; its cold start includes the handshake."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.peers import Call, NotInstalledError, Peer

_ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def opened() -> AsyncIterator[Call]:
    try:
        from mcp.client.client import Client
        from mcp.client.stdio import StdioServerParameters, stdio_client
    except ImportError:
        raise NotInstalledError("mcp") from None
    command = StdioServerParameters(command=sys.executable, args=["-m", "tests.benchmarks.peers.mcp_server"], cwd=_ROOT)
    with open(os.devnull, "w") as nothing:
        async with Client(stdio_client(command, nothing)) as client:

            async def call(arguments: dict[str, Any]) -> dict[str, Any]:
                answer = await client.call_tool("echo", {"params": arguments})
                assert answer.structured_content is not None, answer
                return answer.structured_content

            yield call


PEER = Peer("MCP server over stdio (official SDK)", opened)
