"""Warm isolates, lent one call at a time, each to one principal for its whole life."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from imperal_host.clock import Clock
from imperal_host.errors import BusyError
from imperal_host.identity import Package, Principal, TenantId, UserId
from imperal_host.runtime.isolate import Isolate, Launcher
from imperal_sdk.manifest import Manifest

Who = tuple[TenantId, UserId]
Key = tuple[str, Who]


@dataclass(frozen=True, slots=True)
class PoolLimits:
    isolates_max: int
    isolates_per_principal_max: int
    idle_seconds_max: float


@dataclass(frozen=True, slots=True, eq=False)
class _Idle:
    isolate: Isolate
    since: float
    timer: asyncio.TimerHandle


class Pool:
    """An isolate is never lent to a second principal: the key under which it rests names the first."""

    def __init__(self, launcher: Launcher, limits: PoolLimits, clock: Clock) -> None:
        self._launcher = launcher
        self._limits = limits
        self._clock = clock
        self._idle: defaultdict[Key, list[_Idle]] = defaultdict(list)
        self._per_principal: Counter[Who] = Counter()
        self._closing: set[asyncio.Task[None]] = set()

    async def inspect(self, package: Package) -> Manifest:
        """Load an extension in an isolate of nobody's, learn its manifest, and end it."""
        isolate = await self._launcher.launch(package)
        await isolate.aclose()
        return isolate.manifest

    @asynccontextmanager
    async def lease(self, package: Package, principal: Principal) -> AsyncIterator[Isolate]:
        """Raises ``BusyError`` at the limits, and whatever a launch raises."""
        who = (principal.tenant, principal.user)
        key = (package.name, who)
        isolate = self._wake(key) or await self._start(package, who)
        try:
            yield isolate
        finally:
            if isolate.alive:
                self._rest(key, isolate)
            else:
                self._per_principal[who] -= 1
                await isolate.aclose()

    async def aclose(self) -> None:
        for resting in list(self._idle.values()):
            for idle in resting:
                idle.timer.cancel()
                await idle.isolate.aclose()
        self._idle.clear()
        self._per_principal.clear()
        await asyncio.gather(*self._closing)

    def _wake(self, key: Key) -> Isolate | None:
        while self._idle[key]:
            idle = self._idle[key].pop()
            idle.timer.cancel()
            if idle.isolate.alive:
                return idle.isolate
            self._per_principal[key[1]] -= 1
        return None

    async def _start(self, package: Package, who: Who) -> Isolate:
        self._make_room(who)
        self._per_principal[who] += 1
        try:
            return await self._launcher.launch(package)
        except BaseException:
            self._per_principal[who] -= 1
            raise

    def _make_room(self, who: Who) -> None:
        mine = [key for key in self._idle if key[1] == who and self._idle[key]]
        if self._per_principal[who] >= self._limits.isolates_per_principal_max and not self._retire_oldest(mine):
            raise BusyError(f"you have {self._per_principal[who]} calls running; wait for one to end")
        everyone = [key for key, resting in self._idle.items() if resting]
        if self._per_principal.total() >= self._limits.isolates_max and not self._retire_oldest(everyone):
            raise BusyError("the host runs as many calls as it may; try again in a moment")

    def _retire_oldest(self, keys: list[Key]) -> bool:
        if not keys:
            return False
        key = min(keys, key=lambda k: self._idle[k][0].since)
        self._retire(key, self._idle[key][0])
        return True

    def _rest(self, key: Key, isolate: Isolate) -> None:
        timer = asyncio.get_running_loop().call_later(self._limits.idle_seconds_max, lambda: self._retire(key, idle))
        idle: _Idle = _Idle(isolate, self._clock.monotonic(), timer)
        self._idle[key].append(idle)

    def _retire(self, key: Key, idle: _Idle) -> None:
        idle.timer.cancel()
        self._idle[key].remove(idle)
        self._per_principal[key[1]] -= 1
        task = asyncio.create_task(idle.isolate.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
