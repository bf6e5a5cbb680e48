"""Own user, mount, pid, net, ipc, uts and cgroup namespaces (namespaces(7))."""

import os
import socket
from collections.abc import Callable

from imperal_sdk.worker.confine import linux


def enter_user_namespace(ask_host_for_map: Callable[[], None] | None) -> None:
    """A user namespace in which this process is nobody outside.

    Only a privileged host can map a range of ids, and it must do so from outside: then
    ``ask_host_for_map`` returns when it is done. Otherwise the caller's own id becomes 0 inside.
    """
    uid, gid = os.getuid(), os.getgid()
    linux.unshare(linux.CLONE_NEWUSER)
    if ask_host_for_map is not None:
        ask_host_for_map()
        return
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def enter_other_namespaces() -> None:
    """Everything else. The pid namespace begins with the next fork; the network has no interface up."""
    linux.unshare(
        linux.CLONE_NEWNS
        | linux.CLONE_NEWPID
        | linux.CLONE_NEWNET
        | linux.CLONE_NEWIPC
        | linux.CLONE_NEWUTS
        | linux.CLONE_NEWCGROUP
    )
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    socket.sethostname("isolate")


def become_root_inside() -> None:
    """Take the mapped ids, so that nothing is left of the real root's identity."""
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
