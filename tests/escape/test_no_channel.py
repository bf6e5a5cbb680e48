"""Two isolates of one zygote, of two tenants: what they have in common carries no word from one to the other."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from imperal_host.app import make_pool
from imperal_host.catalog.discovery import from_folder
from imperal_host.clock import SystemClock, new_id
from imperal_host.identity import CallId, Principal, TenantId, UserId
from imperal_host.settings import Settings
from imperal_sdk.wire import CallContext, LlmView
from tests.escape.conftest import TIERS

SPY = from_folder(Path(__file__).with_name("spy"))
CALL_SECONDS_MAX = 20.0
FUTEX_WAIT, FUTEX_WAIT_PRIVATE = 0, 128
Call = Callable[..., Awaitable[dict[str, Any]]]


class NoBroker:
    async def ask(self, capability: str, payload: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError(capability)

    async def stream(self, capability: str, payload: dict[str, Any], deliver: object) -> dict[str, Any]:
        raise AssertionError(capability)


@pytest.fixture(scope="module", params=TIERS)
async def call(request: pytest.FixtureRequest) -> AsyncIterator[Call]:
    """``await call(tenant, function, **arguments)``; each tenant has one isolate."""
    pool = make_pool(Settings.model_validate({"sandbox": request.param, "isolates_spare": 0}), SystemClock())

    async def call(tenant: str, function: str, **arguments: object) -> dict[str, Any]:
        context = CallContext("ada", "", tenant, "user", [], LlmView(False, "", ""), 0.0, {})
        async with pool.lease(SPY, Principal(TenantId(tenant), UserId("ada"))) as isolate:
            number = CallId(new_id(SystemClock()))
            answer = await isolate.invoke(number, function, arguments, context, NoBroker(), CALL_SECONDS_MAX)
            data: dict[str, Any] = answer["data"]
            return data

    yield call
    await pool.aclose()


async def test_nobody_is_woken_by_another_through_a_file_that_both_map(call: Call) -> None:
    waiting = asyncio.create_task(call("acme", "wait_for_word", number=FUTEX_WAIT))
    woken = 0
    while not waiting.done():
        woken += (await call("globex", "wake_by_word"))["answer"]
    assert woken == 0
    assert (await waiting)["answer"] == "EAGAIN"


async def test_a_thread_of_its_own_may_sleep_as_ever(call: Call) -> None:
    assert (await call("acme", "wait_for_word", number=FUTEX_WAIT_PRIVATE))["answer"] == "ETIMEDOUT"


async def test_a_thread_of_c_can_be_waited_for(call: Call) -> None:
    assert await call("acme", "join_a_thread_of_c") == {"joined": 0, "is_over": True}


async def test_no_time_of_a_device_changes(call: Call) -> None:
    before = await call("globex", "read_nodes")
    touched = await call("acme", "touch_nodes")
    assert set(touched.values()) <= {"EROFS", "EPERM"}
    assert await call("globex", "read_nodes") == before


async def test_the_flags_of_its_input_are_its_own(call: Call) -> None:
    before = await call("globex", "flags_of_input")
    await call("acme", "flag_input")
    marked = await call("acme", "flags_of_input")
    assert all(marked.values()), "setting them works"
    assert await call("globex", "flags_of_input") == before
    assert not any((await call("initech", "flags_of_input")).values()), "nor are they those of one who comes later"


async def test_no_clock_tells_of_another_process(call: Call) -> None:
    seen = await call("acme", "clocks_of", number=os.getpid())
    assert seen.pop("own") == [True] * 4, "its own it may read"
    assert set(seen.values()) == {"EPERM"}


async def test_no_disk_is_made_to_write(call: Call) -> None:
    """They answer that it is done without looking: even for a descriptor that is not open."""
    assert await call("acme", "write_out") == {"fsync": 0, "fdatasync": 0}


async def test_only_bytes_go_over_a_pair_of_sockets(call: Call) -> None:
    assert await call("acme", "send_more_than_bytes") == {"out of band": "EPERM", "a descriptor": "EPERM"}
