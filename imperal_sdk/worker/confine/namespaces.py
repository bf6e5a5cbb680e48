"""Own user, mount, pid, net, ipc, uts and cgroup namespaces (namespaces(7)).

The zygote enters a first set; each isolate gets a set of its own. What is only of use between two
isolates (pid, mount, net, ipc, uts) is never shared by two.
"""

import os
import socket
from collections.abc import Callable

from imperal_sdk.worker.confine import linux

_OF_AN_ISOLATE = linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS


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
    linux.unshare(_OF_AN_ISOLATE | linux.CLONE_NEWCGROUP | linux.CLONE_NEWPID)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    socket.sethostname("isolate")


def become_root_inside() -> None:
    """Take the mapped ids, so that nothing is left of the real root's identity."""
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


class PidNamespaces:
    """A new pid namespace for every child: it is process 1 there and sees no other.

    ``proc`` is a descriptor of the host's /proc, from before the root was changed.
    """

    def __init__(self, proc: int) -> None:
        self._own = os.open("self/ns/pid", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)

    def fork(self) -> int:
        """As ``os.fork``. The kernel moves only children, so the caller stays where it is."""
        linux.unshare(linux.CLONE_NEWPID)
        child = -1
        try:
            child = os.fork()
        finally:
            if child != 0:
                linux.setns(self._own, linux.CLONE_NEWPID)
        return child


def enter_those_of_an_isolate(proc: int | None) -> None:
    """``proc``, where the host has one id only: the isolate then gets a user namespace too, in which its
    limits are counted for it alone."""
    if proc is None:
        linux.unshare(_OF_AN_ISOLATE)
        return
    linux.unshare(_OF_AN_ISOLATE | linux.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
        file = os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        os.write(file, text.encode())
        os.close(file)
