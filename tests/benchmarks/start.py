"""From nothing to an isolate that can take a call; and from a spare one to the first answer."""

import asyncio
import time
from functools import partial

from imperal_host.runtime.pool import Pool
from tests.benchmarks.measure import milliseconds
from tests.benchmarks.peers import Peer
from tests.benchmarks.report import Figures, Goal, Row, measured
from tests.benchmarks.side_by_side import PROCESSES
from tests.benchmarks.world import ECHO, World, invoke, someone_new

_SPARE = 2
_CLAIMS_PER_POOL = 50
_REFILL_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.005


async def cold(world: World) -> list[Row]:
    what = "cold start, the extension imported"
    goals = Goal("p50_ms", "<=", 12), Goal("p99_ms", "<=", 25)
    return [
        await measured(what, "imperal", "isolate", partial(_launches, world), *goals),
        *[await measured(what, "peer", peer.name, partial(_peer_starts, world, peer)) for peer in PROCESSES],
    ]


async def claim(world: World) -> list[Row]:
    what = "claim of a spare isolate by a new principal, with the first call"
    goals = Goal("p50_ms", "<=", 1), Goal("p99_ms", "<=", 3)
    return [await measured(what, "imperal", "isolate", partial(_claims, world), *goals)]


async def _launches(world: World) -> Figures:
    """Until the isolate is confined, has imported the extension and has said so; its end is not in it."""
    times = []
    async with world.pool() as pool:
        for _ in range(world.effort.starts + 1):
            begun = time.perf_counter()
            isolate = await pool._launcher.launch(ECHO)
            times.append(time.perf_counter() - begun)
            await isolate.aclose()
    return milliseconds(times[1:])


async def _peer_starts(world: World, peer: Peer) -> Figures:
    times = []
    for _ in range(world.effort.starts + 1):
        begun = time.perf_counter()
        async with peer.opened():
            times.append(time.perf_counter() - begun)
    return milliseconds(times[1:])


async def _claims(world: World) -> Figures:
    times: list[float] = []
    while len(times) < world.effort.claims:
        # A pool of its own for every few: what principals leave behind is then never in the way of the next.
        count = min(_CLAIMS_PER_POOL, world.effort.claims - len(times))
        async with world.pool(isolates_max=count + 2 * _SPARE + 2, isolates_spare=_SPARE) as pool:
            await _one_claim(pool)
            times += [await _one_claim(pool) for _ in range(count)]
    return milliseconds(times)


async def _one_claim(pool: Pool) -> float:
    principal = someone_new()
    begun = time.perf_counter()
    async with pool.lease(ECHO, principal) as isolate:
        await invoke(isolate)
        taken = time.perf_counter() - begun
    await _refilled(pool)
    return taken


async def _refilled(pool: Pool) -> None:
    async with asyncio.timeout(_REFILL_SECONDS_MAX):
        while pool.spares(ECHO) < _SPARE:
            await asyncio.sleep(_POLL_SECONDS)
