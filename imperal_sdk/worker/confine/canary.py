"""A few escapes, tried by trusted code in every isolate once it is locked down.

They need no privilege and leave nothing behind. One that works means that a layer is not what it seems.
"""

import mmap
import os
import socket
from collections.abc import Callable


def _fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _close(descriptor: int) -> None:
    os.close(descriptor)


_ESCAPES: dict[str, Callable[[], None]] = {
    "open a file of the host": lambda: _close(os.open("/etc/passwd", os.O_RDONLY)),
    "open /proc": lambda: _close(os.open("/proc/self/environ", os.O_RDONLY)),
    "write into the root directory": lambda: _close(os.open("/", os.O_TMPFILE | os.O_WRONLY)),
    "make an internet socket": lambda: socket.socket(socket.AF_INET).close(),
    "make a local socket": lambda: socket.socket(socket.AF_UNIX).close(),
    "share memory": lambda: mmap.mmap(-1, mmap.PAGESIZE).close(),
    "start a process": _fork,
    "send a signal": lambda: os.kill(os.getpid(), 0),
    "set an id": lambda: os.setuid(os.getuid()),
}


def escapes() -> list[str]:
    """Those that worked."""
    worked = []
    for name, attempt in _ESCAPES.items():
        try:
            attempt()
        except OSError:
            continue
        worked.append(name)
    return worked
