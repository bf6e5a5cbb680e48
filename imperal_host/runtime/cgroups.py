"""Limits that count a whole isolate, where the host may write control groups (cgroups(7)).

Without them an isolate's memory is bounded as address space (RLIMIT_AS) all the same.
"""

import contextlib
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from imperal_host.log import logger

_TASKS_MAX = 64
_ROOT = Path("/sys/fs/cgroup")
_PREFIX = "imperal-host-"
_instances = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Group:
    """One isolate's directories: one in the unified hierarchy, or one in each that was found."""

    directories: tuple[Path, ...]

    def oom_kills(self) -> int:
        """How often the kernel killed in it for want of memory."""
        for name in ("memory.events", "memory.oom_control"):
            for directory in self.directories:
                with contextlib.suppress(OSError, ValueError):
                    for line in (directory / name).read_text(encoding="ascii").splitlines():
                        word, _, count = line.partition(" ")
                        if word == "oom_kill":
                            return int(count)
        return 0

    def remove(self) -> None:
        """Once the process is gone. What cannot be removed is empty, and costs nothing."""
        for directory in self.directories:
            with contextlib.suppress(OSError):
                directory.rmdir()


class Cgroups:
    """``parents``: by directory, the files to write in each new group below it."""

    def __init__(self, parents: dict[Path, dict[str, str]]) -> None:
        self._parents = parents
        self._numbers = itertools.count(1)

    @classmethod
    def here(cls, memory_bytes_max: int) -> "Cgroups":
        """Groups below this process's own, where they can be made; none otherwise."""
        wanted = _unified(memory_bytes_max) or _separate(memory_bytes_max)
        name = f"{_PREFIX}{os.getpid()}-{next(_instances)}"  # two of one process would meet in their groups' names
        parents = {}
        for parent, files in wanted.items():
            _remove_stale(parent)
            place = parent / name
            with contextlib.suppress(OSError):
                place.mkdir(exist_ok=True)
                if (place / "cgroup.subtree_control").exists():
                    (place / "cgroup.subtree_control").write_text("+memory +pids", encoding="ascii")
                parents[place] = files
        return cls(parents)

    def put(self, pid: int) -> Group:
        """Make a group and move the process into it. Where that fails, there is none."""
        made: list[Path] = []
        number = next(self._numbers)
        try:
            for parent, files in self._parents.items():
                directory = parent / str(number)
                directory.mkdir()
                made.append(directory)
                for name, value in files.items():
                    with contextlib.suppress(FileNotFoundError):  # no swap accounting in this kernel
                        (directory / name).write_text(value, encoding="ascii")
                (directory / "cgroup.procs").write_text(str(pid), encoding="ascii")
        except ProcessLookupError:  # it is over already
            Group(tuple(made)).remove()
            return Group(())
        except OSError as error:
            logger("runtime").warning("runtime.no_cgroup", why=str(error))
            Group(tuple(made)).remove()
            return Group(())
        return Group(tuple(made))

    def remove(self) -> None:
        Group(tuple(self._parents)).remove()


def _remove_stale(parent: Path) -> None:
    """What a host left that was killed. The kernel removes no group in which a process lives."""
    for place in parent.glob(f"{_PREFIX}*"):
        number = place.name.removeprefix(_PREFIX).partition("-")[0]
        if number.isdecimal() and not Path("/proc", number).exists():
            groups = sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else []
            Group((*groups, place)).remove()


def _unified(memory_bytes_max: int) -> dict[Path, dict[str, str]]:
    """Version 2: one hierarchy. The group may hold processes or groups, not both, so they go beside our own."""
    if not (_ROOT / "cgroup.controllers").exists():
        return {}
    own = _own().get("", "/")
    parent = (_ROOT / own.lstrip("/")).parent
    files = {"memory.max": str(memory_bytes_max), "memory.swap.max": "0", "pids.max": str(_TASKS_MAX)}
    return {parent: files}


def _separate(memory_bytes_max: int) -> dict[Path, dict[str, str]]:
    """Version 1: a hierarchy a controller."""
    own = _own()
    files = {
        "memory": {
            "memory.limit_in_bytes": str(memory_bytes_max),
            "memory.memsw.limit_in_bytes": str(memory_bytes_max),
        },
        "pids": {"pids.max": str(_TASKS_MAX)},
    }
    found = {}
    for controller, wanted in files.items():
        place = _ROOT / controller
        if controller in own and place.is_dir():
            below = place / own[controller].lstrip("/")
            found[below if below.is_dir() else place] = wanted
    return found


def _own() -> dict[str, str]:
    """By controller (``""`` is version 2): this process's own group (/proc/self/cgroup)."""
    groups: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii", errors="replace").splitlines():
        _, controllers, path = line.split(":", 2)
        groups |= dict.fromkeys(controllers.split(","), path)
    return groups
