"""A model call as an extension sees it: from its isolate through grant, plan, parameters, hold, guard, vault, price and
two durable ledger rows to a fast upstream, and back. Beside it, the same upstream directly and behind LLM proxies."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from statistics import median
from typing import Any

from imperal_host.app import Host, open_host, open_stores
from imperal_host.gateway.binding import PLATFORM, BindingDraft
from imperal_host.kernel.dispatch import Call
from tests.benchmarks.measure import milliseconds, percentile
from tests.benchmarks.processes import rss_mb
from tests.benchmarks.proxies import Door
from tests.benchmarks.proxies.load import Tools, compiled, load, upstream
from tests.benchmarks.proxies.run import ADDED, EVENTS, FIRST, MANY, PACED
from tests.benchmarks.report import Figures, Goal, Row, measured
from tests.benchmarks.world import EXTENSIONS, World, someone_new

_ISOLATES, _EACH = 4, 8
_STREAMS_EACH = 4


async def run(world: World) -> list[Row]:
    tools = await compiled(world.place)
    async with upstream(tools) as port, _serving(world, port) as host:
        direct = await load(tools, Door(port), 1, 1.0, streamed=False)
        one = partial(_one_caller, world, host, direct["lat_p50"])
        note = f"{_ISOLATES} isolates, {_EACH} calls at once in each; the platform's model, two durable rows a call"
        streams = partial(_streams, world, host, tools, port)
        return [
            await _row(ADDED, one, Goal("p50_ms", "<=", 0.8)),
            await _row(MANY, partial(_many, world, host), Goal("calls_per_second", ">=", 4_500), note=note),
            await _row(FIRST, streams, Goal("p50_ms", "<=", 2)),
            await _row(EVENTS, partial(_events, world, host), Goal("events_per_second", ">=", 60_000)),
            await _row(PACED, partial(_paced, world, host), Goal("p50_ms", "<=", 0.3), Goal("p99_ms", "<=", 2)),
            await _row("memory of the host under that load", _memory, Goal("rss_mb", "<=", 120)),
        ]


def _row(what: str, work: Callable[[], Awaitable[Figures]], *goals: Goal, note: str = "") -> Awaitable[Row]:
    return measured(what, "imperal", "ctx.llm in an isolate", work, *goals, note=note)


@asynccontextmanager
async def _serving(world: World, port: int) -> AsyncIterator[Host]:
    settings = world.settings(
        extensions_dir=EXTENSIONS, private_networks=("127.0.0.1/32",), asks_per_call_max=1_000_000
    )
    async with open_stores(settings) as stores, open_host(stores) as host:
        base_url = f"http://127.0.0.1:{port}/v1"
        await stores.bindings.put(
            PLATFORM, BindingDraft("openai_compatible", "gpt-4o-mini", base_url, api_key="sk-none")
        )
        yield host


async def _call(host: Host, function: str, **arguments: Any) -> dict[str, Any]:
    answer = await host.rooms.kernel.dispatch(someone_new(), Call("models", function, arguments))
    data = answer.result.data
    assert isinstance(data, dict), answer
    return data


async def _one_caller(world: World, host: Host, direct_ms: float) -> Figures:
    calls = world.effort.calls // 4
    await _call(host, "completes", calls=world.effort.warm_up_calls)
    rounds = [(await _call(host, "completes", calls=calls))["times"] for _ in range(world.effort.rounds)]
    return {name: median(milliseconds(times)[name] for times in rounds) - direct_ms for name in ("p50_ms", "p99_ms")}


async def _many(world: World, host: Host) -> Figures:
    begun = time.perf_counter()
    each = world.effort.calls // _ISOLATES
    work = [_call(host, "completes", calls=each, at_once=_EACH) for _ in range(_ISOLATES)]
    times = [taken for data in await asyncio.gather(*work) for taken in data["times"]]
    return {"calls_per_second": len(times) / (time.perf_counter() - begun), **milliseconds(times)}


async def _streams(world: World, host: Host, tools: Tools, port: int) -> Figures:
    """Until the first delta, 16 at once, less what the upstream takes directly."""
    direct = await load(tools, Door(port), _ISOLATES * _STREAMS_EACH, 1.0, streamed=True)
    firsts = [taken for data in await _all_streams(world, host) for taken in data["firsts"]]
    return {"p50_ms": percentile(firsts, 0.5) * 1e3 - direct["ttfe_p50"]}


async def _events(world: World, host: Host) -> Figures:
    begun = time.perf_counter()
    deltas = sum(data["deltas"] for data in await _all_streams(world, host))
    return {"events_per_second": deltas / (time.perf_counter() - begun)}


async def _paced(world: World, host: Host) -> Figures:
    text = "[paced] the quick brown fox"
    work = [_call(host, "streams", calls=_STREAMS_EACH * 2, at_once=_STREAMS_EACH, text=text) for _ in range(_ISOLATES)]
    return milliseconds([taken for data in await asyncio.gather(*work) for taken in data["delays"]])


async def _all_streams(world: World, host: Host) -> list[dict[str, Any]]:
    each = max(_STREAMS_EACH, world.effort.calls // 20)
    work = [_call(host, "streams", calls=each, at_once=_STREAMS_EACH) for _ in range(_ISOLATES)]
    return await asyncio.gather(*work)


async def _memory() -> Figures:
    return {"rss_mb": rss_mb([os.getpid()])}
