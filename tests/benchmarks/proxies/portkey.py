"""Portkey's gateway (Node.js)."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.benchmarks.peers import NotInstalledError
from tests.benchmarks.proxies import Door, Proxy
from tests.benchmarks.proxies.processes import free_port, program, running


@asynccontextmanager
async def opened(upstream_port: int) -> AsyncIterator[Door]:
    node = shutil.which("node")
    if node is None:
        raise NotInstalledError("node")
    server, port = program("portkey", "node_modules/@portkey-ai/gateway/build/start-server.js"), free_port()
    headers = {
        "authorization": "Bearer sk-none",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream_port}/v1",
    }
    async with running((node, server, "--headless", f"--port={port}"), port, {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}):
        yield Door(port, headers=headers)


PROXY = Proxy("Portkey gateway", opened)
