"""What the isolates of one extension are given: a frozen value, made here and applied by
``imperal_sdk.worker.zygote``."""

import json
import os
from dataclasses import dataclass
from enum import Enum

from imperal_host.identity import Package
from imperal_host.runtime.interpreter import Interpreter

SDK_PATH = "/sdk"
_FILES_MAX = 64
_THREADS_MAX = 64
_STACK_BYTES_MAX = 8 << 20


class Tier(Enum):
    """How tight. Weaker ones are named by the operator; none is ever fallen back to."""

    STRICT = "strict"  # namespaces, Landlock, seccomp
    NO_NAMESPACES = "no-namespaces"  # Landlock and seccomp: inside a container that allows no more
    NONE = "none"  # a separate process: for developing on a machine that has none of them


class Ids(Enum):
    """Whose user id an isolate has."""

    MAPPED = "mapped"  # one that nobody else on the machine has, of a range that the host maps
    OWN = "own"  # the same, without a user namespace
    SHARED = "shared"  # the host's own


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    memory_bytes_max: int
    cpu_seconds_max: int
    scratch_bytes_max: int


@dataclass(frozen=True, slots=True)
class SandboxPolicy:
    """``rlimits`` are by their names in the resource module. ``trusted_path`` is what the zygote imports from,
    ``import_path`` what an isolate does; of what is below ``listed``, an isolate may see the names only."""

    namespaces: bool
    kernel_layers: bool
    ids_mapped_by_host: bool
    own_ids: bool
    mounts: tuple[tuple[str, str], ...]
    masked: tuple[str, ...]
    symlinks: tuple[tuple[str, str], ...]
    readable: tuple[str, ...]
    listed: tuple[str, ...]
    trusted_path: tuple[str, ...]
    import_path: tuple[str, ...]
    module: str
    attribute: str
    rlimits: tuple[tuple[str, int], ...]
    scratch_bytes_max: int

    def to_json(self) -> str:
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({**fields, "rlimits": dict(self.rlimits)})


def policy_for(
    package: Package, interpreter: Interpreter, limits: SandboxLimits, tier: Tier, ids: Ids, view: str = ""
) -> SandboxPolicy:
    """``view`` is a directory that shows what would be mounted, where nothing can be."""
    own_root = tier is Tier.STRICT
    assert own_root == (not view)
    trusted = (*interpreter.import_path, f"{view}{SDK_PATH}")
    inside = tuple(f"{view}{path}" for path in package.import_path)
    listed: tuple[str, ...] = ()
    if own_root:
        readable = (*interpreter.mounts, SDK_PATH, *inside)
    else:
        sources = tuple(os.path.realpath(outside) for outside, _ in package.mounts)
        readable, listed = (*interpreter.readable, view, *sources), interpreter.listed
    return SandboxPolicy(
        namespaces=own_root,
        kernel_layers=tier is not Tier.NONE,
        ids_mapped_by_host=ids is Ids.MAPPED,
        own_ids=ids is not Ids.SHARED,
        mounts=(*((path, path) for path in interpreter.mounts), *package.mounts),
        masked=interpreter.masked,
        symlinks=interpreter.symlinks,
        readable=readable,
        listed=listed,
        trusted_path=trusted,
        import_path=(*trusted, *inside),
        module=package.module,
        attribute=package.attribute,
        rlimits=_rlimits(limits, tier, ids),
        scratch_bytes_max=limits.scratch_bytes_max,
    )


def _rlimits(limits: SandboxLimits, tier: Tier, ids: Ids) -> tuple[tuple[str, int], ...]:
    # Threads are counted by user id: where that is the host's own, they are bounded by their stacks' memory alone.
    counted_alone = tier is Tier.STRICT or ids is not Ids.SHARED
    return (
        ("CORE", 0),
        ("NOFILE", _FILES_MAX),
        *((("NPROC", _THREADS_MAX),) if counted_alone else ()),
        ("FSIZE", limits.scratch_bytes_max),
        ("MEMLOCK", 0),
        ("MSGQUEUE", 0),
        ("STACK", _STACK_BYTES_MAX),
        ("CPU", limits.cpu_seconds_max),
        ("AS", limits.memory_bytes_max),
    )
