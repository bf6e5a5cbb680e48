"""Turns taken in common: bounded, in order, and nobody is told before it is so, or left untold."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imperal_host.errors import IntegrityError, StorageError
from imperal_host.storage.batches import Batches, Unstoppable
from imperal_host.storage.database import Database, Transaction
from tests.host.conftest import turns_of_the_loop


class Desk:
    """Takes batches, and ends each when the test says so."""

    def __init__(self, items_max: int) -> None:
        self.taken: list[list[int]] = []
        self._open: list[Unstoppable[list[int | BaseException]]] = []
        self.batches: Batches[int, int] = Batches(self._start, items_max)

    def _start(self, items: list[int]) -> Unstoppable[list[int | BaseException]]:
        self.taken.append(items)
        self._open.append(Unstoppable())
        return self._open[-1]

    async def end(self, answer: Callable[[int], int | BaseException] = lambda item: item * 10) -> None:
        done, items = self._open.pop(0), self.taken[len(self.taken) - len(self._open) - 1]
        done.set_result([answer(item) for item in items])
        await turns_of_the_loop(5)

    async def fail(self, error: Exception) -> None:
        self._open.pop(0).set_exception(error)
        await turns_of_the_loop(5)

    async def ask(self, *items: int) -> list[asyncio.Task[int]]:
        asking = [asyncio.create_task(self.batches.ask(item)) for item in items]
        await turns_of_the_loop(3)
        return asking


@given(counts=st.lists(st.integers(1, 9), max_size=6), items_max=st.integers(1, 4))
async def test_every_item_is_in_one_batch_in_the_order_asked_and_no_batch_is_too_large(
    counts: list[int], items_max: int
) -> None:
    desk, asking, number = Desk(items_max), list[asyncio.Task[int]](), 0
    for count in counts:
        asking += await desk.ask(*range(number, number + count))
        number += count
    while not all(task.done() for task in asking):
        await desk.end()
    assert [await task for task in asking] == [item * 10 for item in range(number)]
    assert [item for batch in desk.taken for item in batch] == list(range(number))
    assert all(1 <= len(batch) <= items_max for batch in desk.taken)


async def test_one_batch_is_under_way_at_a_time_and_the_next_collects() -> None:
    desk = Desk(10)
    first = await desk.ask(1)
    others = [*await desk.ask(2), *await desk.ask(3)]
    assert desk.taken == [[1]]
    await desk.end()
    assert first[0].done()
    assert desk.taken == [[1], [2, 3]]
    await desk.end()
    assert [await task for task in others] == [20, 30]


async def test_one_that_fails_fails_alone_and_a_batch_that_fails_fails_for_all() -> None:
    desk = Desk(10)
    asking = await desk.ask(1, 2, 3)
    later = await desk.ask(4, 5)
    await desk.end(lambda item: LookupError() if item == 2 else item)
    assert [task.exception() is None for task in asking] == [True, False, True]
    await desk.fail(StorageError("full"))
    assert [type(task.exception()) for task in later] == [StorageError, StorageError]
    again = await desk.ask(6)
    await desk.end()
    assert await again[0] == 60


@pytest.mark.parametrize("queued", [True, False], ids=["queued", "under way"])
async def test_a_cancelled_asker_is_told_once_it_is_done_and_takes_nobody_along(queued: bool) -> None:
    desk = Desk(10)
    before = await desk.ask(0) if queued else []
    cancelled, other = await desk.ask(1, 2)
    for _ in range(3):
        cancelled.cancel()
        await turns_of_the_loop(5)
    assert not cancelled.done()
    for _ in [*before, 0]:
        await desk.end()
    assert cancelled.cancelled()
    assert await other == 20
    assert desk.taken[-1] == [1, 2]
    assert [await task for task in before] == [0] * len(before)


async def test_a_cancelled_asker_whose_work_failed_learns_that() -> None:
    desk = Desk(10)
    (asking,) = await desk.ask(1)
    asking.cancel()
    await desk.fail(StorageError("full"))
    with pytest.raises(StorageError):
        await asking


async def test_what_cannot_begin_fails_for_its_askers_and_the_next_batch_is_tried() -> None:
    def closed(items: list[int]) -> Unstoppable[list[int | BaseException]]:
        raise RuntimeError("closed")

    batches: Batches[int, int] = Batches(closed, 1)
    told = await asyncio.gather(*(batches.ask(item) for item in range(3)), return_exceptions=True)
    assert [type(error) for error in told] == [RuntimeError] * 3


async def test_a_flush_begins_all_that_waits() -> None:
    desk = Desk(2)
    asking = await desk.ask(*range(5))
    desk.batches.flush()
    assert desk.taken == [[0, 1], [2, 3], [4]]
    for _ in range(3):
        await desk.end()
    assert [await task for task in asking] == [0, 10, 20, 30, 40]


async def test_a_read_does_not_wait_for_a_write(database: Database) -> None:
    started, may_end = threading.Event(), threading.Event()

    def slow(transaction: Transaction) -> None:
        transaction.run("insert into head values ('acme', 1, x'00')")
        started.set()
        assert may_end.wait(10)

    writing = asyncio.ensure_future(database.write(slow))
    await asyncio.to_thread(started.wait, 10)
    try:
        assert await asyncio.wait_for(database.read(lambda t: t.rows("select tenant from head")), 5) == []
    finally:
        may_end.set()
    await writing
    assert await database.read(lambda t: t.rows("select tenant from head")) == [("acme",)]


async def test_a_read_that_fails_fails_alone(database: Database) -> None:
    def mistake(transaction: Transaction) -> None:
        raise StopIteration

    works = [
        lambda t: t.row("select 1"),
        mistake,
        lambda t: t.row("select nothing"),
        lambda t: t.run("insert into head values ('acme', 1, x'00')"),
        lambda t: t.row("select count(*) from head"),
    ]
    told = await asyncio.gather(*map(database.read, works), return_exceptions=True)
    assert (told[0], told[4]) == ((1,), (0,))
    assert [type(error) for error in told[1:4]] == [RuntimeError, StorageError, StorageError]


async def test_what_is_done_apart_is_undone_alone(database: Database) -> None:
    def two(transaction: Transaction) -> None:
        with transaction.apart():
            transaction.run("insert into head values ('apart', 1, x'00')")
            transaction.run("insert into head values ('before', 1, x'00')")

    def three(transaction: Transaction) -> None:
        transaction.run("insert into head values ('before', 1, x'00')")
        with pytest.raises(IntegrityError):
            two(transaction)
        with transaction.apart():
            transaction.run("insert into head values ('kept', 1, x'00')")

    await database.write(three)
    assert await database.read(lambda t: t.rows("select tenant from head order by 1")) == [("before",), ("kept",)]
