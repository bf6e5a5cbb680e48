"""Real isolates of an extension that fails in the ways that are hard to see."""

import asyncio
import contextlib
import itertools
import os
import resource
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imperal_host import log
from imperal_host.catalog.discovery import from_folder
from imperal_host.clock import SystemClock
from imperal_host.errors import (
    DeadlineError,
    ExtensionLimitError,
    ExtensionRaisedError,
    ExtensionStoppedError,
    InvalidError,
    SandboxError,
)
from imperal_host.identity import CallId, Principal, TenantId, UserId
from imperal_host.runtime.channel import Channel
from imperal_host.runtime.interpreter import Interpreter, this_interpreter
from imperal_host.runtime.isolate import Broker, Deliver, Isolate
from imperal_host.runtime.launcher import LaunchLimits, ZygoteLauncher
from imperal_host.runtime.policy import SandboxLimits, Tier
from imperal_host.runtime.pool import Pool, PoolLimits
from tests.host.runtime.peer import CONTEXT, Gate, Open

CLUMSY = from_folder(Path(__file__).parent / "clumsy")
ADA = Principal(TenantId("acme"), UserId("ada"))
NUMBERS = itertools.count(1_000)


class NoBroker:
    async def ask(self, capability: str, payload: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError(capability)

    async def stream(self, capability: str, payload: dict[str, Any], deliver: Deliver) -> dict[str, Any]:
        raise AssertionError(capability)


def launcher_with(interpreter: Interpreter, cpu_seconds_max: int = 60) -> ZygoteLauncher:
    limits = SandboxLimits(memory_bytes_max=1 << 29, cpu_seconds_max=cpu_seconds_max, scratch_bytes_max=1 << 20)
    return ZygoteLauncher(interpreter, Tier.STRICT, limits, LaunchLimits(20, 200, 60))


def pool_on(launcher: ZygoteLauncher) -> Pool:
    limits = PoolLimits(
        isolates_max=4,
        isolates_per_principal_max=2,
        calls_per_isolate_max=4,
        spares=0,
        wait_seconds_max=5,
        idle_seconds_max=60,
        age_seconds_max=600,
        calls_max=1_000,
        resting_memory_bytes_max=1 << 30,
    )
    return Pool(launcher, limits, SystemClock())


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = pool_on(launcher_with(this_interpreter()))
    yield pool
    await pool.aclose()


async def invoke(
    isolate: Isolate, function: str, seconds: float = 10, broker: Broker | None = None, **arguments: object
) -> dict[str, Any]:
    return await isolate.invoke(CallId(str(next(NUMBERS))), function, arguments, CONTEXT, broker or NoBroker(), seconds)


async def call(pool: Pool, function: str, seconds: float = 10, **arguments: object) -> dict[str, Any]:
    async with pool.lease(CLUMSY, ADA) as isolate:
        return await invoke(isolate, function, seconds, **arguments)


@contextlib.contextmanager
def spoken() -> Iterator[None]:
    log.configure("info")
    try:
        yield
    finally:
        log.configure("error")


def until(holds: Callable[[], bool]) -> None:
    """Without giving the event loop a turn."""
    late = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < late
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("awaits_what_it_cancelled", r"^CancelledError: \(main\.py, line \d+, in awaits_what_it_cancelled\)$"),
        ("has_a_number_for_a_code", r"^ImperalError: x \(main\.py, line \d+, in has_a_number_for_a_code\)$"),
        ("fails_deep_inside", r"^KeyError: 'nope' \(side\.py, line 5, in look_up\)$"),
        ("raises_half_a_character", r"^ValueError: \? \(main\.py, line \d+, in raises_half_a_character\)$"),
        ("returns_a_huge_number", r"^the answer cannot be sent: Exceeds the limit"),
    ],
)
async def test_a_failure_says_what_and_where_and_the_isolate_goes_on(pool: Pool, function: str, says: str) -> None:
    async with pool.lease(CLUMSY, ADA) as isolate:
        with pytest.raises(ExtensionRaisedError, match=says):
            await invoke(isolate, function)
        assert (await invoke(isolate, "fine"))["data"] == {"fine": True}


async def test_the_whole_traceback_is_in_the_log(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    with spoken():
        with pytest.raises(ExtensionRaisedError):
            await call(pool, "fails_deep_inside")
        await pool.aclose()
    logged = capsys.readouterr().err
    assert "Traceback (most recent call last)" in logged
    assert "in fails_deep_inside" in logged
    assert "KeyError: 'nope'" in logged


async def test_what_is_printed_appears_at_once(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    with spoken(), pytest.raises(DeadlineError):
        await call(pool, "prints_and_hangs", seconds=1)
    assert "here I am" in capsys.readouterr().err


@pytest.mark.parametrize("value", [10**5000, "\ud800", object()], ids=["a huge number", "half a character", "no value"])
async def test_arguments_that_cannot_be_sent_are_the_callers_mistake(pool: Pool, value: object) -> None:
    async with pool.lease(CLUMSY, ADA) as isolate:
        with pytest.raises(InvalidError, match="the arguments cannot be sent: "):
            await invoke(isolate, "fine", value=value)
        assert (await invoke(isolate, "fine"))["data"] == {"fine": True}


async def test_an_isolate_that_was_killed_at_rest_is_not_lent_even_before_the_host_has_read_of_it(pool: Pool) -> None:
    async with pool.lease(CLUMSY, ADA) as isolate:
        assert isinstance(isolate, Channel)
        first = isolate.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: not isolate.alive)
    async with pool.lease(CLUMSY, ADA) as another:
        assert isinstance(another, Channel)
        assert another.pid != first
        assert (await invoke(another, "fine"))["data"] == {"fine": True}


async def test_a_call_of_an_isolate_that_is_gone_is_a_stopped_extension(pool: Pool) -> None:
    async with pool.lease(CLUMSY, ADA) as isolate:
        assert isinstance(isolate, Channel)
        os.kill(isolate.pid, signal.SIGKILL)
        until(lambda: not isolate.alive)
        for _ in range(2):  # before the end was read, and after
            with pytest.raises(ExtensionStoppedError, match="it was killed"):
                await invoke(isolate, "fine")


async def test_an_isolate_has_a_session_of_its_own(pool: Pool) -> None:
    async with pool.lease(CLUMSY, ADA) as isolate:
        assert isinstance(isolate, Channel)
        assert os.getsid(isolate.pid) != os.getsid(0)
        assert os.getpgid(isolate.pid) != os.getpgid(0)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


async def test_a_program_that_cannot_be_started_is_a_sandbox_error_and_leaves_nothing_open() -> None:
    launcher = launcher_with(replace(this_interpreter(), executable="/nothing/here"))
    before = descriptors()
    with pytest.raises(SandboxError, match="no process can be started"):
        await launcher.launch(CLUMSY)
    assert descriptors() == before


@pytest.mark.parametrize("more", [2, 3, 5])
async def test_no_more_descriptors_is_a_sandbox_error_and_leaves_nothing_open(more: int) -> None:
    launcher = launcher_with(this_interpreter())
    with contextlib.suppress(SandboxError):  # what the loop opens once and keeps
        await launcher_with(replace(this_interpreter(), executable="/nothing/here")).launch(CLUMSY)
    before = descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free() + more, hard))
    try:
        with pytest.raises(SandboxError, match="no process can be started"):
            await launcher.launch(CLUMSY)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert descriptors() == before


def lowest_free() -> int:
    number = os.open("/", os.O_RDONLY)
    os.close(number)
    return number


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("takes_memory", r"^the limit of 512 MiB of memory is reached \(at most \d+ MiB were in use\): MemoryError"),
        ("opens_files", r"^the limit of 64 open files is reached: OSError: .*Too many open files.*main\.py, line"),
        (
            "writes_a_big_file",
            r"^the (limit of 1,048,576 bytes a file is reached|scratch directory is full .*): OSError",
        ),
        ("fills_the_scratch", r"^the scratch directory is full \(1\.0 of 1\.0 MiB, \d of 1,024 files\): OSError"),
        ("makes_files", r"^the scratch directory is full \(.*, 1,024 of 1,024 files\): OSError"),
        ("starts_threads", r"^the limit on threads is reached \(\d+ run, 64 may\): RuntimeError: can't start new"),
    ],
)
async def test_a_limit_is_named_to_the_author_and_the_isolate_goes_on(pool: Pool, function: str, says: str) -> None:
    async with pool.lease(CLUMSY, ADA) as isolate:
        with pytest.raises(ExtensionLimitError, match=says):
            await invoke(isolate, function)
        assert (await invoke(isolate, "fine"))["data"] == {"fine": True}


async def test_the_limit_of_processor_time_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    pool = pool_on(launcher_with(this_interpreter(), cpu_seconds_max=1))
    try:
        with pytest.raises(ExtensionLimitError, match=r"^the extension stopped: it used up its 1 s of processor time"):
            await call(pool, "uses_the_processor")
    finally:
        await pool.aclose()


async def test_printing_without_end_is_cut_and_stops_nobody(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    with spoken():
        assert (await call(pool, "prints_much"))["data"] == {"done": True}
        await pool.aclose()
    logged = capsys.readouterr().err
    assert logged.count("extension.output_cut") == 1
    assert len(logged) < 200_000


async def test_a_function_may_wait_and_use_threads(pool: Pool) -> None:
    assert (await call(pool, "awaits"))["data"] == {"found": [4]}


async def test_a_task_left_behind_may_ask_nothing_and_disturbs_no_call(pool: Pool) -> None:
    async with pool.lease(CLUMSY, ADA) as isolate:
        await invoke(isolate, "leaves_a_task_behind")
        for _ in range(5):
            assert (await invoke(isolate, "awaits"))["data"] == {"found": [4]}
        assert isolate.alive


async def test_a_number_that_json_does_not_have_is_no_answer(pool: Pool) -> None:
    with pytest.raises(ExtensionRaisedError, match="returned NaN or infinity, which JSON does not have"):
        await call(pool, "returns_nan")


async def test_large_arguments_and_answers_cross_both_ways_at_once(pool: Pool) -> None:
    async with pool.lease(CLUMSY, ADA) as isolate:
        text = "x" * (3 << 20)
        calls = [
            isolate.invoke(CallId(str(number)), "echoes", {"text": text}, CONTEXT, NoBroker(), 30)
            for number in range(6)
        ]
        assert [answer["data"] == {"text": text} for answer in await asyncio.gather(*calls)] == [True] * 6


async def test_a_hundred_large_asks_at_once_are_answered(pool: Pool) -> None:
    answer = {
        "content": [{"type": "text", "text": "y" * 300_000}],
        "model": "m",
        "provider": "p",
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
        "is_byollm": False,
    }
    broker = Open(answer)
    async with pool.lease(CLUMSY, ADA) as isolate:
        result = await invoke(isolate, "asks_much", 30, broker, count=100, size=100_000)
        assert (result["data"], broker.asked) == ({"sizes": [300_000], "count": 100}, 100)


async def test_an_isolate_killed_in_a_call_is_a_stopped_extension_and_the_next_call_gets_another(pool: Pool) -> None:
    async def killed() -> None:
        async with pool.lease(CLUMSY, ADA) as isolate:
            assert isinstance(isolate, Channel)
            asyncio.get_running_loop().call_later(0.1, os.kill, isolate.pid, signal.SIGKILL)
            await invoke(isolate, "uses_the_processor")

    with pytest.raises(ExtensionStoppedError, match="it was killed"):
        await killed()
    assert (await call(pool, "fine"))["data"] == {"fine": True}


# -- streams

ANSWER = {
    "content": [{"type": "text", "text": "all of it"}],
    "model": "m",
    "provider": "p",
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
    "is_byollm": False,
}


class Streaming(Gate):
    """Hands on deltas; ``endless``: then waits for ever."""

    def __init__(self, deltas: int, *, endless: bool = False) -> None:
        super().__init__(ANSWER)
        self._deltas, self._endless = deltas, endless

    async def stream(self, capability: str, payload: dict[str, Any], deliver: Deliver) -> dict[str, Any]:
        for _ in range(self._deltas):
            await deliver([{"type": "text", "text": "x"}] * 10)
        return await self.ask(capability, payload) if self._endless else ANSWER


async def test_a_stream_is_read_whole(pool: Pool) -> None:
    async with pool.lease(CLUMSY, ADA) as isolate:
        result = await invoke(isolate, "reads_a_stream", broker=Streaming(1_000))
    assert result["data"] == {"kinds": ["stop", "text", "usage"], "count": 10_002, "text": "all of it"}


async def test_a_stream_that_is_left_is_cancelled_at_the_host_however_many_there_were(pool: Pool) -> None:
    broker = Streaming(1, endless=True)
    async with pool.lease(CLUMSY, ADA) as isolate:
        result = await invoke(isolate, "leaves_streams", broker=broker, count=50, size=0)
        assert (result["data"], broker.asked, broker.given_up) == ({"left": 50}, 50, 50)
        assert (await invoke(isolate, "fine"))["data"] == {"fine": True}


async def test_an_answer_that_is_given_up_is_cancelled_at_the_host(pool: Pool) -> None:
    broker = Gate(ANSWER)
    seen: list[int] = []
    async with pool.lease(CLUMSY, ADA) as isolate:
        calling = asyncio.create_task(invoke(isolate, "gives_up_an_answer", broker=broker))
        await asyncio.sleep(0.3)
        seen.append(broker.given_up)
        assert (await calling)["data"] == {"gave_up": True}
    assert seen == [1], "before the call was over"


async def test_streams_kept_beyond_their_call_are_over_and_dropping_them_later_is_no_fault(pool: Pool) -> None:
    broker = Streaming(1, endless=True)
    async with pool.lease(CLUMSY, ADA) as isolate:
        await invoke(isolate, "keeps_streams_open", broker=broker, count=15, size=0)
        assert broker.given_up == 15
        for _ in range(3):
            assert (await invoke(isolate, "drops_what_it_kept"))["data"] == {"fine": True}
