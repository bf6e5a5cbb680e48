"""What this machine can do at best: the raw limits that figures are set beside."""

import asyncio
import os
import socket
import sys
from pathlib import Path

from tests.benchmarks.measure import Effort, one_by_one
from tests.benchmarks.report import Figures

# As many bytes as an echo's frames have, there and back.
_MESSAGE = b"x" * 300
_MIRROR = """
import socket, sys
peer = socket.socket(fileno=int(sys.argv[1]))
while data := peer.recv(65536):
    peer.sendall(data)
"""
_LEDGER_ROWS_BYTES = b"x" * 8_192


async def socketpair_round_trip(effort: Effort) -> Figures:
    """A message to another process and back over a socket pair: blocking, no loop, nothing encoded."""
    near, far = socket.socketpair()
    with near:
        with far:
            number = far.fileno()
            command = (sys.executable, "-I", "-S", "-c", _MIRROR, str(number))
            mirror = await asyncio.create_subprocess_exec(*command, pass_fds=(number,))
        near.setblocking(True)

        async def exchange() -> None:
            near.sendall(_MESSAGE)
            near.recv(65_536)

        figures = await one_by_one(exchange, effort)
    await mirror.wait()
    return figures


async def fdatasync(place: Path, effort: Effort) -> Figures:
    """Two pages appended and on disk: what one durable ledger row costs at least, where the ledger would be."""
    descriptor = os.open(place / "fdatasync", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def write() -> None:
        os.write(descriptor, _LEDGER_ROWS_BYTES)
        os.fdatasync(descriptor)

    try:
        figures = await one_by_one(write, effort)
    finally:
        os.close(descriptor)
    return {"p50_ms": figures["p50_us"] / 1e3, "calls_per_second": 1e6 / figures["p50_us"]}
