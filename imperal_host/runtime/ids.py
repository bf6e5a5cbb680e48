"""User ids for isolates: each its own, where the host may give them."""

import itertools
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from imperal_host.log import logger
from imperal_host.runtime.interpreter import Interpreter
from imperal_host.runtime.policy import Ids, Tier

# Above every range that distributions, container tools and systemd give out.
_BASE, _COUNT = 0x7000_0000, 65_536


def ids_for(tier: Tier, interpreter: Interpreter) -> Ids:
    """What this process may give. Warns when a root host can give none: then isolates share its id."""
    if os.geteuid() != 0 or tier is Tier.NONE:
        return Ids.SHARED
    closed = "" if tier is Tier.STRICT else _closed_to_others(interpreter)
    if _may_give_the_range() and not closed:
        return Ids.MAPPED if tier is Tier.STRICT else Ids.OWN
    why = f"only root may enter {closed}" if closed else f"there are no ids {_BASE}-{_BASE + _COUNT - 1} to give"
    logger("runtime").warning("runtime.ids_shared", why=f"{why}: isolates have the host's own id")
    return Ids.SHARED


def endless(ids: Ids) -> Iterator[int]:
    """One after the other, from a random first: two hosts should not meet in one id."""
    numbers, first = range(1, _COUNT), secrets.randbelow(_COUNT - 1)
    offset = _BASE if ids is Ids.OWN else 0
    return (offset + number for number in itertools.cycle(itertools.chain(numbers[first:], numbers[:first])))


def map_ids(pid: int) -> None:
    """Give the range to the user namespace that process has just entered."""
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{name}").write_text(f"0 {_BASE} {_COUNT}\n", encoding="ascii")


def _may_give_the_range() -> bool:
    for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines():
        inside, _, count = map(int, line.split())
        if inside <= _BASE and inside + count >= _BASE + _COUNT:
            return True
    return False


def _closed_to_others(interpreter: Interpreter) -> str:
    """A directory on the way to what every isolate needs that other ids may not enter, or nothing."""
    needed = [Path(path) for path in (*interpreter.import_path, __file__)]
    parents = {parent for path in needed for parent in path.parents}
    return next((str(path) for path in sorted(parents) if not path.stat().st_mode & stat.S_IXOTH), "")
