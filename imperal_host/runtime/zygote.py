"""The host's end of a zygote: start one, have it clone, hear of its clones' ends."""

import asyncio
import contextlib
import errno
import itertools
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import imperal_sdk.wire
from imperal_host.errors import SandboxError
from imperal_host.runtime.ids import map_ids
from imperal_host.runtime.policy import SandboxPolicy

_SDK_ROOT = str(Path(imperal_sdk.wire.__file__).parents[2])
_START = "import sys; sys.path.append(sys.argv[1]); from imperal_sdk.worker.zygote import main; main()"
_MESSAGE_BYTES_MAX = 4_096
_OUTPUT_BYTES_MAX = 2_000
_HINTS = {
    "user namespace": "allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
    "kernel.apparmor_restrict_unprivileged_userns), run as root, or name the tier IMPERAL_SANDBOX=no-namespaces",
    "namespaces": "allow user namespaces, run as root, or name the tier IMPERAL_SANDBOX=no-namespaces",
    "Landlock": "boot a kernel with Landlock (lsm=landlock,...)",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """As from wait4(2). ``status`` is -1 when the zygote ended first."""

    status: int
    cpu_seconds: float = 0.0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Clone:
    """A new process, on its way to become an isolate. All descriptors are the receiver's to close."""

    pid: int
    handle: int
    channel: socket.socket
    output: int
    ending: asyncio.Future[Ending]


class Zygote:
    """Open with ``start``. ``is_alive`` turns false when the process or its socket is gone."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._numbers = itertools.count(1)
        self._replies: dict[int, asyncio.Future[int]] = {}
        self._endings: dict[int, asyncio.Future[Ending]] = {}
        self.is_alive = True

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def clones(self) -> int:
        """How many of its clones live."""
        return len(self._endings)

    @classmethod
    async def start(cls, executable: str, policy: SandboxPolicy) -> Self:
        """Raises ``SandboxError`` when a layer cannot be applied, and ``OSError``."""
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.setblocking(False)
        with contextlib.ExitStack() as ours:
            ours.callback(near.close)
            with far, open(os.devnull, "rb") as nothing:
                process = await asyncio.create_subprocess_exec(
                    *(executable, "-I", "-S", "-B", "-u", "-X", "utf8", "-c", _START, _SDK_ROOT),
                    *(policy.to_json(), str(far.fileno())),
                    stdin=nothing,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    pass_fds=(far.fileno(),),
                    env={},
                    cwd="/",
                    start_new_session=True,  # a terminal's Ctrl-C is for the host, which ends what it started itself
                )
            zygote = cls(process, near)
            try:
                await zygote._handshake()
            except BaseException:
                await zygote._end()
                raise
            ours.pop_all()
        asyncio.get_running_loop().add_reader(near.fileno(), zygote._read)
        return zygote

    async def _handshake(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            match json.loads(await loop.sock_recv(self._control, _MESSAGE_BYTES_MAX) or "{}"):
                case {"map": True}:
                    map_ids(self._process.pid)
                    await loop.sock_sendall(self._control, b'{"mapped": true}')
                case {"up": True}:
                    return
                case {"error": str(report)}:
                    raise layer_error(report)
                case _:
                    assert self._process.stdout is not None
                    said = (await self._process.stdout.read(_OUTPUT_BYTES_MAX)).decode(errors="replace").strip()
                    raise SandboxError(f"the zygote ended before it was confined: {said}")

    async def clone(self, uid: int) -> Clone:
        """Raises ``OSError`` when the system has no room for one more, or the zygote is gone."""
        loop = asyncio.get_running_loop()
        number = next(self._numbers)
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            near, far = socket.socketpair()
            ours.callback(near.close)
            theirs.callback(far.close)
            # Not a pipe: that could be opened anew, with more rights, by its name in /proc.
            our_output, their_output = socket.socketpair()
            ours.callback(our_output.close)
            theirs.callback(their_output.close)
            near.setblocking(False)
            our_output.setblocking(False)
            reply = self._replies[number] = loop.create_future()
            ending = self._endings[number] = loop.create_future()
            try:
                request = json.dumps({"number": number, "uid": uid}).encode()
                self._request(request, [far.fileno(), their_output.fileno()])
                handle = await reply
            except BaseException:
                # A process that comes all the same finds its channel closed, and ends.
                if not reply.cancel() and not reply.cancelled() and reply.exception() is None:
                    os.close(reply.result())
                if self._replies.pop(number, None) is None or not self.is_alive:
                    self._endings.pop(number, None)
                raise
            ours.pop_all()
        return Clone(_pid_of(handle), handle, near, our_output.detach(), ending)

    def _request(self, message: bytes, descriptors: list[int]) -> None:
        try:
            socket.send_fds(self._control, [message], descriptors)
        except ConnectionError:  # it is over, and the event loop has not seen it yet
            self._lose()
            raise

    def _read(self) -> None:
        while self.is_alive:
            try:
                message, handles, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES_MAX, 1)
            except BlockingIOError:
                return
            except OSError:
                message, handles = b"", []
            if not message:
                self._lose()
                return
            self._take(json.loads(message), handles)

    def _take(self, message: dict[str, Any], handles: list[int]) -> None:
        number = message["number"]
        match message:
            case {"born": True}:
                reply = self._replies.pop(number, None)
                if reply is None or reply.done():
                    for handle in handles:
                        os.close(handle)
                elif handles:
                    reply.set_result(handles[0])
                else:  # the kernel had no number for it in this process (recvmsg(2), MSG_CTRUNC)
                    reply.set_exception(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
            case {"error": str(why)}:
                self._endings.pop(number, None)
                reply = self._replies.pop(number, None)
                if reply is not None and not reply.done():
                    reply.set_exception(OSError(why))
            case {"status": int(status), "cpu_seconds": cpu_seconds, "memory_bytes": memory_bytes}:
                ending = self._endings.pop(number, None)
                if ending is not None and not ending.done():
                    ending.set_result(Ending(status, cpu_seconds, memory_bytes))

    def _lose(self) -> None:
        """It is gone, and with it all it cloned: the kernel kills them."""
        if not self.is_alive:
            return
        self.is_alive = False
        asyncio.get_running_loop().remove_reader(self._control.fileno())
        self._control.close()
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(OSError("the zygote ended"))
        for ending in self._endings.values():
            if not ending.done():
                ending.set_result(Ending(-1))
        self._replies.clear()
        self._endings.clear()

    async def aclose(self) -> None:
        """End it, and with it its clones."""
        self._lose()
        await self._end()

    async def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


def _pid_of(handle: int) -> int:
    """As this process sees it; -1 once it is over. The zygote knows its clones by other numbers."""
    for line in Path(f"/proc/self/fdinfo/{handle}").read_text(encoding="ascii").splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    return -1


def layer_error(report: str) -> SandboxError:
    """``LAYER: WHY`` as the lock-down reports it, with what the operator can do."""
    hint = next((text for layer, text in _HINTS.items() if report.startswith(layer)), "see README, 'The sandbox'")
    return SandboxError(f"a sandbox layer cannot be applied here: {report}. To go on: {hint}")
