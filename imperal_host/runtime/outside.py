"""What the kernel says of a process that claims to be confined. The host believes this, not the process."""

import os
from pathlib import Path

from imperal_host.errors import SandboxError
from imperal_host.runtime.policy import SandboxPolicy

_NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts")
_NO_CAPABILITIES = "0" * 16
_SETPCAP = 1 << 8


def check(pid: int, policy: SandboxPolicy) -> None:
    """Raises ``SandboxError`` naming what does not hold, of all that this host may see (proc(5))."""
    if not policy.kernel_layers:
        return
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise SandboxError(f"the isolate cannot be looked at from outside: {error}") from None
    bounding = _NO_CAPABILITIES if policy.namespaces else _least_bounding_set()
    wrong = faults_of(status, in_own_pid_namespace=policy.namespaces, bounding=bounding)
    if policy.namespaces:
        wrong += _shared_namespaces(pid)
    if wrong:
        raise SandboxError(f"an isolate said it was confined, and is not: {', '.join(wrong)}")


def faults_of(status: str, *, in_own_pid_namespace: bool, bounding: str = _NO_CAPABILITIES) -> list[str]:
    """What of /proc/PID/status is not as it must be. ``bounding`` is the bounding set it must have."""
    fields = _fields(status)
    wanted = {"Seccomp": "2", "NoNewPrivs": "1"}
    wanted |= dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapAmb"), _NO_CAPABILITIES) | {"CapBnd": bounding}
    wrong = [f"{name} is {fields.get(name)}" for name, value in wanted.items() if fields.get(name) != value]
    pids = fields.get("NSpid", "").split()
    if in_own_pid_namespace and (len(pids) < 2 or pids[-1] != "1"):
        wrong.append(f"NSpid is {' '.join(pids)}")
    return wrong


def _least_bounding_set() -> str:
    """Empty, where this host has the right to drop from it (CAP_SETPCAP). An ordinary user's processes have it
    only in a user namespace; without one the set stays, and only no_new_privs keeps it from being of use."""
    own = _fields(Path("/proc/self/status").read_text(encoding="ascii", errors="replace"))
    return _NO_CAPABILITIES if int(own["CapEff"], 16) & _SETPCAP else own["CapBnd"]


def _fields(status: str) -> dict[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in status.splitlines())}


def _shared_namespaces(pid: int) -> list[str]:
    """Those it has in common with us. An ordinary user may not look into what cannot be dumped: there the pid
    namespace has to do, which was entered together with the others."""
    shared = []
    for name in _NAMESPACES:
        try:
            if os.readlink(f"/proc/{pid}/ns/{name}") == os.readlink(f"/proc/self/ns/{name}"):
                shared.append(f"its {name} namespace is the host's")
        except PermissionError:
            continue
        except OSError as error:
            shared.append(f"its {name} namespace cannot be seen: {error}")
    return shared
