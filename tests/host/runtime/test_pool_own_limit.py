"""At the limit of one principal, at a turn that is not used, and at the pool's end. The launcher is scripted."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from imperal_host.clock import SystemClock
from imperal_host.errors import BusyError, ExtensionStoppedError
from imperal_host.identity import CallId, Package, Principal, TenantId, UserId
from imperal_host.runtime.isolate import Broker
from imperal_host.runtime.pool import Pool, PoolLimits
from imperal_sdk.manifest import Manifest
from imperal_sdk.wire import CallContext

ADA, BOB, EVE = (Principal(TenantId(name), UserId(name)) for name in ("ada", "bob", "eve"))
NOTES, MAIL, MAPS = (Package(name, "main", "", (), (), "") for name in ("notes", "mail", "maps"))


class Scripted:
    def __init__(self) -> None:
        self.manifest = Manifest(app_id="notes", version="1.0.0")
        self.alive = True

    async def invoke(
        self,
        call: CallId,
        function: str,
        arguments: dict[str, Any],
        context: CallContext,
        broker: Broker,
        seconds: float,
    ) -> dict[str, Any]:
        raise AssertionError("the pool calls nothing")

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def memory_bytes(self) -> int:
        return 0

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.alive = False


class Launcher:
    """``gate`` closed: launches wait at it."""

    def __init__(self) -> None:
        self.launched: list[Scripted] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def launch(self, package: Package) -> Scripted:
        await self.gate.wait()
        self.launched.append(Scripted())
        return self.launched[-1]

    def retire(self, package: Package) -> None: ...

    async def aclose(self) -> None: ...

    @property
    def alive(self) -> int:
        return sum(isolate.alive for isolate in self.launched)


@asynccontextmanager
async def pool_of(isolates: int, own: int, at_once: int = 1) -> AsyncIterator[tuple[Pool, Launcher]]:
    launcher = Launcher()
    limits = PoolLimits(isolates, own, at_once, 0, 10.0, 60.0, 3_600.0, 1_000, 1 << 30)
    pool = Pool(launcher, limits, SystemClock())
    async with asyncio.timeout(20):
        try:
            yield pool, launcher
        finally:
            await pool.aclose()
    assert launcher.alive == 0
    assert not pool._living


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0)


async def borrow(pool: Pool, package: Package, who: Principal, until_then: asyncio.Event | None = None) -> None:
    async with pool.lease(package, who):
        if until_then is not None:
            await until_then.wait()


async def test_isolates_that_rest_do_not_keep_their_principal_from_another_extension() -> None:
    async with pool_of(isolates=9, own=2) as (pool, launcher):
        for package in (NOTES, MAIL, MAPS):
            await borrow(pool, package, ADA)
        assert launcher.alive == 2
        assert [isolate.alive for isolate in launcher.launched] == [False, True, True], "the longest resting one went"


async def test_one_that_died_at_rest_makes_room_for_the_next() -> None:
    async with pool_of(isolates=9, own=1) as (pool, launcher):
        await borrow(pool, NOTES, ADA)
        launcher.launched[0].alive = False
        await borrow(pool, NOTES, ADA)
        assert len(launcher.launched) == 2


async def test_calls_that_come_while_the_last_allowed_isolate_starts_share_it() -> None:
    async with pool_of(isolates=9, own=1, at_once=3) as (pool, launcher):
        launcher.gate.clear()
        ended = asyncio.Event()
        calls = [asyncio.create_task(borrow(pool, NOTES, ADA, ended)) for _ in range(4)]
        await asyncio.sleep(0)
        launcher.gate.set()
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        [refused] = [call for call in calls if call.done()]
        assert isinstance(refused.exception(), BusyError), "the fourth of three"
        ended.set()
        await asyncio.wait(calls)
        assert sum(call.exception() is None for call in calls) == 3
        assert len(launcher.launched) == 1


async def test_at_work_with_all_that_they_may_have_is_busy_at_once() -> None:
    async with pool_of(isolates=9, own=2) as (pool, _), pool.lease(NOTES, ADA), pool.lease(MAIL, ADA):
        with pytest.raises(BusyError, match="you have 2 isolates at work"):
            await borrow(pool, MAPS, ADA)
        await borrow(pool, MAPS, BOB)


async def test_a_turn_that_is_not_used_goes_to_the_next() -> None:
    """Ada waits twice, then Bob of her tenant; her first isolate serves both her calls, and a place is left."""
    bobs = Principal(ADA.tenant, UserId("bob"))
    async with pool_of(isolates=2, own=1, at_once=2) as (pool, launcher):
        first, second, hers = asyncio.Event(), asyncio.Event(), asyncio.Event()
        holding = [asyncio.create_task(borrow(pool, NOTES, EVE, first))]
        other = Principal(TenantId("eve"), UserId("eva"))
        holding.append(asyncio.create_task(borrow(pool, NOTES, other, second)))
        await until(lambda: len(pool._bound) == 2)
        ada = [asyncio.create_task(borrow(pool, NOTES, ADA, hers)) for _ in range(2)]
        bob = asyncio.create_task(borrow(pool, NOTES, bobs))
        await asyncio.sleep(0)
        for isolate in launcher.launched:
            isolate.alive = False
        first.set()
        second.set()
        await asyncio.wait({bob}, timeout=5)
        assert bob.done(), "a place is free, and Bob waits on"
        hers.set()
        await asyncio.gather(*ada, bob, *holding)


async def test_whoever_waits_when_the_pool_closes_gets_nothing_any_more() -> None:
    async with pool_of(isolates=1, own=1) as (pool, launcher):
        ended = asyncio.Event()
        working = asyncio.create_task(borrow(pool, NOTES, ADA, ended))
        await until(lambda: bool(pool._bound))
        waiting = asyncio.create_task(borrow(pool, NOTES, BOB))
        await asyncio.sleep(0)
        await pool.aclose()
        with pytest.raises(BusyError, match="the host is stopping"):
            await waiting
        with pytest.raises(BusyError, match="the host is stopping"):
            await pool.inspect(MAIL)
        ended.set()
        await working
        assert len(launcher.launched) == 1


async def test_an_isolate_that_stops_under_several_calls_has_stopped_once() -> None:
    async with pool_of(isolates=9, own=1, at_once=8) as (pool, launcher):
        ready, stops = 0, asyncio.Event()

        async def stopped() -> None:
            nonlocal ready
            async with pool.lease(NOTES, ADA):
                ready += 1
                await stops.wait()
                raise ExtensionStoppedError("x")

        calls = [asyncio.create_task(stopped()) for _ in range(8)]
        await until(lambda: ready == 8)
        launcher.launched[0].alive = False
        stops.set()
        await asyncio.wait(calls)
        assert {type(call.exception()) for call in calls} == {ExtensionStoppedError}
        await borrow(pool, NOTES, ADA)
