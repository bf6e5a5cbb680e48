"""Locks between processes, by flock(2): the kernel lets go of them when their holder ends, however it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imperal_host.errors import SetupError

_WAIT_SECONDS_MAX = 30.0
_RETRY_SECONDS = 0.05


class Hold:
    """Keeps a directory from being swept away until it is let go of."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def share(directory: Path) -> Hold | None:
    """Hold it together with others; ``None`` when it is not there, or about to go."""
    return _take(directory, fcntl.LOCK_SH)


def take(directory: Path) -> Hold | None:
    """Hold it alone; ``None`` when it is not there, or held by anybody."""
    return _take(directory, fcntl.LOCK_EX)


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """One command at a time. Raises ``SetupError`` when another one does not end."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + _WAIT_SECONDS_MAX
        while not _locked(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > end:
                raise SetupError("another command is changing the extensions; try again when it has ended")
            time.sleep(_RETRY_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _take(directory: Path, how: int) -> Hold | None:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    if _locked(descriptor, how):
        return Hold(descriptor)
    os.close(descriptor)
    return None


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
