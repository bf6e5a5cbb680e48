"""Streamed answers between the host and a warm isolate: the channel alone, with deltas from a scripted broker."""

import time
from functools import partial
from statistics import median
from typing import Any

from imperal_host.clock import SystemClock, new_id
from imperal_host.identity import CallId
from imperal_host.runtime.isolate import Deliver
from tests.benchmarks.report import Figures, Goal, Row, measured
from tests.benchmarks.world import ARGUMENTS, CALL_SECONDS_MAX, CONTEXT, ECHO, AnsweringBroker, World, someone_new

_DELTAS = 50_000
_CLOCK = SystemClock()
_DELTA = {"type": "text", "text": " token"}


async def run(world: World) -> list[Row]:
    return [
        await measured(
            "streamed deltas from a scripted broker to typed ones in the extension",
            "imperal",
            f"batches of {size}",
            partial(_streamed, world, size),
            *([Goal("deltas_per_second", ">=", 60_000)] if size > 1 else []),
        )
        for size in (1, 8, 64)
    ]


class _Broker(AnsweringBroker):
    def __init__(self, size: int) -> None:
        self._size = size

    async def stream(self, capability: str, payload: dict[str, Any], deliver: Deliver) -> dict[str, Any]:
        batch = [_DELTA] * self._size
        for _ in range(_DELTAS // self._size):
            await deliver(batch)
        return await self.ask("llm.complete", payload)


async def _streamed(world: World, size: int) -> Figures:
    rates = []
    async with world.pool() as pool, pool.lease(ECHO, someone_new()) as isolate:
        for _ in range(world.effort.rounds + 1):
            begun = time.perf_counter()
            answer = await isolate.invoke(
                CallId(new_id(_CLOCK)), "streams", ARGUMENTS, CONTEXT, _Broker(size), CALL_SECONDS_MAX
            )
            rates.append(_DELTAS / (time.perf_counter() - begun))
            assert answer["data"] == {"deltas": _DELTAS // size * size}, answer
    return {"deltas_per_second": median(rates[1:])}
