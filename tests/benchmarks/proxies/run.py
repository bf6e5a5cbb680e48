"""Every proxy in front of the upstream: what it adds for one caller, how much it takes, how it streams."""

from functools import partial

from tests.benchmarks.proxies import Door, Proxy, any_llm, litellm, mlflow, portkey
from tests.benchmarks.proxies.load import Tools, compiled, load, upstream
from tests.benchmarks.report import Figures, Row, measured
from tests.benchmarks.world import World

PROXIES: tuple[Proxy, ...] = (litellm.PROXY, any_llm.PROXY, portkey.PROXY, mlflow.PROXY)
ADDED, MANY, FIRST, EVENTS, PACED = (
    "model call: added for one caller",
    "model calls, 32 in flight",
    "time to the first event, 16 streams",
    "streamed events, 16 streams",
    "delay of a paced chunk, 16 streams",
)

_WARM_UP_SECONDS = 5.0


async def run(world: World) -> list[Row]:
    """Each proxy is started once and measured in all four ways, alone with the upstream."""
    tools = await compiled(world.place)
    rows: list[Row] = []
    async with upstream(tools) as port:
        straight = Door(port)
        for what, kind in ((MANY, _many), (EVENTS, _events), (PACED, _paced)):
            rows.append(await measured(what, "raw", "the upstream, directly", partial(kind, world, tools, straight)))
        for proxy in PROXIES:
            rows += await _of(world, tools, proxy, port)
    return sorted(rows, key=lambda row: (ADDED, MANY, FIRST, EVENTS, PACED).index(row.what))


async def _of(world: World, tools: Tools, proxy: Proxy, port: int) -> list[Row]:
    rows: list[Row] = []

    async def all_four() -> Figures:
        async with proxy.opened(port) as door:
            await load(tools, door, 1, _WARM_UP_SECONDS, streamed=False)
            added = await _added(world, tools, door, Door(port))
            for what, kind in ((MANY, _many), (EVENTS, _events), (PACED, _paced)):
                rows.append(await measured(what, "peer", proxy.name, partial(kind, world, tools, door)))
        return added

    first = await measured(ADDED, "peer", proxy.name, all_four)
    return [first, *rows]


async def _added(world: World, tools: Tools, door: Door, straight: Door) -> Figures:
    seconds = world.effort.load_seconds
    through = await load(tools, door, 1, seconds, streamed=False)
    direct = await load(tools, straight, 1, seconds, streamed=False)
    return {"p50_ms": through["lat_p50"] - direct["lat_p50"]}


async def _many(world: World, tools: Tools, door: Door) -> Figures:
    figures = await load(tools, door, 32, world.effort.load_seconds, streamed=False)
    return {"calls_per_second": figures["rps"], "p99_ms": figures["lat_p99"]}


async def _events(world: World, tools: Tools, door: Door) -> Figures:
    figures = await load(tools, door, 16, world.effort.load_seconds, streamed=True)
    return {"events_per_second": figures["events_s"], "first_p50_ms": figures["ttfe_p50"]}


async def _paced(world: World, tools: Tools, door: Door) -> Figures:
    figures = await load(tools, door, 16, world.effort.load_seconds, streamed=True, paced=True)
    return {"p50_ms": figures["chunk_p50"], "p99_ms": figures["chunk_p99"]}
