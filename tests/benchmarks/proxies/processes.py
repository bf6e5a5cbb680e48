"""Starting a server, waiting until it answers, and seeing it off."""

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.benchmarks.peers import NotInstalledError

ENVIRONMENTS = Path(__file__).parents[3] / ".venv-proxies"
_START_SECONDS_MAX = 90.0
_END_SECONDS_MAX = 10.0


def program(environment: str, name: str) -> str:
    """A program of one proxy's own environment. Raises ``NotInstalledError``."""
    path = ENVIRONMENTS / environment / name
    if not path.exists():
        raise NotInstalledError(f"{environment}; run: make proxies")
    return str(path)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@asynccontextmanager
async def running(command: Sequence[str], port: int, more: Mapping[str, str] | None = None) -> AsyncIterator[None]:
    """The server listens on ``port`` of loopback. It has a process group and an empty home of its own, and no
    proxy settings: it is to reach nothing but the upstream."""
    with tempfile.TemporaryDirectory(prefix="imperal-bench-proxy-") as home:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        environment = {**kept, "HOME": home, "DO_NOT_TRACK": "1", **(more or {})}
        with open(Path(home, "output"), "wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=home, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        try:
            await _listening(process, port, Path(home, "output"))
            yield
        finally:
            await _ended(process)


async def _listening(process: asyncio.subprocess.Process, port: int, output: Path) -> None:
    async with asyncio.timeout(_START_SECONDS_MAX):
        while True:
            if process.returncode is not None:
                raise RuntimeError(f"it ended at once: {output.read_text(errors='replace')[-300:]}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.2)
                continue
            writer.close()
            return


async def _ended(process: asyncio.subprocess.Process) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            async with asyncio.timeout(_END_SECONDS_MAX):
                await process.wait()
        except TimeoutError:
            continue
    await process.wait()
