"""One load on one door: ``load.c`` compiled and run, its line read."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.peers import NotInstalledError
from tests.benchmarks.proxies import Door
from tests.benchmarks.proxies.processes import free_port, running

_SOURCES = Path(__file__).parent
_WORDS = "the quick brown fox jumps over the lazy dog"
_EVENTS_PER_STREAM, _PACE_MICROSECONDS = 50, 10_000


@dataclass(frozen=True, slots=True)
class Tools:
    """The compiled upstream and load generator."""

    upstream: Path
    load: Path
    place: Path


async def compiled(place: Path) -> Tools:
    """Raises ``NotInstalledError`` where there is no C compiler."""
    made = Tools(place / "upstream", place / "load", place)
    for source, target in (("upstream.c", made.upstream), ("load.c", made.load)):
        try:
            gcc = await asyncio.create_subprocess_exec("gcc", "-O2", "-w", "-o", str(target), str(_SOURCES / source))
        except FileNotFoundError:
            raise NotInstalledError("gcc") from None
        if await gcc.wait():
            raise RuntimeError(f"{source} does not compile")
    return made


@asynccontextmanager
async def upstream(tools: Tools) -> AsyncIterator[int]:
    """Its port on loopback."""
    port = free_port()
    command = (str(tools.upstream), str(port), str(_EVENTS_PER_STREAM), str(_PACE_MICROSECONDS))
    async with running(command, port):
        yield port


async def load(
    tools: Tools, door: Door, connections: int, seconds: float, *, streamed: bool, paced: bool = False
) -> dict[str, Any]:
    """``load.c``'s figures: ``rps``, ``lat_p50`` (ms), ``events_s``, ``ttfe_p50`` (ms), ``chunk_p99`` (ms), ..."""
    text = f"[paced] {_WORDS}" if paced else _WORDS
    body: dict[str, Any] = {"model": door.model, "messages": [{"role": "user", "content": text}]}
    if streamed:
        body["stream"] = True
    file = tools.place / "body.json"
    file.write_text(json.dumps(body))
    headers = [f"{name}: {value}" for name, value in door.headers.items()]
    process = await asyncio.create_subprocess_exec(
        *(str(tools.load), str(door.port), door.path, str(connections), str(seconds), str(file), *headers),
        env={"LG_PACED": "1"} if paced else {},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    figures: dict[str, Any] = json.loads(out)
    if not figures["ok"]:
        raise RuntimeError(f"no answer was right: status {figures['status']}: {figures['errbody'][:200]}")
    return figures
