"""The first code of an isolate's process. Standard library only, until the lock-down is complete.

Two processes: this one enters the namespaces, builds the root and waits; its only child is process 1 of
the new pid namespace, locks itself down and becomes the isolate.

Arguments: the policy as JSON, and the descriptors of the channel (a stream) and of the control socket
(whole messages). On the control socket this side says ``map`` (the host answers ``mapped``), ``pid N``,
``confined`` once every layer holds (in either order), or ``error LAYER: WHY``; and, at the end,
``exit STATUS`` as from wait(2).
"""

import fcntl
import json
import os
import socket
import sys
from typing import Any, NoReturn

from imperal_sdk.worker.confine import landlock, linux, namespaces, privileges, root, seccomp

CHANNEL = 3
LAUNCH_FAILED = 70


class LayerError(Exception):
    """A sandbox layer could not be applied."""

    def __init__(self, layer: str, why: object) -> None:
        super().__init__(f"{layer}: {why}")


def main() -> NoReturn:
    policy: dict[str, Any] = json.loads(sys.argv[-3])
    channel, control = int(sys.argv[-2]), socket.socket(fileno=int(sys.argv[-1]))
    os.environ.clear()
    try:
        privileges.die_with_parent()
        _enter(policy, control)
        child = os.fork()
    except (LayerError, OSError) as error:
        control.send(f"error {error}".encode()[:2000])
        os._exit(LAUNCH_FAILED)
    if child == 0:
        _become_isolate(policy, channel, control)
    control.send(f"pid {child}".encode())
    os.close(channel)
    _, status = os.waitpid(child, 0)
    control.send(f"exit {status}".encode())
    os._exit(0)


def _enter(policy: dict[str, Any], control: socket.socket) -> None:
    def ask_host_for_map() -> None:
        control.send(b"map")
        if control.recv(16) != b"mapped":
            raise OSError("the host did not map the ids")

    try:
        namespaces.enter_user_namespace(ask_host_for_map if policy["ids_mapped_by_host"] else None)
    except OSError as error:
        raise LayerError("user namespace", error) from None
    try:
        namespaces.enter_other_namespaces()
        sources = root.Sources([(source, target) for source, target in policy["mounts"]])
    except OSError as error:
        raise LayerError("namespaces", error) from None
    if policy["ids_mapped_by_host"]:
        namespaces.become_root_inside()
    try:
        root.build(sources, policy["masked"], policy["symlinks"], policy["scratch_bytes_max"])
    except OSError as error:
        raise LayerError("root", error) from None


def _become_isolate(policy: dict[str, Any], channel: int, control: socket.socket) -> NoReturn:
    control = _keep_only(channel, control)
    try:
        _lock_down(policy)
    except (LayerError, OSError) as error:
        control.send(f"error {error}".encode()[:2000])
        os._exit(LAUNCH_FAILED)
    control.send(b"confined")
    control.close()
    sys.path[:] = policy["import_path"]
    sys.path_importer_cache.clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "imperal_sdk"]:
        del sys.modules[name]  # loaded from where the host sees it; the rest is loaded from where we do
    from imperal_sdk.worker.serve import serve  # only now can it be reached, and only now may it be

    try:
        serve(socket.socket(fileno=CHANNEL), policy["module"], policy["attribute"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _keep_only(channel: int, control: socket.socket) -> socket.socket:
    """Close every descriptor but the standard three, the channel and the control socket."""
    kept = [fcntl.fcntl(d, fcntl.F_DUPFD_CLOEXEC, CHANNEL + 2) for d in (channel, control.detach())]
    for number, descriptor in ((CHANNEL, kept[0]), (CHANNEL + 1, kept[1])):
        os.dup2(descriptor, number, inheritable=False)
    linux.close_from(CHANNEL + 2)
    return socket.socket(fileno=CHANNEL + 1)


def _lock_down(policy: dict[str, Any]) -> None:
    os.chdir(root.SCRATCH)
    if policy["ids_mapped_by_host"]:
        privileges.take_id(policy["uid"])
    privileges.die_with_parent()
    privileges.limit_resources(policy["rlimits"])
    privileges.drop_capabilities()
    privileges.forbid_new_privileges()
    if policy["landlock"]:
        try:
            landlock.restrict(policy["readable"], ["/scratch"], list(root.DEVICES))
        except OSError as error:
            raise LayerError("Landlock", error) from None
    if policy["seccomp"]:
        try:
            seccomp.restrict()
        except OSError as error:
            raise LayerError("seccomp", error) from None
