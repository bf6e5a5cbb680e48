"""The processes below this one, and what they cost (proc(5): /proc/PID/stat, statm and smaps_rollup)."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MIB = 1 << 20


class NotPermittedError(Exception):
    """The memory of a process may not be read: it is another user's, or not dumpable."""


def descendants() -> set[int]:
    """All processes below this one, however deep. One that lost its parent to the reaper is not found."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                # the name, in brackets, may hold anything
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children[parent].append(int(entry.name))
    found: set[int] = set()
    fresh = children[os.getpid()]
    while fresh:
        found.update(fresh)
        fresh = [child for pid in fresh for child in children[pid]]
    return found


def pss_mb(pids: Iterable[int]) -> float:
    """Proportional set size in MiB: a page that n processes share counts 1/n for each. Raises ``NotPermittedError``."""
    return sum(map(_pss_bytes, pids)) / _MIB


def rss_mb(pids: Iterable[int]) -> float:
    """Resident set size in MiB: a page that n processes share counts n times."""
    return sum(map(_rss_bytes, pids)) / _MIB


def _pss_bytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except PermissionError:
        raise NotPermittedError("PSS of isolates may be read by root only") from None
    return 0  # it has ended, and waits for its parent


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError):
        return 0
