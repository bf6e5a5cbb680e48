"""The embedded model's server: one child, with a key, that ends with whoever started it."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from imperal_host.errors import UnavailableError
from imperal_host.local.supervisor import LocalModelServer
from tests.host.cli.command import Running, descendants, process_table, still_running

QUESTION = {"messages": [{"role": "user", "content": "Say hi."}], "max_tokens": 4}


def model_servers() -> set[Running]:
    """The model servers among the children of this process."""
    return {child for child in descendants(os.getpid()) if b"imperal_host.local.server" in command_line(child.pid)}


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.fixture
async def server(weights: Path) -> AsyncIterator[LocalModelServer]:
    server = LocalModelServer(weights, context_tokens=512)
    yield server
    await server.aclose()


async def test_it_starts_when_it_is_asked_for_and_once_for_two_who_ask(server: LocalModelServer) -> None:
    before = model_servers()
    (first, key), (second, same_key) = await asyncio.gather(server.endpoint(), server.endpoint())
    assert len(model_servers() - before) == 1
    assert first == second
    assert first.startswith("http://127.0.0.1:")
    assert key.reveal() == same_key.reveal()


async def test_it_answers_who_has_the_key(server: LocalModelServer) -> None:
    base_url, key = await server.endpoint()
    async with httpx.AsyncClient(timeout=60) as client:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": "wrong"}):
            answer = await client.post(f"{base_url}/chat/completions", json=QUESTION, headers=headers)
            assert answer.status_code == 401
            assert key.reveal() not in answer.text
        bearer = {"authorization": f"Bearer {key.reveal()}"}
        answer = await client.post(f"{base_url}/chat/completions", json=QUESTION, headers=bearer)
        assert answer.status_code == 200
        assert answer.json()["usage"]["completion_tokens"] > 0
        answer = await client.post(
            f"{base_url}/messages", json={**QUESTION, "model": server.model}, headers={"x-api-key": key.reveal()}
        )
        assert answer.status_code == 200
        assert answer.json()["usage"]["output_tokens"] > 0


async def test_its_key_is_in_no_command_line_and_no_environment(server: LocalModelServer) -> None:
    before = model_servers()
    _, key = await server.endpoint()
    [child] = model_servers() - before
    for name in ("cmdline", "environ"):
        assert key.reveal().encode() not in Path(f"/proc/{child.pid}/{name}").read_bytes()
    assert key.reveal() not in repr(server.__dict__ | {"_key": None})


async def test_it_is_started_again_when_it_was_killed(server: LocalModelServer) -> None:
    before = model_servers()
    await server.endpoint()
    [child] = model_servers() - before
    os.kill(child.pid, signal.SIGKILL)
    assert server._process is not None
    await asyncio.wait_for(server._process.wait(), 10)
    base_url, key = await server.endpoint()
    [successor] = model_servers() - before
    assert successor != child
    async with httpx.AsyncClient(timeout=60) as client:
        headers = {"authorization": f"Bearer {key.reveal()}"}
        assert (await client.post(f"{base_url}/chat/completions", json=QUESTION, headers=headers)).status_code == 200


async def test_closing_leaves_no_process_and_may_be_done_twice(weights: Path) -> None:
    before = model_servers()
    server = LocalModelServer(weights, context_tokens=512)
    await server.aclose()
    await server.endpoint()
    children = model_servers() - before
    assert len(children) == 1
    await server.aclose()
    assert still_running(children) == set()
    await server.aclose()


async def child_of(before: set[Running]) -> Running:
    """The new model server, as soon as there is one."""
    async with asyncio.timeout(30):
        while not (found := model_servers() - before):
            await asyncio.sleep(0)
    return found.pop()


async def test_a_start_that_is_given_up_leaves_no_process(weights: Path) -> None:
    before = model_servers()
    server = LocalModelServer(weights, context_tokens=512)
    asking = asyncio.create_task(server.endpoint())
    child = await child_of(before)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert still_running({child}) == set()
    await server.endpoint()
    await server.aclose()
    assert model_servers() <= before


async def test_closing_waits_for_a_start(weights: Path) -> None:
    before = model_servers()
    server = LocalModelServer(weights, context_tokens=512)
    asking = asyncio.create_task(server.endpoint())
    child = await child_of(before)
    await server.aclose()
    assert asking.done()
    assert still_running({child}) == set()


@pytest.mark.parametrize("content", [None, b"", b"GGUF and no more", b"not a model" * 1000])
async def test_weights_that_are_none_are_told_and_leave_no_process(tmp_path: Path, content: bytes | None) -> None:
    before = model_servers()
    file = tmp_path / "weights.gguf"
    if content is not None:
        file.write_bytes(content)
    server = LocalModelServer(file)
    for _ in range(2):
        with pytest.raises(UnavailableError, match=r"the embedded model's server did not start: \S"):
            await server.endpoint()
    assert model_servers() <= before
    await server.aclose()


PARENT = """
import asyncio, sys
from pathlib import Path
from imperal_host import log
from imperal_host.local.supervisor import LocalModelServer

async def main():
    log.configure("error")
    server = LocalModelServer(Path(sys.argv[1]), context_tokens=512)
    await server.endpoint()
    print("started", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_it_ends_when_its_parent_is_killed(weights: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(weights)], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == "started\n"
            [child] = [process for process in process_table() if process.parent == parent.pid]
            handle = os.pidfd_open(child.pid)
        finally:
            parent.kill()
    try:
        ended, _, _ = select.select([handle], [], [], 10)
        assert ended == [handle], "the child ended within 10 s"
    finally:
        os.close(handle)
    assert still_running({child}) == set()
