"""Many more principals than isolates: 1,000 of them, five extensions, 200 isolates, calls at random."""

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from imperal_host.identity import Package, Principal
from imperal_host.runtime.pool import Pool
from tests.benchmarks.measure import milliseconds
from tests.benchmarks.processes import NotPermittedError, descendants, pss_mb, rss_mb
from tests.benchmarks.report import Figures, Goal, Row, measured
from tests.benchmarks.world import ECHO, World, invoke, someone_new

_PRINCIPALS, _ISOLATES, _IN_FLIGHT = 1_000, 200, 4
_PACKAGES = [replace(ECHO, name=f"echo{number}") for number in range(5)]
# The host and five zygotes beside 200 isolates of 7 MiB each.
_PSS_MB_MAX = 200 * 7 + 400
_SAMPLE_SECONDS = 2.0
_SEED = 1


async def run(world: World) -> list[Row]:
    crowd = Crowd(world)
    goals = Goal("errors", "<=", 0), Goal("p99_ms", "<=", 60), Goal("pss_most_mb", "<=", _PSS_MB_MAX)
    row = await measured("1,000 principals x 5 extensions, 200 isolates", "imperal", "pool", crowd.run, *goals)
    row.note = "; ".join(filter(None, [row.note, crowd.note]))
    return [row]


@dataclass(slots=True)
class Crowd:
    """One run: ``_IN_FLIGHT`` callers, each a new random pair at a time, until enough calls or too late."""

    world: World
    times: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    begun: int = 0
    note: str = ""

    async def run(self) -> Figures:
        effort, principals = self.world.effort, [someone_new() for _ in range(_PRINCIPALS)]
        late = time.monotonic() + effort.crowd_seconds_max
        chance = random.Random(_SEED)
        async with self.world.pool(isolates_max=_ISOLATES) as pool, _watched() as memory:

            async def caller() -> None:
                while self.begun < effort.crowd_calls and time.monotonic() < late:
                    self.begun += 1
                    await self._one(pool, principals[chance.randrange(_PRINCIPALS)], chance.choice(_PACKAGES))

            async with asyncio.TaskGroup() as group:
                for _ in range(_IN_FLIGHT):
                    group.create_task(caller())
            await memory.sample()
        self.note = self._told()
        figures = {**milliseconds(self.times), "errors": self.errors.total(), "calls": len(self.times)}
        return {**figures, **memory.figures()}

    async def _one(self, pool: Pool, principal: Principal, package: Package) -> None:
        begun = time.perf_counter()
        try:
            async with pool.lease(package, principal) as isolate:
                await invoke(isolate)
                self.times.append(time.perf_counter() - begun)
        except Exception as error:
            self.errors[type(error).__name__] += 1

    def _told(self) -> str:
        wanted = self.world.effort.crowd_calls
        late = f"stopped after {self.world.effort.crowd_seconds_max:g} s" if self.begun < wanted else ""
        return "; ".join(filter(None, [late, ", ".join(f"{n} {name}" for name, n in self.errors.items())]))


@dataclass(slots=True)
class Memory:
    """The host and all below it. PSS only where it may be read; MiB."""

    rss: list[float] = field(default_factory=list)
    pss: list[float] = field(default_factory=list)

    async def sample(self) -> None:
        await asyncio.to_thread(self._sample)

    def _sample(self) -> None:
        pids = {os.getpid(), *descendants()}
        self.rss.append(rss_mb(pids))
        with contextlib.suppress(NotPermittedError):
            self.pss.append(pss_mb(pids))

    def figures(self) -> Figures:
        of_pss = {"pss_most_mb": max(self.pss), "pss_at_end_mb": self.pss[-1]} if self.pss else {}
        return {**of_pss, "rss_most_mb": max(self.rss), "rss_at_end_mb": self.rss[-1]}


@asynccontextmanager
async def _watched() -> AsyncIterator[Memory]:
    memory = Memory()

    async def watch() -> None:
        while True:
            await memory.sample()
            await asyncio.sleep(_SAMPLE_SECONDS)

    task = asyncio.create_task(watch())
    try:
        yield memory
    finally:
        task.cancel()
        await asyncio.wait({task})
