"""A pool of real isolates, calls in progress, and what can be seen of its processes."""

import asyncio
import os
import select
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from imperal_host.app import make_pool
from imperal_host.catalog.discovery import from_folder
from imperal_host.clock import SystemClock
from imperal_host.identity import CallId, Package, Principal, TenantId, UserId
from imperal_host.runtime.channel import Channel
from imperal_host.runtime.pool import Pool
from imperal_host.settings import Settings
from imperal_sdk.wire import CallContext, LlmView

EXTENSIONS = Path(__file__).parent / "extensions"
FAULTY, SLOW, STUBBORN = (from_folder(EXTENSIONS / name) for name in ("faulty", "slow", "stubborn"))
ADA = Principal(TenantId("acme"), UserId("ada"))
BOB = Principal(TenantId("other"), UserId("bob"))
BOUND_SECONDS = 20.0
_CONTEXT = CallContext("ada", "", "acme", "user", [], LlmView(False, "", ""), 0.0, {})


class SilentBroker:
    """It takes every ask, and answers none."""

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self, capability: str, payload: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


class QuickBroker(SilentBroker):
    """It answers at once."""

    async def ask(self, capability: str, payload: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        return {}


@asynccontextmanager
async def a_pool(**changes: Any) -> AsyncIterator[Pool]:
    pool = make_pool(Settings.model_validate({"isolates_spare": 0, **changes}), SystemClock())
    try:
        yield pool
    finally:
        await pool.aclose()


async def call(
    pool: Pool,
    function: str = "fine",
    principal: Principal = ADA,
    *,
    package: Package = FAULTY,
    broker: SilentBroker | None = None,
    seconds: float = BOUND_SECONDS,
    pids: list[int] | None = None,
) -> Any:
    """``pids`` is told whose turn it is before the call begins."""
    async with pool.lease(package, principal) as isolate:
        assert isinstance(isolate, Channel)
        if pids is not None:
            pids.append(isolate.pid)
        broker = broker or SilentBroker()
        answer = await isolate.invoke(CallId(f"call-{time.monotonic_ns()}"), function, {}, _CONTEXT, broker, seconds)
        return answer["data"]


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not holds():
            await asyncio.sleep(0.01)


def until_without_a_turn(holds: Callable[[], object]) -> None:
    """The same, while the event loop sees nothing."""
    late = time.monotonic() + BOUND_SECONDS
    while not holds():
        assert time.monotonic() < late
        time.sleep(0.005)


class Watched:
    """Processes by pidfd, so that a number that is given anew is not mistaken for its former holder."""

    def __init__(self, pids: list[int]) -> None:
        self._handles = {pid: os.pidfd_open(pid) for pid in pids}

    def living(self) -> list[int]:
        """Those that are not over. Closes the descriptors of those that are."""
        for pid, handle in list(self._handles.items()):
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            if poll.poll(0):
                os.close(self._handles.pop(pid))
        return list(self._handles)


def children(pid: int | str = "self") -> list[int]:
    """Of all its threads: each has those that it began."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def descendants(pid: int | str = "self") -> list[int]:
    return [found for child in children(pid) for found in (child, *descendants_of_one(child))]


def descendants_of_one(pid: int) -> list[int]:
    try:
        return descendants(pid)
    except OSError:  # it has just ended
        return []


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))
