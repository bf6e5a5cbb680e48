"""A call through the whole kernel: grants, scope, an isolate, and two ledger rows that are on disk."""

from functools import partial

from imperal_host.app import open_host, open_stores
from imperal_host.kernel.dispatch import Call
from tests.benchmarks.limits import fdatasync
from tests.benchmarks.measure import many_at_once, milliseconds
from tests.benchmarks.report import Figures, Goal, Row, measured
from tests.benchmarks.world import ARGUMENTS, EXTENSIONS, World, someone_new

_IN_FLIGHT = 16


async def run(world: World) -> list[Row]:
    what = "a whole dispatch, two durable ledger rows, 16 in flight"
    note = "16 principals, one call each; the echo is in it"
    return [
        await measured(what, "imperal", "kernel", partial(_dispatch, world), Goal("p50_ms", "<=", 2), note=note),
        await measured(what, "raw", "fdatasync of 8 KiB", partial(fdatasync, world.place, world.effort)),
    ]


async def _dispatch(world: World) -> Figures:
    settings = world.settings(extensions_dir=EXTENSIONS)
    async with open_stores(settings) as stores, open_host(stores) as host:
        call = Call("echo", "echo", ARGUMENTS)
        works = [partial(host.rooms.kernel.dispatch, someone_new(), call) for _ in range(_IN_FLIGHT)]
        rate, times = await many_at_once(works, world.effort)
    return {**milliseconds(times), **rate}
