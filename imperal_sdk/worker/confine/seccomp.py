"""A system-call allow-list as classic BPF (seccomp(2)); x86-64 numbers.

What is not listed answers EPERM; what no interpreter asks for by accident ends the process. The filter is
a plain list of comparisons: since Linux 5.11 the kernel remembers per number that it is always allowed,
so the order costs nothing.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Collection

from imperal_sdk.worker.confine import linux

_Instruction = tuple[int, int, int, int]
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL_PROCESS, _ERRNO, _ALLOW = 0x8000_0000, 0x0005_0000, 0x7FFF_0000
_AUDIT_ARCH_X86_64 = 0xC000_003E
_X32_BIT = 0x4000_0000
_OFFSET_OF_NUMBER, _OFFSET_OF_ARCH = 0, 4
_SET_MODE_FILTER, _TSYNC = 1, 1

_PERMIT: _Instruction = (_RETURN, 0, 0, _ALLOW)
_KILL: _Instruction = (_RETURN, 0, 0, _KILL_PROCESS)
_EPERM: _Instruction = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
_ENOSYS: _Instruction = (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)
_EAGAIN: _Instruction = (_RETURN, 0, 0, _ERRNO | errno.EAGAIN)
_PRETEND: _Instruction = (_RETURN, 0, 0, _ERRNO)

ALLOWED = {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8,
    "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
    "pread64": 17, "pwrite64": 18, "readv": 19, "writev": 20, "access": 21, "select": 23, "sched_yield": 24,
    "mremap": 25, "dup": 32, "nanosleep": 35, "getitimer": 36, "setitimer": 38,
    "getpid": 39, "shutdown": 48,
    "getsockname": 51, "getpeername": 52, "exit": 60, "uname": 63,
    "truncate": 76, "ftruncate": 77, "getdents": 78, "getcwd": 79, "chdir": 80,
    "rename": 82, "mkdir": 83, "rmdir": 84, "unlink": 87, "readlink": 89, "umask": 95, "gettimeofday": 96,
    "getrlimit": 97, "getrusage": 98, "sysinfo": 99, "times": 100, "getuid": 102, "getgid": 104,
    "geteuid": 107, "getegid": 108, "getppid": 110, "getpgrp": 111, "getgroups": 115, "getresuid": 118,
    "getresgid": 120, "rt_sigpending": 127, "rt_sigtimedwait": 128, "sigaltstack": 131, "statfs": 137,
    "fstatfs": 138, "gettid": 186, "time": 201, "getdents64": 217,
    "set_tid_address": 218, "restart_syscall": 219, "exit_group": 231, "epoll_wait": 232, "epoll_ctl": 233,
    "openat": 257,
    "mkdirat": 258, "newfstatat": 262, "unlinkat": 263, "renameat": 264, "readlinkat": 267, "faccessat": 269,
    "pselect6": 270, "ppoll": 271, "set_robust_list": 273, "utimensat": 280, "epoll_pwait": 281,
    "fallocate": 285, "eventfd2": 290, "epoll_create1": 291, "pipe2": 293, "getcpu": 309, "renameat2": 316,
    "getrandom": 318, "membarrier": 324, "copy_file_range": 326, "statx": 332, "rseq": 334,
    "faccessat2": 439, "epoll_pwait2": 441,
}  # fmt: skip
KILLED = {
    "ptrace": 101, "syslog": 103, "personality": 135, "modify_ldt": 154, "pivot_root": 155, "chroot": 161,
    "acct": 163, "mount": 165, "umount2": 166, "swapon": 167, "reboot": 169, "sethostname": 170, "iopl": 172,
    "ioperm": 173, "init_module": 175, "delete_module": 176, "quotactl": 179, "io_setup": 206,
    "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272,
    "perf_event_open": 298, "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310,
    "process_vm_writev": 311, "kcmp": 312, "seccomp": 317, "memfd_create": 319, "kexec_file_load": 320,
    "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "pidfd_getfd": 438, "mount_setattr": 442, "memfd_secret": 447,
}  # fmt: skip
# Where nothing may be written, these are not allowed either: Landlock does not cover all of them on every kernel.
CHANGES_BY_PATH = {
    "truncate", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "utimensat",
}  # fmt: skip
# Probed by libraries that go on without them.
ABSENT = {"close_range": 436, "openat2": 437, "clone3": 435, "futex_waitv": 449}
# The only place to write is a tmpfs, where these do nothing. On a library's file they would make the host's disk
# write out what others wrote, the ledger's too, as often as an isolate likes.
PRETENDED = {"fsync": 74, "fdatasync": 75}
_MMAP, _IOCTL, _SOCKETPAIR, _GETSOCKOPT, _CLONE, _FCNTL, _PRCTL, _PRLIMIT64 = 9, 16, 53, 55, 56, 72, 157, 302
_MADVISE, _SENDTO, _RECVFROM, _RECVMSG, _FUTEX, _SCHED_GETAFFINITY = 28, 44, 45, 47, 202, 204
_CLOCK_GETTIME, _CLOCK_GETRES, _CLOCK_NANOSLEEP = 228, 229, 230

_MAP_SHARED = 1
_CLONE_THREAD = 0x0001_0000
_CLONE_NAMESPACES_OR_PIDFD = 0x7E02_0000 | 0x1000
_IOCTLS = (0x5451, 0x5450, 0x5421, 0x541B, 0x5401)  # FIOCLEX FIONCLEX FIONBIO FIONREAD TCGETS
_PRCTLS = (15, 16, 0x5356_4D41, 3)  # SET_NAME GET_NAME SET_VMA GET_DUMPABLE
_FCNTLS = (0, 1, 2, 3, 4, 1030)  # DUPFD GETFD SETFD GETFL SETFL DUPFD_CLOEXEC
_AF_UNIX = 1
_STREAMS = (0x0000_0001, 0x0008_0001, 0x0000_0801, 0x0008_0801)  # SOCK_STREAM, with SOCK_CLOEXEC and SOCK_NONBLOCK
_SOL_SOCKET = 1
# SO_TYPE SO_ERROR SO_SNDBUF SO_RCVBUF SO_PROTOCOL SO_DOMAIN; not those that tell who, or give a handle of it.
_SOCKET_OPTIONS = (3, 4, 7, 8, 38, 39)
_MSG_OOB = 1
_FUTEX_WAKE, _FUTEX_PRIVATE = 1, 128
_CLOCKS_OF_THE_MACHINE = 12  # above CLOCK_TAI come those of any process, by its number
# What allocators and guards of stacks ask for; not to share equal pages, nor what moves a file's pages in and out.
_ADVICE = (4, 0, 1, 2, 3, 8, 10, 11, 14, 15, 16, 17, 18, 19, 22, 23, 102, 103)


def _argument(index: int, *, high_half: bool = False) -> _Instruction:
    return (_LOAD, 0, 0, 16 + 8 * index + (4 if high_half else 0))


def _one_of(index: int, values: tuple[int, ...]) -> list[_Instruction]:
    tests: list[_Instruction] = [(_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [_argument(index), *tests, _EPERM, _PERMIT]


_A_CLOCK_OF_THE_MACHINE = [_argument(0), (_AT_LEAST, 0, 1, _CLOCKS_OF_THE_MACHINE), _EPERM, _PERMIT]
_CONDITIONAL: dict[int, list[_Instruction]] = {
    # A shared mapping could become a channel between processes.
    _MMAP: [_argument(3), (_ANY_BIT, 0, 1, _MAP_SHARED), _EPERM, _PERMIT],
    # Threads, never processes or namespaces.
    _CLONE: [
        _argument(0),
        (_ANY_BIT, 0, 1, _CLONE_NAMESPACES_OR_PIDFD),
        _EPERM,
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
        _EPERM,
        _PERMIT,
    ],
    _IOCTL: _one_of(1, _IOCTLS),
    # No locks, leases or notifications: all isolates see the same library files, and a lock is a message.
    _FCNTL: _one_of(1, _FCNTLS),
    _PRCTL: _one_of(0, _PRCTLS),
    # Streams only: a datagram socket could be told to send to any name.
    _SOCKETPAIR: [_argument(0), (_EQUAL, 1, 0, _AF_UNIX), _EPERM, *_one_of(1, _STREAMS)],
    # Out-of-band bytes are of no use here, and the kernel's code for them was a way out of other sandboxes.
    # sendmsg is not allowed: descriptors on their way are counted by user, who may be several isolates' own.
    _SENDTO: [_argument(3), (_ANY_BIT, 0, 1, _MSG_OOB), _EPERM, _PERMIT],
    _RECVFROM: [_argument(3), (_ANY_BIT, 0, 1, _MSG_OOB), _EPERM, _PERMIT],
    _RECVMSG: [_argument(2), (_ANY_BIT, 0, 1, _MSG_OOB), _EPERM, _PERMIT],
    # A word of a library's file is one and the same for all who map it: who sleeps there can be woken by another
    # tenant's. Waking is harmless where nobody sleeps. A join of a C thread asks for such a sleep too, and may
    # be told that the word has changed: it looks again until the thread is over.
    _FUTEX: [_argument(1), (_ANY_BIT, 2, 0, _FUTEX_PRIVATE), (_EQUAL, 1, 0, _FUTEX_WAKE), _EAGAIN, _PERMIT],
    # Without a pid namespace, these tell which processes there are, and how much time each has used.
    _SCHED_GETAFFINITY: [_argument(0), (_EQUAL, 1, 0, 0), _EPERM, _PERMIT],
    _CLOCK_GETTIME: _A_CLOCK_OF_THE_MACHINE,
    _CLOCK_GETRES: _A_CLOCK_OF_THE_MACHINE,
    _CLOCK_NANOSLEEP: _A_CLOCK_OF_THE_MACHINE,
    _MADVISE: _one_of(2, _ADVICE),
    _GETSOCKOPT: [_argument(1), (_EQUAL, 1, 0, _SOL_SOCKET), _EPERM, *_one_of(2, _SOCKET_OPTIONS)],
    # Reading one's own limits only: pid 0 and no new value.
    _PRLIMIT64: [
        _argument(0), (_EQUAL, 0, 5, 0),
        _argument(2), (_EQUAL, 0, 3, 0),
        _argument(2, high_half=True), (_EQUAL, 0, 1, 0),
        _PERMIT,
        _EPERM,
    ],
}  # fmt: skip


def program(refused: Collection[str] = ()) -> list[_Instruction]:
    """The whole filter, in order: architecture, x32, then one comparison a system call. ``refused``: of the allowed."""
    blocks: dict[int, list[_Instruction]] = dict(_CONDITIONAL)
    for table, verdict in ((ALLOWED, _PERMIT), (KILLED, _KILL), (ABSENT, _ENOSYS), (PRETENDED, _PRETEND)):
        for name, number in table.items():
            assert number not in blocks, f"system call {number} stands in two tables"
            if name not in refused:
                blocks[number] = [verdict]
    listed = [
        instruction
        for number, block in sorted(blocks.items())
        for instruction in ((_EQUAL, 0, len(block), number), *block)
    ]
    # A block that looks at an argument overwrites the accumulator, but always ends in a return.
    return [
        (_LOAD, 0, 0, _OFFSET_OF_ARCH),
        (_EQUAL, 1, 0, _AUDIT_ARCH_X86_64),
        _KILL,
        (_LOAD, 0, 0, _OFFSET_OF_NUMBER),
        (_AT_LEAST, 0, 1, _X32_BIT),
        _KILL,
        *listed,
        _EPERM,
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


Prepared = tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]


def prepare(refused: Collection[str] = ()) -> Prepared:
    """The filter as the kernel wants it: its header, and the instructions that the header points to."""
    machine = os.uname().machine
    if machine != "x86_64":
        raise OSError(errno.ENOSYS, f"no system-call filter for {machine} yet")
    instructions = b"".join(struct.pack("HBBI", *instruction) for instruction in program(refused))
    held = ctypes.create_string_buffer(instructions, len(instructions))
    header = bytes(_Program(len(instructions) // 8, ctypes.addressof(held)))
    return ctypes.create_string_buffer(header, len(header)), held


def restrict(prepared: Prepared) -> None:
    """Apply the filter to every thread of this process. Needs no_new_privs."""
    linux.syscall(linux.SECCOMP[os.uname().machine], _SET_MODE_FILTER, _TSYNC, prepared[0])
