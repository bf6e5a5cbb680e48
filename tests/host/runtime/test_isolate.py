"""Real isolates of an extension that fails in the ways that are hard to see."""

import contextlib
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
    ExtensionRaisedError,
    ExtensionStoppedError,
    InvalidError,
    SandboxError,
)
from imperal_host.identity import CallId, Principal, TenantId, UserId
from imperal_host.runtime.channel import Channel
from imperal_host.runtime.interpreter import Interpreter, this_interpreter
from imperal_host.runtime.isolate import Isolate
from imperal_host.runtime.launcher import SpawnLauncher
from imperal_host.runtime.policy import SandboxLimits
from imperal_host.runtime.pool import Pool, PoolLimits
from imperal_host.runtime.process import _cause
from imperal_sdk.wire import CallContext, LlmView

CLUMSY = from_folder(Path(__file__).parent / "clumsy")
ADA = Principal(TenantId("acme"), UserId("ada"))
CONTEXT = CallContext("ada", "", "acme", "user", [], LlmView(False, "", ""), 0.0, {})


class NoBroker:
    async def ask(self, capability: str, payload: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError(capability)


def launcher_with(interpreter: Interpreter) -> SpawnLauncher:
    limits = SandboxLimits(memory_bytes_max=1 << 30, cpu_seconds_max=60, scratch_bytes_max=1 << 20)
    return SpawnLauncher(interpreter, limits, kernel_layers=True, launch_seconds_max=20, asks_per_call_max=100)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(launcher_with(this_interpreter()), PoolLimits(4, 2, 60), SystemClock())
    yield pool
    await pool.aclose()


async def invoke(isolate: Isolate, function: str, seconds: float = 10, **arguments: object) -> dict[str, Any]:
    return await isolate.invoke(CallId("1"), function, arguments, CONTEXT, NoBroker(), seconds)


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


def test_two_hosts_begin_at_different_ids() -> None:
    assert len({next(launcher_with(this_interpreter())._ids) for _ in range(4)}) > 1


def test_every_signal_has_a_cause_in_words() -> None:
    assert _cause(signal.SIGRTMIN + 5) == f"it ended on signal {signal.SIGRTMIN + 5}"
    assert _cause(signal.SIGKILL).startswith("it was killed")
