"""What one isolate is given: a frozen value, made here and applied by ``imperal_sdk.worker.launch``."""

import json
from dataclasses import dataclass

from imperal_host.identity import Package
from imperal_host.runtime.interpreter import Interpreter

_FILES_MAX = 64
_THREADS_MAX = 64
_STACK_BYTES_MAX = 8 << 20


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    memory_bytes_max: int
    cpu_seconds_max: int
    scratch_bytes_max: int


@dataclass(frozen=True, slots=True)
class SandboxPolicy:
    """``rlimits`` are by their names in the resource module. There is no switch for the namespaces."""

    mounts: tuple[tuple[str, str], ...]
    readable: tuple[str, ...]
    masked: tuple[str, ...]
    symlinks: tuple[tuple[str, str], ...]
    import_path: tuple[str, ...]
    module: str
    attribute: str
    landlock: bool
    seccomp: bool
    ids_mapped_by_host: bool
    uid: int
    rlimits: tuple[tuple[str, int], ...]
    scratch_bytes_max: int

    def to_json(self) -> str:
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({**fields, "rlimits": dict(self.rlimits)})


def policy_for(
    package: Package,
    interpreter: Interpreter,
    limits: SandboxLimits,
    *,
    kernel_layers: bool,
    ids_mapped_by_host: bool,
    uid: int,
) -> SandboxPolicy:
    """``kernel_layers`` are Landlock and seccomp: off only where the operator named the weaker tier."""
    own = tuple((path, path) for path in interpreter.mounts)
    return SandboxPolicy(
        mounts=(*own, *package.mounts),
        readable=(*interpreter.mounts, *package.import_path),
        masked=interpreter.masked,
        symlinks=interpreter.symlinks,
        import_path=(*interpreter.import_path, *package.import_path),
        module=package.module,
        attribute=package.attribute,
        landlock=kernel_layers,
        seccomp=kernel_layers,
        ids_mapped_by_host=ids_mapped_by_host,
        uid=uid,
        rlimits=(
            ("CORE", 0),
            ("NOFILE", _FILES_MAX),
            ("NPROC", _THREADS_MAX),
            ("FSIZE", limits.scratch_bytes_max),
            ("MEMLOCK", 0),
            ("MSGQUEUE", 0),
            ("STACK", _STACK_BYTES_MAX),
            ("CPU", limits.cpu_seconds_max),
            ("AS", limits.memory_bytes_max),
        ),
        scratch_bytes_max=limits.scratch_bytes_max,
    )
