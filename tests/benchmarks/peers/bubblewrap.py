"""A fresh Python under bubblewrap: all namespaces, the whole file system read-only, no seccomp filter."""

import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.benchmarks.peers import Call, NotInstalledError, Peer
from tests.benchmarks.peers.lines import SCRIPT, child


@asynccontextmanager
async def opened() -> AsyncIterator[Call]:
    program = shutil.which("bwrap")
    if program is None:
        raise NotInstalledError("bwrap")
    confined = ("--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--ro-bind", "/", "/")
    async with child(program, *confined, "--dev", "/dev", "--", sys.executable, "-I", str(SCRIPT)) as call:
        yield call


PEER = Peer("fresh Python + bwrap", opened)
