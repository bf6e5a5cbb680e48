"""The isolate as an operating-system process: its end, its cause of death, its output."""

import asyncio
import contextlib
import os
import signal
import socket

from imperal_host.log import logger

_LINE_CHARACTERS_MAX = 2_000
_OUTPUT_BYTES_MAX = 64 << 10
_OUTPUT_LINES_MAX = 1_000
_END_SECONDS_MAX = 5.0
_CAUSES: dict[int, str] = {
    signal.SIGSYS: "it made a forbidden system call",
    signal.SIGKILL: "it was killed (by a limit on CPU or memory, or by the operator)",
    signal.SIGXCPU: "it used up its CPU time",
    signal.SIGSEGV: "it crashed (segmentation fault)",
    signal.SIGABRT: "it aborted",
    signal.SIGXFSZ: "it wrote a file over the limit",
}


class Process:
    """``pid`` is the isolate's own, as the host sees it; ``outer`` is its waiting parent."""

    def __init__(self, outer: asyncio.subprocess.Process, control: socket.socket, pid: int, name: str) -> None:
        self._outer = outer
        self._control = control
        self._handle = _handle_of(pid)
        self._log = logger("runtime").bind(extension=name)
        self._ending: asyncio.Task[str] | None = None
        self.name = name
        self.pid = pid
        self._output = asyncio.create_task(self._relay_output())

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """SIGKILL, SIGSTOP or SIGCONT: the kernel lets process 1 of a namespace ignore all others."""
        if self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    async def end(self) -> str:
        """Kill if need be, wait until nothing is left, and say why it ended."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._wait_for_end())
        return await asyncio.shield(self._ending)

    async def wait_for_cause(self) -> str:
        """For an isolate that closed its channel by itself: let it die of its own cause."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS_MAX):
                await self._outer.wait()
        return await self.end()

    async def _wait_for_end(self) -> str:
        self.kill()
        try:
            async with asyncio.timeout(_END_SECONDS_MAX):
                await self._outer.wait()
        except TimeoutError:
            self._outer.kill()
            await self._outer.wait()
        with contextlib.suppress(TimeoutError):  # its last words: the pipe's end is near, or never comes
            async with asyncio.timeout(_END_SECONDS_MAX):
                await self._output
        cause = self._read_cause()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        self._control.close()
        return cause

    def _read_cause(self) -> str:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while message := self._control.recv(4_096).decode(errors="replace"):
                word, _, rest = message.partition(" ")
                if word == "exit":
                    return _cause(int(rest))
        return "it ended"

    async def _relay_output(self) -> None:
        """What the extension prints becomes log lines; past a bound it is read and thrown away."""
        assert self._outer.stdout is not None
        left, lines_left = _OUTPUT_BYTES_MAX, _OUTPUT_LINES_MAX
        pending = b""
        while data := await self._outer.stdout.read(1 << 16):
            *lines, pending = (pending + data[: max(left, 0)]).split(b"\n")
            left -= len(data)
            for line in [line for line in lines if line.strip()][: max(lines_left, 0)]:
                lines_left -= 1
                self._log.info("extension.output", text=line.decode(errors="replace")[:_LINE_CHARACTERS_MAX])
        if pending:
            self._log.info("extension.output", text=pending.decode(errors="replace")[:_LINE_CHARACTERS_MAX])


def _handle_of(pid: int) -> int:
    """A pidfd, or -1 for a process that has ended already."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return -1


def _cause(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return _CAUSES.get(number, f"it ended on signal {number}")
    return f"it exited with status {os.waitstatus_to_exitcode(status)}"
