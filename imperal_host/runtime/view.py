"""Where nothing can be mounted: a directory of links that shows what an isolate would see."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from imperal_host.identity import Package

_PREFIX = "imperal-host-view-"
# A younger one may be another host's that has not locked it yet.
_SWEEP_SECONDS_MIN = 60.0


@dataclass(slots=True)
class View:
    """``lock`` is held while the host lives, and tells that from any other: a number of a process does not, where
    containers share a temporary directory. -1 once it is removed."""

    path: str
    lock: int

    @classmethod
    def of(cls, package: Package) -> "View":
        """Raises ``OSError``."""
        sweep()
        path = tempfile.mkdtemp(prefix=_PREFIX)
        view = cls(path, _open(path))
        try:
            fcntl.flock(view.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.chmod(path, 0o755)  # noqa: S103  (isolates have ids of their own, and may read it)
            for outside, inside in package.mounts:
                os.makedirs(os.path.dirname(path + inside), exist_ok=True)
                os.symlink(os.path.realpath(outside), path + inside)
        except BaseException:
            view.remove()
            raise
        return view

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1


def sweep() -> None:
    """Remove what killed hosts of this user left. Links are removed, never what they lead to."""
    for place in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = place.lstat()
            if status.st_uid == os.geteuid() and time.time() - status.st_mtime >= _SWEEP_SECONDS_MIN:
                _remove_if_nobodys(place)


def _remove_if_nobodys(place: Path) -> None:
    """Raises ``BlockingIOError`` when its host lives."""
    descriptor = _open(str(place))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(place, ignore_errors=True)
    finally:
        os.close(descriptor)


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
