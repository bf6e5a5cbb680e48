"""any-llm's gateway, which keeps usage in a database as ours does in a ledger."""

import json
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx

from tests.benchmarks.proxies import Door, Proxy
from tests.benchmarks.proxies.processes import free_port, program, running

_MASTER_KEY = "benchmark-master-key"


@asynccontextmanager
async def opened(upstream_port: int) -> AsyncIterator[Door]:
    command, port = program("any-llm", "bin/any-llm-gateway"), free_port()
    with tempfile.TemporaryDirectory() as place:
        database, config = Path(place, "gateway.sqlite3"), Path(place, "config.yaml")
        closing(sqlite3.connect(database)).__enter__().close()
        provider = {"api_key": "sk-none", "api_base": f"http://127.0.0.1:{upstream_port}/v1"}
        settings = {
            "database_url": f"sqlite:///{database}",
            "host": "127.0.0.1",
            "port": port,
            "master_key": _MASTER_KEY,
            "providers": {"openai": provider},
            "pricing": {"openai:gpt-4o-mini": {"input_price_per_million": 0.15, "output_price_per_million": 0.6}},
        }
        config.write_text(json.dumps(settings))  # JSON is YAML
        async with running((command, "serve", "--config", str(config)), port):
            yield Door(port, model="openai:gpt-4o-mini", headers={"x-anyllm-key": f"Bearer {await _key(port)}"})


async def _key(port: int) -> str:
    """A user's key: the master key may make calls in a user's name only."""
    async with httpx.AsyncClient(trust_env=False, headers={"x-anyllm-key": f"Bearer {_MASTER_KEY}"}) as client:
        answer = await client.post(f"http://127.0.0.1:{port}/v1/keys", json={"key_name": "benchmark"})
        answer.raise_for_status()
        key: str = answer.json()["key"]
        return key


PROXY = Proxy("any-llm gateway", opened)
