"""What is left of root goes: ids, capabilities, the way back (no_new_privs), and unbounded resources."""

import contextlib
import ctypes
import os
import resource
import signal
import struct

from imperal_sdk.worker.confine import linux

_LINUX_CAPABILITY_VERSION_3 = 0x2008_0522


def die_with_parent() -> None:
    """SIGKILL when the parent ends. A change of ids clears this, so it is set again after one."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)


def take_id(number: int) -> None:
    os.setgroups([])
    os.setresgid(number, number, number)
    os.setresuid(number, number, number)


def drop_bounding_set() -> None:
    """Nothing can be gained by executing a file (capabilities(7)). A change of ids takes the right to do this."""
    for capability in range(64):
        try:
            linux.prctl(linux.PR_CAPBSET_DROP, capability)
        except OSError:  # past the last capability this kernel knows, or no right to drop: then no_new_privs has to do
            break


def drop_capabilities() -> None:
    """Empty ambient, effective, permitted and inheritable sets (capabilities(7))."""
    linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_CLEAR_ALL)
    header = ctypes.create_string_buffer(struct.pack("II", _LINUX_CAPABILITY_VERSION_3, 0), 8)
    linux.syscall(linux.CAPSET[os.uname().machine], header, ctypes.create_string_buffer(24))


def forbid_new_privileges() -> None:
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    with contextlib.suppress(OSError):  # kernels before 6.3 have no memory-deny-write-execute
        linux.prctl(linux.PR_SET_MDWE, linux.PR_MDWE_REFUSE_EXEC_GAIN)


def limit_resources(limits: dict[str, int]) -> None:
    """``limits`` maps a name of the resource module without ``RLIMIT_`` to its hard and soft limit."""
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
