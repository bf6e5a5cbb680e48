"""The trusted parent of one extension's isolates. It never imports the extension.

Arguments: the policy as JSON, and the descriptor of the control socket (whole messages of JSON, both
ends trusted). On it this side says ``{"map": true}`` where ids are mapped by the host (which answers
``{"mapped": true}``), then ``{"up": true}`` or ``{"error": "LAYER: WHY"}``. Each request ``{"number": N,
"uid": U}`` comes with two descriptors, the isolate's channel and its output. The answers are
``{"number": N, "born": true}`` with a pidfd, or ``{"number": N, "error": WHY}``; and, when that process is
over, ``{"number": N, "status": S, "cpu_seconds": C, "memory_bytes": M}`` as from wait4(2).
"""

import gc
import json
import os
import select
import socket
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from imperal_sdk.worker.confine import landlock, namespaces, privileges, root, seccomp
from imperal_sdk.worker.isolate import Confinement, LayerError, become_isolate

_FAILED = 70
_MESSAGE_BYTES_MAX = 4_096
_NOTE_CHARACTERS_MAX = 1_000


def main() -> NoReturn:
    policy: dict[str, Any] = json.loads(sys.argv[-2])
    control = socket.socket(fileno=int(sys.argv[-1]))
    os.environ.clear()
    try:
        privileges.die_with_parent()
        proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
        if policy["namespaces"]:
            _enter(policy, control)
        fork = namespaces.PidNamespaces(proc).fork if policy["namespaces"] else os.fork
        _import_what_is_trusted(policy["trusted_path"])
        zygote = _Zygote(control, _prepare(policy, proc), fork)
    except (LayerError, OSError) as error:
        _send(control, {"error": str(error)[:_NOTE_CHARACTERS_MAX]})
        os._exit(_FAILED)
    _send(control, {"up": True})
    zygote.serve()


def _send(control: socket.socket, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
    socket.send_fds(control, [json.dumps(message).encode()], descriptors)


def _enter(policy: dict[str, Any], control: socket.socket) -> None:
    def ask_host_for_map() -> None:
        _send(control, {"map": True})
        if json.loads(control.recv(_MESSAGE_BYTES_MAX) or "{}") != {"mapped": True}:
            raise OSError("the host did not map the ids")

    try:
        namespaces.enter_user_namespace(ask_host_for_map if policy["ids_mapped_by_host"] else None)
    except OSError as error:
        raise LayerError("user namespace", error) from None
    try:
        namespaces.enter_other_namespaces()
        _go_on_as_its_first_process(control)
        sources = root.Sources([(source, target) for source, target in policy["mounts"]])
    except OSError as error:
        raise LayerError("namespaces", error) from None
    if policy["ids_mapped_by_host"]:
        namespaces.become_root_inside()
        privileges.die_with_parent()  # the change of ids has cleared it
    try:
        root.build(sources, policy["masked"], policy["symlinks"])
    except OSError as error:
        raise LayerError("root", error) from None


def _go_on_as_its_first_process(control: socket.socket) -> None:
    """Only children enter a new pid namespace. When its first process ends, the kernel kills all that are in it."""
    child = os.fork()
    if child == 0:
        privileges.die_with_parent()
        return
    control.close()
    os.waitpid(child, 0)
    os._exit(_FAILED)


def _import_what_is_trusted(path: list[str]) -> None:
    """All that isolates need of it, so that they share it: code, and objects ready made."""
    sys.path[:] = path
    sys.path_importer_cache.clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "imperal_sdk"]:
        del sys.modules[name]  # it was loaded from where the host sees it; the rest is loaded from where we do
    from imperal_sdk.worker import preload

    preload.warm()
    gc.collect()
    gc.freeze()


def _prepare(policy: dict[str, Any], proc: int) -> Confinement:
    """Whatever can be made once for all isolates."""
    ruleset, system_calls = None, None
    if policy["kernel_layers"]:
        in_own_root = policy["namespaces"]
        try:
            ruleset = landlock.prepare(
                policy["readable"],
                policy["listed"],
                [root.WRITABLE] if in_own_root else [],
                list(root.DEVICES),
            )
        except OSError as error:
            raise LayerError("Landlock", error) from None
        try:
            system_calls = seccomp.prepare(() if in_own_root else seccomp.CHANGES_BY_PATH)
        except OSError as error:
            raise LayerError("seccomp", error) from None
    one_id_for_all = policy["namespaces"] and not policy["ids_mapped_by_host"]
    return Confinement(policy, ruleset, system_calls, proc if one_id_for_all else None)


class _Zygote:
    def __init__(self, control: socket.socket, confinement: Confinement, fork: Callable[[], int]) -> None:
        self._control = control
        self._confinement = confinement
        self._fork = fork
        self._children: dict[int, tuple[int, int]] = {}  # by pidfd: the request's number, the pid
        self._poll = select.epoll()
        self._poll.register(control.fileno(), select.EPOLLIN)

    def serve(self) -> NoReturn:
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._control.fileno():
                    self._take_request()
                else:
                    self._reap(descriptor)

    def _take_request(self) -> None:
        message, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES_MAX, 2)
        if not message:
            os._exit(0)
        request = json.loads(message)
        number = request["number"]
        try:
            channel, output = descriptors
            pid = self._fork()
            if pid == 0:
                become_isolate(self._confinement, channel, output, request["uid"])
            handle = os.pidfd_open(pid)
            self._children[handle] = (number, pid)
            self._poll.register(handle, select.EPOLLIN)
            _send(self._control, {"number": number, "born": True}, (handle,))
        except (OSError, ValueError) as error:
            _send(self._control, {"number": number, "error": str(error)[:_NOTE_CHARACTERS_MAX]})
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _reap(self, handle: int) -> None:
        number, pid = self._children.pop(handle)
        self._poll.unregister(handle)
        os.close(handle)
        _, status, used = os.wait4(pid, 0)
        cpu_seconds, memory_bytes = used.ru_utime + used.ru_stime, used.ru_maxrss << 10
        ending = {"number": number, "status": status, "cpu_seconds": cpu_seconds, "memory_bytes": memory_bytes}
        _send(self._control, ending)
