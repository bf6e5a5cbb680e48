"""Who is called next, in any order of coming, being called, giving up and being late."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imperal_host.runtime.turns import Turns
from tests.host.conftest import turns_of_the_loop

Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.integers(0, 2)),
        st.tuples(st.just("call"), st.just(0)),
        st.tuples(st.just("give up"), st.integers(0, 20)),
        st.tuples(st.just("settle"), st.just(0)),
    ),
    max_size=40,
)


class Line:
    """People who wait, and the order in which they were let in."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.waiting: list[tuple[int, asyncio.Task[None]]] = []
        self.served: list[tuple[int, int]] = []  # tenant, number within the tenant
        self._numbers = [0, 0, 0]

    async def come(self, tenant: int, seconds: float = 60) -> None:
        number = self._numbers[tenant]
        self._numbers[tenant] += 1

        async def wait() -> None:
            await self.turns.wait(tenant, seconds)
            self.served.append((tenant, number))

        self.waiting.append((tenant, asyncio.create_task(wait())))
        await asyncio.sleep(0)

    def staying(self) -> int:
        return sum(not task.done() and not task.cancelling() for _, task in self.waiting)


def order_of(comers: list[int], gone: frozenset[int] | set[int] = frozenset()) -> list[tuple[int, int]]:
    """Round and round the tenants in the order in which they came; within one, in the order of coming."""
    rows: dict[int, list[tuple[int, int]]] = {tenant: [] for tenant in comers}
    for at, tenant in enumerate(comers):
        if at not in gone:
            rows[tenant].append((tenant, comers[:at].count(tenant)))
    order = []
    while any(rows.values()):
        order += [row.pop(0) for row in rows.values() if row]
    return order


@given(st.lists(st.integers(0, 2), max_size=20))
async def test_tenants_take_turns_however_many_of_one_stand_there(comers: list[int]) -> None:
    line = Line()
    for tenant in comers:
        await line.come(tenant)
    for _ in comers:
        line.turns.call_next()
    await turns_of_the_loop(6)
    assert line.served == order_of(comers)


@given(st.lists(st.integers(0, 2), max_size=12), st.sets(st.integers(0, 11)))
async def test_who_gives_up_costs_their_tenant_no_turn(comers: list[int], gone: set[int]) -> None:
    line = Line()
    for tenant in comers:
        await line.come(tenant)
    for at in gone & set(range(len(comers))):
        line.waiting[at][1].cancel()
    for _ in order_of(comers, gone):  # at once: those who give up have not left the line yet
        line.turns.call_next()
    await turns_of_the_loop(6)
    assert line.served == order_of(comers, gone)
    assert not line.turns.is_anyone_before


@settings(max_examples=300)
@given(STEPS)
async def test_no_turn_is_lost(steps: list[Step]) -> None:
    """Each call lets in one who waits, if anyone does, even when the one it was meant for is just leaving."""
    line = Line()
    for what, which in steps:
        if what == "come":
            await line.come(which)
        elif what == "give up" and which < len(line.waiting):
            line.waiting[which][1].cancel()
        elif what == "settle":
            await turns_of_the_loop(6)
        elif what == "call":
            before, staying = len(line.served), line.staying()
            line.turns.call_next()
            assert line.turns.is_anyone_before or not staying, "who was called comes before all others"
            await turns_of_the_loop(8)
            assert len(line.served) == before + min(1, staying)
    await turns_of_the_loop(8)
    assert line.turns.is_anyone_before == (line.staying() > 0)
    while line.staying():
        line.turns.call_next()
        await turns_of_the_loop(4)
    assert not line.turns.is_anyone_before
    assert (line.turns._lines, line.turns._called) == ({}, 0)


async def test_a_turn_whose_owner_is_cancelled_after_the_call_goes_to_the_next() -> None:
    line = Line()
    await line.come(0)
    await line.come(1)
    line.turns.call_next()
    line.waiting[0][1].cancel()
    await turns_of_the_loop(6)
    assert line.served == [(1, 0)]
    assert not line.turns.is_anyone_before


async def test_who_is_late_leaves_the_line_and_takes_nobodys_turn() -> None:
    line = Line()
    await line.come(0, seconds=0.01)
    await line.come(0)
    with pytest.raises(TimeoutError):
        await line.waiting[0][1]
    line.turns.call_next()
    await turns_of_the_loop(6)
    assert line.served == [(0, 1)]


async def test_who_may_not_wait_at_all_does_not() -> None:
    turns = Turns()
    with pytest.raises(TimeoutError):
        await turns.wait("acme", 0)
    assert not turns.is_anyone_before


async def test_a_call_while_nobody_waits_is_not_kept() -> None:
    line = Line()
    line.turns.call_next()
    await line.come(0)
    await turns_of_the_loop(4)
    assert line.served == []
    assert line.turns.is_anyone_before
    line.turns.call_next()
    assert line.turns.is_anyone_before, "called, and not here yet"
    await turns_of_the_loop(4)
    assert not line.turns.is_anyone_before
