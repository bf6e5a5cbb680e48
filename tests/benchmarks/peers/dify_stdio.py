"""A plugin of Dify run as its plugin daemon runs one locally: dify_plugin's own stdio mode, driven by JSON lines."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.benchmarks.peers import Call, NotInstalledError, Peer
from tests.benchmarks.peers.lines import child

_PLUGIN = Path(__file__).parent / "dify_echo"


@asynccontextmanager
async def opened() -> AsyncIterator[Call]:
    if find_spec("dify_plugin") is None:
        raise NotInstalledError("dify_plugin")
    results: dict[str, dict[str, Any]] = {}

    def asks(call_id: str, arguments: dict[str, Any]) -> dict[str, Any]:
        data = {
            "type": "tool",
            "action": "invoke_tool",
            "user_id": "ada",
            "provider": "echo",
            "tool": "echo",
            "credentials": {},
            "tool_parameters": arguments,
        }
        return {"session_id": call_id, "event": "request", "data": data}

    def reads(message: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """The result comes in one message, that the call is over in another."""
        if message["event"] != "session":
            return None
        call_id, said = message["session_id"], message["data"]
        if said["type"] == "end":
            return call_id, results.pop(call_id)
        results[call_id] = said["data"]["message"]["json_object"] if said["type"] == "stream" else {"error": said}
        return None

    async with child(sys.executable, "-m", "main", asks=asks, reads=reads, folder=_PLUGIN) as call:
        yield call


PEER = Peer("Dify plugin (dify_plugin over stdio)", opened)
