"""Who is lent which isolate, and when it ends. The launcher is scripted; the isolates of other tests are real."""

import asyncio
from collections.abc import Callable

import pytest

from imperal_host.errors import BusyError, ExtensionStoppedError, SandboxError
from imperal_host.identity import Package, Principal
from imperal_host.runtime.pool import Pool
from tests.host.conftest import FixedClock, turns_of_the_loop
from tests.host.runtime.scripted import (
    ADA,
    ADA_ELSEWHERE,
    BOB,
    MAIL,
    NOTES,
    NOTES_AGAIN,
    ScriptedIsolate,
    ScriptedLauncher,
    borrow,
    pool_of,
)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


async def crash(pool: Pool, package: Package, principal: Principal) -> None:
    async with pool.lease(package, principal) as isolate:
        assert isinstance(isolate, ScriptedIsolate)
        isolate.alive = False
        raise ExtensionStoppedError("it is gone")


async def test_a_principal_gets_their_own_isolate_back() -> None:
    pool, _, _ = pool_of()
    assert [await borrow(pool, NOTES, ADA) for _ in range(3)] == [0, 0, 0]
    await pool.aclose()


async def test_an_isolate_is_stopped_soon_after_it_came_back_and_runs_when_lent() -> None:
    pool, launcher, _ = pool_of()
    await borrow(pool, NOTES, ADA)
    await until(lambda: not launcher.launched[0].awake)
    async with pool.lease(NOTES, ADA):
        assert launcher.launched[0].awake
        await asyncio.sleep(0.03)
        assert launcher.launched[0].awake
    await pool.aclose()


@pytest.mark.parametrize(("package", "who"), [(NOTES, BOB), (NOTES, ADA_ELSEWHERE), (MAIL, ADA), (NOTES_AGAIN, ADA)])
async def test_nobody_and_nothing_else_gets_it(package: Package, who: Principal) -> None:
    pool, _, _ = pool_of()
    assert (await borrow(pool, NOTES, ADA), await borrow(pool, package, who)) == (0, 1)
    assert (await borrow(pool, NOTES, ADA), await borrow(pool, package, who)) == (0, 1)
    await pool.aclose()


async def test_one_that_died_at_rest_is_not_lent_and_is_closed() -> None:
    pool, launcher, _ = pool_of()
    await borrow(pool, NOTES, ADA)
    launcher.launched[0].alive = False
    assert await borrow(pool, NOTES, ADA) == 1
    await turns_of_the_loop(3)
    assert [isolate.number for isolate in launcher.running] == [1]
    await pool.aclose()


async def test_an_idle_isolate_ends() -> None:
    pool, launcher, _ = pool_of(idle_seconds_max=0.01)
    await borrow(pool, NOTES, ADA)
    await until(lambda: not launcher.running)
    await pool.aclose()


async def test_calls_share_an_isolate_only_at_the_principals_limit_and_only_as_many_as_may() -> None:
    pool, launcher, _ = pool_of(calls_per_isolate_max=2)
    async with pool.lease(NOTES, ADA), pool.lease(NOTES, ADA):
        assert len(launcher.launched) == 2
        async with pool.lease(NOTES, ADA) as third, pool.lease(NOTES, ADA) as fourth:
            assert third is not fourth, "the one with fewer calls"
            with pytest.raises(BusyError, match="you have 2 isolates at work"):
                await borrow(pool, NOTES, ADA)
            assert await borrow(pool, NOTES, BOB) == 2
        assert all(isolate.awake for isolate in launcher.launched[:2]), "others still work in them"
    await pool.aclose()


async def test_who_is_at_the_limit_gives_up_one_that_rests_for_another_extension() -> None:
    pool, launcher, _ = pool_of()
    assert [await borrow(pool, package, ADA) for package in (NOTES, MAIL, NOTES_AGAIN)] == [0, 1, 2]
    assert [isolate.number for isolate in launcher.running] == [1, 2]
    await pool.aclose()


async def test_a_full_host_ends_the_longest_resting_of_the_tenant_that_holds_most() -> None:
    pool, launcher, clock = pool_of(isolates_max=3)
    for who in (ADA_ELSEWHERE, BOB, ADA):
        await borrow(pool, NOTES, who)
        clock.seconds += 1
    assert await borrow(pool, MAIL, ADA_ELSEWHERE) == 3
    assert [isolate.number for isolate in launcher.running] == [0, 2, 3], "Bob's: acme holds two"
    await pool.aclose()


async def test_a_full_host_where_nothing_rests_is_busy_after_a_while() -> None:
    pool, _, _ = pool_of(isolates_max=1, wait_seconds_max=0.02)
    async with pool.lease(NOTES, ADA):
        with pytest.raises(BusyError, match="as many calls as it may"):
            await borrow(pool, NOTES, BOB)
    assert await borrow(pool, NOTES, BOB) == 1
    await pool.aclose()


async def test_who_waits_gets_the_place_that_is_given_back() -> None:
    pool, _, _ = pool_of(isolates_max=1, wait_seconds_max=5)
    async with pool.lease(NOTES, ADA):
        waiting = asyncio.create_task(borrow(pool, NOTES, BOB))
        await turns_of_the_loop(5)
        assert not waiting.done()
    assert await waiting == 1
    await pool.aclose()


async def line_up(pool: Pool, launcher: ScriptedLauncher) -> list[str]:
    """Four of one tenant come, then two of another: in which order are they served?"""
    served: list[str] = []

    async def call(tenant: str, user: str) -> None:
        async with pool.lease(NOTES, Principal(type(ADA.tenant)(tenant), type(ADA.user)(user))):
            served.append(tenant)
            await asyncio.sleep(0.002)
            assert len(launcher.running) <= 1

    async with pool.lease(NOTES, ADA):
        comers = ["acme", "acme", "acme", "acme", "globex", "globex"]
        waiting = [asyncio.create_task(call(tenant, f"u{number}")) for number, tenant in enumerate(comers)]
        await turns_of_the_loop(5)
    await asyncio.gather(*waiting)
    return served


async def test_tenants_take_turns() -> None:
    """Who made room by ending another has that room, whoever waits beside them."""
    pool, launcher, _ = pool_of(isolates_max=1, wait_seconds_max=5)
    assert await line_up(pool, launcher) == ["acme", "globex", "acme", "globex", "acme", "acme"]
    await pool.aclose()


async def test_room_for_two_is_given_to_two_though_one_was_called_before_the_other_came() -> None:
    pool, _, _ = pool_of(isolates_max=2, wait_seconds_max=5)
    first, second = pool.lease(NOTES, ADA), pool.lease(MAIL, ADA)
    await first.__aenter__()
    await second.__aenter__()
    waiting = [asyncio.create_task(borrow(pool, NOTES, BOB))]
    await turns_of_the_loop(3)
    waiting.append(asyncio.create_task(borrow(pool, NOTES, ADA_ELSEWHERE)))  # runs before the one that is called
    await first.__aexit__(None, None, None)
    await second.__aexit__(None, None, None)
    async with asyncio.timeout(1):
        assert sorted(await asyncio.gather(*waiting)) == [2, 3]
    await pool.aclose()


@pytest.mark.parametrize("ticks", range(8))
async def test_one_who_gives_up_waiting_takes_no_place_from_the_next(ticks: int) -> None:
    pool, launcher, _ = pool_of(isolates_max=1, wait_seconds_max=5)
    async with pool.lease(NOTES, ADA):
        waiting = [asyncio.create_task(borrow(pool, NOTES, who)) for who in (BOB, ADA_ELSEWHERE)]
        await turns_of_the_loop(3)
    await turns_of_the_loop(ticks)
    waiting[0].cancel()
    async with asyncio.timeout(1):
        assert isinstance(await waiting[1], int)
    await pool.aclose()
    assert (launcher.running, pool._living.total()) == ([], 0)


async def test_one_who_is_refused_when_called_takes_no_place_from_the_next() -> None:
    pool, launcher, _ = pool_of(isolates_max=2, isolates_per_principal_max=1, wait_seconds_max=5)
    async with pool.lease(MAIL, ADA_ELSEWHERE):
        async with pool.lease(NOTES, ADA):
            waiting = [asyncio.create_task(borrow(pool, NOTES, BOB)) for _ in range(2)]
            await turns_of_the_loop(3)
        async with asyncio.timeout(1):
            results = await asyncio.gather(*waiting, return_exceptions=True)
    assert 2 in results
    assert pool._turns.is_anyone_before is False
    await pool.aclose()
    assert launcher.running == []


async def test_an_isolate_takes_a_place_until_it_has_ended() -> None:
    pool, launcher, _ = pool_of(isolates_max=1, wait_seconds_max=5)
    launcher.endings_are_slow = True
    await borrow(pool, NOTES, ADA)
    waiting = asyncio.create_task(borrow(pool, NOTES, BOB))
    await asyncio.sleep(0.02)
    assert len(launcher.launched) == 1
    launcher.endings_are_slow = False
    launcher.launched[0].may_end.set()
    assert await waiting == 1
    await pool.aclose()


async def test_retiring_ends_what_rests_now_and_what_is_lent_when_it_comes_back() -> None:
    pool, launcher, _ = pool_of()
    await borrow(pool, NOTES, BOB)
    await borrow(pool, MAIL, BOB)
    async with pool.lease(NOTES, ADA) as lent:
        pool.retire(NOTES)
        await turns_of_the_loop(3)
        assert [isolate.number for isolate in launcher.running] == [1, 2]
        assert lent.alive
    await turns_of_the_loop(3)
    assert [isolate.number for isolate in launcher.running] == [1]
    assert launcher.retired == [NOTES]
    assert await borrow(pool, NOTES, ADA) == 3, "a call that found it just before"
    await turns_of_the_loop(3)
    assert [isolate.number for isolate in launcher.running] == [1]
    await pool.aclose()


async def test_one_that_had_its_calls_ends() -> None:
    pool, _, _ = pool_of(calls_max=2)
    assert [await borrow(pool, NOTES, ADA) for _ in range(4)] == [0, 0, 1, 1]
    await pool.aclose()


async def test_one_that_is_old_ends() -> None:
    pool, _, clock = pool_of(age_seconds_max=10)
    await borrow(pool, NOTES, ADA)
    clock.seconds += 10
    assert [await borrow(pool, NOTES, ADA) for _ in range(2)] == [0, 1]
    await pool.aclose()


async def test_one_that_holds_too_much_does_not_rest() -> None:
    pool, launcher, _ = pool_of(resting_memory_bytes_max=10)
    async with pool.lease(NOTES, ADA):
        launcher.launched[0].bytes_held = 11
    await until(lambda: not launcher.running)
    await pool.aclose()


async def test_three_crashes_in_a_row_hold_up_the_one_whose_they_are(clock: FixedClock) -> None:
    pool, launcher, clock = pool_of()
    for _ in range(3):
        with pytest.raises(ExtensionStoppedError):
            await crash(pool, NOTES, ADA)
    with pytest.raises(BusyError, match="3 times in a row"):
        await borrow(pool, NOTES, ADA)
    assert await borrow(pool, NOTES, BOB) == 3
    clock.seconds += 1
    assert await borrow(pool, NOTES, ADA) == 4
    await pool.aclose()
    assert launcher.running == []


async def test_a_crash_that_ends_several_calls_is_one_crash() -> None:
    pool, launcher, _ = pool_of(isolates_per_principal_max=1, calls_per_isolate_max=4)
    leases = [pool.lease(NOTES, ADA) for _ in range(4)]
    for lease in leases:
        await lease.__aenter__()
    launcher.launched[0].alive = False
    for lease in leases:
        await lease.__aexit__(ExtensionStoppedError, ExtensionStoppedError("gone"), None)
    assert await borrow(pool, NOTES, ADA) == 1
    await pool.aclose()


async def test_a_launch_that_fails_gives_its_place_back() -> None:
    pool, launcher, clock = pool_of(isolates_max=1)
    launcher.fails = True
    for _ in range(3):
        with pytest.raises(SandboxError):
            await borrow(pool, NOTES, ADA)
    launcher.fails = False
    clock.seconds += 1
    assert await borrow(pool, NOTES, ADA) == 0
    await pool.aclose()


async def test_closing_the_pool_leaves_none_alive_and_serves_nobody_who_waits() -> None:
    pool, launcher, _ = pool_of(isolates_max=2, wait_seconds_max=5)
    launcher.may_launch.clear()
    calls = [asyncio.create_task(borrow(pool, NOTES, who)) for who in (ADA, BOB, ADA_ELSEWHERE)]
    await turns_of_the_loop(3)
    await pool.aclose()
    launcher.may_launch.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} == {BusyError}
    assert (launcher.running, launcher.closed, pool._living.total()) == ([], True, 0)
