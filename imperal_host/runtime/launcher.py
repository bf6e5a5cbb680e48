"""Start an isolate: a fresh interpreter with an empty environment that locks itself down."""

import asyncio
import contextlib
import itertools
import os
import secrets
import socket
from pathlib import Path

import imperal_sdk.wire
from imperal_host.errors import ExtensionLoadError, SandboxError
from imperal_host.identity import Package
from imperal_host.log import logger
from imperal_host.runtime.channel import Channel
from imperal_host.runtime.interpreter import Interpreter
from imperal_host.runtime.policy import SandboxLimits, policy_for
from imperal_host.runtime.process import Process

# Above every range that distributions, container tools and systemd give out.
_ID_BASE, _ID_COUNT = 0x7000_0000, 65_536
_SDK_ROOT = str(Path(imperal_sdk.wire.__file__).parents[2])
_START = "import sys; sys.path.append(sys.argv[1]); from imperal_sdk.worker.launch import main; main()"
_HINTS = {
    "user namespace": "allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
    "kernel.apparmor_restrict_unprivileged_userns), or run as root",
    "namespaces": "allow user namespaces, or run as root (README, 'The sandbox')",
    "Landlock": "boot a kernel with Landlock, or name the weaker tier with IMPERAL_SANDBOX=namespaces",
    "seccomp": "name the weaker tier with IMPERAL_SANDBOX=namespaces",
}


class SpawnLauncher:
    """One new process tree an isolate. A layer that does not hold is a ``SandboxError``: nothing runs."""

    def __init__(
        self,
        interpreter: Interpreter,
        limits: SandboxLimits,
        *,
        kernel_layers: bool,
        launch_seconds_max: float,
        asks_per_call_max: int,
    ) -> None:
        self._interpreter = interpreter
        self._limits = limits
        self._kernel_layers = kernel_layers
        self._launch_seconds_max = launch_seconds_max
        self._asks_per_call_max = asks_per_call_max
        self._maps_ids = _may_map_ids()
        ids, first = range(1, _ID_COUNT), secrets.randbelow(_ID_COUNT - 1)  # two hosts should not meet in one id
        self._ids = itertools.cycle(itertools.chain(ids[first:], ids[:first]))
        if os.geteuid() == 0 and not self._maps_ids:
            why = f"this root cannot map ids {_ID_BASE}-{_ID_BASE + _ID_COUNT - 1}: isolates share the host's own id"
            logger("runtime").warning("runtime.ids_shared", why=why)

    async def launch(self, package: Package) -> Channel:
        try:
            channel, control, process = await self._spawn(package)
        except OSError as error:
            raise SandboxError(f"{package.name}: no process can be started: {error}") from None
        seconds = self._launch_seconds_max
        confined = False
        try:
            async with asyncio.timeout(seconds):
                pid = await self._handshake(control, process)
                confined = True
                running = Process(process, control, pid, package.name)
                return await Channel.open(channel, running, self._asks_per_call_max)
        except BaseException as error:
            channel.close()
            control.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            kind = ExtensionLoadError if confined else SandboxError
            if isinstance(error, TimeoutError):
                late = f"not ready within {seconds:g} s (IMPERAL_LAUNCH_SECONDS_MAX)"
                raise kind(f"{package.name}: {late}") from None
            if isinstance(error, OSError):
                raise kind(f"{package.name}: it could not be made ready: {error}") from None
            raise

    async def _spawn(self, package: Package) -> tuple[socket.socket, socket.socket, asyncio.subprocess.Process]:
        policy = policy_for(
            package,
            self._interpreter,
            self._limits,
            kernel_layers=self._kernel_layers,
            ids_mapped_by_host=self._maps_ids,
            uid=next(self._ids),
        )
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            pairs = []
            for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
                near, far = socket.socketpair(socket.AF_UNIX, kind)
                pairs.append((ours.enter_context(near), theirs.enter_context(far)))
                near.setblocking(False)
            (channel, their_channel), (control, their_control) = pairs
            numbers = (their_channel.fileno(), their_control.fileno())
            # Opened here: some releases of Python leave the one of DEVNULL open when a start fails.
            nothing = theirs.enter_context(open(os.devnull, "rb"))
            process = await asyncio.create_subprocess_exec(
                *(self._interpreter.executable, "-I", "-S", "-B", "-u", "-X", "utf8", "-c", _START, _SDK_ROOT),
                *(policy.to_json(), *map(str, numbers)),
                stdin=nothing,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=numbers,
                env={},
                cwd="/",
                start_new_session=True,  # a terminal's Ctrl-C is for the host, which ends its isolates itself
            )
            ours.pop_all()
            return channel, control, process

    async def _handshake(self, control: socket.socket, process: asyncio.subprocess.Process) -> int:
        """Until the isolate is confined: map its ids if asked, and learn its pid. Raises ``SandboxError``."""
        loop = asyncio.get_running_loop()
        pid, confined = 0, False
        while not (pid and confined):
            word, _, rest = (await loop.sock_recv(control, 4_096)).decode(errors="replace").partition(" ")
            match word:
                case "map":
                    _map_ids(process.pid)
                    await loop.sock_sendall(control, b"mapped")
                case "pid":
                    pid = int(rest)
                case "confined":
                    confined = True
                case "error":
                    raise layer_error(rest)
                case _:
                    assert process.stdout is not None
                    output = (await process.stdout.read(2_000)).decode(errors="replace").strip()
                    raise SandboxError(f"the isolate's process ended before it was confined: {output}")
        return pid


def layer_error(report: str) -> SandboxError:
    """``LAYER: WHY`` as the launch code reports it, with what the operator can do."""
    hint = next((text for layer, text in _HINTS.items() if report.startswith(layer)), "see README, 'The sandbox'")
    return SandboxError(f"a sandbox layer cannot be applied here: {report}. To go on: {hint}")


def _may_map_ids() -> bool:
    """Whether this process may map the isolates' id range: root, with that range to give."""
    if os.geteuid() != 0:
        return False
    for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines():
        inside, _, count = map(int, line.split())
        if inside <= _ID_BASE and inside + count >= _ID_BASE + _ID_COUNT:
            return True
    return False


def _map_ids(pid: int) -> None:
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{name}").write_text(f"0 {_ID_BASE} {_ID_COUNT}\n", encoding="ascii")
