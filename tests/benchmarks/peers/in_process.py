"""A function awaited in the host's own process, as Open WebUI runs its functions: no isolation, the raw limit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.benchmarks.peers import Call, Peer
from tests.benchmarks.peers.echo_lines import EchoParams


@asynccontextmanager
async def opened() -> AsyncIterator[Call]:
    async def call(arguments: dict[str, Any]) -> dict[str, Any]:
        return EchoParams.model_validate(arguments).model_dump()

    yield call


PEER = Peer("await in the host's process, no isolation", opened, is_process=False)
