"""A warm isolate: one call at a time, sixteen at once, and one that asks its host something."""

from functools import partial

from tests.benchmarks.limits import socketpair_round_trip
from tests.benchmarks.measure import many_at_once, milliseconds, one_by_one
from tests.benchmarks.peers import Peer
from tests.benchmarks.report import Figures, Goal, Row, measured
from tests.benchmarks.side_by_side import PEERS
from tests.benchmarks.world import ANSWER_TEXT, ARGUMENTS, ECHO, World, invoke, someone_new

_ONE, _MANY, _ASKING = "warm echo", "warm echo, 16 in flight", "warm echo with one ctx round trip"
_IN_FLIGHT = 16


async def run(world: World) -> list[Row]:
    return [
        await measured(_ONE, "imperal", "isolate", partial(_alone, world, "echo"), Goal("p50_us", "<=", 80)),
        *[await measured(_ONE, "peer", peer.name, partial(_peer_alone, world, peer)) for peer in PEERS],
        await measured(_ONE, "raw", "socket pair between two processes", partial(socketpair_round_trip, world.effort)),
        await measured(_MANY, "imperal", "isolate", partial(_together, world), Goal("calls_per_second", ">=", 25_000)),
        *[await measured(_MANY, "peer", peer.name, partial(_peer_together, world, peer)) for peer in PEERS],
        await measured(_ASKING, "imperal", "isolate", partial(_alone, world, "asks"), Goal("p50_us", "<=", 200)),
    ]


async def _alone(world: World, function: str) -> Figures:
    async with world.pool() as pool, pool.lease(ECHO, someone_new()) as isolate:
        answer = await invoke(isolate, function)
        assert answer["data"] == (ARGUMENTS if function == "echo" else {"text": ANSWER_TEXT}), answer
        return await one_by_one(partial(invoke, isolate, function), world.effort)


async def _together(world: World) -> Figures:
    async with world.pool() as pool, pool.lease(ECHO, someone_new()) as isolate:
        rate, times = await many_at_once([partial(invoke, isolate)] * _IN_FLIGHT, world.effort)
    return {**rate, **milliseconds(times)}


async def _peer_alone(world: World, peer: Peer) -> Figures:
    async with peer.opened() as call:
        answer = await call(ARGUMENTS)
        assert answer == ARGUMENTS, answer
        return await one_by_one(partial(call, ARGUMENTS), world.effort)


async def _peer_together(world: World, peer: Peer) -> Figures:
    async with peer.opened() as call:
        rate, times = await many_at_once([partial(call, ARGUMENTS)] * _IN_FLIGHT, world.effort)
    return {**rate, **milliseconds(times)}
