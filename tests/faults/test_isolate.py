"""An isolate that is killed, or stopped, at every step of its life."""

import asyncio
import os
import signal

import pytest

from imperal_host.errors import (
    DeadlineError,
    ExtensionLimitError,
    ExtensionLoadError,
    ExtensionRaisedError,
    ExtensionStoppedError,
)
from tests.faults.stage import (
    ADA,
    BOB,
    FAULTY,
    SLOW,
    STUBBORN,
    QuickBroker,
    SilentBroker,
    Watched,
    a_pool,
    call,
    descendants,
    state_of,
    until,
    until_without_a_turn,
)

KILLED = "the extension stopped: it was killed"


def kill(pid: int) -> None:
    """It is over when this returns, and the event loop has seen nothing."""
    watched = Watched([pid])
    os.kill(pid, signal.SIGKILL)
    until_without_a_turn(lambda: not watched.living())


async def test_killed_as_a_spare() -> None:
    async with a_pool(isolates_spare=1) as pool:
        await pool.inspect(FAULTY)
        spare = pool._spares[FAULTY][0].pid  # type: ignore[attr-defined]
        kill(spare)
        pids: list[int] = []
        assert await call(pool, pids=pids) == {"fine": True}
        assert pids != [spare]


async def test_killed_between_claim_and_first_call() -> None:
    async with a_pool() as pool:
        with pytest.raises(ExtensionStoppedError, match=KILLED):
            await call(pool, pids=Killing())
        assert await call(pool) == {"fine": True}


class Killing(list[int]):
    """Whoever is named here is killed."""

    def append(self, pid: int) -> None:
        kill(pid)


async def test_killed_while_it_rests() -> None:
    async with a_pool() as pool:
        pids: list[int] = []
        await call(pool, pids=pids)
        kill(pids[0])
        assert await call(pool, pids=pids) == {"fine": True}
        assert pids[0] != pids[1]


@pytest.mark.parametrize("function", ["hangs", "sleeps_without_reading"])
async def test_killed_during_a_call(function: str) -> None:
    async with a_pool() as pool:
        pids: list[int] = []
        running = asyncio.create_task(call(pool, function, pids=pids))
        await until(lambda: pids)
        kill(pids[0])
        with pytest.raises(ExtensionStoppedError, match=KILLED):
            await running
        assert await call(pool) == {"fine": True}


async def test_killed_during_an_ask() -> None:
    async with a_pool() as pool:
        pids: list[int] = []
        broker = SilentBroker()
        running = asyncio.create_task(call(pool, "asks", broker=broker, pids=pids))
        await until(lambda: broker.asked)
        kill(pids[0])
        with pytest.raises(ExtensionStoppedError, match=KILLED):
            await running
        assert await call(pool) == {"fine": True}


async def test_killed_while_it_is_loading() -> None:
    async with a_pool(launch_seconds_max=60) as pool:
        before = set(descendants())
        running = asyncio.create_task(call(pool, package=SLOW))
        await until(lambda: sleeping(before))
        kill(sleeping(before)[0])
        with pytest.raises(ExtensionLoadError, match="slow: it ended while it was being loaded: it was killed"):
            await running


def sleeping(before: set[int]) -> list[int]:
    """New processes that are behind the filter and asleep: they import."""
    return [pid for pid in descendants() if pid not in before and is_confined_and_asleep(pid)]


def is_confined_and_asleep(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/status") as file, open(f"/proc/{pid}/wchan") as wchan:
            return "Seccomp:\t2" in file.read() and "nanosleep" in wchan.read()
    except OSError:
        return False


async def test_out_of_memory_names_the_limit_and_it_goes_on() -> None:
    async with a_pool(isolate_memory_bytes_max=384 << 20) as pool:
        with pytest.raises(ExtensionLimitError, match="the limit of 384 MiB of memory is reached") as raised:
            await call(pool, "fills_memory")
        assert not isinstance(raised.value, ExtensionRaisedError | ExtensionStoppedError)
        assert await call(pool) == {"fine": True}


async def test_stopped_during_a_call_it_ends_at_its_deadline() -> None:
    async with a_pool() as pool:
        pids: list[int] = []
        running = asyncio.create_task(call(pool, "hangs", seconds=2, pids=pids))
        await until(lambda: pids)
        watched = Watched(pids)
        os.kill(pids[0], signal.SIGSTOP)
        with pytest.raises(DeadlineError, match="hangs did not answer within 2 s and was stopped"):
            await running
        await until(lambda: not watched.living())
        assert await call(pool) == {"fine": True}


@pytest.mark.parametrize("function", ["floods", "floods_with_asks"])
async def test_a_flood_does_not_stop_another_principal(function: str) -> None:
    async with a_pool(asks_per_call_max=10_000_000) as pool:
        broker = QuickBroker()
        pids: list[int] = []
        flood = asyncio.create_task(call(pool, function, broker=broker, pids=pids))
        await until(lambda: broker.asked > 100 or flood.done() or (function == "floods" and pids))
        for _ in range(20):
            assert await call(pool, principal=BOB) == {"fine": True}
        if function == "floods":
            with pytest.raises(ExtensionStoppedError, match="it broke the protocol"):
                await flood
        else:
            assert not flood.done()
            flood.cancel()
            await asyncio.wait({flood})


async def test_a_stubborn_one_ends_with_the_pool() -> None:
    async with a_pool() as pool:
        seen = await call(pool, "ignored", package=STUBBORN)
        assert seen == {"term": True, "threads": 9}, "it is as stubborn as it says"
        pids: list[int] = []
        running = asyncio.create_task(call(pool, "hold", package=STUBBORN, pids=pids))
        await until(lambda: pids)
        watched = Watched(pids)
        os.kill(pids[0], signal.SIGTERM)
        await until(lambda: state_of(pids[0]) in "SR")
        assert watched.living() == pids
        async with asyncio.timeout(15):
            await pool.aclose()
        with pytest.raises(ExtensionStoppedError):
            await running
        assert watched.living() == []


async def test_closing_with_calls_in_progress() -> None:
    async with a_pool(isolates_spare=1) as pool:
        before = set(descendants())
        functions = ("hangs", "asks", "sleeps_without_reading")
        pids: list[int] = []
        calls = [
            asyncio.create_task(call(pool, function, principal, pids=pids))
            for function in functions
            for principal in (ADA, BOB)
        ]
        await until(lambda: len(pids) == len(calls))
        isolates, others = Watched(pids), Watched(sorted(set(descendants()) - before - set(pids)))
        async with asyncio.timeout(15):
            await pool.aclose()
        for ended in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(ended, ExtensionStoppedError), ended
        assert isolates.living() == []
        await until(lambda: not others.living())  # the zygote's first process dies of its parent's end
