"""Isolates that belong to nobody yet. The launcher is scripted."""

import asyncio
from collections.abc import Callable

import pytest

from imperal_host.errors import BusyError
from imperal_host.identity import Package
from tests.host.conftest import turns_of_the_loop
from tests.host.runtime.scripted import ADA, BOB, MAIL, NOTES, NOTES_AGAIN, borrow, pool_of


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


async def test_the_first_caller_claims_the_spare_and_it_is_replaced_later() -> None:
    pool, launcher, _ = pool_of(spares=1)
    assert (await pool.inspect(NOTES)).app_id == "notes"
    assert not launcher.launched[0].awake
    async with pool.lease(NOTES, ADA):
        assert launcher.launched[0].awake
        assert (pool.spares(NOTES), len(launcher.launched)) == (0, 1), "the call comes first"
        await until(lambda: pool.spares(NOTES) == 1)
    assert not launcher.launched[1].awake
    assert (await borrow(pool, NOTES, ADA), await borrow(pool, NOTES, BOB)) == (0, 1)
    await pool.aclose()
    assert launcher.running == []


async def test_a_spare_serves_its_own_package_only() -> None:
    pool, _, _ = pool_of(spares=1)
    await pool.inspect(NOTES)
    assert [await borrow(pool, package, ADA) for package in (MAIL, NOTES)] == [1, 0]
    await pool.aclose()


async def test_without_spares_what_was_inspected_ends() -> None:
    pool, launcher, _ = pool_of(spares=0)
    await pool.inspect(NOTES)
    await turns_of_the_loop(3)
    assert launcher.running == []
    await pool.aclose()


async def test_a_launch_is_followed_by_one_of_a_spare() -> None:
    pool, _, _ = pool_of(spares=1)
    await borrow(pool, NOTES, ADA)
    await until(lambda: pool.spares(NOTES) == 1)
    assert await borrow(pool, NOTES, BOB) == 1
    await pool.aclose()


async def test_spares_that_nobody_claims_end() -> None:
    pool, launcher, _ = pool_of(spares=1, idle_seconds_max=0.01)
    await pool.inspect(NOTES)
    await until(lambda: not launcher.running)
    assert pool.spares(NOTES) == 0
    await pool.aclose()


async def test_spares_are_at_most_half_of_all_however_many_packages_are_inspected() -> None:
    pool, launcher, _ = pool_of(spares=2, isolates_max=4)
    for number in range(5):
        await pool.inspect(Package(f"p{number}", "main", "", (), (), ""))
        await turns_of_the_loop(3)
        assert len(launcher.running) <= 2
    for package in (NOTES, MAIL, NOTES_AGAIN):
        await borrow(pool, package, ADA)
        await asyncio.sleep(0.01)
    assert sum(not isolate.awake for isolate in launcher.running) <= 4
    assert pool._living[None] <= 2
    await pool.aclose()


async def test_a_dead_spare_is_skipped() -> None:
    pool, launcher, _ = pool_of(spares=1)
    await pool.inspect(NOTES)
    launcher.launched[0].alive = False
    assert await borrow(pool, NOTES, ADA) == 1
    await pool.aclose()
    assert launcher.running == []


async def test_the_spare_of_a_retired_package_ends_and_is_not_replaced() -> None:
    pool, launcher, _ = pool_of(spares=1)
    await pool.inspect(NOTES)
    await pool.inspect(MAIL)
    pool.retire(NOTES)
    await turns_of_the_loop(3)
    assert [isolate.package for isolate in launcher.running] == [MAIL]
    await borrow(pool, NOTES, ADA)
    await asyncio.sleep(0.01)
    assert [isolate.package for isolate in launcher.running] == [MAIL]
    await pool.aclose()


async def test_a_spare_that_was_being_launched_when_its_package_was_retired_ends() -> None:
    pool, launcher, _ = pool_of(spares=1)
    launcher.may_launch.clear()
    inspecting = asyncio.create_task(pool.inspect(NOTES))
    await turns_of_the_loop(2)
    pool.retire(NOTES)
    launcher.may_launch.set()
    await inspecting
    await turns_of_the_loop(3)
    assert launcher.running == []
    await pool.aclose()


async def test_a_full_host_ends_what_rests_before_a_spare() -> None:
    pool, launcher, _ = pool_of(spares=1, isolates_max=2)
    await pool.inspect(NOTES)
    async with pool.lease(MAIL, ADA):
        assert await borrow(pool, MAIL, BOB) == 2, "nothing rests: the spare goes"
        assert [isolate.number for isolate in launcher.running] == [1, 2]
    await pool.aclose()
    pool, launcher, _ = pool_of(spares=1, isolates_max=2)
    await pool.inspect(NOTES)
    await borrow(pool, MAIL, ADA)
    assert await borrow(pool, MAIL, BOB) == 2
    assert [isolate.number for isolate in launcher.running] == [0, 2]
    await pool.aclose()


async def test_what_cannot_be_launched_as_a_spare_costs_no_place() -> None:
    pool, launcher, _ = pool_of(spares=1, isolates_max=2)
    await pool.inspect(NOTES)
    launcher.fails = True
    async with pool.lease(NOTES, ADA):
        await asyncio.sleep(0.02)
        assert pool._living.total() == 1
    await pool.aclose()


async def test_closing_while_a_spare_is_launched_leaves_nothing() -> None:
    pool, launcher, _ = pool_of(spares=1)
    await pool.inspect(NOTES)
    launcher.may_launch.clear()
    await borrow(pool, NOTES, ADA)
    await asyncio.sleep(0.01)
    await pool.aclose()
    launcher.may_launch.set()
    await turns_of_the_loop(5)
    assert (launcher.running, pool._living.total()) == ([], 0)
    with pytest.raises(BusyError, match="stopping"):
        await borrow(pool, NOTES, ADA)
