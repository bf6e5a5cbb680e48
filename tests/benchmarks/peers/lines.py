"""The host's side of a child that takes and gives lines of JSON over pipes."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.peers import Call

SCRIPT = Path(__file__).parent / "echo_lines.py"
_READY_SECONDS_MAX = 60.0
# Takes one message of the child: the id of a call and its result, or nothing if it is of no interest.
Reading = Callable[[dict[str, Any]], tuple[str, dict[str, Any]] | None]
# Makes the message that asks for a call.
Asking = Callable[[str, dict[str, Any]], dict[str, Any]]


def asking(call_id: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"id": call_id, "arguments": arguments}


def reading(message: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    return (message["id"], message["result"]) if "id" in message else None


@asynccontextmanager
async def child(
    *command: str, asks: Asking = asking, reads: Reading = reading, folder: Path | None = None
) -> AsyncIterator[Call]:
    """A child process, ready when it has said its first line."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, cwd=folder
    )
    assert process.stdin is not None
    assert process.stdout is not None
    taking, giving = process.stdin, process.stdout
    waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
    ids = map(str, itertools.count(1))

    async def call(arguments: dict[str, Any]) -> dict[str, Any]:
        call_id = next(ids)
        future = waiting[call_id] = asyncio.get_running_loop().create_future()
        taking.write(json.dumps(asks(call_id, arguments)).encode() + b"\n")
        return await future

    async def read() -> None:
        while line := await giving.readline():
            if line.strip() and (answer := reads(json.loads(line))) and (future := waiting.pop(answer[0], None)):
                future.set_result(answer[1])
        for future in waiting.values():
            future.set_exception(ConnectionError("the peer's process ended"))

    pump: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(_READY_SECONDS_MAX):
            if not await giving.readline():
                raise ConnectionError(f"the peer's process ended before it was ready: {Path(command[0]).name}")
        pump = asyncio.create_task(read())
        yield call
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if pump is not None:
            await pump
