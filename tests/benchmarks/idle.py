"""What memory an idle isolate costs, with all that is needed to have it: its share of whatever it was cloned from,
and of whoever waits for it."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from tests.benchmarks.peers import Peer
from tests.benchmarks.processes import descendants, pss_mb
from tests.benchmarks.report import Figures, Goal, Row, measured
from tests.benchmarks.side_by_side import PROCESSES
from tests.benchmarks.world import ARGUMENTS, ECHO, World, invoke, someone_new


async def run(world: World) -> list[Row]:
    what, effort = "memory of an idle one (PSS)", world.effort
    ours = f"{effort.alive} alive; all that runs for them, divided"
    theirs = f"{effort.peers_alive} alive"
    return [
        await measured(what, "imperal", "isolate", partial(_isolates, world), Goal("pss_mb", "<=", 7), note=ours),
        *[
            await measured(what, "peer", peer.name, partial(_peer, effort.peers_alive, peer), note=theirs)
            for peer in PROCESSES
        ],
    ]


async def _isolates(world: World) -> Figures:
    alive, before = world.effort.alive, descendants()
    own = set()
    async with world.pool(isolates_max=alive, isolates_spare=0) as pool:
        for _ in range(alive):
            async with pool.lease(ECHO, someone_new()) as isolate:
                await invoke(isolate)
                own.add(isolate.pid)
        everything = descendants() - before
        assert own <= everything, "an isolate is not below the host"
        return {"pss_mb": await _per_one(everything, alive), "of_which_its_own_mb": await _per_one(own, alive)}


async def _peer(alive: int, peer: Peer) -> Figures:
    before = descendants()
    async with AsyncExitStack() as stack:
        for _ in range(alive):
            call = await stack.enter_async_context(peer.opened())
            await call(ARGUMENTS)
        return {"pss_mb": await _per_one(descendants() - before, alive)}


async def _per_one(pids: set[int], count: int) -> float:
    return await asyncio.to_thread(pss_mb, pids) / count
