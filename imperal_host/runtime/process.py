"""The isolate as an operating-system process: its end and its cause of death."""

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass

from imperal_host.runtime.cgroups import Cgroups, Group
from imperal_host.runtime.output import Output
from imperal_host.runtime.policy import SandboxLimits
from imperal_host.runtime.zygote import Clone, Ending

_END_SECONDS_MAX = 5.0
# RLIMIT_CPU counts in ticks, what is reported afterwards is exact: on a busy machine it may be the smaller.
_CPU_SHARE_MIN = 0.9
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_CAUSES: dict[int, str] = {
    signal.SIGSYS: "it made a forbidden system call",
    signal.SIGSEGV: "it crashed (segmentation fault)",
    signal.SIGABRT: "it aborted",
    signal.SIGXFSZ: "it wrote a file over the limit",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a process ended, as a clause about "it". ``is_limit``: it met a bound of its own."""

    text: str
    is_limit: bool = False


class Process:
    """``pid`` is the isolate's own, as the host sees it."""

    def __init__(self, clone: Clone, name: str, limits: SandboxLimits) -> None:
        self._handle = clone.handle
        self._said = clone.ending
        self._limits = limits
        self._output = Output(clone.output, name)
        self._grouping: asyncio.Task[Group] | None = None
        self._ending: asyncio.Task[Cause] | None = None
        self.name = name
        self.pid = clone.pid

    def limit_by(self, cgroups: Cgroups) -> None:
        """In a thread: the kernel may take milliseconds to move a process, and its other limits hold by now."""
        self._grouping = asyncio.create_task(asyncio.to_thread(cgroups.put, self.pid))

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """SIGKILL, SIGSTOP or SIGCONT: the kernel lets process 1 of a namespace ignore all others."""
        if self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def memory_bytes(self) -> int:
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            return 0

    async def end(self) -> Cause:
        """Kill if need be, wait until nothing is left, and say why it ended."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._wait_for_end())
        return await asyncio.shield(self._ending)

    async def wait_for_cause(self) -> Cause:
        """For an isolate that closed its channel by itself: let it die of its own cause."""
        if self._ending is None:
            await asyncio.wait({self._said}, timeout=_END_SECONDS_MAX)
        return await self.end()

    async def _wait_for_end(self) -> Cause:
        self.kill()
        if not self._said.done():
            await asyncio.wait({self._said}, timeout=_END_SECONDS_MAX)
        await _gone(self._handle)
        os.close(self._handle)
        self._handle = -1
        self._output.close()
        group = await self._grouping if self._grouping else Group(())
        cause = self._cause(self._said.result() if self._said.done() else Ending(-1), group.oom_kills() > 0)
        group.remove()
        return cause

    def _cause(self, ending: Ending, was_out_of_memory: bool) -> Cause:
        if ending.status == -1:
            return Cause("it ended with its zygote")
        if not os.WIFSIGNALED(ending.status):
            return Cause(f"it exited with status {os.waitstatus_to_exitcode(ending.status)}")
        number = os.WTERMSIG(ending.status)
        allowed = self._limits.cpu_seconds_max
        if number == signal.SIGKILL and ending.cpu_seconds >= allowed * _CPU_SHARE_MIN:
            return Cause(f"it used up its {allowed:,} s of processor time ({ending.cpu_seconds:.1f} s)", is_limit=True)
        if number == signal.SIGKILL and was_out_of_memory:
            most = self._limits.memory_bytes_max >> 20
            return Cause(f"it was killed at the limit of {most:,} MiB of memory", is_limit=True)
        if number == signal.SIGKILL:
            return Cause(f"it was killed; at most {ending.memory_bytes >> 20:,} MiB of memory were in use")
        return Cause(_CAUSES.get(number, f"it ended on signal {number}"))


async def _gone(handle: int) -> None:
    """Until the kernel says that the process is over (pidfd_open(2): the descriptor becomes readable)."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(handle, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(handle)
